//! The smaller commands of `job …`.

use edgectl::output::Style;
use holdfast_api::AllocationMetric;
use serde_json::{Value, json};

use crate::bodies::{at, body, deployment, evaluation, group, job, recorded, stub, today};
use crate::case::{Case, run_with};
use crate::web::first_deployment;

#[test]
fn deployments_of_a_job_are_listed_newest_first() {
    let Some(case) = Case::load("034") else { return };
    let mut list = [
        first_deployment([3, 3, 3, 0], "07:56:53", true),
        deployment(
            "ad32c432",
            "web",
            1,
            "running",
            "Deployment is running but requires manual promotion",
        ),
    ];
    list[1].create_index = 1;
    case.server
        .on("/v1/jobs", json!([stub(&job("web", "dc*", "07:54:47"))]))
        .on("/v1/job/web/deployments", json!(list));
    case.check("2026-11-21T07:55:13Z");
}

#[test]
fn inspect_prints_the_job_as_the_api_writes_it() {
    let Some(case) = Case::load("040") else { return };
    let text = std::fs::read_to_string("../cli/040-job-inspect-web.txt").unwrap();
    let text = text.split_once('\n').unwrap().1.rsplit_once("[exit").unwrap().0;
    let mut job: Value = serde_json::from_str(text).unwrap();
    case.server
        .on("/v1/jobs", json!([{"ID": "web", "Namespace": "default"}]))
        .on("/v1/job/web", job["Job"].take());
    case.check("2026-11-21T07:55:48Z");
}

#[test]
fn stop_watches_the_job_go() {
    let Some(case) = Case::load("093") else { return };
    let id = "61da173a-0000-0000-0000-000000000000";
    case.server
        .on("/v1/jobs", json!([stub(&job("web", "dc*", "07:54:47"))]))
        .on_method("DELETE", "/v1/job/web", json!({"EvalID": id}));
    let pending = evaluation(id, "web", "job-deregister", "pending");
    let mut complete = evaluation(id, "web", "job-deregister", "complete");
    complete.deployment_id = "bff375ea-0000-0000-0000-000000000000".to_owned();
    for turn in [pending, complete] {
        case.server.on(&format!("/v1/evaluation/{id}"), body(&turn));
    }
    case.server
        .on(&format!("/v1/evaluation/{id}/allocations"), json!([]));
    let mut ended = deployment(
        "bff375ea",
        "web",
        3,
        "successful",
        "Deployment completed successfully",
    );
    let mut app = group([2, 2, 2, 0], "07:58:15");
    app.auto_revert = true;
    ended.task_groups.insert("app".to_owned(), app);
    case.server.on(
        "/v1/deployment/bff375ea-0000-0000-0000-000000000000",
        body(&ended),
    );
    case.check_monitor();
}

#[test]
fn stop_can_forget_the_job_too() {
    let Some(case) = Case::load("094") else { return };
    let id = "1554505f-0000-0000-0000-000000000000";
    case.server
        .on("/v1/jobs", json!([stub(&job("crash", "*", "07:56:21"))]))
        .on_method("DELETE", "/v1/job/crash", json!({"EvalID": id}))
        .on(
            &format!("/v1/evaluation/{id}"),
            body(&evaluation(id, "crash", "job-deregister", "pending")),
        )
        .on(
            &format!("/v1/evaluation/{id}"),
            body(&evaluation(id, "crash", "job-deregister", "complete")),
        )
        .on(&format!("/v1/evaluation/{id}/allocations"), json!([]));
    let server = case.server.clone();
    case.check_monitor();
    assert!(server.asked().iter().any(|it| it.line.contains("purge=true")));
}

#[test]
fn validate_shows_warnings_and_all_errors() {
    let Some(case) = Case::load("001") else { return };
    case.server
        .on_method("PUT", "/v1/validate/job", recorded("validate_job.json"));
    case.check("2026-11-21T07:54:47Z");

    let Some(case) = Case::load("003") else { return };
    let text = "3 errors occurred:\n\t* Job ID contains a space\n\t* Invalid job type: \"servise\"\n\t* Task group g \
                validation failed: 4 errors occurred:\n\t* Task group count can't be negative\n\t* Unsupported restart \
                mode: \"explode\"\n\t* Task 2 redefines 't' from task 1\n\t* Task t validation failed: 1 error \
                occurred:\n\t* Missing task driver\n\n\n\n\n";
    let case = case.expecting("Missing task driver\n\n\n\n\n\n\n", "Missing task driver\n");
    case.server.on_method(
        "PUT",
        "/v1/validate/job",
        json!({"Error": text, "ValidationErrors": [text]}),
    );
    case.check("2026-11-21T07:54:47Z");
}

#[test]
fn validate_without_a_coordinator_comes_to_the_same_verdict() {
    let Some(folder) = crate::case::shared() else {
        return;
    };
    std::env::set_current_dir(folder.join("recorded/jobs")).unwrap();
    let environment = [("EDGE_ADDR", "unix:///nowhere/api.sock")];
    for (name, file, wanted) in [("001", "web.nomad.hcl", 0), ("003", "bad2.nomad.hcl", 1)] {
        let words = ["edgectl", "validate", file];
        let (printed, exit) = run_with(&environment, &words, Style::default(), at("2026-11-21T07:54:47Z"));
        let note = "Note: no coordinator answers at unix:///nowhere/api.sock; the file is checked on this machine only\n\n";
        let verdict = printed.strip_prefix(note).unwrap_or_else(|| panic!("{printed}"));
        assert_eq!(verdict.trim_end(), Case::load(name).unwrap().text().trim_end());
        assert_eq!(exit, wanted);
    }
}

#[test]
fn reasons_of_a_placement_failure_are_complete() {
    let metric: AllocationMetric = serde_json::from_value(json!({
        "NodesEvaluated": 0, "NodesAvailable": {"dc1": 0, "dc2": 3}, "QuotaExhausted": ["memory"],
    }))
    .unwrap();
    assert_eq!(
        edgectl::command::placement::reasons(&metric, "  "),
        [
            "  * No nodes were eligible for evaluation",
            "  * No nodes are available in datacenter \"dc1\"",
            "  * Quota limit hit \"memory\"",
        ]
    );
}

#[test]
fn today_is_the_day_of_the_recordings() {
    assert_eq!(today("07:54:47"), 1_795_247_687_000_000_000);
}
