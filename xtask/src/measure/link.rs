//! How soon a node is as it should be once its link is back.

use std::time::{Duration, Instant};

use anyhow::anyhow;
use holdfast_tests::{Agent, AgentPlan, Coordinator, Fleet};

use super::jobs::{PATIENCE, allocations, coordinator_plan, everywhere, idle, submit, until};
use super::row::{Row, median, range};
use super::{KEEP_ALIVE_SECONDS, Options};

/// Nodes that are cut off at the same time, each a sample.
const NODES: usize = 5;

/// Drops every packet between the coordinator and the nodes; registers a new version of their job meanwhile; lets packets
/// through again, and waits until each node is ready and runs the new version.
pub(super) fn measure(options: &Options) -> anyhow::Result<Vec<Row>> {
    let cut = Duration::from_secs(if options.quick { 30 } else { 150 });
    let keep_alive = Duration::from_secs(if options.quick { 10 } else { KEEP_ALIVE_SECONDS });
    let fleet = Fleet::start()?;
    let coordinator = Coordinator::start(&fleet, coordinator_plan())?;
    let mut agents = Vec::new();
    for index in 0..NODES {
        let plan = AgentPlan {
            keep_alive,
            ..AgentPlan::new(&format!("box-{index}"))
        };
        agents.push(Agent::start(&fleet, &coordinator, plan)?);
    }
    for agent in &agents {
        agent.await_status(&coordinator, "ready", PATIENCE)?;
    }
    submit(&coordinator, &everywhere("all", "old"))?;
    until("the job to run everywhere", || {
        Ok(agents.iter().all(|agent| has(&coordinator, agent, 0)))
    })?;
    for agent in &agents {
        agent.machine.cut(&coordinator.machine)?;
        coordinator.machine.cut(&agent.machine)?;
    }
    let start = Instant::now();
    submit(&coordinator, &at_once(&everywhere("all", "new")))?;
    idle(cut.saturating_sub(start.elapsed()));
    let mut times = heal(&coordinator, &agents)?;
    times.sort_by(f64::total_cmp);
    let note = format!(
        "median of {NODES} nodes ({}), a new job version waiting; cut of {} s, keep-alive {} s",
        range(&times),
        cut.as_secs(),
        keep_alive.as_secs()
    );
    Ok(vec![Row {
        name: "link back",
        title: "link back to converged, after a cut",
        unit: "s",
        ours: median(times),
        target: 2.0,
        peer: Some((25.3, "Nomad")),
        note,
    }])
}

/// The same job, whose new version goes to all nodes at the same time: how it is rolled out is not what is measured.
fn at_once(job: &str) -> String {
    let update = "  update {\n    max_parallel     = 100\n    min_healthy_time = \"0s\"\n  }\n  group";
    job.replacen("  group", update, 1)
}

/// Heals all links and answers how long each node took, side by side.
fn heal(coordinator: &Coordinator, agents: &[Agent]) -> anyhow::Result<Vec<f64>> {
    std::thread::scope(|scope| {
        let one = |agent| {
            scope.spawn(move || -> anyhow::Result<f64> {
                let agent: &Agent = agent;
                coordinator.machine.heal(&agent.machine)?;
                agent.machine.heal(&coordinator.machine)?;
                let healed = Instant::now();
                until("the node to converge", || Ok(has(coordinator, agent, 1)))?;
                Ok(healed.elapsed().as_secs_f64())
            })
        };
        let threads: Vec<_> = agents.iter().map(one).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| anyhow!("a wait panicked"))?)
            .collect()
    })
}

/// Whether the agent's node is ready and runs this version of the job, and nothing else of it is wanted there.
fn has(coordinator: &Coordinator, agent: &Agent, version: u64) -> bool {
    let ready = agent
        .node(coordinator)
        .is_ok_and(|node| node["Status"] == "ready");
    let of_node = |alloc: &&serde_json::Value| alloc["NodeName"] == agent.name();
    let current = |alloc: &serde_json::Value| {
        alloc["DesiredStatus"] == "run"
            && alloc["ClientStatus"] == "running"
            && alloc["JobVersion"] == version
    };
    ready && allocations(coordinator, "all").is_ok_and(|all| all.iter().filter(of_node).any(current))
}
