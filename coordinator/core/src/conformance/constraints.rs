//! `constraints.json`: operators, targets and `distinct_*`.

use std::collections::BTreeMap;
use std::sync::Arc;

use holdfast_shared::id::NodeId;
use holdfast_shared::model::{Eligibility, Fingerprint, Node, NodeStatus};
use holdfast_shared::time::Timestamp;
use serde_json::{Value, json};

use super::check::Check;
use crate::scheduler::constraint;
use crate::scheduler::distinct::{self, Uses};
use crate::scheduler::feasible::Target;

pub(super) fn run(kind: &str, input: &Value, expect: &Value) -> Option<Result<(), String>> {
    match kind {
        "operator" => Some(operator(input, expect)),
        "resolve" => Some(resolve(input, expect)),
        "distinct" => Some(distinct(input, expect)),
        _ => None,
    }
}

fn operator(input: &Value, expect: &Value) -> Result<(), String> {
    let operand = input["operator"].as_str().unwrap_or_default();
    let actual = constraint::holds(operand, input["left"].as_str(), input["right"].as_str());
    let expected = expect.as_bool().or_else(|| expect["satisfied"].as_bool());
    if expected == Some(actual) {
        Ok(())
    } else {
        Err(format!("expected {expect}, got {actual}"))
    }
}

fn texts(value: &Value) -> BTreeMap<String, String> {
    let entries = value.as_object().into_iter().flatten();
    entries
        .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
        .collect()
}

/// A node of which nothing is known but what its agent found out.
pub(super) fn node(fingerprint: Fingerprint) -> Node {
    Node {
        id: NodeId(1),
        fingerprint: Arc::new(fingerprint),
        status: NodeStatus::Ready,
        status_description: String::new(),
        status_since: Timestamp::ZERO,
        eligibility: Eligibility::Eligible,
        drain: None,
        last_drain: None,
        last_heard: Timestamp::ZERO,
        session: 0,
        generation: 0,
        sent_generation: 0,
        events: Vec::new(),
        create_index: 0,
        modify_index: 0,
        missed_heartbeat_index: 0,
        alloc_update_index: 0,
    }
}

fn resolve(input: &Value, expect: &Value) -> Result<(), String> {
    let text = |key: &str| input["node"][key].as_str().unwrap_or_default().to_owned();
    let fingerprint = Fingerprint {
        name: text("unique_name"),
        datacenter: text("datacenter"),
        node_pool: text("pool"),
        node_class: text("class"),
        attributes: texts(&input["node"]["attributes"]),
        meta: texts(&input["node"]["meta"]),
        ..Fingerprint::default()
    };
    let node = node(fingerprint);
    let value = Target::new(input["target"].as_str().unwrap_or_default()).on(&node);
    // Ids in the vectors are names.
    let value = value.map(|value| {
        if value == node.id.to_string() {
            text("unique_id")
        } else {
            value.into_owned()
        }
    });
    let mut check = Check::default();
    check.value(expect, "found", &json!(value.is_some()));
    check.value(expect, "value", &json!(value));
    check.verdict()
}

fn distinct(input: &Value, expect: &Value) -> Result<(), String> {
    let value = input["value"].as_str().unwrap_or_default();
    let feasible: Vec<Value> = if input["operator"] == "distinct_property" {
        let count = |key: &str, value: &str| input[key][value].as_u64().unwrap_or(0) as usize;
        let uses = |value: &str| Uses {
            existing: count("used", value),
            planned: count("planned_placements", value),
            stopped: count("planned_stops", value),
        };
        let limit = distinct::property_limit(value);
        let nodes = input["nodes"].as_object().into_iter().flatten();
        let allowed = nodes
            .filter(|(_, property)| distinct::property_allows(limit, property.as_str().map(uses).as_ref()));
        allowed.map(|(node, _)| json!(node)).collect()
    } else {
        let nodes = input["nodes"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str);
        let free = nodes.filter(|node| !distinct::hosts_apart(value) || !is_crowded(input, node));
        free.map(|node| json!(node)).collect()
    };
    let mut check = Check::default();
    check.set(expect, "feasible", feasible);
    check.verdict()
}

/// Whether something that a `distinct_hosts` is about runs on the node, or is planned for it.
fn is_crowded(input: &Value, node: &str) -> bool {
    let listed = |key: &str| input[key][node].as_array().map(Vec::as_slice).unwrap_or_default();
    let of_group = input["level"] == "group";
    let relevant = |alloc: &str| {
        let over = ["complete", "failed", "lost"]
            .iter()
            .any(|it| alloc.contains(&format!("client status {it}")));
        !over && !alloc.contains("other namespace") && (!of_group || alloc.contains("group bar"))
    };
    listed("allocs")
        .iter()
        .chain(listed("planned_placements"))
        .filter_map(Value::as_str)
        .any(relevant)
}
