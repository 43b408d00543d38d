//! podman's service, and containers, killed behind the agent's back.

use std::collections::BTreeSet;

use anyhow::{Context as _, ensure};
use holdfast_tests::site::{PATIENCE, Site};
use holdfast_tests::{Agent, Fleet, wait_for};

use super::tasks::{AT_ONCE, container, containers, is_untouched, job, lives, node, restarts};

/// A job of two containers.
fn pair() -> String {
    format!(
        r#"
job "pair" {{
  datacenters = ["dc1"]
  group "all" {{
    max_client_disconnect = "1h"
    {AT_ONCE}
    {}
    {}
  }}
}}
"#,
        container("victim"),
        container("bystander")
    )
}

/// The line of the container of task `task`.
fn of_task<'a>(lives: &'a BTreeSet<String>, task: &str) -> anyhow::Result<&'a String> {
    lives
        .iter()
        .find(|it| it.split(' ').next().is_some_and(|name| name.contains(task)))
        .with_context(|| format!("no container of {task}: {lives:?}"))
}

/// Kills the main process of the victim, as the kernel or somebody on the box would, without asking podman.
fn kill_victim(agent: &Agent) -> anyhow::Result<()> {
    let victim = of_task(&containers(agent)?, "victim")?.clone();
    let pid = victim.rsplit(' ').next().context("no pid")?;
    agent.machine.run("kill", &["-KILL", pid])?;
    wait_for("the victim to be gone", PATIENCE, || {
        ensure!(
            !agent.machine.host_path(&format!("/proc/{pid}")).exists(),
            "it still runs"
        );
        Ok(())
    })
}

/// Waits until another victim runs than in `before`; the bystander is the one it was.
fn await_new_victim(agent: &Agent, before: &BTreeSet<String>) -> anyhow::Result<()> {
    wait_for("a new victim", PATIENCE, || {
        let now = containers(agent)?;
        ensure!(of_task(&now, "victim")? != of_task(before, "victim")?, "{now:?}");
        Ok(())
    })?;
    let now = containers(agent)?;
    ensure!(
        of_task(&now, "bystander")? == of_task(before, "bystander")?,
        "the bystander was restarted: {now:?}"
    );
    Ok(())
}

#[test]
fn podman_killed_and_restarted_stops_no_task_and_hides_no_exit() {
    Fleet::scenario(|fleet| {
        let mut site = Site::start(fleet, vec![node("edge-1")])?;
        site.run_job(&pair())?;
        let original = site.await_only_running("pair")?;
        for _ in 0..3 {
            // Nothing happens while podman is away.
            let before = lives(&site.agents[0])?;
            site.agents[0].machine.kill_podman()?;
            site.agents[0].machine.restart_podman()?;
            is_untouched(&site.agents[0], &before)?;

            // A container dies while it is away.
            site.agents[0].machine.kill_podman()?;
            kill_victim(&site.agents[0])?;
            site.agents[0].machine.restart_podman()?;
            await_new_victim(&site.agents[0], &before)?;

            // And one dies afterwards: events flow again.
            let before = lives(&site.agents[0])?;
            kill_victim(&site.agents[0])?;
            await_new_victim(&site.agents[0], &before)?;
        }
        let row = site.await_only_running("pair")?;
        ensure!(row["ID"] == original["ID"], "{row:?}");
        wait_for("six restarts", PATIENCE, || {
            let count = restarts(&site.coordinator, "pair")?;
            ensure!(count == 6, "{count} restarts");
            Ok(())
        })
    });
}

#[test]
fn a_container_killed_while_the_network_is_down_is_restarted_by_the_box_itself() {
    Fleet::scenario(|fleet| {
        let site = Site::start(fleet, vec![node("edge-1")])?;
        site.run_job(&pair())?;
        site.run_job(&job("steady", 1006, r#"max_client_disconnect = "1h""#))?;
        let original = site.await_only_running("pair")?;
        let agent = &site.agents[0];
        let everything = lives(agent)?;
        agent.machine.unplug()?;
        agent.await_status(&site.coordinator, "disconnected", PATIENCE)?;
        for _ in 0..3 {
            let before = containers(agent)?;
            kill_victim(agent)?;
            await_new_victim(agent, &before)?;
        }
        ensure!(
            agent.local_status()?["link"]["connected"] == false,
            "the network is not down"
        );

        agent.machine.plug()?;
        agent.await_status(&site.coordinator, "ready", PATIENCE)?;
        let row = site.await_status("pair", &original["ID"], "running")?;
        ensure!(row["Desired"] == "run", "{row:?}");
        wait_for("three restarts", PATIENCE, || {
            let count = restarts(&site.coordinator, "pair")?;
            ensure!(count == 3, "{count} restarts");
            Ok(())
        })?;
        let victim = of_task(&everything, "victim")?.clone();
        let rest = everything.into_iter().filter(|it| *it != victim).collect();
        is_untouched(agent, &rest)
    });
}
