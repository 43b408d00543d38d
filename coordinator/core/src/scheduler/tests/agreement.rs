//! Random fleets and jobs: the scheduler and the slow one find the same places, for the same reasons.

use std::collections::BTreeSet;
use std::sync::Arc;

use holdfast_shared::id::{AllocId, IdGenerator, NodeId};
use holdfast_shared::model::{
    AssignedPort, DriverState, Fingerprint, HostNetwork, Job, Node, NodeResources, PlacementReport,
};
use serde_json::{Value, json};

use super::reference::{Outcome, Reference};
use super::{alloc, job, node, takes};
use crate::scheduler::fleet::Fleet;
use crate::scheduler::{Placement, Rules, Scheduler, Wanted};
use crate::state::{Delta, State};

/// Chance with a seed.
struct Dice(IdGenerator);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0.next_u64() % limit
    }

    fn one_in(&mut self, number: u64) -> bool {
        self.below(number) == 0
    }

    fn pick<T: Clone>(&mut self, list: &[T]) -> T {
        list[self.below(list.len() as u64) as usize].clone()
    }
}

fn random_node(dice: &mut Dice, id: u128) -> Node {
    let driver = DriverState {
        detected: true,
        healthy: !dice.one_in(10),
        ..DriverState::default()
    };
    let network = HostNetwork {
        address: format!("192.0.2.{id}"),
        interface: "eth0".into(),
    };
    let mut print = Fingerprint {
        datacenter: dice.pick(&["dc1", "dc2", "elsewhere"]).into(),
        node_pool: "default".into(),
        node_class: dice.pick(&["", "small", "large"]).into(),
        resources: NodeResources {
            cpu_mhz: 1000 + 500 * dice.below(6),
            memory_mb: 1024 + 512 * dice.below(6),
            disk_mb: 4000 + 1000 * dice.below(3),
            reserved_cpu_mhz: 100 * dice.below(3),
            reserved_memory_mb: 128,
            reserved_ports: vec![22],
            ..NodeResources::default()
        },
        drivers: Arc::new([("docker".to_owned(), driver)].into()),
        host_networks: [("default".to_owned(), network)].into(),
        ..Fingerprint::default()
    };
    print.meta.insert("unique.number".into(), id.to_string());
    if !dice.one_in(8) {
        print.meta.insert("rack".into(), format!("r{}", dice.below(4)));
    }
    if dice.one_in(2) {
        print
            .attributes
            .insert("os.version".into(), format!("1.{}", dice.below(4)));
    }
    node(id, print)
}

const CONSTRAINTS: [(&str, &str, &str); 9] = [
    ("${meta.rack}", "set_contains_any", "r0,r1,r2"),
    ("${meta.rack}", "!=", "r3"),
    ("${attr.os.version}", "version", ">= 1.1"),
    ("${meta.unique.number}", ">=", "5"),
    ("${node.class}", "is_set", ""),
    ("", "distinct_hosts", ""),
    ("", "distinct_hosts", "false"),
    ("${meta.rack}", "distinct_property", "2"),
    ("${node.datacenter}", "distinct_property", "3"),
];

fn constraints(dice: &mut Dice) -> Value {
    let mut list = Vec::new();
    while dice.one_in(2) {
        let (left, operand, right) = dice.pick(&CONSTRAINTS);
        list.push(json!({"LTarget": left, "Operand": operand, "RTarget": right}));
    }
    json!(list)
}

fn affinities(dice: &mut Dice) -> Value {
    let mut list = Vec::new();
    while dice.one_in(4) {
        let (left, operand, right) = dice.pick(&CONSTRAINTS[..5]);
        let weight = dice.pick(&[-100, -20, 50, 80]);
        list.push(json!({"LTarget": left, "Operand": operand, "RTarget": right, "Weight": weight}));
    }
    json!(list)
}

fn spreads(dice: &mut Dice) -> Value {
    let mut list = Vec::new();
    while dice.one_in(4) {
        let attribute = dice.pick(&["${meta.rack}", "${node.datacenter}"]);
        let targets = dice.pick(&[
            json!(null),
            json!([{"Value": "r0", "Percent": 60}, {"Value": "r1", "Percent": 20}]),
            json!([{"Value": "dc1", "Percent": 100}, {"Value": "dc2", "Percent": 0}]),
            json!([{"Value": "r2", "Percent": 0}]),
        ]);
        let weight = dice.pick(&[30, 50, 100]);
        list.push(json!({"Attribute": attribute, "Weight": weight, "SpreadTarget": targets}));
    }
    json!(list)
}

fn random_job(dice: &mut Dice) -> Job {
    let mut groups = Vec::new();
    for name in ["web", "db"] {
        let port = if dice.one_in(3) {
            json!([{"Label": "http", "Value": dice.pick(&[22, 8080, 9090])}])
        } else {
            json!([])
        };
        groups.push(json!({
            "Name": name, "Count": 1 + dice.below(5), "Constraints": constraints(dice),
            "Affinities": affinities(dice), "Spreads": spreads(dice),
            "Networks": [{"ReservedPorts": port}], "EphemeralDisk": {"SizeMB": 300},
            "Tasks": [{"Name": "main", "Driver": "docker", "Constraints": constraints(dice), "Affinities": affinities(dice),
                "Resources": {"CPU": 200 + 300 * dice.below(3), "MemoryMB": 256 + 256 * dice.below(2)}}],
        }));
    }
    let groups = groups.split_off(dice.below(2) as usize);
    job(json!({
        "ID": "mine", "Type": dice.pick(&["service", "batch"]), "Datacenters": dice.pick(&[json!(["*"]), json!(["dc1", "dc2"])]),
        "Constraints": constraints(dice), "Affinities": affinities(dice), "Spreads": spreads(dice), "TaskGroups": groups,
    }))
}

