//! `job status`.

use holdfast_api::Evaluation;
use serde_json::{Value, json};

use crate::bodies::{
    alloc, at, body, deployment, evaluation, group, job, recorded, serve_job, stub, summary,
};
use crate::case::Case;
use crate::web::serve_web;

#[test]
fn status_of_one_job_is_as_recorded_short_with_evaluations_and_verbose() {
    for (name, now) in [("007", "07:54:57"), ("008", "07:54:57"), ("009", "07:54:58")] {
        let Some(case) = Case::load(name) else { return };
        serve_web(&case.server);
        case.check(&format!("2026-11-21T{now}Z"));
    }
}

#[test]
fn status_during_and_after_a_canary_deployment_is_as_recorded() {
    let Some(case) = Case::load("032") else { return };
    let mut newest = deployment(
        "ad32c432",
        "web",
        1,
        "running",
        "Deployment is running but requires manual promotion",
    );
    let mut app = group([4, 1, 1, 0], "07:57:05");
    (app.auto_revert, app.desired_canaries) = (true, 1);
    newest.task_groups.insert("app".to_owned(), app);
    let mut allocations = vec![alloc(
        ["4655901b", "6ece896c"],
        1,
        "app",
        "run running",
        ["07:54:59", "07:55:06"],
    )];
    allocations[0].create_index = 1;
    for (id, modified) in [
        ("633fcd79", "07:54:59"),
        ("a1677e33", "07:54:54"),
        ("f8166cf7", "07:54:54"),
    ] {
        allocations.push(alloc(
            [id, "e0b446e8"],
            0,
            "app",
            "run running",
            ["07:54:47", modified],
        ));
    }
    let web = job("web", "dc*", "07:54:59");
    let parts = [json!(allocations), json!([]), body(&newest)];
    serve_job(
        &case.server,
        &web,
        &summary(&[("app", [0, 0, 4, 0, 0, 0, 0])]),
        parts,
    );
    case.check("2026-11-21T07:55:13Z");
}

#[test]
fn status_of_a_job_that_found_no_place_explains_why() {
    let Some(case) = Case::load("052") else { return };
    let recorded: Evaluation = serde_json::from_value(recorded("eval_failed_placements.json")).unwrap();
    let blocked = evaluation("9c894b38", "big", "queued-allocs", "blocked");
    let mut newest = deployment("9d4c8890", "big", 0, "running", "Deployment is running");
    newest.task_groups.insert("g".to_owned(), group([2, 0, 0, 0], ""));
    newest.task_groups.insert("h".to_owned(), group([1, 0, 0, 0], ""));
    let counts = summary(&[("g", [2, 0, 0, 0, 0, 0, 0]), ("h", [1, 0, 0, 0, 0, 0, 0])]);
    let parts = [json!([]), json!([recorded, blocked]), body(&newest)];
    serve_job(&case.server, &job("big", "*", "07:56:41"), &counts, parts);
    case.check("2026-11-21T07:56:43Z");
}

#[test]
fn status_of_a_failed_job_and_of_a_system_job_are_as_recorded() {
    let Some(case) = Case::load("050") else { return };
    let mut crash = job("crash", "*", "07:56:21");
    crash.status = Some("dead".to_owned());
    let mut newest = deployment(
        "81a29cf4",
        "crash",
        0,
        "failed",
        "Failed due to unhealthy allocations",
    );
    newest
        .task_groups
        .insert("g".to_owned(), group([1, 2, 0, 2], "08:06:21"));
    let mut list = [
        alloc(
            ["24c699af", "e0b446e8"],
            0,
            "g",
            "run failed",
            ["07:56:27", "07:56:28"],
        ),
        alloc(
            ["204069fa", "6ece896c"],
            0,
            "g",
            "stop failed",
            ["07:56:20", "07:56:27"],
        ),
    ];
    list[0].create_index = 1;
    let counts = summary(&[("g", [0, 0, 0, 2, 0, 0, 0])]);
    serve_job(
        &case.server,
        &crash,
        &counts,
        [json!(list), json!([]), body(&newest)],
    );
    case.check("2026-11-21T07:56:41Z");

    let Some(case) = Case::load("064") else { return };
    let mut everywhere = job("everywhere", "*", "07:56:46");
    everywhere.kind = Some("system".to_owned());
    let mut newest = deployment(
        "d6349ca0",
        "everywhere",
        0,
        "successful",
        "Deployment completed successfully",
    );
    newest
        .task_groups
        .insert("g".to_owned(), group([2, 2, 2, 0], "08:06:56"));
    let list = [["9c6d2268", "e0b446e8"], ["ac437bab", "6ece896c"]]
        .map(|ids| alloc(ids, 0, "g", "run running", ["07:56:46", "07:56:57"]));
    let counts = summary(&[("g", [0, 0, 2, 0, 0, 0, 0])]);
    serve_job(
        &case.server,
        &everywhere,
        &counts,
        [json!(list), json!([]), body(&newest)],
    );
    case.check("2026-11-21T07:56:59Z");
}

