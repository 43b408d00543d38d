//! `reconnect.json`: what happens when nodes go out of contact and come back.

use std::collections::BTreeMap;
use std::sync::Arc;

use holdfast_shared::id::{EvalId, NodeId};
use holdfast_shared::model::{Allocation, ClientStatus, DesiredStatus, NodeStatus};
use serde_json::{Value, json};

use super::build::{self, Ids};
use super::check::Check;
use super::timeline;
use crate::heartbeat::{after_contact, after_missed_heartbeat, outlives_disconnect};
use crate::reconciler::reconnect::{Keep, pick};
use crate::reconciler::{Change, Changes, ReconcileInput, classify, reconcile};

pub(super) fn run(kind: &str, input: &Value, expect: &Value) -> Option<Result<(), String>> {
    match kind {
        "reconcile" => Some(run_reconcile(input, expect)),
        "pick" => Some(run_pick(input, expect)),
        "classify" => Some(run_classify(input, expect)),
        "heartbeat_missed" => Some(run_heartbeat_missed(input, expect)),
        "node_status" => Some(run_node_status(input, expect)),
        "timeline" => timeline::run(input, expect),
        _ => None,
    }
}

fn run_reconcile(input: &Value, expect: &Value) -> Result<(), String> {
    let now = build::time(&input["now_s"]);
    let mut ids = Ids::default();
    let job = build::job(&input["job"]);
    let group = job.groups()[0].name().to_owned();
    let listed = input["allocs"].as_array().map(Vec::as_slice).unwrap_or_default();
    let allocs: Vec<Arc<Allocation>> = listed
        .iter()
        .map(|it| Arc::new(build::alloc(it, &group, now, &mut ids)))
        .collect();
    let deployment = build::deployment(&input["deployment"], &job, &mut ids);
    let nodes = input["nodes"].as_object().into_iter().flatten();
    let nodes = nodes
        .filter_map(|(name, status)| Some((NodeId(ids.of(name)), build::node_view(status.as_str()?)?)))
        .collect();
    let change =
        |alloc: &Allocation| match input["job"]["change_from"][alloc.job_version.to_string()].as_str() {
            Some("in_place") => Change::InPlace,
            Some("destructive") => Change::Destructive,
            _ => Change::Ignore,
        };
    let reconcile_input = ReconcileInput {
        now,
        eval: EvalId(ids.of(input["eval_id"].as_str().unwrap_or_default())),
        job: Some(&job),
        allocs: allocs.clone(),
        nodes,
        everywhere: BTreeMap::new(),
        deployment: deployment.as_ref(),
        change: &change,
        is_pending: &|_| true,
    };
    let (changes, _) = reconcile(&reconcile_input);
    compare(&changes, &allocs, expect, &ids)
}

fn compare(changes: &Changes, allocs: &[Arc<Allocation>], expect: &Value, ids: &Ids) -> Result<(), String> {
    let mut check = Check::default();
    let name = |id: u128| Value::String(ids.name(id));
    let names = |list: &[holdfast_shared::id::AllocId]| list.iter().map(|id| name(id.0)).collect::<Vec<_>>();
    let stops = changes.stops.iter().map(|stop| {
        json!({ "id": name(stop.alloc.0), "client_status": stop.client.map(ClientStatus::as_str),
            "reason": stop.reason })
    });
    check.set(expect, "stop", stops.collect());
    let places = changes
        .places
        .iter()
        .map(|place| json!({ "name": place.name, "replaces": place.replaces.map(|id| name(id.0)) }));
    check.set(expect, "place", places.collect());
    let later = changes
        .later
        .iter()
        .map(|later| json!({ "replaces": name(later.alloc.0), "at_s": later.at.as_secs() }));
    check.set(expect, "place_later", later.collect());
    check.set(expect, "mark_unknown", names(&changes.unknown));
    check.set(expect, "reconnected", names(&changes.reconnected));
    check.set(expect, "inplace", names(&changes.in_place));
    let destructive: Vec<_> = changes
        .destructive
        .iter()
        .filter_map(|place| place.replaces)
        .collect();
    check.set(expect, "destructive", names(&destructive));
    check.set(
        expect,
        "timeout_evals_at_s",
        changes.timeouts.iter().map(|at| json!(at.as_secs())).collect(),
    );
    let mut running = Vec::new();
    for alloc in allocs {
        let (desired, client) = after(changes, alloc);
        let key = ids.name(alloc.id.0);
        let actual = json!({ "desired": desired.as_str(), "client": client.as_str() });
        if let Some(expected) = expect["after"].get(&key)
            && *expected != actual
        {
            check.fail(format!("after {key}: expected {expected}, got {actual}"));
        }
        if desired == DesiredStatus::Run && !client.is_terminal() {
            running.push(Value::String(key));
        }
    }
    check.set(expect, "keep_running", running);
    check.verdict()
}

