//! The coordinator's data folder is lost, or as it was yesterday.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::ensure;
use holdfast_tests::{CoordinatorPlan, Fleet, holds_for, wait_for};
use rustix::process::Signal;
use serde_json::Value;

use crate::tasks::{self, Tasks, job};
use holdfast_tests::site::{PATIENCE, Site};

/// How long nothing may change.
const STILL: Duration = Duration::from_secs(5);

/// Waits until the coordinator says of every node that it holds something newer.
fn await_fences(site: &Site) -> anyhow::Result<()> {
    wait_for("the coordinator to see that it is behind", PATIENCE, || {
        tasks::all_ready(site)?;
        for agent in &site.agents {
            ensure!(
                tasks::is_fenced(site, agent)?,
                "{}: {:?}",
                agent.name(),
                tasks::events(site, agent)?
            );
        }
        Ok(())
    })
}

/// Registers and stops jobs until the coordinator's generations are beyond whatever nodes hold.
fn decide_a_lot(site: &Site) -> anyhow::Result<()> {
    for number in 0..6 {
        let name = format!("restless-{number}");
        site.submit_job(&job(&name, 7490 + number, 2, "", 50))?;
        if number % 2 == 0 {
            site.edgectl(&["job", "stop", "-detach", &name])?;
        }
    }
    Ok(())
}

fn adopt(site: &Site) -> anyhow::Result<()> {
    let said = site.edgectl(&["operator", "adopt-state"])?;
    ensure!(said.contains("is the truth from now on (epoch "), "{said}");
    Ok(())
}

