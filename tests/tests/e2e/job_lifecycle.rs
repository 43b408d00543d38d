//! The document about the life of a job: rolling updates with health gates; and the jobs that end, or launch others.

use anyhow::{Context as _, ensure};
use holdfast_tests::edgectl::{field, table};
use holdfast_tests::site::{HELLO, PATIENCE, Site};
use holdfast_tests::{AgentPlan, Fleet, wait_for};
use serde_json::Value;

/// A service in three copies, of which `parallel` are updated at a time.
fn example(parallel: u32, release: u32) -> String {
    format!(
        r#"
job "example" {{
  update {{
    max_parallel      = {parallel}
    health_check      = "checks"
    min_healthy_time  = "2s"
    healthy_deadline  = "1m"
    progress_deadline = "2m"
    auto_revert       = true
  }}
  group "web" {{
    count = 3
    network {{
      port "http" {{}}
    }}
    service {{
      name     = "example"
      port     = "http"
      provider = "nomad"
      check {{
        type     = "http"
        path     = "/"
        interval = "1s"
        timeout  = "1s"
      }}
    }}
    task "web" {{
      driver = "docker"
      config {{
        image = "holdfast/hello:1"
        ports = ["http"]
      }}
      env {{
        PORT    = "${{NOMAD_PORT_http}}"
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

/// A job whose one task runs `script` in a shell.
fn script(id: &str, head: &str, task: &str, script: &str) -> String {
    format!(
        r#"
job "{id}" {{
  {head}
  group "g" {{
    restart {{
      attempts = 0
      mode     = "fail"
    }}
    task "t" {{
      driver = "docker"
      config {{
        image   = "holdfast/hello:1"
        command = "sh"
        args    = ["-c", {script:?}]
      }}
      {task}
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

#[test]
fn a_job_is_updated_one_by_one_or_in_parallel_as_its_health_allows() {
    Fleet::scenario(|fleet| {
        let node = |name: &str| AgentPlan::new(name).images(HELLO);
        let site = Site::start(fleet, vec![node("edge-1"), node("edge-2")])?;
        site.run_job(&example(1, 0))?;
        let text = site.run_job(&example(1, 1))?;
        ensure!(
            text.contains("Description = Deployment completed successfully"),
            "{text}"
        );
        let serial = times(&site, 1)?;
        ensure!(
            serial.windows(2).all(|pair| pair[0].1 <= pair[1].0),
            "one was placed before the one before it was healthy: {serial:?}"
        );
        // The number changes in place, and counts from the next change on.
        site.run_job(&example(3, 1))?;
        site.run_job(&example(3, 2))?;
        let parallel = times(&site, 3)?;
        let first_healthy = parallel.iter().map(|(_, healthy)| *healthy).min();
        ensure!(
            parallel.iter().all(|(created, _)| Some(*created) < first_healthy),
            "they were not placed at once: {parallel:?}"
        );
        scale_and_plan(&site)
    });
}

/// At which index each allocation of a version was placed, and at which it was found healthy; in the order of placement.
fn times(site: &Site, version: u64) -> anyhow::Result<Vec<(u64, u64)>> {
    let list = site.coordinator.read("/v1/job/example/allocations")?;
    let placed = list.as_array().into_iter().flatten().filter(|it| {
        it["JobVersion"] == version && it["DesiredStatus"] == "run" && it["ClientStatus"] == "running"
    });
    let mut times: Vec<(u64, u64)> = placed
        .map(|it| {
            let index = |value: &Value| value.as_u64().with_context(|| format!("no index in {it}"));
            Ok((
                index(&it["CreateIndex"])?,
                index(&it["DeploymentStatus"]["ModifyIndex"])?,
            ))
        })
        .collect::<anyhow::Result<_>>()?;
    times.sort_unstable();
    ensure!(times.len() == 3, "{times:?}");
    Ok(times)
}

/// A count changed on the command line, remembered, and a plan of what does not fit.
fn scale_and_plan(site: &Site) -> anyhow::Result<()> {
    site.edgectl(&["job", "scale", "example", "web", "2"])?;
    site.await_allocations("example", "two running allocations", |rows| {
        rows.iter().filter(|row| row["Status"] == "running").count() == 2
    })?;
    let events = table(
        &site.edgectl(&["job", "scaling-events", "example"])?,
        "Task Group",
    )?;
    ensure!(
        events.len() == 1 && events[0]["Count"] == "2" && events[0]["PrevCount"] == "3",
        "{events:?}"
    );
    let large = example(3, 3).replace("cpu    = 20", "cpu    = 900000");
    let file = site.write_job(&large)?;
    let planned = site.try_edgectl(&["job", "plan", &file.to_string_lossy()])?;
    ensure!(
        planned
            .stdout
            .contains("- WARNING: Failed to place all allocations.\n")
            && planned
                .stdout
                .contains("* Dimension \"cpu\" exhausted on 2 nodes"),
        "{planned:?}"
    );
    let source = site.coordinator.read("/v1/job/example/submission?version=0")?;
    ensure!(source["Source"] == example(1, 0), "{source}");
    Ok(())
}

#[test]
fn jobs_of_every_type_run_as_often_as_they_should_and_launch_others() {
    Fleet::scenario(|fleet| {
        let node = |name: &str| AgentPlan::new(name).images(HELLO);
        let mut site = Site::start(fleet, vec![node("edge-1"), node("edge-2")])?;
        site.run_job(&script("once", "type = \"batch\"", "", "exit 0"))?;
        await_job(&site, "once", "dead", &["complete"])?;
        site.run_job(&script("all-once", "type = \"sysbatch\"", "", "exit 0"))?;
        await_job(&site, "all-once", "dead", &["complete", "complete"])?;
        let text = site.run_job(&script("all", "type = \"system\"", "", "sleep 1000"))?;
        ensure!(
            text.contains("Description = Deployment completed successfully"),
            "{text}"
        );
        await_job(&site, "all", "running", &["running", "running"])?;
        dispatch(&site)?;
        periodic(&mut site)
    });
}

/// Waits until a job has this status, and its allocations have these.
fn await_job(site: &Site, id: &str, status: &str, clients: &[&str]) -> anyhow::Result<()> {
    wait_for(&format!("{id} to be {status}"), PATIENCE, || {
        let text = site.edgectl(&["job", "status", id])?;
        ensure!(field(&text, "Status")? == status, "{text}");
        let rows = table(text.split("\nAllocations\n").nth(1).unwrap_or_default(), "ID")?;
        let found: Vec<&str> = rows.iter().map(|row| row["Status"].as_str()).collect();
        ensure!(found == clients, "{found:?}");
        Ok(())
    })
}

/// A parameterized job: its instance finds its payload and its meta.
fn dispatch(site: &Site) -> anyhow::Result<()> {
    let head = "type = \"batch\"\n  parameterized {\n    payload = \"required\"\n    meta_required = [\"file\"]\n  }";
    let task = "dispatch_payload {\n        file = \"in.txt\"\n      }";
    let check = "[ \"$(cat /local/in.txt)\" = \"hello there\" ] && [ \"$NOMAD_META_file\" = a.png ]";
    let text = site.run_job(&script("resize", head, task, check))?;
    ensure!(text.contains("Job registration successful"), "{text}");
    let payload = site.coordinator.machine.dir().join("payload");
    std::fs::write(&payload, "hello there")?;
    let payload = payload.to_string_lossy().into_owned();
    let refused = site.try_edgectl(&["job", "dispatch", "resize", &payload])?;
    ensure!(
        refused
            .stderr
            .contains("Dispatch did not provide required meta keys: [file]"),
        "{refused:?}"
    );
    let text = site.edgectl(&["job", "dispatch", "-meta", "file=a.png", "resize", &payload])?;
    let child = field(&text, "Dispatched Job ID")?.to_owned();
    await_job(site, &child, "dead", &["complete"])?;
    let text = site.edgectl(&["job", "status", "resize"])?;
    let children = table(&text, "Pending")?;
    ensure!(children[0]["Dead"] == "1" && text.contains(&child), "{text}");
    Ok(())
}

/// A periodic job: launched by the clock, on demand, and once for what was missed while the coordinator was down.
fn periodic(site: &mut Site) -> anyhow::Result<()> {
    let head = "type = \"batch\"\n  periodic {\n    crons = [\"*/2 * * * * * *\"]\n  }";
    let text = site.run_job(&script("ticks", head, "", "exit 0"))?;
    ensure!(text.contains("Approximate next launch time: "), "{text}");
    await_children(site, 2)?;
    let text = site.edgectl(&["job", "periodic", "force", "ticks"])?;
    ensure!(
        text.contains("Evaluation triggered by job \"ticks/periodic-"),
        "{text}"
    );
    site.coordinator.kill(rustix::process::Signal::KILL)?;
    site.coordinator.restart()?;
    let before = children(site)?.len();
    await_children(site, before + 2)?;
    let stopped = site.edgectl(&["job", "stop", "ticks"])?;
    ensure!(stopped.is_empty(), "{stopped}");
    let text = site.edgectl(&["job", "status", "ticks"])?;
    ensure!(
        field(&text, "Status")? == "dead (stopped)"
            && field(&text, "Next Periodic Launch")? == "none (job stopped)",
        "{text}"
    );
    Ok(())
}

fn children(site: &Site) -> anyhow::Result<Vec<Value>> {
    let list = site.coordinator.read("/v1/jobs?prefix=ticks/periodic-")?;
    Ok(list.as_array().cloned().unwrap_or_default())
}

/// Waits until this many instances of `ticks` are over.
fn await_children(site: &Site, count: usize) -> anyhow::Result<()> {
    wait_for(&format!("{count} instances of ticks"), PATIENCE, || {
        let list = children(site)?;
        let dead = list.iter().filter(|it| it["Status"] == "dead").count();
        ensure!(dead >= count, "{dead} of {} are over", list.len());
        Ok(())
    })
}
