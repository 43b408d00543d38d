//! Where things run: one placement at a time, on the best of a few nodes that qualify and have room.
//!
//! The scheduler sees a snapshot and what this evaluation has decided so far; it changes nothing. It knows nothing of
//! why something is to be placed.

pub mod constraint;
pub mod distinct;
pub(crate) mod feasible;
pub(crate) mod ports;
pub mod rank;
pub mod spread;
mod version;

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use holdfast_shared::id::{AllocId, IdGenerator, NodeId};
use holdfast_shared::model::{
    Affinity, Allocation, AssignedPort, Constraint, Job, Node, NodeScore, PlacementReport, TaskGroup,
    TaskResources,
};

use crate::state::State;
use distinct::Uses;
use rank::Usage;
use spread::Spreading;

/// Nodes whose scores are kept with a placement.
const SCORES_KEPT: usize = 5;

/// What is to be placed.
pub(crate) struct Wanted<'a> {
    /// The job, in the version that is placed.
    pub(crate) job: &'a Job,
    /// The group.
    pub(crate) group: &'a TaskGroup,
    /// Nodes on which it failed before.
    pub(crate) penalized: &'a BTreeSet<NodeId>,
    /// The only node that may be considered.
    pub(crate) only: Option<NodeId>,
}

/// Where something fits.
#[derive(Debug, Clone)]
pub(crate) struct Placement {
    pub(crate) node: NodeId,
    pub(crate) ports: Vec<AssignedPort>,
    pub(crate) resources: TaskResources,
    pub(crate) report: PlacementReport,
}

/// Places the allocations of one evaluation.
pub(crate) struct Scheduler<'a> {
    state: &'a State,
    node_limit: usize,
    /// Ready nodes, in the order in which they are looked at.
    order: Vec<&'a Arc<Node>>,
    /// Allocations that this evaluation stops.
    stopped: BTreeSet<AllocId>,
    /// Allocations that this evaluation places.
    placed: BTreeMap<NodeId, Vec<Allocation>>,
    /// The nodes that the job may use.
    reach: Option<Reach<'a>>,
    /// Where looking goes on.
    cursor: usize,
    /// Affinities or spreads of an earlier group keep the limit raised.
    weighs: bool,
    /// Weights of the spreads of every group so far.
    spread_weights: BTreeMap<String, i64>,
    /// The lowest contribution of a spread so far.
    lowest_spread: Cell<f64>,
}

/// The nodes that one version of the job may use, in the order in which they are looked at.
struct Reach<'a> {
    version: u64,
    nodes: Vec<&'a Arc<Node>>,
    /// What every report begins with.
    report: PlacementReport,
}

/// What all nodes are compared by for one placement.
struct Criteria<'a> {
    resources: TaskResources,
    affinities: Vec<&'a Affinity>,
    spreads: Vec<Spreading<'a>>,
    spread_weights: i64,
    /// Every `distinct_property`, and how often each value is used.
    properties: Vec<(&'a Constraint, Uses)>,
}

/// A node that qualifies and has room.
struct Candidate<'a> {
    node: &'a Node,
    ports: Vec<AssignedPort>,
    scores: BTreeMap<String, f64>,
    norm: f64,
}

impl<'a> Scheduler<'a> {
    /// A scheduler for one evaluation; `seed` decides the order in which nodes are looked at.
    pub(crate) fn new(state: &'a State, node_limit: usize, seed: u128) -> Self {
        let mut order: Vec<&Arc<Node>> = state
            .nodes
            .values()
            .filter(|node| node.is_schedulable())
            .collect();
        let mut random = IdGenerator::from_seed(seed);
        for at in (1..order.len()).rev() {
            order.swap(at, (random.next_u64() % (at as u64 + 1)) as usize);
        }
        Self {
            state,
            node_limit,
            order,
            stopped: BTreeSet::new(),
            placed: BTreeMap::new(),
            reach: None,
            cursor: 0,
            weighs: false,
            spread_weights: BTreeMap::new(),
            lowest_spread: Cell::new(-1.0),
        }
    }

    /// An allocation gives its resources back.
    pub(crate) fn release(&mut self, alloc: AllocId) {
        self.stopped.insert(alloc);
    }

