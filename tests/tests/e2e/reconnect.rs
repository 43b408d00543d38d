//! Who lives on when a node comes back: every case beside the document's own.

use std::fs;

use anyhow::{Context as _, ensure};
use holdfast_tests::edgectl::Row;
use holdfast_tests::{Agent, AgentPlan, Fleet, wait_for};
use rustix::process::Signal;

use holdfast_tests::site::{HELLO, PATIENCE, Site};

/// A job of one container that may be away for `away`; `version` makes one registration differ from the next.
fn job(away: &str, version: u32) -> String {
    format!(
        r#"
job "web" {{
  datacenters = ["dc1"]
  group "web" {{
    max_client_disconnect = "{away}"
    network {{
      port "http" {{}}
    }}
    update {{
      min_healthy_time = "0s"
    }}
    restart {{
      attempts = 0
      mode     = "fail"
    }}
    service {{
      name     = "web"
      port     = "http"
      provider = "nomad"
    }}
    task "web" {{
      driver = "docker"
      config {{
        image = "holdfast/hello:1"
        ports = ["http"]
      }}
      env {{
        PORT    = "${{NOMAD_PORT_http}}"
        RELEASE = "{version}"
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

fn node(name: &str) -> AgentPlan {
    AgentPlan::new(name).images(HELLO)
}

/// Two nodes, and the job on one of them.
fn site_with_job(fleet: &Fleet, away: &str) -> anyhow::Result<(Site, Row)> {
    let site = Site::start(fleet, vec![node("edge-1"), node("edge-2")])?;
    site.run_job(&job(away, 0))?;
    let original = site.await_only_running("web")?;
    Ok((site, original))
}

/// The only instance that `service info` lists belongs to `allocation` and answers.
fn is_the_only_service(site: &Site, allocation: &Row) -> anyhow::Result<()> {
    let services = wait_for("one service instance", PATIENCE, || {
        let services = site.services("web")?;
        ensure!(
            services.len() == 1 && services[0]["Alloc ID"] == allocation["ID"],
            "{services:?}"
        );
        Ok(services)
    })?;
    site.ask(&services[0]["Address"])?;
    Ok(())
}

fn await_no_containers(agent: &Agent) -> anyhow::Result<()> {
    wait_for(&format!("nothing to run on {}", agent.name()), PATIENCE, || {
        let containers = agent.machine.containers()?;
        ensure!(containers.is_empty(), "{containers:?}");
        Ok(())
    })
}

#[test]
fn a_replacement_on_a_node_of_higher_rank_stays() {
    Fleet::scenario(|fleet| {
        let mut site = Site::start(fleet, vec![node("edge-1")])?;
        site.run_job(&job("1h", 0))?;
        let original = site.await_only_running("web")?;
        // Nearly full once it runs the job: bin packing ranks it far above the big node.
        let mut small = node("edge-2");
        small
            .flags
            .extend(["--reserved-memory".to_owned(), (memory_mb()? - 80).to_string()]);
        site.agents.push(Agent::start(fleet, &site.coordinator, small)?);
        site.agents[1].await_status(&site.coordinator, "ready", PATIENCE)?;

        let (index, replacement) = site.cut_off("web", &original)?;
        site.heal(index)?;
        let stopped = site.await_status("web", &original["ID"], "complete")?;
        ensure!(stopped["Desired"] == "stop", "{stopped:?}");
        let survivor = site.allocation("web", &replacement["ID"])?;
        ensure!(
            survivor["Status"] == "running" && survivor["Desired"] == "run",
            "{survivor:?}"
        );
        is_the_only_service(&site, &replacement)?;
        await_no_containers(&site.agents[index])
    });
}

/// Memory of this computer, which is the memory of every node.
fn memory_mb() -> anyhow::Result<u64> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let total = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .context("no MemTotal")?;
    let kib: u64 = total.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024)
}

#[test]
fn the_newest_version_stays_when_one_was_registered_meanwhile() {
    Fleet::scenario(|fleet| {
        let (site, original) = site_with_job(fleet, "1h")?;
        let (index, _) = site.cut_off("web", &original)?;
        site.submit_job(&job("1h", 1))?;
        let is_newest = |row: &Row| row["Version"] == "1" && row["Status"] == "running";
        let rows =
            site.await_allocations("web", "the new version to run", |rows| rows.iter().any(is_newest))?;
        let newest = rows.into_iter().find(is_newest).unwrap();

        site.heal(index)?;
        site.await_status("web", &original["ID"], "complete")?;
        let running = |rows: &[Row]| {
            let running: Vec<&Row> = rows.iter().filter(|row| row["Status"] == "running").collect();
            running.len() == 1 && running[0]["ID"] == newest["ID"]
        };
        site.await_allocations("web", "only the newest version to run", running)?;
        is_the_only_service(&site, &newest)?;
        await_no_containers(&site.agents[index])
    });
}

#[test]
fn nothing_stays_when_the_job_was_stopped_meanwhile() {
    Fleet::scenario(|fleet| {
        let (site, original) = site_with_job(fleet, "1h")?;
        let (index, _) = site.cut_off("web", &original)?;
        site.edgectl(&["job", "stop", "-detach", "web"])?;
        ensure!(
            !site.agents[index].machine.containers()?.is_empty(),
            "absence is never an order"
        );

        site.heal(index)?;
        site.await_allocations("web", "everything to end", |rows| {
            rows.iter()
                .all(|row| row["Desired"] == "stop" && row["Status"] == "complete")
        })?;
        await_no_containers(&site.agents[0])?;
        await_no_containers(&site.agents[1])
    });
}

#[test]
fn the_replacement_stays_when_the_original_failed_meanwhile() {
    Fleet::scenario(|fleet| {
        let (site, original) = site_with_job(fleet, "1h")?;
        let (index, replacement) = site.cut_off("web", &original)?;
        site.agents[index].machine.podman(&["kill", "--all"])?;
        await_no_containers(&site.agents[index])?;
        wait_for("the agent to know", PATIENCE, || {
            let status = site.agents[index].edgectl()?.run(&["local", "status"])?;
            ensure!(status.contains("failed"), "{status}");
            Ok(())
        })?;

        site.heal(index)?;
        site.await_status("web", &original["ID"], "failed")?;
        let survivor = site.await_status("web", &replacement["ID"], "running")?;
        ensure!(survivor["Desired"] == "run", "{survivor:?}");
        is_the_only_service(&site, &replacement)?;
        await_no_containers(&site.agents[index])
    });
}

#[test]
fn the_replacement_stays_when_the_original_was_away_for_too_long() {
    Fleet::scenario(|fleet| {
        let (site, original) = site_with_job(fleet, "6s")?;
        let (index, replacement) = site.cut_off("web", &original)?;
        site.await_status("web", &original["ID"], "lost")?;
        ensure!(
            !site.agents[index].machine.containers()?.is_empty(),
            "absence is never an order"
        );

        site.heal(index)?;
        await_no_containers(&site.agents[index])?;
        let survivor = site.await_status("web", &replacement["ID"], "running")?;
        ensure!(survivor["Desired"] == "run", "{survivor:?}");
        is_the_only_service(&site, &replacement)
    });
}

#[test]
fn the_original_stays_when_its_agent_was_killed_meanwhile() {
    Fleet::scenario(|fleet| {
        let (mut site, original) = site_with_job(fleet, "1h")?;
        let (index, replacement) = site.cut_off("web", &original)?;
        let containers = site.agents[index].machine.containers()?;
        site.agents[index].kill(Signal::KILL)?;
        site.agents[index].restart()?;
        wait_for("the agent to have adopted its task", PATIENCE, || {
            let status = site.agents[index].edgectl()?.run(&["local", "status"])?;
            ensure!(status.contains("running"), "{status}");
            Ok(())
        })?;

        site.heal(index)?;
        site.await_status("web", &replacement["ID"], "complete")?;
        site.await_status("web", &original["ID"], "running")?;
        ensure!(
            site.agents[index].machine.containers()? == containers,
            "the task was restarted, not adopted"
        );
        is_the_only_service(&site, &original)
    });
}
