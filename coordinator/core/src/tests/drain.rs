//! Emptying nodes: step by step, over restarts, called off, and what becomes of the node.

use holdfast_shared::id::{JobKey, NodeId};
use holdfast_shared::model::{
    Allocation, ClientStatus, DesiredStatus, DrainStatus, Eligibility, Job, Node, NodeStatus,
};
use holdfast_shared::time::Duration;
use holdfast_shared::wire::Held;
use serde_json::json;

use super::fleet::{Fleet, job};
use super::reconnect::{LOST_AFTER, edge, settled};
use crate::{Command, DrainSpec, NodeAction, Refusal, Response};

const FIRST: NodeId = NodeId(1);

fn web(count: u32, max_parallel: u32) -> Job {
    job(
        json!({ "ID": "web", "Type": "service", "TaskGroups": [{ "Name": "app", "Count": count,
        "Migrate": { "MaxParallel": max_parallel }, "Tasks": [{ "Name": "main", "Driver": "docker" }] }] }),
    )
}

fn act(fleet: &mut Fleet, id: NodeId, action: NodeAction) -> Result<Response, Refusal> {
    fleet.command(Command::Node { id, action })
}

fn drain(fleet: &mut Fleet, secs: i64) {
    drain_node(fleet, FIRST, secs);
}

fn drain_node(fleet: &mut Fleet, id: NodeId, secs: i64) {
    let action = NodeAction::Drain {
        spec: Some(DrainSpec {
            deadline: Duration::from_secs(secs),
            ignore_system_jobs: false,
        }),
        mark_eligible: false,
        meta: [("message".to_owned(), "new disk".to_owned())].into(),
    };
    act(fleet, id, action).unwrap();
}

fn call_off(fleet: &mut Fleet, mark_eligible: bool) {
    let action = NodeAction::Drain {
        spec: None,
        mark_eligible,
        meta: [].into(),
    };
    act(fleet, FIRST, action).unwrap();
}

fn node(fleet: &Fleet) -> &Node {
    &fleet.core.state().nodes[&FIRST]
}

fn status(fleet: &Fleet) -> Option<DrainStatus> {
    node(fleet).last_drain.as_ref().map(|last| last.status)
}

/// The allocations of `job` that should run on this node, and do.
fn on_node(fleet: &Fleet, id: NodeId) -> Vec<Allocation> {
    let allocs = fleet.core.state().allocs_of_node(id);
    allocs
        .filter(|alloc| alloc.desired == DesiredStatus::Run && alloc.client == ClientStatus::Running)
        .map(|alloc| (**alloc).clone())
        .collect()
}

/// One node that runs all of `web`, and a second one that is new.
fn full_node(count: u32, max_parallel: u32) -> Fleet {
    let mut fleet = Fleet::new(1);
    fleet.run(&web(count, max_parallel));
    fleet.join(NodeId(2));
    assert_eq!(on_node(&fleet, FIRST).len(), count as usize);
    fleet
}

#[test]
fn a_node_is_emptied_as_fast_as_replacements_become_healthy() {
    let mut fleet = full_node(4, 2);
    fleet.agents.get_mut(&NodeId(2)).unwrap().coy = true;
    drain(&mut fleet, 3600);
    fleet.advance(Duration::from_secs(60));
    assert_eq!(on_node(&fleet, FIRST).len(), 2, "{:?}", fleet.allocs("web"));
    assert_eq!(on_node(&fleet, NodeId(2)).len(), 2, "{:?}", fleet.allocs("web"));
    assert!(!node(&fleet).is_schedulable() && node(&fleet).drain.is_some());
    fleet.agents.get_mut(&NodeId(2)).unwrap().coy = false;
    fleet.report_all(NodeId(2));
    fleet.advance(Duration::from_secs(5));
    assert_eq!(on_node(&fleet, NodeId(2)).len(), 4, "{:?}", fleet.allocs("web"));
    let moved = on_node(&fleet, NodeId(2));
    assert!(
        moved
            .iter()
            .all(|alloc| alloc.previous.is_some() && alloc.reschedules.is_empty())
    );
    assert_eq!(
        (status(&fleet), node(&fleet).eligibility),
        (Some(DrainStatus::Complete), Eligibility::Ineligible)
    );
    let last = node(&fleet).last_drain.as_ref().unwrap();
    assert_eq!(last.meta["message"], "new disk");
    let event = node(&fleet).events.last().unwrap();
    assert_eq!(
        (event.subsystem.as_str(), event.message.as_str()),
        ("Drain", "Node drain complete")
    );
    assert!(event.details.is_empty());
}

