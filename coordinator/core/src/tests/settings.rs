//! What operators set for the region: the scheduler, and node pools.

use holdfast_shared::model::{NodePool, PoolScheduling, SchedulerAlgorithm, SchedulerConfiguration};
use serde_json::json;

use super::fleet::{Fleet, job};
use crate::{Command, Refusal};

fn set(
    fleet: &mut Fleet,
    configuration: SchedulerConfiguration,
    check_index: Option<u64>,
) -> Result<(), Refusal> {
    let command = Command::SetSchedulerConfiguration {
        configuration,
        check_index,
    };
    fleet.command(command).map(|_| ())
}

#[test]
fn evaluations_wait_while_an_operator_wants_it() {
    let mut fleet = Fleet::new(1);
    let paused = SchedulerConfiguration {
        pause_eval_broker: true,
        ..SchedulerConfiguration::default()
    };
    set(&mut fleet, paused, None).unwrap();
    let web = job(json!({ "ID": "web", "TaskGroups": [{ "Name": "app",
        "Tasks": [{ "Name": "main", "Driver": "docker" }] }] }));
    fleet.run(&web);
    assert!(fleet.allocs("web").is_empty());
    set(&mut fleet, SchedulerConfiguration::default(), None).unwrap();
    assert_eq!(fleet.allocs("web"), ["web.app[0] n1 run/running v0"]);
}

#[test]
fn settings_change_only_from_what_they_are_believed_to_be() {
    let mut fleet = Fleet::new(0);
    let spread = SchedulerConfiguration {
        algorithm: SchedulerAlgorithm::Spread,
        reject_job_registration: true,
        ..SchedulerConfiguration::default()
    };
    let wrong = set(&mut fleet, spread.clone(), Some(7));
    assert!(matches!(wrong, Err(Refusal::Conflict(_))), "{wrong:?}");
    set(&mut fleet, spread.clone(), Some(0)).unwrap();
    let index = fleet.core.state().scheduling.modify_index;
    set(&mut fleet, spread, Some(index)).unwrap();
    let web = job(json!({ "ID": "web", "TaskGroups": [{ "Name": "app",
        "Tasks": [{ "Name": "main", "Driver": "docker" }] }] }));
    let command = Command::RegisterJob {
        job: Box::new(web),
        check_index: None,
        preserve_counts: false,
        eval_priority: None,
        submission: None,
    };
    let text = "job registration, dispatch, and scale are disabled by the scheduler configuration";
    assert_eq!(
        fleet.command(command).map(|_| ()),
        Err(Refusal::Invalid(text.into()))
    );
}

#[test]
fn a_pool_is_made_changed_used_and_forgotten() {
    let mut fleet = Fleet::new(1);
    let mut pool = NodePool {
        name: "edge".into(),
        scheduling: Some(PoolScheduling {
            algorithm: Some(SchedulerAlgorithm::Spread),
            ..PoolScheduling::default()
        }),
        ..NodePool::default()
    };
    let put =
        |fleet: &mut Fleet, pool: &NodePool| fleet.command(Command::PutNodePool(Box::new(pool.clone())));
    put(&mut fleet, &pool).unwrap();
    let state = fleet.core.state();
    assert_eq!(
        state.pool_names().into_iter().collect::<Vec<_>>(),
        ["all", "default", "edge"]
    );
    assert_eq!(state.scheduling_of("edge").algorithm, SchedulerAlgorithm::Spread);
    assert_eq!(
        state.scheduling_of("default").algorithm,
        SchedulerAlgorithm::Binpack
    );
    for (name, text) in [
        ("default", "modifying node pool \"default\" is not allowed"),
        (
            "a b",
            "invalid name \"a b\": 1 to 128 letters, digits, - and _ are allowed",
        ),
    ] {
        pool.name = name.into();
        assert_eq!(put(&mut fleet, &pool), Err(Refusal::Invalid(text.into())));
    }
    let remove = |fleet: &mut Fleet, name: &str| {
        let command = Command::RemoveNodePool(name.into());
        fleet
            .command(command)
            .map(|_| ())
            .map_err(|refusal| refusal.to_string())
    };
    fleet.run(&job(
        json!({ "ID": "web", "NodePool": "edge", "TaskGroups": [{ "Name": "app",
        "Tasks": [{ "Name": "main", "Driver": "docker" }] }] }),
    ));
    for (name, text) in [
        ("all", "deleting node pool \"all\" is not allowed"),
        ("default", "deleting node pool \"default\" is not allowed"),
        (
            "edge",
            "node pool \"edge\" has non-terminal jobs in regions: [global]",
        ),
        ("none", "node pool not found"),
    ] {
        assert_eq!(remove(&mut fleet, name), Err(text.to_owned()));
    }
    let key = holdfast_shared::id::JobKey::new("default", "web");
    let stop = Command::DeregisterJob {
        key,
        purge: true,
        no_shutdown_delay: false,
    };
    fleet.command(stop).unwrap();
    remove(&mut fleet, "edge").unwrap();
    assert!(fleet.core.state().pools.is_empty());
}

#[test]
fn memory_beyond_what_is_reserved_is_granted_where_operators_allow_it() {
    for allowed in [false, true] {
        let mut fleet = Fleet::new(1);
        let configuration = SchedulerConfiguration {
            memory_oversubscription: allowed,
            ..SchedulerConfiguration::default()
        };
        let command = Command::SetSchedulerConfiguration {
            configuration,
            check_index: None,
        };
        fleet.command(command).unwrap();
        fleet.run(&job(
            json!({ "ID": "web", "TaskGroups": [{ "Name": "app", "Tasks": [{ "Name": "main", "Driver": "docker",
            "Resources": { "CPU": 100, "MemoryMB": 64, "MemoryMaxMB": 256 } }] }] }),
        ));
        let granted = if allowed { 256 } else { 0 };
        let alloc = fleet.alloc("web", |_| true);
        assert_eq!(alloc.resources.tasks["main"], (100, 64, granted));
        let told = fleet.agents[&alloc.node].told.last().unwrap();
        let spec = told.jobs[0].job().unwrap();
        let known = spec.groups()[0].tasks()[0].resources().memory_max_mb();
        assert_eq!(known, granted, "the node hears of nothing else");
        // What was asked for stays what it was.
        let version = &fleet.core.state().jobs[&alloc.job];
        assert_eq!(version.groups()[0].tasks()[0].resources().memory_max_mb(), 256);
    }
}
