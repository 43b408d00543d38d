//! Properties that hold whatever happens: random histories of jobs and nodes, looked at after every step.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use holdfast_shared::id::{AllocId, EvalId, JobKey, NodeId};
use holdfast_shared::model::{Allocation, ClientStatus, DesiredStatus, EvalStatus, Job, JobType, NodeStatus};
use holdfast_shared::time::{Duration, Timestamp};
use proptest::prelude::*;
use serde_json::json;

use super::fleet::{Fleet, job};
use crate::reconciler::{Change, Changes, NodeView, ReconcileInput, reconcile};
use crate::scheduler::rank::Usage;
use crate::{Command, DrainSpec, NodeAction, State};

/// Something that happens to a region.
#[derive(Debug, Clone)]
enum Event {
    Run {
        count: u8,
        version: u8,
    },
    Stop,
    Disconnect(u8),
    Connect(u8),
    Fail(u8),
    /// For so many seconds; negative is at once, zero is for ever.
    Drain(u8, i8),
    Undrain(u8),
    Wait(u16),
    Restart,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (0..5u8, 0..3u8).prop_map(|(count, version)| Event::Run { count, version }),
        1 => Just(Event::Stop),
        4 => (1..5u8).prop_map(Event::Disconnect),
        4 => (1..5u8).prop_map(Event::Connect),
        2 => any::<u8>().prop_map(Event::Fail),
        2 => (1..5u8, -1..100i8).prop_map(|(node, secs)| Event::Drain(node, secs)),
        2 => (1..5u8).prop_map(Event::Undrain),
        5 => (1..200u16).prop_map(Event::Wait),
        1 => Just(Event::Restart),
    ]
}

fn edge(count: u8, version: u8, policy: &serde_json::Value) -> Job {
    job(
        json!({ "ID": "edge", "Type": "service", "TaskGroups": [{ "Name": "web", "Count": count,
        "Disconnect": policy, "Update": { "MaxParallel": 2 },
        "Networks": [{ "ReservedPorts": [{ "Label": "fixed", "Value": 8080 }], "DynamicPorts": [{ "Label": "http" }] }],
        "Tasks": [{ "Name": "main", "Driver": "docker", "Env": { "V": version.to_string() } }] }] }),
    )
}

/// The same as a job of another type; one that runs everywhere has no count.
fn of_type(kind: JobType, count: u8, version: u8) -> Job {
    let count = if kind.is_system() { 1 } else { count };
    let mut job = edge(count, version, &json!({ "LostAfter": 120_000_000_000_i64 }));
    job.kind = Some(kind.as_str().to_owned());
    let group = &mut job.task_groups.as_mut().unwrap()[0];
    (group.reschedule_policy, group.migrate) = (None, None);
    if kind.is_batch() {
        (job.update, group.update) = (None, None);
    }
    job.canonicalize();
    job
}

fn policy() -> impl Strategy<Value = serde_json::Value> {
    let strategy = prop_oneof![
        Just("best_score"),
        Just("keep_original"),
        Just("keep_replacement"),
        Just("longest_running")
    ];
    (
        strategy,
        prop_oneof![Just(0i64), Just(120), Just(3600)],
        any::<bool>(),
    )
        .prop_map(|(strategy, lost_after, at_once)| {
            let mut block = json!({ "LostAfter": lost_after * 1_000_000_000, "Reconcile": strategy });
            if at_once {
                block["ReplaceAfter"] = json!(0);
            }
            block
        })
}

