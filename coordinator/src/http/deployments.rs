//! `/v1/deployments`, `/v1/deployment/:id`, and what operators do with deployments.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::Response;
use holdfast_api::{
    AllocHealthRequest, Deployment, DeploymentPauseRequest, DeploymentPromoteRequest,
    DeploymentUpdateResponse,
};
use holdfast_coordinator_core::state::Table;
use holdfast_coordinator_core::{Command, DeploymentAction, State as Snapshot};
use holdfast_shared::id::{AllocId, DeploymentId};
use holdfast_shared::model;

use super::ask::Ask;
use super::problem::Problem;
use super::{App, Shared, allocations as allocs, answer, body, id_prefix};

pub(super) async fn list(State(app): Shared, ask: Ask) -> Response {
    answer::list(&app, &ask, &[Table::Deployments], |state| {
        let Some(ids) = id_prefix::range(&ask.prefix) else {
            return Ok(Vec::new());
        };
        let all = state
            .deployments
            .range(DeploymentId(*ids.start())..=DeploymentId(*ids.end()));
        let wanted = all
            .map(|(_, it)| it)
            .filter(|it| ask.wants_namespace(&it.job.namespace));
        Ok(wanted.map(|it| view(state, it)).collect())
    })
    .await
}

pub(super) async fn get(State(app): Shared, Path(id): Path<String>, ask: Ask) -> Response {
    answer::one(&app, &ask, &[Table::Deployments], |state| {
        find(state, &id).map(|it| view(state, it))
    })
    .await
}

pub(super) async fn allocations(State(app): Shared, Path(id): Path<String>, ask: Ask) -> Response {
    answer::list(&app, &ask, &[Table::Allocations], |state| {
        let deployment = find(state, &id)?;
        let placed = state
            .allocs_of_job(&deployment.job)
            .filter(|it| it.deployment == Some(deployment.id));
        Ok(placed.map(|it| allocs::stub(state, it)).collect())
    })
    .await
}

fn find<'a>(state: &'a Snapshot, id: &str) -> Result<&'a model::Deployment, Problem> {
    let id: DeploymentId = id_prefix::whole(id, "deployment")?;
    state
        .deployments
        .get(&id)
        .map(|it| &**it)
        .ok_or_else(|| Problem::not_found("deployment"))
}

fn view(state: &Snapshot, it: &model::Deployment) -> Deployment {
    Deployment::of(it, state.jobs.get(&it.job).map(|job| &**job))
}

pub(super) async fn promote(
    State(app): Shared,
    Path(id): Path<String>,
    ask: Ask,
    bytes: Bytes,
) -> Result<Response, Problem> {
    let request: DeploymentPromoteRequest = body::read(&bytes)?;
    if !request.all && request.groups.is_empty() {
        return Err(Problem::bad_request(
            "no group to promote: set All, or name Groups",
        ));
    }
    let groups = (!request.all).then_some(request.groups);
    act(&app, &ask, &id, DeploymentAction::Promote { groups }).await
}

pub(super) async fn pause(
    State(app): Shared,
    Path(id): Path<String>,
    ask: Ask,
    bytes: Bytes,
) -> Result<Response, Problem> {
    let request: DeploymentPauseRequest = body::read(&bytes)?;
    let action = if request.pause {
        DeploymentAction::Pause
    } else {
        DeploymentAction::Resume
    };
    act(&app, &ask, &id, action).await
}

pub(super) async fn fail(State(app): Shared, Path(id): Path<String>, ask: Ask) -> Result<Response, Problem> {
    act(&app, &ask, &id, DeploymentAction::Fail).await
}

pub(super) async fn unblock(
    State(app): Shared,
    Path(id): Path<String>,
    ask: Ask,
) -> Result<Response, Problem> {
    act(&app, &ask, &id, DeploymentAction::Unblock).await
}

pub(super) async fn set_health(
    State(app): Shared,
    Path(id): Path<String>,
    ask: Ask,
    bytes: Bytes,
) -> Result<Response, Problem> {
    let request: AllocHealthRequest = body::read(&bytes)?;
    if request.healthy.is_empty() && request.unhealthy.is_empty() {
        return Err(Problem::bad_request(
            "must specify at least one healthy/unhealthy allocation ID",
        ));
    }
    let ids = |texts: &[String]| -> Result<Vec<AllocId>, Problem> {
        texts.iter().map(|text| id_prefix::whole(text, "alloc")).collect()
    };
    let action = DeploymentAction::SetHealth {
        healthy: ids(&request.healthy)?,
        unhealthy: ids(&request.unhealthy)?,
    };
    act(&app, &ask, &id, action).await
}

async fn act(app: &App, ask: &Ask, id: &str, action: DeploymentAction) -> Result<Response, Problem> {
    let id = id_prefix::whole(id, "deployment")?;
    let done = app.runtime.command(Command::Deployment { id, action }).await?;
    let view = DeploymentUpdateResponse {
        eval_id: done.eval.map(|id| id.to_string()).unwrap_or_default(),
        eval_create_index: done.eval_create_index,
        deployment_modify_index: done.index,
        reverted_job_version: done.reverted_version,
        index: done.index,
    };
    Ok(answer::json(&view, done.index, ask.pretty))
}
