//! What goes wrong, and what is said about it.

use edgectl::output::Style;
use serde_json::json;

use crate::bodies::at;
use crate::case::{Case, run, run_with};
use crate::server::Server;

const NOW: &str = "2026-11-21T08:00:00Z";

#[test]
fn what_is_not_there_is_told_as_recorded() {
    for (name, path) in [
        ("095", "/v1/jobs"),
        ("096", "/v1/allocations"),
        ("097", "/v1/nodes"),
        ("309", "/v1/jobs"),
        ("098", "/v1/jobs"),
    ] {
        let Some(case) = Case::load(name) else { return };
        case.server.on(path, json!([]));
        case.check(NOW);
    }
}

#[test]
fn everything_that_is_wrong_with_a_job_file_is_told_at_once() {
    let Some(case) = Case::load("002") else { return };
    case.check(NOW);
}

#[test]
fn a_coordinator_that_does_not_answer_is_named_with_what_to_do() {
    // Bound and closed again: nobody listens there.
    let address = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let (printed, exit) = run_with(
        &[("NOMAD_ADDR", &address)],
        &["edgectl", "status"],
        Style::default(),
        at(NOW),
    );
    assert_eq!(
        printed,
        format!(
            "Error querying jobs: no coordinator answers at {address}: connection refused\nSet the address with \
             -address=http://HOST:4646 or the variable EDGE_ADDR (NOMAD_ADDR works too)\n"
        )
    );
    assert_eq!(exit, 1);
}

#[test]
fn something_else_that_listens_there_is_recognised() {
    let server = Server::start();
    server.on("/v1/jobs", crate::server::Answer::refusal(200, "<html>"));
    let (printed, exit) = run(&server, &["edgectl", "status"], at(NOW));
    assert!(
        printed.contains("what answers /v1/jobs is no coordinator"),
        "{printed}"
    );
    assert_eq!(exit, 1);
}

#[test]
fn an_address_that_makes_no_sense_is_refused() {
    let (printed, exit) = run_with(
        &[],
        &["edgectl", "status", "-address", "ftp://x"],
        Style::default(),
        at(NOW),
    );
    assert!(
        printed.starts_with("`ftp://x` is no address of a coordinator"),
        "{printed}"
    );
    assert_eq!(exit, 1);
}

#[test]
fn commands_that_are_not_there_yet_say_so() {
    for (words, text) in [
        (
            vec!["edgectl", "job", "action", "-detach=false", "x"],
            "edgectl: `job action` is not available yet\n",
        ),
        (
            vec!["nomad", "logs", "x"],
            "nomad: `alloc logs` is not available yet\n",
        ),
        (
            vec!["edgectl", "node", "identity", "renew", "x"],
            "edgectl: `node identity` is not available yet\n",
        ),
        (
            vec!["edgectl", "var", "put", "a", "b=c"],
            "edgectl: `var put` is not available yet\n",
        ),
        (
            vec!["edgectl", "acl", "bootstrap"],
            "edgectl: `acl bootstrap` is not available yet\n",
        ),
        (
            vec!["edgectl", "job", "statsu"],
            "edgectl: there is no command `job statsu`; `edgectl job -help` lists those that there are\n",
        ),
        (
            vec!["edgectl", "frobnicate"],
            "edgectl: there is no command `frobnicate`; `edgectl -help` lists those that there are\n",
        ),
    ] {
        let (printed, exit) = run_with(&[], &words, Style::default(), at(NOW));
        assert_eq!((printed.as_str(), exit), (text, 1));
    }
}

#[test]
fn a_flag_that_is_not_there_is_named_with_one_that_is() {
    let (printed, exit) = run_with(
        &[],
        &["edgectl", "job", "run", "-detatch", "x.hcl"],
        Style::default(),
        at(NOW),
    );
    assert!(
        printed.contains("--detatch") && printed.contains("--detach"),
        "{printed}"
    );
    assert_eq!(exit, 1);
}

#[test]
fn help_is_no_error() {
    for words in [vec!["edgectl", "-help"], vec!["edgectl", "job", "run", "-h"]] {
        let (printed, exit) = run_with(&[], &words, Style::default(), at(NOW));
        assert!(printed.contains("Usage: edgectl"), "{printed}");
        assert_eq!(exit, 0);
    }
}

#[test]
fn the_token_and_the_user_are_sent() {
    let server = Server::start();
    server.on("/v1/jobs", json!([]));
    let environment = [
        ("EDGE_ADDR", server.address.as_str()),
        ("NOMAD_TOKEN", " secret\n"),
        ("NOMAD_HTTP_AUTH", "me:pw"),
    ];
    run_with(&environment, &["edgectl", "status"], Style::default(), at(NOW));
    let asked = &server.asked()[0];
    assert_eq!(asked.headers["x-nomad-token"], "secret");
    assert_eq!(asked.headers["authorization"], "Basic bWU6cHc=");
}

#[test]
fn hints_are_shown_unless_they_were_turned_off() {
    let server = Server::start();
    server.on("/v1/jobs", json!([])).on(
        "/v1/agent/self",
        json!({"config": {"UI": {"ShowCLIHints": false}}}),
    );
    let (printed, _) = run(&server, &["edgectl", "status"], at(NOW));
    assert_eq!(printed, "No running jobs\n");
    let shown = [
        ("EDGE_ADDR", server.address.as_str()),
        ("NOMAD_CLI_SHOW_HINTS", "1"),
    ];
    let (printed, _) = run_with(&shown, &["edgectl", "status"], Style::default(), at(NOW));
    assert!(
        printed.contains("==> View and manage Nomad jobs in the Web UI: http://127.0.0.1:"),
        "{printed}"
    );
}

#[test]
fn an_example_is_written_once_and_is_a_job_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new.nomad.hcl");
    let words = ["edgectl", "init", path.to_str().unwrap()];
    let (printed, exit) = run_with(&[], &words, Style::default(), at(NOW));
    assert_eq!(
        (printed, exit),
        (format!("Example job file written to {}\n", path.display()), 0)
    );
    let (printed, exit) = run_with(&[], &words, Style::default(), at(NOW));
    assert_eq!(
        (printed, exit),
        (format!("Job file '{}' already exists\n", path.display()), 1)
    );
    for text in [
        edgectl::command::job::init::EXAMPLE,
        edgectl::command::job::init::SHORT_EXAMPLE,
    ] {
        let job = holdfast_jobspec::parse_job(text, &holdfast_jobspec::ParseOptions::default()).unwrap();
        assert_eq!(job.id(), "example");
    }
}
