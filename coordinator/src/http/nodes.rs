//! `/v1/nodes`, `/v1/node/:id` and everything below it.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::Response;
use holdfast_api::node::NodeListWith;
use holdfast_api::{DrainRequest, DrainSpec, EligibilityRequest, Node, NodeListStub, NodeUpdateResponse};
use holdfast_coordinator_core::state::Table;
use holdfast_coordinator_core::{Command, NodeAction};
use holdfast_shared::id::NodeId;
use holdfast_shared::model::Eligibility;
use holdfast_shared::time::Duration;

use super::ask::Ask;
use super::problem::Problem;
use super::{App, Shared, allocations as allocs, answer, body, id_prefix};

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
        let node = state.nodes.get(&id).ok_or_else(|| Problem::not_found("node"))?;
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

/// Empties a node, or leaves off. Old clients say only `?enable=`: they want everything gone at once, and the node back
/// when it is over.
pub(super) async fn drain(
    State(app): Shared,
    Path(id): Path<String>,
    ask: Ask,
    bytes: Bytes,
) -> Result<Response, Problem> {
    let request = match ask.param("enable") {
        Some(_) => DrainRequest {
            drain_spec: ask.flag("enable").then_some(DrainSpec {
                deadline: Duration(-1),
                ignore_system_jobs: false,
            }),
            mark_eligible: !ask.flag("enable"),
            ..DrainRequest::default()
        },
        None => body::read(&bytes)?,
    };
    let spec = request.drain_spec.map(|it| holdfast_coordinator_core::DrainSpec {
        deadline: it.deadline,
        ignore_system_jobs: it.ignore_system_jobs,
    });
    let action = NodeAction::Drain {
        spec,
        mark_eligible: request.mark_eligible,
        meta: request.meta,
    };
    act(&app, &ask, &id, action).await
}

pub(super) async fn eligibility(
    State(app): Shared,
    Path(id): Path<String>,
    ask: Ask,
    bytes: Bytes,
) -> Result<Response, Problem> {
    let request: EligibilityRequest = body::read(&bytes)?;
    let eligibility = match request.eligibility.as_str() {
        "eligible" => Eligibility::Eligible,
        "ineligible" => Eligibility::Ineligible,
        other => {
            let text = format!("invalid scheduling eligibility {other:?}");
            return Err(Problem::bad_request(text));
        }
    };
    act(&app, &ask, &id, NodeAction::SetEligibility(eligibility)).await
}

pub(super) async fn evaluate(
    State(app): Shared,
    Path(id): Path<String>,
    ask: Ask,
) -> Result<Response, Problem> {
    act(&app, &ask, &id, NodeAction::Evaluate).await
}

pub(super) async fn purge(State(app): Shared, Path(id): Path<String>, ask: Ask) -> Result<Response, Problem> {
    act(&app, &ask, &id, NodeAction::Purge).await
}

async fn act(app: &App, ask: &Ask, id: &str, action: NodeAction) -> Result<Response, Problem> {
    let id = id_prefix::whole(id, "node")?;
    let done = app.runtime.command(Command::Node { id, action }).await?;
    let view = NodeUpdateResponse {
        node_modify_index: done.index,
        eval_ids: done.evals.iter().map(ToString::to_string).collect(),
        eval_create_index: done.eval_create_index,
        index: done.index,
    };
    Ok(answer::json(&view, done.index, ask.pretty))
}
