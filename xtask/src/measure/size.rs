//! How large the agent is that is flashed.

use std::fs;

use holdfast_tests::process::binary;

use super::Options;
use super::row::Row;

/// The agent's binary for this computer, as the profile for boxes makes it.
pub(super) fn measure(_: &Options) -> anyhow::Result<Vec<Row>> {
    let bytes = fs::metadata(binary("holdfast-agent")?)?.len();
    Ok(vec![Row {
        name: "size",
        title: "agent binary, stripped, TLS included",
        unit: "MB",
        ours: bytes as f64 / 1e6,
        target: 5.0,
        peer: Some((8.9, "Ankaios")),
        note: "x86_64, profile edge; the boxes' own by `cargo xtask cross`".into(),
    }])
}
