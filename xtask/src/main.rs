//! `cargo xtask`: everything a developer or the continuous integration does with this repository, by one command each.
//!
//! Each subcommand owns one file. None of them knows how a part of the product works inside; they build, start,
//! measure and check.

mod bench;
mod bite;
mod conformance;
mod cross;
mod demo;
mod fuzz;
mod hot;
mod measure;
mod repository;
mod setup;
mod sim;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What there is to do.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    about = "Set-up, tests, demo, conformance and cross builds by one command each"
)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Install what the tests and the demo need from the distribution; does nothing when it is there
    Setup,
    /// Set up, build and run every test; further arguments go to `cargo test`
    Test(test::Options),
    /// Show a fleet that loses a node, gets it back, and survives a power cut without its coordinator
    Demo(demo::Options),
    /// Run vector files and print, per file, what passed and what failed
    Conformance(conformance::Options),
    /// Tell stories of faults to both cores, one from each seed, and check every invariant after every step
    Sim(sim::Options),
    /// Try damaged inputs on every parser that reads what others wrote
    Fuzz(fuzz::Options),
    /// Plant known bugs in a scratch copy, one at a time, and count the stories that the simulator needs to find each
    Bite(bite::Options),
    /// Run a benchmark in a release build, and print it beside what the original does
    Bench(bench::Options),
    /// Measure the figures that Holdfast promises, and print them beside their targets and the best peer's
    Measure(measure::Options),
    /// Watch an agent at work, and renew the list of functions that are linked side by side
    Hot,
    /// Build the agent and edgectl as static binaries for the boxes in firmware-targets/
    Cross(cross::Options),
}

fn main() -> ExitCode {
    let result = match Cli::parse().task {
        Task::Setup => setup::run_task(),
        Task::Test(options) => test::run_tests(&options),
        Task::Demo(options) => demo::run_demo(&options),
        Task::Conformance(options) => conformance::run(&options),
        Task::Sim(options) => sim::run_task(&options),
        Task::Fuzz(options) => fuzz::run_task(&options),
        Task::Bite(options) => bite::run_task(&options),
        Task::Bench(options) => bench::run_task(&options),
        Task::Measure(options) => measure::run_task(&options),
        Task::Hot => hot::run_task(),
        Task::Cross(options) => cross::run_task(&options),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
