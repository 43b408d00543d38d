//! What is done with jobs that are there: revert, scale, dispatch, launch, evaluate.

use holdfast_api::{Evaluation, JobScaleStatus};
use holdfast_shared::model::{Job, Periodic};
use serde_json::{Value, json};

use crate::bodies::{alloc, at, body, deployment, evaluation, group, job, serve_job, stub, summary};
use crate::case::{Case, run};
use crate::server::{Answer, Server};

/// Answers everything that the watching of evaluation `id` asks.
fn serve_watch(server: &Server, id: &str, turns: Vec<(Evaluation, Value)>) {
    for (evaluation, allocations) in turns {
        server.on(&format!("/v1/evaluation/{id}"), body(&evaluation));
        server.on(&format!("/v1/evaluation/{id}/allocations"), allocations);
    }
}

fn web() -> Job {
    job("web", "dc*", "07:54:47")
}

#[test]
fn revert_watches_the_earlier_version_come_back() {
    let Some(case) = Case::load("041") else { return };
    let id = "77436624-0000-0000-0000-000000000000";
    let deployed = "518e307f-0000-0000-0000-000000000000";
    let pending = evaluation(id, "web", "job-register", "pending");
    let mut complete = evaluation(id, "web", "job-register", "complete");
    complete.deployment_id = deployed.to_owned();
    let placed = json!([alloc(
        ["53660202", "6ece896c"],
        2,
        "app",
        "run pending",
        ["07:55:49", "07:55:49"]
    )]);
    case.server.on("/v1/jobs", json!([stub(&web())])).on_method(
        "PUT",
        "/v1/job/web/revert",
        json!({"EvalID": id}),
    );
    serve_watch(&case.server, id, vec![(pending, json!([])), (complete, placed)]);
    for (placed, healthy, status) in [
        (1, 0, "running"),
        (1, 1, "running"),
        (2, 1, "running"),
        (2, 2, "running"),
        (3, 2, "running"),
        (3, 3, "running"),
        (3, 3, "successful"),
    ] {
        let text = if status == "running" {
            "Deployment is running"
        } else {
            "Deployment completed successfully"
        };
        let mut it = deployment(deployed, "web", 2, status, text);
        let mut app = group([3, placed, healthy, 0], "07:57:48");
        app.auto_revert = true;
        it.task_groups.insert("app".to_owned(), app);
        case.server.on(&format!("/v1/deployment/{deployed}"), body(&it));
    }
    let server = case.server.clone();
    case.check_monitor();
    assert_eq!(server.sent("/v1/job/web/revert")[0]["JobVersion"], 0);
}

#[test]
fn scale_watches_what_follows() {
    let Some(case) = Case::load("042") else { return };
    let id = "29273a86-0000-0000-0000-000000000000";
    let deployed = "bff375ea-0000-0000-0000-000000000000";
    let mut pending = evaluation(id, "web", "job-scaling", "pending");
    let mut complete = evaluation(id, "web", "job-scaling", "complete");
    (pending.create_index, complete.create_index) = (9, 9);
    pending.deployment_id = deployed.to_owned();
    complete.deployment_id = deployed.to_owned();
    let modified = ["3dff24c1", "53660202"]
        .into_iter()
        .zip(["e0b446e8", "6ece896c"])
        .map(|(id, node)| alloc([id, node], 3, "app", "run running", ["07:55:49", "07:56:11"]));
    let modified = json!(modified.collect::<Vec<_>>());
    case.server.on("/v1/jobs", json!([stub(&web())])).on_method(
        "PUT",
        "/v1/job/web/scale",
        json!({"EvalID": id}),
    );
    serve_watch(&case.server, id, vec![(pending, json!([])), (complete, modified)]);
    for (healthy, status) in [(0, "running"), (1, "running"), (2, "running"), (2, "successful")] {
        let text = if status == "running" {
            "Deployment is running"
        } else {
            "Deployment completed successfully"
        };
        let mut it = deployment(deployed, "web", 3, status, text);
        let mut app = group([2, 2, healthy, 0], "07:58:11");
        app.auto_revert = true;
        it.task_groups.insert("app".to_owned(), app);
        case.server.on(&format!("/v1/deployment/{deployed}"), body(&it));
    }
    let server = case.server.clone();
    case.check_monitor();
    let sent = &server.sent("/v1/job/web/scale")[0];
    assert_eq!(
        (&sent["Count"], &sent["Target"]["Group"]),
        (&json!(2), &json!("app"))
    );
}

#[test]
fn scaling_events_are_listed() {
    let Some(case) = Case::load("043") else { return };
    let status: JobScaleStatus =
        serde_json::from_value(crate::bodies::recorded("job_web_scale.json")).unwrap();
    case.server
        .on("/v1/jobs", json!([stub(&web())]))
        .on("/v1/job/web/scale", body(&status));
    case.check("2026-11-21T07:56:16Z");
}

fn nightly() -> Job {
    Job {
        kind: Some("batch".to_owned()),
        periodic: Some(Periodic {
            specs: Some(vec!["0 3 * * *".to_owned()]),
            prohibit_overlap: Some(true),
            ..Periodic::default()
        }),
        ..job("nightly", "*", "07:56:43")
    }
}

#[test]
fn run_of_a_periodic_job_tells_when_it_launches() {
    let Some(case) = Case::load("055") else { return };
    case.server
        .on_method("PUT", "/v1/jobs", json!({"EvalID": "", "JobModifyIndex": 3}));
    case.check("2026-11-21T07:56:43Z");
}

