//! Boxes that are on their own: no coordinator, no network, a power cut.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::ensure;
use holdfast_tests::{Agent, AgentPlan, CoordinatorPlan, Fleet, wait_for};
use rustix::process::Signal;

use holdfast_tests::site::{HELLO, PATIENCE, Site};

/// Port of the container in [`job`].
const PORT: u16 = 18080;

/// A job of this type with one container and one plain process; `disconnect` says how long it may be away.
fn job(kind: &str, disconnect: &str) -> String {
    let update = if kind == "service" {
        "update {\n      min_healthy_time = \"0s\"\n    }"
    } else {
        ""
    };
    format!(
        r#"
job "long" {{
  type        = "{kind}"
  datacenters = ["dc1"]
  group "all" {{
    {disconnect}
    {update}
    network {{
      port "http" {{
        static = {PORT}
      }}
    }}
    task "container" {{
      driver = "docker"
      config {{
        image = "holdfast/hello:1"
        ports = ["http"]
      }}
      env {{
        PORT = "{PORT}"
      }}
      kill_timeout = "2s"
      resources {{
        cpu    = 50
        memory = 64
      }}
    }}
    task "process" {{
      driver = "raw_exec"
      config {{
        command = "/bin/sh"
        args    = ["-c", "exec sleep 1{PORT}"]
      }}
      kill_timeout = "2s"
      resources {{
        cpu    = 50
        memory = 64
      }}
    }}
  }}
}}
"#
    )
}

/// Waits until both tasks of a job run on the agent's machine, without asking anybody outside.
fn await_tasks(agent: &Agent) -> anyhow::Result<()> {
    wait_for("both tasks to run", PATIENCE, || {
        // By its own address: the published port belongs to the network that may be gone.
        let container = agent.machine.podman(&["ps", "--quiet"])?;
        let format = "--format={{.NetworkSettings.IPAddress}}";
        let address: Ipv4Addr = agent
            .machine
            .podman(&["inspect", format, container.trim()])?
            .trim()
            .parse()?;
        let answer = agent.machine.http_get(SocketAddr::from((address, PORT)), "/")?;
        ensure!(answer.body.contains(&format!("PORT={PORT}\n")), "{}", answer.body);
        ensure!(
            processes(agent)?.contains(&format!("sleep 1{PORT}\n")),
            "the plain process does not run"
        );
        Ok(())
    })
}

fn processes(agent: &Agent) -> anyhow::Result<String> {
    agent.machine.run("ps", &["-e", "-o", "args="])
}

/// Power cut without contact: containers and processes of a job of this type are back, in the same allocation.
fn comes_back_offline(kind: &str) {
    Fleet::scenario(|fleet| {
        let mut site = Site::start(fleet, vec![AgentPlan::new("edge-1").images(HELLO)])?;
        site.run_job(&job(kind, r#"max_client_disconnect = "1h""#))?;
        let original = site.await_only_running("long")?;
        await_tasks(&site.agents[0])?;

        site.agents[0].machine.unplug()?;
        site.agents[0].power_cycle(fleet)?;
        await_tasks(&site.agents[0])?;
        let status = site.agents[0].edgectl()?.run(&["local", "status"])?;
        ensure!(status.contains(&original["ID"]), "{status}");

        // With the cable back in, the coordinator finds the same allocation where it was.
        site.agents[0].machine.plug()?;
        site.agents[0].await_status(&site.coordinator, "ready", PATIENCE)?;
        site.await_status("long", &original["ID"], "running")?;
        await_tasks(&site.agents[0])
    });
}

#[test]
fn a_service_job_comes_back_after_a_power_cut_with_nothing_but_loopback() {
    comes_back_offline("service");
}

#[test]
fn a_batch_job_comes_back_after_a_power_cut_with_nothing_but_loopback() {
    comes_back_offline("batch");
}

#[test]
fn a_system_job_comes_back_after_a_power_cut_with_nothing_but_loopback() {
    comes_back_offline("system");
}

#[test]
fn a_sysbatch_job_comes_back_after_a_power_cut_with_nothing_but_loopback() {
    comes_back_offline("sysbatch");
}

#[test]
fn an_agent_starts_on_a_box_that_never_had_a_network() {
    Fleet::scenario(|fleet| {
        let mut agent = Agent::start_lonely(fleet, AgentPlan::new("hermit"))?;
        wait_for("the agent to answer on its socket", PATIENCE, || {
            agent.edgectl()?.run(&["local", "status"])
        })?;
        ensure!(agent.is_running());
        Ok(())
    });
}

#[test]
fn tasks_go_on_while_their_agent_is_gone_and_are_adopted_by_the_next() {
    Fleet::scenario(|fleet| {
        // Time enough for a restart, even on a busy computer: the job has no `disconnect` to fall back on.
        let plan = CoordinatorPlan {
            heartbeat_grace: PATIENCE,
            ..CoordinatorPlan::default()
        };
        let mut site = Site::start_with(fleet, plan, vec![AgentPlan::new("edge-1").images(HELLO)])?;
        site.run_job(&job("service", ""))?;
        await_tasks(&site.agents[0])?;
        let containers = site.agents[0].machine.containers()?;
        let pid = |agent: &Agent| {
            agent
                .machine
                .run("pgrep", &["-x", "-f", &format!("sleep 1{PORT}")])
        };
        let process = pid(&site.agents[0])?;

        for signal in [Signal::KILL, Signal::TERM] {
            site.agents[0].kill(signal)?;
            await_tasks(&site.agents[0])?;
            site.agents[0].restart()?;
            site.agents[0].await_status(&site.coordinator, "ready", PATIENCE)?;
            site.await_only_running("long")?;
            ensure!(
                site.agents[0].machine.containers()? == containers,
                "the container was started again"
            );
            ensure!(pid(&site.agents[0])? == process, "the process was started again");
        }
        Ok(())
    });
}