    /// An allocation keeps its resources after all.
    pub(crate) fn withhold(&mut self, alloc: AllocId) {
        self.stopped.remove(&alloc);
    }

    /// An allocation was placed.
    pub(crate) fn take(&mut self, alloc: Allocation) {
        self.placed.entry(alloc.node).or_default().push(alloc);
    }

    /// The best place for what is wanted.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn place(&mut self, wanted: &Wanted<'_>) -> Result<Placement, Box<PlacementReport>> {
        let (job, group) = (wanted.job, wanted.group);
        let criteria = self.criteria(job, group);
        self.weighs |= !criteria.affinities.is_empty() || !criteria.spreads.is_empty();
        self.look_around(job);
        let reach = self.reach.as_ref().expect("it was looked around just now");
        let mut report = reach.report.clone();
        let batch = job.job_type().is_batch();
        let limit = rank::visit_limit(
            reach.nodes.len(),
            batch,
            self.weighs,
            group.count(),
            self.node_limit,
        );
        // Every placement goes on where the last one stopped looking, so that a large fleet fills up evenly.
        let (passed, ahead) = reach.nodes.split_at(self.cursor.min(reach.nodes.len()));
        let mut looked_at = 0;
        let anywhere = wanted.only.is_none();
        let candidates = ahead.iter().chain(passed).take_while(|_| anywhere);
        let candidates = candidates.inspect(|_| looked_at += 1).copied();
        let candidates = candidates
            .chain(self.only(wanted))
            .filter_map(|node| self.candidate(node, wanted, &criteria, &mut report));
        let taken = rank::visit(candidates, (limit, rank::SKIPPED_MAX), |candidate| candidate.norm);
        let best = rank::best(&taken, |candidate| candidate.norm);
        let Some(best) = best else {
            return Err(Box::new(report));
        };
        report.scores = top_scores(&taken, best.node.id);
        let placement = Placement {
            node: best.node.id,
            ports: best.ports.clone(),
            resources: criteria.resources.clone(),
            report,
        };
        if wanted.only.is_none() {
            self.cursor = (self.cursor + looked_at) % reach.nodes.len().max(1);
        }
        Ok(placement)
    }

    /// The only node that may be considered, if the job may use it: a search among all would cost the square of the fleet.
    fn only(&self, wanted: &Wanted<'_>) -> Option<&'a Arc<Node>> {
        let node = self.state.nodes.get(&wanted.only?)?;
        let usable = node.is_schedulable()
            && feasible::is_in_pool(wanted.job, node)
            && feasible::is_in_reach(wanted.job, node);
        usable.then_some(node)
    }

    /// Finds the nodes that the job may use at all, once for each of its versions.
    fn look_around(&mut self, job: &Job) {
        if self
            .reach
            .as_ref()
            .is_some_and(|reach| reach.version == job.version())
        {
            return;
        }
        let mut report = PlacementReport {
            node_pool: job.node_pool().to_owned(),
            ..PlacementReport::default()
        };
        let mut nodes = Vec::new();
        for node in self.order.iter().filter(|node| feasible::is_in_pool(job, node)) {
            report.nodes_in_pool += 1;
            if feasible::is_in_reach(job, node) {
                *report
                    .nodes_available
                    .entry(node.fingerprint.datacenter.clone())
                    .or_default() += 1;
                nodes.push(*node);
            }
        }
        self.reach = Some(Reach {
            version: job.version(),
            nodes,
            report,
        });
        self.cursor = 0;
    }

    /// What nodes are compared by.
    fn criteria<'w>(&mut self, job: &'w Job, group: &'w TaskGroup) -> Criteria<'w> {
        let listed = |spreads: &'w Option<Vec<_>>| spreads.as_deref().unwrap_or_default();
        let mut spreads = spread::spreads_of(listed(&job.spreads), listed(&group.spreads));
        for spread in &mut spreads {
            spread.used = self.uses(job, Some(group), spread.attribute).totals();
        }
        let weights = spreads.iter().map(|spread| spread.weight).sum();
        self.spread_weights.insert(group.name().to_owned(), weights);
        let of_job = job.constraints.iter().flatten().map(|it| (it, None));
        let of_group = group.constraints.iter().flatten().map(|it| (it, Some(group)));
        let properties = of_job
            .chain(of_group)
            .filter(|(it, _)| it.operand == "distinct_property");
        Criteria {
            resources: resources(group),
            affinities: affinities(job, group).collect(),
            spreads,
            spread_weights: self.spread_weights.values().sum(),
            properties: properties
                .map(|(it, scope)| (it, self.uses(job, scope, &it.left)))
                .collect(),
        }
    }

    /// How often each value of a property is used by the job, or by one group of it.
    fn uses(&self, job: &Job, scope: Option<&TaskGroup>, attribute: &str) -> Uses {
        let key = job.key();
        let mut uses = Uses::default();
        let counts = |alloc: &Allocation| scope.is_none_or(|group| group.name() == alloc.group);
        let value = |alloc: &Allocation| {
            let node = self.state.nodes.get(&alloc.node)?;
            feasible::resolve(attribute, node).map(Cow::into_owned)
        };
        for alloc in self
            .state
            .allocs_of_job(&key)
            .filter(|alloc| !alloc.is_terminal() && counts(alloc))
        {
            let Some(value) = value(alloc) else { continue };
            if self.stopped.contains(&alloc.id) {
                *uses.stopped.entry(value.clone()).or_default() += 1;
            }
            *uses.existing.entry(value).or_default() += 1;
        }
        for alloc in self.placed.values().flatten().filter(|alloc| counts(alloc)) {
            if let Some(value) = value(alloc) {
                *uses.planned.entry(value).or_default() += 1;
            }
        }
        uses
    }

    /// Looks at one node, and writes down what speaks against it.
    fn candidate<'n>(
        &self,
        node: &'n Node,
        wanted: &Wanted<'_>,
        criteria: &Criteria<'_>,
        report: &mut PlacementReport,
    ) -> Option<Candidate<'n>> {
        let (job, group) = (wanted.job, wanted.group);
        report.nodes_evaluated += 1;
        let others: Vec<&Allocation> = self.proposed(node.id).collect();
        let unfit = feasible::qualifies(job, group, node)
            .and_then(|()| distinct_hosts(job, group, &others))
            .and_then(|()| distinct_properties(criteria, node));
        if let Err(reason) = unfit {
            report.nodes_filtered += 1;
            *report.constraint_filtered.entry(reason).or_default() += 1;
            count_class(&mut report.class_filtered, node);
            return None;
        }
        let capacity = Usage::capacity(&node.fingerprint.resources);
        let mut used = Usage::default();
        others.iter().for_each(|alloc| used.add(&alloc.resources));
        used.add(&criteria.resources);
        let ports = ports::assign(group, node, others.iter().copied());
        let short = used
            .exceeds(&capacity)
            .map(str::to_owned)
            .or_else(|| ports.as_ref().err().cloned());
        if let Some(dimension) = short {
            report.nodes_exhausted += 1;
            *report.dimension_exhausted.entry(dimension).or_default() += 1;
            count_class(&mut report.class_exhausted, node);
            return None;
        }
        let scores = self.scores(node, wanted, criteria, (&used, &others));
        let norm = rank::mean(scores.values().copied());
        Some(Candidate {
            node,
            ports: ports.unwrap_or_default(),
            scores,
            norm,
        })
    }

    /// Every component of the score that counts, by name.
    fn scores(
        &self,
        node: &Node,
        wanted: &Wanted<'_>,
        criteria: &Criteria<'_>,
        (used, others): (&Usage, &[&Allocation]),
    ) -> BTreeMap<String, f64> {
        let (job, group) = (wanted.job, wanted.group);
        let (key, capacity) = (job.key(), Usage::capacity(&node.fingerprint.resources));
        let colliding = others
            .iter()
            .filter(|it| it.job == key && it.group == group.name())
            .count();
        let prefers = |it: &Affinity| feasible::holds(&it.left, &it.operand, &it.right, node);
        let affinities = criteria
            .affinities
            .iter()
            .map(|it| (it.weight.unwrap_or(50), prefers(it)));
        let mut lowest = self.lowest_spread.get();
        let spread = spread::score(
            &criteria.spreads,
            group.count(),
            criteria.spread_weights,
            &mut lowest,
            |attribute| feasible::resolve(attribute, node).map(Cow::into_owned),
        );
        self.lowest_spread.set(lowest);
        [
            ("binpack", Some(rank::binpack(used, &capacity) / 18.0)),
            ("job-anti-affinity", rank::anti_affinity(colliding, group.count())),
            (
                "node-reschedule-penalty",
                wanted.penalized.contains(&node.id).then_some(-1.0),
            ),
            ("node-affinity", rank::affinity(affinities)),
            ("allocation-spread", Some(spread).filter(|score| *score != 0.0)),
        ]
        .into_iter()
        .filter_map(|(name, score)| score.map(|score| (name.to_owned(), score)))
        .collect()
    }

    /// What runs on the node once this evaluation's decisions are carried out.
    fn proposed(&self, node: NodeId) -> impl Iterator<Item = &Allocation> {
        let stored = self.state.allocs_of_node(node).map(Arc::as_ref);
        let stays = stored.filter(|alloc| !alloc.is_terminal() && !self.stopped.contains(&alloc.id));
        stays.chain(self.placed.get(&node).into_iter().flatten())
    }
}