#[test]
fn status_of_a_periodic_job_tells_when_it_launches_next() {
    let Some(case) = Case::load("056") else { return };
    // The listing is asked for twice: to find the job, and for its children.
    case.server
        .on("/v1/jobs", json!([stub(&nightly())]))
        .on("/v1/jobs", json!([]));
    serve_job(
        &case.server,
        &nightly(),
        &summary(&[]),
        [json!([]), json!([]), Value::Null],
    );
    case.check("2026-11-21T07:56:44Z");
}

#[test]
fn periodic_force_watches_the_instance_start() {
    let Some(case) = Case::load("057") else { return };
    let id = "026c47d5-0000-0000-0000-000000000000";
    let child = "nightly/periodic-1795247804";
    let placed = json!([alloc(
        ["ea5b8c2a", "e0b446e8"],
        0,
        "g",
        "run pending",
        ["07:56:44", "07:56:44"]
    )]);
    case.server.on("/v1/jobs", json!([stub(&nightly())])).on_method(
        "PUT",
        "/v1/job/nightly/periodic/force",
        json!({"EvalID": id}),
    );
    let turns = vec![
        (evaluation(id, child, "periodic-job", "pending"), json!([])),
        (evaluation(id, child, "periodic-job", "complete"), placed),
    ];
    serve_watch(&case.server, id, turns);
    case.check_monitor();
}

#[test]
fn dispatch_that_is_refused_says_why() {
    for (name, text) in [
        ("059", "Dispatch did not provide required meta keys: [file]"),
        (
            "061",
            "Dispatch request included unpermitted metadata keys: [nope]",
        ),
    ] {
        let Some(case) = Case::load(name) else { return };
        // The request was at fault, not the coordinator.
        let case = case.expecting("500", "400");
        case.server
            .on("/v1/jobs", json!([stub(&job("resize", "*", "07:56:45"))]))
            .on_method("PUT", "/v1/job/resize/dispatch", Answer::refusal(400, text));
        case.check("2026-11-21T07:56:45Z");
    }
}

#[test]
fn dispatch_watches_the_instance() {
    let Some(case) = Case::load("060") else { return };
    let id = "9a65c631-0000-0000-0000-000000000000";
    let child = "resize/dispatch-1795247805-6a30336e";
    let seen = |states: &str| {
        let mut it = alloc(["58ba1d04", "6ece896c"], 0, "g", states, ["07:56:45", "07:56:45"]);
        it.client_description = "All tasks have completed".to_owned();
        json!([it])
    };
    case.server
        .on("/v1/jobs", json!([stub(&job("resize", "*", "07:56:45"))]))
        .on_method(
            "PUT",
            "/v1/job/resize/dispatch",
            json!({"DispatchedJobID": child, "EvalID": id}),
        );
    let turns = vec![
        (
            evaluation(id, child, "job-register", "pending"),
            seen("run pending"),
        ),
        (
            evaluation(id, child, "job-register", "complete"),
            seen("run complete"),
        ),
    ];
    serve_watch(&case.server, id, turns);
    let server = case.server.clone();
    case.check_monitor();
    let sent = &server.sent("/v1/job/resize/dispatch")[0];
    assert_eq!(sent["Meta"], json!({"file": "a.png"}));
}

#[test]
fn dispatch_sends_the_payload_and_the_token() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("in.txt");
    std::fs::write(&file, "hello").unwrap();
    let server = Server::start();
    server
        .on("/v1/jobs", json!([stub(&job("resize", "*", "07:56:45"))]))
        .on_method(
            "PUT",
            "/v1/job/resize/dispatch",
            json!({"DispatchedJobID": "resize/dispatch-1-2"}),
        );
    let words = [
        "edgectl",
        "job",
        "dispatch",
        "-idempotency-token",
        "once",
        "-id-prefix-template=night",
        "resize",
        file.to_str().unwrap(),
    ];
    let (printed, exit) = run(&server, &words, at("2026-11-21T07:56:45Z"));
    assert_eq!(
        (printed.as_str(), exit),
        ("Dispatched Job ID = resize/dispatch-1-2\n", 0)
    );
    let sent = &server.sent("/v1/job/resize/dispatch")[0];
    assert_eq!(
        (&sent["Payload"], &sent["IdPrefixTemplate"]),
        (&json!("aGVsbG8="), &json!("night"))
    );
    assert!(
        server
            .asked()
            .iter()
            .any(|it| it.line.contains("idempotency_token=once"))
    );
}

#[test]
fn eval_and_promote_print_what_they_started() {
    let server = Server::start();
    let id = "56a492e5-1b7d-45ec-6f06-aea0e0c528f9";
    let mut newest = deployment("ad32c432", "web", 1, "running", "Deployment is running");
    newest.namespace = "default".to_owned();
    server
        .on("/v1/jobs", json!([stub(&web())]))
        .on("/v1/job/web/deployment", body(&newest))
        .on_method("PUT", "/v1/job/web/evaluate", json!({"EvalID": id}))
        .on_method("PUT", "/v1/deployment/promote/ad32c432", json!({"EvalID": id}));
    let now = at("2026-11-21T07:56:45Z");
    let words = ["edgectl", "job", "eval", "-force-reschedule", "-detach", "web"];
    let (printed, exit) = run(&server, &words, now);
    assert_eq!((printed.as_str(), exit), ("Created eval ID: \"56a492e5\" \n", 0));
    assert_eq!(
        server.sent("/v1/job/web/evaluate")[0]["EvalOptions"]["ForceReschedule"],
        true
    );
    let words = ["edgectl", "job", "promote", "-detach", "-group", "app", "web"];
    let (printed, exit) = run(&server, &words, now);
    assert_eq!((printed, exit), (format!("Evaluation ID: {id}\n"), 0));
    let sent = &server.sent("/v1/deployment/promote/ad32c432")[0];
    assert_eq!((&sent["All"], &sent["Groups"]), (&json!(false), &json!(["app"])));
}
