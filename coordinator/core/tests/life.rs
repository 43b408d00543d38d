//! The life of jobs on a small fleet, through the core's front door only.

mod fleet;

use fleet::{Fleet, job};
use holdfast_shared::model::{ClientStatus, DesiredStatus, NodeStatus};
use holdfast_shared::time::Duration;
use serde_json::json;

fn web(count: u64) -> serde_json::Value {
    json!({ "ID": "web", "Type": "service", "TaskGroups": [{ "Name": "app", "Count": count, "Tasks": [
        { "Name": "main", "Driver": "docker", "Config": { "image": "web:1" } }
    ] }] })
}

#[test]
fn a_registered_job_is_placed_published_and_runs() {
    let mut fleet = Fleet::new(3);
    let response = fleet.run(&job(web(3)));
    assert!(response.eval.is_some() && response.job_modify_index > 0);
    let allocs = fleet.allocs("web");
    assert_eq!(allocs.len(), 3, "{allocs:?}");
    assert!(
        allocs.iter().all(|it| it.ends_with("run/running v0")),
        "{allocs:?}"
    );
    assert_eq!(
        fleet.core.state().jobs.values().next().unwrap().status.as_deref(),
        Some("running")
    );
}

fn edge(count: u64) -> serde_json::Value {
    json!({ "ID": "edge", "Type": "service", "TaskGroups": [{ "Name": "web", "Count": count,
        "Disconnect": { "LostAfter": 3_600_000_000_000_i64 },
        "Services": [{ "Name": "edge-web", "Provider": "nomad", "PortLabel": "http" }],
        "Networks": [{ "DynamicPorts": [{ "Label": "http" }] }],
        "Tasks": [{ "Name": "main", "Driver": "docker" }] }] })
}

#[test]
fn a_disconnected_original_is_replaced_after_its_delay_and_wins_when_it_is_back() {
    let mut fleet = Fleet::new(3);
    fleet.run(&job(edge(1)));
    fleet.advance(Duration::from_secs(20));
    let original = fleet.alloc("edge", |_| true);
    assert_eq!(fleet.core.state().service("default", "edge-web").count(), 1);

    fleet.disconnect(original.node);
    fleet.settle();
    assert_eq!(
        fleet.core.state().nodes[&original.node].status,
        NodeStatus::Disconnected
    );
    assert_eq!(fleet.alloc("edge", |_| true).client, ClientStatus::Unknown);
    fleet.advance(Duration::from_secs(29));
    assert_eq!(
        fleet.allocs("edge").len(),
        1,
        "the reschedule delay of 30 s is not over"
    );
    fleet.advance(Duration::from_secs(2));
    let replacement = fleet.alloc("edge", |it| it.id != original.id);
    assert_eq!(
        (replacement.client, replacement.previous),
        (ClientStatus::Running, Some(original.id))
    );
    assert_eq!(
        fleet.core.state().service("default", "edge-web").count(),
        2,
        "both are listed meanwhile"
    );

    fleet.connect(original.node);
    fleet.settle();
    fleet.advance(Duration::from_secs(1));
    assert_eq!(fleet.core.state().nodes[&original.node].status, NodeStatus::Ready);
    let (first, second) = (
        fleet.alloc("edge", |it| it.id == original.id),
        fleet.alloc("edge", |it| it.id != original.id),
    );
    assert_eq!(
        (first.desired, first.client),
        (DesiredStatus::Run, ClientStatus::Running)
    );
    assert_eq!(
        (second.desired, second.client),
        (DesiredStatus::Stop, ClientStatus::Complete)
    );
    assert_eq!(
        second.desired_description,
        "alloc not needed due to disconnected client reconnect"
    );
    let services: Vec<_> = fleet.core.state().service("default", "edge-web").collect();
    assert!(services.len() == 1 && services[0].alloc == original.id);
}
