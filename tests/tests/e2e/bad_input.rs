//! What goes wrong in practice: each time the error is clear, and what runs goes on.

use std::fs;

use anyhow::ensure;
use holdfast_tests::{Agent, AgentPlan, CoordinatorPlan, Fleet, wait_for};
use rustix::process::Signal;

use holdfast_tests::site::{HELLO, PATIENCE, Site};

/// A job of one task.
fn job(name: &str, image: &str) -> String {
    format!(
        r#"
job "{name}" {{
  datacenters = ["dc1"]
  group "g" {{
    restart {{
      attempts = 0
      mode     = "fail"
    }}
    reschedule {{
      attempts  = 0
      unlimited = false
    }}
    update {{
      min_healthy_time  = "0s"
      healthy_deadline  = "10s"
      progress_deadline = "15s"
    }}
    task "t" {{
      driver = "docker"
      config {{
        image = "{image}"
      }}
      env {{
        PORT = "8080"
      }}
      kill_timeout = "2s"
    }}
  }}
}}
"#
    )
}

const GOOD: &str = "holdfast/hello:1";

/// One node, and a job on it that has to survive whatever comes.
fn site(fleet: &Fleet) -> anyhow::Result<Site> {
    let site = Site::start(fleet, vec![AgentPlan::new("edge-1").images(HELLO)])?;
    site.run_job(&job("steady", GOOD))?;
    Ok(site)
}

/// The job of [`site`] is what it was.
fn is_steady(site: &Site, containers: &[String]) -> anyhow::Result<()> {
    let row = site.await_only_running("steady")?;
    ensure!(row["Version"] == "0", "{row:?}");
    let now = site.agents[0].machine.containers()?;
    ensure!(
        containers.iter().all(|container| now.contains(container)),
        "{containers:?} became {now:?}"
    );
    Ok(())
}

#[test]
fn a_malformed_job_file_is_refused_with_file_line_and_every_mistake() {
    Fleet::scenario(|fleet| {
        let site = site(fleet)?;
        let containers = site.agents[0].machine.containers()?;
        let good = job("steady", GOOD);
        let spelt = good
            .replace("attempts = 0", "atempts = 0")
            .replace("driver =", "drivr =");
        // Each file, and parts of the answer: the place, the word that stands there, the word that was meant.
        let mistakes: [(String, &[&str]); 2] = [
            (spelt, &[":6,", "atempts", "attempts", "drivr", "driver"]),
            (good.replace("group \"g\" {", "group \"g\""), &[":4,"]),
        ];
        for (text, parts) in mistakes {
            let file = site.write_job(&text)?;
            let printed = site.try_edgectl(&["job", "run", &file.to_string_lossy()])?;
            ensure!(printed.code == Some(1), "{printed:?}");
            let said = format!("{}{}", printed.stdout, printed.stderr);
            for part in parts {
                ensure!(said.contains(part), "no {part:?} in:\n{said}");
            }
        }
        is_steady(&site, &containers)
    });
}

#[test]
fn a_mistake_in_a_drivers_configuration_fails_its_task_and_is_named() {
    Fleet::scenario(|fleet| {
        let site = site(fleet)?;
        let containers = site.agents[0].machine.containers()?;
        site.submit_job(&job("odd", GOOD).replace("image =", "imagee ="))?;
        let rows = site.await_allocations("odd", "the allocation to fail", |rows| {
            rows.iter().any(|row| row["Status"] == "failed")
        })?;
        let status = site.alloc_status(&rows[0]["ID"])?;
        ensure!(status.contains("imagee"), "{status}");
        is_steady(&site, &containers)
    });
}

#[test]
fn an_unknown_node_job_and_allocation_are_named() {
    Fleet::scenario(|fleet| {
        let site = Site::start(fleet, Vec::new())?;
        for (args, part) in [
            (["node", "status", "deadbeef"], "deadbeef"),
            (["job", "status", "nosuch"], "nosuch"),
            (["alloc", "status", "deadbeef"], "deadbeef"),
        ] {
            let printed = site.try_edgectl(&args)?;
            ensure!(printed.code == Some(1), "{args:?}: {printed:?}");
            let said = format!("{}{}", printed.stdout, printed.stderr);
            ensure!(said.contains(part), "{args:?}: {said}");
        }
        Ok(())
    });
}

#[test]
fn an_image_that_is_missing_offline_fails_its_task_and_nothing_else() {
    Fleet::scenario(|fleet| {
        let site = site(fleet)?;
        let containers = site.agents[0].machine.containers()?;
        site.submit_job(&job("absent", "registry.invalid/absent:1"))?;
        let rows = site.await_allocations("absent", "the allocation to fail", |rows| {
            rows.iter().any(|row| row["Status"] == "failed")
        })?;
        let status = site.alloc_status(&rows[0]["ID"])?;
        ensure!(
            status.contains("Driver Failure") && status.contains("registry.invalid/absent:1"),
            "{status}"
        );
        is_steady(&site, &containers)
    });
}

