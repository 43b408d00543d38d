//! What is printed: one line for each case, and at the end what they come to.

use std::path::Path;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::measure::Measured;
use super::region::{Kind, Shape};

/// What the original needs.
#[derive(Debug, Default)]
pub(super) struct Baseline {
    cases: Vec<Value>,
}

impl Baseline {
    /// Reads a list of `{nodes, racks, allocs, spread, ns_per_op, placeable}`.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let cases =
            serde_json::from_str(&std::fs::read_to_string(path)?).context("it is no list of cases")?;
        Ok(Self { cases })
    }

    /// Nanoseconds per evaluation and number of placements of the same case.
    fn of(&self, shape: &Shape) -> Option<(f64, u64)> {
        let Kind::Service { spread } = shape.kind else {
            return None;
        };
        let case = self.cases.iter().find(|case| {
            case["nodes"] == shape.nodes
                && case["racks"] == shape.racks
                && case["allocs"] == shape.allocs
                && case["spread"] == spread
        })?;
        Some((case["ns_per_op"].as_f64()?, case["placeable"].as_u64()?))
    }
}

/// One line of the table, kept for the end.
#[derive(Debug)]
struct Row {
    shape: Shape,
    per_second: f64,
    ratio: Option<f64>,
}

/// The table.
#[derive(Debug)]
pub(super) struct Table {
    baseline: Baseline,
    rows: Vec<Row>,
}

impl Table {
    pub(super) fn begin(baseline: Baseline) -> Self {
        println!(
            "{:<52} {:>8} {:>10} {:>12} {:>9} {:>10} {:>8}",
            "case", "placed", "evals/s", "placements/s", "ns/place", "bytes/pl.", "ratio"
        );
        Self {
            baseline,
            rows: Vec::new(),
        }
    }

    /// Prints a case.
    ///
    /// # Errors
    /// When it places more or less than the original does.
    pub(super) fn add(&mut self, shape: &Shape, measured: &Measured) -> anyhow::Result<()> {
        let placed = measured.placed as f64;
        let per_second = placed * 1e9 / measured.nanos;
        let baseline = self.baseline.of(shape);
        if let Some((_, placeable)) = baseline {
            ensure!(
                placeable == measured.placed as u64,
                "{}: {placed} placed, the original places {placeable}",
                shape.name()
            );
        }
        let ratio = baseline.map(|(nanos, _)| nanos / measured.nanos);
        println!(
            "{:<52} {placed:>8} {:>10.0} {per_second:>12.0} {:>9.0} {:>10.0} {:>8}",
            shape.name(),
            1e9 / measured.nanos,
            measured.nanos / placed,
            measured.bytes / placed,
            ratio.map(|ratio| format!("{ratio:.1}")).unwrap_or_default(),
        );
        self.rows.push(Row {
            shape: *shape,
            per_second,
            ratio,
        });
        Ok(())
    }

    /// Prints what the cases come to.
    pub(super) fn end(&self) {
        for (name, spread) in [("without spread", false), ("with spread", true)] {
            let of_kind = |row: &&Row| row.shape.kind == (Kind::Service { spread });
            self.summary(name, of_kind);
            for nodes in [500, 1000, 5000, 10_000] {
                self.summary(&format!("  of these, {nodes} nodes"), |row| {
                    of_kind(row) && row.shape.nodes == nodes
                });
            }
        }
        let lowest = self
            .rows
            .iter()
            .filter_map(|row| Some((row.ratio?, row.shape.name())));
        if let Some((ratio, name)) = lowest.min_by(|a, b| a.0.total_cmp(&b.0)) {
            println!("lowest ratio: {ratio:.1} ({name})");
        }
    }

    fn summary(&self, name: &str, chosen: impl Fn(&&Row) -> bool) {
        let rows: Vec<&Row> = self.rows.iter().filter(&chosen).collect();
        let Some(rate) = geometric_mean(rows.iter().map(|row| row.per_second)) else {
            return;
        };
        let ratio = geometric_mean(rows.iter().filter_map(|row| row.ratio));
        let ratio = ratio
            .map(|ratio| format!(", {ratio:.1} times the original"))
            .unwrap_or_default();
        println!(
            "{name}: {rate:.0} placements/s{ratio} (geometric mean of {})",
            rows.len()
        );
    }
}

fn geometric_mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let logs: Vec<f64> = values.map(f64::ln).collect();
    (!logs.is_empty()).then(|| (logs.iter().sum::<f64>() / logs.len() as f64).exp())
}