fn random_state(dice: &mut Dice) -> State {
    let mut state = State::default();
    for id in 0..1 + u128::from(dice.below(40)) {
        let node = random_node(dice, id + 1);
        let used = dice.below(3);
        state.apply(&Delta::Node(Arc::new(node.clone())));
        for number in 0..used {
            let job = dice.pick(&[("mine", "web"), ("mine", "db"), ("other", "web")]);
            let port = AssignedPort {
                label: "http".into(),
                value: dice.pick(&[8080, 9090, 7070]),
                to: 0,
                host_ip: dice.pick(&[format!("192.0.2.{}", id + 1), "198.51.100.1".into()]),
                host_network: "default".into(),
                dynamic: false,
            };
            let has = (takes(100 * dice.below(6), 128 * dice.below(5), 300), vec![port]);
            let alloc = alloc(1000 * (id + 1) + u128::from(number), job, id + 1, has);
            state.apply(&Delta::Allocation(Arc::new(alloc)));
        }
    }
    state
}

fn compare(seed: u64, fast: Result<&Placement, &PlacementReport>, slow: &Outcome) {
    let report = fast.map_or_else(|report| report, |placement| &placement.report);
    assert_eq!(
        report.nodes_evaluated, slow.evaluated,
        "seed {seed}: nodes looked at"
    );
    assert_eq!(
        report.constraint_filtered.to_map(),
        slow.filtered,
        "seed {seed}: filtered"
    );
    assert_eq!(
        report.dimension_exhausted.to_map(),
        slow.exhausted,
        "seed {seed}: exhausted"
    );
    assert_eq!(
        fast.ok().map(|it| it.node),
        slow.found.first().map(|it| it.node),
        "seed {seed}: the node"
    );
    assert_eq!(report.scores.len(), slow.found.len(), "seed {seed}: scores");
    for (fast, slow) in report.scores.iter().zip(&slow.found) {
        let scores: Vec<(&str, f64)> = fast
            .scores
            .iter()
            .map(|(it, score)| (it.as_str(), score))
            .collect();
        assert_eq!(
            (fast.node, &scores),
            (slow.node, &slow.scores),
            "seed {seed}: components"
        );
        assert_eq!(fast.norm_score, slow.norm, "seed {seed}: the score");
    }
}

/// One evaluation of up to twelve placements; answers how many found a place.
fn agree(seed: u64) -> usize {
    let mut dice = Dice(IdGenerator::from_seed(u128::from(seed)));
    let (state, job) = (random_state(&mut dice), random_job(&mut dice));
    let mut fleet = Fleet::of(&state);
    let mut scheduler = Scheduler::new(&state, Rules::of(&state, &job, 10), u128::from(seed));
    let order = scheduler.order_of(&mut fleet, &job);
    let mut slow = Reference {
        job: &job,
        nodes: order.iter().map(|id| &**state.nodes.get(id).unwrap()).collect(),
        all: state.nodes.values().map(|node| &**node).collect(),
        stored: state.allocs.values().map(|alloc| &**alloc).collect(),
        stopped: Vec::new(),
        placed: Vec::new(),
        cursor: 0,
        node_limit: 10,
        seen: Vec::new(),
        lowest: -1.0,
    };
    let mine: Vec<AllocId> = state.allocs_of_job(&job.key()).map(|alloc| alloc.id).collect();
    for id in mine.iter().copied().filter(|_| dice.one_in(3)) {
        scheduler.release(&mut fleet, &state, id);
        slow.stopped.push(id);
    }
    let mut number = 0;
    for round in 0..12 {
        let group = &job.groups()[dice.below(job.groups().len() as u64) as usize];
        let penalized: BTreeSet<NodeId> = order.iter().copied().filter(|_| dice.one_in(6)).collect();
        let wanted = Wanted {
            job: &job,
            group,
            penalized: &penalized,
            only: None,
        };
        let found = scheduler.place(&mut fleet, &state, &wanted);
        let outcome = slow.place(group, &penalized.iter().copied().collect::<Vec<_>>());
        compare(seed, found.as_ref().map_err(|report| &**report), &outcome);
        if let Ok(placement) = found {
            number += 1;
            let has = ((*placement.resources).clone(), placement.ports);
            let alloc = alloc(round, ("mine", group.name()), placement.node.0, has);
            fleet.replace(None, Some(&alloc));
            scheduler.take(&fleet, group, alloc.node);
            slow.placed.push(alloc);
        }
        if dice.one_in(4)
            && let Some(id) = slow.stopped.pop()
        {
            // An update that found no place.
            scheduler.withhold(&mut fleet, id);
        }
    }
    scheduler.finish(&mut fleet);
    number
}

#[test]
fn the_scheduler_and_a_slow_one_find_the_same_places_for_the_same_reasons() {
    let placed: usize = (0..600).map(agree).sum();
    assert!(
        placed > 1500,
        "the fleets are too full to show anything: {placed} placements"
    );
}
