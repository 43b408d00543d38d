use holdfast_shared::id::AllocId;
use holdfast_shared::model::ClientStatus;
use holdfast_shared::time::{Duration, Timestamp};
use holdfast_shared::wire::{Assigned, Assignments, FromAgent, Held, JobSpec, ToAgent};
use serde_json::json;

use super::{TestBox, assigned, job};
use crate::{Effect, Exit, Input, Link, Recovery, TaskInput};

fn running_box() -> TestBox {
    let mut it = TestBox::new();
    it.link_up();
    it.assign(
        5,
        None,
        vec![assigned(true, 1)],
        &job("service", json!([{ "Name": "t" }]), json!({})),
    );
    it.acknowledge();
    it
}

#[test]
fn an_older_generation_or_epoch_is_ignored_and_a_gap_asks_for_the_whole_set() {
    let mut it = running_box();
    let spec = job("service", json!([{ "Name": "t" }]), json!({}));
    it.assign(4, None, vec![assigned(false, 9)], &spec);
    it.assign(5, None, vec![assigned(false, 9)], &spec);
    assert_eq!(it.client(), ClientStatus::Running);
    it.published.clear();
    let older = Assignments {
        epoch: 0,
        generation: 9,
        base: None,
        allocs: vec![assigned(false, 9)],
        stop: vec![AllocId(1)],
        jobs: vec![],
    };
    it.input(Input::Message(ToAgent::Assignments(older)));
    assert_eq!(it.client(), ClientStatus::Running);
    it.assign(9, Some(7), vec![assigned(false, 9)], &spec);
    assert_eq!(it.client(), ClientStatus::Running);
    let held = Held {
        epoch: 1,
        generation: 0,
    };
    assert_eq!(it.published, [FromAgent::Heartbeat { session: 1, held }]);
}

#[test]
fn a_delta_of_a_coordinator_that_has_restarted_builds_on_what_is_there() {
    let mut it = running_box();
    let set = Assignments {
        epoch: 7,
        generation: 6,
        base: Some(5),
        allocs: vec![assigned(false, 9)],
        stop: vec![],
        jobs: vec![],
    };
    it.input(Input::Message(ToAgent::Assignments(set)));
    let held = Held {
        epoch: 7,
        generation: 6,
    };
    assert_eq!((it.agent.held(), it.client()), (held, ClientStatus::Complete));
}

#[test]
fn a_delta_whose_job_version_is_missing_asks_for_the_whole_set() {
    let mut it = running_box();
    it.published.clear();
    let unheard = Assigned {
        id: AllocId(2),
        job_version: 7,
        ..assigned(true, 9)
    };
    let set = Assignments {
        epoch: 1,
        generation: 6,
        base: Some(5),
        allocs: vec![unheard],
        stop: vec![],
        jobs: vec![],
    };
    it.input(Input::Message(ToAgent::Assignments(set)));
    assert_eq!(
        it.published,
        [FromAgent::Heartbeat {
            session: 1,
            held: Held {
                epoch: 1,
                generation: 0
            }
        }]
    );
    assert_eq!(it.agent.held().generation, 5);
}

#[test]
fn absence_is_no_order() {
    let mut it = running_box();
    let set = Assignments {
        epoch: 1,
        generation: 6,
        base: None,
        allocs: vec![],
        stop: vec![],
        jobs: vec![],
    };
    it.input(Input::Message(ToAgent::Assignments(set)));
    it.input(Input::Link(Link::Down));
    it.pass(Duration::from_secs(100 * 3600));
    assert_eq!((it.client(), it.running.len()), (ClientStatus::Running, 1));
}

#[test]
fn an_allocation_that_the_coordinator_disowns_ends_and_is_forgotten() {
    let mut it = running_box();
    let disown = |generation| Assignments {
        epoch: 1,
        generation,
        base: Some(generation - 1),
        allocs: vec![],
        stop: vec![AllocId(1)],
        jobs: vec![],
    };
    it.input(Input::Message(ToAgent::Assignments(disown(6))));
    assert_eq!(it.client(), ClientStatus::Complete);
    it.input(Input::Message(ToAgent::Assignments(disown(7))));
    assert_eq!((it.agent.allocs().count(), it.store.allocs.len()), (0, 0));
    assert!(it.store.specs.is_empty(), "its job version is forgotten with it");
}