/// Whether `distinct_hosts` allows one more allocation beside these.
fn distinct_hosts(job: &Job, group: &TaskGroup, others: &[&Allocation]) -> Result<(), String> {
    let apart = |constraints: &Option<Vec<Constraint>>| {
        constraints
            .iter()
            .flatten()
            .any(|it| it.operand == "distinct_hosts" && distinct::hosts_apart(&it.right))
    };
    let key = job.key();
    let mut of_job = others.iter().filter(|alloc| alloc.job == key);
    let crowded = if apart(&job.constraints) {
        of_job.next().is_some()
    } else {
        apart(&group.constraints) && of_job.any(|alloc| alloc.group == group.name())
    };
    if crowded {
        Err("distinct_hosts".into())
    } else {
        Ok(())
    }
}

/// Whether every `distinct_property` allows one more allocation on the node.
fn distinct_properties(criteria: &Criteria<'_>, node: &Node) -> Result<(), String> {
    for (constraint, uses) in &criteria.properties {
        let value = feasible::resolve(&constraint.left, node);
        if !distinct::property_allows(&constraint.right, value.as_deref(), uses) {
            return Err(feasible::describe(constraint));
        }
    }
    Ok(())
}

fn count_class(classes: &mut BTreeMap<String, u64>, node: &Node) {
    if !node.fingerprint.node_class.is_empty() {
        *classes.entry(node.fingerprint.node_class.clone()).or_default() += 1;
    }
}

