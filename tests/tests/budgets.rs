//! What the product may cost, as far as it is no time: bytes on the wire and on disk, memory, open files.
//!
//! `cargo xtask measure` measures the same things exactly and compares them with what was promised. Here the margins are
//! wide, and what depends on the build (code, and what a file stands behind) is left out: a budget that breaks says
//! that something grew, not that the computer was busy.

#![allow(clippy::unwrap_used, reason = "everything here is a test")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use holdfast_tests::load::{Load, LoadPlan};
use holdfast_tests::usage::{
    anonymous_bytes, descendants, handed_bytes, interface_bytes, open_files, written_bytes,
};
use holdfast_tests::{Agent, AgentPlan, Coordinator, CoordinatorPlan, Fleet, STAND_IN_IMAGES, wait_for};
use serde_json::{Value, json};

/// Longest wait for anything that comes by itself.
const PATIENCE: Duration = Duration::from_secs(60);

/// The most that one keep-alive may cost on the wire: ping, its answer and the acknowledgement, with all headers (202
/// bytes), and a tenth of a heartbeat (277 bytes). At the default keep-alive that is 7 KB an hour.
const KEEP_ALIVE_BYTES_MAX: u64 = 260;

/// The most that an idle agent may hold, a cache and all thread stacks included.
const AGENT_BYTES_MAX: u64 = 3 * MIB;

/// What ten containers may add.
const TEN_CONTAINERS_BYTES_MAX: u64 = 2 * MIB;

/// What a change of state may write: a container that ends, or one that runs again, with what is known of nine others.
/// As promised. It takes 5 to 7.5 KB on ext4: the block that holds the change, and now and then the next one or that with
/// the log's time of change.
const CHANGE_BYTES_MAX: u64 = 9_000;

/// What placing a container and stopping it may hand to the kernel to write, to files and to podman and the broker. What
/// its eight directories cost on a disk is the file system's affair: from 40 to 80 KB on the same day's two machines.
const PLACE_BYTES_MAX: u64 = 20_000;

/// What an idle node may cost the coordinator.
const NODE_BYTES_MAX: u64 = 20_000;

/// Nodes over which that is measured.
const NODES: usize = 2_000;

/// What may be left of a burst when nothing of it is there any more: what the allocator cannot part with. It is 24 MB, and 80
/// when threads keep what they once needed.
const BURST_BYTES_MAX: u64 = 40 * MIB;

const MIB: u64 = 1024 * 1024;

/// Lets time pass in which nothing happens: that is what is counted.
fn idle(window: Duration) {
    let start = Instant::now();
    wait_for("time to pass", window * 2, || {
        ensure!(start.elapsed() >= window, "not yet");
        Ok(())
    })
    .unwrap();
}

#[test]
fn an_idle_agent_pings_and_does_nothing_else() {
    Fleet::scenario(|fleet| {
        let coordinator = Coordinator::start(fleet, CoordinatorPlan::default())?;
        let agent = Agent::start(fleet, &coordinator, AgentPlan::new("box"))?;
        agent.await_status(&coordinator, "ready", PATIENCE)?;
        let pid = agent.pid()?;
        // The last of what begins with a start: the network's own chatter, and the first look at the drivers.
        idle(Duration::from_secs(8));
        let counts = || -> anyhow::Result<(u64, u64, usize)> {
            let wire = interface_bytes(agent.machine.pid(), "eth0")?;
            Ok((wire, written_bytes(pid)?, open_files(pid)?))
        };
        let before = counts()?;
        let keep_alives = 20;
        idle(AgentPlan::new("box").keep_alive * keep_alives);
        let after = counts()?;
        let per_keep_alive = (after.0 - before.0) / u64::from(keep_alives);
        // One more or less, as the window has no fixed place between two pings.
        ensure!(
            per_keep_alive <= KEEP_ALIVE_BYTES_MAX + KEEP_ALIVE_BYTES_MAX / 20,
            "{per_keep_alive} bytes on the wire in a keep-alive"
        );
        ensure!(per_keep_alive > 0, "the agent does not even ping");
        ensure!(after.1 == before.1, "{} bytes written", after.1 - before.1);
        ensure!(after.2 == before.2, "{} files open, then {}", before.2, after.2);
        let held = anonymous_bytes(pid)?;
        ensure!(held <= AGENT_BYTES_MAX, "the agent holds {held} bytes");
        Ok(())
    });
}