fn happen(fleet: &mut Fleet, event: &Event, policy: &serde_json::Value) {
    match event {
        Event::Run { count, version } => {
            fleet.run(&edge(*count, *version, policy));
        }
        Event::Stop => {
            let key = JobKey::new("default", "edge");
            let _ = fleet.command(Command::DeregisterJob {
                key,
                purge: false,
                no_shutdown_delay: false,
            });
        }
        Event::Disconnect(node) if fleet.agents[&NodeId(u128::from(*node))].online => {
            fleet.disconnect(NodeId(u128::from(*node)));
        }
        Event::Connect(node) if !fleet.agents[&NodeId(u128::from(*node))].online => {
            fleet.connect(NodeId(u128::from(*node)));
        }
        Event::Disconnect(_) | Event::Connect(_) => {}
        Event::Fail(pick) => {
            let running: Vec<AllocId> = fleet
                .agents
                .values()
                .filter(|agent| agent.online)
                .flat_map(|agent| agent.allocs.iter())
                .filter(|(_, (_, status))| *status == ClientStatus::Running)
                .map(|(id, _)| *id)
                .collect();
            if !running.is_empty() {
                fleet.becomes(running[usize::from(*pick) % running.len()], ClientStatus::Failed);
            }
        }
        Event::Drain(node, secs) => drain(fleet, *node, Some(*secs)),
        Event::Undrain(node) => drain(fleet, *node, None),
        Event::Wait(secs) => fleet.advance(Duration::from_secs(i64::from(*secs))),
        Event::Restart => fleet.restart(fleet.core.state().clone()),
    }
    fleet.settle();
}

fn drain(fleet: &mut Fleet, node: u8, secs: Option<i8>) {
    let action = NodeAction::Drain {
        spec: secs.map(|secs| DrainSpec {
            deadline: Duration::from_secs(i64::from(secs)),
            ignore_system_jobs: false,
        }),
        mark_eligible: secs.is_none(),
        meta: BTreeMap::new(),
    };
    let id = NodeId(u128::from(node));
    let _ = fleet.command(Command::Node { id, action });
}

/// What is to be emptied is not filled.
fn nothing_is_placed_on_draining_nodes(state: &State) {
    for node in state.nodes.values() {
        let Some(drain) = &node.drain else { continue };
        let newer = |alloc: &Arc<Allocation>| alloc.create_time > drain.started_at;
        assert!(!state.allocs_of_node(node.id).any(newer), "{}", node.id);
    }
}

/// No node is asked for more than it has, ports included.
fn nothing_is_overbooked(state: &State) {
    for node in state.nodes.values() {
        let live: Vec<_> = state
            .allocs_of_node(node.id)
            .filter(|alloc| !alloc.is_terminal())
            .collect();
        let mut used = Usage::default();
        let mut ports = BTreeSet::new();
        for alloc in &live {
            used.add(&alloc.resources);
            for port in &alloc.ports {
                assert!(
                    ports.insert(port.value),
                    "port {} twice on {}",
                    port.value,
                    node.id
                );
            }
        }
        assert_eq!(used.exceeds(&Usage::capacity(&node.fingerprint.resources)), None);
    }
}

/// What was disconnected is not lost before its time.
fn nothing_is_lost_early(state: &State, now: Timestamp) {
    for alloc in state
        .allocs
        .values()
        .filter(|alloc| alloc.client == ClientStatus::Lost)
    {
        let unknown = alloc
            .client_history
            .iter()
            .rev()
            .find(|(status, _)| *status == ClientStatus::Unknown);
        let lost = alloc
            .client_history
            .iter()
            .rev()
            .find(|(status, _)| *status == ClientStatus::Lost);
        let Some(((_, since), (_, at))) = unknown.zip(lost) else {
            continue;
        };
        let policy = state
            .job_of(alloc)
            .and_then(|job| job.group(&alloc.group))
            .map(|group| group.disconnect_policy());
        let gone = state
            .nodes
            .get(&alloc.node)
            .is_none_or(|node| node.status == NodeStatus::Down);
        assert!(*at <= now && (gone || policy.is_none_or(|policy| at.since(*since) >= policy.lost_after)));
    }
}

