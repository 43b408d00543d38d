use holdfast_shared::model::ClientStatus;
use holdfast_shared::time::Duration;
use holdfast_shared::wire::{Assignments, FromAgent, ToAgent};
use serde_json::json;

use super::{TestBox, assigned, job};
use crate::{Input, RenderedFile, TaskInput, TaskPhase};

#[test]
fn an_assigned_allocation_is_stored_started_and_reported() {
    let mut it = TestBox::new();
    it.link_up();
    it.assign(
        1,
        None,
        vec![assigned(true, 1)],
        &job("service", json!([{ "Name": "t" }]), json!({})),
    );
    assert_eq!(
        (it.client(), it.log.as_slice()),
        (ClientStatus::Running, &["start t".to_owned()][..])
    );
    assert_eq!(it.events("t"), ["Received", "Task Setup", "Started"]);
    assert_eq!(it.store.allocs.len(), 1);
    assert!(matches!(it.published[0], FromAgent::Register(_)));
    let FromAgent::Report(last) = it.published.last().unwrap() else {
        panic!("no report: {:?}", it.published)
    };
    assert_eq!(last.allocs[0].client, ClientStatus::Running);
}

#[test]
fn an_order_of_a_newer_epoch_counts_however_little_that_coordinator_has_changed() {
    let spec = job("service", json!([{ "Name": "t" }]), json!({}));
    let mut it = TestBox::new();
    it.assign(1, None, vec![assigned(true, 50)], &spec);
    it.assign(2, None, vec![assigned(false, 40)], &spec);
    assert_eq!(
        it.client(),
        ClientStatus::Running,
        "an older decision of the same epoch is stale"
    );
    let set = Assignments {
        epoch: 2,
        generation: 1,
        base: None,
        allocs: vec![assigned(false, 30)],
        stop: Vec::new(),
        jobs: Vec::new(),
    };
    it.input(Input::Message(ToAgent::Assignments(set)));
    assert_eq!(it.client(), ClientStatus::Complete);
}

#[test]
fn an_allocation_that_is_updated_in_place_is_declared_healthy_once_more() {
    let update = json!({ "Update": { "MinHealthyTime": 1_000_000_000_i64, "HealthCheck": "task_states" } });
    let mut spec = job("service", json!([{ "Name": "t" }]), update);
    let mut it = TestBox::new();
    it.link_up();
    let verdicts = |it: &TestBox| {
        let reports = it.published.iter().filter_map(|message| match message {
            FromAgent::Report(report) => report.allocs.last(),
            _ => None,
        });
        reports.map(|alloc| alloc.healthy).collect::<Vec<_>>()
    };
    it.assign(1, None, vec![assigned(true, 1)], &spec);
    it.pass(Duration::from_secs(2));
    assert_eq!(verdicts(&it).last(), Some(&Some(true)));
    it.acknowledge();

    spec.version = Some(1);
    let mut newer = assigned(true, 2);
    newer.job_version = 1;
    it.assign(2, None, vec![newer.clone()], &spec);
    let verdict = it.agent.allocs().next().unwrap().healthy;
    assert_eq!(verdict, None, "the old one is not about the new version");
    let said = it.published.len();
    it.pass(Duration::from_secs(2));
    assert!(it.published.len() > said && verdicts(&it).last() == Some(&Some(true)));
    assert_eq!(it.log, ["start t"]);

    // A coordinator that has lost the verdict is told once more.
    it.acknowledge();
    let said = it.published.len();
    it.assign(3, None, vec![newer], &spec);
    assert_eq!(
        (it.published.len(), verdicts(&it).last()),
        (said + 1, Some(&Some(true)))
    );
}

