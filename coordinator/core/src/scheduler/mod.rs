//! Where things run: one placement at a time, on the best of a few nodes that qualify and have room.
//!
//! The scheduler sees the fleet, and what this evaluation has decided so far; it changes nothing else. It knows nothing
//! of why something is to be placed. What all placements of an evaluation have in common is worked out once: the terms
//! of each group, what each class of nodes makes of them, and how often properties are used.

mod class;
pub mod constraint;
mod devices;
pub mod distinct;
pub mod explain;
pub(crate) mod feasible;
pub(crate) mod fleet;
mod look;
pub(crate) mod ports;
mod preemption;
mod property;
pub mod rank;
pub mod spread;
mod terms;
#[cfg(test)]
mod tests;
mod version;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use holdfast_shared::id::{AllocId, IdGenerator, NodeId};
use holdfast_shared::model::{
    Allocation, AssignedPort, Job, PlacementReport, Preemption, SchedulerAlgorithm, TaskGroup, TaskResources,
};

use crate::state::State;
use distinct::Uses;
use feasible::Requirements;
use fleet::{Fleet, Reach, Seat};
use look::{Candidate, Counts, Look, Packing, Standing};
use preemption::{Evicting, Gone};
use property::Property;
use terms::{Apart, PropertyAsk, Terms, Verdicts};

/// What is to be placed.
pub(crate) struct Wanted<'a, 'w> {
    /// The job, in the version that is placed.
    pub(crate) job: &'a Job,
    /// The group.
    pub(crate) group: &'a TaskGroup,
    /// Nodes on which it failed before.
    pub(crate) penalized: &'w BTreeSet<NodeId>,
    /// The only node that may be considered.
    pub(crate) only: Option<NodeId>,
}

/// Where something fits.
#[derive(Debug, Clone)]
pub(crate) struct Placement {
    pub(crate) node: NodeId,
    pub(crate) ports: Vec<AssignedPort>,
    pub(crate) resources: Arc<TaskResources>,
    pub(crate) report: PlacementReport,
    /// Allocations that give way to it.
    pub(crate) evicts: Vec<AllocId>,
}

/// What operators set about placements.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// How many nodes are looked at, at least, when affinities or spreads are to be weighed.
    pub(crate) node_limit: usize,
    /// Which node is the best one.
    pub(crate) algorithm: SchedulerAlgorithm,
    /// Which types of jobs may push out others.
    pub(crate) preemption: Preemption,
    /// Whether tasks may use more memory than they reserve.
    pub(crate) memory_oversubscription: bool,
}

impl Rules {
    /// What holds for a job in this state; `node_limit` is what holds when nobody has set one.
    pub(crate) fn of(state: &State, job: &Job, node_limit: usize) -> Self {
        let settings = state.scheduling_of(job.node_pool());
        let own = usize::try_from(settings.node_limit).ok().filter(|it| *it > 0);
        Self {
            node_limit: own.unwrap_or(node_limit),
            algorithm: settings.algorithm,
            preemption: settings.preemption,
            memory_oversubscription: settings.memory_oversubscription,
        }
    }
}

/// Places the allocations of one evaluation.
pub(crate) struct Scheduler<'a> {
    /// The state before the evaluation.
    state: &'a State,
    rules: Rules,
    random: IdGenerator,
    /// The nodes that the job may use.
    order: Option<Order>,
    terms: Vec<Terms<'a>>,
    properties: Vec<Property<'a>>,
    /// Allocations of the job on each row.
    of_job: Vec<u32>,
    /// Allocations that this evaluation stops.
    stopped: BTreeSet<AllocId>,
    /// Rows and groups of the allocations that this evaluation places.
    placed: Vec<(u32, &'a str)>,
    /// Affinities or spreads of an earlier group keep the limit raised.
    weighs: bool,
    /// Weights of the spreads of every group so far.
    spread_weights: BTreeMap<&'a str, i64>,
    /// The lowest contribution of a spread so far.
    lowest_spread: f64,
    packing: Packing,
    counts: Counts,
    /// Nodes to choose from; kept for its memory.
    taken: Vec<Candidate>,
    gone: Gone,
}

/// The nodes that one version of the job may use, in the order in which they are looked at.
struct Order {
    version: u64,
    reach: Arc<Reach>,
    seats: Vec<Seat>,
    /// So many of them are shuffled already.
    shuffled: usize,
    /// Where looking goes on.
    cursor: usize,
}

