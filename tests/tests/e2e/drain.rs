//! Emptying nodes, as an operator does it: step by step, at a deadline, at once, and called off.

use anyhow::ensure;
use holdfast_tests::edgectl::{Row, field, table};
use holdfast_tests::site::{PATIENCE, Site, shown};
use holdfast_tests::{AgentPlan, Fleet, wait_for};
use rustix::process::Signal;

/// A job of plain processes that end only when they are told to.
fn job(name: &str, kind: &str, group: &str) -> String {
    format!(
        r#"
job "{name}" {{
  datacenters = ["dc1"]
  type        = "{kind}"
  group "g" {{
    {group}
    task "sleep" {{
      driver = "raw_exec"
      config {{
        command = "/bin/sleep"
        args    = ["86400"]
      }}
      kill_timeout = "1s"
      resources {{
        cpu    = 20
        memory = 16
      }}
    }}
  }}
}}
"#
    )
}

/// A service of `count` whose allocations count as healthy once they run.
fn service(count: u32) -> String {
    let group = format!(
        r#"count = {count}
    update {{
      min_healthy_time = "0s"
    }}
    migrate {{
      max_parallel     = 1
      min_healthy_time = "0s"
    }}"#
    );
    job("web", "service", &group)
}

/// A node that runs the service, and what it is called.
fn site_with_service(fleet: &Fleet, count: u32) -> anyhow::Result<(Site, String)> {
    let site = Site::start(fleet, vec![AgentPlan::new("edge-1")])?;
    site.run_job(&service(count))?;
    let rows = site.allocations("web")?;
    ensure!(rows.len() == count as usize, "{}", shown(&rows));
    let node = rows[0]["Node ID"].clone();
    Ok((site, node))
}

fn runs(row: &Row) -> bool {
    row["Desired"] == "run" && row["Status"] == "running"
}

/// A second node joins.
fn join(fleet: &Fleet, site: &mut Site) -> anyhow::Result<()> {
    let agent = holdfast_tests::Agent::start(fleet, &site.coordinator, AgentPlan::new("edge-2"))?;
    agent.await_status(&site.coordinator, "ready", PATIENCE)?;
    site.agents.push(agent);
    Ok(())
}

/// What `node status` says of a node's newest event.
fn last_event(status: &str) -> anyhow::Result<String> {
    Ok(table(status, "Time")?[0]["Message"].clone())
}

#[test]
fn a_node_is_emptied_step_by_step_while_the_operator_watches() {
    Fleet::scenario(|fleet| {
        let (mut site, node) = site_with_service(fleet, 3)?;
        join(fleet, &mut site)?;
        let printed = site.edgectl(&["node", "drain", "-enable", "-yes", "-m", "new disk", &node])?;
        let count = |text: &str| printed.lines().filter(|line| line.contains(text)).count();
        for (text, times) in [
            ("drain strategy set", 1),
            ("marked for migration", 3),
            ("status running -> complete", 3),
            ("Drain complete for node", 1),
            ("All allocations on node", 1),
        ] {
            ensure!(
                count(text) == times,
                "{text:?} is not told {times} times:\n{printed}"
            );
        }
        let moved = |rows: &[Row]| {
            rows.iter()
                .filter(|row| runs(row) && row["Node ID"] != node)
                .count()
                == 3
        };
        let rows = site.await_allocations("web", "three on the other node", moved)?;
        ensure!(
            rows.iter().all(|row| runs(row) || row["Node ID"] == node),
            "{}",
            shown(&rows)
        );
        let status = site.edgectl(&["node", "status", &node])?;
        ensure!(
            field(&status, "Drain")? == "false" && field(&status, "Eligibility")? == "ineligible",
            "{status}"
        );
        ensure!(last_event(&status)? == "Node drain complete", "{status}");

        site.edgectl(&["node", "eligibility", "-enable", &node])?;
        let status = site.edgectl(&["node", "status", &node])?;
        ensure!(field(&status, "Eligibility")? == "eligible", "{status}");
        Ok(())
    });
}

