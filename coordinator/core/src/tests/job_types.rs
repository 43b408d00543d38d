//! Jobs of the other types: what runs everywhere, and what ends.

use holdfast_shared::model::{ClientStatus, DeploymentStatus, Job};
use holdfast_shared::time::Duration;
use serde_json::{Value, json};

use super::fleet::Fleet;
use super::rollout::{deployment, key, of_version, running, version};
use crate::Command;

fn everywhere(number: u64) -> Job {
    let mut job = version(number, &json!({ "MaxParallel": 1 }));
    job.kind = Some("system".to_owned());
    job.task_groups.as_mut().unwrap()[0].count = Some(1);
    job
}

#[test]
fn a_system_job_is_deployed_and_updated_node_by_node() {
    let mut fleet = Fleet::new(3);
    fleet.run(&everywhere(0));
    fleet.advance(Duration::from_secs(2));
    let first = of_version(&fleet, 0);
    let group = &first.groups["app"];
    assert_eq!(
        (first.status, group.desired_total, group.placed, group.healthy),
        (DeploymentStatus::Successful, 3, 3, 3)
    );
    for agent in fleet.agents.values_mut() {
        agent.coy = true;
    }
    fleet.run(&everywhere(1));
    fleet.advance(Duration::from_secs(5));
    assert_eq!((running(&fleet, 0), running(&fleet, 1)), (2, 1));
    for agent in fleet.agents.values_mut() {
        agent.coy = false;
    }
    for node in fleet.agents.keys().copied().collect::<Vec<_>>() {
        fleet.report_all(node);
    }
    fleet.advance(Duration::from_secs(5));
    assert_eq!((running(&fleet, 0), running(&fleet, 1)), (0, 3));
    assert_eq!(deployment(&fleet).0, DeploymentStatus::Successful);
    assert_eq!(fleet.core.state().jobs[&key()].stable, Some(true));
}

#[test]
fn a_system_job_that_fails_on_a_node_stops_there_and_is_not_rolled_out_further() {
    let mut fleet = Fleet::new(3);
    fleet.run(&everywhere(0));
    fleet.advance(Duration::from_secs(2));
    for agent in fleet.agents.values_mut() {
        agent.broken = [1].into();
    }
    fleet.run(&everywhere(1));
    fleet.advance(Duration::from_secs(5));
    assert_eq!(
        deployment(&fleet),
        (
            DeploymentStatus::Failed,
            "Failed due to unhealthy allocations".into()
        )
    );
    assert_eq!(running(&fleet, 0), 2, "{:?}", fleet.allocs("web"));
}

#[test]
fn what_fails_of_a_system_job_is_tried_again_on_its_node_with_pauses_that_double() {
    let mut fleet = Fleet::new(2);
    fleet.run(&everywhere(0));
    fleet.advance(Duration::from_secs(2));
    let mut failing = fleet.alloc("web", |_| true);
    let node = failing.node;
    for pause in [30, 60, 120] {
        fleet.becomes(failing.id, ClientStatus::Failed);
        fleet.advance(Duration::from_secs(pause - 10));
        assert_eq!(running(&fleet, 0), 1, "{:?}", fleet.allocs("web"));
        fleet.advance(Duration::from_secs(15));
        assert_eq!(running(&fleet, 0), 2, "{:?}", fleet.allocs("web"));
        failing = fleet.alloc("web", |it| it.node == node && !it.is_terminal());
    }
}

#[test]
fn a_node_out_of_contact_holds_no_deployment_of_a_system_job_up() {
    let mut fleet = Fleet::new(3);
    let mut job = everywhere(0);
    job.task_groups.as_mut().unwrap()[0].disconnect =
        serde_json::from_value(json!({ "LostAfter": 3_600_000_000_000_i64 })).unwrap();
    let away = holdfast_shared::id::NodeId(2);
    fleet.agents.get_mut(&away).unwrap().coy = true;
    fleet.run(&job);
    fleet.disconnect(away);
    fleet.advance(Duration::from_secs(10));
    assert_eq!(deployment(&fleet).0, DeploymentStatus::Successful);
}

#[test]
fn a_sysbatch_job_runs_once_on_every_node_and_is_dead_then() {
    let mut fleet = Fleet::new(2);
    let mut job = everywhere(0);
    job.kind = Some("sysbatch".to_owned());
    job.update = None;
    job.task_groups.as_mut().unwrap()[0].update = None;
    fleet.run(&job);
    let status = |fleet: &Fleet| fleet.core.state().jobs[&key()].status.clone();
    assert_eq!(running(&fleet, 0), 2);
    assert_eq!(status(&fleet).as_deref(), Some("running"));
    let ids: Vec<_> = fleet.core.state().allocs.keys().copied().collect();
    for id in ids {
        fleet.becomes(id, ClientStatus::Complete);
    }
    fleet
        .command(Command::EvaluateJob {
            key: key(),
            force_reschedule: false,
        })
        .unwrap();
    assert_eq!(fleet.allocs("web").len(), 2);
    assert_eq!(status(&fleet).as_deref(), Some("dead"));
    assert!(fleet.core.state().deployments.is_empty());
    // A node that comes later has not had its turn.
    fleet.join(holdfast_shared::id::NodeId(9));
    assert_eq!(fleet.allocs("web").len(), 3);
}

#[test]
fn a_batch_job_is_done_when_it_has_succeeded_and_fails_after_its_attempts() {
    let mut fleet = Fleet::new(2);
    let mut job = version(0, &Value::Null);
    job.kind = Some("batch".to_owned());
    let group = &mut job.task_groups.as_mut().unwrap()[0];
    (group.count, group.update, group.reschedule_policy) = (Some(2), None, None);
    job.canonicalize();
    fleet.run(&job);
    let status = |fleet: &Fleet| fleet.core.state().jobs[&key()].status.clone();
    let first = fleet.alloc("web", |it| *it.name == *"web.app[0]").id;
    fleet.becomes(first, ClientStatus::Complete);
    assert_eq!(status(&fleet).as_deref(), Some("running"));
    let second = fleet.alloc("web", |it| *it.name == *"web.app[1]").id;
    fleet.becomes(second, ClientStatus::Failed);
    fleet.advance(Duration::from_secs(6));
    // One more attempt is allowed; what has succeeded is not run again.
    assert_eq!(fleet.allocs("web").len(), 3, "{:?}", fleet.allocs("web"));
    let third = fleet.alloc("web", |it| it.client == ClientStatus::Running).id;
    fleet.becomes(third, ClientStatus::Failed);
    fleet.advance(Duration::from_secs(60));
    assert_eq!(fleet.allocs("web").len(), 3);
    assert_eq!(status(&fleet).as_deref(), Some("dead"));
}
