//! `job run`: what is registered, and how its start is watched.

use edgectl::output::Style;
use holdfast_api::Evaluation;
use serde_json::{Value, json};

use crate::bodies::{alloc, at, body, deployment, evaluation, group, recorded};
use crate::case::{Case, run, run_with, without_times};
use crate::server::{Answer, Server};
use crate::web::{DEPLOYED, NODE_2, REGISTERED, WARNING, WEB, first_deployment};

/// Answers a registration, and the evaluation `id` with what is seen of it in turn.
pub(crate) fn serve_run(server: &Server, id: &str, warnings: &str, turns: Vec<(Evaluation, Value)>) {
    let registered = json!({"EvalID": id, "Warnings": warnings, "JobModifyIndex": 11});
    server.on_method("PUT", "/v1/jobs", registered);
    for (evaluation, allocations) in turns {
        server.on(&format!("/v1/evaluation/{id}"), body(&evaluation));
        server.on(&format!("/v1/evaluation/{id}/allocations"), allocations);
    }
}

#[test]
fn run_watches_the_evaluation_and_its_deployment() {
    let Some(case) = Case::load("005") else { return };
    let pending = evaluation(REGISTERED, "web", "job-register", "pending");
    let mut complete = evaluation(REGISTERED, "web", "job-register", "complete");
    complete.deployment_id = DEPLOYED.to_owned();
    let placed = WEB.map(|id| alloc([id, NODE_2], 0, "app", "run pending", ["07:54:47", "07:54:47"]));
    serve_run(
        &case.server,
        REGISTERED,
        WARNING,
        vec![(pending, json!([])), (complete, json!(placed))],
    );
    for (healthy, deadline, is_done) in [
        (0, "07:56:47", false),
        (3, "07:56:53", false),
        (3, "07:56:53", true),
    ] {
        let it = first_deployment([3, 3, healthy, 0], deadline, is_done);
        case.server.on(&format!("/v1/deployment/{DEPLOYED}"), body(&it));
    }
    let server = case.server.clone();
    case.check_monitor();
    let sent = &server.sent("/v1/jobs")[0];
    assert_eq!(
        (&sent["Job"]["ID"], &sent["EnforceIndex"]),
        (&json!("web"), &json!(false))
    );
    assert_eq!(sent["Submission"]["Format"], "hcl2");
    assert!(
        sent["Submission"]["Source"]
            .as_str()
            .unwrap()
            .starts_with("job \"web\"")
    );
}

#[test]
fn run_on_a_terminal_draws_the_deployment_again_and_again() {
    let Some(folder) = crate::case::shared() else {
        return;
    };
    let server = Server::start();
    let mut complete = evaluation(REGISTERED, "web", "job-register", "complete");
    complete.deployment_id = DEPLOYED.to_owned();
    serve_run(&server, REGISTERED, "", vec![(complete, json!([]))]);
    for (healthy, is_done) in [(0, false), (3, true)] {
        let it = first_deployment([3, 3, healthy, 0], "07:56:53", is_done);
        server.on(&format!("/v1/deployment/{DEPLOYED}"), body(&it));
    }
    let file = folder.join("recorded/jobs/web.nomad.hcl");
    let style = Style {
        terminal: true,
        color: false,
    };
    let words = ["edgectl", "-no-color", "job", "run", file.to_str().unwrap()];
    let (printed, exit) = run_with(
        &[("EDGE_ADDR", &server.address)],
        &words,
        style,
        at("2026-11-21T07:54:47Z"),
    );
    let (before, after) = printed.split_once("\x1b[12A\x1b[0J").unwrap();
    assert!(
        before.contains("  ⠋ Deployment \"ae619428\" in progress...\n\n    "),
        "{before}"
    );
    assert!(without_times(after).starts_with(
        "  ✓ Deployment \"ae619428\" successful\n\n    <time>\n    ID          = ae619428\n    Job ID      = web\n"
    ));
    assert_eq!(exit, 0);
}