#[test]
fn ten_containers_cost_an_agent_little_memory_and_little_flash() {
    Fleet::scenario(|fleet| {
        let coordinator = Coordinator::start(fleet, CoordinatorPlan::default())?;
        let busybox = &STAND_IN_IMAGES[STAND_IN_IMAGES.len() - 1..];
        // What it logs goes to a file here, and would count as written by it; on a box that is the journal's.
        let quiet = AgentPlan::new("box").flag("--log-level").flag("warn");
        let agent = Agent::start(fleet, &coordinator, quiet.images(busybox))?;
        agent.await_status(&coordinator, "ready", PATIENCE)?;
        let pid = agent.pid()?;
        let before = (anonymous_bytes(pid)?, handed_bytes(pid)?);
        let file = coordinator.machine.dir().join("ten.nomad.hcl");
        std::fs::write(&file, TEN)?;
        let edgectl = coordinator.edgectl()?;
        edgectl.run(&["job", "run", "-detach", &file.to_string_lossy()])?;
        let await_all = |status: &str| {
            wait_for(&format!("ten allocations to be {status}"), PATIENCE, || {
                let answer = coordinator.read("/v1/job/ten/allocations")?;
                let all = answer.as_array().cloned().unwrap_or_default();
                let there = all.iter().filter(|it| it["ClientStatus"] == status).count();
                ensure!(there == 10, "{there} are");
                Ok(())
            })
        };
        await_all("running")?;
        let held = anonymous_bytes(pid)?.saturating_sub(before.0);
        ensure!(
            held <= TEN_CONTAINERS_BYTES_MAX,
            "ten containers take {held} bytes of the agent"
        );
        let placed = (written_bytes(pid)?, handed_bytes(pid)?);
        restart_each(&agent, || await_all("running"))?;
        let changed = (written_bytes(pid)?, handed_bytes(pid)?);
        edgectl.run(&["job", "stop", "-detach", "-yes", "ten"])?;
        await_all("complete")?;
        let stopped = handed_bytes(pid)?;
        let change = (changed.0 - placed.0) / 20;
        let place = (placed.1 - before.1 + stopped - changed.1) / 10;
        println!(
            "a change of state writes {change} bytes, placing and stopping a container hands over {place}"
        );
        ensure!(
            change <= CHANGE_BYTES_MAX,
            "{change} bytes written for a change of state"
        );
        ensure!(
            place <= PLACE_BYTES_MAX,
            "{place} bytes handed over for placing and stopping a container"
        );
        Ok(())
    });
}

/// Kills every container once, each after the last one is back.
fn restart_each(agent: &Agent, all_run: impl Fn() -> anyhow::Result<()>) -> anyhow::Result<()> {
    let is_task = |pid: &u32| {
        let args = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        args.contains("100000")
    };
    let sleeping = || -> Vec<u32> {
        let all = descendants(agent.machine.pid(), "sleep");
        all.into_iter().filter(is_task).collect()
    };
    for victim in sleeping() {
        let pid = rustix::process::Pid::from_raw(victim.try_into()?);
        rustix::process::kill_process(pid.context("no process")?, rustix::process::Signal::KILL)?;
        wait_for("the container to run again", PATIENCE, || {
            let now = sleeping();
            ensure!(!now.contains(&victim) && now.len() == 10, "{now:?}");
            Ok(())
        })?;
        all_run()?;
    }
    Ok(())
}

#[test]
fn an_idle_node_costs_the_coordinator_little_memory() {
    Fleet::scenario(|fleet| {
        let coordinator = Coordinator::start(fleet, CoordinatorPlan::default())?;
        let pid = coordinator.pid()?;
        let machine = fleet.machine("crowd")?;
        let before = anonymous_bytes(pid)?;
        let plan = LoadPlan {
            broker: SocketAddr::from((coordinator.http().ip(), 1883)),
            nodes: NODES,
            keep_alive: Duration::from_secs(60),
            seed: 1,
        };
        let load = Load::start_on(&machine, &plan)?;
        load.await_all("registered", PATIENCE, |figures| figures.registered)?;
        let held = anonymous_bytes(pid)?.saturating_sub(before) / NODES as u64;
        ensure!(held <= NODE_BYTES_MAX, "a node takes {held} bytes");
        ensure!(held > 1_000, "{held} bytes cannot be right");
        load.stop()
    });
}

#[test]
fn a_coordinator_gives_back_the_memory_that_a_burst_needed() {
    Fleet::scenario(|fleet| {
        let coordinator = Coordinator::start(fleet, CoordinatorPlan::default())?;
        let pid = coordinator.pid()?;
        let before = anonymous_bytes(pid)?;
        let group = |index: usize| {
            json!({
                "Name": format!("group-{index}"),
                "Tasks": [{ "Name": "task", "Driver": "podman", "Config": { "image": "busybox" } }],
            })
        };
        let groups: Vec<Value> = (0..400).map(group).collect();
        for number in 0..100 {
            let job = json!({ "ID": format!("large-{number}"), "Type": "service", "TaskGroups": groups });
            let answer = coordinator.request("PUT", "/v1/jobs", &json!({ "Job": job }))?;
            ensure!(answer.status == 200, "{}", answer.body);
        }
        for number in 0..100 {
            let job = format!("/v1/job/large-{number}?purge=true");
            let answer = coordinator.request("DELETE", &job, &Value::Null)?;
            ensure!(answer.status == 200, "{}", answer.body);
        }
        wait_for("the coordinator to give back memory", PATIENCE, || {
            let held = anonymous_bytes(pid)?.saturating_sub(before);
            ensure!(held <= BURST_BYTES_MAX, "{held} bytes more than at its start");
            Ok(())
        })
    });
}

const TEN: &str = r#"job "ten" {
  datacenters = ["dc1"]
  group "g" {
    count = 10
    update {
      min_healthy_time = "0s"
      max_parallel     = 10
    }
    restart {
      attempts = 100
      interval = "1h"
      delay    = "0s"
      mode     = "delay"
    }
    task "t" {
      driver = "podman"
      config {
        image        = "docker.io/holdfast/hello:1"
        network_mode = "none"
        command      = "sleep"
        args         = ["100000"]
      }
      kill_signal  = "SIGKILL"
      kill_timeout = "1s"
      resources {
        cpu    = 1
        memory = 10
      }
    }
  }
}
"#;
