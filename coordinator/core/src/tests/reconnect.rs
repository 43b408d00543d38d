//! Nodes that go out of contact and come back, and which copy of an allocation lives on.

use holdfast_shared::model::{
    Allocation, ClientStatus, Component, DesiredStatus, NodeStatus, Packed, Scores,
};
use holdfast_shared::time::Duration;
use serde_json::{Value, json};

use super::fleet::{Fleet, job};
use super::life::web;
use crate::{Command, Delta, DeploymentAction};

pub(super) const LOST_AFTER: i64 = 3_600_000_000_000;

pub(super) fn edge(policy: &str, value: Value) -> Value {
    let mut edge = json!({ "ID": "edge", "Type": "service", "TaskGroups": [{ "Name": "web", "Count": 1,
        "Services": [{ "Name": "edge-web", "Provider": "nomad", "PortLabel": "http" }],
        "Networks": [{ "DynamicPorts": [{ "Label": "http" }] }],
        "Tasks": [{ "Name": "main", "Driver": "docker" }] }] });
    edge["TaskGroups"][0][policy] = value;
    edge
}

pub(super) fn settled(job_json: Value) -> Fleet {
    let mut fleet = Fleet::new(3);
    fleet.run(&job(job_json));
    fleet.advance(Duration::from_secs(20));
    fleet
}

#[test]
fn a_disconnected_original_is_replaced_after_its_delay_and_wins_when_it_is_back() {
    let mut fleet = settled(edge("Disconnect", json!({ "LostAfter": LOST_AFTER })));
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
        (replacement.client, replacement.previous.get()),
        (ClientStatus::Running, Some(original.id))
    );
    assert_eq!(
        fleet.core.state().service("default", "edge-web").count(),
        2,
        "both are listed meanwhile"
    );

    fleet.connect(original.node);
    fleet.advance(Duration::from_secs(1));
    assert_eq!(fleet.core.state().nodes[&original.node].status, NodeStatus::Ready);
    let first = fleet.alloc("edge", |it| it.id == original.id);
    let second = fleet.alloc("edge", |it| it.id != original.id);
    assert_eq!(
        (first.desired, first.client),
        (DesiredStatus::Run, ClientStatus::Running)
    );
    assert_eq!(
        (second.desired, second.client),
        (DesiredStatus::Stop, ClientStatus::Complete)
    );
    assert_eq!(
        &*second.desired_description,
        "alloc not needed due to disconnected client reconnect"
    );
    let services: Vec<_> = fleet.core.state().service("default", "edge-web").collect();
    assert!(services.len() == 1 && services[0].alloc == original.id);
}

#[test]
fn the_older_field_of_edge_jobs_brings_the_replacement_at_once() {
    let mut fleet = settled(edge("MaxClientDisconnect", json!(LOST_AFTER)));
    let original = fleet.alloc("edge", |_| true);
    fleet.disconnect(original.node);
    fleet.settle();
    let replacement = fleet.alloc("edge", |it| it.id != original.id);
    assert_eq!(
        (replacement.client, replacement.name),
        (ClientStatus::Running, original.name.clone())
    );
    assert_eq!(
        fleet.alloc("edge", |it| it.id == original.id).client,
        ClientStatus::Unknown
    );
}

#[test]
fn without_a_disconnect_block_the_node_is_down_and_what_it_ran_is_lost_and_ends_on_return() {
    let mut fleet = settled(web(1));
    let original = fleet.alloc("web", |_| true);
    fleet.disconnect(original.node);
    fleet.settle();
    assert_eq!(fleet.core.state().nodes[&original.node].status, NodeStatus::Down);
    let lost = fleet.alloc("web", |it| it.id == original.id);
    assert_eq!(
        (lost.desired, lost.client),
        (DesiredStatus::Stop, ClientStatus::Lost)
    );
    assert_eq!(
        fleet.alloc("web", |it| it.id != original.id).client,
        ClientStatus::Running
    );
    fleet.connect(original.node);
    fleet.advance(Duration::from_secs(1));
    assert_eq!(
        fleet.alloc("web", |it| it.id == original.id).client,
        ClientStatus::Complete
    );
    assert_eq!(fleet.core.state().nodes[&original.node].status, NodeStatus::Ready);
}

