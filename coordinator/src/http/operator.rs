//! `/v1/regions`, `/v1/namespaces`, `/v1/node/pools`, `/v1/operator/…`, `/v1/system/gc`.

use std::collections::BTreeSet;

use axum::extract::State;
use axum::response::Response;
use holdfast_api::operator::PreemptionConfig;
use holdfast_api::{
    AdoptStateResponse, DEFAULT_NAMESPACE, Namespace, NodePool, SchedulerConfiguration,
    SchedulerConfigurationResponse,
};
use holdfast_coordinator_core::state::Table;
use holdfast_coordinator_core::{Command, State as Snapshot};
use holdfast_shared::time::Duration;
use tracing::warn;

use super::ask::Ask;
use super::problem::Problem;
use super::{Shared, answer};

/// How long Nomad says that a node's identity lasts.
const IDENTITY_LASTS: Duration = Duration::from_secs(24 * 3600);

pub(super) async fn regions(State(app): Shared, ask: Ask) -> Response {
    answer::json(
        &[&app.identity.region],
        app.runtime.snapshots.load().index,
        ask.pretty,
    )
}

pub(super) async fn namespaces(State(app): Shared, ask: Ask) -> Response {
    answer::list(&app, &ask, &[Table::Jobs], |state| {
        let item = |name: &str| Namespace {
            name: name.to_owned(),
            description: if name == DEFAULT_NAMESPACE {
                "Default shared namespace".to_owned()
            } else {
                String::new()
            },
            create_index: 1,
            modify_index: 1,
            ..Namespace::default()
        };
        Ok(namespace_names(state)
            .into_iter()
            .filter(|name| name.starts_with(&ask.prefix))
            .map(item)
            .collect())
    })
    .await
}

/// Forgets what is over, however young it is.
pub(super) async fn collect_garbage(State(app): Shared, ask: Ask) -> Result<Response, Problem> {
    let done = app.runtime.command(Command::CollectGarbage).await?;
    Ok(answer::json(&(), done.index, ask.pretty))
}

/// Makes this state the truth although nodes hold something newer: it was restored from a backup, or lost.
pub(super) async fn adopt_state(State(app): Shared, ask: Ask) -> Result<Response, Problem> {
    let done = app.runtime.command(Command::AdoptState).await?;
    let epoch = app.runtime.snapshots.load().epoch;
    warn!(
        epoch,
        "an operator has adopted this state: what it does not know ends on every node"
    );
    let view = AdoptStateResponse {
        epoch,
        index: done.index,
    };
    Ok(answer::json(&view, done.index, ask.pretty))
}

/// The namespaces that there are: the first one, and every one that a job names.
pub(super) fn namespace_names(state: &Snapshot) -> BTreeSet<&str> {
    let of_jobs = state.jobs.keys().map(|key| key.namespace.as_str());
    of_jobs.chain([DEFAULT_NAMESPACE]).collect()
}

pub(super) async fn node_pools(State(app): Shared, ask: Ask) -> Response {
    answer::list(&app, &ask, &[Table::Nodes], |state| {
        let about = |name: &str| match name {
            "all" => "Node pool with all nodes in the cluster.",
            "default" => "Default node pool.",
            _ => "",
        };
        let item = |name: &str| NodePool {
            name: name.to_owned(),
            description: about(name).to_owned(),
            node_identity_ttl: IDENTITY_LASTS,
            create_index: 1,
            modify_index: 1,
            ..NodePool::default()
        };
        Ok(pool_names(state)
            .into_iter()
            .filter(|name| name.starts_with(&ask.prefix))
            .map(item)
            .collect())
    })
    .await
}

/// The node pools that there are: the two of every region, and every one that a node names.
pub(super) fn pool_names(state: &Snapshot) -> BTreeSet<&str> {
    let of_nodes = state
        .nodes
        .values()
        .map(|node| node.fingerprint.node_pool.as_str());
    of_nodes
        .filter(|name| !name.is_empty())
        .chain(["all", "default"])
        .collect()
}

pub(super) async fn scheduler_configuration(State(app): Shared, ask: Ask) -> Response {
    answer::one(&app, &ask, &[Table::Meta], |state| {
        let scheduler_config = SchedulerConfiguration {
            scheduler_algorithm: "binpack".to_owned(),
            preemption_config: PreemptionConfig::default(),
            create_index: 1,
            modify_index: 1,
            ..SchedulerConfiguration::default()
        };
        let known = SchedulerConfigurationResponse {
            scheduler_config,
            known_leader: true,
            ..Default::default()
        };
        Ok(SchedulerConfigurationResponse {
            index: state.index,
            ..known
        })
    })
    .await
}
