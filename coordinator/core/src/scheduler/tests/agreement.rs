//! Random fleets and jobs: the scheduler and the slow one find the same places, for the same reasons.

use std::collections::BTreeSet;
use std::sync::Arc;

use holdfast_shared::id::{AllocId, NodeId};
use holdfast_shared::model::{
    Allocation, DesiredStatus, Job, PlacementReport, Preemption, SchedulerAlgorithm, TaskGroup,
};

use super::alloc;
use super::chance::{Dice, random_job, random_state};
use super::reference::{Outcome, Reference};
use crate::scheduler::fleet::Fleet;
use crate::scheduler::{Placement, Rules, Scheduler, Wanted};
use crate::state::{Delta, State};

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
        (report.class_filtered.to_map(), report.class_exhausted.to_map()),
        (slow.filtered_classes.clone(), slow.exhausted_classes.clone()),
        "seed {seed}: classes"
    );
    assert_eq!(
        (report.nodes_filtered, report.nodes_exhausted),
        (slow.filtered.values().sum(), slow.exhausted.values().sum()),
        "seed {seed}: how many are none"
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
        assert_eq!(fast.norm_score(), slow.norm, "seed {seed}: the score");
    }
    if let (Ok(fast), Some(slow)) = (fast, slow.found.first()) {
        assert_eq!(fast.ports, slow.ports, "seed {seed}: ports");
        assert_eq!(fast.resources.devices, slow.devices, "seed {seed}: devices");
        let evicts = |list: &[AllocId]| list.iter().copied().collect::<BTreeSet<_>>();
        assert_eq!(
            evicts(&fast.evicts),
            evicts(&slow.evicts),
            "seed {seed}: who gives way"
        );
    }
}

/// What random evaluations showed.
#[derive(Debug, Default)]
struct Seen {
    placed: usize,
    with_ports: usize,
    with_devices: usize,
    with_volumes: usize,
    evicted: usize,
}

/// One evaluation, by both of them.
struct Both<'a> {
    seed: u64,
    dice: Dice,
    job: &'a Job,
    /// The state with everything that was decided.
    now: State,
    fleet: Fleet,
    fast: Scheduler<'a>,
    slow: Reference<'a>,
}

impl<'a> Both<'a> {
    fn new(seed: u64, mut dice: Dice, state: &'a State, job: &'a Job) -> Self {
        let mut fleet = Fleet::of(state);
        let mut rules = Rules::of(state, job, 10);
        let preempts = dice.one_in(2);
        rules.preemption = Preemption {
            service: preempts,
            batch: preempts,
            ..Preemption::default()
        };
        rules.algorithm = dice.pick(&[SchedulerAlgorithm::Binpack, SchedulerAlgorithm::Spread]);
        let mut fast = Scheduler::new(state, rules, u128::from(seed));
        let order = fast.order_of(&mut fleet, job);
        let slow = Reference {
            job,
            nodes: order.iter().map(|id| &**state.nodes.get(id).unwrap()).collect(),
            all: state.nodes.values().map(|node| &**node).collect(),
            stored: state.allocs.values().map(|alloc| &**alloc).collect(),
            stopped: Vec::new(),
            placed: Vec::new(),
            evicted: Vec::new(),
            others: state.versions.values().map(|job| &**job).collect(),
            preempts,
            spreads: rules.algorithm == SchedulerAlgorithm::Spread,
            cursor: 0,
            node_limit: 10,
            seen: Vec::new(),
            lowest: -1.0,
        };
        Self {
            seed,
            dice,
            job,
            now: state.clone(),
            fleet,
            fast,
            slow,
        }
    }

    fn stop_some(&mut self) {
        let mine: Vec<AllocId> = self.now.allocs_of_job(&self.job.key()).map(|it| it.id).collect();
        for id in mine.into_iter().filter(|_| self.dice.one_in(3)) {
            self.fast.release(&mut self.fleet, &self.now, id);
            self.slow.stopped.push(id);
        }
    }

    /// An update that found no place.
    fn withhold_one(&mut self) {
        if let Some(id) = self.slow.stopped.pop() {
            self.fast.withhold(&mut self.fleet, id);
        }
    }

    /// Places one more allocation of a group, when both find the same place for it.
    fn place(&mut self, number: u128, group: &'a TaskGroup, seen: &mut Seen) {
        let nodes: Vec<NodeId> = self.slow.nodes.iter().map(|node| node.id).collect();
        let penalized: BTreeSet<NodeId> = nodes.into_iter().filter(|_| self.dice.one_in(6)).collect();
        // As a system job is placed, or what is bound to where it was; the node may be none of the job's.
        let anywhere: Vec<NodeId> = self.slow.all.iter().map(|node| node.id).collect();
        let only = self.dice.one_in(4).then(|| self.dice.pick(&anywhere));
        let wanted = Wanted {
            job: self.job,
            group,
            penalized: &penalized,
            only,
        };
        let found = self.fast.place(&mut self.fleet, &self.now, &wanted);
        let penalized: Vec<NodeId> = penalized.iter().copied().collect();
        let outcome = self.slow.place(group, &penalized, only);
        compare(self.seed, found.as_ref().map_err(|report| &**report), &outcome);
        let Ok(placement) = found else { return };
        seen.placed += 1;
        seen.with_ports += usize::from(!placement.ports.is_empty());
        seen.with_devices += usize::from(!placement.resources.devices.is_empty());
        seen.with_volumes += usize::from(group.volumes.iter().flatten().next().is_some());
        seen.evicted += placement.evicts.len();
        for id in &placement.evicts {
            let old = self.now.allocs.get(id).unwrap().clone();
            let evicted = Allocation {
                desired: DesiredStatus::Evict,
                ..(*old).clone()
            };
            self.change(Some(&old), evicted);
            self.slow.evicted.push(*id);
        }
        let has = ((*placement.resources).clone(), placement.ports);
        let alloc = alloc(number, ("mine", group.name()), placement.node.0, has);
        self.fast.take(&self.fleet, group, alloc.node);
        self.slow.placed.push(alloc.clone());
        self.change(None, alloc);
    }

    fn change(&mut self, old: Option<&Allocation>, new: Allocation) {
        self.fleet.replace(old, Some(&new));
        self.now.apply(&Delta::Allocation(Arc::new(new)));
    }
}

/// One evaluation of up to twelve placements.
fn agree(seed: u64, seen: &mut Seen) {
    let mut dice = Dice::from_seed(seed);
    let (state, job) = (random_state(&mut dice), random_job(&mut dice));
    let mut both = Both::new(seed, dice, &state, &job);
    both.stop_some();
    for number in 0..12 {
        let at = both.dice.below(job.groups().len() as u64);
        both.place(number, &job.groups()[at as usize], seen);
        if both.dice.one_in(4) {
            both.withhold_one();
        }
    }
    both.fast.finish(&mut both.fleet);
}

#[test]
fn the_scheduler_and_a_slow_one_find_the_same_places_for_the_same_reasons() {
    let mut seen = Seen::default();
    (0..600).for_each(|seed| agree(seed, &mut seen));
    let found_things = seen.with_ports > 400 && seen.with_devices > 100 && seen.with_volumes > 100;
    let enough = seen.placed > 1500 && seen.evicted > 200 && found_things;
    assert!(enough, "the fleets show too little: {seen:?}");
}
