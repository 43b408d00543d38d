//! `/v1/allocations`, `/v1/allocation/:id` and everything below it.

use axum::extract::{Path, State};
use axum::response::Response;
use holdfast_api::allocation::Surroundings;
use holdfast_api::{
    AllocStopResponse, AllocatedResources, Allocation, AllocationListStub, ServiceRegistration,
};
use holdfast_coordinator_core::state::Table;
use holdfast_coordinator_core::{Command, State as Snapshot};
use holdfast_shared::id::AllocId;
use holdfast_shared::model;

use super::ask::Ask;
use super::problem::Problem;
use super::{Shared, answer, id_prefix};

pub(super) async fn list(State(app): Shared, ask: Ask) -> Response {
    let with_states = ask.param("task_states").is_none() || ask.flag("task_states");
    answer::list(&app, &ask, &[Table::Allocations], |state| {
        let Some(ids) = id_prefix::range(&ask.prefix) else {
            return Ok(Vec::new());
        };
        let allocs = state
            .allocs
            .range(AllocId(*ids.start())..=AllocId(*ids.end()))
            .map(|(_, alloc)| alloc);
        let item = |it: &model::Allocation| {
            let mut item = stub(state, it);
            if ask.flag("resources") {
                item.allocated_resources = Some(AllocatedResources::of(it, surroundings(state, it).job));
            }
            if !with_states {
                item.task_states.clear();
            }
            item
        };
        Ok(allocs
            .filter(|it| ask.wants_namespace(&it.job.namespace))
            .map(|it| item(it))
            .collect())
    })
    .await
}

pub(super) async fn get(State(app): Shared, Path(id): Path<String>, ask: Ask) -> Response {
    answer::one(&app, &ask, &[Table::Allocations], |state| {
        find(state, &id).map(|it| whole(state, it))
    })
    .await
}

pub(super) async fn stop(State(app): Shared, Path(id): Path<String>, ask: Ask) -> Result<Response, Problem> {
    let command = Command::StopAllocation {
        id: id_prefix::whole(&id, "alloc")?,
        no_shutdown_delay: ask.flag("no_shutdown_delay"),
    };
    let done = app.runtime.command(command).await?;
    let view = AllocStopResponse {
        eval_id: done.eval.map(|id| id.to_string()).unwrap_or_default(),
        index: done.index,
    };
    Ok(answer::json(&view, done.index, ask.pretty))
}

pub(super) async fn services(State(app): Shared, Path(id): Path<String>, ask: Ask) -> Response {
    answer::list(&app, &ask, &[Table::Services], |state| {
        let alloc = find(state, &id)?;
        Ok(state
            .services_of_alloc(alloc.id)
            .map(|it| ServiceRegistration::from(&**it))
            .collect())
    })
    .await
}

pub(super) fn find<'a>(state: &'a Snapshot, id: &str) -> Result<&'a model::Allocation, Problem> {
    let id: AllocId = id_prefix::whole(id, "alloc")?;
    state
        .allocs
        .get(&id)
        .map(|it| &**it)
        .ok_or_else(|| Problem::not_found("alloc"))
}

fn surroundings<'a>(state: &'a Snapshot, it: &model::Allocation) -> Surroundings<'a> {
    Surroundings {
        job: state.job_of(it).map(|job| &**job),
        node: state.nodes.get(&it.node).map(|node| &**node),
    }
}

/// The list item of an allocation.
pub(super) fn stub(state: &Snapshot, it: &model::Allocation) -> AllocationListStub {
    AllocationListStub::of(it, surroundings(state, it))
}

/// The whole of an allocation.
pub(super) fn whole(state: &Snapshot, it: &model::Allocation) -> Allocation {
    Allocation::of(it, surroundings(state, it))
}
