//! The life of jobs: registered, placed, repaired, stopped, forgotten.

use holdfast_shared::id::{JobKey, NodeId};
use holdfast_shared::model::{ClientStatus, DesiredStatus, EvalStatus, Job, Trigger};
use holdfast_shared::time::Duration;
use holdfast_shared::wire::{FromAgent, Interest};
use serde_json::{Value, json};

use super::fleet::{Fleet, job};
use crate::{Command, Input, Refusal};

pub(super) fn web(count: u64) -> Value {
    json!({ "ID": "web", "Type": "service", "TaskGroups": [{ "Name": "app", "Count": count, "Tasks": [
        { "Name": "main", "Driver": "docker", "Config": { "image": "web:1" } }
    ] }] })
}

fn register(job: &Job, check_index: u64) -> Command {
    Command::RegisterJob {
        job: Box::new(job.clone()),
        check_index: Some(check_index),
        preserve_counts: false,
        eval_priority: None,
        submission: None,
    }
}

fn key() -> JobKey {
    JobKey::new("default", "web")
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
    assert_eq!(fleet.core.state().jobs[&key()].status.as_deref(), Some("running"));
}

#[test]
fn the_same_specification_makes_no_version_but_an_evaluation() {
    let mut fleet = Fleet::new(1);
    let first = fleet.run(&job(web(1)));
    let second = fleet.run(&job(web(1)));
    assert_ne!(first.eval, second.eval);
    assert_eq!(first.job_modify_index, second.job_modify_index);
    assert_eq!(fleet.core.state().versions_of_job(&key()).count(), 1);
    let third = fleet.run(&job(web(2)));
    assert!(third.job_modify_index > second.job_modify_index);
    assert_eq!(fleet.core.state().jobs[&key()].version(), 1);
}

#[test]
fn a_spec_index_that_is_not_the_expected_one_is_refused_in_words() {
    let mut fleet = Fleet::new(1);
    let refusal = |fleet: &mut Fleet, index| fleet.command(register(&job(web(1)), index)).unwrap_err();
    let text = "Enforcing job modify index 7: job does not exist";
    assert_eq!(refusal(&mut fleet, 7), Refusal::Conflict(text.into()));
    let index = fleet.command(register(&job(web(1)), 0)).unwrap().job_modify_index;
    let text = "Enforcing job modify index 0: job already exists";
    assert_eq!(refusal(&mut fleet, 0), Refusal::Conflict(text.into()));
    let text =
        format!("Enforcing job modify index 1000: job exists with conflicting job modify index: {index}");
    assert_eq!(refusal(&mut fleet, 1000), Refusal::Conflict(text));
    assert!(fleet.command(register(&job(web(2)), index)).is_ok());
}

#[test]
fn what_finds_no_place_waits_for_a_node_and_says_why() {
    let mut fleet = Fleet::new(1);
    let mut wanted = web(1);
    wanted["Constraints"] = json!([{ "LTarget": "${node.unique.name}", "RTarget": "n2", "Operand": "=" }]);
    let eval = fleet.run(&job(wanted)).eval.unwrap();
    let state = fleet.core.state();
    let report = &state.evals[&eval].failed_placements["app"];
    assert_eq!(
        report.constraint_filtered.number("${node.unique.name} = n2"),
        Some(1)
    );
    assert_eq!(state.evals[&eval].queued["app"], 1);
    let blocked = state.evals[&eval].blocked.unwrap();
    assert_eq!(state.evals[&blocked].status, EvalStatus::Blocked);
    // Its deployment is active.
    assert_eq!(state.jobs[&key()].status.as_deref(), Some("running"));

    fleet.join(NodeId(2));
    assert_eq!(fleet.allocs("web"), ["web.app[0] n2 run/running v0"]);
    assert_eq!(fleet.core.state().evals[&blocked].status, EvalStatus::Complete);
}