#[test]
fn a_box_without_podman_says_so_and_gets_no_containers() {
    Fleet::scenario(|fleet| {
        let site = Site::start(fleet, vec![AgentPlan::new("bare")])?;
        site.submit_job(&job("web", GOOD))?;
        let status = wait_for("the placement to fail", PATIENCE, || {
            let status = site.edgectl(&["job", "status", "web"])?;
            ensure!(status.contains("Placement Failure"), "{status}");
            Ok(status)
        })?;
        ensure!(status.contains("missing drivers"), "{status}");
        Ok(())
    });
}

#[test]
fn podman_that_died_is_found_again_and_its_containers_never_stopped() {
    Fleet::scenario(|fleet| {
        let mut site = site(fleet)?;
        let containers = site.agents[0].machine.containers()?;
        site.agents[0].machine.kill_podman()?;
        site.agents[0].machine.restart_podman()?;
        site.run_job(&job("later", GOOD))?;
        is_steady(&site, &containers)
    });
}

#[test]
fn podman_that_hangs_stops_nothing_and_is_used_again_when_it_answers() {
    Fleet::scenario(|fleet| {
        let mut site = site(fleet)?;
        let containers = site.agents[0].machine.containers()?;
        // Whoever asks podman hangs as well, this test included: it looks at the processes instead.
        let server = |site: &Site| site.agents[0].machine.run("pgrep", &["-x", "httpd"]);
        let process = wait_for("the server", PATIENCE, || server(&site))?;
        site.agents[0].machine.signal_podman(Signal::STOP)?;
        let alive = site.agents[0].edgectl()?.run(&["local", "status"])?;
        ensure!(alive.contains("steady"), "{alive}");
        site.agents[0].await_status(&site.coordinator, "ready", PATIENCE)?;
        ensure!(server(&site)? == process, "the container was touched");

        site.agents[0].machine.signal_podman(Signal::CONT)?;
        site.run_job(&job("later", GOOD))?;
        is_steady(&site, &containers)
    });
}

#[test]
fn a_second_agent_with_the_id_of_a_living_one_does_not_disturb_it() {
    Fleet::scenario(|fleet| {
        let mut site = site(fleet)?;
        let containers = site.agents[0].machine.containers()?;
        let node = site.agents[0].node(&site.coordinator)?;
        let id = node["ID"].as_str().unwrap_or_default().to_owned();
        let clone = AgentPlan::new("clone").flag("--node-id").flag(id.clone());
        let clone = Agent::start(fleet, &site.coordinator, clone)?;
        // Whatever the clone is told, the node stays the one that it was, and its tasks stay where they are.
        wait_for("the clone to be refused", PATIENCE, || {
            let log = fs::read_to_string(clone.machine.dir().join("agent.log"))?;
            ensure!(log.contains("refuses this node"), "{log}");
            Ok(())
        })?;
        site.agents[0].await_status(&site.coordinator, "ready", PATIENCE)?;
        drop(clone);
        let node = site.coordinator.read(&format!("/v1/node/{id}"))?;
        ensure!(node["Name"] == "edge-1", "{}", node["Name"]);
        site.agents.truncate(1);
        is_steady(&site, &containers)
    });
}

#[test]
fn an_agent_with_a_wrong_token_is_told_so_and_never_becomes_a_node() {
    Fleet::scenario(|fleet| {
        let plan = CoordinatorPlan {
            flags: vec!["--enrolment-token".to_owned(), "right".to_owned()],
            ..CoordinatorPlan::default()
        };
        let mut site = Site::start_with(fleet, plan, Vec::new())?;
        let token = |name: &str, token: &str| AgentPlan::new(name).flag("--enrolment-token").flag(token);
        let mut stranger = Agent::start(fleet, &site.coordinator, token("stranger", "wrong"))?;
        site.agents
            .push(Agent::start(fleet, &site.coordinator, token("edge-1", "right"))?);
        site.agents[0].await_status(&site.coordinator, "ready", PATIENCE)?;

        wait_for("the stranger to be told", PATIENCE, || {
            let log = fs::read_to_string(stranger.machine.dir().join("agent.log"))?;
            ensure!(log.contains("refuses this node"), "{log}");
            Ok(())
        })?;
        ensure!(
            stranger.is_running(),
            "what a box runs does not depend on its password"
        );
        ensure!(stranger.node(&site.coordinator).is_err(), "a stranger was let in");
        Ok(())
    });
}
