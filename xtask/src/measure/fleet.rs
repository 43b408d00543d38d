//! Ten thousand nodes at once: how long until they are in, and what each of them costs the coordinator.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::ensure;
use holdfast_tests::load::{Load, LoadPlan};
use holdfast_tests::{Coordinator, CoordinatorPlan, Fleet, Machine};

use super::jobs::{PATIENCE, everywhere, idle, running, submit};
use super::row::Row;
use super::{KEEP_ALIVE_SECONDS, Options};
use holdfast_tests::usage::pss_bytes;

/// How many nodes there are.
const NODES: usize = 10_000;

/// What comes with so many arrivals has ended.
const SETTLE: Duration = Duration::from_secs(20);

/// A load process connects all nodes at once, each with the agent's own core. First without any job, for the memory of
/// an idle node; then again, to a new coordinator that has a job for every node.
pub(super) fn measure(_: &Options) -> anyhow::Result<Vec<Row>> {
    Ok(vec![storm()?, memory()?])
}

fn storm() -> anyhow::Result<Row> {
    let fleet = Fleet::start()?;
    let coordinator = Coordinator::start(&fleet, CoordinatorPlan::default())?;
    submit(&coordinator, &everywhere("all", ""))?;
    let (_machine, load) = crowd(&fleet, &coordinator)?;
    let connected = load.await_all("connected", PATIENCE, |figures| figures.connected)?;
    let registered = load.await_all("registered", PATIENCE, |figures| figures.registered)?;
    let assigned = load.await_all("assigned", PATIENCE, |figures| figures.assigned)?;
    let start = Instant::now();
    while running(&coordinator, "all")? < NODES {
        ensure!(
            start.elapsed() < PATIENCE,
            "the coordinator does not see all running"
        );
    }
    Ok(Row {
        name: "fleet",
        title: "10,000 nodes at once, registered and assigned",
        unit: "s",
        ours: registered.max(assigned).as_secs_f64(),
        target: 10.0,
        peer: None,
        note: format!(
            "one load process with real connections: connected {:.1} s, registered {:.1} s, assigned {:.1} s; {} connections",
            connected.as_secs_f64(),
            registered.as_secs_f64(),
            assigned.as_secs_f64(),
            load.figures().connections
        ),
    })
}

fn memory() -> anyhow::Result<Row> {
    let fleet = Fleet::start()?;
    let coordinator = Coordinator::start(&fleet, CoordinatorPlan::default())?;
    let pid = coordinator.pid()?;
    idle(Duration::from_secs(2));
    let before = pss_bytes(pid)?;
    let (_machine, load) = crowd(&fleet, &coordinator)?;
    load.await_all("registered", PATIENCE, |figures| figures.registered)?;
    idle(SETTLE);
    let after = pss_bytes(pid)?;
    ensure!(
        load.figures().connected == NODES,
        "some have lost their connection: {:?}",
        load.figures()
    );
    Ok(Row {
        name: "memory per node",
        title: "coordinator memory per idle node, all in",
        unit: "KB",
        ours: (after - before) as f64 / NODES as f64 / 1000.0,
        target: 15.0,
        peer: Some((39.9, "Ankaios")),
        note: format!(
            "PSS at 10,000 less PSS at 0 ({:.1} and {:.1} MB): connection, session, node, store and indexes",
            after as f64 / 1e6,
            before as f64 / 1e6
        ),
    })
}

/// The load process, and its machine, which goes when it is let go of.
fn crowd(fleet: &Fleet, coordinator: &Coordinator) -> anyhow::Result<(Machine, Load)> {
    let machine = fleet.machine("crowd")?;
    let load = Load::start_on(
        &machine,
        &LoadPlan {
            broker: SocketAddr::from((coordinator.http().ip(), 1883)),
            nodes: NODES,
            keep_alive: Duration::from_secs(KEEP_ALIVE_SECONDS),
            seed: 1,
        },
    )?;
    Ok((machine, load))
}