impl Order {
    /// Who is looked at in this place. Shuffling goes no further than looking does.
    fn seat(&mut self, at: usize, random: &mut IdGenerator) -> Seat {
        while self.shuffled <= at {
            let left = (self.seats.len() - self.shuffled) as u64;
            let other = self.shuffled + (random.next_u64() % left) as usize;
            self.seats.swap(self.shuffled, other);
            self.shuffled += 1;
        }
        self.seats[at]
    }
}

impl<'a> Scheduler<'a> {
    /// A scheduler for one evaluation; `seed` decides the order in which nodes are looked at.
    pub(crate) fn new(state: &'a State, rules: Rules, seed: u128) -> Self {
        let rank = match rules.algorithm {
            SchedulerAlgorithm::Binpack => rank::binpack,
            SchedulerAlgorithm::Spread => rank::spread,
        };
        Self {
            state,
            rules,
            random: IdGenerator::from_seed(seed),
            order: None,
            terms: Vec::new(),
            properties: Vec::new(),
            of_job: Vec::new(),
            stopped: BTreeSet::new(),
            placed: Vec::new(),
            weighs: false,
            spread_weights: BTreeMap::new(),
            lowest_spread: -1.0,
            packing: Packing::new(rank),
            counts: Counts::default(),
            taken: Vec::new(),
            gone: Gone::new(),
        }
    }

    /// An allocation gives its resources back, unless it has done so by now.
    pub(crate) fn release(&mut self, fleet: &mut Fleet, now: &State, id: AllocId) {
        if let Some(alloc) = now.allocs.get(&id) {
            fleet.release(alloc);
        }
        if let Some(alloc) = self.state.allocs.get(&id)
            && !alloc.is_terminal()
            && self.stopped.insert(id)
            && let Some(row) = fleet.row(alloc.node)
        {
            let at = (row, &*alloc.group);
            self.recount(at, |uses| uses.stopped += 1, |number| *number -= 1);
        }
    }

    /// An allocation keeps its resources after all.
    pub(crate) fn withhold(&mut self, fleet: &mut Fleet, id: AllocId) {
        if let Some(alloc) = self.state.allocs.get(&id)
            && self.stopped.remove(&id)
            && let Some(row) = fleet.row(alloc.node)
        {
            fleet.withhold(alloc);
            let at = (row, &*alloc.group);
            self.recount(at, |uses| uses.stopped -= 1, |number| *number += 1);
        }
    }

    /// Nothing more is placed: what was released and goes on running counts again.
    pub(crate) fn finish(self, fleet: &mut Fleet) {
        for alloc in self.stopped.iter().filter_map(|id| self.state.allocs.get(id)) {
            fleet.withhold(alloc);
        }
    }

    /// An allocation of the group was placed.
    pub(crate) fn take(&mut self, fleet: &Fleet, group: &'a TaskGroup, node: NodeId) {
        if let Some(row) = fleet.row(node) {
            let at = (row, group.name());
            self.placed.push(at);
            self.recount(at, |uses| uses.planned += 1, |number| *number += 1);
        }
    }

    /// Counts a change of one of the job's allocations.
    fn recount(&mut self, (row, group): (u32, &str), uses: impl Fn(&mut Uses), number: impl Fn(&mut u32)) {
        for property in &mut self.properties {
            property.count((row, group), &uses);
        }
        self.of_job.get_mut(row as usize).into_iter().for_each(&number);
        for terms in self.terms.iter_mut().filter(|it| it.group.name() == group) {
            number(&mut terms.crowd[row as usize]);
        }
    }