#[test]
fn lifecycle_hooks_take_their_turns() {
    let tasks = json!([
        { "Name": "main" },
        { "Name": "init", "Lifecycle": { "Hook": "prestart" } },
        { "Name": "side", "Lifecycle": { "Hook": "prestart", "Sidecar": true } },
        { "Name": "after", "Lifecycle": { "Hook": "poststop" } },
    ]);
    let mut it = TestBox::new();
    it.assign(1, None, vec![assigned(true, 1)], &job("batch", tasks, json!({})));
    assert_eq!(it.log, ["start init", "start side"]);
    it.exit("init", 0);
    assert_eq!(it.log.last().unwrap(), "start main");
    it.exit("main", 0);
    assert!(
        it.log.contains(&"stop side".to_owned()) && it.log.contains(&"start after".to_owned()),
        "{:?}",
        it.log
    );
    it.exit("after", 0);
    assert_eq!(it.client(), ClientStatus::Complete);
}

#[test]
fn a_task_is_restarted_by_its_policy_and_then_fails_with_its_siblings() {
    let restart =
        json!({ "Attempts": 1, "Interval": 60_000_000_000_i64, "Delay": 1_000_000_000_i64, "Mode": "fail" });
    let mut it = TestBox::new();
    let spec = job(
        "service",
        json!([{ "Name": "a" }, { "Name": "b" }]),
        json!({ "RestartPolicy": restart }),
    );
    it.assign(1, None, vec![assigned(true, 1)], &spec);
    it.exit("a", 3);
    assert_eq!(
        it.agent.allocs().next().unwrap().tasks["a"].phase,
        TaskPhase::Backoff
    );
    it.pass(Duration::from_secs(2));
    assert_eq!(it.log, ["start a", "start b", "remove", "start a"]);
    it.exit("a", 3);
    assert_eq!(it.client(), ClientStatus::Failed);
    assert!(it.log.contains(&"stop b".to_owned()));
    assert!(it.events("b").contains(&"Sibling Task Failed".to_owned()));
    assert!(it.events("a").contains(&"Not Restarting".to_owned()));
}

#[test]
fn an_order_to_stop_waits_for_the_shutdown_delay_and_ends_well() {
    let mut it = TestBox::new();
    let spec = job(
        "service",
        json!([{ "Name": "t" }]),
        json!({ "ShutdownDelay": 5_000_000_000_i64 }),
    );
    it.assign(1, None, vec![assigned(true, 1)], &spec);
    it.assign(2, Some(1), vec![assigned(false, 2)], &spec);
    it.pass(Duration::from_secs(4));
    assert_eq!(it.client(), ClientStatus::Running);
    it.pass(Duration::from_secs(2));
    assert_eq!(it.client(), ClientStatus::Complete);
}

#[test]
fn health_needs_min_healthy_time_without_a_restart() {
    let mut it = TestBox::new();
    it.assign(
        1,
        None,
        vec![assigned(true, 1)],
        &job("service", json!([{ "Name": "t" }]), json!({})),
    );
    it.pass(Duration::from_secs(9));
    let healthy = |it: &TestBox| it.agent.allocs().next().unwrap().healthy;
    assert_eq!(healthy(&it), None);
    it.exit("t", 1);
    it.pass(Duration::from_secs(20));
    assert_eq!(healthy(&it), None);
    it.pass(Duration::from_secs(10));
    assert_eq!(healthy(&it), Some(true));
}

#[test]
fn an_allocation_that_cannot_become_healthy_in_time_is_unhealthy() {
    let mut it = TestBox::new();
    let tasks = json!([{ "Name": "t", "Templates": [{ "EmbeddedTmpl": "" }] }]);
    it.rendered.missing = vec!["nomadService.service(db)".into()];
    it.assign(
        1,
        None,
        vec![assigned(true, 1)],
        &job("service", tasks, json!({})),
    );
    it.pass(Duration::from_secs(301));
    assert_eq!(it.agent.allocs().next().unwrap().healthy, Some(false));
    assert_eq!(it.client(), ClientStatus::Pending);
}

