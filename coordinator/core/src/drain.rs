//! Emptying nodes: what moves when, and when a drain is over (`scheduling-semantics.md` section 5).
//!
//! Nothing is remembered but which nodes drain: whatever has to be done next follows from their allocations as they
//! are, so that a restart, an update of the drain or a purged job cannot leave it hanging. Service allocations move as
//! their `migrate` block allows; batch allocations may finish until the deadline; those of system jobs end last.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use holdfast_shared::id::{AllocId, JobKey, NodeId};
use holdfast_shared::model::{Allocation, DrainStatus, DrainStrategy, JobType, LastDrain, Node, Trigger};
use holdfast_shared::time::{Duration, Timestamp};

use crate::input::DrainSpec;
use crate::ledger::Ledger;
use crate::state::State;

/// The nodes that drain, and when each is to be empty; zero is never.
#[derive(Debug, Default)]
pub(crate) struct Drains {
    by_node: BTreeMap<NodeId, Timestamp>,
}

impl Drains {
    /// The drains of a stored state.
    pub(crate) fn of(state: &State) -> Self {
        let mut drains = Self::default();
        state.nodes.values().for_each(|node| drains.observe(node));
        drains
    }

    /// A node has changed.
    pub(crate) fn observe(&mut self, node: &Node) {
        match &node.drain {
            Some(strategy) => self.by_node.insert(node.id, strategy.force_deadline),
            None => self.by_node.remove(&node.id),
        };
    }

    /// A node is forgotten.
    pub(crate) fn forget(&mut self, id: NodeId) {
        self.by_node.remove(&id);
    }

    /// Whether the node drains.
    pub(crate) fn contains(&self, id: NodeId) -> bool {
        self.by_node.contains_key(&id)
    }

    /// The nodes that drain.
    pub(crate) fn nodes(&self) -> BTreeSet<NodeId> {
        self.by_node.keys().copied().collect()
    }

    /// When the next deadline comes.
    pub(crate) fn next_at(&self) -> Option<Timestamp> {
        self.by_node.values().copied().filter(|at| at.is_set()).min()
    }

    /// The nodes whose deadline has come.
    pub(crate) fn due(&self, now: Timestamp) -> BTreeSet<NodeId> {
        let due = self.by_node.iter().filter(|(_, at)| at.is_set() && **at <= now);
        due.map(|(id, _)| *id).collect()
    }

    /// Moves on what can move, after something happened to these jobs, and to allocations of these draining nodes.
    pub(crate) fn advance(&self, ledger: &mut Ledger, jobs: &BTreeSet<JobKey>, nodes: &BTreeSet<NodeId>) {
        if self.by_node.is_empty() {
            return;
        }
        let state = &ledger.state;
        let on_nodes = nodes.iter().flat_map(|id| state.allocs_of_node(*id));
        let mut wanted: BTreeSet<JobKey> = on_nodes.map(|alloc| alloc.job.clone()).collect();
        wanted.extend(jobs.iter().cloned());
        for key in &wanted {
            self.migrate(ledger, key);
        }
        for id in nodes {
            conclude(ledger, *id);
        }
    }

    /// Marks as many allocations of a service job as its groups can do without.
    fn migrate(&self, ledger: &mut Ledger, key: &JobKey) {
        let Some(job) = ledger.state.jobs.get(key).cloned() else {
            return;
        };
        if !moves(job.job_type()) {
            return;
        }
        let allocs: Vec<Arc<Allocation>> = ledger.state.allocs_of_job(key).cloned().collect();
        if !allocs.iter().any(|alloc| self.contains(alloc.node)) {
            return;
        }
        let mut marked = Vec::new();
        for group in job.groups() {
            let policy = group.migrate.clone().unwrap_or_default().policy();
            let members = allocs.iter().filter(|alloc| *alloc.group == *group.name());
            let turn = GroupTurn::of(members.map(AsRef::as_ref), &|node| self.contains(node));
            marked.extend(turn.to_mark(job.job_type(), group.count(), policy.max_parallel));
        }
        mark(ledger, &marked);
    }
}

/// One group, as far as draining nodes are concerned.
#[derive(Debug, Default)]
pub(crate) struct GroupTurn {
    /// Allocations that are not over and whose health is known; those that are about to move do not count.
    healthy: usize,
    /// Allocations that have to move and were not told so.
    movable: Vec<AllocId>,
    /// Allocations on draining nodes that have ended.
    pub(crate) left: usize,
    /// Allocations on draining nodes that have not ended.
    pub(crate) remaining: usize,
}

