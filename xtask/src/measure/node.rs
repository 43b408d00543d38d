//! What an agent costs its box: memory idle and with ten containers, and processor time with ten containers.

use std::time::Duration;

use holdfast_tests::{Agent, Fleet};

use super::Options;
use super::jobs::{containers, idle, running, site, submit, until};
use super::row::Row;
use holdfast_tests::usage::{cpu_time, descendants, pss_bytes};

/// What begins with a start has ended.
const SETTLE: Duration = Duration::from_secs(20);

/// How long processor time is counted.
const WINDOW: Duration = Duration::from_secs(60);

const MIB: f64 = 1024.0 * 1024.0;

/// PSS is read from `smaps_rollup`, as Ankaios does. The agent's helper processes count: for containers it has none, as
/// it speaks to podman's service over its socket and runs no command. `conmon` and that service are podman's, are there
/// whoever starts the containers, and are not in the peers' figures either; they stand in the note.
pub(super) fn measure(_: &Options) -> anyhow::Result<Vec<Row>> {
    let fleet = Fleet::start()?;
    let (coordinator, agent) = site(&fleet)?;
    let pid = agent.pid()?;
    idle(SETTLE);
    let idle_pss = pss_bytes(pid)?;
    submit(&coordinator, &containers("ten", 10))?;
    until(
        "ten containers to run",
        || Ok(running(&coordinator, "ten")? == 10),
    )?;
    idle(SETTLE);
    let before = (cpu_time(pid)?, service_time(&agent)?);
    idle(WINDOW);
    let after = (cpu_time(pid)?, service_time(&agent)?);
    let percent = |spent: Duration| 100.0 * spent.as_secs_f64() / WINDOW.as_secs_f64();
    let busy_pss = pss_bytes(pid)?;
    let conmons = descendants(agent.machine.pid(), "conmon");
    let conmon_pss: u64 = conmons.iter().filter_map(|pid| pss_bytes(*pid).ok()).sum();
    let helpers = descendants(pid, "holdfast-agent").len();
    Ok(vec![
        Row {
            name: "pss idle",
            title: "agent PSS, idle",
            unit: "MiB",
            ours: idle_pss as f64 / MIB,
            target: 4.0,
            peer: Some((6.4, "Ankaios")),
            note: format!("{} s after its start", SETTLE.as_secs()),
        },
        Row {
            name: "pss 10",
            title: "agent PSS, 10 containers",
            unit: "MiB",
            ours: busy_pss as f64 / MIB,
            target: 5.0,
            peer: Some((6.9, "Ankaios")),
            note: format!(
                "agent and its {helpers} helper processes; podman's own {} conmon have {:.1} MiB more",
                conmons.len(),
                conmon_pss as f64 / MIB
            ),
        },
        Row {
            name: "cpu 10",
            title: "agent CPU over 60 s, 10 containers",
            unit: "%",
            ours: percent(after.0.saturating_sub(before.0)),
            target: 0.1,
            peer: Some((2.0, "Nomad")),
            note: format!(
                "children included; podman's service took {:.2} % more",
                percent(after.1.saturating_sub(before.1))
            ),
        },
    ])
}

/// Processor time of podman's service.
fn service_time(agent: &Agent) -> anyhow::Result<Duration> {
    descendants(agent.machine.pid(), "podman")
        .into_iter()
        .chain(agent.machine.podman_process_id())
        .map(cpu_time)
        .sum()
}
