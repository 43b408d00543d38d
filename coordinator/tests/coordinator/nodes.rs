//! What operators do with nodes, pools and the scheduler, over HTTP and across restarts.

use serde_json::{Value, json};

use crate::support::agent::{Agent, Login, node_id};
use crate::support::{Coordinator, job};

async fn with_node(folder: &std::path::Path) -> (Coordinator, Agent, String) {
    let coordinator = Coordinator::start(folder, &[]).await;
    let login = Login::new(node_id(1), "a secret of the node");
    let agent = Agent::join(coordinator.mqtt(), login).await.unwrap();
    coordinator
        .until("/v1/nodes", |nodes| nodes[0]["Status"] == "ready")
        .await;
    (coordinator, agent, format!("/v1/node/{}", node_id(1)))
}

#[tokio::test]
async fn a_drain_is_set_changed_called_off_and_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (coordinator, mut agent, node) = with_node(folder.path()).await;
    coordinator
        .put("/v1/jobs", &json!({ "Job": job("web") }))
        .await
        .json();
    let alloc = agent.assignment().await;
    agent.runs(alloc.id).await;
    let drain = format!("{node}/drain");
    let body = json!({ "DrainSpec": { "Deadline": 3_600_000_000_000_i64 }, "Meta": { "message": "why" } });
    let answer = coordinator.put(&drain, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(answer.json()["NodeModifyIndex"].as_u64() > Some(0));
    assert_eq!(answer.json()["EvalIDs"], Value::Null);
    let before = coordinator.get(&node).await.json();
    assert_eq!(
        (&before["Drain"], &before["SchedulingEligibility"]),
        (&json!(true), &json!("ineligible"))
    );
    assert_eq!(before["DrainStrategy"]["Deadline"], 3_600_000_000_000_i64);
    assert_eq!(
        (
            &before["LastDrain"]["Status"],
            &before["LastDrain"]["Meta"]["message"]
        ),
        (&json!("draining"), &json!("why"))
    );
    let refused = coordinator
        .put(
            &format!("{node}/eligibility"),
            &json!({ "Eligibility": "eligible" }),
        )
        .await;
    let text = "can not set node's scheduling eligibility to eligible while it is draining";
    assert_eq!((refused.status, refused.body.as_str()), (400, text));
    // Its only allocation has nowhere to go and is told to end all the same.
    coordinator
        .until(&format!("/v1/allocation/{}", alloc.id), |it| {
            it["DesiredStatus"] == "stop"
        })
        .await;
    coordinator.stop().await;

    let coordinator = Coordinator::start(folder.path(), &[]).await;
    let after = coordinator.get(&node).await.json();
    assert_eq!(
        (&after["DrainStrategy"], &after["LastDrain"]),
        (&before["DrainStrategy"], &before["LastDrain"])
    );
    let off = coordinator
        .put(&drain, &json!({ "DrainSpec": null, "MarkEligible": true }))
        .await;
    assert_eq!(off.status, 200, "{}", off.body);
    let after = coordinator.get(&node).await.json();
    assert_eq!(
        (&after["Drain"], &after["LastDrain"]["Status"]),
        (&json!(false), &json!("canceled"))
    );
    let listed = &coordinator.get("/v1/nodes").await.json()[0];
    assert_eq!(
        (&listed["Drain"], &listed["SchedulingEligibility"]),
        (&json!(false), &json!("eligible"))
    );
    coordinator.stop().await;
}

#[tokio::test]
async fn old_clients_drain_with_a_parameter() {
    let folder = tempfile::tempdir().unwrap();
    let (coordinator, _agent, node) = with_node(folder.path()).await;
    let answer = coordinator
        .put(&format!("{node}/drain?enable=true"), &json!({}))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let drained = coordinator.get(&node).await.json();
    assert_eq!(
        (&drained["LastDrain"]["Status"], &drained["SchedulingEligibility"]),
        (&json!("complete"), &json!("ineligible"))
    );
    let answer = coordinator
        .put(&format!("{node}/drain?enable=false"), &json!({}))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(
        coordinator.get(&node).await.json()["SchedulingEligibility"],
        "eligible"
    );
    coordinator.stop().await;
}

