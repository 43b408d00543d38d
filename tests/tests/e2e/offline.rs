//! Boxes that are on their own: no coordinator, no network, a power cut.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::ensure;
use holdfast_tests::{Agent, AgentPlan, Fleet, wait_for};
use rustix::process::Signal;

use super::site::{HELLO, PATIENCE, Site};

/// Port of the container in [`job`].
const PORT: u16 = 18080;

/// A job with one container and one plain process that marks each of its starts; `kind` is its type.
fn job(kind: &str, name: &str, port: u16) -> String {
    format!(
        r#"
job "{name}" {{
  datacenters = ["dc1"]
  type        = "{kind}"
  group "all" {{
    network {{
      port "http" {{
        static = {port}
      }}
    }}
    task "container" {{
      driver = "docker"
      config {{
        image = "holdfast/hello:1"
        ports = ["http"]
      }}
      env {{
        PORT = "{port}"
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
        args    = ["-c", "exec sleep 1{port}"]
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
fn await_tasks(agent: &Agent, port: u16) -> anyhow::Result<()> {
    wait_for(&format!("the tasks on port {port}"), PATIENCE, || {
        // By its own address: the published port belongs to the network that may be gone.
        let container = agent.machine.podman(&["ps", "--quiet"])?;
        let format = "--format={{.NetworkSettings.IPAddress}}";
        let address: Ipv4Addr = agent
            .machine
            .podman(&["inspect", format, container.trim()])?
            .trim()
            .parse()?;
        let answer = agent.machine.http_get(SocketAddr::from((address, port)), "/")?;
        ensure!(answer.body.contains(&format!("PORT={port}\n")), "{}", answer.body);
        ensure!(
            processes(agent)?.contains(&format!("sleep 1{port}\n")),
            "the plain process does not run"
        );
        Ok(())
    })
}

fn processes(agent: &Agent) -> anyhow::Result<String> {
    agent.machine.run("ps", &["-e", "-o", "args="])
}

#[test]
fn every_task_comes_back_after_a_power_cut_with_nothing_but_loopback() {
    Fleet::scenario(|fleet| {
        let mut site = Site::start(fleet, vec![AgentPlan::new("edge-1").images(HELLO)])?;
        site.run_job(&job("service", "long", PORT))?;
        let original = site.await_only_running("long")?;
        await_tasks(&site.agents[0], PORT)?;

        site.agents[0].machine.unplug()?;
        site.agents[0].power_cycle(fleet)?;
        await_tasks(&site.agents[0], PORT)?;
        let status = site.agents[0].edgectl()?.run(&["local", "status"])?;
        ensure!(status.contains(&original["ID"]), "{status}");

        // With the cable back in, the coordinator finds the same allocation where it was.
        site.agents[0].machine.plug()?;
        site.agents[0].await_status(&site.coordinator, "ready", PATIENCE)?;
        site.await_status("long", &original["ID"], "running")?;
        await_tasks(&site.agents[0], PORT)
    });
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
        let mut site = Site::start(fleet, vec![AgentPlan::new("edge-1").images(HELLO)])?;
        site.run_job(&job("service", "long", PORT))?;
        await_tasks(&site.agents[0], PORT)?;
        let containers = site.agents[0].machine.containers()?;
        let pid = |agent: &Agent| {
            agent
                .machine
                .run("pgrep", &["-x", "-f", &format!("sleep 1{PORT}")])
        };
        let process = pid(&site.agents[0])?;

        for signal in [Signal::KILL, Signal::TERM] {
            site.agents[0].kill(signal)?;
            await_tasks(&site.agents[0], PORT)?;
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
