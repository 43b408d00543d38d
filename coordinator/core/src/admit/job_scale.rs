//! Scaling: changing the count of one group, within the bounds that the job sets.

use holdfast_shared::model::{Job, JobType, ScalingEvent, TaskGroup, Trigger};
use holdfast_shared::time::Timestamp;

use super::job::{check, register_version};
use crate::effect::{Refusal, Response};
use crate::history;
use crate::input::Scale;
use crate::ledger::Ledger;

/// Changes the count of a group, or records what there is to say about it.
pub(super) fn scale(ledger: &mut Ledger, job: &Job, wish: Scale) -> Result<Response, Refusal> {
    check(Some(job), wish.check_index)?;
    let previous = allowed(ledger, job, &wish).map_err(Refusal::Invalid)?;
    let key = job.key();
    let mut response = Response {
        job_modify_index: job.job_modify_index.unwrap_or(0),
        ..Response::default()
    };
    if let Some(count) = wish.count {
        if count != previous {
            let mut job = job.clone();
            let group = |group: &&mut TaskGroup| group.name() == wish.group;
            if let Some(group) = job.task_groups.iter_mut().flatten().find(group) {
                group.count = Some(count);
            }
            job.submit_time = Some(ledger.now.0);
            job.stable = Some(false);
            job.version_tag = None;
            register_version(ledger, job);
            response.job_modify_index = ledger.index();
        }
        if !job.is_template() {
            response.eval = Some(ledger.evaluate(&key, Trigger::JobScaling));
            response.eval_create_index = ledger.index();
        }
    }
    let event = ScalingEvent {
        count: wish.count,
        previous_count: previous,
        message: wish.message,
        error: wish.error,
        meta: wish.meta,
        eval: response.eval,
        time: Timestamp::ZERO,
        create_index: 0,
    };
    history::record_scaling(ledger, &key, &wish.group, event);
    response.index = ledger.state.index;
    Ok(response)
}

/// The count so far, when the change is one that the job allows.
fn allowed(ledger: &Ledger, job: &Job, wish: &Scale) -> Result<i64, String> {
    if wish.group.is_empty() {
        return Err("missing task group name for scaling action".into());
    }
    let Some(group) = job.group(&wish.group) else {
        let name = &wish.group;
        return Err(format!(
            "task group {name:?} specified for scaling does not exist in job"
        ));
    };
    let Some(count) = wish.count else {
        return Ok(group.count.unwrap_or(1));
    };
    if job.job_type() == JobType::System {
        return Err("cannot scale jobs of type 'system'".into());
    }
    if wish.error {
        return Err("scaling action should not contain count if error is true".into());
    }
    if count < 0 {
        return Err("scaling action count can't be negative".into());
    }
    let bounds = group.scaling.as_ref();
    if let Some(min) = bounds.and_then(|it| it.min).filter(|min| count < *min) {
        return Err(format!(
            "group count was less than scaling policy minimum: {count} < {min}"
        ));
    }
    if let Some(max) = bounds.and_then(|it| it.max).filter(|max| count > *max) {
        return Err(format!(
            "group count was greater than scaling policy maximum: {count} > {max}"
        ));
    }
    let deploys = ledger
        .state
        .latest_deployment(&job.key())
        .is_some_and(|it| it.status.is_active() && it.job_create_index == job.create_index());
    if deploys {
        return Err("job scaling blocked due to active deployment".into());
    }
    Ok(group.count.unwrap_or(1))
}