#[test]
fn run_of_what_fails_and_is_reverted_shows_both_and_exits_with_one() {
    let Some(folder) = crate::case::shared() else {
        return;
    };
    let server = Server::start();
    let mut complete = evaluation(REGISTERED, "web", "job-register", "complete");
    complete.deployment_id = DEPLOYED.to_owned();
    serve_run(&server, REGISTERED, "", vec![(complete, json!([]))]);
    let mut failed = first_deployment([3, 1, 0, 1], "07:56:53", true);
    failed.status = "failed".to_owned();
    let mut back = deployment(
        "518e307f",
        "web",
        2,
        "successful",
        "Deployment completed successfully",
    );
    back.create_index = 9;
    server
        .on(&format!("/v1/deployment/{DEPLOYED}"), body(&failed))
        .on("/v1/job/web/deployment", body(&failed))
        .on("/v1/job/web/deployment", body(&back))
        .on("/v1/deployment/518e307f", body(&back));
    let file = folder.join("recorded/jobs/web.nomad.hcl");
    let words = ["edgectl", "run", file.to_str().unwrap()];
    let (printed, exit) = run(&server, &words, at("2026-11-21T07:54:47Z"));
    assert!(
        printed.contains("Monitoring rollback deployment \"518e307f\""),
        "{printed}"
    );
    assert!(
        printed.contains("The job did not start as asked: see `edgectl job status web`"),
        "{printed}"
    );
    assert_eq!(exit, 1);
}

#[test]
fn run_can_print_the_job_instead_of_registering_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("j.nomad.hcl");
    std::fs::write(
        &file,
        "variable \"image\" {}\nvariable \"count\" {\n  type = number\n}\njob \"j\" {\n  group \"g\" {\n    count = var.count\n    \
         task \"t\" {\n      driver = \"docker\"\n      config {\n        image = var.image\n      }\n    }\n  }\n}\n",
    )
    .unwrap();
    let words = [
        "edgectl",
        "job",
        "run",
        "-output",
        "-hcl2-strict=false",
        "-var",
        "count=2",
        file.to_str().unwrap(),
    ];
    let environment = [("NOMAD_VAR_image", "a:1"), ("EDGE_VAR_image", "b:2")];
    let (printed, exit) = run_with(&environment, &words, Style::default(), at("2026-11-21T07:54:47Z"));
    let job: Value = serde_json::from_str(&printed).unwrap_or_else(|_| panic!("{printed}"));
    let group = &job["Job"]["TaskGroups"][0];
    assert_eq!(
        (&group["Count"], &group["Tasks"][0]["Config"]["image"]),
        (&json!(2), &json!("b:2"))
    );
    assert_eq!(exit, 0);
    let json_file = folder.path().join("j.json");
    std::fs::write(&json_file, &printed).unwrap();
    let words = ["edgectl", "run", "-output", "-json", json_file.to_str().unwrap()];
    let (again, _) = run_with(&[], &words, Style::default(), at("2026-11-21T07:54:47Z"));
    assert_eq!(again, printed);
}

#[test]
fn run_tells_of_allocations_whose_status_changes() {
    let Some(case) = Case::load("401") else { return };
    let case = case.expecting("http://192.0.2.1:4646", "http://127.0.0.1:4646");
    let id = "7710d712-0000-0000-0000-000000000000";
    let pending = evaluation(id, "edge", "job-register", "pending");
    let mut complete = evaluation(id, "edge", "job-register", "complete");
    complete.deployment_id = "e8f4b0d6-0000-0000-0000-000000000000".to_owned();
    let seen = |states: &str| {
        let mut it = alloc(
            ["8bf3cb0b", "ee3181d3"],
            0,
            "app",
            states,
            ["08:03:01", "08:03:01"],
        );
        it.client_description = "Tasks are running".to_owned();
        json!([it])
    };
    serve_run(
        &case.server,
        id,
        WARNING,
        vec![(pending, seen("run pending")), (complete, seen("run running"))],
    );
    for (healthy, deadline, status) in [
        (0, "08:13:00", "running"),
        (1, "08:13:11", "running"),
        (1, "08:13:11", "successful"),
    ] {
        let text = if status == "running" {
            "Deployment is running"
        } else {
            "Deployment completed successfully"
        };
        let mut it = deployment("e8f4b0d6", "edge", 0, status, text);
        it.task_groups
            .insert("app".to_owned(), group([1, 1, healthy, 0], deadline));
        case.server
            .on("/v1/deployment/e8f4b0d6-0000-0000-0000-000000000000", body(&it));
    }
    case.check_monitor();
}

#[test]
fn run_of_a_batch_job_ends_with_its_evaluation() {
    let Some(case) = Case::load("045") else { return };
    let id = "e0ef6287-0000-0000-0000-000000000000";
    let placed = json!([alloc(
        ["d8b9b828", "6ece896c"],
        0,
        "g",
        "run pending",
        ["07:56:17", "07:56:17"]
    )]);
    let turns = vec![
        (evaluation(id, "once", "job-register", "pending"), json!([])),
        (evaluation(id, "once", "job-register", "complete"), placed),
    ];
    serve_run(&case.server, id, "", turns);
    case.check_monitor();
}

