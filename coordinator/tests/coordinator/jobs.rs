//! What is done with jobs over HTTP: planned, reverted, scaled, dispatched, launched.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::agent::{Agent, Login, node_id};
use crate::support::{Coordinator, shape};

/// A job file as clients submit it: parsed, with its text.
async fn submission(coordinator: &Coordinator, file: &Path) -> Value {
    let source = std::fs::read_to_string(file).unwrap();
    let body = json!({ "JobHCL": source, "Canonicalize": true });
    let parsed = coordinator.put("/v1/jobs/parse", &body).await.json();
    json!({
        "Job": parsed,
        "Submission": { "Source": source, "Format": "hcl2", "VariableFlags": null, "Variables": "" },
    })
}

async fn put(coordinator: &Coordinator, path: &str, body: &Value) -> Value {
    let answer = coordinator.put(path, body).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.json()
}

fn compare(folder: &Path, file: &str, ours: &Value, out: &mut String) {
    let expected = std::fs::read_to_string(folder.join(file)).unwrap();
    shape::compare(file, &serde_json::from_str(&expected).unwrap(), ours, out);
}

#[tokio::test]
async fn plans_versions_and_scales_have_the_recorded_shapes() {
    let Some(recorded) = shape::recorded() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let coordinator = Coordinator::start(folder.path(), &[]).await;
    let login = Login::new(node_id(1), "a secret of the node");
    let _agent = Agent::join(coordinator.mqtt(), login).await.unwrap();
    coordinator
        .until("/v1/nodes", |nodes| nodes[0]["Status"] == "ready")
        .await;
    let mut out = String::new();
    let jobs = recorded.join("../jobs");
    let (web, web2) = (
        submission(&coordinator, &jobs.join("web.nomad.hcl")).await,
        submission(&coordinator, &jobs.join("web2.nomad.hcl")).await,
    );
    let plan = |body: &Value, diff: bool| json!({ "Job": body["Job"], "Diff": diff });
    let first = put(&coordinator, "/v1/job/web/plan", &plan(&web, true)).await;
    assert_eq!(
        (&first["JobModifyIndex"], &first["Diff"]["Type"]),
        (&json!(0), &json!("Added"))
    );
    assert_eq!(first["Annotations"]["DesiredTGUpdates"]["app"]["Place"], 3);
    assert_eq!(coordinator.get("/v1/job/web").await.status, 404);

    put(&coordinator, "/v1/jobs", &web).await;
    // As it was when this was recorded.
    assert_eq!(coordinator.delete("/v1/job/web").await.status, 200);
    let planned = put(&coordinator, "/v1/job/web/plan", &plan(&web2, true)).await;
    compare(&recorded, "job_plan_diff.json", &planned, &mut out);
    let short = put(&coordinator, "/v1/job/web/plan", &plan(&web2, false)).await;
    compare(&recorded, "job_plan_min.json", &short, &mut out);
    assert!(short["Diff"].is_null() && !planned["Diff"].is_null());

    put(&coordinator, "/v1/jobs", &web2).await;
    let versions = coordinator.get("/v1/job/web/versions?diffs=true").await.json();
    compare(&recorded, "job_web_versions.json", &versions, &mut out);
    assert_eq!(versions["Diffs"].as_array().unwrap().len(), 2);
    let source = coordinator.get("/v1/job/web/submission?version=0").await.json();
    compare(&recorded, "job_web_submission.json", &source, &mut out);
    assert_eq!(source["Source"], web["Submission"]["Source"]);

    let wish = json!({ "Target": { "Group": "app" }, "Message": "only to say so" });
    let told = put(&coordinator, "/v1/job/web/scale", &wish).await;
    compare(&recorded, "job_scale_put.json", &told, &mut out);
    let status = coordinator.get("/v1/job/web/scale").await.json();
    compare(&recorded, "job_web_scale.json", &status, &mut out);
    // The count was not changed, and nothing evaluated.
    let out: Vec<&str> = out
        .lines()
        .filter(|line| !line.contains(".Count: null") && !line.contains("Events[].EvalID: null"))
        .collect();
    assert!(out.is_empty(), "{}", out.join("\n"));
    coordinator.stop().await;
}

#[tokio::test]
async fn what_cannot_be_done_with_a_job_says_why() {
    let Some(recorded) = shape::recorded() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let coordinator = Coordinator::start(folder.path(), &[]).await;
    let jobs = recorded.join("../jobs");
    for file in ["web.nomad.hcl", "param.nomad.hcl", "cron.nomad.hcl"] {
        let body = submission(&coordinator, &jobs.join(file)).await;
        put(&coordinator, "/v1/jobs", &body).await;
    }
    let wide = json!({ "Target": { "Group": "app" }, "Count": -1 });
    for (path, body, status, text) in [
        (
            "/v1/job/web/revert",
            json!({ "JobVersion": 0 }),
            400,
            "can't revert to current version",
        ),
        (
            "/v1/job/nope/revert",
            json!({ "JobVersion": 0 }),
            404,
            "job \"nope\" not found",
        ),
        (
            "/v1/job/web/revert",
            json!({ "JobID": "other", "JobVersion": 0 }),
            400,
            "Job ID does not match",
        ),
        (
            "/v1/job/web/scale",
            wide,
            400,
            "scaling action count can't be negative",
        ),
        (
            "/v1/job/web/periodic/force",
            json!({}),
            400,
            "can't force launch non-periodic job",
        ),
        (
            "/v1/job/resize/dispatch",
            json!({ "Payload": "not base64!" }),
            400,
            "Payload: not base64",
        ),
        (
            "/v1/job/resize/dispatch",
            json!({}),
            400,
            "Dispatch did not provide required meta keys: [file]",
        ),
        ("/v1/job/web/plan", json!({}), 400, "Job must be specified"),
    ] {
        let answer = coordinator.put(path, &body).await;
        assert_eq!((answer.status, answer.body.as_str()), (status, text), "{path}");
    }
    let missing = coordinator.get("/v1/job/web/submission?version=9").await;
    assert_eq!(
        (missing.status, missing.body.as_str()),
        (404, "job source not found")
    );
    coordinator.stop().await;
}