/// What another evaluation of a job would change, with its allocations in an order that `arrange` chooses.
fn another_look(
    state: &State,
    now: Timestamp,
    job: &Job,
    arrange: impl FnOnce(&mut Vec<Arc<Allocation>>),
) -> Changes {
    let key = &job.key();
    let mut allocs: Vec<Arc<Allocation>> = state.allocs_of_job(key).cloned().collect();
    arrange(&mut allocs);
    let nodes: BTreeMap<NodeId, NodeView> = state
        .nodes
        .values()
        .map(|node| {
            let confirmed = node.status != NodeStatus::Initializing;
            (
                node.id,
                NodeView {
                    status: node.status,
                    confirmed,
                },
            )
        })
        .collect();
    let change = |alloc: &Allocation| {
        if alloc.job_version == job.version() {
            Change::Ignore
        } else {
            Change::Destructive
        }
    };
    let is_pending = |id: EvalId| {
        state
            .evals
            .get(&id)
            .is_some_and(|eval| !eval.status.is_terminal())
    };
    let input = ReconcileInput {
        now,
        eval: EvalId(1),
        job: Some(job),
        allocs,
        nodes,
        everywhere: everywhere(state, job),
        deployment: state.latest_deployment(key).map(|it| &**it),
        change: &change,
        is_pending: &is_pending,
    };
    reconcile(&input).0
}

/// Every node qualifies for everything here.
fn everywhere(state: &State, job: &Job) -> BTreeMap<String, BTreeSet<NodeId>> {
    if !job.job_type().is_system() {
        return BTreeMap::new();
    }
    let ready = state.nodes.values().filter(|node| node.is_schedulable());
    let nodes: BTreeSet<NodeId> = ready.map(|node| node.id).collect();
    job.groups()
        .iter()
        .map(|group| (group.name().to_owned(), nodes.clone()))
        .collect()
}

/// Evaluating once more finds nothing to do: the changes of a decision make it unnecessary.
fn a_second_look_finds_nothing(state: &State, now: Timestamp) {
    for (key, job) in &state.jobs {
        let changes = another_look(state, now, job, |_| {});
        let waits = state.evals_of_job(key).any(|eval| !eval.status.is_terminal());
        // A failed allocation only ends when its successor is placed.
        let mut changes = changes;
        let (stops, places) = (&mut changes.stops, &changes.places);
        stops.retain(|stop| !places.iter().any(|place| place.replaces == Some(stop.alloc)));
        let idle = Changes {
            places: Vec::new(),
            destructive: Vec::new(),
            ..changes.clone()
        };
        assert_eq!(idle, Changes::default());
        // What is still to be placed waits for capacity.
        assert!(
            waits || (changes.places.is_empty() && changes.destructive.is_empty()),
            "{changes:?}"
        );
        if job.is_stopped() {
            assert!(changes.places.is_empty() && changes.destructive.is_empty());
        }
    }
}

/// In which order allocations are looked at changes nothing.
fn order_does_not_matter(state: &State, now: Timestamp) {
    let sorted = |mut changes: Changes| {
        changes.stops.sort_by_key(|it| it.alloc);
        changes
            .places
            .sort_by_key(|it| (it.name.clone(), it.replaces, it.node));
        changes
            .destructive
            .sort_by_key(|it| (it.name.clone(), it.replaces, it.node));
        changes.later.sort_by_key(|it| (it.alloc, it.at));
        changes.in_place.sort_unstable();
        changes.unknown.sort_unstable();
        changes.reconnected.sort_unstable();
        changes
    };
    for job in state.jobs.values() {
        let forward = sorted(another_look(state, now, job, |_| {}));
        let backward = sorted(another_look(state, now, job, |allocs| allocs.reverse()));
        assert_eq!(forward, backward);
    }
}

/// The generation of a node's set never goes back, and agents hold none that was not given out.
fn generations_only_grow(state: &State, before: &mut BTreeMap<NodeId, u64>) {
    for node in state.nodes.values() {
        let last = before.insert(node.id, node.generation).unwrap_or(0);
        assert!(node.generation >= last);
    }
}

