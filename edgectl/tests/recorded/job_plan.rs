//! `job plan` and `job history`: what is printed of differences.

use edgectl::output::Style;
use holdfast_api::{AllocationMetric, DesiredUpdates, JobPlanResponse, PlanAnnotations};
use holdfast_jobspec::ParseOptions;
use holdfast_shared::model::{Job, PlanCounts};
use holdfast_shared::time::Timestamp;
use serde_json::{Value, json};

use crate::bodies::{at, body, stub, today};
use crate::case::{Case, run, run_with, shared};
use crate::server::{Answer, Server};
use crate::web::WARNING;

/// A job of the recordings, as a coordinator would have stored it.
fn recorded_job(file: &str) -> Job {
    let path = shared().unwrap().join("recorded/jobs").join(file);
    let options = ParseOptions {
        file_name: file.to_owned(),
        ..ParseOptions::default()
    };
    let mut job = holdfast_jobspec::parse_job(&std::fs::read_to_string(path).unwrap(), &options).unwrap();
    job.canonicalize();
    job
}

/// What a coordinator answers to a plan: from one job to another, with these counts for each group.
fn planned(old: Option<&Job>, new: &Job, counts: &[(&str, PlanCounts)], index: u64) -> JobPlanResponse {
    let updates = counts
        .iter()
        .map(|(group, it)| ((*group).to_owned(), *it))
        .collect();
    let mut diff = holdfast_diff::diff(old, Some(new), true);
    holdfast_diff::annotate(&mut diff, &updates);
    JobPlanResponse {
        annotations: Some(PlanAnnotations {
            desired_tg_updates: updates
                .iter()
                .map(|(group, counts)| (group.to_owned(), DesiredUpdates::from(counts)))
                .collect(),
            ..PlanAnnotations::default()
        }),
        diff: Some(body(&diff)),
        job_modify_index: index,
        index,
        ..JobPlanResponse::default()
    }
}

fn place(count: u64) -> PlanCounts {
    PlanCounts {
        place: count,
        ..PlanCounts::default()
    }
}

#[test]
fn plan_of_a_new_job_tells_what_is_created() {
    let Some(case) = Case::load("004") else { return };
    let web = recorded_job("web.nomad.hcl");
    let answer = JobPlanResponse {
        warnings: WARNING.to_owned(),
        ..planned(None, &web, &[("app", place(3))], 0)
    };
    case.server.on_method("PUT", "/v1/job/web/plan", body(&answer));
    let server = case.server.clone();
    case.check("2026-11-21T07:54:46Z");
    let sent = &server.sent("/v1/job/web/plan")[0];
    assert_eq!((&sent["Diff"], &sent["Job"]["ID"]), (&json!(true), &json!("web")));
}

#[test]
fn plan_of_a_changed_job_shows_the_difference() {
    for name in ["028", "029"] {
        let Some(case) = Case::load(name) else { return };
        let (old, new) = (recorded_job("web.nomad.hcl"), recorded_job("web2.nomad.hcl"));
        let counts = PlanCounts {
            canary: 1,
            ignore: 3,
            ..PlanCounts::default()
        };
        let answer = JobPlanResponse {
            warnings: WARNING.to_owned(),
            ..planned(Some(&old), &new, &[("app", counts)], 11)
        };
        case.server.on_method("PUT", "/v1/job/web/plan", body(&answer));
        case.check("2026-11-21T07:54:57Z");
    }
}

#[test]
fn plan_says_what_would_find_no_place() {
    let Some(case) = Case::load("053") else { return };
    let big = recorded_job("big.nomad.hcl");
    let mut answer = planned(Some(&big), &big, &[("g", place(2)), ("h", place(1))], 137);
    let count = |name: &str, count: u64| [(name.to_owned(), count)].into();
    answer.failed_tg_allocs = [
        (
            "g".to_owned(),
            AllocationMetric {
                nodes_evaluated: 2,
                nodes_exhausted: 2,
                class_exhausted: count("small", 2),
                dimension_exhausted: count("cpu", 2),
                coalesced_failures: 1,
                ..AllocationMetric::default()
            },
        ),
        (
            "h".to_owned(),
            AllocationMetric {
                nodes_evaluated: 2,
                class_filtered: count("small", 2),
                constraint_filtered: count("${meta.rack} = r9", 2),
                ..AllocationMetric::default()
            },
        ),
    ]
    .into();
    case.server.on_method("PUT", "/v1/job/big/plan", body(&answer));
    case.check("2026-11-21T07:56:43Z");
}

