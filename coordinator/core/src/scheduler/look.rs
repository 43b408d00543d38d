//! Looking at nodes for one placement: who qualifies, who has room, how each scores, and what there is to tell of it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use holdfast_shared::id::NodeId;
use holdfast_shared::model::{Component, NodeScore, PlacementReport, Scores, Tally};

use super::devices::{self, Assigned};
use super::distinct::{self, Uses};
use super::fleet::{Fleet, Reach, Room, Seat};
use super::ports;
use super::preemption::Evicting;
use super::property::Property;
use super::rank::{self, Usage};
use super::spread;
use super::terms::{Apart, Distinct, SpreadTerm, Terms};

/// Nodes whose scores are kept with a placement.
const SCORES_KEPT: usize = 5;

/// A node that qualifies and has room.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    pub(super) row: u32,
    pub(super) scores: Scores,
    pub(super) norm: f64,
}

/// Everything that is the same for all nodes of one placement.
pub(super) struct Look<'l, 'a> {
    pub(super) fleet: &'l Fleet,
    pub(super) terms: &'l mut Terms<'a>,
    pub(super) properties: &'l [Property<'a>],
    /// Allocations of the job on each row.
    pub(super) of_job: &'l [u32],
    /// Nodes on which it failed before.
    pub(super) penalized: &'l BTreeSet<NodeId>,
    pub(super) packing: &'l mut Packing,
    pub(super) counts: &'l mut Counts,
    pub(super) standings: Vec<Standing>,
    /// The lowest contribution of a spread so far.
    pub(super) lowest: &'l mut f64,
    /// Whether others may have to give way.
    pub(super) evicting: Option<Evicting<'l>>,
}

/// How a spread stands before a placement.
#[derive(Debug, Clone, Copy)]
pub(super) enum Standing {
    /// The smallest and the greatest use of any value.
    Even(Option<(usize, usize)>),
    /// The spread's share of all weights, and how often values are used that no target names.
    Targets { weight: f64, others: usize },
}

impl Standing {
    pub(super) fn of(term: &SpreadTerm<'_>, property: &Property<'_>, weights: i64) -> Self {
        let totals = property.uses().iter().map(|uses| uses.total());
        if term.spread.targets.is_empty() {
            return Self::Even(spread::extremes(totals));
        }
        let others = totals.zip(&term.desired).filter(|(_, desired)| desired.is_none());
        Self::Targets {
            weight: term.spread.weight as f64 / weights.max(1) as f64,
            others: others.map(|(total, _)| total).sum(),
        }
    }
}

impl Look<'_, '_> {
    /// Looks at one node, and counts what speaks against it.
    pub(super) fn candidate(&mut self, seat: Seat) -> Option<Candidate> {
        let row = seat.row;
        self.counts.evaluated += 1;
        if let Some(unmet) = self.unmet(seat) {
            let label = self.label(seat);
            self.counts.filter(unmet, label);
            return None;
        }
        let used = match self.room_for(row) {
            Ok(used) => Some(used),
            Err(dimension) => {
                let made = self.evicting.as_mut();
                let made = made.and_then(|it| it.make_room(self.fleet, row, self.terms));
                if made.is_none() {
                    let label = self.label(seat);
                    self.counts.exhaust(&dimension, label);
                }
                made
            }
        };
        let room = Room {
            used: used?,
            capacity: self.fleet.room(row).capacity,
        };
        let scores = self.scores(seat, &room);
        Some(Candidate {
            row,
            norm: scores.mean(),
            scores,
        })
    }

