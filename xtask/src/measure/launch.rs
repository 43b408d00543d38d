//! How fast a job runs, beside what podman alone sustains.

use std::thread;
use std::time::Instant;

use anyhow::{Context as _, anyhow};
use holdfast_tests::{Agent, Coordinator, Fleet};
use serde_json::{Value, json};

use super::Options;
use super::jobs::{BUSYBOX, containers, count_running, purge, site, submit, until};
use super::row::{Row, median, range};

/// Containers, name of the figure, title, target in seconds, and Ankaios's time on a machine of this kind.
const CASES: [(usize, &str, &str, f64, f64); 3] = [
    (1, "run 1", "`job run` to running, 1 container", 0.32, 0.32),
    (10, "run 10", "`job run` to all running, 10 containers", 0.8, 1.02),
    (50, "run 50", "`job run` to all running, 50 containers", 3.0, 5.67),
];

/// From the start of `edgectl job run` until the coordinator's API shows every allocation running; and, in turn with it,
/// as many of the same containers created and started at once through podman's API, with nothing of ours between.
pub(super) fn measure(options: &Options) -> anyhow::Result<Vec<Row>> {
    let fleet = Fleet::start()?;
    let (coordinator, agent) = site(&fleet)?;
    let mut rows = Vec::new();
    // What the first container costs podman once, and nobody again.
    alone(&agent, 1)?;
    for (count, name, title, target, peer) in CASES {
        let rounds = match (options.quick, count) {
            (true, _) => 1,
            (false, 50) => 3,
            (false, _) => 7,
        };
        let (mut ours, mut podmans) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            podmans.push(alone(&agent, count)?);
            ours.push(with_us(&coordinator, &agent, count)?);
        }
        let (note, podman) = (range(&ours), median(podmans));
        let ours = median(ours);
        rows.push(Row {
            name,
            title,
            unit: "s",
            ours,
            target,
            peer: Some((peer, "Ankaios")),
            note: format!(
                "median of {rounds} ({note}); podman alone {podman:.3} s, ratio {:.2}",
                ours / podman
            ),
        });
    }
    Ok(rows)
}

/// Asks as programs do that watch: the answer comes when something has changed, and costs podman no time meanwhile.
fn with_us(coordinator: &Coordinator, agent: &Agent, count: usize) -> anyhow::Result<f64> {
    let start = Instant::now();
    submit(coordinator, &containers("many", count))?;
    let mut index = String::from("0");
    until("the containers to run", || {
        let path = format!("/v1/job/many/allocations?index={index}&wait=5s");
        let answer = coordinator.request("GET", &path, &Value::Null)?;
        answer
            .header("x-nomad-index")
            .context("the answer has no index")?
            .clone_into(&mut index);
        let allocs: Vec<Value> = serde_json::from_str(&answer.body)?;
        Ok(count_running(&allocs) == count)
    })?;
    let took = start.elapsed().as_secs_f64();
    purge(coordinator, agent, "many")?;
    Ok(took)
}

/// The same containers by podman's API, all at once.
fn alone(agent: &Agent, count: usize) -> anyhow::Result<f64> {
    let start = Instant::now();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .map(|index| scope.spawn(move || create_and_start(agent, index)))
            .collect();
        threads.into_iter().try_for_each(|thread| {
            thread
                .join()
                .map_err(|_| anyhow!("a request to podman panicked"))?
        })
    })?;
    let took = start.elapsed().as_secs_f64();
    agent.machine.podman(&["rm", "--all", "--force", "--time=0"])?;
    Ok(took)
}

fn create_and_start(agent: &Agent, index: usize) -> anyhow::Result<()> {
    let spec = json!({
        "name": format!("alone-{index}"),
        "image": BUSYBOX.name,
        "command": ["sleep", "100000"],
        "netns": { "nsmode": "none" },
        "resource_limits": { "memory": { "limit": 10 << 20 } },
    });
    let created = agent
        .machine
        .libpod("POST", "/containers/create", &spec.to_string())
        .context("podman creates no container")?;
    let id = serde_json::from_str::<Value>(&created)?;
    let id = id["Id"].as_str().context("podman names no container")?;
    agent
        .machine
        .libpod("POST", &format!("/containers/{id}/start"), "")?;
    Ok(())
}
