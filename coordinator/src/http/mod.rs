//! Nomad's HTTP API: reads from snapshots, writes through the runtime.
//!
//! One file per resource. What a request may look like is in `ask`, what an answer looks like in `answer`; shapes
//! are those of crate `holdfast-api`. Nothing here changes state or waits for a disk.

mod admission;
mod agent;
mod allocations;
mod answer;
mod ask;
mod body;
mod client;
mod deployments;
mod evaluations;
mod explain;
mod figures;
mod filter;
mod id_prefix;
mod job;
mod job_action;
mod job_plan;
mod jobs;
mod nodes;
mod operator;
mod pools;
mod problem;
mod search;
mod services;

use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};
use holdfast_broker::Broker;
use holdfast_coordinator_core::Options;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::runtime::Handle;

/// The largest body that is read.
const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How long connections may take to end once the coordinator stops.
const FAREWELL: Duration = Duration::from_secs(2);

/// Who this coordinator is.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Its name.
    pub name: String,
    /// Its region.
    pub region: String,
    /// Where it stands.
    pub datacenter: String,
    /// Its address, as others may use it.
    pub http: SocketAddr,
    /// Its data folder.
    pub data_dir: String,
    /// The least important lines that are logged.
    pub log_level: String,
}

/// What handlers work with.
pub struct App {
    /// Who this coordinator is.
    pub identity: Identity,
    /// Where commands go and snapshots come from.
    pub runtime: Handle,
    /// What the operator set about decisions: plans are made under the same settings.
    pub options: Options,
    /// Figures.
    pub metrics: Arc<Metrics>,
    /// The embedded broker, when there is one.
    pub broker: Weak<Broker>,
    /// Whether changes cannot be stored.
    pub failing: Arc<AtomicBool>,
    /// What time it is.
    pub clock: Clock,
    /// Turns true when the coordinator stops.
    pub closed: watch::Receiver<bool>,
}

type Shared = State<Arc<App>>;

/// Serves until `closed` turns true, and then until every request is answered or patience ends.
///
/// # Errors
/// When the listener fails.
pub async fn serve(listener: TcpListener, app: App, closed: watch::Receiver<bool>) -> std::io::Result<()> {
    let until_closed = |mut closed: watch::Receiver<bool>| async move {
        // An error means that the coordinator is gone, which is no reason to go on.
        let _ = closed.wait_for(|closed| *closed).await;
    };
    let mut patience = Box::pin(async {
        until_closed(closed.clone()).await;
        tokio::time::sleep(FAREWELL).await;
    });
    let router = router(Arc::new(app));
    let served = axum::serve(listener, router).with_graceful_shutdown(until_closed(closed.clone()));
    tokio::select! {
        outcome = served => outcome,
        () = &mut patience => Ok(()),
    }
}

