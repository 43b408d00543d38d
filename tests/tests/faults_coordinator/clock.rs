//! The coordinator's clock is wrong by years, forwards and backwards, from one start to the next.

use std::time::Duration;

use anyhow::ensure;
use holdfast_tests::{Fleet, holds_for};
use rustix::process::Signal;

use crate::tasks::{self, Tasks};
use holdfast_tests::site::Site;

#[test]
fn a_clock_that_is_wrong_by_years_makes_nobody_lost() {
    Fleet::scenario(|fleet| {
        let mut site = Site::start(fleet, tasks::nodes(3))?;
        let policy = "disconnect {\n      lost_after = \"1h\"\n      replace    = false\n    }";
        site.run_job(&tasks::job("away", 7301, 1, policy, 50))?;
        let away = site.await_only_running("away")?;
        let index = site.index_of(&away)?;
        site.run_job(&tasks::job("steady", 7302, 3, policy, 50))?;
        let (steady, lone) = (Tasks::started(&site, 7302, 3)?, Tasks::started(&site, 7301, 1)?);
        site.cut(index)?;
        site.await_status("away", &away["ID"], "unknown")?;

        // Ten years ahead; back; the time of a box that has no clock; and right again.
        for (round, clock) in [Some("+3650d"), None, Some("@1970-01-02 00:00:00"), None]
            .into_iter()
            .enumerate()
        {
            site.coordinator.kill(if round % 2 == 0 {
                Signal::TERM
            } else {
                Signal::KILL
            })?;
            site.coordinator.plan.clock = clock.map(str::to_owned);
            site.coordinator.restart()?;
            holds_for("everybody's state", Duration::from_secs(5), || {
                let row = site.allocation("away", &away["ID"])?;
                ensure!(
                    row["Status"] == "unknown" && row["Desired"] == "run",
                    "{clock:?}: {row:?}"
                );
                for (number, agent) in site.agents.iter().enumerate() {
                    let node = agent.node(&site.coordinator)?;
                    let status = if number == index { "disconnected" } else { "ready" };
                    ensure!(
                        node["Status"] == status,
                        "{clock:?}: {} is {}",
                        agent.name(),
                        node["Status"]
                    );
                }
                Ok(())
            })?;
            let later = tasks::job(&format!("later-{round}"), 7310 + u32::try_from(round)?, 2, "", 50);
            site.run_job(&later)?;
        }
        site.heal(index)?;
        tasks::await_ready(&site)?;
        site.await_status("away", &away["ID"], "running")?;
        steady.are_untouched(&site)?;
        lone.are_untouched(&site)
    });
}

#[test]
fn a_coordinator_that_first_started_in_1970_goes_on_in_the_present() {
    Fleet::scenario(|fleet| {
        let plan = holdfast_tests::CoordinatorPlan {
            clock: Some("@1970-01-01 00:00:30".to_owned()),
            ..holdfast_tests::CoordinatorPlan::default()
        };
        let mut site = Site::start_with(fleet, plan, tasks::nodes(2))?;
        site.run_job(&tasks::job("steady", 7303, 2, "", 50))?;
        let steady = Tasks::started(&site, 7303, 2)?;
        site.coordinator.kill(Signal::KILL)?;
        site.coordinator.plan.clock = None;
        site.coordinator.restart()?;
        holds_for("the fleet", Duration::from_secs(6), || {
            tasks::all_ready(&site)?;
            steady.are_untouched(&site)
        })?;
        site.run_job(&tasks::job("later", 7304, 2, "", 50))?;
        Ok(())
    });
}
