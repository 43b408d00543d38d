//! The binaries of this workspace, and what all of them are started with. The flags that each takes are known in
//! `coordinator` and `agent` only.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};

/// Names the folder of the binaries, when they are not those that stand beside the running test or task.
const BINARIES: &str = "HOLDFAST_BINARIES";

/// A binary of this workspace, from the folder that holds the running test or task.
///
/// # Errors
/// When it has not been built.
pub fn binary(name: &str) -> anyhow::Result<PathBuf> {
    let own = env::current_exe()?;
    let beside = || {
        own.ancestors()
            .skip(1)
            .find(|dir| !dir.ends_with("deps") && !dir.ends_with("examples"))
            .map(PathBuf::from)
    };
    let chosen = env::var_os(BINARIES).map(PathBuf::from);
    let dir = chosen.or_else(beside).context("a program stands in a folder")?;
    let path = dir.join(name);
    ensure!(
        path.exists(),
        "{} is not built: run `cargo build --workspace --bins`",
        path.display()
    );
    Ok(path)
}

/// A duration as the settings table reads it.
pub(crate) fn seconds(duration: Duration) -> String {
    format!("{}ms", duration.as_millis())
}

/// Sets the wall clock that a program sees off by this much; its monotonic clock stays true.
pub(crate) fn pretend(command: &mut Command, offset: &str) -> anyhow::Result<()> {
    let library = Path::new("/usr/lib")
        .join(format!("{}-linux-gnu", env::consts::ARCH))
        .join("faketime/libfaketime.so.1");
    ensure!(
        library.exists(),
        "faketime is not installed: run `cargo xtask setup`"
    );
    command.env("LD_PRELOAD", library).env("FAKETIME", offset);
    command
        .env("DONT_FAKE_MONOTONIC", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    Ok(())
}

/// Lets the log level of the test run through to the binaries.
pub(crate) fn log_level(command: &mut Command) {
    for name in ["HOLDFAST_LOG_LEVEL", "RUST_LOG", "RUST_BACKTRACE"] {
        if let Some(value) = env::var_os(name) {
            command.env(name, value);
        }
    }
}