#[test]
fn a_full_node_is_not_filled_further_and_room_is_used_when_it_comes() {
    let mut fleet = Fleet::new(1);
    let mut big = web(1);
    big["TaskGroups"][0]["Tasks"][0]["Resources"] = json!({ "CPU": 3000, "MemoryMB": 300 });
    fleet.run(&job(big.clone()));
    big["ID"] = json!("second");
    let eval = fleet.run(&job(big)).eval.unwrap();
    assert!(fleet.allocs("second").is_empty());
    assert_eq!(
        fleet.core.state().evals[&eval].failed_placements["app"]
            .dimension_exhausted
            .number("cpu"),
        Some(1)
    );
    let stop = Command::DeregisterJob {
        key: key(),
        purge: false,
        no_shutdown_delay: false,
    };
    fleet.command(stop).unwrap();
    fleet.advance(Duration::from_secs(1));
    assert_eq!(fleet.allocs("second"), ["second.app[0] n1 run/running v0"]);
}

#[test]
fn a_failed_allocation_is_placed_anew_after_its_delay_and_elsewhere() {
    let mut fleet = Fleet::new(3);
    fleet.run(&job(web(1)));
    fleet.advance(Duration::from_secs(20));
    let first = fleet.alloc("web", |_| true);
    fleet.becomes(first.id, ClientStatus::Failed);
    fleet.advance(Duration::from_secs(28));
    assert_eq!(fleet.allocs("web").len(), 1);
    fleet.advance(Duration::from_secs(4));
    let second = fleet.alloc("web", |it| it.id != first.id);
    assert_ne!(second.node, first.node);
    assert_eq!(
        (&*second.name, second.previous.get()),
        ("web.app[0]", Some(first.id))
    );
    assert_eq!(second.reschedules.len(), 1);
    let first = fleet.alloc("web", |it| it.id == first.id);
    assert_eq!(
        (first.desired, first.next.get()),
        (DesiredStatus::Stop, Some(second.id))
    );
    assert_eq!(
        &*first.desired_description,
        "alloc was rescheduled because it failed"
    );
}

#[test]
fn a_stopped_job_ends_and_a_purged_one_is_forgotten() {
    let mut fleet = Fleet::new(2);
    fleet.run(&job(web(2)));
    let stop = |purge| Command::DeregisterJob {
        key: key(),
        purge,
        no_shutdown_delay: false,
    };
    fleet.command(stop(false)).unwrap();
    assert!(
        fleet.allocs("web").iter().all(|it| it.contains("stop/complete")),
        "{:?}",
        fleet.allocs("web")
    );
    let state = fleet.core.state();
    assert_eq!(
        (state.jobs[&key()].status.as_deref(), state.jobs[&key()].version()),
        (Some("dead"), 1)
    );
    fleet.command(stop(true)).unwrap();
    assert!(!fleet.core.state().jobs.contains_key(&key()));
    assert_eq!(fleet.core.state().versions_of_job(&key()).count(), 0);
    assert_eq!(
        fleet.command(stop(true)),
        Err(Refusal::NotFound("job \"web\"".into()))
    );
    fleet.command(Command::CollectGarbage).unwrap();
    let state = fleet.core.state();
    assert!(
        state.allocs.is_empty() && state.evals.is_empty(),
        "{:?} {:?}",
        state.allocs,
        state.evals
    );
}

#[test]
fn a_batch_job_that_has_done_its_work_is_dead_and_stays_so() {
    let mut fleet = Fleet::new(1);
    let mut batch = web(1);
    batch["Type"] = json!("batch");
    fleet.run(&job(batch));
    let alloc = fleet.alloc("web", |_| true);
    fleet.becomes(alloc.id, ClientStatus::Complete);
    fleet
        .command(Command::EvaluateJob {
            key: key(),
            force_reschedule: false,
        })
        .unwrap();
    assert_eq!(fleet.allocs("web"), ["web.app[0] n1 run/complete v0"]);
    assert_eq!(fleet.core.state().jobs[&key()].status.as_deref(), Some("dead"));
}

