//! The agent hanging for longer than it takes to notice.

use anyhow::ensure;
use holdfast_tests::Fleet;
use holdfast_tests::site::{DETECTION, PATIENCE, Site, shown};
use rustix::process::Signal;

use super::tasks::{is_untouched, job, lives, node};

/// May be away for an hour, and only on the first node.
const PINNED: &str = r#"
    max_client_disconnect = "1h"
    constraint {
      attribute = "${node.unique.name}"
      value     = "edge-1"
    }
"#;

const FREE: &str = r#"
    max_client_disconnect = "1h"
"#;

#[test]
fn an_agent_that_hangs_is_replaced_by_policy_and_goes_on_with_its_tasks_untouched() {
    Fleet::scenario(|fleet| {
        let mut site = Site::start(fleet, vec![node("edge-1")])?;
        site.run_job(&job("pinned", 1001, PINNED))?;
        site.run_job(&job("free", 1002, FREE))?;
        let (pinned, free) = (
            site.await_only_running("pinned")?,
            site.await_only_running("free")?,
        );
        let second = holdfast_tests::Agent::start(fleet, &site.coordinator, node("edge-2"))?;
        second.await_status(&site.coordinator, "ready", PATIENCE)?;
        site.agents.push(second);
        let before = lives(&site.agents[0])?;

        site.agents[0].signal(Signal::STOP)?;
        site.agents[0].await_status(&site.coordinator, "disconnected", DETECTION)?;
        site.await_status("pinned", &pinned["ID"], "unknown")?;
        site.await_status("free", &free["ID"], "unknown")?;
        let rows = site.await_allocations("free", "a replacement", |rows| {
            rows.len() == 2 && rows.iter().any(|row| row["Status"] == "running")
        })?;
        let replacement = rows.into_iter().find(|row| row["Status"] == "running").unwrap();
        is_untouched(&site.agents[0], &before)?;
        let elsewhere = lives(&site.agents[1])?;

        site.agents[0].signal(Signal::CONT)?;
        site.agents[0].await_status(&site.coordinator, "ready", PATIENCE)?;
        // Nobody could take its place: it lives on as it is.
        site.await_status("pinned", &pinned["ID"], "running")?;
        ensure!(site.allocations("pinned")?.len() == 1, "pinned has a replacement");
        let rows = site.await_allocations("free", "one of the two to end", |rows| {
            let with = |status: &str| rows.iter().filter(|row| row["Status"] == status).count();
            rows.len() == 2 && with("running") == 1 && with("complete") == 1
        })?;
        // Whoever lives on was not touched for it.
        let survivor = rows.iter().find(|row| row["Status"] == "running").unwrap();
        let original_lives = survivor["ID"] == free["ID"];
        ensure!(
            original_lives || survivor["ID"] == replacement["ID"],
            "{}",
            shown(&rows)
        );
        let is_free = |it: &String| it.contains(&free["ID"]) || it.starts_with("sleep 11002 ");
        if original_lives {
            is_untouched(&site.agents[0], &before)
        } else {
            is_untouched(&site.agents[1], &elsewhere)?;
            let rest = before.into_iter().filter(|it| !is_free(it)).collect();
            is_untouched(&site.agents[0], &rest)
        }
    });
}