#[test]
fn every_kind_of_job_comes_back_after_a_reboot_without_any_contact() {
    for kind in ["service", "batch", "system", "sysbatch"] {
        let mut before = TestBox::new();
        before.assign(
            1,
            None,
            vec![assigned(true, 1)],
            &job(kind, json!([{ "Name": "t" }]), json!({})),
        );
        let mut after = TestBox::from_store(before.store, false, Timestamp::from_secs(3));
        assert_eq!(after.log, ["recover t"], "{kind}");
        let task = after.task("t");
        after.input(Input::Task(task, TaskInput::Recovered(Recovery::Gone)));
        assert_eq!(
            (after.client(), after.running.len()),
            (ClientStatus::Running, 1),
            "{kind}"
        );
    }
}

#[test]
fn a_reboot_while_a_task_waits_for_its_restart_starts_it_at_once() {
    let mut before = TestBox::new();
    before.assign(
        1,
        None,
        vec![assigned(true, 1)],
        &job("service", json!([{ "Name": "t" }]), json!({})),
    );
    before.exit("t", 1);
    let after = TestBox::from_store(before.store, false, Timestamp::from_secs(3));
    assert_eq!((after.client(), after.running.len()), (ClientStatus::Running, 1));
}

#[test]
fn a_restarted_agent_finds_its_tasks_again_without_restarting_them() {
    let before = running_box();
    let mut after = TestBox::from_store(before.store, true, Timestamp::from_secs(1010));
    let task = after.task("t");
    after.input(Input::Task(
        task.clone(),
        TaskInput::Recovered(Recovery::Unclear("podman does not answer".into())),
    ));
    after.pass(Duration::from_secs(3));
    assert_eq!(after.log, ["recover t", "recover t"]);
    after.input(Input::Task(
        task,
        TaskInput::Recovered(Recovery::Running {
            address: String::new(),
        }),
    ));
    assert_eq!((after.client(), after.log.len()), (ClientStatus::Running, 2));
    assert_eq!(
        after.agent.held(),
        Held {
            epoch: 1,
            generation: 5
        }
    );
}

#[test]
fn a_task_that_failed_while_the_agent_was_away_follows_its_restart_policy() {
    let before = running_box();
    let mut after = TestBox::from_store(before.store, true, Timestamp::from_secs(1010));
    let task = after.task("t");
    let exit = Exit {
        code: 1,
        ..Exit::default()
    };
    after.input(Input::Task(task, TaskInput::Recovered(Recovery::Exited(exit))));
    after.pass(Duration::from_secs(20));
    assert_eq!((after.client(), after.running.len()), (ClientStatus::Running, 1));
}

#[test]
fn only_stop_on_client_after_ends_a_task_for_lack_of_contact() {
    let mut it = TestBox::new();
    it.link_up();
    let group = json!({ "Disconnect": { "StopOnClientAfter": 60_000_000_000_i64 } });
    it.assign(
        1,
        None,
        vec![assigned(true, 1)],
        &job("service", json!([{ "Name": "t" }]), group),
    );
    it.input(Input::Link(Link::Down));
    it.pass(Duration::from_secs(59));
    assert_eq!(it.client(), ClientStatus::Running);
    it.pass(Duration::from_secs(2));
    assert_eq!(it.client(), ClientStatus::Complete);
}

#[test]
fn an_allocation_held_for_unknown_records_that_it_reconnected_once_told_so() {
    let mut it = running_box();
    let spec = job("service", json!([{ "Name": "t" }]), json!({}));
    it.assign(
        6,
        Some(5),
        vec![Assigned {
            unknown: true,
            ..assigned(true, 2)
        }],
        &spec,
    );
    assert_eq!(it.events("t").last().unwrap(), "Reconnected");
    let FromAgent::Report(report) = it.published.last().unwrap() else {
        panic!("{:?}", it.published)
    };
    assert_eq!(
        report.allocs[0].tasks[0].events.last().unwrap().message,
        "Client reconnected"
    );
}

#[test]
fn contact_begins_with_who_what_and_everything() {
    let mut it = running_box();
    it.input(Input::Link(Link::Down));
    it.published.clear();
    it.input(Input::Link(Link::Up { session: 2 }));
    let kinds: Vec<&str> = it
        .published
        .iter()
        .map(|message| match message {
            FromAgent::Register(_) => "register",
            FromAgent::Report(report) if report.full => "full report",
            FromAgent::Report(_) => "report",
            FromAgent::Interest(_) => "interest",
            FromAgent::Heartbeat { .. } => "heartbeat",
            FromAgent::Answer(_) => "answer",
        })
        .collect();
    assert_eq!(kinds, ["register", "full report", "interest"]);
}

