//! The document about blue/green and canary deployments, with its job file; only `min_healthy_time` is shorter.

use anyhow::{Context as _, ensure};
use holdfast_tests::edgectl::{Row, field, table};
use holdfast_tests::site::{PATIENCE, Site, shown};
use holdfast_tests::{AgentPlan, Fleet, Image, wait_for};

/// The two versions of the document's server. They listen wherever there is room.
const API_SERVER: [Image; 2] = [
    Image {
        name: "docker.io/library/api-server:1.3",
        port: "echo 0",
    },
    Image {
        name: "docker.io/library/api-server:1.4",
        port: "echo 0",
    },
];

/// The document's job.
fn docs(canary: u32, auto_promote: bool, version: &str) -> String {
    format!(
        r#"
job "docs" {{
  group "api" {{
    count = 5
    update {{
      max_parallel     = 1
      canary           = {canary}
      min_healthy_time = "1s"
      healthy_deadline = "10m"
      progress_deadline = "20m"
      auto_revert      = true
      auto_promote     = {auto_promote}
    }}
    task "api-server" {{
      driver = "docker"
      config {{
        image = "api-server:{version}"
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

#[test]
fn the_blue_green_and_canary_document_runs_end_to_end() {
    Fleet::scenario(|fleet| {
        let node = |name: &str| AgentPlan::new(name).images(&API_SERVER);
        let site = Site::start(fleet, vec![node("edge-1"), node("edge-2")])?;
        site.run_job(&docs(5, false, "1.3"))?;
        blue_green(&site)?;
        promote(&site)?;
        fail(&site)?;
        canary(&site)?;
        promote_by_itself(&site)?;
        revert(&site)
    });
}

fn count(rows: &[Row], version: u32, state: &str) -> usize {
    let version = version.to_string();
    rows.iter()
        .filter(|row| row["Version"] == version && format!("{}/{}", row["Desired"], row["Status"]) == state)
        .count()
}

/// Waits until this many allocations of these versions are in these states.
fn await_counts(site: &Site, wanted: &[(u32, &str, usize)]) -> anyhow::Result<Vec<Row>> {
    site.await_allocations("docs", &format!("{wanted:?}"), |rows| {
        wanted
            .iter()
            .all(|(version, state, number)| count(rows, *version, state) == *number)
    })
}

/// The row `Deployed` of the newest deployment, once it has this description.
fn await_deployment(site: &Site, description: &str) -> anyhow::Result<(String, Row)> {
    wait_for(&format!("{description:?}"), PATIENCE * 3, || {
        let text = site.edgectl(&["job", "status", "docs"])?;
        let latest = text
            .split("Latest Deployment\n")
            .nth(1)
            .with_context(|| format!("no deployment:\n{text}"))?;
        ensure!(field(latest, "Description")? == description, "{latest}");
        let deployed = latest.split("Deployed\n").nth(1).unwrap_or_default();
        let row = table(deployed, "Task Group")?.remove(0);
        Ok((field(latest, "ID")?.to_owned(), row))
    })
}

fn cells(row: &Row, columns: &[&str]) -> Vec<String> {
    columns.iter().map(|column| row[*column].clone()).collect()
}

const COLUMNS: [&str; 7] = [
    "Auto Revert",
    "Promoted",
    "Desired",
    "Canaries",
    "Placed",
    "Healthy",
    "Unhealthy",
];

/// Plans the change to `version`, shows what the document shows, and submits it with its index.
fn plan_and_run(site: &Site, canaries: u32, versions: [&str; 2], auto_promote: bool) -> anyhow::Result<()> {
    let file = site.write_job(&docs(canaries, auto_promote, versions[1]))?;
    let file = file.to_string_lossy();
    let planned = site.try_edgectl(&["job", "plan", &file])?;
    let [old, new] = versions;
    let expected = format!(
        "+/- Job: \"docs\"\n\
         +/- Task Group: \"api\" ({canaries} canary, 5 ignore)\n  \
           +/- Task: \"api-server\" (forces create/destroy update)\n    \
             +/- Config {{\n      \
               +/- image: \"api-server:{old}\" => \"api-server:{new}\"\n        \
                 }}\n\n\
         Scheduler dry-run:\n\
         - All tasks successfully allocated.\n\n"
    );
    ensure!(
        planned.stdout.starts_with(&expected) && planned.code == Some(1),
        "{planned:?} instead of\n{expected}"
    );
    // What comes before is our own advice that `docker` runs on podman.
    let rest = planned.stdout.split("Job Modify Index: ").nth(1);
    let index = rest.and_then(|rest| rest.lines().next()).unwrap_or_default();
    let command = format!("edgectl job run -check-index {index} {file}");
    ensure!(planned.stdout.contains(&command), "{}", planned.stdout);
    let refused = site.try_edgectl(&["job", "run", "-check-index", "1", &file])?;
    let text = format!(
        "Enforcing job modify index 1: job exists with conflicting job modify index: {index}\nJob not updated\n"
    );
    ensure!(
        refused.stderr == text && refused.code == Some(1),
        "{refused:?} instead of {text}"
    );
    site.edgectl(&["job", "run", "-detach", "-check-index", index, &file])?;
    Ok(())
}

/// "Blue/Green deployments": five new ones beside the five old ones.
fn blue_green(site: &Site) -> anyhow::Result<()> {
    plan_and_run(site, 5, ["1.3", "1.4"], false)?;
    let (_, row) = await_deployment(site, "Deployment is running but requires manual promotion")?;
    await_counts(site, &[(0, "run/running", 5), (1, "run/running", 5)])?;
    ensure!(row["Desired"] == "5" && row["Canaries"] == "5", "{row:?}");
    wait_for("five healthy canaries", PATIENCE, || {
        let (_, row) = await_deployment(site, "Deployment is running but requires manual promotion")?;
        let found = cells(&row, &COLUMNS);
        ensure!(found == ["true", "false", "5", "5", "5", "5", "0"], "{found:?}");
        Ok(())
    })
}

/// "Promote the deployment": the old ones go.
fn promote(site: &Site) -> anyhow::Result<()> {
    let (id, _) = await_deployment(site, "Deployment is running but requires manual promotion")?;
    let text = site.edgectl(&["deployment", "promote", &id])?;
    for line in [
        "Evaluation triggered by job \"docs\"".to_owned(),
        format!("Evaluation within deployment: \"{id}\""),
        "Evaluation status changed: \"pending\" -> \"complete\"".to_owned(),
    ] {
        ensure!(text.contains(&line), "the monitor never said {line:?}:\n{text}");
    }
    await_counts(site, &[(0, "stop/complete", 5), (1, "run/running", 5)])?;
    let (same, row) = await_deployment(site, "Deployment completed successfully")?;
    let found = cells(&row, &COLUMNS);
    ensure!(
        same == id && found == ["true", "true", "5", "5", "5", "5", "0"],
        "{same} {found:?}"
    );
    Ok(())
}

/// "Fail a deployment": the new ones go, and the job is again what it was.
fn fail(site: &Site) -> anyhow::Result<()> {
    plan_and_run(site, 5, ["1.4", "1.3"], false)?;
    await_counts(site, &[(1, "run/running", 5), (2, "run/running", 5)])?;
    let (id, _) = await_deployment(site, "Deployment is running but requires manual promotion")?;
    let printed = site.try_edgectl(&["deployment", "fail", &id])?;
    let first = printed.stdout.lines().next().unwrap_or_default();
    ensure!(
        first.starts_with(&format!("Deployment \"{id}"))
            && first.ends_with("failed. Auto-reverted to job version 1."),
        "{printed:?}"
    );
    let rows = await_counts(
        site,
        &[
            (1, "run/running", 0),
            (2, "stop/complete", 5),
            (3, "run/running", 5),
        ],
    )?;
    ensure!(rows.len() == 15, "{}", shown(&rows));
    await_deployment(site, "Deployment completed successfully")?;
    let list = table(&site.edgectl(&["job", "deployments", "docs"])?, "ID")?;
    let told: Vec<(&str, &str, &str)> = list
        .iter()
        .map(|row| {
            (
                row["Job Version"].as_str(),
                row["Status"].as_str(),
                row["Description"].as_str(),
            )
        })
        .collect();
    let successful = "Deployment completed successfully";
    let failed = "Deployment marked as failed - rolling back to job version 1";
    let expected = [
        ("3", "successful", successful),
        ("2", "failed", failed),
        ("1", "successful", successful),
        ("0", "successful", successful),
    ];
    ensure!(told == expected, "{told:?}");
    Ok(())
}

/// "Deploy with canaries": one beside five, and after its promotion the others one by one.
fn canary(site: &Site) -> anyhow::Result<()> {
    // The number of canaries changes in place.
    site.run_job(&docs(1, false, "1.4"))?;
    plan_and_run(site, 1, ["1.4", "1.3"], false)?;
    await_counts(site, &[(4, "run/running", 5), (5, "run/running", 1)])?;
    let id = wait_for("a healthy canary", PATIENCE, || {
        let (id, row) = await_deployment(site, "Deployment is running but requires manual promotion")?;
        let found = cells(&row, &COLUMNS);
        ensure!(found == ["true", "false", "5", "1", "1", "1", "0"], "{found:?}");
        Ok(id)
    })?;
    site.edgectl(&["deployment", "promote", &id])?;
    await_counts(site, &[(4, "stop/complete", 5), (5, "run/running", 5)])?;
    let (_, row) = await_deployment(site, "Deployment completed successfully")?;
    let found = cells(&row, &COLUMNS);
    ensure!(found == ["true", "true", "5", "1", "5", "5", "0"], "{found:?}");
    Ok(())
}

/// The same without an operator.
fn promote_by_itself(site: &Site) -> anyhow::Result<()> {
    site.run_job(&docs(1, true, "1.3"))?;
    site.run_job(&docs(1, true, "1.4"))?;
    await_counts(site, &[(6, "stop/complete", 5), (7, "run/running", 5)])?;
    Ok(())
}

/// History, and a return to an earlier version.
fn revert(site: &Site) -> anyhow::Result<()> {
    let text = site.edgectl(&["job", "history", "-p", "docs"])?;
    let image = "+/- image: \"api-server:1.3\" => \"api-server:1.4\"";
    let newest = text.split("\n\n").next().unwrap_or_default();
    ensure!(
        field(newest, "Version")? == "7" && field(newest, "Stable")? == "true" && text.contains(image),
        "{text}"
    );
    let text = site.edgectl(&["job", "inspect", "-version", "6", "docs"])?;
    ensure!(text.contains("api-server:1.3"), "{text}");
    let refused = site.try_edgectl(&["job", "revert", "docs", "7"])?;
    ensure!(
        refused.stderr.contains("can't revert to current version") && refused.code == Some(1),
        "{refused:?}"
    );
    site.edgectl(&["job", "revert", "docs", "6"])?;
    let rows = await_counts(site, &[(7, "stop/complete", 5), (8, "run/running", 5)])?;
    ensure!(count(&rows, 8, "run/running") == 5, "{}", shown(&rows));
    Ok(())
}
