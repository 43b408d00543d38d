//! `/v1/node/pools`, `/v1/node/pool/:name` and everything below it.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::Response;
use holdfast_api::node::NodeListWith;
use holdfast_api::{JobListStub, NodeListStub, NodePool};
use holdfast_coordinator_core::state::Table;
use holdfast_coordinator_core::{Command, State as Snapshot};
use holdfast_shared::model;

use super::ask::Ask;
use super::problem::Problem;
use super::{Shared, answer, body, job, operator};

/// What pools are made of: those that somebody made, and those that nodes name.
const TABLES: &[Table] = &[Table::NodePools, Table::Nodes];

fn find(state: &Snapshot, name: &str) -> Result<Arc<model::NodePool>, Problem> {
    state.pool(name).ok_or_else(|| Problem::not_found("node pool"))
}

pub(super) async fn list(State(app): Shared, ask: Ask) -> Response {
    answer::list(&app, &ask, TABLES, |state| {
        let names = state.pool_names().into_iter();
        let wanted = names.filter(|name| name.starts_with(&ask.prefix));
        Ok(wanted
            .filter_map(|name| state.pool(name))
            .map(|pool| NodePool::from(&*pool))
            .collect())
    })
    .await
}

pub(super) async fn get(State(app): Shared, Path(name): Path<String>, ask: Ask) -> Response {
    answer::one(&app, &ask, TABLES, |state| {
        find(state, &name).map(|pool| NodePool::from(&*pool))
    })
    .await
}

pub(super) async fn put(State(app): Shared, ask: Ask, bytes: Bytes) -> Result<Response, Problem> {
    let request: NodePool = body::read(&bytes)?;
    let pool = request.to_model().ok_or_else(|| {
        let own = request.scheduler_configuration.as_ref();
        operator::unknown_algorithm(own.map_or("", |own| &own.scheduler_algorithm))
    })?;
    let done = app.runtime.command(Command::PutNodePool(Box::new(pool))).await?;
    Ok(answer::json(&(), done.index, ask.pretty))
}

pub(super) async fn put_one(
    app: Shared,
    Path(name): Path<String>,
    ask: Ask,
    bytes: Bytes,
) -> Result<Response, Problem> {
    let request: NodePool = body::read(&bytes)?;
    if request.name != name {
        return Err(Problem::bad_request("Node pool name does not match request path"));
    }
    put(app, ask, bytes).await
}

pub(super) async fn delete(
    State(app): Shared,
    Path(name): Path<String>,
    ask: Ask,
) -> Result<Response, Problem> {
    let done = app.runtime.command(Command::RemoveNodePool(name)).await?;
    Ok(answer::json(&(), done.index, ask.pretty))
}

pub(super) async fn nodes(State(app): Shared, Path(name): Path<String>, ask: Ask) -> Response {
    let with = NodeListWith {
        resources: ask.flag("resources"),
        os: ask.flag("os"),
    };
    answer::list(&app, &ask, TABLES, |state| {
        find(state, &name)?;
        let stubs = state.nodes.values().map(|node| NodeListStub::of(node, with));
        Ok(stubs
            .filter(|node| name == model::NodePool::ALL || node.node_pool == name)
            .collect())
    })
    .await
}

pub(super) async fn jobs(State(app): Shared, Path(name): Path<String>, ask: Ask) -> Response {
    answer::list(&app, &ask, job::SUMMARY_TABLES, |state| {
        find(state, &name)?;
        let wanted = state
            .jobs
            .values()
            .filter(|job| job.node_pool() == name && ask.wants_namespace(job.namespace()));
        Ok(wanted
            .map(|job| JobListStub::of(job, job::summary_of(state, job), ask.flag("meta")))
            .collect())
    })
    .await
}