#[test]
fn a_lost_data_folder_stops_no_task_and_the_operator_goes_on_by_registering_and_adopting() {
    Fleet::scenario(|fleet| {
        // With a token: nodes that nobody knows any more have to show it again.
        let plan = CoordinatorPlan {
            flags: vec!["--enrolment-token".to_owned(), "secret".to_owned()],
            ..CoordinatorPlan::default()
        };
        let token = |plan: holdfast_tests::AgentPlan| plan.flag("--enrolment-token").flag("secret");
        let mut site = Site::start_with(fleet, plan, tasks::nodes(2).into_iter().map(token).collect())?;
        site.run_job(&job("steady", 7401, 2, "", 50))?;
        site.run_job(&job("forgotten", 7402, 2, "", 50))?;
        let (steady, forgotten) = (Tasks::started(&site, 7401, 2)?, Tasks::started(&site, 7402, 2)?);

        site.coordinator.kill(Signal::KILL)?;
        fs::remove_dir_all(site.coordinator.data_dir())?;
        site.coordinator.restart()?;
        // The nodes are there again by themselves, and say why nothing happens on them.
        await_fences(&site)?;
        ensure!(site.coordinator.read("/v1/jobs")? == Value::Array(Vec::new()));
        let id = site.agents[0].node(&site.coordinator)?["ID"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let shown = site.edgectl(&["node", "status", &id])?;
        ensure!(
            shown.contains("coordinator state is older than the node's"),
            "{shown}"
        );
        decide_a_lot(&site)?;

        // What is to stay is registered again. It waits, and what runs goes on, over a restart as well.
        site.submit_job(&job("steady", 7401, 2, "", 50))?;
        site.coordinator.kill(Signal::KILL)?;
        site.coordinator.restart()?;
        await_fences(&site)?;
        holds_for("what ran", STILL, || {
            steady.are_untouched(&site)?;
            forgotten.are_untouched(&site)?;
            let rows = site.allocations("steady")?;
            ensure!(
                rows.len() == 2 && rows.iter().all(|row| row["Status"] == "pending"),
                "{rows:?}"
            );
            Ok(())
        })?;

        adopt(&site)?;
        let running =
            |rows: &[holdfast_tests::edgectl::Row]| rows.iter().all(|row| row["Status"] == "running");
        site.await_allocations("steady", "the job to run", running)?;
        Tasks::started(&site, 7402, 0)?;
        Tasks::started(&site, 7401, 2)?;
        Ok(())
    });
}

#[test]
fn a_data_folder_that_is_deleted_under_a_running_coordinator_is_written_anew() {
    Fleet::scenario(|fleet| {
        let mut site = Site::start(fleet, tasks::nodes(2))?;
        site.run_job(&job("steady", 7403, 2, "", 50))?;
        let steady = Tasks::started(&site, 7403, 2)?;
        for name in ["before", "after"] {
            // The database may be adding a file to it.
            let folder = site.coordinator.data_dir();
            wait_for("its data folder to go", PATIENCE, || {
                Ok(fs::remove_dir_all(&folder)?)
            })?;
            // Whatever is acknowledged from now on is durable, and so is everything before it.
            site.submit_job(&job(name, 7404, 0, "", 50))?;
            site.coordinator.kill(Signal::KILL)?;
            site.coordinator.restart()?;
            for job in ["steady", "before", name] {
                site.coordinator.read(&format!("/v1/job/{job}"))?;
            }
            let source = site.coordinator.read("/v1/job/steady/submission?version=0")?;
            ensure!(
                source["Source"].as_str().is_some_and(|it| it.contains("steady")),
                "{source}"
            );
        }
        tasks::await_ready(&site)?;
        holds_for("what ran", STILL, || steady.are_untouched(&site))?;
        ensure!(
            !tasks::is_fenced(&site, &site.agents[0])?,
            "generations went back"
        );
        site.run_job(&job("later", 7405, 2, "", 50))?;
        steady.are_untouched(&site)
    });
}

fn copy(from: &PathBuf, to: &PathBuf) -> anyhow::Result<()> {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status()?;
    ensure!(status.success(), "cp -a failed");
    Ok(())
}

#[test]
fn yesterdays_state_stops_nothing_until_an_operator_adopts_it() {
    Fleet::scenario(|fleet| {
        let mut site = Site::start(fleet, tasks::nodes(2))?;
        site.run_job(&job("steady", 7411, 2, "", 50))?;
        site.run_job(&job("stopped", 7412, 2, "", 50))?;
        let steady = Tasks::started(&site, 7411, 2)?;
        Tasks::started(&site, 7412, 2)?;
        let (data, backup) = (
            site.coordinator.data_dir(),
            site.coordinator.machine.dir().join("backup"),
        );
        site.coordinator.kill(Signal::TERM)?;
        copy(&data, &backup)?;
        site.coordinator.restart()?;
        tasks::await_ready(&site)?;

        // A day goes by: a job is stopped, one comes, one gets a new version that changes no task.
        site.edgectl(&["job", "stop", "stopped"])?;
        site.run_job(&job("newer", 7413, 2, "", 50))?;
        for step in 2..8 {
            site.run_job(&job("steady", 7411, 2, "", 50 + step))?;
        }
        let newer = Tasks::started(&site, 7413, 2)?;
        Tasks::started(&site, 7412, 0)?;

        site.coordinator.kill(Signal::KILL)?;
        fs::remove_dir_all(&data)?;
        copy(&backup, &data)?;
        site.coordinator.restart()?;
        await_fences(&site)?;
        decide_a_lot(&site)?;
        holds_for("what ran", STILL, || {
            steady.are_untouched(&site)?;
            newer.are_untouched(&site)?;
            ensure!(
                Tasks::now(&site, 7412)?.count() == 0,
                "what was stopped runs again"
            );
            Ok(())
        })?;

        // What both know goes on, what yesterday did not know ends, and what yesterday ran and has ended runs anew.
        adopt(&site)?;
        Tasks::started(&site, 7413, 0)?;
        Tasks::started(&site, 7412, 2)?;
        steady.are_untouched(&site)?;
        // The coordinator is obeyed again, also about what it changed less often than the state that is lost.
        site.run_job(&job("steady", 7411, 2, "", 40))?;
        holds_for("the fleet", STILL, || steady.are_untouched(&site))?;
        site.edgectl(&["job", "stop", "steady"])?;
        Tasks::started(&site, 7411, 0)?;
        Ok(())
    });
}
