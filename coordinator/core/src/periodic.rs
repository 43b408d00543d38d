//! Launches by the clock: which periodic job is next, and what happens when its time has come
//! (`scheduling-semantics.md` section 0.2, `operator-surface.md` 2.1).
//!
//! Like the evaluation queue it learns everything from what is recorded. Launches that were missed, because the
//! coordinator was down, are made up for by one.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_shared::id::JobKey;
use holdfast_shared::model::{Job, Trigger};
use holdfast_shared::time::Timestamp;

use crate::children;
use crate::history;
use crate::ledger::Ledger;

/// The next launch of every periodic job.
#[derive(Debug, Default)]
pub(crate) struct Launches {
    by_job: BTreeMap<JobKey, Timestamp>,
    by_time: BTreeSet<(Timestamp, JobKey)>,
}

impl Launches {
    /// Takes up the jobs of a stored state.
    pub(crate) fn start(&mut self, ledger: &Ledger) {
        for job in ledger.state.jobs.values() {
            self.observe(ledger, job);
        }
    }

    /// Puts a changed job where it belongs now.
    pub(crate) fn observe(&mut self, ledger: &Ledger, job: &Job) {
        let key = job.key();
        self.forget(&key);
        let Some(periodic) = job.periodic.as_ref().filter(|_| launches(job)) else {
            return;
        };
        let settled = ledger.state.histories.get(&key).map(|it| it.launched_until);
        // A new specification counts from its submission; and a clock that once ran ahead must not stop launches for ever.
        let submitted = Timestamp(job.submit_time.unwrap_or(0));
        let from = settled.unwrap_or(Timestamp::ZERO).max(submitted).min(ledger.now);
        if let Some(at) = (ledger.options.calendar)(periodic, from) {
            self.by_time.insert((at, key.clone()));
            self.by_job.insert(key, at);
        }
    }

    /// The job is gone, or is none that launches.
    pub(crate) fn forget(&mut self, key: &JobKey) {
        if let Some(at) = self.by_job.remove(key) {
            self.by_time.remove(&(at, key.clone()));
        }
    }

    /// When there is something to launch.
    pub(crate) fn next_at(&self) -> Option<Timestamp> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Launches what is due.
    pub(crate) fn on_timeout(&mut self, ledger: &mut Ledger) {
        while let Some((at, key)) = self.by_time.first().cloned().filter(|(at, _)| *at <= ledger.now) {
            self.forget(&key);
            let Some(job) = ledger.state.jobs.get(&key).cloned() else {
                continue;
            };
            if !is_held_up(ledger, &job) {
                children::launch(ledger, children::of_launch(&job, at), Trigger::PeriodicJob);
            }
            history::settle_launches(ledger, &key, ledger.now);
            self.observe(ledger, &job);
        }
    }
}

/// Whether the clock launches this job.
fn launches(job: &Job) -> bool {
    let waits_for_dispatch = job.parameterized_job.is_some() && !job.dispatched;
    !job.is_stopped() && !waits_for_dispatch && job.periodic.as_ref().is_some_and(|it| it.is_enabled())
}

/// Whether an earlier instance still runs, and the job wants none beside it.
fn is_held_up(ledger: &Ledger, job: &Job) -> bool {
    let prohibits = job.periodic.as_ref().and_then(|it| it.prohibit_overlap);
    prohibits == Some(true)
        && ledger
            .state
            .children_of(&job.key())
            .any(|child| child.status.as_deref() != Some("dead"))
}
