//! What is remembered of jobs beside their versions, and how jobs are forgotten with everything that belongs to them.

use std::sync::Arc;

use holdfast_shared::id::JobKey;
use holdfast_shared::model::{JobHistory, ScalingEvent, Submission};
use holdfast_shared::time::Timestamp;

use crate::ledger::Ledger;
use crate::state::{Delta, State};

/// Scaling events that a group remembers.
const EVENTS_MAX: usize = 20;

/// Remembers what the newest version of a job was made from.
pub(crate) fn remember(ledger: &mut Ledger, key: &JobKey, submission: Option<Box<Submission>>) {
    let Some((mut submission, job)) = submission.zip(ledger.state.jobs.get(key)) else {
        return;
    };
    submission.job = key.clone();
    submission.version = job.version();
    submission.job_modify_index = job.job_modify_index.unwrap_or(0);
    ledger.record(Delta::Submission(Arc::from(submission)));
}

/// What a kept version of a job was made from.
pub(crate) fn submission(state: &State, key: &JobKey, version: u64) -> Option<Box<Submission>> {
    let known = state.submissions.get(&(key.clone(), version))?;
    Some(Box::new((**known).clone()))
}

/// Remembers what happened to the count of a group.
pub(crate) fn record_scaling(ledger: &mut Ledger, key: &JobKey, group: &str, mut event: ScalingEvent) {
    event.create_index = ledger.index();
    event.time = ledger.now;
    change(ledger, key, |history| {
        let events = history.scaling.entry(group.to_owned()).or_default();
        events.insert(0, event);
        events.truncate(EVENTS_MAX);
    });
}

/// Remembers up to when launches by the clock are settled.
pub(crate) fn settle_launches(ledger: &mut Ledger, key: &JobKey, until: Timestamp) {
    change(ledger, key, |history| history.launched_until = until);
}

fn change(ledger: &mut Ledger, key: &JobKey, apply: impl FnOnce(&mut JobHistory)) {
    let known = ledger.state.histories.get(key);
    let mut history = known.map_or_else(
        || JobHistory {
            job: key.clone(),
            scaling: std::collections::BTreeMap::new(),
            launched_until: Timestamp::ZERO,
        },
        |it| (**it).clone(),
    );
    apply(&mut history);
    ledger.record(Delta::JobHistory(Arc::new(history)));
}

/// What forgets one version of a job.
pub(crate) fn forget_version(state: &State, key: &JobKey, version: u64) -> Vec<Delta> {
    let mut deltas = vec![Delta::RemoveJobVersion(key.clone(), version)];
    if state.submissions.contains_key(&(key.clone(), version)) {
        deltas.push(Delta::RemoveSubmission(key.clone(), version));
    }
    deltas
}

/// What forgets a job with all its versions.
pub(crate) fn forget_job(state: &State, key: &JobKey) -> Vec<Delta> {
    let mut deltas = vec![Delta::RemoveJob(key.clone())];
    if state.histories.contains_key(key) {
        deltas.push(Delta::RemoveJobHistory(key.clone()));
    }
    for job in state.versions_of_job(key) {
        deltas.extend(forget_version(state, key, job.version()));
    }
    deltas
}
