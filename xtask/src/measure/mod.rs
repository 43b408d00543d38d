//! `cargo xtask measure`: the figures that Holdfast promises, measured on real binaries and printed beside the best peer's.
//!
//! Each file measures one noun and returns [`Row`]s; what a figure means, and what is counted, stands beside it. The
//! agent is built as it is flashed (profile `edge`), the coordinator as a release; both run in a fleet of the end-to-end
//! harness, with real podman and a real network. Times are those of this machine: compare the ratios.

pub(crate) mod build;
mod disk;
mod fleet;
mod gone;
pub(crate) mod jobs;
mod launch;
mod link;
mod node;
mod restart;
pub(crate) mod row;
mod size;
mod wire;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use clap::Args;

use crate::repository::is_root;
use crate::setup;
use row::Row;

/// The keep-alive of an agent whose operator says nothing, in seconds (`agent/src/config.rs`).
const KEEP_ALIVE_SECONDS: u64 = 120;

/// What is measured.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Only figures whose name contains this; may be repeated
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Also write the figures to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Shorter windows and cuts; every row that this touches says so
    #[arg(long)]
    quick: bool,
    /// Measure the binaries that are there already
    #[arg(long)]
    no_build: bool,
}

/// A part of the measurement: it may come to several figures, because they need the same fleet.
struct Part {
    /// What the names of its figures contain.
    figures: &'static [&'static str],
    /// What is built for it.
    built: &'static [build::Built],
    measure: fn(&Options) -> anyhow::Result<Vec<Row>>,
}

/// In the order in which they are printed.
const PARTS: [Part; 9] = [
    Part {
        figures: &["size"],
        built: build::ALONE,
        measure: size::measure,
    },
    Part {
        figures: &["pss idle", "pss 10", "cpu 10"],
        built: build::SITE,
        measure: node::measure,
    },
    Part {
        figures: &["wire idle"],
        built: build::SITE,
        measure: wire::measure,
    },
    Part {
        figures: &["disk idle", "disk change"],
        built: build::SITE,
        measure: disk::measure,
    },
    Part {
        figures: &["run 1", "run 10", "run 50"],
        built: build::SITE,
        measure: launch::measure,
    },
    Part {
        figures: &["restart"],
        built: build::SITE,
        measure: restart::measure,
    },
    Part {
        figures: &["link back"],
        built: build::SITE,
        measure: link::measure,
    },
    Part {
        figures: &["gone 1", "gone 5000"],
        built: build::SITE,
        measure: gone::measure,
    },
    Part {
        figures: &["fleet", "memory per node"],
        built: build::SITE,
        measure: fleet::measure,
    },
];

/// Runs the subcommand.
pub(crate) fn run_task(options: &Options) -> anyhow::Result<ExitCode> {
    ensure!(is_root(), "network namespaces need root: run it through sudo");
    for name in &options.only {
        let known = PARTS
            .iter()
            .any(|part| part.figures.iter().any(|figure| figure.contains(name.as_str())));
        ensure!(known, "no figure is called {name}; there are: {}", names());
    }
    let is_asked_for = |part: &&Part| part.figures.iter().any(|figure| is_wanted(options, figure));
    let parts: Vec<&Part> = PARTS.iter().filter(is_asked_for).collect();
    if std::env::var_os(build::BINARIES).is_none() {
        setup::run_quietly()?;
        let most = parts
            .iter()
            .map(|part| part.built)
            .max_by_key(|built| built.len());
        return build::run_again(most.unwrap_or_default(), options.no_build);
    }
    let mut rows = Vec::new();
    for part in parts {
        eprintln!("measuring {}", part.figures.join(", "));
        let measured = (part.measure)(options).with_context(|| part.figures.join(", "))?;
        for row in measured.into_iter().filter(|row| is_wanted(options, row.name)) {
            eprintln!("  {}", row.line());
            rows.push(row);
        }
    }
    println!("{}", row::table(&rows));
    if let Some(file) = &options.json {
        let json: Vec<_> = rows.iter().map(Row::json).collect();
        fs::write(file, serde_json::to_vec_pretty(&json)?)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    let met = rows.iter().filter(|row| row.is_met()).count();
    println!("{met} of {} targets met", rows.len());
    Ok(if met == rows.len() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn is_wanted(options: &Options, figure: &str) -> bool {
    options.only.is_empty() || options.only.iter().any(|name| figure.contains(name.as_str()))
}

fn names() -> String {
    let all = PARTS.iter().flat_map(|part| part.figures);
    all.copied().collect::<Vec<_>>().join(", ")
}