#[test]
fn a_coordinator_that_lost_its_state_learns_who_is_there() {
    let mut it = running_box();
    it.published.clear();
    it.input(Input::Message(ToAgent::ReportAll));
    assert!(matches!(
        it.published[..],
        [
            FromAgent::Register(_),
            FromAgent::Report(_),
            FromAgent::Interest(_)
        ]
    ));
}

#[test]
fn an_orphan_is_left_alone_until_the_coordinator_says_that_it_is_to_end() {
    let mut it = TestBox::new();
    it.link_up();
    it.published.clear();
    it.log.clear();
    it.input(Input::Orphan(AllocId(7)));
    let reported = it.published.iter().any(|message| {
        matches!(message, FromAgent::Report(report) if report.full && report.allocs.iter().any(|it| it.id == AllocId(7)))
    });
    assert!(reported, "{:?}", it.published);
    let mut set = Assignments {
        epoch: 1,
        generation: 1,
        base: None,
        allocs: vec![],
        stop: vec![],
        jobs: vec![],
    };
    it.input(Input::Message(ToAgent::Assignments(set.clone())));
    assert_eq!(
        it.log,
        Vec::<String>::new(),
        "its absence from a whole set is no order"
    );
    (set.generation, set.stop) = (2, vec![AllocId(7)]);
    it.input(Input::Message(ToAgent::Assignments(set)));
    assert_eq!(it.log, ["destroy"]);
}

#[test]
fn an_orphan_that_is_assigned_again_and_ends_before_it_was_adopted_is_ended() {
    let mut it = TestBox::new();
    it.link_up();
    it.input(Input::Orphan(AllocId(1)));
    it.log.clear();
    let spec = job("service", json!([{ "Name": "t" }]), json!({}));
    let set = |generation, run| {
        Input::Message(ToAgent::Assignments(Assignments {
            epoch: 1,
            generation,
            base: None,
            allocs: vec![assigned(run, generation)],
            stop: vec![],
            jobs: vec![JobSpec::of(&spec, |_| true)],
        }))
    };
    // The order to end comes before anything was prepared.
    let unprepared = it.agent.handle(it.now, set(1, true));
    assert!(
        unprepared.contains(&Effect::Prepare(AllocId(1))),
        "{unprepared:?}"
    );
    it.input(set(2, false));
    assert_eq!(it.client(), ClientStatus::Complete);
    assert_eq!(it.log, ["sweep"]);
}

#[test]
fn a_whole_set_without_a_job_version_fails_what_needs_it_and_is_not_asked_for_again() {
    let mut it = running_box();
    it.published.clear();
    let unexplained = Assigned {
        id: AllocId(2),
        job_version: 7,
        ..assigned(true, 9)
    };
    let set = Assignments {
        epoch: 1,
        generation: 6,
        base: None,
        allocs: vec![assigned(true, 1), unexplained],
        stop: vec![],
        jobs: vec![],
    };
    it.input(Input::Message(ToAgent::Assignments(set)));
    let failed = it.agent.alloc(AllocId(2)).map(|record| record.client);
    assert_eq!(failed, Some(ClientStatus::Failed));
    let asks = |it: &FromAgent| matches!(it, FromAgent::Heartbeat { .. });
    assert!(!it.published.iter().any(asks), "{:?}", it.published);
}

#[test]
fn what_runs_although_its_allocation_is_over_is_ended() {
    let mut it = running_box();
    let spec = job("service", json!([{ "Name": "t" }]), json!({}));
    it.assign(6, None, vec![assigned(false, 6)], &spec);
    assert_eq!(it.client(), ClientStatus::Complete);
    it.log.clear();
    it.published.clear();
    it.input(Input::Orphan(AllocId(1)));
    assert_eq!(it.log, ["sweep"]);
    assert_eq!(it.published, []);
}

#[test]
fn what_is_updated_in_place_while_out_of_contact_and_then_stopped_ends() {
    let mut it = running_box();
    let unheard = Assigned {
        job_version: 7,
        ..assigned(false, 9)
    };
    let set = Assignments {
        epoch: 1,
        generation: 6,
        base: None,
        allocs: vec![unheard],
        stop: vec![],
        jobs: vec![],
    };
    it.input(Input::Message(ToAgent::Assignments(set)));
    it.pass(Duration::from_secs(10));
    assert_eq!(it.client(), ClientStatus::Complete);
}
