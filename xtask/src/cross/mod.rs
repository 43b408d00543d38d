//! `cargo xtask cross`: the agent and edgectl as static binaries, one build per triple of `firmware-targets/`.
//!
//! Owns what is built and what it must be like afterwards: static, and within the size budget of every target.
//! Where the compilers come from is known in [`toolchain`].

mod elf;
mod target;
mod toolchain;

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs};

use anyhow::{Context as _, ensure};
use clap::{Args, ValueEnum};

use crate::repository::{root, run, target_dir};
use target::FirmwareTarget;
use toolchain::Toolchain;

/// Packages that are built, each with the binary it makes.
const BUILT: [(&str, &str); 2] = [("holdfast-agent", "holdfast-agent"), ("edgectl", "edgectl")];

/// What is built.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// A folder of firmware-targets/, or a triple; may be repeated. Default: all
    #[arg(long = "target", value_name = "TARGET")]
    targets: Vec<String>,
    /// Profile of Cargo.toml
    #[arg(long, default_value = "edge")]
    profile: String,
    /// Who compiles
    #[arg(long, value_enum, default_value = "zigbuild")]
    engine: Engine,
}

/// What drives the cross compiler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Engine {
    /// cargo-zigbuild, fetched when it is not there
    Zigbuild,
    /// `cross` in its containers, when it is installed and may reach its registry
    Cross,
}

/// Runs the subcommand.
pub(crate) fn run_task(options: &Options) -> anyhow::Result<ExitCode> {
    let all = target::read_all(&root().join("firmware-targets"))?;
    let chosen = choose(&all, &options.targets)?;
    let triples: BTreeSet<&str> = chosen.iter().map(|target| target.triple.as_str()).collect();
    for triple in triples {
        println!("building for {triple}");
        let mut command = match options.engine {
            Engine::Zigbuild => Toolchain::provide(triple)?.command(triple),
            Engine::Cross => cross(triple),
        };
        command.args(["--profile", &options.profile, "--locked"]);
        command.args(BUILT.iter().flat_map(|(package, _)| ["--package", package]));
        run(&mut command)?;
    }
    let mut within = true;
    for target in chosen {
        within &= check(target, &options.profile)?;
    }
    Ok(if within {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What cargo is told besides the profile, so that it links without what is never read. Only what is measured is linked so
/// yet: that the linkers of the other targets take it has not been tried.
///
/// # Errors
/// When the script cannot be read.
pub(crate) fn lean(triple: &str) -> anyhow::Result<[String; 2]> {
    // Cargo does not look into the script: its content stands in a symbol that nobody needs, so that a new one is used.
    let mut content = DefaultHasher::new();
    fs::read(lean_script())?.hash(&mut content);
    let mut arguments = vec![
        format!("--defsym=holdfast_lean={}", content.finish() as u32),
        format!("-T,{}", lean_script().display()),
        "--no-eh-frame-hdr".to_owned(),
    ];
    if triple.ends_with("-gnu") {
        // Packed relocations: zig, which links the others, has no such option.
        arguments.push("-z,pack-relative-relocs".to_owned());
    }
    // Names that tell which function it is, also where a function is generic.
    let mut flags = vec!["\"-Csymbol-mangling-version=v0\"".to_owned()];
    flags.extend(arguments.iter().map(|it| format!("\"-Clink-arg=-Wl,{it}\"")));
    let flags = format!("target.{triple}.rustflags=[{}]", flags.join(","));
    Ok(["--config".to_owned(), flags])
}

/// What the linker is told, made by `cargo xtask hot`.
pub(crate) fn lean_script() -> PathBuf {
    root().join("xtask/src/cross/lean.ld")
}

/// Folder for cross builds: apart, so that they never wait for, or undo, everyday ones.
fn build_dir() -> PathBuf {
    target_dir().join("cross")
}

fn choose<'a>(all: &'a [FirmwareTarget], wanted: &[String]) -> anyhow::Result<Vec<&'a FirmwareTarget>> {
    let names = || {
        all.iter()
            .map(|target| target.name.as_str())
            .collect::<Vec<_>>()
            .join(" ")
    };
    for want in wanted {
        ensure!(
            all.iter().any(|target| target.is_called(want)),
            "no target {want}; there are: {}",
            names()
        );
    }
    let is_chosen =
        |target: &&FirmwareTarget| wanted.is_empty() || wanted.iter().any(|want| target.is_called(want));
    Ok(all.iter().filter(is_chosen).collect())
}

/// `cross` reads `Cross.toml` only, unless it is told otherwise; ours has the lower-case name.
fn cross(triple: &str) -> Command {
    let mut command = Command::new("cross");
    command
        .current_dir(root())
        .env("CROSS_CONFIG", root().join("cross.toml"));
    command
        .args(["build", "--target", triple])
        .arg("--target-dir")
        .arg(build_dir());
    command
}

/// Prints the size of each binary beside its budget; false when one is over it.
fn check(target: &FirmwareTarget, profile: &str) -> anyhow::Result<bool> {
    let mut within = true;
    for (_, binary) in BUILT {
        let path = build_dir().join(&target.triple).join(profile).join(binary);
        let size_bytes = check_static(&path)?;
        let budget_bytes = target.budget(binary)?;
        within &= size_bytes <= budget_bytes;
        let verdict = if size_bytes <= budget_bytes {
            "within"
        } else {
            "OVER"
        };
        println!(
            "{}: {binary} {size_bytes} bytes, {verdict} its budget of {budget_bytes}",
            target.name
        );
    }
    Ok(within)
}

fn check_static(path: &Path) -> anyhow::Result<u64> {
    let bytes = fs::read(path).with_context(|| format!("the build made no {}", path.display()))?;
    ensure!(
        elf::is_static(&bytes)?,
        "{} needs a dynamic loader",
        path.display()
    );
    Ok(bytes.len().try_into().expect("a file's length fits 64 bits"))
}

/// `first` before everything that is on the path already.
fn path_with(first: &[PathBuf]) -> anyhow::Result<std::ffi::OsString> {
    let path = env::var_os("PATH").unwrap_or_default();
    Ok(env::join_paths(
        first.iter().cloned().chain(env::split_paths(&path)),
    )?)
}
