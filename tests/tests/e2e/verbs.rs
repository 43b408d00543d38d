//! What operators do with what runs: restarted in place or elsewhere, started again, and found by a name.

use anyhow::{Context as _, ensure};
use holdfast_tests::edgectl::{field, table};
use holdfast_tests::site::{PATIENCE, Site, shown};
use holdfast_tests::{AgentPlan, Fleet, wait_for};
use serde_json::{Value, json};

/// A service of two plain processes; the release makes a new version of it.
fn service(release: u32) -> String {
    format!(
        r#"
job "web" {{
  group "app" {{
    count = 2
    update {{
      max_parallel     = 2
      min_healthy_time = "0s"
    }}
    task "server" {{
      driver = "raw_exec"
      config {{
        command = "/bin/sleep"
        args    = ["86400"]
      }}
      env {{
        RELEASE = "{release}"
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

/// How often the task of each running allocation of the job was restarted.
fn restarts(site: &Site) -> anyhow::Result<Vec<u64>> {
    let list = site.coordinator.read("/v1/job/web/allocations")?;
    let running = list
        .as_array()
        .into_iter()
        .flatten()
        .filter(|it| it["ClientStatus"] == "running");
    running
        .map(|it| {
            let count = &it["TaskStates"]["server"]["Restarts"];
            count.as_u64().with_context(|| format!("no count in {it}"))
        })
        .collect()
}

#[test]
fn a_job_is_restarted_in_place_or_replaced_and_started_again_once_it_was_stopped() {
    Fleet::scenario(|fleet| {
        let mut site = Site::start(fleet, vec![AgentPlan::new("edge-1")])?;
        site.run_job(&service(0))?;
        let before = site.allocations("web")?;
        let text = site.edgectl(&["job", "restart", "-yes", "web"])?;
        ensure!(text.ends_with("Job restarted successfully!\n"), "{text}");
        ensure!(restarts(&site)? == [1, 1], "{:?}", restarts(&site)?);
        let status = site.alloc_status(&before[0]["ID"])?;
        let events = table(&status, "Time")?;
        ensure!(
            events.iter().any(|it| it["Type"] == "Restart Signaled"),
            "{status}"
        );

        let text = site.edgectl(&["job", "restart", "-yes", "-reschedule", "-batch-size=100%", "web"])?;
        ensure!(text.matches("replaced by").count() == 2, "{text}");
        let rows = site.allocations("web")?;
        let fresh = |id: &str| before.iter().all(|row| row["ID"] != id);
        let running: Vec<_> = rows.iter().filter(|row| row["Status"] == "running").collect();
        ensure!(
            running.len() == 2 && running.iter().all(|row| fresh(&row["ID"])),
            "{}",
            shown(&rows)
        );

        site.edgectl(&["job", "stop", "web"])?;
        let refused = site.try_edgectl(&["job", "restart", "-yes", "web"])?;
        ensure!(
            refused.stdout.contains("No allocations to restart"),
            "{refused:?}"
        );
        site.edgectl(&["job", "start", "web"])?;
        site.await_allocations("web", "two running allocations", |rows| {
            rows.iter().filter(|row| row["Status"] == "running").count() == 2
        })?;
        let refused = site.try_edgectl(&["job", "start", "web"])?;
        ensure!(
            refused.code == Some(1) && refused.stderr.contains("has not been stopped"),
            "{refused:?}"
        );
        unreachable_allocations_are_not_restarted(&mut site)
    });
}

/// A node out of contact gets no orders, not even later.
fn unreachable_allocations_are_not_restarted(site: &mut Site) -> anyhow::Result<()> {
    let rows = site.allocations("web")?;
    let alloc = &rows
        .iter()
        .find(|row| row["Status"] == "running")
        .context("one runs")?["ID"];
    site.cut(0)?;
    site.agents[0].await_status(&site.coordinator, "down", PATIENCE)?;
    let refused = site.try_edgectl(&["alloc", "restart", alloc])?;
    ensure!(
        refused.code == Some(1) && refused.stderr.contains("No path to node"),
        "{refused:?}"
    );
    site.heal(0)?;
    site.agents[0].await_status(&site.coordinator, "ready", PATIENCE)?;
    Ok(())
}

#[test]
fn a_tagged_version_outlives_its_time_and_is_returned_to_by_its_name() {
    Fleet::scenario(|fleet| {
        let site = Site::start(fleet, vec![AgentPlan::new("edge-1")])?;
        site.run_job(&service(0))?;
        site.edgectl(&[
            "job",
            "tag",
            "apply",
            "-name=golden",
            "-description=it works",
            "web",
        ])?;
        for release in 1..9 {
            site.submit_job(&service(release))?;
        }
        let history = site.edgectl(&["job", "history", "-tag=golden", "web"])?;
        ensure!(
            field(&history, "Version")? == "0" && field(&history, "Tag Description")? == "it works",
            "{history}"
        );
        let all = site.edgectl(&["job", "history", "-diff-tag=golden", "web"])?;
        ensure!(all.contains("+/- Env[RELEASE]: \"0\" => \"8\""), "{all}");
        // Six are kept, whichever of them were stable or in use meanwhile, and the tagged one.
        let kept = all.lines().filter(|line| line.starts_with("Version ")).count();
        ensure!(kept == 7, "{kept} versions are kept: {all}");
        site.edgectl(&["job", "revert", "-detach", "web", "golden"])?;
        wait_for("release 0 to run again", PATIENCE, || {
            let job = site.coordinator.read("/v1/job/web")?;
            let release = job.pointer("/TaskGroups/0/Tasks/0/Env/RELEASE");
            ensure!(release == Some(&json!("0")), "{release:?}");
            ensure!(job["VersionTag"] == Value::Null, "the tag came along: {job}");
            Ok(())
        })?;
        site.edgectl(&["job", "tag", "unset", "-name=golden", "web"])?;
        let gone = site.try_edgectl(&["job", "revert", "web", "golden"])?;
        ensure!(gone.code == Some(1), "{gone:?}");
        Ok(())
    });
}
