//! The coordinator on a broker that is not its own, which may lose everything at any time.

use std::fs;

use anyhow::ensure;
use holdfast_tests::{AgentPlan, CoordinatorPlan, Fleet, Machine, Program, wait_for};
use rustix::process::Signal;

use holdfast_tests::site::{HELLO, PATIENCE, Site};

const JOB: &str = r#"
job "web" {
  datacenters = ["dc1"]
  group "web" {
    update {
      min_healthy_time = "0s"
    }
    task "web" {
      driver = "docker"
      config {
        image = "holdfast/hello:1"
      }
      env {
        PORT = "8080"
      }
      kill_timeout = "2s"
    }
  }
}
"#;

/// mosquitto without persistence.
fn start_mosquitto(machine: &Machine) -> anyhow::Result<Program> {
    let config = machine.dir().join("mosquitto.conf");
    fs::write(
        &config,
        "listener 1883\nallow_anonymous true\npersistence false\nuser root\n",
    )?;
    let mut command = machine.command("mosquitto");
    command.arg("-c").arg(&config);
    machine.spawn("mosquitto", command)
}

#[test]
fn a_fleet_on_mosquitto_converges_again_after_the_broker_has_forgotten_everything() {
    Fleet::scenario(|fleet| {
        let broker = fleet.machine("broker")?;
        let mut mosquitto = start_mosquitto(&broker)?;
        let url = format!("mqtt://{}:1883", broker.address().unwrap());
        let plan = CoordinatorPlan {
            external_broker: Some(url),
            ..CoordinatorPlan::default()
        };
        let site = Site::start_with(fleet, plan, vec![AgentPlan::new("edge-1").images(HELLO)])?;
        site.run_job(JOB)?;
        site.await_only_running("web")?;
        let containers = site.agents[0].machine.containers()?;

        mosquitto.kill(Signal::KILL)?;
        let _mosquitto = start_mosquitto(&broker)?;
        site.agents[0].await_status(&site.coordinator, "ready", PATIENCE)?;
        site.submit_job(&JOB.replace("\"web\"", "\"later\"").replace("8080", "8081"))?;
        site.await_only_running("later")?;
        wait_for("the old container beside the new one", PATIENCE, || {
            let now = site.agents[0].machine.containers()?;
            ensure!(
                now.len() == 2 && containers.iter().all(|container| now.contains(container)),
                "{now:?}"
            );
            Ok(())
        })
    });
}
