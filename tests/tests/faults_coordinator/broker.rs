//! The external broker (mosquitto) goes away, forgets, or hangs.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use holdfast_tests::{CoordinatorPlan, Fleet, Machine, Program, holds_for, wait_for};
use rustix::process::Signal;

use crate::tasks::{self, Tasks};
use holdfast_tests::site::{PATIENCE, Site};

/// What a node may be late. Through a broker that does not tell of pings, nodes are missed after fifteen keep-alives of a
/// second and this: the coordinator must notice before that its broker hangs, as it does with the defaults.
const GRACE: Duration = Duration::from_secs(5);

/// Longer than it takes to miss a node.
const LONG: Duration = Duration::from_secs(25);

/// mosquitto on a machine of its own, which keeps sessions over its restarts.
pub(crate) struct Mosquitto {
    machine: Machine,
    process: Option<Program>,
}

impl Mosquitto {
    pub(crate) fn start(fleet: &Fleet) -> anyhow::Result<Self> {
        let machine = fleet.machine("broker")?;
        let dir = machine.dir().join("sessions");
        fs::create_dir(&dir)?;
        let config = format!(
            "listener 1883\nallow_anonymous true\npersistence true\npersistence_location {}/\n\
             autosave_interval 1\nautosave_on_changes true\nuser root\n",
            dir.display()
        );
        fs::write(machine.dir().join("mosquitto.conf"), config)?;
        let mut mosquitto = Self {
            machine,
            process: None,
        };
        mosquitto.restart()?;
        Ok(mosquitto)
    }

    fn restart(&mut self) -> anyhow::Result<()> {
        let mut command = self.machine.command("mosquitto");
        command.arg("-c").arg(self.machine.dir().join("mosquitto.conf"));
        self.process = Some(self.machine.spawn("mosquitto", command)?);
        Ok(())
    }

    fn stop(&mut self, signal: Signal) -> anyhow::Result<()> {
        self.process.take().context("it does not run")?.kill(signal)
    }

    fn signal(&mut self, signal: Signal) -> anyhow::Result<()> {
        self.process.as_mut().context("it does not run")?.signal(signal)
    }

    /// Forgets every session.
    fn forget(&self) -> anyhow::Result<()> {
        let database = self.machine.dir().join("sessions/mosquitto.db");
        ensure!(database.exists(), "mosquitto kept no sessions");
        Ok(fs::remove_file(database)?)
    }

    /// URL for coordinators and agents.
    pub(crate) fn url(&self) -> String {
        format!(
            "mqtt://{}:1883",
            self.machine.address().expect("it is on the switch")
        )
    }
}

/// A fleet on mosquitto, with a job whose tasks would be lost with their nodes.
fn site(fleet: &Fleet) -> anyhow::Result<(Site, Mosquitto, Tasks)> {
    let mosquitto = Mosquitto::start(fleet)?;
    let plan = CoordinatorPlan {
        external_broker: Some(mosquitto.url()),
        heartbeat_grace: GRACE,
        ..CoordinatorPlan::default()
    };
    let site = Site::start_with(fleet, plan, tasks::nodes(2))?;
    site.run_job(&tasks::job("steady", 7201, 2, "", 50))?;
    let steady = Tasks::started(&site, 7201, 2)?;
    Ok((site, mosquitto, steady))
}

/// While the broker is away nobody is declared gone, and nothing stops.
fn holds_without_broker(site: &Site, steady: &Tasks, duration: Duration) -> anyhow::Result<()> {
    holds_for("the fleet without its broker", duration, || {
        steady.are_untouched(site)?;
        tasks::all_ready(site)
    })
}

/// The fleet works again, with the tasks that it had.
fn converges(site: &Site, steady: &Tasks, later: u32) -> anyhow::Result<()> {
    site.submit_job(&tasks::job(&format!("later-{later}"), later, 2, "", 50))?;
    Tasks::started(site, later, 2)?;
    site.edgectl(&["job", "stop", "-detach", &format!("later-{later}")])?;
    Tasks::started(site, later, 0)?;
    holds_without_broker(site, steady, Duration::from_secs(3))
}

#[test]
fn a_broker_that_restarts_with_its_sessions_costs_no_task() {
    Fleet::scenario(|fleet| {
        let (site, mut mosquitto, steady) = site(fleet)?;
        for (later, away) in [(7202, Duration::ZERO), (7203, LONG)] {
            mosquitto.stop(Signal::TERM)?;
            holds_without_broker(&site, &steady, away)?;
            mosquitto.restart()?;
            converges(&site, &steady, later)?;
        }
        Ok(())
    });
}

#[test]
fn a_broker_that_restarts_without_its_sessions_costs_no_task() {
    Fleet::scenario(|fleet| {
        let (site, mut mosquitto, steady) = site(fleet)?;
        for (later, away) in [(7202, Duration::ZERO), (7203, LONG)] {
            mosquitto.stop(Signal::KILL)?;
            mosquitto.forget()?;
            holds_without_broker(&site, &steady, away)?;
            mosquitto.restart()?;
            converges(&site, &steady, later)?;
        }
        Ok(())
    });
}

#[test]
fn a_broker_that_hangs_and_goes_on_costs_no_task() {
    Fleet::scenario(|fleet| {
        let (site, mut mosquitto, steady) = site(fleet)?;
        mosquitto.signal(Signal::STOP)?;
        holds_without_broker(&site, &steady, LONG)?;
        // Now it says that every session has ended.
        mosquitto.signal(Signal::CONT)?;
        converges(&site, &steady, 7202)
    });
}

#[test]
fn a_node_that_dies_while_the_broker_is_away_is_missed_when_the_broker_is_back() {
    Fleet::scenario(|fleet| {
        let (mut site, mut mosquitto, _) = site(fleet)?;
        mosquitto.stop(Signal::KILL)?;
        let mut dead = site.agents.pop().context("there are two")?;
        dead.kill(Signal::KILL)?;
        holds_for("its readiness", LONG, || {
            let node = dead.node(&site.coordinator)?;
            ensure!(node["Status"] == "ready", "it is {}", node["Status"]);
            Ok(())
        })?;
        mosquitto.restart()?;
        dead.await_status(&site.coordinator, "down", PATIENCE)?;
        wait_for("the other node", PATIENCE, || tasks::all_ready(&site))
    });
}
