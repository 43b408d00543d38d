//! The jobs that are run, and how a measurement waits for them.

use std::collections::BTreeSet;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use holdfast_tests::usage::descendants;
use holdfast_tests::{Agent, AgentPlan, Coordinator, CoordinatorPlan, Fleet, Image, STAND_IN_IMAGES};
use serde_json::Value;

use super::KEEP_ALIVE_SECONDS;

/// Pause between two looks: finer than the harness's own, because times are measured by it.
const POLL: Duration = Duration::from_millis(5);

/// How late a node may be unless the operator says otherwise (`coordinator/src/config.rs`).
const GRACE: Duration = Duration::from_secs(4);

/// Longest wait for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// The image of the containers: busybox.
pub(super) const BUSYBOX: Image = STAND_IN_IMAGES[STAND_IN_IMAGES.len() - 1];

/// A coordinator as the product is set up by default.
pub(super) fn coordinator_plan() -> CoordinatorPlan {
    CoordinatorPlan {
        heartbeat_grace: GRACE,
        ..CoordinatorPlan::default()
    }
}

/// A coordinator and one agent with podman, as the product is set up by default.
pub(crate) fn site(fleet: &Fleet) -> anyhow::Result<(Coordinator, Agent)> {
    site_with(fleet, Duration::from_secs(KEEP_ALIVE_SECONDS))
}

/// As [`site`], with another keep-alive.
pub(super) fn site_with(fleet: &Fleet, keep_alive: Duration) -> anyhow::Result<(Coordinator, Agent)> {
    let coordinator = Coordinator::start(fleet, coordinator_plan())?;
    // What it logs would count as written by it, as it stands in a file here; on a box that is the journal's.
    let quiet = AgentPlan::new("box").flag("--log-level").flag("warn");
    let plan = AgentPlan {
        keep_alive,
        ..quiet.images(&[BUSYBOX])
    };
    let agent = Agent::start(fleet, &coordinator, plan)?;
    agent.await_status(&coordinator, "ready", PATIENCE)?;
    Ok((coordinator, agent))
}

/// `count` containers that do nothing, each an allocation of its own, on busybox without a network.
pub(crate) fn containers(job: &str, count: usize) -> String {
    format!(
        r#"job "{job}" {{
  datacenters = ["dc1"]
  group "g" {{
    count = {count}
    restart {{
      delay    = "0s"
      attempts = 100
      interval = "1h"
      mode     = "delay"
    }}
    update {{
      min_healthy_time = "0s"
      max_parallel     = {count}
    }}
    task "t" {{
      driver = "podman"
      config {{
        image        = "{image}"
        network_mode = "none"
        command      = "sleep"
        args         = ["100000"]
      }}
      kill_signal  = "SIGKILL"
      kill_timeout = "1s"
      resources {{
        cpu    = 1
        memory = 10
      }}
    }}
  }}
}}
"#,
        image = BUSYBOX.name,
    )
}

/// A process that does nothing, on every node.
pub(super) fn everywhere(job: &str, mark: &str) -> String {
    format!(
        r#"job "{job}" {{
  datacenters = ["dc1"]
  type        = "system"
  meta {{
    mark = "{mark}"
  }}
  group "g" {{
    task "t" {{
      driver = "raw_exec"
      config {{
        command = "/bin/sleep"
        args    = ["100000"]
      }}
      resources {{
        cpu    = 1
        memory = 10
      }}
    }}
  }}
}}
"#
    )
}

/// Registers a job file without waiting for anything; the time includes the start of `edgectl`.
pub(crate) fn submit(coordinator: &Coordinator, text: &str) -> anyhow::Result<()> {
    let file = coordinator.machine.dir().join("job.nomad.hcl");
    fs::write(&file, text)?;
    coordinator
        .edgectl()?
        .run(&["job", "run", "-detach", &file.to_string_lossy()])?;
    Ok(())
}

/// The allocations of a job.
pub(super) fn allocations(coordinator: &Coordinator, job: &str) -> anyhow::Result<Vec<Value>> {
    let answer = coordinator.read(&format!("/v1/job/{job}/allocations"))?;
    Ok(answer.as_array().cloned().unwrap_or_default())
}

/// How many allocations of a job run.
pub(crate) fn running(coordinator: &Coordinator, job: &str) -> anyhow::Result<usize> {
    Ok(count_running(&allocations(coordinator, job)?))
}

/// How many of these allocations run.
pub(super) fn count_running(allocs: &[Value]) -> usize {
    let runs = |alloc: &&Value| alloc["ClientStatus"] == "running" && alloc["DesiredStatus"] == "run";
    allocs.iter().filter(runs).count()
}

/// Stops a job, forgets it, and waits until nothing of it runs on the agent's machine.
pub(crate) fn purge(coordinator: &Coordinator, agent: &Agent, job: &str) -> anyhow::Result<()> {
    coordinator
        .edgectl()?
        .run(&["job", "stop", "-purge", "-detach", "-yes", job])?;
    until("the containers to be gone", || {
        Ok(agent.machine.containers()?.is_empty())
    })?;
    Ok(())
}

/// Waits until `done`, and answers for how long.
pub(crate) fn until(what: &str, mut done: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<Duration> {
    let start = Instant::now();
    loop {
        let outcome = done();
        if matches!(outcome, Ok(true)) {
            return Ok(start.elapsed());
        }
        if start.elapsed() > PATIENCE {
            outcome.with_context(|| format!("waiting for {what}"))?;
            bail!("waited {PATIENCE:?} in vain for {what}");
        }
        thread::sleep(POLL);
    }
}

/// Lets time pass: what is measured is what happens while nothing happens.
pub(crate) fn idle(window: Duration) {
    let end = Instant::now() + window;
    while Instant::now() < end {
        thread::sleep(POLL);
    }
}

/// The processes of the containers of [`containers`], once their own program runs.
pub(super) fn sleeping(agent: &Agent) -> BTreeSet<u32> {
    let all = descendants(agent.machine.pid(), "sleep");
    let in_container = |pid: &u32| {
        let args = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        args.contains("100000")
    };
    all.into_iter().filter(in_container).collect()
}

/// Ends a process from outside.
pub(super) fn kill(pid: u32) -> anyhow::Result<()> {
    let pid = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw)
        .context("no such process id")?;
    rustix::process::kill_process(pid, rustix::process::Signal::KILL)?;
    Ok(())
}