#[test]
fn plan_without_a_diff_keeps_its_exit_code_and_names_the_variables() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("j.nomad.hcl");
    let text = "variable \"n\" {}\njob \"j\" {\n  type = \"batch\"\n  periodic {\n    crons = [\"0 3 * * *\"]\n    \
                time_zone = \"Europe/Berlin\"\n  }\n  group \"g\" {\n    task \"t\" {\n      driver = \"docker\"\n    }\n  }\n}\n";
    std::fs::write(&file, text).unwrap();
    let options = ParseOptions {
        vars: vec!["n=1".to_owned()],
        ..ParseOptions::default()
    };
    let mut job = holdfast_jobspec::parse_job(text, &options).unwrap();
    job.canonicalize();
    let server = Server::start();
    let answer = JobPlanResponse {
        next_periodic_launch: at("2026-11-22T02:00:00Z").into(),
        ..planned(None, &job, &[("g", place(1))], 0)
    };
    server.on_method("PUT", "/v1/job/j/plan", body(&answer));
    let path = file.to_str().unwrap();
    let words = ["edgectl", "job", "plan", "-diff=false", "-var", "n=1", path];
    let (printed, exit) = run(&server, &words, at("2026-11-21T07:00:00Z"));
    assert!(
        printed.starts_with("Scheduler dry-run:\n- All tasks"),
        "{printed}"
    );
    assert!(
        printed.contains(
            "- If submitted now, next periodic launch would be at 2026-11-22T03:00:00+01:00 (19h0m0s from now).\n"
        ),
        "{printed}"
    );
    let command = format!("edgectl job run -check-index 0 -var=\"n=1\" {path}\n");
    assert!(printed.contains(&command), "{printed}");
    assert_eq!(exit, 1);
    let words = ["edgectl", "plan", "-json-output", "-var", "n=1", path];
    let (printed, exit) = run(&server, &words, at("2026-11-21T07:00:00Z"));
    let json: Value = serde_json::from_str(&printed).unwrap_or_else(|_| panic!("{printed}"));
    assert_eq!((&json["Diff"]["Type"], exit), (&json!("Added"), 1));
}

#[test]
fn plan_that_cannot_be_made_exits_with_255() {
    let Some(folder) = shared() else { return };
    let file = folder.join("recorded/jobs/web.nomad.hcl");
    let server = Server::start();
    server.on_method("PUT", "/v1/job/web/plan", Answer::refusal(400, "no such thing"));
    let words = ["edgectl", "job", "plan", file.to_str().unwrap()];
    let (printed, exit) = run(&server, &words, at("2026-11-21T07:00:00Z"));
    assert_eq!(
        (printed.as_str(), exit),
        (
            "Error during plan: Unexpected response code: 400 (no such thing)\n",
            255
        )
    );
    let words = ["edgectl", "job", "plan", "/nowhere.hcl"];
    let (_, exit) = run_with(&[], &words, Style::default(), Timestamp::ZERO);
    assert_eq!(exit, 255);
}

/// Both versions of the job `web`, newest first.
fn versions() -> Value {
    let version = |file: &str, number: u64, submitted: &str| Job {
        version: Some(number),
        stable: Some(true),
        submit_time: Some(today(submitted)),
        ..recorded_job(file)
    };
    let new = version("web2.nomad.hcl", 1, "07:54:59");
    let old = version("web.nomad.hcl", 0, "07:54:47");
    let diff = holdfast_diff::diff(Some(&old), Some(&new), true);
    json!({"Versions": [new, old], "Diffs": [diff]})
}

#[test]
fn history_lists_versions_and_what_changed() {
    for name in ["038", "039"] {
        let Some(case) = Case::load(name) else { return };
        case.server
            .on("/v1/jobs", json!([stub(&recorded_job("web.nomad.hcl"))]))
            .on("/v1/job/web/versions", versions());
        case.check("2026-11-21T07:55:48Z");
    }
}

#[test]
fn history_of_one_version_shows_that_one_only() {
    if shared().is_none() {
        return;
    }
    let server = Server::start();
    server
        .on("/v1/jobs", json!([stub(&recorded_job("web.nomad.hcl"))]))
        .on("/v1/job/web/versions", versions());
    let now = at("2026-11-21T07:55:48Z");
    let (printed, exit) = run(
        &server,
        &["edgectl", "job", "history", "-version", "0", "web"],
        now,
    );
    assert_eq!(
        (printed.as_str(), exit),
        (
            "Version     = 0\nStable      = true\nSubmit Date = 2026-11-21T07:54:47Z\n",
            0
        )
    );
    let (printed, _) = run(
        &server,
        &["edgectl", "job", "history", "-json", "-version", "1", "web"],
        now,
    );
    let json: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(json["Version"], 1);
    let (printed, exit) = run(
        &server,
        &["edgectl", "job", "history", "-version", "7", "web"],
        now,
    );
    assert!(printed.contains("version 7 not found") && exit == 1, "{printed}");
}