    /// What is taken of a node with one more allocation.
    ///
    /// # Errors
    /// What there is too little of.
    fn room_for(&self, row: u32) -> Result<Usage, Cow<'static, str>> {
        let room = self.fleet.room(row);
        let mut used = room.used;
        used.plus(&self.terms.ask);
        if let Some(dimension) = used.exceeds(&room.capacity) {
            return Err(dimension.into());
        }
        if !self.terms.ports.is_empty() {
            ports::fit(&self.terms.ports, self.fleet.node(row), self.fleet.ports(row))?;
        }
        if !self.terms.devices.is_empty() && devices_for(self.fleet, row, self.terms).is_none() {
            return Err("devices: no devices match request".into());
        }
        Ok(used)
    }

    fn label(&self, seat: Seat) -> usize {
        self.fleet.classes().label_of(seat.class) as usize
    }

    /// The first thing against the node that room has nothing to do with.
    fn unmet(&mut self, seat: Seat) -> Option<Unmet> {
        if let Some(at) = self.terms.verdicts.unmet(self.fleet, seat) {
            return Some(Unmet::Reason(at));
        }
        let row = seat.row;
        let crowd = match self.terms.apart {
            Apart::No => 0,
            Apart::OfGroup => self.terms.crowd[row as usize],
            Apart::OfJob => self.of_job[row as usize],
        };
        let hosts = self.terms.hosts_reason();
        if crowd > 0 {
            return Some(Unmet::Reason(hosts));
        }
        let crowded = |(at, it): (usize, &Distinct)| {
            let property = &self.properties[it.property];
            let uses = property.uses_in(row);
            if distinct::property_allows(it.limit, uses) {
                return None;
            }
            if it.limit.is_none() {
                return Some(Unmet::Reason(hosts + 1 + at));
            }
            Some(Unmet::Crowded {
                property: it.property,
                value: property.column.of(row),
                uses: uses.map_or(0, Uses::distinct),
            })
        };
        self.terms.distinct.iter().enumerate().find_map(crowded)
    }

    /// Every component of the score that counts.
    fn scores(&mut self, seat: Seat, room: &Room) -> Scores {
        let row = seat.row;
        let mut scores = Scores::default();
        scores.set(Component::Binpack, self.packing.score(room));
        if !self.terms.devices.is_empty()
            && let Some(score) = devices_for(self.fleet, row, self.terms).and_then(|it| it.score)
        {
            scores.set(Component::Devices, score);
        }
        let colliding = self.terms.crowd[row as usize] as usize;
        if let Some(score) = rank::anti_affinity(colliding, self.terms.count) {
            scores.set(Component::JobAntiAffinity, score);
        }
        if !self.penalized.is_empty() && self.penalized.contains(&self.fleet.id(row)) {
            scores.set(Component::NodeReschedulePenalty, -1.0);
        }
        if let Some(score) = self.terms.affinities.score(self.fleet, seat) {
            scores.set(Component::NodeAffinity, score);
        }
        let spread = self.spread(row);
        if spread != 0.0 {
            scores.set(Component::AllocationSpread, spread);
        }
        let evicted = self.evicting.as_ref().map(|it| it.priorities(row));
        if let Some(evicted) = evicted.filter(|it| !it.is_empty()) {
            let score = rank::preemption(rank::net_priority(&evicted));
            scores.set(Component::Preemption, score);
        }
        scores
    }

    /// The sum of what all spreads say about the node.
    fn spread(&mut self, row: u32) -> f64 {
        let mut total = 0.0;
        for (term, standing) in self.terms.spreads.iter().zip(&self.standings) {
            let property = &self.properties[term.property];
            let uses = property.uses_in(row).map(|uses| uses.total());
            total += match standing {
                Standing::Even(extremes) => spread::even(uses, *extremes),
                Standing::Targets { weight, others } => {
                    let value = property.column.of(row);
                    let goal = value.and_then(|value| match term.desired[value] {
                        Some(desired) => Some((desired, uses.unwrap_or(0))),
                        None => Some((term.remainder?, *others)),
                    });
                    spread::toward(goal, *weight, self.lowest)
                }
            };
        }
        total
    }
}

/// What speaks against a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unmet {
    /// The reason of this number.
    Reason(usize),
    /// Of this property, as many have the node's value as may; no value is that the node lacks the property.
    Crowded {
        property: usize,
        value: Option<usize>,
        uses: usize,
    },
}

/// The devices that the group would get on a row's node.
pub(super) fn devices_for(fleet: &Fleet, row: u32, terms: &Terms<'_>) -> Option<Assigned> {
    devices::assign(&terms.devices, fleet.node(row), &fleet.devices(row))
}

/// The chosen node's scores first: they are the rank of the allocation; then the others, best first, in the order in
/// which they were looked at when they are equal.
pub(super) fn top_scores(fleet: &Fleet, taken: &[Candidate], chosen: &Candidate) -> Vec<NodeScore> {
    let mut top: Vec<&Candidate> = Vec::with_capacity(SCORES_KEPT + 1);
    for it in taken.iter().filter(|it| it.row != chosen.row) {
        let worst = top.get(SCORES_KEPT - 2);
        if worst.is_some_and(|worst| it.norm.total_cmp(&worst.norm).is_le()) {
            continue;
        }
        let at = top.partition_point(|better| it.norm.total_cmp(&better.norm).is_le());
        top.insert(at, it);
        top.truncate(SCORES_KEPT - 1);
    }
    let mut scores = Vec::with_capacity(top.len() + 1);
    scores.extend([chosen].into_iter().chain(top).map(|it| NodeScore {
        node: fleet.id(it.row),
        scores: it.scores,
    }));
    scores
}

/// Scores of rooms, each worked out once while it is remembered: identical nodes share theirs.
#[derive(Debug)]
pub(super) struct Packing {
    rank: fn(&Usage, &Usage) -> f64,
    known: Vec<(Room, f64)>,
}

/// Rooms that are remembered; a power of two.
const ROOMS_REMEMBERED: usize = 64;

impl Packing {
    /// Scores by this rank, which answers 0 to 18.
    pub(super) fn new(rank: fn(&Usage, &Usage) -> f64) -> Self {
        let (usage, score) = (
            Usage::default(),
            rank(&Usage::default(), &Usage::default()) / 18.0,
        );
        let nothing = Room {
            capacity: usage,
            used: usage,
        };
        Self {
            rank,
            known: vec![(nothing, score); ROOMS_REMEMBERED],
        }
    }

