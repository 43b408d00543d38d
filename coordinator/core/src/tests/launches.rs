//! Jobs that launch others: by the clock, and on demand.

use std::collections::BTreeMap;

use holdfast_shared::id::{AllocId, JobKey};
use holdfast_shared::model::{ClientStatus, Job, Periodic, Trigger};
use holdfast_shared::time::{Duration, Timestamp};
use serde_json::json;

use super::fleet::{Fleet, job};
use crate::dry_run::DryRun;
use crate::{Command, Dispatch, JobAction, Refusal, Response};

/// Every full minute, whatever the expression says.
fn every_minute(_: &Periodic, after: Timestamp) -> Option<Timestamp> {
    Some(Timestamp::from_secs((after.as_secs() / 60 + 1) * 60))
}

fn fleet() -> Fleet {
    let mut fleet = Fleet::new(2);
    fleet.options.calendar = every_minute;
    fleet.restart(fleet.core.state().clone());
    fleet
}

fn nightly(prohibit_overlap: bool) -> Job {
    job(json!({ "ID": "nightly", "Type": "batch",
        "Periodic": { "Specs": ["* * * * *"], "ProhibitOverlap": prohibit_overlap },
        "TaskGroups": [{ "Name": "g", "Tasks": [{ "Name": "main", "Driver": "docker" }] }] }))
}

fn resize(payload: &str) -> Job {
    job(
        json!({ "ID": "resize", "Type": "batch", "Meta": { "size": "10", "owner": "ops" },
        "ParameterizedJob": { "Payload": payload, "MetaRequired": ["file"], "MetaOptional": ["size"] },
        "TaskGroups": [{ "Name": "g", "Tasks": [{ "Name": "main", "Driver": "docker" }] }] }),
    )
}

/// Ids and statuses of the jobs that were launched from `parent`.
fn children(fleet: &Fleet, parent: &str) -> Vec<(String, String)> {
    let key = JobKey::new("default", parent);
    let children = fleet.core.state().children_of(&key);
    children
        .map(|job| (job.id().to_owned(), job.status.clone().unwrap_or_default()))
        .collect()
}

/// Every task that runs ends well.
fn finish_all(fleet: &mut Fleet) {
    let running: Vec<AllocId> = fleet
        .core
        .state()
        .allocs
        .values()
        .filter(|alloc| alloc.client == ClientStatus::Running)
        .map(|alloc| alloc.id)
        .collect();
    for id in running {
        fleet.becomes(id, ClientStatus::Complete);
    }
}

fn dispatch(fleet: &mut Fleet, wish: Dispatch) -> Result<Response, Refusal> {
    fleet.command(Command::Job(
        JobKey::new("default", "resize"),
        JobAction::Dispatch(wish),
    ))
}

fn with_file() -> Dispatch {
    Dispatch {
        meta: BTreeMap::from([("file".to_owned(), "a.png".to_owned())]),
        ..Dispatch::default()
    }
}

#[test]
fn a_periodic_job_launches_by_the_clock_and_runs_nothing_itself() {
    let mut fleet = fleet();
    let response = fleet.run(&nightly(false));
    assert_eq!(response.eval, None);
    let key = JobKey::new("default", "nightly");
    assert_eq!(fleet.core.state().jobs[&key].status.as_deref(), Some("running"));
    let first = (fleet.now.as_secs() / 60 + 1) * 60;
    fleet.advance(Duration::from_secs(125));
    let ids: Vec<String> = children(&fleet, "nightly")
        .into_iter()
        .map(|(id, _)| id)
        .collect();
    assert_eq!(
        ids,
        [
            format!("nightly/periodic-{first}"),
            format!("nightly/periodic-{}", first + 60)
        ]
    );
    let state = fleet.core.state();
    let child = &state.jobs[&JobKey::new("default", ids[0].clone())];
    assert_eq!(child.parent_id.as_deref(), Some("nightly"));
    assert!(child.periodic.is_none() && child.name() == ids[0]);
    let eval = state
        .evals_of_job(&JobKey::new("default", ids[0].clone()))
        .next()
        .unwrap()
        .trigger;
    assert_eq!(eval, Trigger::PeriodicJob);
    assert_eq!(fleet.allocs("nightly"), Vec::<String>::new());
    assert_eq!(fleet.allocs(&ids[0]).len(), 1);
    finish_all(&mut fleet);
    assert!(
        children(&fleet, "nightly")
            .iter()
            .all(|(_, status)| status == "dead")
    );
}

