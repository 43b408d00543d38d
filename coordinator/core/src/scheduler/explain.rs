//! Why each node would or would not take one more allocation of a group, as things stand: what operators ask when they
//! wonder at a decision.

use std::collections::BTreeSet;

use holdfast_shared::id::NodeId;
use holdfast_shared::model::{Job, Node, NodeScore, NodeStatus, PlacementReport, Tally, TaskGroup};

use super::fleet::Fleet;
use super::{Rules, Scheduler, Wanted, feasible};
use crate::state::State;

/// What the scheduler makes of a node.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It is not looked at, and why.
    Unavailable(String),
    /// It does not qualify, and why.
    Filtered(String),
    /// It qualifies and has no room, and of what there is too little.
    Exhausted(String),
    /// It would do, as well as this says.
    Ranked {
        /// How it scores.
        score: NodeScore,
        /// How many allocations would have to give way.
        evicts: usize,
    },
}

/// What the scheduler makes of every node for one more allocation of each group; nodes in the order of their ids.
/// `node_limit` is what holds when nobody has set one.
pub fn explain(state: &State, job: &Job, node_limit: usize) -> Vec<(String, Vec<(NodeId, Verdict)>)> {
    let mut fleet = Fleet::of(state);
    let rules = Rules::of(state, job, node_limit);
    let mut scheduler = Scheduler::new(state, rules, 0);
    let mut explained = Vec::new();
    for group in job.groups() {
        let mut verdicts = Vec::new();
        for node in state.nodes.values() {
            let verdict = judge(state, (&mut fleet, &mut scheduler), (job, group), node);
            verdicts.push((node.id, verdict));
        }
        explained.push((group.name().to_owned(), verdicts));
    }
    explained
}

fn judge<'a>(
    state: &State,
    (fleet, scheduler): (&mut Fleet, &mut Scheduler<'a>),
    (job, group): (&'a Job, &'a TaskGroup),
    node: &Node,
) -> Verdict {
    if let Some(why) = unavailable(job, node) {
        return Verdict::Unavailable(why);
    }
    let wanted = Wanted {
        job,
        group,
        penalized: &BTreeSet::new(),
        only: Some(node.id),
    };
    match scheduler.place(fleet, state, &wanted) {
        Ok(placement) => match placement.report.scores.into_iter().next() {
            Some(score) => Verdict::Ranked {
                score,
                evicts: placement.evicts.len(),
            },
            None => Verdict::Unavailable("it was not scored".into()),
        },
        Err(report) => refusal(&report),
    }
}

/// Why a node is not even looked at.
fn unavailable(job: &Job, node: &Node) -> Option<String> {
    if node.status != NodeStatus::Ready {
        return Some(format!("node is {}", node.status));
    }
    if !node.is_schedulable() {
        return Some("node is not eligible".into());
    }
    if !feasible::is_in_pool(job, node) {
        return Some(format!("node is not in pool {:?}", job.node_pool()));
    }
    let reached = feasible::is_in_reach(job, node);
    (!reached).then(|| {
        format!(
            "datacenter {:?} is not among the job's",
            node.fingerprint.datacenter
        )
    })
}

/// The one reason that a report about one node has.
fn refusal(report: &PlacementReport) -> Verdict {
    let first = |tally: &Tally| tally.iter().next().map(|(why, _)| why.to_owned());
    if let Some(why) = first(&report.constraint_filtered) {
        return Verdict::Filtered(why);
    }
    let why = first(&report.dimension_exhausted);
    Verdict::Exhausted(why.unwrap_or_else(|| "resources".into()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use holdfast_shared::model::{Eligibility, Fingerprint, NodeResources};
    use serde_json::json;

    use super::super::tests::{alloc, job, node, takes};
    use super::*;
    use crate::state::Delta;

    fn box_of(id: u128, class: &str, cpu_mhz: u64) -> Node {
        let driver = holdfast_shared::model::DriverState {
            detected: true,
            healthy: true,
            ..Default::default()
        };
        let print = Fingerprint {
            datacenter: "dc1".into(),
            node_class: class.into(),
            resources: NodeResources {
                cpu_mhz,
                memory_mb: 1000,
                disk_mb: 10_000,
                ..NodeResources::default()
            },
            drivers: Arc::new([("docker".to_owned(), driver)].into()),
            ..Fingerprint::default()
        };
        node(id, print)
    }

    #[test]
    fn every_node_gets_its_reason() {
        let mut state = State::default();
        let mut away = box_of(1, "big", 1000);
        away.status = NodeStatus::Down;
        let mut closed = box_of(2, "big", 1000);
        closed.eligibility = Eligibility::Ineligible;
        let nodes = [
            away,
            closed,
            box_of(3, "small", 1000),
            box_of(4, "big", 1000),
            box_of(5, "big", 1000),
        ];
        for node in nodes {
            state.apply(&Delta::Node(Arc::new(node)));
        }
        let filler = alloc(7, ("other", "app"), 4, (takes(900, 100, 0), Vec::new()));
        state.apply(&Delta::Allocation(Arc::new(filler)));
        let job = job(json!({ "ID": "web", "Datacenters": ["dc*"],
            "Constraints": [{ "LTarget": "${node.class}", "Operand": "=", "RTarget": "big" }],
            "TaskGroups": [{ "Name": "app", "Tasks": [{ "Name": "main", "Driver": "docker", "Resources": { "CPU": 500 } }] }] }));
        let explained = explain(&state, &job, 100);
        let (group, verdicts) = &explained[0];
        assert_eq!((group.as_str(), verdicts.len()), ("app", 5));
        let verdict = |at: usize| verdicts[at].1.clone();
        assert_eq!(verdict(0), Verdict::Unavailable("node is down".into()));
        assert_eq!(verdict(1), Verdict::Unavailable("node is not eligible".into()));
        assert_eq!(verdict(2), Verdict::Filtered("${node.class} = big".into()));
        assert_eq!(verdict(3), Verdict::Exhausted("cpu".into()));
        let Verdict::Ranked { score, evicts: 0 } = verdict(4) else {
            panic!("{verdicts:?}");
        };
        assert_eq!(score.node, NodeId(5));
        assert!(score.norm_score() > 0.0);
    }
}
