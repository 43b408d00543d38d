//! Why something found no place: every kind of refusal, in every command that explains one.

use holdfast_api::{AllocationMetric, JobPlanResponse};
use serde_json::{Value, json};

use crate::bodies::{at, body, deployment, evaluation, job, serve_job, summary};
use crate::case::run;
use crate::job_run::serve_run;
use crate::server::Server;

/// What the scheduler reports, and what is to be read of it, line by line.
fn refusals() -> Vec<(Value, Vec<&'static str>)> {
    vec![
        (
            json!({"NodesEvaluated": 0, "NodesInPool": 0, "NodePool": "ships"}),
            vec!["No nodes were eligible for evaluation"],
        ),
        (
            json!({"NodesEvaluated": 0, "NodesAvailable": {"dc1": 2, "dc8": 0, "dc9": 0}}),
            vec![
                "No nodes were eligible for evaluation",
                "No nodes are available in datacenter \"dc8\"",
                "No nodes are available in datacenter \"dc9\"",
            ],
        ),
        (
            json!({"NodesEvaluated": 9, "NodesFiltered": 9, "ClassFiltered": {"large": 2, "small": 7}, "ConstraintFiltered": {
                "${attr.os.version} version >= 2": 1, "distinct_hosts": 2,
                "distinct_property: ${meta.rack}=r1 used by 2 allocs": 1,
                "missing compatible host volumes": 1, "missing devices": 1, "missing drivers": 2,
                "missing host network \"lan\" for port \"http\"": 1}}),
            vec![
                "Class \"large\": 2 nodes excluded by filter",
                "Class \"small\": 7 nodes excluded by filter",
                "Constraint \"${attr.os.version} version >= 2\": 1 nodes excluded by filter",
                "Constraint \"distinct_hosts\": 2 nodes excluded by filter",
                "Constraint \"distinct_property: ${meta.rack}=r1 used by 2 allocs\": 1 nodes excluded by filter",
                "Constraint \"missing compatible host volumes\": 1 nodes excluded by filter",
                "Constraint \"missing devices\": 1 nodes excluded by filter",
                "Constraint \"missing drivers\": 2 nodes excluded by filter",
                "Constraint \"missing host network \\\"lan\\\" for port \\\"http\\\"\": 1 nodes excluded by filter",
            ],
        ),
        (
            json!({"NodesEvaluated": 6, "NodesExhausted": 6, "ClassExhausted": {"small": 3}, "DimensionExhausted": {
                "cpu": 1, "devices: no devices match request": 1, "disk": 1, "memory": 1,
                "network: dynamic port selection failed": 1, "network: reserved port collision http=8080": 1}}),
            vec![
                "Resources exhausted on 6 nodes",
                "Class \"small\" exhausted on 3 nodes",
                "Dimension \"cpu\" exhausted on 1 nodes",
                "Dimension \"devices: no devices match request\" exhausted on 1 nodes",
                "Dimension \"disk\" exhausted on 1 nodes",
                "Dimension \"memory\" exhausted on 1 nodes",
                "Dimension \"network: dynamic port selection failed\" exhausted on 1 nodes",
                "Dimension \"network: reserved port collision http=8080\" exhausted on 1 nodes",
            ],
        ),
        (
            json!({"NodesEvaluated": 1, "NodesFiltered": 0, "QuotaExhausted": ["memory"]}),
            vec!["Quota limit hit \"memory\""],
        ),
    ]
}

const JOB: &str =
    "job \"web\" {\n  group \"app\" {\n    task \"main\" {\n      driver = \"raw_exec\"\n    }\n  }\n}\n";
const EVAL: &str = "ce750094-0192-52f4-43bc-3c87a8a2a462";
const BLOCKED: &str = "2d5fffb9-e78e-75b1-2a95-d457c07d608c";
const ALLOC: &str = "633fcd79-95c3-5f43-8af3-00d6cdbcf739";

/// A coordinator where the group `app` of the job `web` found no place for this reason.
fn serve(metric: &AllocationMetric) -> Server {
    let failed = || [("app".to_owned(), metric.clone())].into();
    let mut complete = evaluation(EVAL, "web", "job-register", "complete");
    complete.failed_tg_allocs = failed();
    BLOCKED.clone_into(&mut complete.blocked_eval);
    let blocked = evaluation(BLOCKED, "web", "queued-allocs", "blocked");
    let plan = JobPlanResponse {
        failed_tg_allocs: failed(),
        ..JobPlanResponse::default()
    };
    let allocation = json!({"ID": ALLOC, "JobID": "web", "TaskGroup": "app", "Metrics": metric});
    let server = Server::start();
    serve_run(&server, EVAL, "", vec![(complete.clone(), json!([]))]);
    let newest = deployment("9d4c8890", "web", 0, "running", "Deployment is running");
    let parts = [json!([]), json!([complete, blocked]), body(&newest)];
    let counts = summary(&[("app", [1, 0, 0, 0, 0, 0, 0])]);
    serve_job(&server, &job("web", "*", "07:56:41"), &counts, parts);
    server
        .on_method("PUT", "/v1/job/web/plan", body(&plan))
        .on("/v1/evaluations", json!([complete]))
        .on("/v1/allocations", json!([{"ID": ALLOC, "Namespace": "default"}]))
        .on(&format!("/v1/allocation/{ALLOC}"), allocation);
    server
}

#[test]
fn every_command_that_explains_a_refusal_gives_every_reason() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("web.nomad.hcl");
    std::fs::write(&file, JOB).unwrap();
    let file = file.to_str().unwrap();
    for (metric, lines) in refusals() {
        let metric: AllocationMetric = serde_json::from_value(metric).unwrap();
        let commands: [(&[&str], &str, u8); 5] = [
            (&["job", "run", file], "      ", 2),
            (&["job", "plan", file], "    ", 0),
            (&["job", "status", "web"], "  ", 0),
            (&["eval", "status", EVAL], "  ", 0),
            (&["alloc", "status", "-verbose", ALLOC], "  ", 0),
        ];
        for (words, indent, code) in commands {
            let server = serve(&metric);
            let words: Vec<&str> = ["edgectl"].iter().chain(words).copied().collect();
            let (printed, exit) = run(&server, &words, at("2026-11-21T07:56:41Z"));
            let lines: Vec<String> = lines.iter().map(|line| format!("{indent}* {line}\n")).collect();
            assert!(
                printed.contains(&lines.concat()),
                "{words:?}: {lines:?}\n{printed}"
            );
            let all = printed.lines().filter(|line| line.trim_start().starts_with("* "));
            assert_eq!(all.count(), lines.len(), "{words:?}\n{printed}");
            assert_eq!(exit, code, "{words:?}\n{printed}");
        }
    }
}
