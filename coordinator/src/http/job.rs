//! `/v1/job/:id` and everything below it.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::Response;
use holdfast_api::{
    Deployment, JobDeregisterResponse, JobEvaluateRequest, JobRegisterRequest, JobRegisterResponse,
    JobSummary, JobVersionsResponse, job_value,
};
use holdfast_coordinator_core::state::Table;
use holdfast_coordinator_core::{Command, State as Snapshot};
use holdfast_shared::id::JobKey;
use holdfast_shared::model::{Job, Tally};
use serde_json::Value;

use super::ask::Ask;
use super::problem::Problem;
use super::{Shared, allocations as allocs, answer, body, evaluations as evals, jobs};

/// What a summary is made of.
pub(super) const SUMMARY_TABLES: &[Table] = &[Table::Jobs, Table::Allocations, Table::Evaluations];

pub(super) fn find<'a>(state: &'a Snapshot, key: &JobKey) -> Result<&'a Arc<Job>, Problem> {
    state.jobs.get(key).ok_or_else(|| Problem::not_found("job"))
}

pub(super) async fn get(State(app): Shared, Path(id): Path<String>, ask: Ask) -> Response {
    let key = ask.job_key(id);
    answer::one(&app, &ask, &[Table::Jobs], |state| {
        find(state, &key).map(|job| job_value(job))
    })
    .await
}

pub(super) async fn update(
    State(app): Shared,
    Path(id): Path<String>,
    ask: Ask,
    bytes: Bytes,
) -> Result<Response, Problem> {
    let request: JobRegisterRequest = body::read(&bytes)?;
    if request.job.as_ref().is_some_and(|job| job.id() != id) {
        return Err(Problem::bad_request("Job ID does not match name"));
    }
    jobs::submit(&app, &ask, request).await
}

pub(super) async fn delete(
    State(app): Shared,
    Path(id): Path<String>,
    ask: Ask,
) -> Result<Response, Problem> {
    let command = Command::DeregisterJob {
        key: ask.job_key(id),
        purge: ask.flag("purge"),
        no_shutdown_delay: ask.flag("no_shutdown_delay"),
    };
    let done = app.runtime.command(command).await?;
    let view = JobDeregisterResponse {
        eval_id: done.eval.map(|id| id.to_string()).unwrap_or_default(),
        eval_create_index: done.eval_create_index,
        job_modify_index: done.job_modify_index,
        index: done.index,
        ..JobDeregisterResponse::default()
    };
    Ok(answer::json(&view, done.index, ask.pretty))
}

pub(super) async fn evaluate(
    State(app): Shared,
    Path(id): Path<String>,
    ask: Ask,
    bytes: Bytes,
) -> Result<Response, Problem> {
    let request: JobEvaluateRequest = if bytes.is_empty() {
        JobEvaluateRequest::default()
    } else {
        body::read(&bytes)?
    };
    if !request.job_id.is_empty() && request.job_id != id {
        return Err(Problem::bad_request("JobID not same as job name"));
    }
    let force_reschedule = request.eval_options.force_reschedule;
    let done = app
        .runtime
        .command(Command::EvaluateJob {
            key: ask.job_key(id),
            force_reschedule,
        })
        .await?;
    let view = JobRegisterResponse {
        eval_id: done.eval.map(|id| id.to_string()).unwrap_or_default(),
        eval_create_index: done.eval_create_index,
        job_modify_index: done.job_modify_index,
        index: done.index,
        ..JobRegisterResponse::default()
    };
    Ok(answer::json(&view, done.index, ask.pretty))
}

pub(super) async fn allocations(State(app): Shared, Path(id): Path<String>, ask: Ask) -> Response {
    let key = ask.job_key(id);
    answer::list(&app, &ask, &[Table::Allocations], |state| {
        // A job that was purged and registered again has nothing to do with what ran under its name before.
        let current = state
            .jobs
            .get(&key)
            .map(|job| job.create_index())
            .filter(|_| !ask.flag("all"));
        let wanted = state
            .allocs_of_job(&key)
            .filter(|it| current.is_none_or(|index| it.job_create_index == index));
        Ok(wanted.map(|it| allocs::stub(state, it)).collect())
    })
    .await
}

pub(super) async fn evaluations(State(app): Shared, Path(id): Path<String>, ask: Ask) -> Response {
    let key = ask.job_key(id);
    answer::list(&app, &ask, &[Table::Evaluations], |state| {
        Ok(state
            .evals_of_job(&key)
            .map(|it| evals::view(state, it))
            .collect())
    })
    .await
}