    fn score(&mut self, room: &Room) -> f64 {
        let mix = |hash: u64, number: u64| (hash.rotate_left(5) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let numbers = [room.used, room.capacity].map(|it| [it.cpu_mhz, it.memory_mb, it.disk_mb]);
        let hash = numbers.into_iter().flatten().fold(0, mix);
        let slot = &mut self.known[(hash >> 58) as usize % ROOMS_REMEMBERED];
        if slot.0 != *room {
            *slot = (*room, (self.rank)(&room.used, &room.capacity) / 18.0);
        }
        slot.1
    }
}

/// What was seen during one placement, in numbers.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) evaluated: u64,
    filtered: u64,
    exhausted: u64,
    by_reason: Histogram,
    /// Of [`Unmet::Crowded`], each value by itself.
    crowded: BTreeMap<Unmet, u64>,
    filtered_by_label: Histogram,
    exhausted_by_label: Histogram,
    dimensions: Vec<(Arc<str>, u64)>,
}

impl Counts {
    /// Begins anew.
    pub(super) fn clear(&mut self) {
        (self.evaluated, self.filtered, self.exhausted) = (0, 0, 0);
        self.by_reason.clear();
        self.crowded.clear();
        self.filtered_by_label.clear();
        self.exhausted_by_label.clear();
        self.dimensions.iter_mut().for_each(|(_, number)| *number = 0);
    }

    fn filter(&mut self, unmet: Unmet, label: usize) {
        self.filtered += 1;
        match unmet {
            Unmet::Reason(at) => self.by_reason.add(at),
            Unmet::Crowded { .. } => *self.crowded.entry(unmet).or_default() += 1,
        }
        self.filtered_by_label.add(label);
    }

    fn exhaust(&mut self, dimension: &str, label: usize) {
        self.exhausted += 1;
        self.exhausted_by_label.add(label);
        let known = self.dimensions.iter().position(|(name, _)| **name == *dimension);
        let at = known.unwrap_or_else(|| {
            self.dimensions.push((dimension.into(), 0));
            self.dimensions.len() - 1
        });
        self.dimensions[at].1 += 1;
    }

    /// What there is to tell, but for scores.
    pub(super) fn report(
        &self,
        reach: &Reach,
        fleet: &Fleet,
        reasons: &[Arc<str>],
        properties: &[Property<'_>],
    ) -> PlacementReport {
        let named = |histogram: &Histogram| {
            let classes = fleet.classes();
            let labels = histogram
                .iter()
                .map(|(label, number)| (classes.label(label as u32), number));
            tally(labels.filter(|(label, _)| !label.is_empty()))
        };
        let mut constraint_filtered = tally(self.by_reason.iter().map(|(at, number)| (&reasons[at], number)));
        for (unmet, number) in &self.crowded {
            if let Unmet::Crowded {
                property,
                value,
                uses,
            } = *unmet
            {
                let text = properties[property].crowded(value, uses);
                constraint_filtered.add(&text.into(), *number);
            }
        }
        PlacementReport {
            nodes_evaluated: self.evaluated,
            nodes_filtered: self.filtered,
            nodes_in_pool: reach.in_pool,
            node_pool: Arc::clone(&reach.pool),
            nodes_available: Arc::clone(&reach.available),
            class_filtered: named(&self.filtered_by_label),
            constraint_filtered,
            nodes_exhausted: self.exhausted,
            class_exhausted: named(&self.exhausted_by_label),
            dimension_exhausted: tally(
                self.dimensions
                    .iter()
                    .filter(|(_, number)| *number > 0)
                    .map(|(name, number)| (name, *number)),
            ),
            scores: Vec::new(),
            coalesced_failures: 0,
        }
    }
}

fn tally<'n>(entries: impl Iterator<Item = (&'n Arc<str>, u64)>) -> Tally {
    let mut tally = Tally::default();
    entries.for_each(|(name, number)| tally.add(name, number));
    tally
}

/// Numbers by small numbers.
#[derive(Debug, Default)]
struct Histogram {
    numbers: Vec<u64>,
    /// Which of them are not 0.
    touched: Vec<usize>,
}

impl Histogram {
    fn add(&mut self, at: usize) {
        if self.numbers.len() <= at {
            self.numbers.resize(at + 1, 0);
        }
        if self.numbers[at] == 0 {
            self.touched.push(at);
        }
        self.numbers[at] += 1;
    }

    fn clear(&mut self) {
        for at in self.touched.drain(..) {
            self.numbers[at] = 0;
        }
    }

    fn iter(&self) -> impl Iterator<Item = (usize, u64)> {
        self.touched.iter().map(|at| (*at, self.numbers[*at]))
    }
}
