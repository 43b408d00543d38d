//! `/v1/deployments`, `/v1/deployment/:id`.

use axum::extract::{Path, State};
use axum::response::Response;
use holdfast_api::Deployment;
use holdfast_coordinator_core::State as Snapshot;
use holdfast_coordinator_core::state::Table;
use holdfast_shared::id::DeploymentId;
use holdfast_shared::model;

use super::ask::Ask;
use super::problem::Problem;
use super::{Shared, allocations as allocs, answer, id_prefix};

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