#[tokio::test]
async fn launched_jobs_are_listed_counted_and_survive_a_restart() {
    let Some(recorded) = shape::recorded() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let coordinator = Coordinator::start(folder.path(), &[]).await;
    let jobs = recorded.join("../jobs");
    for file in ["param.nomad.hcl", "cron.nomad.hcl"] {
        let body = submission(&coordinator, &jobs.join(file)).await;
        put(&coordinator, "/v1/jobs", &body).await;
    }
    let wish = json!({ "Meta": { "file": "a.png" }, "Payload": "aGVsbG8=" });
    let path = "/v1/job/resize/dispatch?idempotency_token=once";
    let first = put(&coordinator, path, &wish).await;
    let again = put(&coordinator, path, &wish).await;
    assert_eq!(first["DispatchedJobID"], again["DispatchedJobID"]);
    let forced = put(&coordinator, "/v1/job/nightly/periodic/force", &json!({})).await;
    assert!(forced["EvalID"].as_str().is_some_and(|id| !id.is_empty()));
    coordinator.stop().await;

    let coordinator = Coordinator::start(folder.path(), &[]).await;
    for parent in ["resize", "nightly"] {
        let summary = coordinator.get(&format!("/v1/job/{parent}/summary")).await.json();
        // Nothing runs it here.
        assert_eq!(summary["Children"]["Pending"], 1, "{summary}");
        let children = coordinator
            .get(&format!("/v1/jobs?prefix={parent}/"))
            .await
            .json();
        assert_eq!(children[0]["ParentID"], parent);
    }
    let id = first["DispatchedJobID"].as_str().unwrap().replace('/', "%2F");
    let child = coordinator.get(&format!("/v1/job/{id}")).await.json();
    assert_eq!(
        (&child["Payload"], &child["Meta"]["file"], &child["Dispatched"]),
        (&json!("aGVsbG8="), &json!("a.png"), &json!(true))
    );
    let source = coordinator.get("/v1/job/resize/submission").await.json();
    assert!(source["Source"].as_str().unwrap().contains("parameterized"));
    coordinator.stop().await;
}

/// A job of these regions, whose group leaves its count to them.
fn of_regions(regions: &[(&str, u64)]) -> Value {
    let mut job = crate::support::job("web");
    let region = |(name, count): &(&str, u64)| json!({"Name": name, "Count": count});
    job["Multiregion"] = json!({"Regions": regions.iter().map(region).collect::<Vec<_>>()});
    job["TaskGroups"][0]["Count"] = json!(0);
    job
}

#[tokio::test]
async fn of_a_job_of_several_regions_only_this_regions_part_runs_and_everybody_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = Coordinator::start(folder.path(), &[]).await;
    let body = json!({ "Job": of_regions(&[("global", 2), ("east", 1)]), "Diff": true });
    let note = "job \"web\" runs in region \"global\" only: deployments over regions are not available yet, and nothing \
                happens in \"east\"";
    for path in ["/v1/job/web/plan", "/v1/validate/job", "/v1/jobs"] {
        let answer = put(&coordinator, path, &body).await;
        let warnings = answer["Warnings"].as_str().unwrap();
        assert!(warnings.contains(note), "{path}: {answer}");
    }
    let stored = coordinator.get("/v1/job/web").await.json();
    assert_eq!(stored["TaskGroups"][0]["Count"], 2);
    // Planned again, it is what it is.
    let plan = put(&coordinator, "/v1/job/web/plan", &body).await;
    assert_eq!(plan["Diff"]["Type"], "None", "{plan}");
    assert_eq!(plan["Annotations"]["DesiredTGUpdates"]["app"]["Place"], 2);
    coordinator.stop().await;
}

#[tokio::test]
async fn a_job_of_other_regions_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = Coordinator::start(folder.path(), &[]).await;
    let body = json!({ "Job": of_regions(&[("west", 2), ("east", 1)]) });
    let why = "job \"web\" is for the regions \"west\", \"east\", and this is region \"global\": deployments over regions \
               are not available yet; register it in one of them, or remove its multiregion block";
    for path in ["/v1/job/web/plan", "/v1/jobs"] {
        let answer = coordinator.put(path, &body).await;
        assert_eq!(answer.status, 400, "{path}: {}", answer.body);
        assert!(answer.body.contains(why), "{path}: {}", answer.body);
    }
    let verdict = put(&coordinator, "/v1/validate/job", &body).await;
    assert!(verdict["Error"].as_str().unwrap().contains(why), "{verdict}");
    assert_eq!(coordinator.get("/v1/job/web").await.status, 404);
    coordinator.stop().await;
}
