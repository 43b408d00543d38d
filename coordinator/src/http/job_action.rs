//! What is done with a job that is there: `/v1/job/:id/{revert,stable,scale,submission,dispatch,periodic/force}` and the
//! tags of its versions.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use holdfast_api::{
    JobDispatchRequest, JobDispatchResponse, JobRegisterResponse, JobRevertRequest, JobScaleStatus,
    JobStabilityRequest, JobStabilityResponse, JobSubmissionView, JobTagRequest, JobTagResponse,
    PeriodicForceResponse, ScalingRequest,
};
use holdfast_coordinator_core::state::Table;
use holdfast_coordinator_core::{Command, Dispatch, JobAction, Response as Done, Scale};
use holdfast_shared::model::VersionTag;

use super::ask::Ask;
use super::job::find;
use super::problem::Problem;
use super::{App, Shared, answer, body};

/// Tables that tell how a job is scaled.
const SCALE_TABLES: &[Table] = &[Table::Jobs, Table::Allocations, Table::JobHistories];

async fn act(app: &App, ask: &Ask, id: String, action: JobAction) -> Result<Done, Problem> {
    let command = Command::Job(ask.job_key(id), action);
    Ok(app.runtime.command(command).await?)
}

/// A body that may name the job has to name the one of the path.
fn same(named: &str, id: &str) -> Result<(), Problem> {
    if named.is_empty() || named == id {
        return Ok(());
    }
    Err(Problem::bad_request("Job ID does not match"))
}

fn registered(done: &Done) -> JobRegisterResponse {
    JobRegisterResponse {
        eval_id: done.eval.map(|id| id.to_string()).unwrap_or_default(),
        eval_create_index: done.eval_create_index,
        job_modify_index: done.job_modify_index,
        index: done.index,
        ..JobRegisterResponse::default()
    }
}

pub(super) async fn revert(
    State(app): Shared,
    Path(id): Path<String>,
    ask: Ask,
    bytes: Bytes,
) -> Result<Response, Problem> {
    let request: JobRevertRequest = body::read(&bytes)?;
    same(&request.job_id, &id)?;
    let action = JobAction::Revert {
        version: request.job_version,
        enforce_prior: request.enforce_prior_version,
    };
    let done = act(&app, &ask, id, action).await?;
    Ok(answer::json(&registered(&done), done.index, ask.pretty))
}

pub(super) async fn set_stable(
    State(app): Shared,
    Path(id): Path<String>,
    ask: Ask,
    bytes: Bytes,
) -> Result<Response, Problem> {
    let request: JobStabilityRequest = body::read(&bytes)?;
    same(&request.job_id, &id)?;
    let action = JobAction::SetStable {
        version: request.job_version,
        stable: request.stable,
    };
    let done = act(&app, &ask, id, action).await?;
    let view = JobStabilityResponse {
        job_modify_index: done.index,
        index: done.index,
    };
    Ok(answer::json(&view, done.index, ask.pretty))
}

pub(super) async fn tag(
    State(app): Shared,
    Path((id, name)): Path<(String, String)>,
    ask: Ask,
    bytes: Bytes,
) -> Result<Response, Problem> {
    let request: JobTagRequest = body::read(&bytes)?;
    let tag = VersionTag {
        name: name.clone(),
        description: request.description.clone(),
        tagged_time: 0,
    };
    let version = request.version;
    let done = act(&app, &ask, id, JobAction::Tag { version, tag }).await?;
    let view = JobTagResponse {
        name,
        description: request.description,
        index: done.index,
    };
    Ok(answer::json(&view, done.index, ask.pretty))
}

pub(super) async fn untag(
    State(app): Shared,
    Path((id, name)): Path<(String, String)>,
    ask: Ask,
) -> Result<Response, Problem> {
    let done = act(&app, &ask, id, JobAction::Untag(name.clone())).await?;
    let view = JobTagResponse {
        name,
        index: done.index,
        ..JobTagResponse::default()
    };
    Ok(answer::json(&view, done.index, ask.pretty))
}

pub(super) async fn scale(
    State(app): Shared,
    Path(id): Path<String>,
    ask: Ask,
    bytes: Bytes,
) -> Result<Response, Problem> {
    let request: ScalingRequest = body::read(&bytes)?;
    same(request.target.get("Job").map_or("", String::as_str), &id)?;
    let wish = Scale {
        group: request.target.get("Group").cloned().unwrap_or_default(),
        count: request.count,
        message: request.message,
        error: request.error,
        meta: request.meta,
        check_index: (request.job_modify_index > 0).then_some(request.job_modify_index),
    };
    let done = act(&app, &ask, id, JobAction::Scale(wish)).await?;
    Ok(answer::json(&registered(&done), done.index, ask.pretty))
}

pub(super) async fn scale_status(State(app): Shared, Path(id): Path<String>, ask: Ask) -> Response {
    let key = ask.job_key(id);
    answer::one(&app, &ask, SCALE_TABLES, |state| {
        let job = find(state, &key)?;
        let allocs = state.allocs_of_job(&key).map(|it| &**it);
        let history = state.histories.get(&key).map(|it| &**it);
        Ok(JobScaleStatus::of(job, allocs, history))
    })
    .await
}

pub(super) async fn submission(State(app): Shared, Path(id): Path<String>, ask: Ask) -> Response {
    let key = ask.job_key(id);
    answer::one(&app, &ask, &[Table::Submissions], |state| {
        let job = find(state, &key)?;
        let version = match ask.param("version") {
            None | Some("") => job.version(),
            Some(text) => text
                .parse()
                .map_err(|_| Problem::bad_request(format!("Invalid version: {text:?} is no version")))?,
        };
        let known = state.submissions.get(&(key.clone(), version));
        let found = known.map(|it| JobSubmissionView::from(&**it));
        found.ok_or_else(|| Problem::not_found("job source"))
    })
    .await
}

pub(super) async fn dispatch(
    State(app): Shared,
    Path(id): Path<String>,
    ask: Ask,
    bytes: Bytes,
) -> Result<Response, Problem> {
    let request: JobDispatchRequest = body::read(&bytes)?;
    same(&request.job_id, &id)?;
    if STANDARD.decode(&request.payload).is_err() {
        return Err(Problem::bad_request("Payload: not base64"));
    }
    let wish = Dispatch {
        payload: request.payload,
        meta: request.meta,
        id_prefix: request.id_prefix_template,
        idempotency_token: ask.param("idempotency_token").unwrap_or_default().to_owned(),
    };
    let done = act(&app, &ask, id, JobAction::Dispatch(wish)).await?;
    let view = JobDispatchResponse {
        dispatched_job_id: done.launched.unwrap_or_default(),
        eval_id: done.eval.map(|id| id.to_string()).unwrap_or_default(),
        eval_create_index: done.eval_create_index,
        job_create_index: done.job_modify_index,
        index: done.index,
    };
    Ok(answer::json(&view, done.index, ask.pretty))
}

pub(super) async fn launch_now(
    State(app): Shared,
    Path(id): Path<String>,
    ask: Ask,
) -> Result<Response, Problem> {
    let done = act(&app, &ask, id, JobAction::LaunchNow).await?;
    let view = PeriodicForceResponse {
        eval_id: done.eval.map(|id| id.to_string()).unwrap_or_default(),
        eval_create_index: done.eval_create_index,
        index: done.index,
    };
    Ok(answer::json(&view, done.index, ask.pretty))
}