pub(super) async fn summary(State(app): Shared, Path(id): Path<String>, ask: Ask) -> Response {
    let key = ask.job_key(id);
    answer::one(&app, &ask, SUMMARY_TABLES, |state| {
        find(state, &key).map(|job| summary_of(state, job))
    })
    .await
}

/// How the allocations of a job are; how many wait is what its last evaluation with an opinion said.
pub(super) fn summary_of(state: &Snapshot, job: &Job) -> JobSummary {
    let key = job.key();
    let evals = state.evals_of_job(&key).filter(|eval| !eval.queued.is_empty());
    let newest = evals.max_by_key(|eval| eval.modify_index);
    let none = Tally::default();
    let queued = newest.map_or(&none, |eval| &eval.queued);
    let mut summary = JobSummary::of(job, state.allocs_of_job(&key).map(|it| &**it), queued);
    if job.is_template() {
        for child in state.children_of(&key) {
            match child.status.as_deref() {
                Some("dead") => summary.children.dead += 1,
                Some("running") => summary.children.running += 1,
                _ => summary.children.pending += 1,
            }
        }
    }
    summary
}

pub(super) async fn deployments(State(app): Shared, Path(id): Path<String>, ask: Ask) -> Response {
    let key = ask.job_key(id);
    answer::list(&app, &ask, &[Table::Deployments], |state| {
        let job = state.jobs.get(&key).map(|job| &**job);
        let current = job.map(Job::create_index).filter(|_| !ask.flag("all"));
        let all = state.deployments_of_job(&key);
        let wanted = all.filter(|it| current.is_none_or(|index| it.job_create_index == index));
        Ok(wanted.map(|it| Deployment::of(it, job)).collect())
    })
    .await
}

pub(super) async fn deployment(State(app): Shared, Path(id): Path<String>, ask: Ask) -> Response {
    let key = ask.job_key(id);
    answer::one(&app, &ask, &[Table::Deployments], |state| {
        let job = find(state, &key)?;
        Ok(state
            .latest_deployment(&key)
            .map(|it| Deployment::of(it, Some(job))))
    })
    .await
}

pub(super) async fn versions(State(app): Shared, Path(id): Path<String>, ask: Ask) -> Response {
    let key = ask.job_key(id);
    answer::one(&app, &ask, &[Table::Jobs, Table::JobVersions], |state| {
        find(state, &key)?;
        let mut versions: Vec<Job> = state.versions_of_job(&key).map(|job| (**job).clone()).collect();
        versions.reverse();
        let diffs = if ask.flag("diffs") {
            diffs(&versions, compared(&versions, &ask)?)
        } else {
            Vec::new()
        };
        Ok(JobVersionsResponse {
            versions,
            diffs,
            known_leader: true,
            index: state.index,
            ..JobVersionsResponse::default()
        })
    })
    .await
}

/// The version that all others are held against, where one is named, by its number or by its tag.
fn compared<'a>(versions: &'a [Job], ask: &Ask) -> Result<Option<&'a Job>, Problem> {
    let given = |name| ask.param(name).filter(|text| !text.is_empty());
    let (name, found) = match (given("diff_version"), given("diff_tag")) {
        (Some(_), Some(_)) => {
            let text = "diff_version and diff_tag are mutually exclusive";
            return Err(Problem::bad_request(text));
        }
        (None, None) => return Ok(None),
        (Some(number), None) => {
            let wanted = number.parse::<u64>().map_err(|_| {
                Problem::bad_request(format!("Invalid diff_version: {number:?} is no version"))
            })?;
            let found = versions.iter().find(|job| job.version() == wanted);
            (format!("version {wanted}"), found)
        }
        (None, Some(tag)) => {
            let has_it = |job: &&Job| job.version_tag.as_ref().is_some_and(|it| it.name == tag);
            (format!("tag {tag:?}"), versions.iter().find(has_it))
        }
    };
    found.map(Some).ok_or_else(|| Problem::not_found(&name))
}

/// What changed from each version, newest first, to the one before it, or to the one that is named.
fn diffs(versions: &[Job], against: Option<&Job>) -> Vec<Value> {
    let changed = |old: &Job, new: &Job| {
        serde_json::to_value(holdfast_diff::diff(Some(old), Some(new), true)).expect("a diff is plain data")
    };
    let Some(base) = against else {
        let pairs = versions.windows(2);
        return pairs.map(|pair| changed(&pair[1], &pair[0])).collect();
    };
    let others = versions.iter().filter(|job| job.version() != base.version());
    others.map(|job| changed(base, job)).collect()
}
