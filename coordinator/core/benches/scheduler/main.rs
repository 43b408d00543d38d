//! How fast the scheduler is: evaluations of the original's own benchmark shapes, on one core.
//!
//! Measured is one evaluation from its creation to the last record: reconciling, finding a place for every allocation,
//! making the records with their reports, and applying them to the state. Times are processor time of the one thread,
//! and the median of many evaluations, each on the same state. Allocated bytes are counted in an
//! evaluation of their own.

mod measure;
mod region;
mod table;

use std::path::PathBuf;

use anyhow::Context as _;

use cap::Cap;
use clap::Parser;
use mimalloc::MiMalloc;
use region::{Shape, shapes};
use table::{Baseline, Table};

/// The one that the coordinator is linked with, and a count of what it gives out.
#[global_allocator]
static ALLOCATOR: Cap<MiMalloc> = Cap::new(MiMalloc, usize::MAX);

/// What to measure.
#[derive(Debug, Parser)]
struct Options {
    /// What the original needs for each shape, as JSON
    #[arg(long)]
    baseline: Option<PathBuf>,
    /// Only cases whose name contains this
    #[arg(long, default_value = "")]
    only: String,
    /// Milliseconds of processor time spent on each case
    #[arg(long, default_value_t = 300)]
    millis: u64,
    /// Cargo says so
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let baseline = match &options.baseline {
        Some(path) => Baseline::read(path).with_context(|| format!("cannot use {}", path.display()))?,
        None => Baseline::default(),
    };
    let cases: Vec<Shape> = shapes()
        .into_iter()
        .filter(|shape| shape.name().contains(&options.only))
        .collect();
    let mut table = Table::begin(baseline);
    for shape in cases {
        table.add(&shape, &measure::measure(&shape, options.millis))?;
    }
    table.end();
    Ok(())
}
