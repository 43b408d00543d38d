//! How soon a container that was killed runs again.

use std::time::Instant;

use anyhow::Context as _;
use holdfast_tests::Fleet;

use super::Options;
use super::jobs::{containers, kill, running, site, sleeping, submit, until};
use super::row::{Row, median, range};

/// Kills a container's process from outside; until another process of the task runs in a container. Restart delay 0.
pub(super) fn measure(options: &Options) -> anyhow::Result<Vec<Row>> {
    let rounds = if options.quick { 3 } else { 10 };
    let fleet = Fleet::start()?;
    let (coordinator, agent) = site(&fleet)?;
    submit(&coordinator, &containers("one", 1))?;
    until("the container to run", || Ok(running(&coordinator, "one")? == 1))?;
    let mut times = Vec::new();
    for _ in 0..rounds {
        let before = sleeping(&agent);
        let victim = *before.first().context("no container runs")?;
        let start = Instant::now();
        kill(victim)?;
        until("another process", || {
            Ok(sleeping(&agent).iter().any(|pid| !before.contains(pid)))
        })?;
        times.push(start.elapsed().as_secs_f64());
        until("the coordinator to be told", || {
            Ok(running(&coordinator, "one")? == 1)
        })?;
    }
    let note = format!("median of {rounds} ({})", range(&times));
    Ok(vec![Row {
        name: "restart",
        title: "container killed to running again, delay 0",
        unit: "s",
        ours: median(times),
        target: 0.3,
        peer: Some((1.5, "Ankaios")),
        note,
    }])
}
