//! Deployments: how a new version takes the place of an old one, and what happens when it is no good.

use holdfast_shared::id::{JobKey, NodeId};
use holdfast_shared::model::{Allocation, ClientStatus, Deployment, DeploymentStatus, Job, Trigger};
use holdfast_shared::time::Duration;
use serde_json::{Value, json};

use super::fleet::{Fleet, job};
use crate::{Command, DeploymentAction, Refusal};

pub(super) fn key() -> JobKey {
    JobKey::new("default", "web")
}

pub(super) fn version(number: u64, update: &Value) -> Job {
    job(
        json!({ "ID": "web", "Type": "service", "TaskGroups": [{ "Name": "app", "Count": 3, "Update": update, "Tasks": [
        { "Name": "main", "Driver": "docker", "Env": { "VERSION": number.to_string() } }
    ] }] }),
    )
}

/// The deployment of a job version.
pub(super) fn of_version(fleet: &Fleet, version: u64) -> Deployment {
    let key = key();
    let mut deployments = fleet.core.state().deployments_of_job(&key);
    (**deployments.find(|it| it.job_version == version).unwrap()).clone()
}

pub(super) fn deployment(fleet: &Fleet) -> (DeploymentStatus, String) {
    let latest = of_version(fleet, fleet.core.state().jobs[&key()].version());
    (latest.status, latest.status_description)
}

pub(super) fn running(fleet: &Fleet, version: u64) -> usize {
    let text = format!("run/running v{version}");
    fleet
        .allocs("web")
        .iter()
        .filter(|it| it.ends_with(&text))
        .count()
}

#[test]
fn a_healthy_version_is_rolled_out_and_then_stable() {
    let update = json!({ "MaxParallel": 1 });
    let mut fleet = Fleet::new(3);
    fleet.run(&version(0, &update));
    assert_eq!(
        deployment(&fleet),
        (
            DeploymentStatus::Successful,
            "Deployment completed successfully".into()
        )
    );
    assert_eq!(fleet.core.state().jobs[&key()].stable, Some(true));
    fleet.run(&version(1, &update));
    fleet.advance(Duration::from_secs(5));
    assert_eq!(running(&fleet, 1), 3, "{:?}", fleet.allocs("web"));
    assert_eq!(deployment(&fleet).0, DeploymentStatus::Successful);
    let group = &of_version(&fleet, 1).groups["app"];
    assert_eq!(
        (group.desired_total, group.placed, group.healthy, group.unhealthy),
        (3, 3, 3, 0)
    );
    assert_eq!(
        fleet
            .core
            .state()
            .versions_of_job(&key())
            .filter(|job| job.stable == Some(true))
            .count(),
        2
    );
}

#[test]
fn no_more_than_max_parallel_are_replaced_at_a_time() {
    let update = json!({ "MaxParallel": 1 });
    let mut fleet = Fleet::new(3);
    fleet.run(&version(0, &update));
    for agent in fleet.agents.values_mut() {
        agent.stuck = true;
    }
    fleet.run(&version(1, &update));
    fleet.advance(Duration::from_secs(5));
    assert_eq!(running(&fleet, 0), 2);
    assert_eq!(
        deployment(&fleet),
        (DeploymentStatus::Running, "Deployment is running".into())
    );
    // Nothing gets better, so that it is given up when its time is over.
    fleet.advance(Duration::from_secs(600));
    assert_eq!(
        deployment(&fleet),
        (DeploymentStatus::Failed, "Failed due to progress deadline".into())
    );
}

#[test]
fn a_version_that_fails_is_taken_back() {
    let update = json!({ "MaxParallel": 1, "AutoRevert": true, "ProgressDeadline": 0 });
    let mut fleet = Fleet::new(3);
    fleet.run(&version(0, &update));
    for agent in fleet.agents.values_mut() {
        agent.broken.insert(1);
    }
    fleet.run(&version(1, &update));
    fleet.advance(Duration::from_secs(5));
    let failed = of_version(&fleet, 1);
    assert_eq!(
        failed.status_description,
        "Failed due to unhealthy allocations - rolling back to job version 0"
    );
    let current = &fleet.core.state().jobs[&key()];
    assert_eq!((current.version(), current.stable), (2, Some(true)));
    assert_eq!(running(&fleet, 2), 3, "{:?}", fleet.allocs("web"));
}