#[test]
fn an_instance_that_was_out_of_contact_and_is_done_holds_no_other_one_up() {
    let mut fleet = fleet();
    let mut job = nightly(true);
    job.task_groups.as_mut().unwrap()[0].disconnect =
        serde_json::from_value(json!({ "LostAfter": 7_200_000_000_000_i64, "Replace": false })).unwrap();
    fleet.run(&job);
    fleet.advance(Duration::from_secs(61));
    let first = children(&fleet, "nightly")[0].0.clone();
    let node = fleet.alloc(&first, |_| true).node;
    fleet.disconnect(node);
    fleet.advance(Duration::from_secs(60));
    assert_eq!(fleet.alloc(&first, |_| true).client, ClientStatus::Unknown);
    fleet.connect(node);
    fleet.advance(Duration::from_secs(10));
    finish_all(&mut fleet);
    fleet.advance(Duration::from_secs(61));
    let all = children(&fleet, "nightly");
    assert_eq!((all.len(), all[0].1.as_str()), (2, "dead"), "{all:?}");
}

#[test]
fn no_instance_is_launched_beside_one_that_runs_when_the_job_wants_none() {
    let mut fleet = fleet();
    fleet.run(&nightly(true));
    fleet.advance(Duration::from_secs(200));
    assert_eq!(children(&fleet, "nightly").len(), 1);
    finish_all(&mut fleet);
    fleet.advance(Duration::from_secs(60));
    assert_eq!(children(&fleet, "nightly").len(), 2);
}

#[test]
fn launches_that_were_missed_are_made_up_for_by_one() {
    let mut fleet = fleet();
    fleet.run(&nightly(false));
    fleet.advance(Duration::from_secs(61));
    assert_eq!(children(&fleet, "nightly").len(), 1);
    // The coordinator is down for an hour.
    let state = fleet.core.state().clone();
    fleet.now = fleet.now + Duration::from_secs(3600);
    fleet.restart(state);
    assert_eq!(children(&fleet, "nightly").len(), 2);
    fleet.restart(fleet.core.state().clone());
    assert_eq!(children(&fleet, "nightly").len(), 2);
    fleet.advance(Duration::from_secs(60));
    assert_eq!(children(&fleet, "nightly").len(), 3);
}

#[test]
fn a_clock_that_once_ran_ahead_does_not_stop_launches() {
    let mut fleet = fleet();
    fleet.run(&nightly(false));
    let now = fleet.now;
    fleet.now = now + Duration::from_secs(365 * 86_400);
    fleet.settle();
    assert_eq!(children(&fleet, "nightly").len(), 1);
    fleet.now = now;
    fleet.restart(fleet.core.state().clone());
    // The next launch is the one that was made up for; only the one after it is new.
    fleet.advance(Duration::from_secs(120));
    assert_eq!(children(&fleet, "nightly").len(), 2);
}

#[test]
fn a_periodic_job_can_be_launched_now_unless_it_is_stopped() {
    let mut fleet = fleet();
    fleet.run(&nightly(true));
    let key = JobKey::new("default", "nightly");
    let launch = |fleet: &mut Fleet| fleet.command(Command::Job(key.clone(), JobAction::LaunchNow));
    let response = launch(&mut fleet).unwrap();
    assert_eq!(
        response.launched,
        Some(format!("nightly/periodic-{}", fleet.now.as_secs()))
    );
    assert!(response.eval.is_some());
    let stopped = fleet
        .command(Command::DeregisterJob {
            key: key.clone(),
            purge: false,
            no_shutdown_delay: false,
        })
        .unwrap();
    // What it has launched goes on.
    assert_eq!(stopped.eval, None);
    fleet.advance(Duration::from_secs(200));
    assert_eq!(
        children(&fleet, "nightly"),
        [(response.launched.unwrap(), "running".to_owned())]
    );
    assert_eq!(
        launch(&mut fleet).unwrap_err().to_string(),
        "can't force launch stopped job"
    );
    assert_eq!(fleet.core.state().jobs[&key].status.as_deref(), Some("dead"));
}

