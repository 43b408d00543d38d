//! Jobs: registering versions, stopping, evaluating.

use std::collections::BTreeSet;
use std::sync::Arc;

use holdfast_shared::id::{EvalId, JobKey};
use holdfast_shared::model::{EvalStatus, Job, Trigger};

use crate::broker::Broker;
use crate::effect::{Refusal, Response};
use crate::ledger::Ledger;
use crate::multiregion;
use crate::state::Delta;

/// How a job is to be registered.
pub(super) struct Wish {
    /// The spec index that the job must have now; 0 is "must not exist".
    pub(super) check_index: Option<u64>,
    /// Keep the counts that the running version has.
    pub(super) preserve_counts: bool,
    /// Priority of the evaluation, instead of the job's.
    pub(super) eval_priority: Option<i64>,
}

/// How a job is to be stopped.
#[derive(Clone, Copy)]
pub(super) struct Stop {
    /// Whether to forget it altogether.
    pub(super) purge: bool,
    /// Whether its allocations skip their shutdown delay.
    pub(super) no_shutdown_delay: bool,
}

/// Registers a job, or a new version of it, and asks for an evaluation either way.
pub(super) fn register(ledger: &mut Ledger, mut job: Job, wish: &Wish) -> Result<Response, Refusal> {
    if job.id().is_empty() {
        return Err(Refusal::Invalid("the job has no ID".into()));
    }
    refuse_what_nobody_launches(&job)?;
    multiregion::localize(&mut job, &ledger.options.region);
    let key = job.key();
    let current = ledger.state.jobs.get(&key).cloned();
    check(current.as_deref(), wish.check_index)?;
    if let Some(current) = &current {
        keep_kind(current, &job)?;
        if wish.preserve_counts && !current.is_stopped() {
            preserve_counts(&mut job, current);
        }
    }
    job.submit_time = Some(ledger.now.0);
    let changed = current
        .as_ref()
        .is_none_or(|current| current.specification() != job.specification());
    if changed {
        register_version(ledger, job);
    }
    let job = ledger
        .state
        .jobs
        .get(&key)
        .cloned()
        .expect("the job was registered above or before");
    let mut response = Response {
        job_modify_index: job.job_modify_index.unwrap_or(0),
        index: ledger.index(),
        ..Response::default()
    };
    if !job.is_template() {
        let mut eval = ledger.new_eval(&key, Trigger::JobRegister);
        eval.priority = wish.eval_priority.unwrap_or(eval.priority);
        response.eval = Some(eval.id);
        response.eval_create_index = ledger.index();
        ledger.put_eval(eval);
    }
    response.index = ledger.index();
    Ok(response)
}

/// A job that only launches others would be accepted and never run: better to say so.
fn refuse_what_nobody_launches(job: &Job) -> Result<(), Refusal> {
    let (kind, block) = match (&job.periodic, &job.parameterized_job) {
        (Some(periodic), _) if periodic.is_enabled() => ("periodic: launching by the clock", "periodic"),
        (_, Some(_)) if !job.dispatched => ("parameterized: dispatching", "parameterized"),
        _ => return Ok(()),
    };
    let id = job.id();
    let text =
        format!("job \"{id}\" is {kind} is not available yet; register it without its `{block}` block");
    Err(Refusal::Invalid(text))
}

/// Makes `job` the newest version: with the next number, and the oldest kept version forgotten.
pub(crate) fn register_version(ledger: &mut Ledger, mut job: Job) {
    let key = job.key();
    let current = ledger.state.jobs.get(&key).cloned();
    let index = ledger.index();
    job.version = Some(current.as_ref().map_or(0, |it| it.version() + 1));
    job.create_index = Some(current.as_ref().map_or(index, |it| it.create_index()));
    job.job_modify_index = Some(index);
    job.status = current
        .as_ref()
        .and_then(|it| it.status.clone())
        .or_else(|| Some("pending".into()));
    job.stable.get_or_insert(false);
    ledger.put_job(job);
    trim_versions(ledger, &key);
}

/// Forgets the oldest versions beyond those that are kept. A tagged one is never forgotten, nor the newest stable one,
/// nor one that still runs.
fn trim_versions(ledger: &mut Ledger, key: &JobKey) {
    let kept = ledger.options.job_versions_kept;
    let versions: Vec<Arc<Job>> = ledger.state.versions_of_job(key).cloned().collect();
    let newest_stable = versions
        .iter()
        .rev()
        .find(|job| job.stable == Some(true))
        .map(|job| job.version());
    let in_use: BTreeSet<u64> = ledger
        .state
        .allocs_of_job(key)
        .filter(|it| !it.is_server_terminal())
        .map(|it| it.job_version)
        .collect();
    let untagged: Vec<u64> = versions
        .iter()
        .filter(|job| job.version_tag.is_none())
        .map(|job| job.version())
        .collect();
    let mut surplus = untagged.len().saturating_sub(kept);
    for version in untagged {
        if surplus > 0 && Some(version) != newest_stable && !in_use.contains(&version) {
            surplus -= 1;
            ledger.record(Delta::RemoveJobVersion(key.clone(), version));
        }
    }
}

