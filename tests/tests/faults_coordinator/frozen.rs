//! The coordinator stands still for longer than everybody waits, and goes on.

use std::time::Duration;

use anyhow::ensure;
use holdfast_tests::{Fleet, holds_for};
use rustix::process::Signal;

use crate::tasks::{self, Tasks};
use holdfast_tests::site::Site;

/// Far beyond the time after which nodes count as gone, and agents give the coordinator up.
const STILL: Duration = Duration::from_secs(12);

#[test]
fn a_coordinator_that_stood_still_declares_nobody_gone() {
    Fleet::scenario(|fleet| {
        let mut site = Site::start(fleet, tasks::nodes(3))?;
        site.run_job(&tasks::job("steady", 7001, 3, "", 50))?;
        let steady = Tasks::started(&site, 7001, 3)?;
        let evaluations = site.coordinator.read("/v1/job/steady/evaluations")?;

        site.coordinator.signal(Signal::STOP)?;
        holds_for("the tasks", STILL, || steady.are_untouched(&site))?;
        site.coordinator.signal(Signal::CONT)?;

        holds_for("everybody's readiness", Duration::from_secs(8), || {
            tasks::all_ready(&site)
        })?;
        steady.are_untouched(&site)?;
        let now = site.coordinator.read("/v1/job/steady/evaluations")?;
        ensure!(now == evaluations, "a storm of evaluations: {now}");
        ensure!(
            site.coordinator.log()?.contains("stood still"),
            "it did not notice"
        );
        site.run_job(&tasks::job("later", 7002, 3, "", 50))?;
        Tasks::started(&site, 7002, 3)?;
        steady.are_untouched(&site)
    });
}