    /// The best place for what is wanted; when there is none, and the job may push out others, the best one that there
    /// would be without them. `now` is the state with everything that this evaluation has decided.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn place(
        &mut self,
        fleet: &mut Fleet,
        now: &State,
        wanted: &Wanted<'a, '_>,
    ) -> Result<Placement, Box<PlacementReport>> {
        let found = self.find(fleet, wanted, None);
        if found.is_ok() || !self.rules.preemption.is_allowed(wanted.job.job_type()) {
            return found;
        }
        let placement = self.find(fleet, wanted, Some(now))?;
        for alloc in placement.evicts.iter().filter_map(|id| now.allocs.get(id)) {
            let group = (alloc.job.clone(), alloc.group.clone());
            *self.gone.entry(group).or_default() += 1;
        }
        Ok(placement)
    }

    fn find(
        &mut self,
        fleet: &mut Fleet,
        wanted: &Wanted<'a, '_>,
        evicting: Option<&State>,
    ) -> Result<Placement, Box<PlacementReport>> {
        self.look_around(fleet, wanted.job);
        let at = self.terms_of(fleet, wanted);
        let terms = &mut self.terms[at];
        self.weighs |= terms.weigh();
        let order = self.order.as_mut().expect("it was looked around just now");
        let nodes = order.seats.len();
        let batch = wanted.job.job_type().is_batch();
        let limit = rank::visit_limit(nodes, batch, self.weighs, terms.count, self.rules.node_limit);
        let weights = self.spread_weights.values().sum();
        let properties = &self.properties;
        let standing = |term| Standing::of(term, &properties[term.property], weights);
        self.counts.clear();
        let mut look = Look {
            fleet,
            standings: terms.spreads.iter().map(standing).collect(),
            terms,
            properties,
            of_job: &self.of_job,
            penalized: wanted.penalized,
            packing: &mut self.packing,
            counts: &mut self.counts,
            lowest: &mut self.lowest_spread,
            evicting: evicting.map(|now| Evicting {
                now,
                job: wanted.job,
                gone: &self.gone,
                victims: BTreeMap::new(),
            }),
        };
        let limits = (limit, rank::SKIPPED_MAX);
        let taken = &mut self.taken;
        taken.clear();
        if let Some(node) = wanted.only {
            let seat = only(fleet, wanted.job, node);
            let candidates = seat.into_iter().filter_map(|seat| look.candidate(seat));
            rank::visit(candidates, limits, |it| it.norm, taken);
        } else {
            // Every placement goes on where the last one stopped looking, so that a large fleet fills up evenly.
            let (start, random) = (order.cursor, &mut self.random);
            let candidates = (0..nodes).filter_map(|step| {
                let at = start + step;
                let at = if at < nodes { at } else { at - nodes };
                order.cursor = if at + 1 < nodes { at + 1 } else { 0 };
                look.candidate(order.seat(at, random))
            });
            rank::visit(candidates, limits, |it| it.norm, taken);
        }
        let victims = look.evicting.map(|it| it.victims).unwrap_or_default();
        let terms = &self.terms[at];
        let mut report = self
            .counts
            .report(&order.reach, fleet, &terms.reasons, &self.properties);
        let Some(best) = rank::best(taken, |candidate| candidate.norm) else {
            return Err(Box::new(report));
        };
        report.scores = look::top_scores(fleet, taken, best);
        let victims = victims.get(&best.row).into_iter().flatten();
        let evicts = victims.filter_map(|it| evicting?.allocs.get(&it.alloc)).collect();
        Ok(placement(fleet, (terms, best.row), report, evicts))
    }

    /// The nodes that the job may use, in the order in which they are going to be looked at.
    #[cfg(test)]
    pub(crate) fn order_of(&mut self, fleet: &mut Fleet, job: &Job) -> Vec<NodeId> {
        self.look_around(fleet, job);
        let order = self.order.as_mut().expect("it was looked around just now");
        let rows = 0..order.seats.len();
        rows.map(|at| fleet.id(order.seat(at, &mut self.random).row))
            .collect()
    }

    /// Finds the nodes that the job may use at all, once for each of its versions.
    fn look_around(&mut self, fleet: &mut Fleet, job: &Job) {
        if self.order.as_ref().is_some_and(|it| it.version == job.version()) {
            return;
        }
        let reach = fleet.reach(job);
        self.order = Some(Order {
            version: job.version(),
            seats: reach.seats.clone(),
            reach,
            shuffled: 0,
            cursor: 0,
        });
    }

    /// The terms of what is wanted, worked out when it is wanted first.
    fn terms_of(&mut self, fleet: &mut Fleet, wanted: &Wanted<'a, '_>) -> usize {
        let known = self
            .terms
            .iter()
            .position(|it| std::ptr::eq(it.group, wanted.group));
        if let Some(at) = known {
            return at;
        }
        let (job, group) = (wanted.job, wanted.group);
        let asks = terms::property_asks(job, group);
        let numbers: Vec<usize> = asks.iter().map(|ask| self.property(fleet, job, *ask)).collect();
        let mut terms = Terms::new(job, group, fleet, &self.properties, &numbers);
        if !self.rules.memory_oversubscription {
            terms.forbid_memory_max();
        }
        terms.resources = fleet.resources.share(&terms.resources);
        for (row, _) in self.live(fleet, job).filter(|(_, it)| *it == group.name()) {
            terms.crowd[row as usize] += 1;
        }
        if terms.apart == Apart::OfJob && self.of_job.is_empty() {
            let mut of_job = vec![0; fleet.len()];
            self.live(fleet, job)
                .for_each(|(row, _)| of_job[row as usize] += 1);
            self.of_job = of_job;
        }
        self.spread_weights
            .entry(group.name())
            .or_insert_with(|| terms.spread_weights());
        self.terms.push(terms);
        self.terms.len() - 1
    }

    /// Rows and groups of what the job has once this evaluation's decisions are carried out.
    fn live<'s>(&'s self, fleet: &'s Fleet, job: &'s Job) -> impl Iterator<Item = (u32, &'s str)> {
        let stays = self
            .stored(job)
            .filter(|alloc| !self.stopped.contains(&alloc.id))
            .filter_map(|alloc| Some((fleet.row(alloc.node)?, &*alloc.group)));
        let placed = self.placed.iter().copied();
        stays.chain(placed)
    }

    /// What the job had before this evaluation.
    fn stored(&self, job: &Job) -> impl Iterator<Item = &'a Arc<Allocation>> {
        let all = self.state.allocs_of_job(&job.key());
        all.filter(|alloc| !alloc.is_terminal())
    }

    /// The number of a property whose uses are counted.
    fn property(&mut self, fleet: &mut Fleet, job: &Job, ask: PropertyAsk<'a>) -> usize {
        let same = |it: &Property<'_>| (it.attribute, it.scope) == (ask.attribute, ask.scope);
        if let Some(at) = self.properties.iter().position(same) {
            return at;
        }
        let mut property = Property::new(ask.attribute, ask.scope, fleet.column(ask.attribute));
        for alloc in self.stored(job) {
            let Some(row) = fleet.row(alloc.node) else {
                continue;
            };
            let stopped = usize::from(self.stopped.contains(&alloc.id));
            property.count((row, &alloc.group), |uses| {
                uses.existing += 1;
                uses.stopped += stopped;
            });
        }
        for (row, group) in &self.placed {
            property.count((*row, group), |uses| uses.planned += 1);
        }
        self.properties.push(property);
        self.properties.len() - 1
    }
}