#[test]
fn canaries_are_tried_beside_the_old_version_and_promote_themselves() {
    let update = json!({ "MaxParallel": 3, "Canary": 1, "AutoPromote": true });
    let mut fleet = Fleet::new(3);
    fleet.run(&version(0, &update));
    for agent in fleet.agents.values_mut() {
        agent.stuck = true;
    }
    fleet.run(&version(1, &update));
    let text = "Deployment is running pending automatic promotion";
    assert_eq!(deployment(&fleet), (DeploymentStatus::Running, text.into()));
    assert_eq!(running(&fleet, 0), 3);
    assert_eq!(fleet.allocs("web").len(), 4);
    let canary = fleet.alloc("web", |it| it.canary);
    for agent in fleet.agents.values_mut() {
        agent.stuck = false;
    }
    fleet.becomes(canary.id, ClientStatus::Running);
    fleet.advance(Duration::from_secs(5));
    assert_eq!(
        (running(&fleet, 0), running(&fleet, 1)),
        (0, 3),
        "{:?}",
        fleet.allocs("web")
    );
    assert_eq!(deployment(&fleet).0, DeploymentStatus::Successful);
}

#[test]
fn a_change_that_tasks_do_not_feel_leaves_them_running() {
    let update = json!({ "MaxParallel": 1 });
    let mut fleet = Fleet::new(3);
    fleet.run(&version(0, &update));
    let ids: Vec<_> = fleet.core.state().allocs.keys().copied().collect();
    let mut changed = version(0, &update);
    changed.priority = Some(70);
    fleet.run(&changed);
    fleet.advance(Duration::from_secs(5));
    assert_eq!(running(&fleet, 1), 3, "{:?}", fleet.allocs("web"));
    assert_eq!(fleet.core.state().allocs.keys().copied().collect::<Vec<_>>(), ids);
}

#[test]
fn what_happens_to_a_large_job_is_looked_at_together_and_in_time() {
    let update = json!({ "MaxParallel": 3, "ProgressDeadline": 700_000_000, "HealthyDeadline": 500_000_000 });
    let mut fleet = Fleet::new(3);
    fleet.options.look_pause = Duration::from_secs(1);
    fleet.restart(fleet.core.state().clone());
    fleet.run(&version(0, &update));
    let healthy = |fleet: &Fleet| of_version(fleet, 0).groups["app"].healthy;
    let looks = |fleet: &Fleet| {
        let evals = fleet.core.state().evals.values();
        evals
            .filter(|eval| eval.trigger == Trigger::DeploymentWatcher)
            .count()
    };
    assert_eq!((healthy(&fleet), looks(&fleet)), (0, 0));
    // Its deadline comes before the pause of one second is over.
    fleet.advance(Duration::from_millis(800));
    assert_eq!((healthy(&fleet), looks(&fleet)), (3, 1));
    assert_eq!(deployment(&fleet).0, DeploymentStatus::Successful);
}

#[test]
fn a_deployment_that_only_waits_for_health_is_not_evaluated_until_it_has_it() {
    let mut fleet = Fleet::new(3);
    for agent in fleet.agents.values_mut() {
        agent.stuck = true;
    }
    fleet.run(&version(0, &json!({ "MaxParallel": 3 })));
    let ids: Vec<_> = fleet.core.state().allocs.keys().copied().collect();
    let progress = |fleet: &Fleet| {
        let evals = fleet.core.state().evals.values();
        let evals = evals.filter(|eval| eval.trigger == Trigger::DeploymentWatcher);
        (of_version(fleet, 0).groups["app"].healthy, evals.count())
    };
    for (id, expected) in ids.into_iter().zip([(1, 0), (2, 0), (3, 1)]) {
        fleet.becomes(id, ClientStatus::Running);
        assert_eq!(progress(&fleet), expected);
    }
    assert_eq!(deployment(&fleet).0, DeploymentStatus::Successful);
}

#[test]
fn a_newer_version_ends_the_deployment_before_it() {
    let update = json!({ "MaxParallel": 1 });
    let mut fleet = Fleet::new(3);
    fleet.run(&version(0, &update));
    for agent in fleet.agents.values_mut() {
        agent.stuck = true;
    }
    fleet.run(&version(1, &update));
    fleet.run(&version(2, &update));
    let older = of_version(&fleet, 1);
    assert_eq!(older.status_description, "Cancelled due to newer version of job");
}

fn act(fleet: &mut Fleet, version: u64, action: DeploymentAction) -> Result<(), Refusal> {
    let id = of_version(fleet, version).id;
    fleet.command(Command::Deployment { id, action }).map(|_| ())
}

