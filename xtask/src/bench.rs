//! `cargo xtask bench`: builds a benchmark with the profile `release`, and runs it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use crate::repository::{cargo, run};

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// Evaluations of the 120 shapes of the original's benchmark, its example, and single placements, on one core
    Scheduler(Scheduler),
}

#[derive(Debug, Args)]
struct Scheduler {
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
pub(crate) fn run_task(options: &Options) -> anyhow::Result<ExitCode> {
    let Bench::Scheduler(scheduler) = &options.bench;
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
    command.args([
        "--millis",
        &scheduler.millis.to_string(),
        "--only",
        &scheduler.only,
    ]);
    if let Some(path) = &scheduler.baseline {
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