#[test]
fn run_without_watching_prints_the_evaluation() {
    for (name, id, warnings) in [
        ("031", "3c63ff88-1dbc-3919-ccfc-c7d3102cbcd5", WARNING),
        ("048", "b360f957-9628-dcbb-6319-4754b7723af8", ""),
        ("051", "8f5e0900-a732-ad45-fc6b-739f0fcb777a", ""),
        ("058", "", ""),
    ] {
        let Some(case) = Case::load(name) else { return };
        serve_run(&case.server, id, warnings, vec![]);
        case.check("2026-11-21T07:55:00Z");
    }
}

#[test]
fn run_in_another_region_registers_there() {
    let Some(case) = Case::load("307") else { return };
    let case = case.expecting("http://127.0.0.1:5646", "http://127.0.0.1:4646");
    serve_run(&case.server, "a8264aab-0b79-fc90-f69b-0689d049d853", "", vec![]);
    let server = case.server.clone();
    case.check("2026-11-21T08:01:54Z");
    assert!(
        server
            .asked()
            .iter()
            .any(|it| it.line == "PUT /v1/jobs?region=west"),
        "{:?}",
        server.asked()
    );
}

#[test]
fn run_with_an_outdated_index_changes_nothing() {
    let Some(case) = Case::load("030") else { return };
    let refusal = "Enforcing job modify index 1: job exists with conflicting job modify index: 11";
    case.server
        .on_method("PUT", "/v1/jobs", Answer::refusal(400, refusal));
    let server = case.server.clone();
    case.check("2026-11-21T07:55:00Z");
    let sent = &server.sent("/v1/jobs")[0];
    assert_eq!(
        (&sent["EnforceIndex"], &sent["JobModifyIndex"]),
        (&json!(true), &json!(1))
    );
}

#[test]
fn run_of_what_finds_no_place_exits_with_two() {
    if crate::case::shared().is_none() {
        return;
    }
    let server = Server::start();
    let id = "8f5e0900-a732-ad45-fc6b-739f0fcb777a";
    let mut complete = evaluation(id, "big", "job-register", "complete");
    let failed: Evaluation = serde_json::from_value(recorded("eval_failed_placements.json")).unwrap();
    complete.failed_tg_allocs = failed.failed_tg_allocs;
    complete.blocked_eval = "9c894b38-c31a-8244-8fb1-a19a2cae0536".to_owned();
    serve_run(&server, id, "", vec![(complete, json!([]))]);
    let file = crate::case::shared().unwrap().join("recorded/jobs/big.nomad.hcl");
    let (printed, exit) = run(
        &server,
        &["edgectl", "run", file.to_str().unwrap()],
        at("2026-11-21T07:56:41Z"),
    );
    for line in [
        "Evaluation \"8f5e0900\" finished with status \"complete\" but failed to place all allocations:",
        "Task Group \"g\" (failed to place 2 allocations):",
        "      * Dimension \"cpu\" exhausted on 2 nodes",
        "Evaluation \"9c894b38\" waiting for additional capacity to place remainder",
    ] {
        assert!(printed.contains(line), "{line}\n{printed}");
    }
    assert_eq!(exit, 2);
}

#[test]
fn run_of_a_job_of_several_regions_says_what_happens_in_none_and_watches_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("web.nomad.hcl");
    let text = "job \"web\" {\n  multiregion {\n    region \"global\" {}\n    region \"east\" {}\n  }\n  group \"app\" {\n    \
                task \"main\" {\n      driver = \"raw_exec\"\n    }\n  }\n}\n";
    std::fs::write(&file, text).unwrap();
    let server = Server::start();
    let warning = "1 warning:\n\n* job \"web\" runs in region \"global\" only";
    serve_run(&server, REGISTERED, warning, Vec::new());
    let words = ["edgectl", "job", "run", file.to_str().unwrap()];
    let (printed, exit) = run(&server, &words, at("2026-11-21T07:56:41Z"));
    let wanted =
        format!("Job Warnings:\n{warning}\n\nJob registration successful\nEvaluation ID: {REGISTERED}\n");
    assert!(printed.starts_with(&wanted), "{printed}");
    assert_eq!(exit, 0);
}