/// The routes; their list for readers is [`holdfast_api::ROUTES`], and a test compares the two.
fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/v1/jobs", write(jobs::register).get(jobs::list))
        .route("/v1/jobs/parse", write(jobs::parse))
        .route("/v1/validate/job", write(jobs::validate))
        .route(
            "/v1/job/{id}",
            write(job::update).get(job::get).delete(job::delete),
        )
        .route("/v1/job/{id}/allocations", get(job::allocations))
        .route("/v1/job/{id}/evaluations", get(job::evaluations))
        .route("/v1/job/{id}/summary", get(job::summary))
        .route("/v1/job/{id}/deployments", get(job::deployments))
        .route("/v1/job/{id}/deployment", get(job::deployment))
        .route("/v1/job/{id}/versions", get(job::versions))
        .route("/v1/job/{id}/evaluate", write(job::evaluate))
        .route("/v1/job/{id}/explain", get(explain::get))
        .merge(job_actions())
        .route("/v1/allocations", get(allocations::list))
        .route("/v1/allocation/{id}", get(allocations::get))
        .route("/v1/allocation/{id}/services", get(allocations::services))
        .route("/v1/allocation/{id}/stop", write(allocations::stop))
        .route("/v1/client/allocation/{id}/restart", write(client::restart))
        .route(
            "/v1/client/metadata",
            write(client::set_metadata).get(client::metadata),
        )
        .route("/v1/evaluations", get(evaluations::list))
        .route("/v1/evaluation/{id}", get(evaluations::get))
        .route("/v1/evaluation/{id}/allocations", get(evaluations::allocations))
        .route("/v1/services", get(services::list))
        .route("/v1/service/{name}", get(services::get))
        .route("/v1/search", write(search::search))
        .route("/v1/agent/self", get(agent::myself))
        .route("/v1/agent/members", get(agent::members))
        .route("/v1/agent/health", get(agent::health))
        .route("/v1/status/leader", get(agent::leader))
        .route("/v1/status/peers", get(agent::peers))
        .route("/v1/regions", get(operator::regions))
        .route("/v1/namespaces", get(operator::namespaces))
        .route(
            "/v1/operator/scheduler/configuration",
            write(operator::set_scheduler_configuration).get(operator::scheduler_configuration),
        )
        .route("/v1/operator/adopt-state", write(operator::adopt_state))
        .route("/v1/system/gc", write(operator::collect_garbage))
        .route(
            "/v1/system/reconcile/summaries",
            write(operator::reconcile_summaries),
        )
        .route("/v1/metrics", get(figures::metrics))
        .merge(node_routes())
        .merge(deployment_routes())
        .fallback(async || StatusCode::NOT_FOUND)
        .method_not_allowed_fallback(async || (StatusCode::METHOD_NOT_ALLOWED, "Invalid method"))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), count))
        .with_state(app)
}

fn job_actions() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/job/{id}/plan", write(job_plan::plan))
        .route("/v1/job/{id}/revert", write(job_action::revert))
        .route("/v1/job/{id}/stable", write(job_action::set_stable))
        .route(
            "/v1/job/{id}/scale",
            write(job_action::scale).get(job_action::scale_status),
        )
        .route(
            "/v1/job/{id}/versions/{name}/tag",
            write(job_action::tag).delete(job_action::untag),
        )
        .route("/v1/job/{id}/submission", get(job_action::submission))
        .route("/v1/job/{id}/dispatch", write(job_action::dispatch))
        .route("/v1/job/{id}/periodic/force", write(job_action::launch_now))
}

fn node_routes() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/nodes", get(nodes::list))
        .route("/v1/node/{id}", get(nodes::get))
        .route("/v1/node/{id}/allocations", get(nodes::allocations))
        .route("/v1/node/{id}/drain", write(nodes::drain))
        .route("/v1/node/{id}/eligibility", write(nodes::eligibility))
        .route("/v1/node/{id}/evaluate", write(nodes::evaluate))
        .route("/v1/node/{id}/purge", write(nodes::purge))
        .route("/v1/node/pools", write(pools::put).get(pools::list))
        .route(
            "/v1/node/pool/{name}",
            write(pools::put_one).get(pools::get).delete(pools::delete),
        )
        .route("/v1/node/pool/{name}/nodes", get(pools::nodes))
        .route("/v1/node/pool/{name}/jobs", get(pools::jobs))
}

fn deployment_routes() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/deployments", get(deployments::list))
        .route("/v1/deployment/{id}", get(deployments::get))
        .route("/v1/deployment/allocations/{id}", get(deployments::allocations))
        .route("/v1/deployment/promote/{id}", write(deployments::promote))
        .route("/v1/deployment/pause/{id}", write(deployments::pause))
        .route("/v1/deployment/fail/{id}", write(deployments::fail))
        .route("/v1/deployment/unblock/{id}", write(deployments::unblock))
        .route(
            "/v1/deployment/allocation-health/{id}",
            write(deployments::set_health),
        )
}

/// Writes accept PUT and POST alike.
fn write<H, T>(handler: H) -> MethodRouter<Arc<App>>
where
    H: axum::handler::Handler<T, Arc<App>>,
    T: 'static,
{
    post(handler.clone()).put(handler)
}

async fn count(State(app): Shared, request: Request, next: Next) -> Response {
    Metrics::count(&app.metrics.http_requests);
    let response = next.run(request).await;
    if response.status().is_client_error() || response.status().is_server_error() {
        Metrics::count(&app.metrics.http_errors);
    }
    response
}
