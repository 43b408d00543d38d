//! `/v1/nodes`, `/v1/node/:id`.

use axum::extract::{Path, State};
use axum::response::Response;
use holdfast_api::node::NodeListWith;
use holdfast_api::{Node, NodeListStub};
use holdfast_coordinator_core::state::Table;
use holdfast_shared::id::NodeId;

use super::ask::Ask;
use super::{Shared, allocations as allocs, answer, id_prefix};

pub(super) async fn list(State(app): Shared, ask: Ask) -> Response {
    let with = NodeListWith {
        resources: ask.flag("resources"),
        os: ask.flag("os"),
    };
    answer::list(&app, &ask, &[Table::Nodes], |state| {
        let Some(ids) = id_prefix::range(&ask.prefix) else {
            return Ok(Vec::new());
        };
        let nodes = state.nodes.range(NodeId(*ids.start())..=NodeId(*ids.end()));
        Ok(nodes.map(|(_, node)| NodeListStub::of(node, with)).collect())
    })
    .await
}

pub(super) async fn get(State(app): Shared, Path(id): Path<String>, ask: Ask) -> Response {
    answer::one(&app, &ask, &[Table::Nodes], |state| {
        let id: NodeId = id_prefix::whole(&id, "node")?;
        let node = state
            .nodes
            .get(&id)
            .ok_or_else(|| super::problem::Problem::not_found("node"))?;
        Ok(Node::of(node, &app.identity.http.to_string()))
    })
    .await
}

pub(super) async fn allocations(State(app): Shared, Path(id): Path<String>, ask: Ask) -> Response {
    answer::list(&app, &ask, &[Table::Allocations], |state| {
        let id = id_prefix::whole(&id, "node")?;
        Ok(state
            .allocs_of_node(id)
            .map(|it| allocs::whole(state, it))
            .collect())
    })
    .await
}