fn check(current: Option<&Job>, check_index: Option<u64>) -> Result<(), Refusal> {
    let Some(wanted) = check_index else { return Ok(()) };
    let index = current.map(|job| job.job_modify_index.unwrap_or(0));
    let refusal = match (wanted, index) {
        (0, None) => return Ok(()),
        (0, Some(_)) => "job already exists".to_owned(),
        (_, Some(index)) if index == wanted => return Ok(()),
        (_, Some(index)) => format!("job exists with conflicting job modify index: {index}"),
        (_, None) => "job does not exist".to_owned(),
    };
    Err(Refusal::Conflict(format!(
        "Enforcing job modify index {wanted}: {refusal}"
    )))
}

/// What a job is can not change from version to version.
fn keep_kind(current: &Job, job: &Job) -> Result<(), Refusal> {
    if current.job_type() != job.job_type() {
        let (from, to) = (current.job_type().as_str(), job.job_type().as_str());
        return Err(Refusal::Invalid(format!(
            "cannot update job from type {from:?} to {to:?}"
        )));
    }
    if current.periodic.is_some() != job.periodic.is_some() {
        return Err(Refusal::Invalid(
            "cannot update between a periodic and a non-periodic job".into(),
        ));
    }
    if current.parameterized_job.is_some() != job.parameterized_job.is_some() {
        return Err(Refusal::Invalid(
            "cannot update between a parameterized and a non-parameterized job".into(),
        ));
    }
    Ok(())
}

fn preserve_counts(job: &mut Job, current: &Job) {
    for group in job.task_groups.iter_mut().flatten() {
        if let Some(running) = current.group(group.name()) {
            group.count = running.count;
        }
    }
}

/// Stops a job, or forgets it altogether; either way an evaluation stops its allocations.
pub(super) fn deregister(
    ledger: &mut Ledger,
    broker: &Broker,
    key: &JobKey,
    stop: Stop,
) -> Result<Response, Refusal> {
    let Some(current) = ledger.state.jobs.get(key).cloned() else {
        return Err(Refusal::NotFound(format!("job {:?}", key.id)));
    };
    let mut eval = ledger.new_eval(key, Trigger::JobDeregister);
    if let Some(blocked) = broker.blocked_of(key) {
        cancel(ledger, blocked, "canceled because the job was stopped");
    }
    if stop.no_shutdown_delay {
        skip_shutdown_delay(ledger, key);
    }
    if stop.purge {
        let versions: Vec<u64> = ledger
            .state
            .versions_of_job(key)
            .map(|job| job.version())
            .collect();
        ledger.record(Delta::RemoveJob(key.clone()));
        for version in versions {
            ledger.record(Delta::RemoveJobVersion(key.clone(), version));
        }
    } else if !current.is_stopped() {
        let mut job = (*current).clone();
        job.stop = Some(true);
        job.submit_time = Some(ledger.now.0);
        job.stable = Some(false);
        register_version(ledger, job);
    }
    eval.job_modify_index = ledger.index();
    let response = Response {
        eval: Some(eval.id),
        eval_create_index: ledger.index(),
        job_modify_index: ledger.index(),
        index: ledger.index(),
        ..Response::default()
    };
    ledger.put_eval(eval);
    Ok(response)
}

fn skip_shutdown_delay(ledger: &mut Ledger, key: &JobKey) {
    let allocs: Vec<_> = ledger
        .state
        .allocs_of_job(key)
        .filter(|alloc| !alloc.is_terminal())
        .cloned()
        .collect();
    for alloc in allocs {
        let mut alloc = (*alloc).clone();
        alloc.transition.no_shutdown_delay = true;
        ledger.put_alloc(alloc);
    }
}

/// Cancels an evaluation that waits.
pub(crate) fn cancel(ledger: &mut Ledger, id: EvalId, why: &str) {
    if let Some(eval) = ledger
        .state
        .evals
        .get(&id)
        .filter(|eval| !eval.status.is_terminal())
        .cloned()
    {
        let mut eval = (*eval).clone();
        eval.status = EvalStatus::Canceled;
        why.clone_into(&mut eval.status_description);
        ledger.put_eval(eval);
    }
}

/// Evaluates a job once more; with force, failed allocations are rescheduled whatever their policy says.
pub(super) fn evaluate(
    ledger: &mut Ledger,
    key: &JobKey,
    force_reschedule: bool,
) -> Result<Response, Refusal> {
    let Some(job) = ledger.state.jobs.get(key).cloned() else {
        return Err(Refusal::NotFound(format!("job {:?}", key.id)));
    };
    if job.is_template() {
        return Err(Refusal::Invalid(
            "can't evaluate periodic or parameterized job".into(),
        ));
    }
    if force_reschedule {
        let failed: Vec<_> = ledger
            .state
            .allocs_of_job(key)
            .filter(|alloc| !alloc.is_server_terminal() && alloc.client.is_terminal())
            .cloned()
            .collect();
        for alloc in failed {
            let mut alloc = (*alloc).clone();
            alloc.transition.force_reschedule = true;
            ledger.put_alloc(alloc);
        }
    }
    let eval = ledger.evaluate(key, Trigger::JobRegister);
    Ok(Response {
        eval: Some(eval),
        eval_create_index: ledger.index(),
        job_modify_index: job.job_modify_index.unwrap_or(0),
        index: ledger.index(),
        ..Response::default()
    })
}