#[test]
fn nothing_is_decided_before_the_returning_node_has_reported() {
    let mut fleet = settled(edge("MaxClientDisconnect", json!(LOST_AFTER)));
    let original = fleet.alloc("edge", |_| true);
    fleet.disconnect(original.node);
    fleet.settle();
    // It registers, and then is silent about what it runs.
    fleet.agents.get_mut(&original.node).unwrap().mute = true;
    fleet.register(original.node);
    fleet.advance(Duration::from_secs(25));
    assert_eq!(
        fleet.core.state().nodes[&original.node].status,
        NodeStatus::Initializing
    );
    assert!(
        fleet.allocs("edge").iter().all(|it| it.contains("run/")),
        "{:?}",
        fleet.allocs("edge")
    );
    fleet.advance(Duration::from_secs(10));
    assert_eq!(fleet.core.state().nodes[&original.node].status, NodeStatus::Ready);
    let running = fleet.alloc("edge", |it| it.id != original.id);
    assert_eq!(
        (running.desired, running.client),
        (DesiredStatus::Run, ClientStatus::Running)
    );
    assert_eq!(
        fleet.alloc("edge", |it| it.id == original.id).desired,
        DesiredStatus::Stop
    );
}

#[test]
fn an_original_of_an_older_version_ends_whatever_the_strategy() {
    let policy = json!({ "LostAfter": LOST_AFTER, "Reconcile": "keep_original", "ReplaceAfter": 0 });
    let mut wanted = edge("Disconnect", policy);
    let mut fleet = settled(wanted.clone());
    let original = fleet.alloc("edge", |_| true);
    fleet.disconnect(original.node);
    fleet.settle();
    wanted["TaskGroups"][0]["Tasks"][0]["Env"] = json!({ "VERSION": "1" });
    fleet.run(&job(wanted));
    fleet.advance(Duration::from_secs(5));
    let live = |fleet: &Fleet| -> Vec<String> {
        fleet
            .allocs("edge")
            .into_iter()
            .filter(|it| it.contains("run/running"))
            .collect()
    };
    assert!(
        live(&fleet).len() == 1 && live(&fleet)[0].ends_with("v1"),
        "{:?}",
        fleet.allocs("edge")
    );
    fleet.connect(original.node);
    fleet.advance(Duration::from_secs(5));
    assert!(
        live(&fleet).len() == 1 && live(&fleet)[0].ends_with("v1"),
        "{:?}",
        fleet.allocs("edge")
    );
    assert_eq!(
        fleet.alloc("edge", |it| it.id == original.id).client,
        ClientStatus::Complete
    );
}

#[test]
fn a_replacement_that_a_deployment_held_up_comes_when_the_deployment_ends() {
    let mut wanted = edge("Disconnect", json!({ "LostAfter": LOST_AFTER }));
    wanted["TaskGroups"][0]["Update"] = json!({ "MaxParallel": 1 });
    let mut fleet = Fleet::new(3);
    for agent in fleet.agents.values_mut() {
        agent.coy = true;
    }
    fleet.run(&job(wanted));
    let original = fleet.alloc("edge", |_| true);
    fleet.disconnect(original.node);
    fleet.advance(Duration::from_secs(120));
    assert_eq!(
        fleet.allocs("edge").len(),
        1,
        "allocations of an active deployment are not replaced"
    );
    let id = *fleet.core.state().deployments.keys().next().unwrap();
    fleet
        .command(Command::Deployment {
            id,
            action: DeploymentAction::Fail,
        })
        .unwrap();
    let replacement = fleet.alloc("edge", |it| it.id != original.id);
    assert_eq!(
        (replacement.client, replacement.previous.get()),
        (ClientStatus::Running, Some(original.id))
    );
}

#[test]
fn a_node_that_vanishes_again_before_it_reported_does_not_hold_up_the_replacement() {
    let mut fleet = settled(edge("Disconnect", json!({ "LostAfter": LOST_AFTER })));
    let original = fleet.alloc("edge", |_| true);
    fleet.disconnect(original.node);
    fleet.advance(Duration::from_secs(28));
    // It is back for a moment, just when the follow-up evaluation is due, and says nothing.
    fleet.agents.get_mut(&original.node).unwrap().mute = true;
    fleet.register(original.node);
    fleet.advance(Duration::from_secs(5));
    assert_eq!(
        fleet.allocs("edge").len(),
        1,
        "nothing is decided on an unconfirmed original"
    );
    fleet.disconnect(original.node);
    fleet.settle();
    assert_eq!(fleet.allocs("edge").len(), 2);
}