/// A place on a row's node, when these allocations give way.
fn placement(
    fleet: &Fleet,
    (terms, row): (&Terms<'_>, u32),
    report: PlacementReport,
    evicts: Vec<&Arc<Allocation>>,
) -> Placement {
    let node = fleet.node(row);
    let mut taken = Cow::Borrowed(fleet.ports(row));
    for alloc in &evicts {
        taken.to_mut().remove(node, &alloc.ports);
    }
    Placement {
        node: fleet.id(row),
        ports: ports::assign(&terms.ports, node, &taken).unwrap_or_default(),
        resources: terms.resources_on(fleet, row),
        report,
        evicts: evicts.into_iter().map(|alloc| alloc.id).collect(),
    }
}

/// Where the only node is that may be considered, if the job may use it: a search among all would cost the square of
/// the fleet.
fn only(fleet: &Fleet, job: &Job, node: NodeId) -> Option<Seat> {
    let row = fleet.row(node)?;
    let node = fleet.node(row);
    (node.is_schedulable() && feasible::is_in_reach(job, node)).then(|| fleet.seat(row))
}

/// The ready nodes that qualify for a group.
pub(crate) fn qualified(fleet: &mut Fleet, job: &Job, group: &TaskGroup) -> BTreeSet<NodeId> {
    let reach = fleet.reach(job);
    let mut verdicts = Verdicts::new(Requirements::new(job, group), fleet);
    let seats = reach.seats.iter().copied();
    let qualified = seats.filter(|seat| verdicts.unmet(fleet, *seat).is_none());
    qualified.map(|seat| fleet.id(seat.row)).collect()
}

/// Whether one of the nodes qualifies for a group, and may take allocations.
pub(crate) fn some_qualify<'n>(
    fleet: &mut Fleet,
    (job, group): (&Job, &TaskGroup),
    nodes: impl IntoIterator<Item = &'n NodeId>,
) -> bool {
    let mut verdicts = Verdicts::new(Requirements::new(job, group), fleet);
    nodes
        .into_iter()
        .filter_map(|node| only(fleet, job, *node))
        .any(|seat| verdicts.unmet(fleet, seat).is_none())
}

/// Brings the indexes up to date that evaluations of a job look at, as one of them would.
pub(crate) fn prepare(fleet: &mut Fleet, job: &Job) {
    fleet.reach(job);
    for ask in job
        .groups()
        .iter()
        .flat_map(|group| terms::property_asks(job, group))
    {
        fleet.column(ask.attribute);
    }
}