#[tokio::test]
async fn a_node_is_evaluated_and_purged_and_what_makes_no_sense_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (coordinator, mut agent, node) = with_node(folder.path()).await;
    coordinator
        .put("/v1/jobs", &json!({ "Job": job("web") }))
        .await
        .json();
    let alloc = agent.assignment().await;
    agent.runs(alloc.id).await;
    let answer = coordinator
        .put(&format!("{node}/evaluate"), &json!({}))
        .await
        .json();
    assert_eq!(answer["EvalIDs"].as_array().map(Vec::len), Some(1));
    assert!(answer["EvalCreateIndex"].as_u64() > Some(0));
    let wrong = coordinator
        .put(&format!("{node}/eligibility"), &json!({ "Eligibility": "maybe" }))
        .await;
    assert_eq!(
        (wrong.status, wrong.body.as_str()),
        (400, "invalid scheduling eligibility \"maybe\"")
    );
    let unknown = format!("/v1/node/{}/purge", node_id(2));
    let unknown = coordinator.put(&unknown, &json!({})).await;
    assert_eq!((unknown.status, unknown.body.as_str()), (404, "node not found"));
    agent.vanish();
    let purged = coordinator.put(&format!("{node}/purge"), &json!({})).await;
    assert_eq!(purged.status, 200, "{}", purged.body);
    assert_eq!(coordinator.get(&node).await.status, 404);
    coordinator
        .until(&format!("/v1/allocation/{}", alloc.id), |it| {
            it["ClientStatus"] == "lost"
        })
        .await;
    coordinator.stop().await;
}

#[tokio::test]
async fn pools_and_settings_are_changed_and_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (coordinator, _agent, _) = with_node(folder.path()).await;
    let pool = json!({ "Name": "edge", "Description": "Small boxes", "Meta": { "owner": "ops" },
        "SchedulerConfiguration": { "SchedulerAlgorithm": "spread" } });
    let put = coordinator.put("/v1/node/pools", &pool).await;
    assert_eq!(put.status, 200, "{}", put.body);
    let mut other = job("other");
    other["NodePool"] = json!("edge");
    coordinator.put("/v1/jobs", &json!({ "Job": other })).await.json();
    let jobs = coordinator.get("/v1/node/pool/edge/jobs").await.json();
    assert_eq!(jobs[0]["ID"], "other");
    assert_eq!(
        coordinator.get("/v1/node/pool/edge/nodes").await.json(),
        json!([])
    );
    let nodes = coordinator.get("/v1/node/pool/default/nodes").await.json();
    assert_eq!(nodes[0]["ID"], node_id(1).to_string());
    let refused = coordinator.delete("/v1/node/pool/edge").await;
    let text = "node pool \"edge\" has non-terminal jobs in regions: [global]";
    assert_eq!((refused.status, refused.body.as_str()), (400, text));
    assert_eq!(coordinator.get("/v1/node/pool/none").await.status, 404);

    let path = "/v1/operator/scheduler/configuration";
    let mut settings = coordinator.get(path).await.json()["SchedulerConfig"].clone();
    assert_eq!(settings["PreemptionConfig"]["SystemSchedulerEnabled"], true);
    settings["SchedulerAlgorithm"] = json!("spread");
    settings["PreemptionConfig"]["BatchSchedulerEnabled"] = json!(true);
    let set = coordinator.put(path, &settings).await.json();
    assert_eq!(set["Updated"], true);
    let index = set["Index"].as_u64().unwrap();
    let stale = coordinator
        .put(&format!("{path}?cas={}", index - 1), &settings)
        .await
        .json();
    assert_eq!(stale["Updated"], false);
    settings["SchedulerAlgorithm"] = json!("best");
    let wrong = coordinator.put(path, &settings).await;
    assert_eq!(wrong.status, 400, "{}", wrong.body);
    coordinator.stop().await;

    let coordinator = Coordinator::start(folder.path(), &[]).await;
    let settings = coordinator.get(path).await.json()["SchedulerConfig"].clone();
    assert_eq!(
        (
            &settings["SchedulerAlgorithm"],
            &settings["PreemptionConfig"]["BatchSchedulerEnabled"]
        ),
        (&json!("spread"), &json!(true))
    );
    assert_eq!(settings["ModifyIndex"], index);
    let known = coordinator.get("/v1/node/pool/edge").await.json();
    assert_eq!(
        (
            &known["Description"],
            &known["SchedulerConfiguration"]["SchedulerAlgorithm"]
        ),
        (&json!("Small boxes"), &json!("spread"))
    );
    coordinator.stop().await;
}

