//! How soon a container that was killed runs again.

use std::collections::BTreeSet;
use std::time::Instant;

use anyhow::Context as _;
use holdfast_tests::{Agent, Fleet};

use super::Options;
use super::jobs::{containers, running, site, submit, until};
use super::row::{Row, median, range};
use holdfast_tests::usage::descendants;

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

/// The processes of the tasks: what `conmon` is the parent of once the container's own program runs.
fn sleeping(agent: &Agent) -> BTreeSet<u32> {
    let all = descendants(agent.machine.pid(), "sleep");
    let in_container = |pid: &u32| {
        let args = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        args.contains("100000")
    };
    all.into_iter().filter(in_container).collect()
}

fn kill(pid: u32) -> anyhow::Result<()> {
    let pid = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw)
        .context("no such process id")?;
    rustix::process::kill_process(pid, rustix::process::Signal::KILL)?;
    Ok(())
}