/// What an allocation is like once the changes are applied.
fn after(changes: &Changes, alloc: &Allocation) -> (DesiredStatus, ClientStatus) {
    let replaced = changes
        .destructive
        .iter()
        .any(|place| place.replaces == Some(alloc.id));
    if let Some(stop) = changes.stops.iter().find(|stop| stop.alloc == alloc.id) {
        (DesiredStatus::Stop, stop.client.unwrap_or(alloc.client))
    } else if replaced {
        (DesiredStatus::Stop, alloc.client)
    } else if changes.unknown.contains(&alloc.id) {
        (alloc.desired, ClientStatus::Unknown)
    } else {
        (alloc.desired, alloc.client)
    }
}

fn run_pick(input: &Value, expect: &Value) -> Result<(), String> {
    let mut ids = Ids::default();
    let now = build::time(&json!(10_000));
    let block = build::disconnect_block(&json!({ "reconcile": input["reconcile"] })).unwrap_or_default();
    let original = build::alloc(&input["original"], "web", now, &mut ids);
    let replacement = build::alloc(&input["replacement"], "web", now, &mut ids);
    let tasks = input["original"]["tasks"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let leader = tasks
        .iter()
        .find(|task| task["leader"] == true)
        .and_then(|task| task["name"].as_str());
    let kept = match pick(block.policy().reconcile, &original, &replacement, leader) {
        Keep::Original => "original",
        Keep::Replacement => "replacement",
    };
    let mut check = Check::default();
    check.value(expect, "keep", &json!(kept));
    check.verdict()
}

fn run_classify(input: &Value, expect: &Value) -> Result<(), String> {
    let mut ids = Ids::default();
    let now = build::time(&input["now_s"]);
    let alloc = build::alloc(&input["alloc"], "web", now, &mut ids);
    let node = build::node_view(input["node_status"].as_str().unwrap_or_default());
    let policy = build::disconnect_block(&input["job_disconnect"])
        .unwrap_or_default()
        .policy();
    let bucket = classify::classify(&alloc, node.as_ref(), &policy, now);
    let mut check = Check::default();
    check.value(expect, "category", &json!(bucket.as_str()));
    check.verdict()
}

fn run_heartbeat_missed(input: &Value, expect: &Value) -> Result<(), String> {
    let mut ids = Ids::default();
    let now = build::time(&input["now_s"]);
    let listed = input["allocs"].as_array().map(Vec::as_slice).unwrap_or_default();
    let outlives = listed.iter().any(|value| {
        let mut alloc = build::alloc(value, "web", now, &mut ids);
        if value["unknown_since_s"].is_i64() {
            alloc
                .client_history
                .push((ClientStatus::Unknown, build::time(&value["unknown_since_s"])));
        }
        outlives_disconnect(
            &alloc,
            build::span(&value["lost_after_s"]).unwrap_or_default(),
            now,
        )
    });
    let status =
        build::node_status(input["node_status"].as_str().unwrap_or_default()).unwrap_or(NodeStatus::Down);
    let mut check = Check::default();
    check.value(
        expect,
        "node_status",
        &json!(after_missed_heartbeat(status, outlives).as_str()),
    );
    check.verdict()
}

fn run_node_status(input: &Value, expect: &Value) -> Result<(), String> {
    let current =
        build::node_status(input["current"].as_str().unwrap_or_default()).unwrap_or(NodeStatus::Down);
    let synced =
        input["allocs_synced_since_missed_heartbeat"] == true || input["has_nonterminal_allocs"] == false;
    let new = match input["reported"].as_str().unwrap_or_default() {
        "ready" => after_contact(current, synced),
        other => build::node_status(other).unwrap_or(NodeStatus::Down),
    };
    let mut check = Check::default();
    check.value(expect, "new", &json!(new.as_str()));
    check.value(expect, "creates_evals", &json!(new != current));
    check.verdict()
}
