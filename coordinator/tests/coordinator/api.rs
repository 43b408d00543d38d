//! Every endpoint answers in the shape of its recorded body.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::agent::{Agent, Login, node_id};
use crate::support::shape;
use crate::support::{Coordinator, job};

/// What only the original has, and why. A `*` stands for anything.
const NOT_OURS: &[&str] = &[
    // Deprecated there, and unknown to our model.
    "jobs_parse_web.json.TaskGroups.*.Tasks.*.LogConfig.Enabled is missing",
    // Nodes are not put into classes, so that evaluations need not remember which of them qualify.
    "evaluations.json[].ClassEligibility is missing",
    // Only evaluations that a node caused name it; the index of its change is not kept.
    "evaluations.json[].NodeID is missing",
    "evaluations.json[].NodeModifyIndex is missing",
    // The recorded agent was a client as well.
    "agent_self.json.stats.client is missing",
    // Lists and maps of settings that we do not have are empty.
    "agent_self.json.config.*: null instead of*",
];

fn is_ours(line: &str) -> bool {
    let fits = |pattern: &&str| {
        let mut rest = Some(line);
        for part in pattern.split('*') {
            rest = rest.and_then(|rest| rest.find(part).map(|at| &rest[at + part.len()..]));
        }
        rest.is_some()
    };
    !NOT_OURS.iter().any(fits)
}

/// A coordinator with a node, a job that runs on it, one that fits nowhere, and the ids of it all.
struct Region {
    coordinator: Coordinator,
    _agent: Agent,
    _folder: tempfile::TempDir,
    alloc: String,
    node: String,
    eval: String,
    failed_eval: String,
    deployment: String,
}

impl Region {
    /// The jobs are those of the recording.
    async fn start(jobs: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let coordinator = Coordinator::start(folder.path(), &[]).await;
        let login = Login::new(node_id(1), "a secret of the node");
        let mut agent = Agent::join(coordinator.mqtt(), login).await.unwrap();
        coordinator
            .until("/v1/nodes", |nodes| nodes[0]["Status"] == "ready")
            .await;
        // The recorded node has been drained before.
        let drain = format!("/v1/node/{}/drain", node_id(1));
        for enable in [true, false] {
            let answer = coordinator
                .put(&format!("{drain}?enable={enable}"), &json!({}))
                .await;
            assert_eq!(answer.status, 200, "{}", answer.body);
        }
        let registered = register(&coordinator, &jobs.join("web.nomad.hcl")).await;
        let alloc = agent.assignment().await;
        agent.runs(alloc.id).await;
        let path = format!("/v1/allocation/{}", alloc.id);
        let view = coordinator
            .until(&path, |it| it["ClientStatus"] == "running")
            .await;
        let failed = register(&coordinator, &jobs.join("big.nomad.hcl")).await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let failed_eval = text(&failed["EvalID"]);
        coordinator
            .until(&format!("/v1/evaluation/{failed_eval}"), |it| {
                it["Status"] == "complete"
            })
            .await;
        Self {
            alloc: alloc.id.to_string(),
            node: node_id(1).to_string(),
            eval: text(&registered["EvalID"]),
            failed_eval,
            deployment: text(&view["DeploymentID"]),
            coordinator,
            _agent: agent,
            _folder: folder,
        }
    }

    async fn read(&self, path: &str) -> Value {
        let path = path
            .replace("{alloc}", &self.alloc)
            .replace("{node}", &self.node)
            .replace("{eval}", &self.eval)
            .replace("{failed}", &self.failed_eval)
            .replace("{deployment}", &self.deployment);
        let answer = self.coordinator.get(&path).await;
        assert!(
            answer.header("X-Nomad-LastContact").is_some() && answer.header("X-Nomad-KnownLeader").is_some()
        );
        assert!(answer.index() >= 1);
        answer.json()
    }
}

