//! Compilers for other boxes: rustup's standard library where it is installed, else Debian's compiler and sources.
//!
//! zig brings the C library and the C compiler for every target, cargo-zigbuild drives it. What is fetched goes to
//! the user's cache once and serves every checkout; nothing is installed on the machine.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context as _, ensure};

use super::{build_dir, path_with};
use crate::repository::{cache_dir, cargo, has_program, root, run};

/// Version of zig, as PyPI has it.
const ZIG: &str = "0.15.2";

/// Version of cargo-zigbuild.
const ZIGBUILD: &str = "0.24.1";

/// Debian's newest Rust, made for its web browsers, with the sources of the standard library.
const DEBIAN_PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];

/// Which Rust compiles.
#[derive(Debug)]
enum Rust {
    /// The one that started this task: it has the standard library for the target.
    Installed,
    /// Debian's, unpacked under this folder: the standard library is compiled along.
    Debian(PathBuf),
}

/// Everything a cross build needs.
#[derive(Debug)]
pub(crate) struct Toolchain {
    rust: Rust,
    zig: PathBuf,
    zigbuild: PathBuf,
}

impl Toolchain {
    /// Finds or fetches what is needed to build for `triple`.
    pub(crate) fn provide(triple: &str) -> anyhow::Result<Self> {
        let cache = cache_dir()?.join("toolchain");
        fs::create_dir_all(&cache)?;
        let rust = if has_standard_library(triple)? {
            Rust::Installed
        } else {
            Rust::Debian(debian_rust(&cache)?)
        };
        Ok(Self {
            rust,
            zig: zig(&cache)?,
            zigbuild: zigbuild(&cache)?,
        })
    }

    /// A build command for `triple`, to which packages and profile are added.
    pub(crate) fn command(&self, triple: &str) -> Command {
        let mut command = Command::new(self.zigbuild.join("bin/cargo-zigbuild"));
        command
            .current_dir(root())
            .env("CROSS_CONFIG", root().join("cross.toml"));
        command
            .args(["zigbuild", "--target", triple])
            .arg("--target-dir")
            .arg(build_dir());
        let mut path = vec![self.zig.clone()];
        if let Rust::Debian(usr) = &self.rust {
            path.push(usr.join("bin"));
            // rustup's variables would lead cargo back to rustup.
            command
                .env_remove("RUSTUP_TOOLCHAIN")
                .env("LD_LIBRARY_PATH", usr.join("lib/x86_64-linux-gnu"));
            for (variable, program) in [("CARGO", "cargo"), ("RUSTC", "rustc"), ("RUSTDOC", "rustdoc")] {
                command.env(variable, usr.join("bin").join(program));
            }
            // The standard library comes from source, which is still called unstable; its C start-up files come
            // from zig instead of from rustup's folder of them.
            command
                .env("RUSTC_BOOTSTRAP", "1")
                .arg("-Zbuild-std=std,panic_abort")
                .arg("--config");
            command.arg(format!(
                "target.{triple}.rustflags=[\"-Clink-self-contained=no\"]"
            ));
        }
        if let Ok(path) = path_with(&path) {
            command.env("PATH", path);
        }
        command
    }
}

fn has_standard_library(triple: &str) -> anyhow::Result<bool> {
    let output = Command::new("rustc")
        .args(["--print", "sysroot"])
        .output()
        .context("cannot start rustc")?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    Ok(sysroot.join("lib/rustlib").join(triple).join("lib").exists())
}

/// Runs `make` on an empty folder and puts it at `dir` once it is complete, so that a broken download is repeated.
fn once(dir: &Path, make: impl FnOnce(&Path) -> anyhow::Result<()>) -> anyhow::Result<PathBuf> {
    if dir.exists() {
        return Ok(dir.to_owned());
    }
    let partial = dir.with_extension("partial");
    if partial.exists() {
        fs::remove_dir_all(&partial)?;
    }
    fs::create_dir_all(&partial)?;
    make(&partial)?;
    fs::rename(&partial, dir)?;
    Ok(dir.to_owned())
}

fn debian_rust(cache: &Path) -> anyhow::Result<PathBuf> {
    let usable = cfg!(target_arch = "x86_64") && has_program("apt-get") && has_program("dpkg");
    ensure!(
        usable,
        "no standard library for this target: run `rustup target add TRIPLE` (Debian's is an alternative on x86_64)"
    );
    let dir = once(&cache.join("rustc-web"), |dir| {
        println!(
            "fetching Debian's {} into {}",
            DEBIAN_PACKAGES[0],
            cache.display()
        );
        let packages = packages_to_fetch()?;
        let debs = dir.join("debs");
        fs::create_dir(&debs)?;
        run(Command::new("apt-get")
            .arg("download")
            .args(&packages)
            .current_dir(&debs))?;
        for deb in fs::read_dir(&debs)? {
            run(Command::new("dpkg").arg("-x").arg(deb?.path()).arg(dir))?;
        }
        fs::remove_dir_all(&debs)?;
        Ok(())
    })?;
    Ok(dir.join("usr"))
}

/// What apt would install for the packages we want, beyond what is there.
fn packages_to_fetch() -> anyhow::Result<Vec<String>> {
    let mut simulate = Command::new("apt-get");
    simulate
        .args(["install", "--simulate", "--no-install-recommends"])
        .args(DEBIAN_PACKAGES);
    let output = simulate.output().context("cannot start apt-get")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.success(),
        "this distribution has no {}: run `rustup target add TRIPLE` instead",
        DEBIAN_PACKAGES[0]
    );
    let installed = text
        .lines()
        .filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next());
    Ok(installed.map(str::to_owned).collect())
}

fn zig(cache: &Path) -> anyhow::Result<PathBuf> {
    let dir = once(&cache.join(format!("zig-{ZIG}")), |dir| {
        println!("fetching zig {ZIG}");
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--target"])
            .arg(dir);
        run(pip.arg(format!("ziglang=={ZIG}"))).context("zig comes from PyPI and needs python3 with pip")
    })?;
    Ok(dir.join("ziglang"))
}

fn zigbuild(cache: &Path) -> anyhow::Result<PathBuf> {
    once(&cache.join(format!("cargo-zigbuild-{ZIGBUILD}")), |dir| {
        println!("building cargo-zigbuild {ZIGBUILD}");
        let mut install = cargo();
        install.args([
            "install",
            "cargo-zigbuild",
            "--quiet",
            "--locked",
            "--version",
            ZIGBUILD,
        ]);
        install
            .arg("--root")
            .arg(dir)
            .arg("--target-dir")
            .arg(env::temp_dir().join("cargo-zigbuild-build"));
        run(&mut install)
    })
}