#[test]
fn a_drain_outlives_the_coordinator_and_its_deadline_too() {
    let mut fleet = full_node(3, 1);
    fleet.agents.get_mut(&NodeId(2)).unwrap().coy = true;
    drain(&mut fleet, 300);
    fleet.advance(Duration::from_secs(60));
    fleet.restart(fleet.core.state().clone());
    fleet.connect(FIRST);
    fleet.connect(NodeId(2));
    fleet.settle();
    assert_eq!(on_node(&fleet, FIRST).len(), 2);
    fleet.advance(Duration::from_secs(239));
    assert_eq!(status(&fleet), Some(DrainStatus::Draining));
    fleet.advance(Duration::from_secs(2));
    assert_eq!(on_node(&fleet, FIRST).len(), 0, "{:?}", fleet.allocs("web"));
    assert_eq!(status(&fleet), Some(DrainStatus::Complete));
    assert_eq!(
        node(&fleet).events.last().unwrap().details["deadline_reached"],
        "true"
    );
}

#[test]
fn a_drain_that_is_called_off_moves_nothing_more_and_the_node_takes_allocations_again() {
    let mut fleet = full_node(4, 1);
    fleet.agents.get_mut(&NodeId(2)).unwrap().coy = true;
    drain(&mut fleet, 3600);
    let eligible = NodeAction::SetEligibility(Eligibility::Eligible);
    let refusal = "can not set node's scheduling eligibility to eligible while it is draining";
    assert_eq!(
        act(&mut fleet, FIRST, eligible),
        Err(Refusal::Invalid(refusal.into()))
    );
    call_off(&mut fleet, true);
    fleet.agents.get_mut(&NodeId(2)).unwrap().coy = false;
    fleet.report_all(NodeId(2));
    fleet.advance(Duration::from_secs(60));
    assert_eq!(on_node(&fleet, FIRST).len(), 3, "{:?}", fleet.allocs("web"));
    assert_eq!(status(&fleet), Some(DrainStatus::Canceled));
    assert!(node(&fleet).is_schedulable());
    // Once more says nothing new.
    call_off(&mut fleet, false);
    assert_eq!(status(&fleet), Some(DrainStatus::Canceled));
}

#[test]
fn an_allocation_that_came_about_outside_a_deployment_does_not_hold_up_a_drain() {
    let mut fleet = full_node(2, 1);
    let failed = on_node(&fleet, FIRST)[0].id;
    fleet.becomes(failed, ClientStatus::Failed);
    fleet.advance(Duration::from_secs(120));
    drain(&mut fleet, 3600);
    fleet.advance(Duration::from_secs(60));
    assert_eq!(
        status(&fleet),
        Some(DrainStatus::Complete),
        "{:?}",
        fleet.allocs("web")
    );
}

#[test]
fn a_batch_allocation_that_a_deadline_ends_has_no_successor() {
    let mut fleet = Fleet::new(1);
    fleet.run(&job(
        json!({ "ID": "sum", "Type": "batch", "TaskGroups": [{ "Name": "app",
        "Tasks": [{ "Name": "main", "Driver": "docker" }] }] }),
    ));
    fleet.join(NodeId(2));
    drain(&mut fleet, 60);
    fleet.advance(Duration::from_secs(59));
    assert_eq!(on_node(&fleet, FIRST).len(), 1);
    fleet.advance(Duration::from_secs(120));
    assert_eq!(fleet.allocs("sum"), ["sum.app[0] n1 stop/complete v0"]);
}

