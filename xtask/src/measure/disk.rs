//! What an agent writes to its box's disk.

use std::time::Duration;

use holdfast_tests::usage::written_bytes;
use holdfast_tests::{Agent, Coordinator, Fleet};

use super::Options;
use super::jobs::{containers, idle, kill, purge, running, site, sleeping, submit, until};
use super::row::Row;

/// What begins with a start has ended.
const SETTLE: Duration = Duration::from_secs(10);

/// Containers of the job.
const CONTAINERS: usize = 10;

/// What the kernel counts as written by the agent (`write_bytes` of `/proc/PID/io`): its store, task directories and log
/// files. A change of state is a container that ends, and one that runs again; a placement, which also makes the
/// allocation's directories, stands in the note.
pub(super) fn measure(options: &Options) -> anyhow::Result<Vec<Row>> {
    let window = Duration::from_secs(if options.quick { 30 } else { 180 });
    let fleet = Fleet::start()?;
    let (coordinator, agent) = site(&fleet)?;
    let pid = agent.pid()?;
    idle(SETTLE);
    let before = written_bytes(pid)?;
    idle(window);
    let idle_bytes = written_bytes(pid)? - before;
    let before = written_bytes(pid)?;
    submit(&coordinator, &containers("ten", CONTAINERS))?;
    until("the containers to run", || {
        Ok(running(&coordinator, "ten")? == CONTAINERS)
    })?;
    idle(SETTLE);
    let placed = written_bytes(pid)?;
    let changes = restart_each(&coordinator, &agent)?;
    let changed = written_bytes(pid)?;
    purge(&coordinator, &agent, "ten")?;
    idle(SETTLE);
    let stopped = written_bytes(pid)?;
    let each = |bytes: u64| bytes as f64 / CONTAINERS as f64 / 1000.0;
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
            ours: (changed - placed) as f64 / changes as f64 / 1000.0,
            target: 9.0,
            peer: None,
            note: format!(
                "{changes} changes: a container killed and running again, one after the other; placing one with its \
                 directories {:.0} KB, stopping and removing it {:.0} KB",
                each(placed - before),
                each(stopped - changed)
            ),
        },
    ])
}

/// Kills every container once, each after the last one is back. Answers how many changes of state that was.
fn restart_each(coordinator: &Coordinator, agent: &Agent) -> anyhow::Result<usize> {
    let victims = sleeping(agent);
    for victim in &victims {
        kill(*victim)?;
        until("the container to run again", || {
            let now = sleeping(agent);
            Ok(
                now.len() == CONTAINERS
                    && !now.contains(victim)
                    && running(coordinator, "ten")? == CONTAINERS,
            )
        })?;
    }
    // The last reports are under way.
    idle(SETTLE);
    Ok(victims.len() * 2)
}
