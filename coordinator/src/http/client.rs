//! What is passed on to an agent, or tells of one: `/v1/client/allocation/:id/restart`, `/v1/client/metadata`.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::Response;
use holdfast_api::{AllocRestartRequest, AllocRestartResponse, NodeMeta, NodeMetaRequest};
use holdfast_coordinator_core::Command;
use holdfast_coordinator_core::state::Table;
use holdfast_shared::id::NodeId;
use holdfast_shared::wire::{Deed, RestartTasks};

use super::ask::Ask;
use super::problem::Problem;
use super::{App, Shared, allocations, answer, body, id_prefix};

async fn order(app: &App, node: NodeId, deed: Deed) -> Result<u64, Problem> {
    let done = app.runtime.command(Command::Order { node, deed }).await?;
    Ok(done.index)
}

pub(super) async fn restart(
    State(app): Shared,
    Path(id): Path<String>,
    ask: Ask,
    bytes: Bytes,
) -> Result<Response, Problem> {
    let request: AllocRestartRequest = if bytes.is_empty() {
        AllocRestartRequest::default()
    } else {
        body::read(&bytes)?
    };
    let tasks = match (request.all_tasks, request.task_name) {
        (true, name) if !name.is_empty() => {
            let text = "task name cannot be set when restarting all tasks";
            return Err(Problem::bad_request(text));
        }
        (true, _) => RestartTasks::All,
        (false, name) if name.is_empty() => RestartTasks::Running,
        (false, name) => RestartTasks::One(name),
    };
    let (alloc, node) = {
        let state = app.runtime.snapshots.load();
        let alloc = allocations::find(&state, &id)?;
        (alloc.id, alloc.node)
    };
    let index = order(&app, node, Deed::Restart { alloc, tasks }).await?;
    Ok(answer::json(&AllocRestartResponse { index }, index, ask.pretty))
}

pub(super) async fn metadata(State(app): Shared, ask: Ask) -> Response {
    answer::one(&app, &ask, &[Table::Nodes], |state| {
        let id = node_id(ask.param("node_id").unwrap_or_default())?;
        let node = state.nodes.get(&id).ok_or_else(|| Problem::not_found("node"))?;
        Ok(NodeMeta::from(&*node.fingerprint))
    })
    .await
}

pub(super) async fn set_metadata(State(app): Shared, ask: Ask, bytes: Bytes) -> Result<Response, Problem> {
    let request: NodeMetaRequest = body::read_with_nulls(&bytes)?;
    let named = Some(request.node_id.as_str()).filter(|id| !id.is_empty());
    let id = node_id(named.or_else(|| ask.param("node_id")).unwrap_or_default())?;
    if request.meta.is_empty() {
        return Err(Problem::bad_request("missing required Meta object"));
    }
    if let Some(key) = request.meta.keys().find(|key| !is_key(key)) {
        let text =
            format!("invalid metadata key {key:?}: dotted identifiers like rack or geo.lat are expected");
        return Err(Problem::bad_request(text));
    }
    let deed = Deed::ApplyMeta(request.meta.into_iter().collect());
    let index = order(&app, id, deed).await?;
    // The agent registered with it before it answered.
    let state = app.runtime.snapshots.load();
    let node = state.nodes.get(&id).ok_or_else(|| Problem::not_found("node"))?;
    Ok(answer::json(
        &NodeMeta::from(&*node.fingerprint),
        index,
        ask.pretty,
    ))
}

fn node_id(text: &str) -> Result<NodeId, Problem> {
    if text.is_empty() {
        let text = "node_id is required: a coordinator has no metadata of its own";
        return Err(Problem::bad_request(text));
    }
    id_prefix::whole(text, "node")
}

/// Whether constraints can ask for it: `${meta.KEY}`.
fn is_key(key: &str) -> bool {
    let is_name = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && part
                .chars()
                .all(|it| it.is_ascii_alphanumeric() || matches!(it, '_' | '-'))
    };
    key.split('.').all(is_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_what_constraints_can_name() {
        for (key, is_right) in [
            ("rack", true),
            ("geo.lat", true),
            ("unique.serial_no-2", true),
            ("", false),
            ("a..b", false),
            ("2nd", false),
            ("a b", false),
        ] {
            assert_eq!(is_key(key), is_right, "{key:?}");
        }
    }
}