#[test]
fn a_system_job_runs_on_every_node_and_follows_the_fleet() {
    let mut fleet = Fleet::new(2);
    let mut system = web(1);
    system["Type"] = json!("system");
    fleet.run(&job(system.clone()));
    assert_eq!(fleet.allocs("web").len(), 2);
    fleet.join(NodeId(3));
    assert_eq!(fleet.allocs("web").len(), 3);
    system["TaskGroups"][0]["Tasks"][0]["Env"] = json!({ "A": "1" });
    fleet.run(&job(system));
    fleet.advance(Duration::from_secs(2));
    let running = fleet
        .allocs("web")
        .iter()
        .filter(|it| it.ends_with("run/running v1"))
        .count();
    assert_eq!(running, 3, "{:?}", fleet.allocs("web"));
}

#[test]
fn ports_are_assigned_once_per_node_and_services_are_listed_with_them() {
    let mut fleet = Fleet::new(1);
    let mut wanted = web(2);
    wanted["TaskGroups"][0]["Networks"] = json!([{ "DynamicPorts": [{ "Label": "http", "To": 80 }] }]);
    wanted["TaskGroups"][0]["Services"] = json!([{ "Name": "site", "Provider": "nomad", "PortLabel": "http", "Tags": ["${NOMAD_ALLOC_INDEX}"] }]);
    fleet.run(&job(wanted));
    let interest = Interest {
        session: fleet.agents[&NodeId(1)].session,
        services: vec![("default".into(), "site".into())],
        namespaces: Vec::new(),
    };
    fleet.input(Input::Agent(NodeId(1), FromAgent::Interest(interest)));
    let catalog = fleet.agents[&NodeId(1)].catalog.clone().unwrap();
    let instances = &catalog.services[0].instances;
    assert_eq!(instances.len(), 2);
    assert!(instances[0].port != instances[1].port && instances.iter().all(|it| it.port >= 20_000));
    assert!(instances.iter().all(|it| it.address == "192.0.2.2"));
    let mut tags: Vec<&str> = instances.iter().map(|it| it.tags[0].as_str()).collect();
    tags.sort_unstable();
    assert_eq!(tags, ["0", "1"]);
    // What changes is told without being asked for.
    fleet
        .command(Command::DeregisterJob {
            key: key(),
            purge: false,
            no_shutdown_delay: false,
        })
        .unwrap();
    let newer = fleet.agents[&NodeId(1)].catalog.clone().unwrap();
    assert!(newer.revision > catalog.revision && newer.services[0].instances.is_empty());
}

#[test]
fn evaluations_of_one_job_that_wait_together_become_one() {
    let mut fleet = Fleet::new(1);
    fleet.run(&job(web(1)));
    for _ in 0..4 {
        fleet.submit(Command::EvaluateJob {
            key: key(),
            force_reschedule: false,
        });
    }
    fleet.settle();
    let key = key();
    let evals: Vec<_> = fleet
        .core
        .state()
        .evals_of_job(&key)
        .filter(|it| it.trigger == Trigger::JobRegister)
        .collect();
    assert_eq!(
        evals
            .iter()
            .filter(|it| it.status == EvalStatus::Canceled)
            .count(),
        2
    );
    assert_eq!(
        evals
            .iter()
            .filter(|it| it.status == EvalStatus::Complete)
            .count(),
        3
    );
}

#[test]
fn what_is_over_is_forgotten_after_its_time_and_not_before() {
    let mut fleet = Fleet::new(2);
    let mut update = web(1);
    fleet.run(&job(update.clone()));
    update["TaskGroups"][0]["Tasks"][0]["Env"] = json!({ "A": "1" });
    fleet.run(&job(update));
    fleet.advance(Duration::from_secs(5));
    assert_eq!(fleet.allocs("web").len(), 2);
    fleet
        .command(Command::DeregisterJob {
            key: key(),
            purge: false,
            no_shutdown_delay: false,
        })
        .unwrap();
    fleet.advance(Duration::from_secs(1800));
    assert_eq!(fleet.allocs("web").len(), 2);
    fleet.advance(Duration::from_secs(2200));
    assert!(fleet.allocs("web").is_empty() && fleet.core.state().deployments.is_empty());
    assert!(fleet.core.state().jobs.contains_key(&key()));
    fleet.advance(Duration::from_secs(4 * 3600));
    assert!(fleet.core.state().jobs.is_empty() && fleet.core.state().versions.is_empty());
}
