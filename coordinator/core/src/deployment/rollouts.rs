//! When deployments are looked at.
//!
//! Looking at one takes as long as its job has allocations. Where these are thousands, and each of them reports, nothing
//! else would ever be done: what happened to a large job is looked at together with what happens shortly after.

use std::collections::BTreeMap;

use holdfast_shared::id::DeploymentId;
use holdfast_shared::time::{Duration, Timestamp};

use super::progress::advance;
use super::{deadline, on_deadline};
use crate::ledger::Ledger;

/// Pauses that are shorter than this are none.
const PAUSE_MIN: Duration = Duration::from_millis(10);

/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// When each deployment is due.
#[derive(Debug, Default)]
pub(crate) struct Rollouts {
    /// When it makes no progress any more, or is to be looked at.
    deadlines: BTreeMap<DeploymentId, Timestamp>,
    /// When what happened to it is looked at.
    looks: BTreeMap<DeploymentId, Timestamp>,
}

impl Rollouts {
    /// Looks at every deployment that is under way: what happened before may not have been looked at.
    pub(crate) fn start(&mut self, ledger: &mut Ledger) {
        let deployments = ledger.state.deployments.values();
        let active: Vec<DeploymentId> = deployments
            .filter(|it| it.status.is_active())
            .map(|it| it.id)
            .collect();
        for id in active {
            self.look(ledger, id);
        }
    }

    /// When something is due next.
    pub(crate) fn next_at(&self) -> Option<Timestamp> {
        self.deadlines.values().chain(self.looks.values()).min().copied()
    }

    /// Something happened to the deployment, or to one of its allocations.
    pub(crate) fn on_change(&mut self, ledger: &mut Ledger, id: DeploymentId) {
        let pause = pause(ledger, id);
        if pause < PAUSE_MIN {
            self.look(ledger, id);
        } else {
            self.looks.entry(id).or_insert(ledger.now + pause);
            self.note_deadline(ledger, id);
        }
    }

    /// Does what is due.
    pub(crate) fn on_timeout(&mut self, ledger: &mut Ledger) {
        for id in due(&self.looks, ledger.now) {
            self.look(ledger, id);
        }
        for id in due(&self.deadlines, ledger.now) {
            // What happened in time counts.
            self.look(ledger, id);
            if self.deadlines.get(&id).is_some_and(|at| *at <= ledger.now) {
                self.deadlines.remove(&id);
                on_deadline(ledger, id);
            }
        }
    }

    fn look(&mut self, ledger: &mut Ledger, id: DeploymentId) {
        self.looks.remove(&id);
        advance(ledger, id);
        self.note_deadline(ledger, id);
    }

    fn note_deadline(&mut self, ledger: &Ledger, id: DeploymentId) {
        let deployment = ledger.state.deployments.get(&id);
        match deployment.and_then(|it| deadline(it)) {
            Some(at) => self.deadlines.insert(id, at),
            None => self.deadlines.remove(&id),
        };
    }
}

fn due(times: &BTreeMap<DeploymentId, Timestamp>, now: Timestamp) -> Vec<DeploymentId> {
    let due = times.iter().filter(|(_, at)| **at <= now);
    due.map(|(id, _)| *id).collect()
}

/// How long a look at the deployment can wait.
fn pause(ledger: &Ledger, id: DeploymentId) -> Duration {
    let deployment = ledger.state.deployments.get(&id);
    let active = deployment.filter(|it| it.status.is_active());
    active.map_or(Duration::ZERO, |it| {
        let allocs = ledger.state.alloc_count_of_job(&it.job);
        let pause = ledger.options.look_pause;
        pause
            .times(i64::try_from(allocs).unwrap_or(i64::MAX))
            .min(PAUSE_MAX)
    })
}
