//! What an agent writes to its box's disk.

use std::time::Duration;

use holdfast_tests::Fleet;

use super::Options;
use super::jobs::{containers, idle, purge, running, site, submit, until};
use super::row::Row;
use holdfast_tests::usage::written_bytes;

/// What begins with a start has ended.
const SETTLE: Duration = Duration::from_secs(10);

/// Allocations whose changes are counted.
const ALLOCATIONS: usize = 10;

/// Changes of state that each of them goes through: pending, running, complete.
const CHANGES: usize = 3;

/// What the kernel counts as written by the agent (`write_bytes` of `/proc/PID/io`): its store and task directories.
pub(super) fn measure(options: &Options) -> anyhow::Result<Vec<Row>> {
    let window = Duration::from_secs(if options.quick { 30 } else { 180 });
    let fleet = Fleet::start()?;
    let (coordinator, agent) = site(&fleet)?;
    let pid = agent.process_id()?;
    idle(SETTLE);
    let before = written_bytes(pid)?;
    idle(window);
    let idle_bytes = written_bytes(pid)? - before;
    // The first job alone makes folders and files that later ones find there.
    let before = written_bytes(pid)?;
    submit(&coordinator, &containers("ten", ALLOCATIONS))?;
    until("the containers to run", || {
        Ok(running(&coordinator, "ten")? == ALLOCATIONS)
    })?;
    purge(&coordinator, &agent, "ten")?;
    idle(SETTLE);
    let changes = (ALLOCATIONS * CHANGES) as f64;
    let per_change = (written_bytes(pid)? - before) as f64 / changes;
    Ok(vec![
        Row {
            name: "disk idle",
            title: "bytes written to disk per idle hour",
            unit: "B",
            ours: idle_bytes as f64 * 3600.0 / window.as_secs_f64(),
            target: 0.0,
            peer: Some((5_200_000.0, "Nomad")),
            note: format!("counted over {} s and scaled", window.as_secs()),
        },
        Row {
            name: "disk change",
            title: "bytes written per allocation state change",
            unit: "KB",
            ours: per_change / 1000.0,
            target: 9.0,
            peer: None,
            note: format!("{ALLOCATIONS} containers pending, running, complete: {changes} changes"),
        },
    ])
}