fn affinities<'a>(job: &'a Job, group: &'a TaskGroup) -> impl Iterator<Item = &'a Affinity> {
    let of_tasks = group
        .tasks()
        .iter()
        .flat_map(|task| task.affinities.iter().flatten());
    job.affinities
        .iter()
        .flatten()
        .chain(group.affinities.iter().flatten())
        .chain(of_tasks)
}

/// What the tasks of a group take.
pub(crate) fn resources(group: &TaskGroup) -> TaskResources {
    let tasks = group.tasks().iter().map(|task| {
        let it = task.resources();
        (
            task.name.clone(),
            (it.cpu_mhz(), it.memory_mb(), it.memory_max_mb()),
        )
    });
    TaskResources {
        tasks: tasks.collect(),
        disk_mb: group.disk_mb(),
    }
}

/// The chosen node's scores first: they are the rank of the allocation; then the others, best first.
fn top_scores(taken: &[Candidate<'_>], chosen: NodeId) -> Vec<NodeScore> {
    let mut scores: Vec<NodeScore> = taken
        .iter()
        .map(|it| NodeScore {
            node: it.node.id,
            scores: it.scores.clone(),
            norm_score: it.norm,
        })
        .collect();
    scores.sort_by(|a, b| {
        (b.node == chosen)
            .cmp(&(a.node == chosen))
            .then(b.norm_score.total_cmp(&a.norm_score))
    });
    scores.truncate(SCORES_KEPT);
    scores
}
