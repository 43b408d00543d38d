//! The agent killed at any moment, again and again.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use holdfast_tests::site::Site;
use holdfast_tests::{Agent, Dice, Fleet, let_pass, wait_for};
use rustix::process::Signal;
use serde_json::Value;

use super::tasks::{
    AT_ONCE, allocations, is_untouched, job, lives, node, patient_coordinator, process, restarts,
};
use holdfast_tests::site::PATIENCE;

/// Sets how often the agent is killed.
const ROUNDS: &str = "HOLDFAST_FAULT_ROUNDS";
const ROUNDS_DEFAULT: u64 = 200;

/// Every so many rounds the job that changes is changed.
const CHANGE_EVERY: u64 = 5;

/// Copies of the job that changes, in the end.
const COPIES: u64 = 3;

/// A job of plain processes that differs with each version. What the agent stores of it is large with some of them, and
/// cannot be compressed away.
fn changing(version: u64, count: u64) -> String {
    let mut dice = Dice::new(version);
    let noise: String = (0..version % 3 * 1000)
        .map(|_| format!("{:016x}", dice.between(0, u64::MAX)))
        .collect();
    format!(
        r#"
job "changing" {{
  datacenters = ["dc1"]
  group "all" {{
    count = {count}
    {}
    task "process" {{
      {}
      env {{
        RELEASE = "{version}"
        NOISE   = "{noise}"
      }}
    }}
  }}
}}
"#,
        AT_ONCE.replace("max_parallel     = 1", "max_parallel     = 5"),
        process(2000)
    )
}

/// What the agent has said, which is what it must still know after it was killed.
#[derive(Debug, Default)]
struct Witness {
    looks: u64,
    /// Epoch and generation.
    held: (u64, u64),
}

impl Witness {
    /// Asks an agent that may not be up yet. What it says has been stored before it says so.
    fn look(&mut self, agent: &Agent, steady: &str) -> anyhow::Result<()> {
        let Ok(status) = agent.local_status() else {
            return Ok(());
        };
        let number = |key: &str| {
            status[key]
                .as_u64()
                .with_context(|| format!("no {key}: {status}"))
        };
        let held = (number("epoch")?, number("generation")?);
        ensure!(held >= self.held, "it went back from {:?} to {held:?}", self.held);
        let is_steady = |alloc: &&Value| alloc["id"].as_str().is_some_and(|id| id.starts_with(steady));
        let alloc = allocations(&status)?
            .iter()
            .find(is_steady)
            .with_context(|| format!("{steady} is forgotten: {status}"))?;
        ensure!(alloc["client_status"] == "running", "{alloc}");
        self.looks += 1;
        self.held = held;
        Ok(())
    }
}

/// Kills and restarts the agent `rounds` times while the job changes; returns the last version of that.
fn disturb(site: &mut Site, steady: &str, rounds: u64) -> anyhow::Result<u64> {
    let before = lives(&site.agents[0])?;
    let mut dice = Dice::from_environment();
    let (mut witness, mut version) = (Witness::default(), 0);
    for round in 0..rounds {
        if round % CHANGE_EVERY == 0 {
            version += 1;
            site.submit_job(&changing(version, 1 + version % COPIES))?;
        }
        let_pass(Duration::from_millis(dice.between(10, 300)));
        let agent = &mut site.agents[0];
        witness
            .look(agent, steady)
            .with_context(|| format!("round {round}"))?;
        agent.kill(Signal::KILL)?;
        agent.restart()?;
        if round % 10 == 0 {
            is_untouched(agent, &before).with_context(|| format!("round {round}"))?;
        }
    }
    ensure!(
        witness.looks > rounds / 5,
        "it was up only {} times of {rounds}",
        witness.looks
    );
    is_untouched(&site.agents[0], &before)?;
    Ok(version)
}

#[test]
fn an_agent_killed_at_any_moment_loses_nothing_and_stops_no_task() {
    let rounds = std::env::var(ROUNDS).ok().and_then(|text| text.parse().ok());
    Fleet::scenario(|fleet| {
        let mut site = Site::start_with(fleet, patient_coordinator(), vec![node("edge-1")])?;
        site.run_job(&job("steady", 1000, ""))?;
        let steady = site.await_only_running("steady")?;
        let version = disturb(&mut site, &steady["ID"], rounds.unwrap_or(ROUNDS_DEFAULT))?;

        // Left alone, it has what was asked for last, and nothing else.
        site.submit_job(&changing(version + 1, COPIES))?;
        // Versions are counted from 0.
        let wanted = version.to_string();
        site.await_allocations("changing", "the last version and no other to run", |rows| {
            let (running, over): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row["Status"] == "running");
            running.len() as u64 == COPIES
                && running.iter().all(|row| row["Version"] == *wanted)
                && over
                    .iter()
                    .all(|row| row["Desired"] == "stop" && row["Status"] == "complete")
        })?;
        wait_for("its processes and no others", PATIENCE, || {
            let processes = super::tasks::processes(&site.agents[0])?;
            let ours = processes
                .iter()
                .filter(|it| it.starts_with("sleep 12000"))
                .count();
            ensure!(ours as u64 == COPIES, "{processes:?}");
            Ok(())
        })?;
        let row = site.await_only_running("steady")?;
        ensure!(row["ID"] == steady["ID"], "{row:?}");
        ensure!(
            restarts(&site.coordinator, "steady")? == 0,
            "a task was restarted"
        );
        Ok(())
    });
}