impl GroupTurn {
    /// Counts the allocations of a group.
    pub(crate) fn of<'a>(
        allocs: impl Iterator<Item = &'a Allocation>,
        is_draining: &dyn Fn(NodeId) -> bool,
    ) -> Self {
        let mut turn = Self::default();
        for alloc in allocs {
            let drains = is_draining(alloc.node);
            if drains && has_left(alloc) {
                turn.left += 1;
                continue;
            }
            let stays = !alloc.is_terminal() && !alloc.transition.migrate;
            turn.healthy += usize::from(stays && alloc.health.is_some());
            if drains {
                turn.remaining += 1;
                turn.movable.extend(stays.then_some(alloc.id));
            }
        }
        turn
    }

    /// The allocations that can be moved now.
    pub(crate) fn to_mark(&self, kind: JobType, count: usize, max_parallel: i64) -> &[AllocId] {
        if !moves(kind) {
            return &[];
        }
        let spare = usize::try_from(max_parallel).unwrap_or(0);
        let free = self.healthy.saturating_sub(count.saturating_sub(spare));
        &self.movable[..free.min(self.movable.len())]
    }
}

/// Whether allocations of such jobs move to other nodes. Others end: batch jobs by themselves, system jobs last.
fn moves(kind: JobType) -> bool {
    kind == JobType::Service
}

/// Whether nothing runs there any more, by the word of its node or because that is gone.
fn has_left(alloc: &Allocation) -> bool {
    alloc.client.is_terminal()
}

/// The drain that an operator asks for; `before` is the one that goes on already.
pub(crate) fn strategy(spec: DrainSpec, before: Option<&DrainStrategy>, now: Timestamp) -> DrainStrategy {
    DrainStrategy {
        deadline: spec.deadline,
        ignore_system_jobs: spec.ignore_system_jobs,
        started_at: before.map_or(now, |before| before.started_at),
        force_deadline: match spec.deadline {
            Duration::ZERO => Timestamp::ZERO,
            deadline => now + deadline.max(Duration::ZERO),
        },
    }
}

/// What type of job an allocation belongs to; one whose job was purged is in nobody's way.
fn kind(state: &State, alloc: &Allocation) -> Option<JobType> {
    let job = state.job_of(alloc).or_else(|| state.jobs.get(&alloc.job));
    job.map(|job| job.job_type())
}

/// Ends the drain of a node that is empty but for system jobs, or whose deadline has come: what is left is told to go.
fn conclude(ledger: &mut Ledger, id: NodeId) {
    let Some(node) = ledger.state.nodes.get(&id).cloned() else {
        return;
    };
    let Some(drain) = &node.drain else { return };
    let allocs: Vec<Arc<Allocation>> = ledger.state.allocs_of_node(id).cloned().collect();
    let is_system = |alloc: &Allocation| kind(&ledger.state, alloc) == Some(JobType::System);
    let is_empty = allocs.iter().all(|alloc| is_system(alloc) || has_left(alloc));
    let is_due = drain.force_deadline.is_set() && drain.force_deadline <= ledger.now;
    if !is_empty && !is_due {
        return;
    }
    let remaining: Vec<AllocId> = allocs
        .iter()
        .filter(|alloc| !alloc.is_terminal())
        .filter(|alloc| !drain.ignore_system_jobs || !is_system(alloc))
        .map(|alloc| alloc.id)
        .collect();
    mark(ledger, &remaining);
    let mut node = (*node).clone();
    node.drain = None;
    record(&mut node, DrainStatus::Complete, ledger.now);
    let details = (!is_empty).then(|| ("deadline_reached".to_owned(), "true".to_owned()));
    ledger.note(&mut node, "Drain", "Node drain complete");
    if let Some(event) = node.events.last_mut() {
        event.details.extend(details);
    }
    ledger.put_node(node);
}

/// Keeps the record of a node's newest drain.
pub(crate) fn record(node: &mut Node, status: DrainStatus, now: Timestamp) {
    let last = node.last_drain.get_or_insert_with(|| {
        Box::new(LastDrain {
            started_at: now,
            updated_at: now,
            status,
            meta: BTreeMap::new(),
        })
    });
    last.status = status;
    last.updated_at = now;
}

/// Tells allocations to move, and their jobs to see to it. Batch allocations end without a successor: their slot has had
/// its turn.
fn mark(ledger: &mut Ledger, allocs: &[AllocId]) {
    let mut jobs = BTreeSet::new();
    for id in allocs {
        let Some(old) = ledger.state.allocs.get(id).cloned() else {
            continue;
        };
        let is_batch = kind(&ledger.state, &old).is_some_and(JobType::is_batch);
        let mut alloc = (*old).clone();
        alloc.transition.migrate = true;
        alloc.transition.migrate_without_placement |= is_batch;
        if alloc.transition != old.transition {
            jobs.insert(alloc.job.clone());
            ledger.put_alloc(alloc);
        }
    }
    for job in jobs {
        ledger.evaluate(&job, Trigger::NodeDrain);
    }
}