/// Registers a job file as a client does: parsed, then submitted.
async fn register(coordinator: &Coordinator, file: &Path) -> Value {
    let source = std::fs::read_to_string(file).unwrap();
    let parsed = coordinator
        .put(
            "/v1/jobs/parse",
            &json!({ "JobHCL": source, "Canonicalize": true }),
        )
        .await
        .json();
    coordinator
        .put("/v1/jobs", &json!({ "Job": parsed }))
        .await
        .json()
}

/// Endpoints that are read, and the bodies that were recorded there.
const READS: &[(&str, &str)] = &[
    ("/v1/jobs", "jobs.json"),
    ("/v1/jobs?meta=true", "jobs_meta_true.json"),
    ("/v1/job/web", "job_web.json"),
    ("/v1/job/web/allocations", "job_web_allocations.json"),
    ("/v1/job/web/evaluations", "job_web_evaluations.json"),
    ("/v1/job/web/summary", "job_web_summary.json"),
    ("/v1/job/web/deployments", "job_web_deployments.json"),
    ("/v1/job/web/deployment", "job_web_deployment.json"),
    ("/v1/nodes", "nodes.json"),
    ("/v1/nodes?resources=true", "nodes_resources_true.json"),
    ("/v1/node/{node}", "node.json"),
    ("/v1/node/{node}/allocations", "node_allocations.json"),
    ("/v1/allocations", "allocations.json"),
    (
        "/v1/allocations?resources=true",
        "allocations_resources_true.json",
    ),
    ("/v1/allocation/{alloc}", "alloc.json"),
    ("/v1/allocation/{alloc}/services", "alloc_services.json"),
    ("/v1/evaluations", "evaluations.json"),
    ("/v1/evaluation/{eval}", "eval.json"),
    ("/v1/evaluation/{failed}", "eval_failed_placements.json"),
    ("/v1/evaluation/{eval}/allocations", "deployment_allocations.json"),
    ("/v1/deployments", "deployments.json"),
    ("/v1/deployment/{deployment}", "deployment.json"),
    (
        "/v1/deployment/allocations/{deployment}",
        "deployment_allocations.json",
    ),
    ("/v1/services", "services.json"),
    ("/v1/service/web", "service_web.json"),
    ("/v1/agent/self", "agent_self.json"),
    ("/v1/agent/members", "agent_members.json"),
    ("/v1/agent/health", "agent_health.json"),
    ("/v1/status/leader", "status_leader.json"),
    ("/v1/status/peers", "status_peers.json"),
    ("/v1/regions", "regions.json"),
    ("/v1/namespaces", "namespaces.json"),
    ("/v1/node/pools", "node_pools.json"),
    (
        "/v1/operator/scheduler/configuration",
        "operator_scheduler_configuration.json",
    ),
];

#[tokio::test]
async fn nothing_of_the_recorded_bodies_is_missing() {
    let Some(folder) = shape::recorded() else { return };
    let region = Region::start(&folder.join("../jobs")).await;
    let expected = |file: &str| -> Value {
        serde_json::from_str(&std::fs::read_to_string(folder.join(file)).unwrap()).unwrap()
    };
    let mut out = String::new();
    for (path, file) in READS {
        let ours = region.read(path).await;
        assert!(
            ours.as_array().is_none_or(|list| !list.is_empty()),
            "{path} is empty, nothing can be compared"
        );
        shape::compare(file, &expected(file), &ours, &mut out);
    }
    let source = std::fs::read_to_string(folder.join("../jobs/web.nomad.hcl")).unwrap();
    for (path, body, file) in [
        (
            "/v1/search",
            json!({ "Prefix": "we", "Context": "all" }),
            "search.json",
        ),
        (
            "/v1/jobs/parse",
            json!({ "JobHCL": source, "Canonicalize": true }),
            "jobs_parse_web.json",
        ),
        (
            "/v1/validate/job",
            json!({ "Job": job("web") }),
            "validate_job.json",
        ),
        ("/v1/jobs", json!({ "Job": job("web") }), "job_register.json"),
        (
            "/v1/node/{node}/eligibility",
            json!({ "Eligibility": "ineligible" }),
            "node_eligibility_put.json",
        ),
        (
            "/v1/node/{node}/eligibility",
            json!({ "Eligibility": "eligible" }),
            "node_eligibility_put2.json",
        ),
        (
            "/v1/job/web/evaluate",
            json!({ "JobID": "web" }),
            "job_evaluate.json",
        ),
    ] {
        let path = path.replace("{node}", &region.node);
        let ours = region.coordinator.put(&path, &body).await.json();
        shape::compare(file, &expected(file), &ours, &mut out);
    }
    let ours = region.coordinator.delete("/v1/job/web").await.json();
    shape::compare("job_delete.json", &expected("job_delete.json"), &ours, &mut out);
    let missing: Vec<&str> = out.lines().filter(|line| is_ours(line)).collect();
    assert!(missing.is_empty(), "{}", missing.join("\n"));
    region.coordinator.stop().await;
}

