//! `cargo xtask bench scheduler`: builds the core's benchmark with the profile `release`, and runs it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use crate::repository::{cargo, run};

/// What to measure.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// What the original needs for each shape, as JSON
    #[arg(long)]
    baseline: Option<PathBuf>,
    /// Only cases whose name contains this
    #[arg(long, default_value = "")]
    only: String,
    /// Milliseconds of processor time spent on each case
    #[arg(long, default_value_t = 300)]
    millis: u64,
}

/// Runs the subcommand.
pub(super) fn run_task(options: &Options) -> anyhow::Result<ExitCode> {
    let mut command = cargo();
    command.args([
        "bench",
        "--quiet",
        "--package",
        "holdfast-coordinator-core",
        "--bench",
        "scheduler",
        "--",
    ]);
    command.args(["--millis", &options.millis.to_string(), "--only", &options.only]);
    if let Some(path) = &options.baseline {
        command.arg("--baseline").arg(absolute(path)?);
    }
    run(&mut command)?;
    Ok(ExitCode::SUCCESS)
}

/// Cargo runs benchmarks in the folder of their package.
fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    path.canonicalize()
        .with_context(|| format!("cannot read {}", path.display()))
}