#[test]
fn canaries_wait_for_an_operator_who_cannot_promote_too_few() {
    let update = json!({ "MaxParallel": 3, "Canary": 2 });
    let mut fleet = Fleet::new(3);
    fleet.run(&version(0, &update));
    for agent in fleet.agents.values_mut() {
        agent.stuck = true;
    }
    fleet.run(&version(1, &update));
    let waiting = (
        DeploymentStatus::Running,
        "Deployment is running but requires manual promotion".to_owned(),
    );
    assert_eq!(deployment(&fleet), waiting);
    let canaries: Vec<_> = fleet
        .core
        .state()
        .allocs
        .values()
        .filter(|it| it.canary)
        .map(|it| it.id)
        .collect();
    fleet.becomes(canaries[0], ClientStatus::Running);
    let promote = DeploymentAction::Promote { groups: None };
    let refusal = Refusal::Invalid("Task group \"app\" has 1/2 healthy allocations".into());
    assert_eq!(act(&mut fleet, 1, promote.clone()), Err(refusal));
    fleet.becomes(canaries[1], ClientStatus::Running);
    // Healthy canaries wait as long as the operator likes.
    fleet.advance(Duration::from_secs(700));
    assert_eq!(deployment(&fleet), waiting);
    for agent in fleet.agents.values_mut() {
        agent.stuck = false;
    }
    act(&mut fleet, 1, promote.clone()).unwrap();
    fleet.advance(Duration::from_secs(5));
    assert_eq!(
        (running(&fleet, 0), running(&fleet, 1)),
        (0, 3),
        "{:?}",
        fleet.allocs("web")
    );
    assert_eq!(deployment(&fleet).0, DeploymentStatus::Successful);
    assert_eq!(
        act(&mut fleet, 1, promote),
        Err(Refusal::Invalid("can't promote terminal deployment".into()))
    );
}

#[test]
fn a_halted_deployment_replaces_nothing_until_it_goes_on() {
    let update = json!({ "MaxParallel": 1 });
    let mut fleet = Fleet::new(3);
    fleet.run(&version(0, &update));
    for agent in fleet.agents.values_mut() {
        agent.stuck = true;
    }
    fleet.run(&version(1, &update));
    act(&mut fleet, 1, DeploymentAction::Pause).unwrap();
    assert_eq!(
        deployment(&fleet),
        (DeploymentStatus::Paused, "Deployment is paused".into())
    );
    let started = fleet.alloc("web", |it| it.job_version == 1);
    for agent in fleet.agents.values_mut() {
        agent.stuck = false;
    }
    fleet.becomes(started.id, ClientStatus::Running);
    fleet.advance(Duration::from_secs(700));
    assert_eq!((running(&fleet, 0), running(&fleet, 1)), (2, 1));
    act(&mut fleet, 1, DeploymentAction::Resume).unwrap();
    fleet.advance(Duration::from_secs(5));
    assert_eq!(running(&fleet, 1), 3);
    assert_eq!(deployment(&fleet).0, DeploymentStatus::Successful);
}

#[test]
fn a_deployment_that_an_operator_gives_up_goes_back_to_the_stable_version() {
    let update = json!({ "MaxParallel": 1, "AutoRevert": true });
    let mut fleet = Fleet::new(3);
    fleet.run(&version(0, &update));
    for agent in fleet.agents.values_mut() {
        agent.stuck = true;
    }
    fleet.run(&version(1, &update));
    act(&mut fleet, 1, DeploymentAction::Fail).unwrap();
    let text = "Deployment marked as failed - rolling back to job version 0";
    assert_eq!(of_version(&fleet, 1).status_description, text);
    assert_eq!(fleet.core.state().jobs[&key()].version(), 2);
}

/// Three of an older version that may be away for an hour, and a new one whose first allocation starts on a node that is
/// then cut off.
fn cut_off_in_the_middle(update: &Value, disconnect: &Value) -> (Fleet, NodeId) {
    let with = |number| {
        let mut job = version(number, update);
        let group = &mut job.task_groups.as_mut().unwrap()[0];
        group.disconnect = serde_json::from_value(disconnect.clone()).unwrap();
        job
    };
    let mut fleet = Fleet::new(4);
    fleet.run(&with(0));
    for agent in fleet.agents.values_mut() {
        agent.coy = true;
    }
    fleet.run(&with(1));
    let new = fleet.alloc("web", |alloc| alloc.job_version == 1);
    let away = new.node;
    for agent in fleet.agents.values_mut() {
        agent.coy = false;
    }
    fleet.disconnect(away);
    fleet.settle();
    let new = &fleet.core.state().allocs[&new.id];
    assert_eq!((new.client, new.health), (ClientStatus::Unknown, None));
    (fleet, away)
}