#[tokio::test]
async fn every_route_of_the_reference_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = Coordinator::start(folder.path(), &[]).await;
    for route in holdfast_api::ROUTES {
        let path = route.path.replace("{id}", "none").replace("{name}", "none");
        for method in ["GET", "PUT", "POST", "DELETE"] {
            let body = Some("{}".to_owned());
            let answer = crate::support::http::request(coordinator.http(), method, &path, body).await;
            let served = answer.status != 405 && !(answer.status == 404 && answer.body.is_empty());
            assert_eq!(
                served,
                route.methods.contains(method),
                "{method} {path}: {} {}",
                answer.status,
                answer.body
            );
        }
    }
    coordinator.stop().await;
}

#[tokio::test]
async fn errors_have_the_texts_that_clients_know() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = Coordinator::start(folder.path(), &[]).await;
    let unknown = "/v1/allocation/6a5ac2ba-8ebb-68e1-2cd5-9b9e3c01721c";
    for (path, status, text) in [
        ("/v1/job/nope", 404, "job not found"),
        (
            "/v1/node/nope",
            400,
            "node lookup failed: index error: UUID must be 36 characters",
        ),
        (unknown, 404, "alloc not found"),
        ("/v1/nope", 404, ""),
        ("/v1/jobs?region=mars", 500, "No path to region"),
        (
            "/v1/jobs?index=x",
            400,
            "Invalid index: `x` is not a number from 0 on",
        ),
        (
            "/v1/jobs?filter=Name",
            400,
            "failed to read filter expression: an operator like == is expected at the end",
        ),
    ] {
        let answer = coordinator.get(path).await;
        assert_eq!((answer.status, answer.body.as_str()), (status, text), "{path}");
    }
    assert_eq!(coordinator.delete("/v1/jobs").await.body, "Invalid method");
    for (path, body, status, text) in [
        ("/v1/jobs", "{", 400, "unexpected EOF"),
        ("/v1/jobs", "{}", 400, "Job must be specified"),
        (
            "/v1/jobs",
            r#"{"Job": {"ID": "x", "Priority": "high"}}"#,
            400,
            "Job.Priority: invalid type: string \"high\", expected i64",
        ),
        ("/v1/jobs/parse", r#"{"JobHCL": ""}"#, 400, "Job spec is empty"),
        ("/v1/job/nope/evaluate", "", 404, "job \"nope\" not found"),
    ] {
        let answer =
            crate::support::http::request(coordinator.http(), "POST", path, Some(body.to_owned())).await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (status, text),
            "{path} {body}"
        );
    }
    let bad = json!({ "JobHCL": "job \"x\" {\n  tusk \"y\" {}\n}\n" });
    let answer = coordinator.put("/v1/jobs/parse", &bad).await;
    assert_eq!(answer.status, 400);
    assert!(
        answer.body.starts_with("Failed to parse job: input.hcl:2,"),
        "{}",
        answer.body
    );
    coordinator.stop().await;
}
