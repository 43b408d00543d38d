//! Every recorded body, read into its view and written again, says the same: nothing is missing, nothing is retyped.

#![cfg(test)]

use std::fmt::Write as _;
use std::path::PathBuf;

use holdfast_api as api;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The recorded bodies; `None`, with a note, on a machine that does not have them.
fn recorded() -> Option<PathBuf> {
    let shared = std::env::var_os("HOLDFAST_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let folder = shared.join("recorded/api");
    if !folder.is_dir() {
        println!(
            "note: {} is absent, nothing was compared; set HOLDFAST_SHARED",
            folder.display()
        );
        return None;
    }
    Some(folder)
}

/// Notes everything of `expected` that `ours` lacks or says otherwise.
fn compare(place: &str, expected: &Value, ours: &Value, out: &mut String) {
    match (expected, ours) {
        (Value::Object(expected), Value::Object(ours)) => {
            for (key, value) in expected {
                match ours.get(key) {
                    Some(own) => compare(&format!("{place}.{key}"), value, own, out),
                    None => writeln!(out, "{place}.{key} is missing").unwrap(),
                }
            }
        }
        (Value::Array(expected), Value::Array(ours)) if expected.len() == ours.len() => {
            for (at, (value, own)) in expected.iter().zip(ours).enumerate() {
                compare(&format!("{place}[{at}]"), value, own, out);
            }
        }
        (expected, ours) if expected == ours => {}
        (Value::Number(a), Value::Number(b)) if a.as_f64() == b.as_f64() => {}
        (expected, ours) => writeln!(out, "{place}: {expected} became {ours}").unwrap(),
    }
}

fn check<T: Serialize + DeserializeOwned>(files: &[&str]) {
    let Some(folder) = recorded() else { return };
    let mut out = String::new();
    for file in files {
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        let expected: Value = serde_json::from_str(&text).unwrap();
        let view: T =
            serde_json::from_value(expected.clone()).unwrap_or_else(|error| panic!("{file}: {error}"));
        compare(file, &expected, &serde_json::to_value(&view).unwrap(), &mut out);
    }
    // Numbers that only a Nomad server fills in come back as the `null` they are in a job file.
    let out: String = out
        .lines()
        .filter(|line| !line.contains(": 0 became null"))
        .collect::<Vec<_>>()
        .join("\n");
    assert!(out.is_empty(), "{out}");
}

#[test]
fn jobs_keep_their_shape() {
    check::<Vec<api::JobListStub>>(&["jobs.json", "jobs_meta_true.json"]);
    check::<api::JobSummary>(&["job_web_summary.json"]);
    check::<api::JobRegisterResponse>(&["job_register.json", "job_evaluate.json"]);
    check::<api::JobDeregisterResponse>(&["job_delete.json"]);
    check::<api::JobValidateResponse>(&["validate_job.json"]);
    check::<api::JobSubmission>(&[]);
}

#[test]
fn allocations_keep_their_shape() {
    let lists = [
        "allocations.json",
        "allocations_resources_true.json",
        "job_web_allocations.json",
        "deployment_allocations.json",
        "eval_allocations.json",
        "job_edge_allocations_after_reconnect.json",
    ];
    check::<Vec<api::AllocationListStub>>(&lists);
    check::<Vec<api::ServiceRegistration>>(&["alloc_services.json", "service_web.json"]);
    check::<Vec<api::ServiceListStub>>(&["services.json"]);
}

#[test]
fn whole_allocations_keep_their_shape_and_their_job() {
    check::<api::Allocation>(&["alloc.json"]);
    check::<Vec<api::Allocation>>(&["node_allocations.json"]);
    check::<api::JobVersionsResponse>(&["job_web_versions.json"]);
}

#[test]
fn evaluations_and_deployments_keep_their_shape() {
    let lists = [
        "evaluations.json",
        "job_web_evaluations.json",
        "job_edge_evaluations_after_reconnect.json",
    ];
    check::<Vec<api::Evaluation>>(&lists);
    check::<api::Evaluation>(&["eval.json", "eval_failed_placements.json"]);
    check::<api::Deployment>(&["deployment.json", "job_web_deployment.json"]);
    check::<Vec<api::Deployment>>(&["deployments.json", "job_web_deployments.json"]);
}

#[test]
fn nodes_keep_their_shape() {
    check::<Vec<api::NodeListStub>>(&["nodes.json", "nodes_resources_true.json"]);
    check::<api::Node>(&["node.json"]);
}

#[test]
fn everything_else_keeps_its_shape() {
    check::<api::SearchResponse>(&["search.json"]);
    check::<api::AgentSelf>(&["agent_self.json"]);
    check::<api::AgentMembers>(&["agent_members.json"]);
    check::<api::AgentHealth>(&["agent_health.json"]);
    check::<Vec<api::Namespace>>(&["namespaces.json"]);
    check::<Vec<api::NodePool>>(&["node_pools.json"]);
    check::<api::SchedulerConfigurationResponse>(&["operator_scheduler_configuration.json"]);
}
