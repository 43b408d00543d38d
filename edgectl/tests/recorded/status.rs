//! `status`: the list, and finding out what an id is.

use serde_json::json;

use crate::bodies::{alloc, at, job, stub};
use crate::case::{Case, run};
use crate::server::{Answer, Server};

#[test]
fn jobs_are_listed_as_recorded() {
    let Some(case) = Case::load("006") else { return };
    case.server
        .on("/v1/jobs", json!([stub(&job("web", "dc*", "07:54:47"))]));
    case.check("2026-11-21T07:54:57Z");

    let Some(case) = Case::load("308") else { return };
    let case = case.expecting("http://127.0.0.1:5646", "http://127.0.0.1:4646");
    let mut once = job("once", "*", "08:01:54");
    (once.kind, once.status) = (Some("batch".to_owned()), Some("pending".to_owned()));
    case.server.on("/v1/jobs", json!([stub(&once)]));
    let server = case.server.clone();
    case.check("2026-11-21T08:01:55Z");
    assert!(
        server
            .asked()
            .iter()
            .any(|it| it.line == "GET /v1/jobs?region=west")
    );
}

#[test]
fn no_jobs_and_no_region_are_told_as_recorded() {
    let Some(case) = Case::load("305") else { return };
    let case = case.expecting("http://127.0.0.1:5646", "http://127.0.0.1:4646");
    case.server.on("/v1/jobs", json!([]));
    case.check("2026-11-21T08:01:54Z");

    let Some(case) = Case::load("311") else { return };
    case.server
        .on("/v1/jobs", Answer::refusal(500, "No path to region"));
    case.check("2026-11-21T08:01:54Z");
}

#[test]
fn without_permission_the_refusal_is_told_as_recorded() {
    for (name, path) in [("203", "/v1/jobs"), ("204", "/v1/nodes")] {
        let Some(case) = Case::load(name) else { return };
        case.server.on(path, Answer::refusal(403, "Permission denied"));
        case.check("2026-11-21T07:59:19Z");
    }
}

#[test]
fn an_id_leads_to_what_it_is_of() {
    let server = Server::start();
    let id = "633fcd79-95c3-5f43-8af3-00d6cdbcf739";
    server
        .on_method(
            "PUT",
            "/v1/search",
            json!({"Matches": {"allocs": [id], "jobs": []}}),
        )
        .on(
            "/v1/allocations",
            json!([alloc(
                [id, "n"],
                0,
                "app",
                "run running",
                ["07:54:47", "07:54:54"]
            )]),
        )
        .on(
            &format!("/v1/allocation/{id}"),
            json!({"ID": id, "Name": "web.app[1]"}),
        );
    let (printed, exit) = run(
        &server,
        &["edgectl", "status", "633fcd79"],
        at("2026-11-21T08:00:00Z"),
    );
    assert!(printed.contains("Name                = web.app[1]"), "{printed}");
    assert_eq!(exit, 0);
    assert_eq!(
        server.sent("/v1/search"),
        [json!({"Prefix": "633fcd79", "Context": "all"})]
    );
}

#[test]
fn an_id_that_leads_nowhere_or_to_several_things_is_an_error() {
    let server = Server::start();
    server
        .on_method("PUT", "/v1/search", json!({"Matches": {}}))
        .on_method(
            "PUT",
            "/v1/search",
            json!({"Matches": {"allocs": ["6a", "6b"], "nodes": ["6c"]}}),
        );
    let (printed, exit) = run(&server, &["edgectl", "status", "6"], at("2026-11-21T08:00:00Z"));
    assert_eq!((printed.as_str(), exit), ("No matches found for id \"6\"\n", 1));
    let (printed, exit) = run(&server, &["edgectl", "status", "6"], at("2026-11-21T08:00:00Z"));
    assert_eq!(exit, 1);
    assert_eq!(
        printed,
        "Multiple matches found for id \"6\"\n\nAllocations:\n6a, 6b\n\nNodes:\n6c\n"
    );
}

#[test]
fn ambiguous_ids_show_what_they_could_mean() {
    let server = Server::start();
    let list = [
        alloc(
            ["6aaa0000", "n"],
            0,
            "app",
            "run running",
            ["07:54:47", "07:54:54"],
        ),
        alloc(
            ["6aab0000", "n"],
            0,
            "app",
            "run running",
            ["07:54:47", "07:54:54"],
        ),
    ];
    let jobs = [
        stub(&job("web-1", "*", "07:54:47")),
        stub(&job("web-2", "*", "07:54:47")),
    ];
    server
        .on("/v1/allocations", json!(list))
        .on("/v1/jobs", json!(jobs));
    let (printed, exit) = run(
        &server,
        &["edgectl", "alloc", "status", "6aa"],
        at("2026-11-21T08:00:00Z"),
    );
    assert!(
        printed.starts_with("Prefix matched multiple allocations\n\nID        Node ID"),
        "{printed}"
    );
    assert_eq!(exit, 0);
    assert!(
        server
            .asked()
            .iter()
            .any(|it| it.line == "GET /v1/allocations?prefix=6a")
    );
    // One digit more than the coordinator is asked for tells them apart.
    server.on(
        "/v1/allocation/6aab0000",
        json!({"ID": "6aab0000", "Name": "web.app[1]"}),
    );
    let (printed, exit) = run(
        &server,
        &["edgectl", "alloc", "status", "6aab0"],
        at("2026-11-21T08:00:00Z"),
    );
    assert!(printed.contains("web.app[1]"), "{printed}");
    assert_eq!(exit, 0);
    let (printed, exit) = run(
        &server,
        &["edgectl", "job", "status", "web"],
        at("2026-11-21T08:00:00Z"),
    );
    assert!(
        printed.starts_with("Prefix matched multiple jobs\n\nID     Type"),
        "{printed}"
    );
    assert_eq!(exit, 1);
}

#[test]
fn answers_are_printed_as_json_and_through_templates() {
    let server = Server::start();
    server.on("/v1/jobs", json!([stub(&job("web", "dc*", "07:54:47"))]));
    let (printed, _) = run(
        &server,
        &["edgectl", "job", "status", "-json"],
        at("2026-11-21T08:00:00Z"),
    );
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&printed).unwrap()[0]["ID"],
        "web"
    );
    assert!(printed.starts_with("[\n    {\n        \""), "{printed}");
    let (printed, exit) = run(
        &server,
        &[
            "edgectl",
            "job",
            "status",
            "-t",
            "{{range .}}{{.ID}}:{{.Priority}}{{end}}",
        ],
        at("2026-11-21T08:00:00Z"),
    );
    assert_eq!((printed.as_str(), exit), ("web:50\n", 0));
}