fn count_is_met(fleet: &Fleet) {
    let state = fleet.core.state();
    for (key, job) in &state.jobs {
        let wanted = if job.is_stopped() {
            0
        } else {
            job.groups()[0].count()
        };
        let running = state
            .allocs_of_job(key)
            .filter(|it| it.desired == DesiredStatus::Run && it.client == ClientStatus::Running)
            .count();
        let blocked = state
            .evals_of_job(key)
            .any(|eval| eval.status == EvalStatus::Blocked);
        let failed = state
            .allocs_of_job(key)
            .any(|it| it.desired == DesiredStatus::Run && it.client == ClientStatus::Failed);
        let gave_up = state
            .latest_deployment(key)
            .is_some_and(|it| !it.status.is_active() && it.status.as_str() == "failed");
        assert!(
            running == wanted || blocked || failed || gave_up,
            "{running} of {wanted} run: {:?}",
            fleet.allocs("edge")
        );
    }
}

/// The same histories in every run, so that a build does not fail by chance; `PROPTEST_RNG_SEED` tells others.
fn config() -> ProptestConfig {
    let seed = std::env::var("PROPTEST_RNG_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(1);
    ProptestConfig {
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(seed),
        ..ProptestConfig::default()
    }
}

/// Found by the property below: a rollout is shrunk while a failed allocation of it waits for its reschedule.
#[test]
fn a_rollout_that_shrinks_around_a_failed_allocation_ends() {
    let policy = json!({ "LostAfter": 120_000_000_000_i64, "Reconcile": "best_score" });
    let mut fleet = Fleet::new(4);
    fleet.run(&edge(2, 0, &policy));
    let events = [
        Event::Wait(13),
        Event::Run { count: 0, version: 0 },
        Event::Run { count: 0, version: 0 },
        Event::Wait(47),
        Event::Disconnect(1),
        Event::Run { count: 4, version: 2 },
        Event::Disconnect(3),
        Event::Fail(72),
        Event::Run { count: 2, version: 2 },
        Event::Wait(30),
    ];
    for event in &events {
        happen(&mut fleet, event, &policy);
        a_second_look_finds_nothing(fleet.core.state(), fleet.now);
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn whatever_happens_the_invariants_hold_and_in_peace_the_count_is_met(
        events in prop::collection::vec(event(), 1..25),
        policy in policy(),
    ) {
        let mut fleet = Fleet::new(4);
        let mut generations = BTreeMap::new();
        fleet.run(&edge(2, 0, &policy));
        for event in &events {
            happen(&mut fleet, event, &policy);
            let state = fleet.core.state();
            nothing_is_overbooked(state);
            nothing_is_placed_on_draining_nodes(state);
            nothing_is_lost_early(state, fleet.now);
            a_second_look_finds_nothing(state, fleet.now);
            order_does_not_matter(state, fleet.now);
            generations_only_grow(state, &mut generations);
        }
        for node in 1..=4u8 {
            happen(&mut fleet, &Event::Connect(node), &policy);
            happen(&mut fleet, &Event::Undrain(node), &policy);
        }
        fleet.advance(Duration::from_secs(900));
        count_is_met(&fleet);
    }

    #[test]
    fn jobs_of_every_type_come_to_rest_and_a_second_look_finds_nothing(
        events in prop::collection::vec(event(), 1..20),
        kind in prop_oneof![Just(JobType::Batch), Just(JobType::System), Just(JobType::Sysbatch)],
    ) {
        let mut fleet = Fleet::new(4);
        let mut generations = BTreeMap::new();
        for event in &events {
            match event {
                Event::Run { count, version } => {
                    fleet.run(&of_type(kind, *count, *version));
                }
                event => happen(&mut fleet, event, &json!({})),
            }
            let state = fleet.core.state();
            nothing_is_overbooked(state);
            // Nodes that come and go ask for no evaluation of jobs that run once everywhere (6.1), so that one may be due.
            if kind != JobType::Sysbatch {
                a_second_look_finds_nothing(state, fleet.now);
            }
            order_does_not_matter(state, fleet.now);
            generations_only_grow(state, &mut generations);
        }
    }

    #[test]
    fn the_same_inputs_give_the_same_state(events in prop::collection::vec(event(), 1..15), policy in policy()) {
        let tell = || {
            let mut fleet = Fleet::new(4);
            events.iter().for_each(|event| happen(&mut fleet, event, &policy));
            format!("{:?}", fleet.core.state())
        };
        prop_assert_eq!(tell(), tell());
    }
}
