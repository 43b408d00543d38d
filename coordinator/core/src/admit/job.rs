//! Jobs: registering versions, stopping, evaluating.

use std::collections::BTreeSet;
use std::sync::Arc;

use holdfast_shared::id::{EvalId, JobKey};
use holdfast_shared::model::{EvalStatus, Job, Submission, Trigger};

use crate::broker::Broker;
use crate::effect::{Refusal, Response};
use crate::history;
use crate::ledger::Ledger;

/// How a job is to be registered.
#[derive(Default)]
pub(super) struct Wish {
    /// The spec index that the job must have now; 0 is "must not exist".
    pub(super) check_index: Option<u64>,
    /// Keep the counts that the running version has.
    pub(super) preserve_counts: bool,
    /// Priority of the evaluation, instead of the job's.
    pub(super) eval_priority: Option<i64>,
    /// What the job was made from.
    pub(super) submission: Option<Box<Submission>>,
}

/// How a job is to be stopped.
#[derive(Clone, Copy)]
pub(super) struct Stop {
    /// Whether to forget it altogether.
    pub(super) purge: bool,
    /// Whether its allocations skip their shutdown delay.
    pub(super) no_shutdown_delay: bool,
}

/// Registers a job, or a new version of it, and asks for an evaluation of it unless it only launches others.
pub(super) fn register(ledger: &mut Ledger, mut job: Job, wish: Wish) -> Result<Response, Refusal> {
    if job.id().is_empty() {
        return Err(Refusal::Invalid("the job has no ID".into()));
    }
    let key = job.key();
    let current = ledger.state.jobs.get(&key).cloned();
    check(current.as_deref(), wish.check_index)?;
    keep_kind(current.as_deref(), &job)?;
    // Who launched a job is not for its author to say.
    job.parent_id = current
        .as_ref()
        .map_or_else(|| Some(String::new()), |it| it.parent_id.clone());
    if let Some(current) = current
        .as_deref()
        .filter(|it| wish.preserve_counts && !it.is_stopped())
    {
        preserve_counts(&mut job, current);
    }
    job.submit_time = Some(ledger.now.0);
    let is_template = job.is_template();
    let changed = current
        .as_ref()
        .is_none_or(|current| current.specification() != job.specification());
    if changed {
        register_version(ledger, job);
        history::remember(ledger, &key, wish.submission);
    }
    let job_modify_index = ledger.state.jobs.get(&key).and_then(|job| job.job_modify_index);
    let mut response = Response {
        job_modify_index: job_modify_index.unwrap_or(0),
        ..Response::default()
    };
    if !is_template {
        let mut eval = ledger.new_eval(&key, Trigger::JobRegister);
        eval.priority = wish.eval_priority.unwrap_or(eval.priority);
        response.eval = Some(eval.id);
        response.eval_create_index = ledger.index();
        ledger.put_eval(eval);
    }
    response.index = ledger.state.index;
    Ok(response)
}

/// Makes `job` the newest version: with the next number, without a tag, and the oldest kept version forgotten.
pub(crate) fn register_version(ledger: &mut Ledger, mut job: Job) {
    let key = job.key();
    // A tag belongs to the version that it was given to.
    job.version_tag = None;
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
    ledger.shapes.share(&mut job);
    ledger.put_job(job);
    trim_versions(ledger, &key);
}

/// Forgets the oldest versions beyond those that are kept. A tagged one is never forgotten, nor the newest one, the newest
/// stable one, or one that still runs.
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
    let newest = versions.last().map(|job| job.version());
    let untagged: Vec<u64> = versions
        .iter()
        .filter(|job| job.version_tag.is_none())
        .map(|job| job.version())
        .collect();
    let mut surplus = untagged.len().saturating_sub(kept);
    for version in untagged {
        let stays = [newest, newest_stable].contains(&Some(version)) || in_use.contains(&version);
        if surplus > 0 && !stays {
            surplus -= 1;
            history::forget_version(&ledger.state, key, version)
                .into_iter()
                .for_each(|delta| ledger.record(delta));
        }
    }
}

pub(super) fn check(current: Option<&Job>, check_index: Option<u64>) -> Result<(), Refusal> {
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
pub(crate) fn keep_kind(current: Option<&Job>, job: &Job) -> Result<(), Refusal> {
    let invalid = |text: &str| Err(Refusal::Invalid(text.to_owned()));
    let Some(current) = current else {
        return match job.dispatched {
            true => invalid("job can't be submitted with 'Dispatched' set"),
            false => Ok(()),
        };
    };
    if current.job_type() != job.job_type() {
        let (from, to) = (current.job_type().as_str(), job.job_type().as_str());
        return invalid(&format!("cannot update job from type {from:?} to {to:?}"));
    }
    if current.dispatched != job.dispatched {
        return invalid("field 'Dispatched' is read-only");
    }
    match (current.periodic.is_some(), job.periodic.is_some()) {
        (true, false) => return invalid("cannot update periodic job to being non-periodic"),
        (false, true) => return invalid("cannot update non-periodic job to being periodic"),
        _ => {}
    }
    match (
        current.parameterized_job.is_some(),
        job.parameterized_job.is_some(),
    ) {
        (true, false) => invalid("cannot update parameterized job to being non-parameterized"),
        (false, true) => invalid("cannot update non-parameterized job to being parameterized"),
        _ => Ok(()),
    }
}

fn preserve_counts(job: &mut Job, current: &Job) {
    for group in job.task_groups.iter_mut().flatten() {
        if let Some(running) = current.group(group.name()) {
            group.count = running.count;
        }
    }
}

/// Stops a job, or forgets it altogether; an evaluation stops its allocations. The jobs that were launched from it go on.
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
        let deltas = history::forget_job(&ledger.state, key);
        deltas.into_iter().for_each(|delta| ledger.record(delta));
    } else if !current.is_stopped() {
        let mut job = (*current).clone();
        job.stop = Some(true);
        job.submit_time = Some(ledger.now.0);
        job.stable = Some(false);
        let submission = history::submission(&ledger.state, key, current.version());
        register_version(ledger, job);
        history::remember(ledger, key, submission);
    }
    let mut response = Response {
        job_modify_index: ledger.index(),
        index: ledger.state.index,
        ..Response::default()
    };
    // What only launches others has nothing to stop itself.
    if !current.is_template() {
        eval.job_modify_index = ledger.index();
        response.eval = Some(eval.id);
        response.eval_create_index = ledger.index();
        ledger.put_eval(eval);
    }
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
        index: ledger.state.index,
        ..Response::default()
    })
}