#[test]
fn a_task_waits_for_its_templates_and_a_change_restarts_it_unless_it_is_noop() {
    for (mode, restarts) in [("noop", 0), ("restart", 1)] {
        let mut it = TestBox::new();
        it.link_up();
        let template = json!({ "EmbeddedTmpl": "x", "ChangeMode": mode, "Splay": 0 });
        let spec = job(
            "service",
            json!([{ "Name": "t", "Templates": [template] }]),
            json!({}),
        );
        it.rendered.missing = vec!["nomadService.service(db)".into()];
        it.rendered.services = [("default".to_owned(), "db".to_owned())].into();
        it.assign(1, None, vec![assigned(true, 1)], &spec);
        assert_eq!((it.client(), it.running.len()), (ClientStatus::Pending, 0));
        let asked =
            |message: &FromAgent| matches!(message, FromAgent::Interest(it) if it.services.len() == 1);
        assert!(it.published.iter().any(asked));

        it.rendered.missing.clear();
        catalog(&mut it, 1);
        assert_eq!(it.client(), ClientStatus::Running, "{mode}");

        it.rendered.changed = vec![RenderedFile { template: 0 }];
        catalog(&mut it, 2);
        it.pass(Duration::from_secs(1));
        let starts = it.log.iter().filter(|line| *line == "start t").count();
        assert_eq!(starts, 1 + restarts, "{mode}: {:?}", it.log);
    }
}

fn catalog(it: &mut TestBox, revision: u64) {
    use holdfast_shared::wire::{Catalog, ToAgent};
    it.input(Input::Message(ToAgent::Catalog(Catalog {
        revision,
        services: Vec::new(),
    })));
}

#[test]
fn a_start_that_cannot_succeed_fails_the_allocation_with_its_reason() {
    let mut it = TestBox::new();
    it.assign(
        1,
        None,
        vec![assigned(true, 1)],
        &job("service", json!([{ "Name": "t" }]), json!({})),
    );
    let task = it.task("t");
    it.exit("t", 1);
    it.pass(Duration::from_secs(30));
    let message = "config.image is missing".to_owned();
    it.exit("t", 1);
    it.input(Input::Task(
        task,
        TaskInput::StartFailed {
            message,
            recoverable: false,
        },
    ));
    assert_eq!(it.client(), ClientStatus::Failed);
    assert!(it.events("t").contains(&"Driver Failure".to_owned()));
}

#[test]
fn what_is_unacknowledged_is_reported_again_and_what_is_acknowledged_is_not() {
    let mut it = TestBox::new();
    it.link_up();
    it.assign(
        1,
        None,
        vec![assigned(true, 1)],
        &job("service", json!([{ "Name": "t" }]), json!({})),
    );
    let reports = |it: &TestBox| {
        it.published
            .iter()
            .filter(|m| matches!(m, FromAgent::Report(_)))
            .count()
    };
    let before = reports(&it);
    it.pass(Duration::from_secs(21));
    assert!(reports(&it) > before);
    it.acknowledge();
    let before = reports(&it);
    it.pass(Duration::from_secs(300));
    assert_eq!((it.agent.outbox_depth(), reports(&it)), (0, before));
}

#[test]
fn a_report_that_the_broker_lost_is_not_acknowledged_by_a_later_one() {
    use holdfast_shared::wire::ToAgent;
    let mut it = TestBox::new();
    it.link_up();
    it.assign(
        1,
        None,
        vec![assigned(true, 1)],
        &job("service", json!([{ "Name": "t" }]), json!({})),
    );
    it.acknowledge();
    it.published.clear();
    it.exit("t", 1);
    it.pass(Duration::from_secs(19));
    let seqs: Vec<u64> = it
        .published
        .iter()
        .filter_map(|message| {
            if let FromAgent::Report(report) = message {
                Some(report.seq)
            } else {
                None
            }
        })
        .collect();
    let last = *seqs.last().unwrap();
    it.input(Input::Message(ToAgent::Ack {
        session: 1,
        seq: last,
    }));
    it.published.clear();
    it.pass(Duration::from_secs(30));
    let again = |message: &FromAgent| matches!(message, FromAgent::Report(report) if report.full);
    assert!(seqs.len() > 1 && it.published.iter().any(again), "{seqs:?}");
}
