//! How soon a node that has vanished is noticed, whatever the size of the fleet.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use holdfast_tests::load::{Load, LoadPlan};
use holdfast_tests::{Agent, AgentPlan, Coordinator, Fleet};

use super::Options;
use super::jobs::{PATIENCE, allocations, coordinator_plan, idle, until};
use super::row::{Row, median, range};

/// The keep-alive of the node that vanishes, and of the others.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// One and a half keep-alives, and five seconds.
const TARGET: f64 = 20.0;

/// Clients beside the one that vanishes.
const CROWD: usize = 5_000;

/// Drops every packet of a node that runs something which may outlive that, and waits until the API shows its allocation
/// `unknown`; first alone, then among the connections of a load process.
pub(super) fn measure(options: &Options) -> anyhow::Result<Vec<Row>> {
    let rounds = if options.quick { 1 } else { 3 };
    let fleet = Fleet::start()?;
    let coordinator = Coordinator::start(&fleet, coordinator_plan())?;
    let plan = AgentPlan {
        keep_alive: KEEP_ALIVE,
        ..AgentPlan::new("box").datacenter("away")
    };
    let agent = Agent::start(&fleet, &coordinator, plan)?;
    agent.await_status(&coordinator, "ready", PATIENCE)?;
    super::jobs::submit(&coordinator, JOB)?;
    let alone = vanish(&coordinator, &agent, rounds)?;
    let machine = fleet.machine("crowd")?;
    let broker = coordinator.http().ip();
    let load = Load::start_on(
        &machine,
        &LoadPlan {
            broker: SocketAddr::from((broker, 1883)),
            nodes: CROWD,
            keep_alive: KEEP_ALIVE,
            seed: 1,
        },
    )?;
    load.await_all("registered", PATIENCE, |figures| figures.registered)?;
    let crowded = vanish(&coordinator, &agent, rounds)?;
    let connected = load.figures().connected;
    Ok(vec![
        row("gone 1", "node gone to `unknown`, 1 client", alone, 25.0, 1),
        row(
            "gone 5000",
            "node gone to `unknown`, 5,000 clients more",
            crowded,
            160.0,
            connected,
        ),
    ])
}

fn row(name: &'static str, title: &'static str, times: Vec<f64>, peer: f64, clients: usize) -> Row {
    Row {
        name,
        title,
        unit: "s",
        target: TARGET,
        peer: Some((peer, "Nomad")),
        note: format!(
            "median of {} ({}), keep-alive 10 s, {clients} clients; target 1.5 × keep-alive + 5 s",
            times.len(),
            range(&times)
        ),
        ours: median(times),
    }
}

fn vanish(coordinator: &Coordinator, agent: &Agent, rounds: usize) -> anyhow::Result<Vec<f64>> {
    let mut times = Vec::new();
    for round in 0..rounds {
        until("the allocation to run", || Ok(status(coordinator)? == "running"))?;
        // Not always at the same point between two pings.
        idle(KEEP_ALIVE.mul_f64(0.3 * round as f64));
        // The other way round first: what the node still says would be a sign of life.
        coordinator.machine.cut(&agent.machine)?;
        agent.machine.cut(&coordinator.machine)?;
        let cut = Instant::now();
        until("the allocation to be unknown", || {
            Ok(status(coordinator)? == "unknown")
        })?;
        times.push(cut.elapsed().as_secs_f64());
        coordinator.machine.heal(&agent.machine)?;
        agent.machine.heal(&coordinator.machine)?;
    }
    Ok(times)
}

fn status(coordinator: &Coordinator) -> anyhow::Result<String> {
    let all = allocations(coordinator, "away")?;
    let first = all.first().context("no allocation")?;
    Ok(first["ClientStatus"].as_str().unwrap_or_default().to_owned())
}

/// Runs on the one node that vanishes, and nowhere else.
const JOB: &str = r#"job "away" {
  datacenters = ["away"]
  group "g" {
    disconnect {
      lost_after = "1h"
      replace    = false
    }
    task "t" {
      driver = "raw_exec"
      config {
        command = "/bin/sleep"
        args    = ["100000"]
      }
      resources {
        cpu    = 1
        memory = 10
      }
    }
  }
}
"#;
