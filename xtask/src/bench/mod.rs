//! `cargo xtask bench`: what the product does in a release build, beside what the original does.

mod coordinator;
mod scheduler;

use std::process::ExitCode;

use clap::{Args, Subcommand};

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// Evaluations of the 120 shapes of the original's benchmark, its example, and single placements, on one core
    Scheduler(scheduler::Options),
    /// Durable registrations, and jobs placed on ten thousand simulated nodes, by a real coordinator with its real store
    Coordinator(coordinator::Options),
}

/// Runs the subcommand.
pub(crate) fn run_task(options: &Options) -> anyhow::Result<ExitCode> {
    match &options.bench {
        Bench::Scheduler(options) => scheduler::run_task(options),
        Bench::Coordinator(options) => coordinator::run_task(options),
    }
}