#[test]
fn a_node_that_goes_down_while_it_drains_has_drained() {
    let mut fleet = full_node(2, 1);
    fleet.agents.get_mut(&NodeId(2)).unwrap().coy = true;
    drain(&mut fleet, 3600);
    fleet.disconnect(FIRST);
    fleet.advance(Duration::from_secs(60));
    assert_eq!(node(&fleet).status, NodeStatus::Down);
    assert_eq!(
        (status(&fleet), node(&fleet).eligibility),
        (Some(DrainStatus::Complete), Eligibility::Ineligible)
    );
    assert!(node(&fleet).events.iter().all(|event| event.details.is_empty()));
}

#[test]
fn what_was_replaced_while_its_node_was_away_does_not_move_when_that_comes_back_to_be_drained() {
    let mut fleet = settled(edge("MaxClientDisconnect", json!(LOST_AFTER)));
    let original = fleet.alloc("edge", |_| true);
    fleet.disconnect(original.node);
    fleet.settle();
    let replacement = fleet.alloc("edge", |it| it.id != original.id);
    drain_node(&mut fleet, original.node, 3600);
    fleet.connect(original.node);
    fleet.advance(Duration::from_secs(60));
    let allocs = fleet.core.state().allocs.values();
    let live: Vec<_> = allocs
        .filter(|it| it.desired == DesiredStatus::Run)
        .map(|it| it.id)
        .collect();
    assert_eq!(live, [replacement.id], "{:?}", fleet.allocs("edge"));
}

#[test]
fn a_purged_job_does_not_hold_up_a_drain() {
    let mut fleet = full_node(2, 1);
    fleet.agents.get_mut(&NodeId(2)).unwrap().coy = true;
    drain(&mut fleet, 3600);
    let key = JobKey::new("default", "web");
    let purge = Command::DeregisterJob {
        key,
        purge: true,
        no_shutdown_delay: false,
    };
    fleet.command(purge).unwrap();
    assert_eq!(status(&fleet), Some(DrainStatus::Complete));
}

#[test]
fn a_node_that_takes_nothing_keeps_what_it_has_and_gets_system_jobs_when_it_does_again() {
    let mut fleet = full_node(2, 1);
    act(
        &mut fleet,
        FIRST,
        NodeAction::SetEligibility(Eligibility::Ineligible),
    )
    .unwrap();
    fleet.run(&job(
        json!({ "ID": "log", "Type": "system", "TaskGroups": [{ "Name": "app",
        "Tasks": [{ "Name": "main", "Driver": "docker" }] }] }),
    ));
    assert_eq!(fleet.allocs("log").len(), 1);
    assert_eq!(on_node(&fleet, FIRST).len(), 2);
    let eligible = NodeAction::SetEligibility(Eligibility::Eligible);
    let answer = act(&mut fleet, FIRST, eligible.clone()).unwrap();
    assert_eq!(answer.evals.len(), 2);
    assert_eq!(fleet.allocs("log").len(), 2);
    let messages: Vec<&str> = node(&fleet).events.iter().map(|it| it.message.as_str()).collect();
    assert_eq!(
        messages[messages.len() - 2..],
        [
            "Node marked as ineligible for scheduling",
            "Node marked as eligible for scheduling"
        ]
    );
    // What is so already is no change.
    assert_eq!(act(&mut fleet, FIRST, eligible).unwrap().evals, []);
}

#[test]
fn a_purged_node_is_known_again_when_it_comes_back() {
    let mut fleet = full_node(2, 1);
    let held = fleet.agents[&FIRST].held;
    assert_ne!(held, Held::default());
    let answer = act(&mut fleet, FIRST, NodeAction::Purge).unwrap();
    assert_eq!(answer.evals.len(), 1);
    assert_eq!(on_node(&fleet, NodeId(2)).len(), 2, "{:?}", fleet.allocs("web"));
    assert_eq!(
        act(&mut fleet, FIRST, NodeAction::Evaluate),
        Err(Refusal::NotFound("node".into()))
    );
    fleet.connect(FIRST);
    fleet.advance(Duration::from_secs(30));
    let events = &node(&fleet).events;
    assert_eq!(events.len(), 1, "{events:?}");
    assert!(fleet.agents[&FIRST].held > held);
    let runs = |(_, status): &&(_, ClientStatus)| *status == ClientStatus::Running;
    assert_eq!(fleet.agents[&FIRST].allocs.values().filter(runs).count(), 0);
}
