//! Where things go when there is little room, as operators see it.

use holdfast_shared::id::NodeId;
use holdfast_shared::model::{
    Allocation, DesiredStatus, Job, Preemption, SchedulerAlgorithm, SchedulerConfiguration, Trigger,
};
use serde_json::json;

use super::fleet::{Fleet, job};
use crate::Command;

fn sized(id: &str, priority: i64, cpu: u64, count: u64) -> Job {
    job(
        json!({ "ID": id, "Priority": priority, "TaskGroups": [{ "Name": "app", "Count": count,
        "Networks": [{ "ReservedPorts": [{ "Label": id, "Value": 8000 + priority }] }],
        "Tasks": [{ "Name": "main", "Driver": "docker", "Resources": { "CPU": cpu, "MemoryMB": 100 } }] }] }),
    )
}

fn set(fleet: &mut Fleet, configuration: SchedulerConfiguration) {
    let command = Command::SetSchedulerConfiguration {
        configuration,
        check_index: None,
    };
    fleet.command(command).unwrap();
}

fn services_push_out(fleet: &mut Fleet) {
    let preemption = Preemption {
        service: true,
        ..Preemption::default()
    };
    set(
        fleet,
        SchedulerConfiguration {
            preemption,
            ..SchedulerConfiguration::default()
        },
    );
}

fn evicted(fleet: &Fleet) -> Vec<Allocation> {
    let allocs = fleet.core.state().allocs.values();
    allocs
        .filter(|alloc| alloc.desired == DesiredStatus::Evict)
        .map(|alloc| (**alloc).clone())
        .collect()
}

#[test]
fn a_job_of_higher_priority_pushes_out_what_it_needs_and_says_so() {
    let mut fleet = Fleet::new(1);
    services_push_out(&mut fleet);
    fleet.run(&sized("low", 20, 1500, 1));
    fleet.run(&sized("lower", 10, 2000, 1));
    fleet.run(&sized("high", 70, 2400, 1));
    assert_eq!(fleet.allocs("high"), ["high.app[0] n1 run/running v0"]);
    let high = fleet.alloc("high", |_| true);
    let victims = evicted(&fleet);
    assert_eq!(victims.len(), 1, "{victims:?}");
    assert_eq!(&*victims[0].job.id, "lower");
    assert_eq!(victims[0].preempted_by.get(), Some(high.id));
    assert_eq!(
        &*victims[0].desired_description,
        format!("Preempted by alloc ID {}", high.id)
    );
    let names: Vec<&str> = high.report.open().scores[0]
        .scores
        .iter()
        .map(|(it, _)| it.as_str())
        .collect();
    assert_eq!(names, ["binpack", "preemption"]);
    let state = fleet.core.state();
    let preempted = |eval: &&std::sync::Arc<holdfast_shared::model::Evaluation>| {
        eval.trigger == Trigger::Preemption && *eval.job.id == *"lower"
    };
    assert_eq!(state.evals.values().filter(preempted).count(), 1);
}

#[test]
fn nobody_is_pushed_out_for_a_priority_that_is_hardly_higher_nor_unless_an_operator_allows_it() {
    for (allowed, priority) in [(true, 59), (false, 70)] {
        let mut fleet = Fleet::new(1);
        if allowed {
            services_push_out(&mut fleet);
        }
        fleet.run(&sized("low", 50, 3000, 1));
        let eval = fleet.run(&sized("high", priority, 3000, 1)).eval.unwrap();
        assert!(evicted(&fleet).is_empty());
        let report = &fleet.core.state().evals[&eval].failed_placements["app"];
        assert_eq!(report.dimension_exhausted.number("cpu"), Some(1));
    }
}

#[test]
fn who_has_the_port_that_is_asked_for_gives_way() {
    let mut fleet = Fleet::new(1);
    services_push_out(&mut fleet);
    let with_port = |id: &str, priority| {
        let mut job = sized(id, priority, 100, 1);
        let group = &mut job.task_groups.as_mut().unwrap()[0];
        let network = &mut group.networks.as_mut().unwrap()[0];
        network.reserved_ports.as_mut().unwrap()[0].value = 8080;
        job
    };
    fleet.run(&with_port("low", 20));
    fleet.run(&sized("bystander", 20, 100, 1));
    fleet.run(&with_port("high", 70));
    let victims: Vec<String> = evicted(&fleet)
        .into_iter()
        .map(|it| it.job.id.to_string())
        .collect();
    assert_eq!(victims, ["low"]);
    assert_eq!(fleet.alloc("high", |_| true).ports[0].value, 8080);
}

#[test]
fn the_algorithm_decides_whether_full_or_empty_nodes_are_best() {
    for (algorithm, nodes) in [(SchedulerAlgorithm::Binpack, 1), (SchedulerAlgorithm::Spread, 2)] {
        let mut fleet = Fleet::new(2);
        set(
            &mut fleet,
            SchedulerConfiguration {
                algorithm,
                ..SchedulerConfiguration::default()
            },
        );
        fleet.run(&sized("first", 50, 1000, 1));
        fleet.run(&sized("second", 51, 1000, 1));
        let used: std::collections::BTreeSet<NodeId> = fleet
            .core
            .state()
            .allocs
            .values()
            .map(|alloc| alloc.node)
            .collect();
        assert_eq!(used.len(), nodes, "{algorithm:?}");
    }
}
