//! `/v1/regions`, `/v1/namespaces`, `/v1/operator/…`, `/v1/system/gc`.

use std::collections::BTreeSet;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use holdfast_api::{
    AdoptStateResponse, DEFAULT_NAMESPACE, Namespace, SchedulerConfiguration, SchedulerConfigurationResponse,
    SchedulerConfigurationSetResponse,
};
use holdfast_coordinator_core::state::Table;
use holdfast_coordinator_core::{Command, Refusal, State as Snapshot};
use tracing::warn;

use super::ask::Ask;
use super::problem::Problem;
use super::{Shared, answer, body};
use crate::runtime::CommandError;

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
    let of_jobs = state.jobs.keys().map(|key| &*key.namespace);
    of_jobs.chain([DEFAULT_NAMESPACE]).collect()
}

/// The original counts the summaries of jobs anew. Here they are counted whenever they are asked for: there is nothing to mend.
pub(super) async fn reconcile_summaries(State(app): Shared, ask: Ask) -> Result<Response, Problem> {
    let done = app.runtime.command(Command::Ping).await?;
    Ok(answer::json(&serde_json::Value::Null, done.index, ask.pretty))
}

pub(super) async fn scheduler_configuration(State(app): Shared, ask: Ask) -> Response {
    answer::one(&app, &ask, &[Table::SchedulerConfiguration], |state| {
        let known = SchedulerConfigurationResponse {
            scheduler_config: (&*state.scheduling).into(),
            known_leader: true,
            ..Default::default()
        };
        Ok(SchedulerConfigurationResponse {
            index: state.table_index(Table::SchedulerConfiguration),
            ..known
        })
    })
    .await
}

/// Changes the scheduler's settings; with `cas`, only if they still have that index.
pub(super) async fn set_scheduler_configuration(
    State(app): Shared,
    ask: Ask,
    bytes: Bytes,
) -> Result<Response, Problem> {
    let request: SchedulerConfiguration = body::read(&bytes)?;
    let configuration = request
        .to_model()
        .ok_or_else(|| unknown_algorithm(&request.scheduler_algorithm))?;
    let check_index = ask.param("cas").map(str::parse).transpose();
    let check_index = check_index.map_err(|_| Problem::bad_request("Invalid cas: it is not an index"))?;
    let command = Command::SetSchedulerConfiguration {
        configuration,
        check_index,
    };
    let (updated, index) = match app.runtime.command(command).await {
        Ok(done) => (true, done.index),
        Err(CommandError::Refused(Refusal::Conflict(_))) => (false, app.runtime.snapshots.load().index),
        Err(error) => return Err(error.into()),
    };
    let view = SchedulerConfigurationSetResponse { updated, index };
    Ok(answer::json(&view, index, ask.pretty))
}

pub(super) fn unknown_algorithm(text: &str) -> Problem {
    Problem::bad_request(format!(
        "invalid scheduler algorithm {text:?}: binpack or spread are expected"
    ))
}
