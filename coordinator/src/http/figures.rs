//! `/v1/metrics`: figures about jobs and nodes, counted from the snapshot, and about the coordinator's own work.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use holdfast_api::GoTime;
use holdfast_coordinator_core::State as Snapshot;
use holdfast_shared::model::{EvalStatus, NodeStatus};
use serde_json::{Value, json};

use super::ask::Ask;
use super::{App, Shared, answer, job};

/// One figure with its labels.
struct Figure {
    name: &'static str,
    labels: Vec<(&'static str, String)>,
    value: u64,
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
    let gauge = |it: &Figure| json!({ "Name": it.name, "Value": it.value, "Labels": labels(it) });
    let counter = |(name, count): &(&str, u64)| {
        json!({ "Name": name, "Count": count, "Sum": count, "Rate": 0, "Min": 0, "Max": 0, "Mean": 0,
                "Stddev": 0, "Labels": {} })
    };
    let view = json!({
        "Timestamp": GoTime(app.clock.now()),
        "Gauges": gauges.iter().map(gauge).collect::<Vec<Value>>(),
        "Counters": counters.iter().map(counter).collect::<Vec<Value>>(),
        "Points": [],
        "Samples": [],
    });
    answer::json(&view, state.index, ask.pretty)
}

fn labels(it: &Figure) -> BTreeMap<&str, &str> {
    it.labels
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect()
}

fn prometheus(gauges: &[Figure], counters: &[(&str, u64)]) -> String {
    let mut text = String::new();
    let mut last = "";
    for Figure { name, labels, value } in gauges {
        if *name != last {
            // A string takes everything.
            let _ = writeln!(text, "# TYPE {name} gauge");
            last = name;
        }
        let labels: Vec<String> = labels
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
fn gauges(app: &App, state: &Snapshot) -> Vec<Figure> {
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
    summaries(state, &mut figures);
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
        let labels = vec![("status", status.to_string())];
        figures.push(Figure {
            name: "holdfast_nodes",
            labels,
            value: count,
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
    figures
}

fn plain(name: &'static str, value: u64) -> Figure {
    Figure {
        name,
        labels: Vec::new(),
        value,
    }
}

/// How many allocations of each group are in which status; one name after the other, as Prometheus wants it.
fn summaries(state: &Snapshot, figures: &mut Vec<Figure>) {
    let summaries: Vec<_> = state.jobs.values().map(|it| job::summary_of(state, it)).collect();
    type Pick = fn(&holdfast_api::GroupSummary) -> u64;
    let names: [(&'static str, Pick); 7] = [
        ("nomad_nomad_job_summary_complete", |it| it.complete),
        ("nomad_nomad_job_summary_failed", |it| it.failed),
        ("nomad_nomad_job_summary_lost", |it| it.lost),
        ("nomad_nomad_job_summary_queued", |it| it.queued),
        ("nomad_nomad_job_summary_running", |it| it.running),
        ("nomad_nomad_job_summary_starting", |it| it.starting),
        ("nomad_nomad_job_summary_unknown", |it| it.unknown),
    ];
    for (name, pick) in names {
        for job in &summaries {
            for (group, summary) in &job.summary {
                let labels = vec![
                    ("exported_job", job.job_id.clone()),
                    ("namespace", job.namespace.clone()),
                    ("task_group", group.clone()),
                ];
                figures.push(Figure {
                    name,
                    labels,
                    value: pick(summary),
                });
            }
        }
    }
}