/// What can be done with a deployment that is over: nothing.
const REFUSALS: [(&str, &str, &str); 5] = [
    ("fail", "{}", "can't fail terminal deployment"),
    ("promote", r#"{"All":true}"#, "can't promote terminal deployment"),
    ("pause", r#"{"Pause":true}"#, "can't pause terminal deployment"),
    ("pause", r#"{"Pause":false}"#, "can't resume terminal deployment"),
    (
        "allocation-health",
        r#"{"UnhealthyAllocationIDs":["00000000-0000-0000-0000-000000000001"]}"#,
        "can't set health of allocations for a terminal deployment",
    ),
];

#[tokio::test]
async fn deployments_are_halted_judged_and_given_up_over_http() {
    let folder = tempfile::tempdir().unwrap();
    let (coordinator, mut agent, _) = with_node(folder.path()).await;
    coordinator
        .put("/v1/jobs", &json!({ "Job": job("web") }))
        .await
        .json();
    let alloc = agent.assignment().await;
    let id = coordinator
        .until("/v1/job/web/deployment", |it| it["Status"] == "running")
        .await["ID"]
        .as_str()
        .unwrap()
        .to_owned();
    let verb = |verb: &str| format!("/v1/deployment/{verb}/{id}");
    let one = format!("/v1/deployment/{id}");
    for (pause, status) in [(true, "paused"), (false, "running")] {
        let answer = coordinator.put(&verb("pause"), &json!({ "Pause": pause })).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert!(!answer.json()["EvalID"].as_str().unwrap().is_empty());
        assert_eq!(coordinator.get(&one).await.json()["Status"], status);
    }
    let unblocked = coordinator.put(&verb("unblock"), &json!({})).await;
    assert_eq!(unblocked.status, 400, "{}", unblocked.body);
    assert!(
        unblocked
            .body
            .starts_with("can't unblock a deployment that is running"),
        "{}",
        unblocked.body
    );
    let nobody = coordinator.put(&verb("promote"), &json!({})).await;
    assert_eq!(nobody.status, 400, "{}", nobody.body);
    let other = json!({ "HealthyAllocationIDs": [node_id(7).to_string()] });
    assert_eq!(
        coordinator.put(&verb("allocation-health"), &other).await.status,
        404
    );
    let body = json!({ "UnhealthyAllocationIDs": [alloc.id.to_string()] });
    let judged = coordinator.put(&verb("allocation-health"), &body).await;
    assert_eq!(judged.status, 200, "{}", judged.body);
    assert_eq!(judged.json()["RevertedJobVersion"], Value::Null);
    let failed = coordinator.get(&one).await.json();
    assert_eq!(
        (&failed["Status"], &failed["StatusDescription"]),
        (&json!("failed"), &json!("Failed due to unhealthy allocations"))
    );
    for (action, body, text) in REFUSALS {
        let body: Value = serde_json::from_str(body).unwrap();
        let answer = coordinator.put(&verb(action), &body).await;
        assert_eq!((answer.status, answer.body.as_str()), (400, text));
    }
    coordinator.stop().await;
}
