//! The jobs that are disturbed, and how to see whether they were.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use holdfast_tests::site::PATIENCE;
use holdfast_tests::{Agent, AgentPlan, CoordinatorPlan, wait_for};
use serde_json::Value;

/// Whatever happens to the agent within a test, its node is not given up: what is told apart is another matter.
const NEVER: Duration = Duration::from_secs(600);

/// A node with podman and our image.
pub(crate) fn node(name: &str) -> AgentPlan {
    AgentPlan::new(name).images(holdfast_tests::site::HELLO)
}

/// A coordinator that waits for its nodes, however long they are away.
pub(crate) fn patient_coordinator() -> CoordinatorPlan {
    CoordinatorPlan {
        heartbeat_grace: NEVER,
        ..CoordinatorPlan::default()
    }
}

/// A service job of one container and one plain process (`sleep 1NUMBER`) that are restarted at once; `group` is more
/// of their group.
pub(crate) fn job(name: &str, number: u32, group: &str) -> String {
    format!(
        r#"
job "{name}" {{
  datacenters = ["dc1"]
  group "all" {{
    {group}
    {AT_ONCE}
    {}
    task "process" {{
      {}
    }}
  }}
}}
"#,
        container("container"),
        process(number)
    )
}

/// Every task is restarted at once and for ever; every deployment succeeds at once.
pub(crate) const AT_ONCE: &str = r#"
    restart {
      attempts = 1000
      interval = "1h"
      delay    = "0s"
      mode     = "fail"
    }
    update {
      min_healthy_time = "0s"
      max_parallel     = 1
    }
    ephemeral_disk {
      size = 10
    }
"#;

/// A task that is a container.
pub(crate) fn container(name: &str) -> String {
    format!(
        r#"
    task "{name}" {{
      driver = "docker"
      config {{
        image = "holdfast/hello:1"
      }}
      env {{
        PORT = "8080"
      }}
      kill_timeout = "2s"
      logs {{
        max_files     = 1
        max_file_size = 4
      }}
      resources {{
        cpu    = 50
        memory = 32
      }}
    }}
"#
    )
}

/// What makes a task a plain process.
pub(crate) fn process(number: u32) -> String {
    format!(
        r#"
      driver = "raw_exec"
      config {{
        command = "/bin/sh"
        args    = ["-c", "exec sleep 1{number}"]
      }}
      kill_timeout = "1s"
      logs {{
        max_files     = 1
        max_file_size = 4
      }}
      resources {{
        cpu    = 20
        memory = 16
      }}
"#
    )
}

/// Everything that runs on the agent's machine for a job, as texts that change with every restart.
pub(crate) fn lives(agent: &Agent) -> anyhow::Result<BTreeSet<String>> {
    let mut lives = containers(agent)?;
    lives.extend(processes(agent)?);
    Ok(lives)
}

/// The containers among [`lives`].
pub(crate) fn containers(agent: &Agent) -> anyhow::Result<BTreeSet<String>> {
    let format = "{{.Names}} {{.ID}} {{.StartedAt}} {{.Pid}}";
    let listed = agent.machine.podman(&["ps", "--no-trunc", "--format", format])?;
    Ok(listed.lines().map(str::to_owned).collect())
}

/// The plain processes among [`lives`].
pub(crate) fn processes(agent: &Agent) -> anyhow::Result<BTreeSet<String>> {
    let listed = agent.machine.run("ps", &["-e", "-o", "pid=,args="])?;
    let ours = listed
        .lines()
        .filter_map(|line| line.trim().split_once(' '))
        .filter(|(_, args)| args.trim().starts_with("sleep 1"));
    // One that ends while it is looked at is not alive.
    Ok(ours
        .filter_map(|(pid, args)| {
            let stat = agent.machine.host_path(&format!("/proc/{pid}/stat"));
            let stat = fs::read_to_string(stat).ok()?;
            let started = stat.rsplit(") ").next()?.split(' ').nth(19)?.to_owned();
            Some(format!("{} {pid} {started}", args.trim()))
        })
        .collect())
}

/// Everything of `before` still runs.
pub(crate) fn is_untouched(agent: &Agent, before: &BTreeSet<String>) -> anyhow::Result<()> {
    let now = lives(agent)?;
    ensure!(
        before.is_subset(&now),
        "what ran was\n{before:#?}\nand is\n{now:#?}"
    );
    Ok(())
}

/// Waits until the agent is there, in contact, and says that every task it knows runs.
pub(crate) fn await_settled(agent: &Agent, allocs: usize) -> anyhow::Result<Value> {
    wait_for("the agent to have everything in hand", PATIENCE, || {
        let status = agent.local_status()?;
        ensure!(status["link"]["connected"] == true, "no contact: {status}");
        let running = allocations(&status)?
            .iter()
            .filter(|alloc| alloc["client_status"] == "running")
            .count();
        ensure!(running == allocs, "{running} allocations run: {status}");
        Ok(status)
    })
}

/// The allocations in what an agent says of itself.
pub(crate) fn allocations(status: &Value) -> anyhow::Result<&Vec<Value>> {
    status["allocations"]
        .as_array()
        .with_context(|| format!("no allocations in {status}"))
}

/// How often the tasks of the job's only allocation were restarted, as its coordinator knows it.
pub(crate) fn restarts(coordinator: &holdfast_tests::Coordinator, job: &str) -> anyhow::Result<u64> {
    let allocs = coordinator.read(&format!("/v1/job/{job}/allocations"))?;
    let states = allocs[0]["TaskStates"]
        .as_object()
        .with_context(|| format!("no task states: {allocs}"))?;
    Ok(states
        .values()
        .filter_map(|state| state["Restarts"].as_u64())
        .sum())
}
