//! `/v1/search`: everything that begins with a prefix.

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use holdfast_api::{Context, SearchRequest, SearchResponse};
use holdfast_coordinator_core::State as Snapshot;
use holdfast_shared::id::{AllocId, DeploymentId, EvalId, NodeId};

use super::ask::Ask;
use super::problem::Problem;
use super::{Shared, answer, body, id_prefix, operator};

/// Matches that are answered for each context.
const MATCHES: usize = 20;

pub(super) async fn search(State(app): Shared, ask: Ask, bytes: Bytes) -> Result<Response, Problem> {
    let request: SearchRequest = body::read(&bytes)?;
    let contexts = match request.context.as_str() {
        "" | "all" => Context::ALL.to_vec(),
        name => vec![Context::parse(name).ok_or_else(|| unknown(name))?],
    };
    let state = app.runtime.snapshots.load();
    let mut view = SearchResponse {
        index: state.index,
        known_leader: true,
        ..SearchResponse::default()
    };
    for context in contexts {
        let mut found = find(&state, &ask, context, &request.prefix);
        let truncated = found.len() > MATCHES;
        found.truncate(MATCHES);
        let name = context.as_str().to_owned();
        view.truncations.insert(name.clone(), truncated);
        view.matches
            .insert(name, Some(found).filter(|found| !found.is_empty()));
    }
    Ok(answer::json(&view, state.index, ask.pretty))
}

fn unknown(name: &str) -> Problem {
    let known: Vec<&str> = Context::ALL.iter().map(|context| context.as_str()).collect();
    Problem::bad_request(format!(
        "context must be one of [{} all]; got {name:?}",
        known.join(" ")
    ))
}

/// At most one more than is answered.
fn find(state: &Snapshot, ask: &Ask, context: Context, prefix: &str) -> Vec<String> {
    let limit = MATCHES + 1;
    let names = |names: &mut dyn Iterator<Item = &str>| {
        names
            .filter(|name| name.starts_with(prefix))
            .map(str::to_owned)
            .take(limit)
            .collect()
    };
    let ids = id_prefix::range(prefix);
    match (context, ids) {
        (Context::Jobs, _) => {
            let jobs = state
                .jobs
                .keys()
                .filter(|key| ask.wants_namespace(&key.namespace));
            names(&mut jobs.map(|key| &*key.id))
        }
        (Context::Services, _) => {
            let services = state
                .services
                .values()
                .filter(|it| ask.wants_namespace(&it.job.namespace));
            let unique: std::collections::BTreeSet<&str> =
                services.map(|it| it.service_name.as_str()).collect();
            names(&mut unique.into_iter())
        }
        (Context::Namespaces, _) => names(&mut operator::namespace_names(state).into_iter()),
        (Context::NodePools, _) => names(&mut state.pool_names().into_iter()),
        (Context::Nodes, Some(ids)) => {
            let range = state.nodes.range(NodeId(*ids.start())..=NodeId(*ids.end()));
            range.map(|(id, _)| id.to_string()).take(limit).collect()
        }
        (Context::Allocs, Some(ids)) => {
            let range = state.allocs.range(AllocId(*ids.start())..=AllocId(*ids.end()));
            let range = range.filter(|(_, it)| ask.wants_namespace(&it.job.namespace));
            range.map(|(id, _)| id.to_string()).take(limit).collect()
        }
        (Context::Evals, Some(ids)) => {
            let range = state.evals.range(EvalId(*ids.start())..=EvalId(*ids.end()));
            let range = range.filter(|(_, it)| ask.wants_namespace(&it.job.namespace));
            range.map(|(id, _)| id.to_string()).take(limit).collect()
        }
        (Context::Deployment, Some(ids)) => {
            let range = state
                .deployments
                .range(DeploymentId(*ids.start())..=DeploymentId(*ids.end()));
            let range = range.filter(|(_, it)| ask.wants_namespace(&it.job.namespace));
            range.map(|(id, _)| id.to_string()).take(limit).collect()
        }
        _ => Vec::new(),
    }
}
