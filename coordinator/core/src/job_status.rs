//! Whether a job is pending, running or dead: computed from everything it has (`scheduling-semantics.md` 6.6).

use holdfast_shared::id::JobKey;
use holdfast_shared::model::{Job, JobType};

use crate::ledger::Ledger;
use crate::state::State;

/// Records the job's status when it has changed.
pub(crate) fn update(ledger: &mut Ledger, key: &JobKey) {
    let Some(job) = ledger.state.jobs.get(key).cloned() else {
        return;
    };
    let status = status(&ledger.state, &job);
    if job.status.as_deref() != Some(status) {
        let mut job = (*job).clone();
        job.status = Some(status.to_owned());
        ledger.put_job(job);
    }
}

fn status(state: &State, job: &Job) -> &'static str {
    let key = job.key();
    let lasting = job.is_template() || job.job_type() == JobType::System;
    if lasting && !job.is_stopped() {
        return "running";
    }
    let deploys = state.deployments_of_job(&key).any(|it| it.status.is_active());
    if deploys || state.allocs_of_job(&key).any(|alloc| !alloc.is_terminal()) {
        return "running";
    }
    let untouched = state.evals_of_job(&key).next().is_none() && state.allocs_of_job(&key).next().is_none();
    let waits = state.evals_of_job(&key).any(|eval| !eval.status.is_terminal());
    if !job.is_stopped() && (untouched || waits) {
        "pending"
    } else {
        "dead"
    }
}