#[test]
fn a_deployment_waits_for_a_node_out_of_contact_until_its_deadline_and_then_goes_on_elsewhere() {
    let update = json!({ "MaxParallel": 1, "ProgressDeadline": 600_000_000_000u64 });
    let disconnect = json!({ "LostAfter": 36_000_000_000_000u64, "ReplaceAfter": 0 });
    let (mut fleet, away) = cut_off_in_the_middle(&update, &disconnect);
    fleet.advance(Duration::from_secs(590));
    assert_eq!(
        deployment(&fleet),
        (DeploymentStatus::Running, "Deployment is running".into())
    );
    assert_eq!(running(&fleet, 1), 0, "{:?}", fleet.allocs("web"));
    fleet.advance(Duration::from_secs(60));
    assert_eq!(
        deployment(&fleet).0,
        DeploymentStatus::Successful,
        "{:?}",
        fleet.allocs("web")
    );
    assert_eq!(of_version(&fleet, 1).groups["app"].excused, 1);
    assert_eq!(running(&fleet, 1), 3, "{:?}", fleet.allocs("web"));
    // Back again, there is one too many, and it is settled as ever.
    fleet.connect(away);
    fleet.advance(Duration::from_secs(60));
    assert_eq!(running(&fleet, 1), 3, "{:?}", fleet.allocs("web"));
}

#[test]
fn a_node_out_of_contact_that_is_not_replaced_does_not_hold_up_a_deployment_for_ever() {
    let update = json!({ "MaxParallel": 1, "ProgressDeadline": 600_000_000_000u64 });
    let disconnect = json!({ "LostAfter": 36_000_000_000_000u64, "Replace": false });
    let (mut fleet, _) = cut_off_in_the_middle(&update, &disconnect);
    fleet.advance(Duration::from_secs(700));
    assert_eq!(
        deployment(&fleet).0,
        DeploymentStatus::Successful,
        "{:?}",
        fleet.allocs("web")
    );
    assert_eq!(running(&fleet, 1), 2, "{:?}", fleet.allocs("web"));
}

#[test]
fn without_a_deadline_a_node_out_of_contact_is_not_waited_for_at_all() {
    let update = json!({ "MaxParallel": 1, "ProgressDeadline": 0 });
    let disconnect = json!({ "LostAfter": 36_000_000_000_000u64, "ReplaceAfter": 0 });
    let (mut fleet, _) = cut_off_in_the_middle(&update, &disconnect);
    fleet.advance(Duration::from_secs(10));
    assert_eq!(
        deployment(&fleet).0,
        DeploymentStatus::Successful,
        "{:?}",
        fleet.allocs("web")
    );
    assert_eq!(running(&fleet, 1), 3, "{:?}", fleet.allocs("web"));
}

#[test]
fn what_is_in_contact_and_does_not_become_healthy_fails_a_deployment_all_the_same() {
    let update = json!({ "MaxParallel": 2, "ProgressDeadline": 600_000_000_000u64 });
    let disconnect = json!({ "LostAfter": 36_000_000_000_000u64 });
    let (mut fleet, _) = cut_off_in_the_middle(&update, &disconnect);
    let here = fleet.alloc("web", |it| {
        it.job_version == 1 && it.client == ClientStatus::Running
    });
    fleet.agents.get_mut(&here.node).unwrap().coy = true;
    fleet.advance(Duration::from_secs(700));
    assert_eq!(
        deployment(&fleet),
        (DeploymentStatus::Failed, "Failed due to progress deadline".into())
    );
}

#[test]
fn a_deployment_can_be_given_up_while_all_its_nodes_are_out_of_contact() {
    let update = json!({ "MaxParallel": 1, "ProgressDeadline": 600_000_000_000u64 });
    let disconnect = json!({ "LostAfter": 36_000_000_000_000u64 });
    let (mut fleet, _) = cut_off_in_the_middle(&update, &disconnect);
    for id in fleet.agents.keys().copied().collect::<Vec<_>>() {
        fleet.disconnect(id);
    }
    act(&mut fleet, 1, DeploymentAction::Fail).unwrap();
    assert_eq!(
        deployment(&fleet),
        (DeploymentStatus::Failed, "Deployment marked as failed".into())
    );
}

#[test]
fn a_canary_on_a_node_out_of_contact_is_given_up_at_the_deadline_and_tried_elsewhere() {
    let update = json!({ "MaxParallel": 1, "Canary": 1, "ProgressDeadline": 600_000_000_000u64 });
    let disconnect = json!({ "LostAfter": 36_000_000_000_000u64 });
    let (mut fleet, away) = cut_off_in_the_middle(&update, &disconnect);
    fleet.advance(Duration::from_secs(610));
    let text = "Deployment is running but requires manual promotion";
    assert_eq!(deployment(&fleet), (DeploymentStatus::Running, text.into()));
    // The one that nobody hears may go on where it is.
    let is_heard = |it: &Allocation| it.canary && it.client == ClientStatus::Running;
    let canary = fleet.alloc("web", is_heard);
    assert_ne!(canary.node, away);
    assert_eq!(
        (canary.client, canary.health.map(|it| it.healthy)),
        (ClientStatus::Running, Some(true))
    );
    assert_eq!(of_version(&fleet, 1).groups["app"].excused, 0);
}
