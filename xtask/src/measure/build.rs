//! The binaries that are measured: built as they are shipped, put into one folder, and measured by a second run of this
//! very task, which is told where they are.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::Context as _;

use crate::cross::lean;
use crate::repository::{cargo, run, target_dir};

/// Tells the harness where the binaries are (`tests/src/process.rs`).
pub(crate) const BINARIES: &str = "HOLDFAST_BINARIES";

/// Package, binary, profile.
pub(crate) type Built = (&'static str, &'static str, &'static str);

/// The agent as it is flashed.
const AGENT: Built = ("holdfast-agent", "holdfast-agent", "edge");

/// What there is to measure of the agent alone.
pub(super) const ALONE: &[Built] = &[AGENT];

/// What there is to measure at work.
pub(super) const SITE: &[Built] = &[
    AGENT,
    ("holdfast-coordinator", "holdfast-coordinator", "release"),
    ("edgectl", "edgectl", "release"),
    ("holdfast-tests", "holdfast-load", "release"),
];

/// Builds what is missing or old, unless told not to, and measures.
pub(crate) fn run_again(built: &[Built], no_build: bool) -> anyhow::Result<ExitCode> {
    let dir = target_dir().join("measure");
    fs::create_dir_all(&dir)?;
    if !no_build {
        build(&dir, built)?;
    }
    let own = std::env::current_exe().context("this program has a path")?;
    let status = Command::new(own)
        .args(std::env::args_os().skip(1))
        .env(BINARIES, &dir)
        .status()
        .context("cannot start this program again")?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn build(dir: &std::path::Path, built: &[Built]) -> anyhow::Result<()> {
    for profile in ["release", "edge"] {
        let of_profile = built.iter().filter(|(_, _, it)| *it == profile);
        if of_profile.clone().next().is_none() {
            continue;
        }
        let packages = of_profile
            .clone()
            .flat_map(|(package, ..)| ["--package", package]);
        eprintln!("building with profile {profile}");
        let mut command = cargo();
        command
            .args(["build", "--quiet", "--locked", "--profile", profile, "--bins"])
            .args(packages)
            .arg("--target-dir")
            .arg(builds());
        if profile == "edge" {
            // Apart from what the other profile needs: with a target, flags do not reach build scripts.
            command.args(["--target", TRIPLE]).args(lean(TRIPLE)?);
        }
        run(&mut command)?;
        for (_, binary, _) in of_profile {
            let file = if profile == "edge" {
                builds().join(TRIPLE).join(profile).join(binary)
            } else {
                builds().join(profile).join(binary)
            };
            let place = dir.join(binary);
            fs::copy(&file, &place).with_context(|| format!("cannot copy {}", file.display()))?;
        }
    }
    Ok(())
}

/// The computer that measures.
pub(crate) const TRIPLE: &str = "x86_64-unknown-linux-gnu";

fn builds() -> PathBuf {
    target_dir()
}
