//! `job …`.

use edgectl::output::Style;
use holdfast_api::{AllocationMetric, Evaluation};
use serde_json::{Value, json};

use crate::bodies::{
    alloc, at, body, deployment, evaluation, group, job, recorded, serve_job, stub, summary, today,
};
use crate::case::{Case, run, run_with, without_times};
use crate::server::{Answer, Server};

const WARNING: &str = "1 warning:\n\n* group \"app\" defines services, but neither the group nor any of its tasks have shutdown_delay set";
const NODE_2: &str = "e0b446e8-30c9-44de-ac05-e9613f949808";
const REGISTERED: &str = "c2f5a318-bf68-0484-c564-f651e777260c";
const WATCHED: &str = "2fe71920-4fa6-80f0-d68b-db4985b64943";
const DEPLOYED: &str = "ae619428-fb94-23aa-65d1-5cb654abff41";
const WEB: [&str; 3] = [
    "633fcd79-95c3-5f43-8af3-00d6cdbcf739",
    "a1677e33-0a69-89be-e8fa-fc8ca4e6fff9",
    "f8166cf7-65a7-898d-f8a4-3a782b533716",
];

/// The job `web` as it was after its first deployment.
fn serve_web(server: &Server) {
    let allocations: Vec<_> = WEB
        .iter()
        .map(|id| {
            let mut it = alloc([id, NODE_2], 0, "app", "run running", ["07:54:47", "07:54:54"]);
            (it.node_name, it.eval_id) = ("box-2".to_owned(), REGISTERED.to_owned());
            it
        })
        .collect();
    let mut evaluations = [
        evaluation(REGISTERED, "web", "job-register", "complete"),
        evaluation(WATCHED, "web", "deployment-watcher", "complete"),
    ];
    evaluations[1].create_index = 1;
    let web = job("web", "dc*", "07:54:47");
    let parts = [
        json!(allocations),
        json!(evaluations),
        body(&first_deployment([3, 3, 3, 0], "07:56:53", true)),
    ];
    serve_job(server, &web, &summary(&[("app", [0, 0, 3, 0, 0, 0, 0])]), parts);
}

fn first_deployment(counts: [u64; 4], deadline: &str, is_done: bool) -> holdfast_api::Deployment {
    let (status, description) = if is_done {
        ("successful", "Deployment completed successfully")
    } else {
        ("running", "Deployment is running")
    };
    let mut it = deployment(DEPLOYED, "web", 0, status, description);
    let mut app = group(counts, deadline);
    app.auto_revert = true;
    it.task_groups.insert("app".to_owned(), app);
    it
}

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

/// Answers a registration, and the evaluation `id` with what is seen of it in turn.
fn serve_run(server: &Server, id: &str, warnings: &str, turns: Vec<(Evaluation, Value)>) {
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
