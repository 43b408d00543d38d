//! Reading: blocking queries, filters, pages, search, figures.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Coordinator, job};

#[tokio::test]
async fn a_blocking_query_answers_when_there_is_something_new_and_not_before() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = Coordinator::start(folder.path(), &[]).await;
    let index = coordinator.get("/v1/jobs").await.index();
    let body = json!({ "Job": job("late") });
    let started = Instant::now();
    let path = format!("/v1/jobs?index={index}&wait=30s");
    let write = async {
        // Long enough for the reader to be waiting; whether it is makes no difference to what it must answer.
        tokio::time::sleep(Duration::from_millis(200)).await;
        coordinator.put("/v1/jobs", &body).await
    };
    let (read, written) = tokio::join!(coordinator.get(&path), write);
    assert_eq!(written.status, 200, "{}", written.body);
    assert_eq!(read.json()[0]["ID"], "late");
    assert!(read.index() > index);
    assert!(started.elapsed() < Duration::from_secs(20));

    let started = Instant::now();
    let nothing = coordinator
        .get(&format!(
            "/v1/deployments?index={}&wait=300ms",
            read.index() + 1000
        ))
        .await;
    assert_eq!(nothing.status, 200);
    assert!(started.elapsed() >= Duration::from_millis(300));
    coordinator.stop().await;
}

#[tokio::test]
async fn a_stop_ends_waiting_queries_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = Coordinator::start(folder.path(), &[]).await;
    let address = coordinator.http();
    let waiting = tokio::spawn(async move {
        crate::support::http::request(address, "GET", "/v1/jobs?index=9999&wait=300s", None).await
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let started = Instant::now();
    coordinator.stop().await;
    assert_eq!(waiting.await.unwrap().status, 200);
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn lists_are_filtered_cut_into_pages_and_searched() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = Coordinator::start(folder.path(), &[]).await;
    for name in ["alpha", "beta", "beta-two"] {
        assert_eq!(
            coordinator
                .put("/v1/jobs", &json!({ "Job": job(name) }))
                .await
                .status,
            200
        );
    }
    let ids = async |path: &str| -> Vec<String> {
        let list = coordinator.get(path).await.json();
        list.as_array()
            .unwrap()
            .iter()
            .map(|item| item["ID"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(ids("/v1/jobs?prefix=beta").await, ["beta", "beta-two"]);
    assert_eq!(ids("/v1/jobs?filter=ID%20%3D%3D%20%22alpha%22").await, ["alpha"]);
    assert_eq!(
        ids("/v1/jobs?filter=ID%20!%3D%20alpha&reverse=true").await,
        ["beta-two", "beta"]
    );
    assert_eq!(ids("/v1/jobs?namespace=other").await, [""; 0]);
    let page = coordinator.get("/v1/jobs?per_page=2").await;
    assert_eq!(
        (
            page.json().as_array().unwrap().len(),
            page.header("X-Nomad-NextToken")
        ),
        (2, Some("beta-two"))
    );
    assert_eq!(ids("/v1/jobs?per_page=2&next_token=beta-two").await, ["beta-two"]);

    let found = coordinator
        .put("/v1/search", &json!({ "Prefix": "beta", "Context": "jobs" }))
        .await
        .json();
    assert_eq!(found["Matches"], json!({ "jobs": ["beta", "beta-two"] }));
    let evals = coordinator.get("/v1/evaluations").await.json();
    let id = evals[0]["ID"].as_str().unwrap();
    for length in [1, 5, 8, 9, 20, 36] {
        let found = coordinator
            .put(
                "/v1/search",
                &json!({ "Prefix": id[..length], "Context": "evals" }),
            )
            .await
            .json();
        assert!(
            found["Matches"]["evals"].as_array().unwrap().contains(&json!(id)),
            "{length}"
        );
    }
    let unknown = coordinator
        .put("/v1/search", &json!({ "Prefix": "x", "Context": "stars" }))
        .await;
    assert_eq!(unknown.status, 400);
    assert!(
        unknown.body.starts_with("context must be one of"),
        "{}",
        unknown.body
    );
    coordinator.stop().await;
}

#[tokio::test]
async fn a_job_is_found_by_an_id_with_a_slash_and_in_its_namespace() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = Coordinator::start(folder.path(), &[]).await;
    let mut named = job("shop/web");
    named["Namespace"] = json!("edge");
    named["TaskGroups"][0]["Services"][0]["Name"] = json!("web");
    let registered = coordinator
        .put("/v1/job/shop%2Fweb", &json!({ "Job": named }))
        .await;
    assert_eq!(registered.status, 200, "{}", registered.body);
    assert_eq!(coordinator.get("/v1/job/shop%2Fweb").await.status, 404);
    for path in [
        "/v1/job/shop%2Fweb?namespace=edge",
        "/v1/job/shop%2Fweb/summary?namespace=edge",
    ] {
        assert_eq!(coordinator.get(path).await.status, 200, "{path}");
    }
    let jobs = coordinator.get("/v1/jobs?namespace=*").await.json();
    assert_eq!(
        (&jobs[0]["ID"], &jobs[0]["Namespace"]),
        (&json!("shop/web"), &json!("edge"))
    );
    let other = coordinator
        .put("/v1/job/other", &json!({ "Job": job("web") }))
        .await;
    assert_eq!(
        (other.status, other.body.as_str()),
        (400, "Job ID does not match name")
    );
    coordinator.stop().await;
}

#[tokio::test]
async fn figures_are_told_as_json_and_to_prometheus() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = Coordinator::start(folder.path(), &[]).await;
    coordinator
        .put("/v1/jobs", &json!({ "Job": job("web") }))
        .await
        .json();
    let figures = coordinator.get("/v1/metrics").await.json();
    let has = |list: &str, name: &str| {
        figures[list]
            .as_array()
            .unwrap()
            .iter()
            .any(|it| it["Name"] == name)
    };
    assert!(
        has("Gauges", "nomad_nomad_job_summary_running") && has("Counters", "holdfast_store_commits_total")
    );
    let text = coordinator.get("/v1/metrics?format=prometheus").await.body;
    for line in [
        "# TYPE nomad_nomad_job_summary_running gauge",
        "nomad_nomad_job_summary_running{exported_job=\"web\",namespace=\"default\",task_group=\"app\"} 0",
        "# TYPE holdfast_store_commits_total counter",
        "holdfast_nodes{status=\"ready\"} 0",
    ] {
        assert!(text.lines().any(|own| own == line), "{line} is not in\n{text}");
    }
    coordinator.stop().await;
}
