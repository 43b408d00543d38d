//! A link that is slow and loses much, and one that breaks again and again.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use holdfast_tests::proxy::{GOOD, Proxy, Quality};
use holdfast_tests::site::{PATIENCE, Site};
use holdfast_tests::{Agent, AgentPlan, Coordinator, CoordinatorPlan, Dice, Fleet, let_pass, wait_for};

use super::tasks::{await_settled, is_untouched, job, lives, node, patient_coordinator, process};

/// What a bad mobile or satellite link does.
const BAD: Quality = Quality {
    delay: Duration::from_millis(600),
    loss: 0.2,
};

/// On such a link one asks less often; a second of silence means nothing.
const SLOW_KEEP_ALIVE: Duration = Duration::from_secs(10);

/// One and a half keep-alives and the coordinator's grace are 20 s.
const IDLE: Duration = Duration::from_secs(22);

/// Port of the coordinator's broker.
const MQTT_PORT: u16 = 1883;

/// A site with one node that reaches its coordinator through a link of this quality.
fn site(
    fleet: &Fleet,
    coordinator: CoordinatorPlan,
    plan: AgentPlan,
    quality: Quality,
) -> anyhow::Result<(Site, Proxy)> {
    let coordinator = Coordinator::start(fleet, coordinator)?;
    let machine = fleet.machine(&plan.name)?;
    let address = coordinator.machine.address().context("it has an address")?;
    let proxy = Proxy::start(
        &machine,
        (address, MQTT_PORT).into(),
        quality,
        Dice::from_environment(),
    )?;
    let agent = Agent::on(fleet, machine, proxy.url(), plan)?;
    agent.await_status(&coordinator, "ready", PATIENCE)?;
    let agents = vec![agent];
    Ok((Site { agents, coordinator }, proxy))
}

/// How often the node's status has changed, by its events.
fn events(site: &Site) -> anyhow::Result<Vec<String>> {
    let id = site.agents[0].node(&site.coordinator)?["ID"].clone();
    let path = format!("/v1/node/{}", id.as_str().context("no id")?);
    let node = site.coordinator.read(&path)?;
    let events = node["Events"].as_array().context("no events")?;
    Ok(events
        .iter()
        .filter_map(|event| event["Message"].as_str().map(str::to_owned))
        .collect())
}

#[test]
fn a_slow_link_that_loses_a_fifth_carries_jobs_and_reports_without_flapping() {
    Fleet::scenario(|fleet| {
        let coordinator = CoordinatorPlan {
            // As it is by default.
            heartbeat_grace: Duration::from_secs(5),
            ..CoordinatorPlan::default()
        };
        let plan = node("edge-1").keep_alive(SLOW_KEEP_ALIVE);
        let (site, proxy) = site(fleet, coordinator, plan, BAD)?;
        site.run_job(&job("steady", 1007, r#"max_client_disconnect = "1h""#))?;
        let original = site.await_only_running("steady")?;
        let before = lives(&site.agents[0])?;
        // Work goes over it: versions of another job, each seen running by the coordinator.
        for version in 0..5 {
            site.submit_job(&other(version))?;
            site.await_allocations("other", "the next version to run", |rows| {
                rows.iter()
                    .any(|row| row["Version"] == version.to_string() && row["Status"] == "running")
            })?;
        }
        // Idle, too, for longer than it takes to be missed.
        let_pass(IDLE);
        let events = events(&site)?;
        ensure!(
            events.len() == 1 && events[0] == "Node registered",
            "it flapped: {events:?}"
        );
        ensure!(proxy.lost() > 2, "only {} segments were lost", proxy.lost());
        let row = site.await_only_running("steady")?;
        ensure!(row["ID"] == original["ID"], "{row:?}");
        is_untouched(&site.agents[0], &before)
    });
}

fn other(version: u32) -> String {
    format!(
        r#"
job "other" {{
  datacenters = ["dc1"]
  group "all" {{
    update {{
      min_healthy_time = "0s"
    }}
    task "process" {{
      {}
      env {{
        RELEASE = "{version}"
      }}
    }}
  }}
}}
"#,
        process(2007)
    )
}

/// What a process holds on to.
#[derive(Debug, Clone, Copy)]
struct Holdings {
    descriptors: usize,
    threads: usize,
    /// Memory that is its own, in KiB. Not its program: that it shares with agents of other tests that come and go.
    memory: u64,
}

impl Holdings {
    fn of(pid: u32) -> anyhow::Result<Self> {
        let count =
            |dir: &str| -> anyhow::Result<usize> { Ok(fs::read_dir(format!("/proc/{pid}/{dir}"))?.count()) };
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let memory = rollup
            .lines()
            .find_map(|line| line.strip_prefix("Pss_Anon:"))
            .context("no Pss_Anon")?;
        Ok(Self {
            descriptors: count("fd")?,
            threads: count("task")?,
            memory: memory.trim().trim_end_matches(" kB").parse()?,
        })
    }

    /// What a process may have more than before when nothing leaks: what it caches has found its size.
    fn ensure_not_above(&self, before: &Self, who: &str) -> anyhow::Result<()> {
        ensure!(
            self.descriptors <= before.descriptors && self.threads <= before.threads,
            "{who} has {self:?} after {before:?}"
        );
        ensure!(
            self.memory <= before.memory + MEMORY_NOISE,
            "{who} has {self:?} after {before:?}"
        );
        Ok(())
    }
}

/// What 50 reconnects may add to a process's memory, in KiB: less than a packet's worth for each.
const MEMORY_NOISE: u64 = 512;

/// Breaks the link and waits until the agent is back, this many times.
fn reconnect(site: &Site, proxy: &Proxy, times: usize) -> anyhow::Result<()> {
    for round in 0..times {
        let before = proxy.accepted();
        proxy.hang_up();
        wait_for(&format!("reconnect {round}"), PATIENCE, || {
            ensure!(proxy.accepted() > before, "it has not called again");
            let status = site.agents[0].local_status()?;
            ensure!(
                status["link"]["connected"] == true && status["outbox_depth"] == 0,
                "{status}"
            );
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn fifty_reconnects_in_a_row_leak_nothing_on_either_side() {
    Fleet::scenario(|fleet| {
        let (site, proxy) = site(fleet, patient_coordinator(), node("edge-1"), GOOD)?;
        site.run_job(&job("steady", 1008, ""))?;
        site.await_only_running("steady")?;
        let pids = [site.agents[0].pid()?, site.coordinator.pid()?];
        // The first ones fill caches and start threads that stay.
        reconnect(&site, &proxy, 10)?;
        await_settled(&site.agents[0], 1)?;
        let before = [Holdings::of(pids[0])?, Holdings::of(pids[1])?];
        reconnect(&site, &proxy, 50)?;
        await_settled(&site.agents[0], 1)?;
        // A connection that has just ended may still be on its way out.
        wait_for("everything to be given back", PATIENCE, || {
            for (index, who) in ["the agent", "the coordinator"].into_iter().enumerate() {
                let now = Holdings::of(pids[index])?;
                println!("{who}: {:?}, then {now:?}", before[index]);
                now.ensure_not_above(&before[index], who)?;
            }
            Ok(())
        })
    });
}