#[test]
fn with_stop_on_client_after_nothing_is_placed_before_the_node_has_stopped_it() {
    let policy = json!({ "StopOnClientAfter": 60_000_000_000_i64 });
    let mut fleet = settled(edge("Disconnect", policy));
    let original = fleet.alloc("edge", |_| true);
    fleet.disconnect(original.node);
    fleet.settle();
    assert_eq!(fleet.alloc("edge", |_| true).client, ClientStatus::Lost);
    fleet
        .command(Command::EvaluateJob {
            key: original.job.clone(),
            force_reschedule: false,
        })
        .unwrap();
    fleet.advance(Duration::from_secs(63));
    assert_eq!(
        fleet.allocs("edge").len(),
        1,
        "60 s and the time to end are not over"
    );
    fleet.advance(Duration::from_secs(4));
    assert_eq!(fleet.allocs("edge").len(), 2);
}

/// An original and its replacement, both in contact, and nothing left to decide about either. No way is known to get
/// there, which is no reason to stay.
fn doubled(adjust: impl FnOnce(&mut Allocation, &mut Allocation)) -> Fleet {
    let mut fleet = settled(edge("MaxClientDisconnect", json!(LOST_AFTER)));
    let original = fleet.alloc("edge", |_| true).id;
    let node = fleet.alloc("edge", |_| true).node;
    fleet.disconnect(node);
    fleet.settle();
    let (mut first, mut second) = (
        fleet.alloc("edge", |it| it.id == original),
        fleet.alloc("edge", |it| it.id != original),
    );
    first.client = ClientStatus::Running;
    first.client_history.push((ClientStatus::Running, fleet.now));
    adjust(&mut first, &mut second);
    let mut state = fleet.core.state().clone();
    let mut home = (*state.nodes[&node]).clone();
    home.status = NodeStatus::Ready;
    state.apply(&Delta::Node(home.into()));
    state.apply(&Delta::Allocation(first.into()));
    state.apply(&Delta::Allocation(second.into()));
    fleet.restart(state);
    fleet.connect(node);
    fleet.settle();
    fleet
}

fn rank(alloc: &mut Allocation, rank: f64) {
    let mut report = alloc.report.open();
    report.scores[0].scores = Scores::default();
    report.scores[0].scores.set(Component::Binpack, rank);
    alloc.report = Packed::of(&report);
}

/// Which of the two are wanted once the job is looked at.
fn wanted_of_two(fleet: &mut Fleet) -> Vec<bool> {
    let key = fleet.alloc("edge", |_| true).job;
    let evaluate = Command::EvaluateJob {
        key,
        force_reschedule: false,
    };
    fleet.command(evaluate).unwrap();
    fleet.advance(Duration::from_secs(2));
    let mut allocs: Vec<_> = fleet.core.state().allocs.values().collect();
    allocs.sort_by_key(|it| it.create_index);
    allocs.iter().map(|it| it.desired == DesiredStatus::Run).collect()
}

#[test]
fn of_two_that_run_for_one_slot_the_better_node_keeps_it() {
    let mut fleet = doubled(|original, replacement| {
        rank(original, 0.5);
        rank(replacement, 0.7);
    });
    assert_eq!(wanted_of_two(&mut fleet), [false, true]);
    let mut fleet = doubled(|original, replacement| {
        rank(original, 0.7);
        rank(replacement, 0.5);
    });
    assert_eq!(wanted_of_two(&mut fleet), [true, false]);
}

#[test]
fn of_two_that_run_for_one_slot_the_newer_version_keeps_it() {
    let mut fleet = doubled(|original, _| rank(original, 1.0));
    let mut wanted = edge("MaxClientDisconnect", json!(LOST_AFTER));
    wanted["TaskGroups"][0]["Tasks"][0]["Env"] = json!({ "VERSION": "1" });
    fleet.run(&job(wanted));
    fleet.advance(Duration::from_secs(5));
    let running = |fleet: &Fleet| -> Vec<String> {
        let allocs = fleet.allocs("edge").into_iter();
        allocs.filter(|it| it.contains("run/running")).collect()
    };
    assert!(
        running(&fleet).len() == 1 && running(&fleet)[0].ends_with("v1"),
        "{:?}",
        fleet.allocs("edge")
    );
}
