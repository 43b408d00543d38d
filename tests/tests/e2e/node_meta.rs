//! What operators say of a node while it runs: jobs are placed by it, tasks know it, and nothing makes it forget.

use anyhow::ensure;
use holdfast_tests::edgectl::{Row, table};
use holdfast_tests::site::{PATIENCE, Site};
use holdfast_tests::{AgentPlan, Fleet, wait_for};
use rustix::process::Signal;
use serde_json::{Value, json};

/// A service that runs only where somebody said that the colour is blue, and knows of the rack.
const JOB: &str = r#"
job "painter" {
  group "app" {
    constraint {
      attribute = "${meta.color}"
      value     = "blue"
    }
    update {
      min_healthy_time = "0s"
    }
    task "paint" {
      driver = "raw_exec"
      config {
        command = "/bin/sh"
        args    = ["-c", "echo rack $RACK > ${NOMAD_TASK_DIR}/rack; exec sleep 86400"]
      }
      env {
        RACK = "${meta.rack}"
      }
      kill_timeout = "1s"
      resources {
        cpu    = 20
        memory = 16
      }
    }
  }
}
"#;

fn meta(site: &Site, node: &str) -> anyhow::Result<Value> {
    let text = site.edgectl(&["node", "meta", "read", "-json", "-node-id", node])?;
    Ok(serde_json::from_str(&text)?)
}

fn nodes(site: &Site) -> anyhow::Result<Vec<Row>> {
    table(&site.edgectl(&["node", "status"])?, "ID")
}

#[test]
fn meta_that_is_set_on_a_node_places_what_waited_for_it_and_outlives_restarts() {
    Fleet::scenario(|fleet| {
        let plan = |name: &str| AgentPlan::new(name).flag("--meta").flag("rack=r1");
        let mut site = Site::start(fleet, vec![plan("edge-1"), plan("edge-2")])?;
        site.submit_job(JOB)?;
        let none = site.edgectl(&["job", "status", "painter"])?;
        ensure!(none.contains("${meta.color} = blue"), "{none}");

        let second = nodes(&site)?
            .into_iter()
            .find(|node| node["Name"] == "edge-2")
            .expect("it joined")["ID"]
            .clone();
        site.edgectl(&[
            "node",
            "meta",
            "apply",
            "-node-id",
            &second,
            "color=blue",
            "rack=r2",
        ])?;
        let placed = site.await_only_running("painter")?;
        ensure!(placed["Node ID"] == second, "{placed:?}");
        let rack = format!("alloc/{}/paint/local/rack", alloc_id(&site)?);
        let file = site.agents[1].data_dir().join(rack);
        wait_for("the task to tell its rack", PATIENCE, || {
            let text = std::fs::read_to_string(&file)?;
            ensure!(text == "rack r2\n", "{text:?}");
            Ok(())
        })?;

        let expected = json!({"Meta": {"color": "blue", "rack": "r2"},
            "Dynamic": {"color": "blue", "rack": "r2"}, "Static": {"rack": "r1"}});
        ensure!(meta(&site, &second)? == expected, "{}", meta(&site, &second)?);
        site.agents[1].kill(Signal::KILL)?;
        site.agents[1].restart()?;
        site.coordinator.kill(Signal::KILL)?;
        site.coordinator.restart()?;
        site.agents[1].await_status(&site.coordinator, "ready", PATIENCE)?;
        wait_for("the node to be known as before", PATIENCE, || {
            let found = meta(&site, &second)?;
            ensure!(found == expected, "{found}");
            Ok(())
        })?;

        site.edgectl(&["node", "meta", "apply", "-node-id", &second, "-unset=color,rack"])?;
        let expected = json!({"Meta": {}, "Dynamic": {"rack": null}, "Static": {"rack": "r1"}});
        ensure!(meta(&site, &second)? == expected, "{}", meta(&site, &second)?);
        let wrong = site.try_edgectl(&["node", "meta", "apply", "-node-id", &second, "a b=c"])?;
        ensure!(
            wrong.code == Some(1) && wrong.stderr.contains("invalid metadata key \"a b\""),
            "{wrong:?}"
        );
        site.edgectl(&["system", "reconcile", "summaries"])?;
        Ok(())
    });
}

fn alloc_id(site: &Site) -> anyhow::Result<String> {
    let list = site.coordinator.read("/v1/job/painter/allocations")?;
    Ok(list[0]["ID"].as_str().unwrap_or_default().to_owned())
}