#[test]
fn what_is_left_at_the_deadline_is_ended_and_batch_work_has_no_successor() {
    Fleet::scenario(|fleet| {
        let (mut site, node) = site_with_service(fleet, 1)?;
        site.submit_job(&job("sum", "batch", ""))?;
        let batch = site.await_only_running("sum")?;
        ensure!(batch["Node ID"] == node, "{batch:?}");
        join(fleet, &mut site)?;
        let printed = site.edgectl(&["node", "drain", "-enable", "-yes", "-deadline", "4s", &node])?;
        // The service went first; the batch work was left alone until the deadline.
        let place = |text: &str| printed.lines().position(|line| line.contains(text));
        let service = site.allocations("web")?;
        let service = service
            .iter()
            .find(|row| row["Node ID"] == node)
            .map(|row| row["ID"].clone());
        let moved = place(&format!("Alloc \"{}", service.unwrap_or_default()));
        let ended = place(&format!("Alloc \"{}", batch["ID"]));
        ensure!(moved.is_some() && moved < ended, "{printed}");
        let status = site.edgectl(&["node", "status", "-verbose", &node])?;
        ensure!(status.contains("deadline_reached = true"), "{status}");
        let rows = site.await_allocations("sum", "the batch work to have ended", |rows| {
            rows.iter().all(|row| row["Status"] == "complete")
        })?;
        ensure!(
            rows.len() == 1 && rows[0]["Desired"] == "stop",
            "{}",
            shown(&rows)
        );
        Ok(())
    });
}

#[test]
fn by_force_everything_ends_at_once_but_system_jobs_that_are_spared() {
    Fleet::scenario(|fleet| {
        let (site, node) = site_with_service(fleet, 2)?;
        site.submit_job(&job("log", "system", ""))?;
        site.await_only_running("log")?;
        let drain = ["node", "drain", "-enable", "-yes", "-force", "-detach"];
        site.edgectl(&[&drain[..], &["-ignore-system", &node]].concat())?;
        site.await_allocations("web", "the service to have ended", |rows| {
            rows.iter()
                .all(|row| row["Status"] == "complete" && row["Desired"] == "stop")
        })?;
        let spared = site.await_only_running("log")?;
        ensure!(runs(&spared), "{spared:?}");

        site.edgectl(&[&drain[..], &[&node]].concat())?;
        site.await_allocations("log", "the system job to have ended", |rows| {
            rows.iter()
                .all(|row| row["Status"] == "complete" && row["Desired"] == "stop")
        })?;
        site.edgectl(&["node", "drain", "-disable", "-yes", &node])?;
        site.await_allocations("web", "the service to be back", |rows| {
            rows.iter().filter(|row| runs(row)).count() == 2
        })?;
        site.await_allocations("log", "the system job to be back", |rows| rows.iter().any(runs))?;
        Ok(())
    });
}

#[test]
fn a_drain_that_cannot_go_on_outlives_the_coordinator_until_it_is_called_off() {
    Fleet::scenario(|fleet| {
        let (mut site, node) = site_with_service(fleet, 3)?;
        site.edgectl(&[
            "node",
            "drain",
            "-enable",
            "-yes",
            "-detach",
            "-no-deadline",
            &node,
        ])?;
        // Nowhere to go: one ends, and the others stay, for the group can do without one and no more.
        let running = |rows: &[Row]| rows.iter().filter(|row| runs(row)).count();
        site.await_allocations("web", "one to have ended", |rows| {
            running(rows) == 2 && rows.iter().any(|row| row["Status"] == "complete")
        })?;
        site.coordinator.kill(Signal::KILL)?;
        site.coordinator.restart()?;
        site.agents[0].await_status(&site.coordinator, "ready", PATIENCE)?;
        let status = site.edgectl(&["node", "status", &node])?;
        ensure!(field(&status, "Drain")? == "true", "{status}");
        ensure!(running(&site.allocations("web")?) == 2);

        site.edgectl(&["node", "drain", "-disable", "-keep-ineligible", "-yes", &node])?;
        let status = site.edgectl(&["node", "status", &node])?;
        ensure!(
            field(&status, "Drain")? == "false" && field(&status, "Eligibility")? == "ineligible",
            "{status}"
        );
        ensure!(running(&site.allocations("web")?) == 2);
        site.edgectl(&["node", "eligibility", "-enable", &node])?;
        wait_for("all three to run again", PATIENCE, || {
            let rows = site.allocations("web")?;
            ensure!(running(&rows) == 3, "{}", shown(&rows));
            Ok(())
        })
    });
}