#[test]
fn status_while_a_node_is_away_and_after_it_came_back_is_as_recorded() {
    let mut newest = deployment(
        "e8f4b0d6",
        "edge",
        0,
        "successful",
        "Deployment completed successfully",
    );
    newest
        .task_groups
        .insert("app".to_owned(), group([1, 1, 1, 0], "08:13:11"));
    let original = |states: &str, modified: &str| {
        alloc(["8bf3cb0b", "ee3181d3"], 0, "app", states, ["08:03:00", modified])
    };
    let replacement = |states: &str, modified: &str| {
        let mut it = alloc(["3efff223", "b3c31143"], 0, "app", states, ["08:04:03", modified]);
        it.create_index = 1;
        it
    };
    let mut waiting = original("run unknown", "08:03:33");
    waiting.followup_eval_id = "a8f42bbd-0000-0000-0000-000000000000".to_owned();
    let moments = [
        ("403", "08:03:33", vec![waiting], [0, 0, 0, 0, 0, 0, 1]),
        (
            "404",
            "08:04:03",
            vec![
                original("run unknown", "08:03:33"),
                replacement("run running", "08:04:03"),
            ],
            [0, 0, 1, 0, 0, 0, 1],
        ),
        (
            "408",
            "08:04:26",
            vec![
                original("run running", "08:04:23"),
                replacement("stop complete", "08:04:23"),
            ],
            [0, 0, 1, 0, 1, 0, 0],
        ),
    ];
    for (name, now, allocations, counts) in moments {
        let Some(case) = Case::load(name) else { return };
        let case = case.expecting("http://192.0.2.1:4646", "http://127.0.0.1:4646");
        let parts = [json!(allocations), json!([]), body(&newest)];
        serve_job(
            &case.server,
            &job("edge", "dc2", "08:03:00"),
            &summary(&[("app", counts)]),
            parts,
        );
        let mut due = evaluation("a8f42bbd", "edge", "max-disconnect-timeout", "pending");
        due.wait_until = at("2026-11-21T08:04:03Z").into();
        case.server
            .on("/v1/evaluation/a8f42bbd-0000-0000-0000-000000000000", body(&due));
        case.check(&format!("2026-11-21T{now}Z"));
    }
}

#[test]
fn status_of_a_parameterized_job_lists_what_it_dispatched() {
    let Some(case) = Case::load("062") else { return };
    let mut resize = job("resize", "*", "07:56:45");
    resize.kind = Some("batch".to_owned());
    resize.parameterized_job = serde_json::from_value(
        json!({"Payload": "optional", "MetaRequired": ["file"], "MetaOptional": ["size"]}),
    )
    .unwrap();
    let mut counts = summary(&[]);
    counts.children.dead = 1;
    let mut child = job("resize/dispatch-1795247805-6a30336e", "*", "07:56:45");
    child.status = Some("dead".to_owned());
    // The listing is asked for twice: to find the job, and for its children.
    case.server
        .on("/v1/jobs", json!([stub(&resize)]))
        .on("/v1/jobs", json!([stub(&child)]));
    serve_job(
        &case.server,
        &resize,
        &counts,
        [json!([]), json!([]), Value::Null],
    );
    case.check("2026-11-21T07:56:46Z");
}