#[test]
fn a_periodic_job_that_is_switched_off_neither_launches_nor_runs() {
    let mut fleet = fleet();
    let mut off = nightly(false);
    off.periodic.as_mut().unwrap().enabled = Some(false);
    fleet.run(&off);
    fleet.advance(Duration::from_secs(130));
    assert!(children(&fleet, "nightly").is_empty() && fleet.allocs("nightly").is_empty());
    fleet.run(&nightly(false));
    fleet.advance(Duration::from_secs(60));
    assert_eq!(children(&fleet, "nightly").len(), 1);
}

#[test]
fn a_plan_of_a_periodic_job_shows_what_it_launches() {
    let fleet = fleet();
    let run = DryRun::of(fleet.core.state(), &fleet.options, fleet.now, &nightly(false)).unwrap();
    assert_eq!(run.groups["g"].place, 1);
}

#[test]
fn a_dispatch_launches_a_copy_with_its_own_meta_and_payload() {
    let mut fleet = fleet();
    assert_eq!(fleet.run(&resize("optional")).eval, None);
    let wish = Dispatch {
        payload: "aGVsbG8=".to_owned(),
        id_prefix: "night".to_owned(),
        ..with_file()
    };
    let response = dispatch(&mut fleet, wish).unwrap();
    let id = response.launched.unwrap();
    assert!(
        id.starts_with(&format!("resize/dispatch-night-{}-", fleet.now.as_secs())),
        "{id}"
    );
    let child = &fleet.core.state().jobs[&JobKey::new("default", id.clone())];
    assert!(child.dispatched && child.payload.as_deref() == Some("aGVsbG8="));
    let meta = child.meta.as_ref().unwrap();
    assert_eq!(
        (
            meta["file"].as_str(),
            meta["size"].as_str(),
            meta["owner"].as_str()
        ),
        ("a.png", "10", "ops")
    );
    assert_eq!(children(&fleet, "resize"), [(id.clone(), "running".to_owned())]);
    finish_all(&mut fleet);
    assert_eq!(children(&fleet, "resize"), [(id, "dead".to_owned())]);
}

#[test]
fn a_dispatch_that_is_repeated_with_its_token_is_told_of_the_first() {
    let mut fleet = fleet();
    fleet.run(&resize("optional"));
    let wish = Dispatch {
        idempotency_token: "once".to_owned(),
        ..with_file()
    };
    let first = dispatch(&mut fleet, wish.clone()).unwrap();
    let second = dispatch(&mut fleet, wish).unwrap();
    assert_eq!((first.launched, None), (second.launched, second.eval));
    assert_eq!(children(&fleet, "resize").len(), 1);
    dispatch(&mut fleet, with_file()).unwrap();
    assert_eq!(children(&fleet, "resize").len(), 2);
}

#[test]
fn a_dispatch_that_the_job_does_not_take_says_why() {
    let mut fleet = fleet();
    fleet.run(&resize("required"));
    let long = "A".repeat(16 * 1024 / 3 * 4 + 8);
    let payload = |text: &str| Dispatch {
        payload: text.to_owned(),
        ..with_file()
    };
    let mut surplus = payload("aGk=");
    surplus.meta.insert("nope".to_owned(), "1".to_owned());
    let mut missing = payload("aGk=");
    missing.meta.clear();
    for (wish, text) in [
        (
            payload(""),
            "Payload is not provided but required by parameterized job",
        ),
        (payload(&long), "Payload exceeds maximum size; 16389 > 16384"),
        (
            surplus,
            "Dispatch request included unpermitted metadata keys: [nope]",
        ),
        (missing, "Dispatch did not provide required meta keys: [file]"),
    ] {
        assert_eq!(dispatch(&mut fleet, wish).unwrap_err().to_string(), text);
    }
    fleet.run(&resize("forbidden"));
    assert_eq!(
        dispatch(&mut fleet, payload("aGk=")).unwrap_err().to_string(),
        "Payload provided but forbidden by parameterized job"
    );
    fleet.run(&nightly(false));
    let refusal = fleet
        .command(Command::Job(
            JobKey::new("default", "nightly"),
            JobAction::Dispatch(with_file()),
        ))
        .unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "Specified job \"nightly\" is not a parameterized job"
    );
}
