//! `/v1/metrics`: figures about jobs and nodes, counted from the snapshot, and about the coordinator's own work.
//!
//! There are seven for each group of each job: they are written as they are counted, and never all in memory.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use holdfast_api::{GoTime, GroupSummary};
use holdfast_coordinator_core::State as Snapshot;
use holdfast_shared::model::{EvalStatus, Job, NodeStatus};
use serde::{Serialize, Serializer};
use serde_json::json;

use super::ask::Ask;
use super::{App, Shared, answer, job};

/// One figure with its labels.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Figure<'a> {
    name: &'static str,
    value: u64,
    labels: Labels<'a>,
}

/// Labels and their values, in the order of labels.
struct Labels<'a>(Vec<(&'static str, &'a str)>);

impl Serialize for Labels<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

/// How many allocations of one group are in which status.
struct OfGroup<'a> {
    job: &'a Job,
    group: String,
    summary: GroupSummary,
}

/// Every figure that is counted from a snapshot.
struct Gauges<'a> {
    plain: Vec<Figure<'a>>,
    groups: Vec<OfGroup<'a>>,
}

impl<'a> Gauges<'a> {
    /// The figures of groups: one name after the other, as Prometheus wants it.
    fn iter(&'a self) -> impl Iterator<Item = Figure<'a>> {
        let of_groups = OF_GROUPS
            .iter()
            .flat_map(|(name, pick)| self.groups.iter().map(|it| it.figure(name, pick(&it.summary))));
        let plain = self.plain.iter().map(|it| Figure {
            labels: Labels(it.labels.0.clone()),
            ..*it
        });
        plain.chain(of_groups)
    }
}

impl Serialize for Gauges<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl OfGroup<'_> {
    fn figure(&self, name: &'static str, value: u64) -> Figure<'_> {
        let labels = vec![
            ("exported_job", self.job.id()),
            ("namespace", self.job.namespace()),
            ("task_group", self.group.as_str()),
        ];
        Figure {
            name,
            value,
            labels: Labels(labels),
        }
    }
}

type Pick = fn(&GroupSummary) -> u64;

/// The figures of a group, and where its summary has them.
const OF_GROUPS: [(&str, Pick); 7] = [
    ("nomad_nomad_job_summary_complete", |it| it.complete),
    ("nomad_nomad_job_summary_failed", |it| it.failed),
    ("nomad_nomad_job_summary_lost", |it| it.lost),
    ("nomad_nomad_job_summary_queued", |it| it.queued),
    ("nomad_nomad_job_summary_running", |it| it.running),
    ("nomad_nomad_job_summary_starting", |it| it.starting),
    ("nomad_nomad_job_summary_unknown", |it| it.unknown),
];

/// The answer in JSON.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct View<'a> {
    timestamp: GoTime,
    gauges: &'a Gauges<'a>,
    counters: Vec<serde_json::Value>,
    points: [(); 0],
    samples: [(); 0],
}

pub(super) async fn metrics(State(app): Shared, ask: Ask) -> Response {
    let state = app.runtime.snapshots.load();
    let (gauges, mut counters) = (gauges(&app, &state), app.metrics.counters());
    let broker = app.broker.upgrade();
    counters.extend(broker.map(|broker| ("holdfast_mqtt_refused_total", broker.stats().refused_total)));
    if ask.param("format") == Some("prometheus") {
        let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
        return (kind, prometheus(&gauges, &counters)).into_response();
    }
    let counter = |(name, count): &(&str, u64)| {
        json!({ "Name": name, "Count": count, "Sum": count, "Rate": 0, "Min": 0, "Max": 0, "Mean": 0,
                "Stddev": 0, "Labels": {} })
    };
    let view = View {
        timestamp: GoTime(app.clock.now()),
        gauges: &gauges,
        counters: counters.iter().map(counter).collect(),
        points: [],
        samples: [],
    };
    answer::json(&view, state.index, ask.pretty)
}

fn prometheus(gauges: &Gauges<'_>, counters: &[(&str, u64)]) -> String {
    let mut text = String::new();
    let mut last = "";
    for Figure { name, labels, value } in gauges.iter() {
        if name != last {
            // A string takes everything.
            let _ = writeln!(text, "# TYPE {name} gauge");
            last = name;
        }
        let labels: Vec<String> = labels
            .0
            .iter()
            .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
            .collect();
        let labels = if labels.is_empty() {
            String::new()
        } else {
            format!("{{{}}}", labels.join(","))
        };
        let _ = writeln!(text, "{name}{labels} {value}");
    }
    for (name, value) in counters {
        let _ = writeln!(text, "# TYPE {name} counter\n{name} {value}");
    }
    text
}

fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

/// Names are Nomad's where it has the same figure.
fn gauges<'a>(app: &App, state: &'a Snapshot) -> Gauges<'a> {
    let mut figures = vec![plain("nomad_state_latestIndex", state.index)];
    for status in ["pending", "running", "dead"] {
        let count = state
            .jobs
            .values()
            .filter(|job| job.status.as_deref() == Some(status))
            .count();
        figures.push(plain(
            match status {
                "pending" => "nomad_nomad_job_status_pending",
                "running" => "nomad_nomad_job_status_running",
                _ => "nomad_nomad_job_status_dead",
            },
            count as u64,
        ));
    }
    let evals = |status: EvalStatus| state.evals.values().filter(|eval| eval.status == status).count() as u64;
    figures.push(plain(
        "nomad_nomad_blocked_evals_total_blocked",
        evals(EvalStatus::Blocked),
    ));
    figures.push(plain(
        "nomad_nomad_broker_total_pending",
        evals(EvalStatus::Pending),
    ));
    for status in [
        NodeStatus::Initializing,
        NodeStatus::Ready,
        NodeStatus::Disconnected,
        NodeStatus::Down,
    ] {
        let count = state.nodes.values().filter(|node| node.status == status).count() as u64;
        figures.push(Figure {
            name: "holdfast_nodes",
            value: count,
            labels: Labels(vec![("status", status.as_str())]),
        });
    }
    figures.push(plain("holdfast_services", state.services.len() as u64));
    let connected = app.metrics.broker_connected.load(Ordering::Relaxed);
    figures.push(plain("holdfast_broker_connected", connected.into()));
    figures.push(plain("holdfast_uptime_seconds", app.metrics.uptime().as_secs()));
    if let Some(broker) = app.broker.upgrade() {
        let stats = broker.stats();
        figures.push(plain("holdfast_mqtt_clients", stats.connected as u64));
        figures.push(plain("holdfast_mqtt_queued_bytes", stats.queued_bytes as u64));
        figures.push(plain("holdfast_mqtt_retained_bytes", stats.retained_bytes as u64));
    }
    Gauges {
        plain: figures,
        groups: summaries(state),
    }
}

fn plain(name: &'static str, value: u64) -> Figure<'static> {
    Figure {
        name,
        value,
        labels: Labels(Vec::new()),
    }
}

fn summaries(state: &Snapshot) -> Vec<OfGroup<'_>> {
    let of_job = |job: &'_ std::sync::Arc<Job>| job::summary_of(state, job).summary;
    state
        .jobs
        .values()
        .flat_map(|job| {
            of_job(job)
                .into_iter()
                .map(|(group, summary)| OfGroup { job, group, summary })
        })
        .collect()
}
