//! `cargo xtask bench coordinator`: a real coordinator with its real store, driven over HTTP on loopback.
//!
//! Each file owns one noun. The coordinator is a release build, and so is the load process whose nodes are connected
//! to it. Clients, nodes and coordinator share this computer's processors: on a small one its figures are theirs, too.

mod clients;
mod connection;
mod figure;
mod jobs;
mod placements;
mod registrations;
mod server;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;

use crate::measure::build;
use figure::Figure;

/// Kilobytes of memory that a job may take.
const MEMORY_PER_JOB: f64 = 8.0;

/// Kilobytes of memory that an allocation may take.
const MEMORY_PER_ALLOCATION: f64 = 2.0;

/// What to measure.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Seconds of registrations at each number of connections
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Jobs that are placed
    #[arg(long, default_value_t = 1_000)]
    jobs: usize,
    /// Groups of each job, one run after the other: `10,100` takes long
    #[arg(long, value_delimiter = ',', default_value = "10")]
    groups: Vec<usize>,
    /// Simulated nodes; a tenth of them fails half way
    #[arg(long, default_value_t = 10_000)]
    nodes: usize,
    /// Only `registrations` or `placements`
    #[arg(long, value_name = "PART")]
    only: Option<String>,
    /// Also write the figures to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Measure the binaries that are there already
    #[arg(long)]
    no_build: bool,
}

/// How much is done.
struct Size {
    /// How long clients register jobs, at each number of connections.
    window: Duration,
    /// Jobs that are placed.
    jobs: usize,
    /// Groups of each, one run after the other.
    groups: Vec<usize>,
    /// Nodes on which they are placed.
    nodes: usize,
    /// How many of them fail half way.
    failing: usize,
}

/// Runs the subcommand.
pub(super) fn run_task(options: &Options) -> anyhow::Result<ExitCode> {
    if std::env::var_os(build::BINARIES).is_none() {
        const BUILT: [build::Built; 2] = [
            ("holdfast-coordinator", "holdfast-coordinator", "release"),
            ("holdfast-tests", "holdfast-load", "release"),
        ];
        return build::run_again(&BUILT, options.no_build);
    }
    let size = Size {
        window: Duration::from_secs(options.seconds),
        jobs: options.jobs,
        groups: options.groups.clone(),
        nodes: options.nodes,
        failing: options.nodes / 10,
    };
    let figures = measure(&size, options.only.as_deref().unwrap_or_default())?;
    println!("{}", figure::table(&figures));
    if let Some(file) = &options.json {
        let json: Vec<_> = figures.iter().map(Figure::json).collect();
        fs::write(file, serde_json::to_vec_pretty(&json)?)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    let verdicts: Vec<bool> = figures.iter().filter_map(Figure::is_met).collect();
    let met = verdicts.iter().filter(|met| **met).count();
    println!("{met} of {} targets met", verdicts.len());
    Ok(if met == verdicts.len() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Measures what belongs to `only`, and says each figure as soon as it is known.
fn measure(size: &Size, only: &str) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    let mut add = |part: Vec<Figure>| {
        part.iter().for_each(|figure| eprintln!("{}", figure.line()));
        figures.extend(part);
    };
    if "registrations".contains(only) {
        add(registrations::measure(size)?);
    }
    if "placements".contains(only) {
        for groups in &size.groups {
            add(placements::measure(size, *groups)?);
        }
    }
    Ok(figures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_run_measures_every_figure() {
        let size = Size {
            window: Duration::from_millis(300),
            jobs: 8,
            groups: vec![2],
            nodes: 20,
            failing: 5,
        };
        let figures = measure(&size, "").unwrap();
        assert_eq!(figures.len(), 16);
        for figure in figures {
            let is_memory = figure.unit == "KB";
            assert!(
                figure.ours.is_finite() && (is_memory || figure.ours > 0.0),
                "{}",
                figure.line()
            );
        }
    }
}
