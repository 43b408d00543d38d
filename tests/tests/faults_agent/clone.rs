//! Two agents with one identity: a data directory copied to a second machine.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use holdfast_tests::site::{PATIENCE, Site};
use holdfast_tests::{Agent, CoordinatorPlan, Fleet, let_pass, wait_for};
use rustix::process::Signal;
use serde_json::Value;

use super::tasks::{await_settled, is_untouched, job, lives, node};

/// How long the two are watched, which is many keep-alives, and how often the older may call in that time: once when
/// it loses its connection, and once more after it has stood back for the first time.
const WATCHED: Duration = Duration::from_secs(12);
const CALLS_MAX: usize = 2;

/// What each says of it.
const EVENT: &str = "Another agent with this node's identity was turned away";
const LOG: &str = "another agent with this node's identity";

fn node_of(site: &Site) -> anyhow::Result<Value> {
    let nodes = site.coordinator.read("/v1/nodes")?;
    let nodes = nodes.as_array().context("no list")?;
    ensure!(nodes.len() == 1, "{} nodes", nodes.len());
    let id = nodes[0]["ID"].as_str().context("no id")?;
    site.coordinator.read(&format!("/v1/node/{id}"))
}

fn messages(node: &Value) -> Vec<String> {
    let events = node["Events"].as_array().into_iter().flatten();
    events
        .filter_map(|event| event["Message"].as_str().map(str::to_owned))
        .collect()
}

#[test]
fn two_agents_with_one_identity_stop_no_task_and_the_older_stands_back_and_says_why() {
    Fleet::scenario(|fleet| {
        // As long as it is by default: whoever is back within it was never gone.
        let plan = CoordinatorPlan {
            heartbeat_grace: Duration::from_secs(5),
            ..CoordinatorPlan::default()
        };
        let mut site = Site::start_with(fleet, plan, vec![node("edge-1")])?;
        site.run_job(&job("steady", 1009, r#"max_client_disconnect = "1h""#))?;
        let original = site.await_only_running("steady")?;
        let before = lives(&site.agents[0])?;

        // The copy is taken while the agent runs, as an image of a disk is.
        let machine = fleet.machine("edge-2")?;
        machine.run(
            "cp",
            &[
                "-a",
                site.agents[0].data_dir().to_str().context("a plain path")?,
                machine.dir().to_str().context("a plain path")?,
            ],
        )?;
        let mut copy = Agent::on(fleet, machine, site.coordinator.broker(), node("edge-2"))?;
        wait_for("the older one to say why it stands back", PATIENCE, || {
            let log = site.agents[0].log()?;
            ensure!(log.contains(LOG), "it has not said so");
            Ok(())
        })?;
        wait_for("the operator to see it", PATIENCE, || {
            let events = messages(&node_of(&site)?);
            ensure!(events.iter().any(|event| event.starts_with(EVENT)), "{events:?}");
            Ok(())
        })?;
        // The newer one is the node, and both run what they run.
        await_settled(&copy, 1)?;
        let copied = lives(&copy)?;
        is_untouched(&site.agents[0], &before)?;

        let_pass(WATCHED);
        let calls = site.agents[0].log()?.matches(LOG).count();
        ensure!(
            (1..=CALLS_MAX).contains(&calls),
            "the older one called {calls} times"
        );
        ensure!(
            site.agents[0].local_status()?["link"]["connected"] == false,
            "it did not stand back"
        );
        await_settled(&copy, 1)?;
        let node = node_of(&site)?;
        ensure!(node["Status"] == "ready", "{node}");
        let events = messages(&node);
        ensure!(
            events.iter().all(|event| !event.contains("missed")),
            "the node flapped: {events:?}"
        );
        is_untouched(&site.agents[0], &before)?;
        is_untouched(&copy, &copied)?;
        let row = site.await_only_running("steady")?;
        ensure!(row["ID"] == original["ID"], "{row:?}");

        // The operator takes the copy away and starts the original again: it is the node, as ever.
        copy.kill(Signal::KILL)?;
        site.agents[0].kill(Signal::TERM)?;
        site.agents[0].restart()?;
        await_settled(&site.agents[0], 1)?;
        is_untouched(&site.agents[0], &before)
    });
}
