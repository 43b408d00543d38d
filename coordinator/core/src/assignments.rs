//! What nodes are told to run, and how little of it: a delta on top of what a node holds, or the whole set.
//!
//! Messages are level-triggered. Every change of a node's set raises its generation; a node that does not hold the
//! newest generation, by its own word, is told again. What a node was sent is remembered only in memory: after a
//! restart it is sent the whole set, which does no harm.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use holdfast_shared::id::{AllocId, JobKey, NodeId};
use holdfast_shared::model::{Allocation, ClientStatus, DesiredStatus, Job, JobType, Node, NodeStatus, Task};
use holdfast_shared::wire::{Assigned, Assignments, Held, JobSpec, ToAgent, WatchHealth};

use crate::ledger::Ledger;
use crate::state::State;

/// How many generations back a delta can reach.
const LOG_LEN_MAX: usize = 64;

/// Allocations of one node that are told to end because nobody knows them, at once: a node that invents them must not
/// fill the memory, and one that has more of them reports the rest again.
const STRAYS_MAX: usize = 1024;

/// Bytes of packed specifications that are kept, in case another node is sent them soon.
const PACKED_BYTES_MAX: usize = 256 * 1024;

/// No coordinator gets as far: a node that holds a newer epoch lies, and only harms itself.
const EPOCH_MAX: u64 = 1 << 62;

/// What every node was told.
#[derive(Debug, Default)]
pub(crate) struct Publisher {
    by_node: BTreeMap<NodeId, Told>,
    /// Nodes whose set changed in this turn.
    touched: BTreeSet<NodeId>,
    /// Nodes that have to be told.
    due: BTreeSet<NodeId>,
    /// Nodes that have to report everything.
    asked: BTreeSet<NodeId>,
    packed: PackedSpecs,
}

/// Specifications as they travel. To pack one costs more than everything else of a message, and a job's nodes are sent the
/// same one, turn by turn.
#[derive(Debug, Default)]
struct PackedSpecs {
    /// Each with whether memory beyond what is reserved was allowed when it was made.
    specs: BTreeMap<(SpecKey, Groups), (bool, JobSpec)>,
    /// What was packed since it was last empty.
    bytes: usize,
}

impl PackedSpecs {
    fn of(&mut self, key: (SpecKey, Groups), job: &Job, state: &State) -> JobSpec {
        let generous = state.scheduling_of(job.node_pool()).memory_oversubscription;
        // A version never changes but in what agents do not look at: its status, and whether it is stable.
        if let Some((was_generous, spec)) = self.specs.get(&key)
            && *was_generous == generous
        {
            return spec.clone();
        }
        if self.bytes > PACKED_BYTES_MAX {
            *self = Self::default();
        }
        let wanted = |name: &str| key.1.iter().any(|group| **group == *name);
        let spec = JobSpec::of(&as_allowed(job, generous), wanted);
        self.bytes += spec.bytes.len() + size_of::<((SpecKey, Groups), (bool, JobSpec))>();
        self.specs.insert(key, (generous, spec.clone()));
        spec
    }
}

/// Job, version and create index: what a specification on a node is known by.
type SpecKey = (JobKey, u64, u64);

/// Names of groups, in their order.
type Groups = Box<[Box<str>]>;

/// What a node was sent of a job version.
#[derive(Debug)]
struct Sent {
    /// Which one.
    key: SpecKey,
    /// With which generation.
    generation: u64,
    /// Its groups.
    groups: Groups,
}

/// The same, of what an allocation runs.
fn spec_of(alloc: &Allocation) -> (&JobKey, u64, u64) {
    (&alloc.job, alloc.job_version, alloc.job_create_index)
}

/// What one node was told. There are thousands of these, with an entry or two each: so lists, and no trees.
#[derive(Debug, Default)]
struct Told {
    /// The newest generation that it holds, or will hold once it has read what it was sent.
    base: Option<u64>,
    /// Allocations that changed in this turn.
    touched: BTreeSet<AllocId>,
    /// Allocations that it reports and the coordinator does not know.
    strays: BTreeSet<AllocId>,
    /// Which allocations changed with each of the last generations, in order.
    log: Vec<(u64, Box<[AllocId]>)>,
    /// The specifications that it was sent, in order.
    specs: Vec<Sent>,
    /// Whether it has said what it holds since the coordinator started; before that it is told nothing.
    heard: bool,
    /// The epoch that it holds when it holds something that this coordinator never sent: then it is told nothing.
    fenced: Option<u64>,
}

/// On which occasion a node says what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// It is new here, or back.
    Registration,
    /// It wants to know whether that is the newest.
    Heartbeat,
    /// It reports something else, and what it was sent may be on its way.
    Report,
}

impl Publisher {
    /// An allocation of the node changed by the coordinator's decision.
    pub(crate) fn touch(&mut self, node: NodeId, alloc: AllocId) {
        self.by_node.entry(node).or_default().touched.insert(alloc);
        self.touched.insert(node);
    }

    /// The node says what it holds.
    pub(crate) fn on_held(&mut self, ledger: &mut Ledger, id: NodeId, held: Held, occasion: Occasion) {
        let Some(node) = ledger.state.nodes.get(&id).cloned() else {
            return;
        };
        let registered = occasion == Occasion::Registration;
        let told = self.by_node.entry(id).or_default();
        let is_first = !std::mem::replace(&mut told.heard, true);
        // What was decided meanwhile counts up as well, so only what was sent can be compared.
        let (lineage, sent) = (&ledger.state.lineage, node.sent_generation);
        if lineage.is_foreign(held, sent) {
            if told.fenced.replace(held.epoch).is_none() {
                let mut node = (*node).clone();
                let text = format!(
                    "coordinator state is older than the node's (restored from a backup?): the node holds epoch {} \
                     generation {}, the coordinator has sent epoch {} generation {sent}; nothing on the node will be \
                     changed until an operator adopts the coordinator's state",
                    held.epoch, held.generation, ledger.state.epoch
                );
                ledger.note(&mut node, "Cluster", text);
                ledger.put_node(node);
            }
            return;
        }
        // Only now its word about allocations that are not known here counts; and a coordinator that died right after its
        // state was adopted has not asked for it.
        if told.fenced.take().is_some() || (is_first && !registered && lineage.is_overruled(held)) {
            self.asked.insert(id);
        }
        let is_own = lineage.is_own(held);
        let base = is_own.then_some(held.generation);
        if is_own {
            told.log.retain(|(generation, _)| *generation > held.generation);
            told.log.shrink_to_fit();
        }
        // If that was lost, its next heartbeat says so, or what it is sent next: it does not fit to what it holds.
        let crosses = occasion == Occasion::Report && is_own && told.base >= base;
        if crosses {
            // Decided while it was taken for gone.
            if told.base != Some(node.generation) {
                self.due.insert(id);
            }
            return;
        }
        let is_newest = is_own && held.generation == node.generation;
        if !is_newest && (is_own || node.generation > 0) {
            told.base = base;
            self.due.insert(id);
        } else if registered || told.base.is_none() {
            told.base = base;
        }
    }

    /// The node reports allocations that the coordinator does not know: they are to end, by explicit order. Only a full
    /// report tells that others are gone; until then the order stands, as its message may have been lost.
    pub(crate) fn on_strays(&mut self, ledger: &Ledger, id: NodeId, strays: BTreeSet<AllocId>, full: bool) {
        let told = self.by_node.entry(id).or_default();
        if told.fenced.is_some() || !ledger.state.nodes.contains_key(&id) {
            return;
        }
        let strays: BTreeSet<AllocId> = strays.into_iter().take(STRAYS_MAX).collect();
        if !strays.is_subset(&told.strays) {
            told.touched.extend(strays.difference(&told.strays).copied());
            self.touched.insert(id);
        }
        if full {
            told.strays = strays;
        } else {
            told.strays.extend(strays);
            while told.strays.len() > STRAYS_MAX {
                told.strays.pop_first();
            }
        }
    }

    /// Raises the generation of every node whose set changed in this turn.
    pub(crate) fn bump_generations(&mut self, ledger: &mut Ledger) {
        for id in std::mem::take(&mut self.touched) {
            let told = self.by_node.entry(id).or_default();
            let touched = std::mem::take(&mut told.touched);
            let Some(node) = ledger.state.nodes.get(&id).cloned() else {
                continue;
            };
            let mut node = (*node).clone();
            node.generation += 1;
            if told.log.len() >= LOG_LEN_MAX {
                told.log.remove(0);
            }
            told.log.push((node.generation, touched.into_iter().collect()));
            self.due.insert(id);
            ledger.put_node(node);
        }
    }

    /// What nodes are to be told now. Nodes out of contact are told when they are back and say what they hold. One that
    /// has not said so yet is asked: it may hold something newer than what is known here.
    pub(crate) fn publish(&mut self, ledger: &mut Ledger) -> Vec<(NodeId, ToAgent)> {
        let asked = std::mem::take(&mut self.asked).into_iter();
        let mut messages: Vec<_> = asked.map(|id| (id, ToAgent::ReportAll)).collect();
        for id in std::mem::take(&mut self.due) {
            let Some((told, node)) = self
                .by_node
                .get_mut(&id)
                .zip(ledger.state.nodes.get(&id).cloned())
            else {
                continue;
            };
            let present = matches!(node.status, NodeStatus::Ready | NodeStatus::Initializing);
            if !present || told.fenced.is_some() {
                continue;
            }
            if !told.heard {
                messages.push((id, ToAgent::ReportAll));
                continue;
            }
            let assignments = told.assignments(&ledger.state, &node, &mut self.packed);
            messages.push((id, ToAgent::Assignments(assignments)));
            if node.sent_generation != node.generation {
                let mut node = (*node).clone();
                node.sent_generation = node.generation;
                ledger.put_node(node);
            }
        }
        messages
    }

    /// This state is the truth from now on: nodes that were told nothing are asked what they have. Answers the newest
    /// epoch that one of them holds.
    pub(crate) fn on_adoption(&mut self) -> u64 {
        let fenced = self.by_node.iter().filter(|(_, told)| told.fenced.is_some());
        self.asked.extend(fenced.map(|(id, _)| *id));
        let epochs = self.by_node.values().filter_map(|told| told.fenced);
        epochs.filter(|epoch| *epoch <= EPOCH_MAX).max().unwrap_or(0)
    }

    /// A node is forgotten.
    pub(crate) fn forget(&mut self, id: NodeId) {
        self.by_node.remove(&id);
    }
}

impl Told {
    /// The message that takes the node from what it holds to what it should.
    fn assignments(&mut self, state: &State, node: &Node, packed: &mut PackedSpecs) -> Assignments {
        let generation = node.generation;
        let is_logged = |it| {
            self.log
                .binary_search_by_key(&it, |(generation, _)| *generation)
                .is_ok()
        };
        let base = self
            .base
            .filter(|base| *base > 0 && (base + 1..=generation).all(is_logged));
        let changed: Option<BTreeSet<AllocId>> = base.map(|base| {
            let newer = self.log.iter().filter(|(generation, _)| *generation > base);
            newer.flat_map(|(_, ids)| ids.iter().copied()).collect()
        });
        let listed: Vec<_> = match &changed {
            None => state
                .allocs_of_node(node.id)
                .filter(|alloc| matters(alloc))
                .collect(),
            Some(changed) => {
                let known = changed.iter().filter_map(|id| state.allocs.get(id));
                known.filter(|alloc| alloc.node == node.id).collect()
            }
        };
        let jobs = self.unsent(state, node, base, &listed).into_iter();
        let jobs = jobs.filter_map(|(key, groups)| {
            let job = state.versions.get(&(key.0.clone(), key.1))?;
            Some(packed.of((key, groups), job, state))
        });
        let jobs = jobs.collect();
        self.base = Some(generation);
        Assignments {
            epoch: state.epoch,
            generation,
            base,
            allocs: listed.into_iter().map(|alloc| assigned(state, alloc)).collect(),
            stop: self.strays.iter().copied().collect(),
            jobs,
        }
    }

    /// The specifications that the node needs for what is to run and does not have: with every group that it has something
    /// of, as what it is sent takes the place of what it had.
    fn unsent(
        &mut self,
        state: &State,
        node: &Node,
        base: Option<u64>,
        listed: &[&Arc<Allocation>],
    ) -> Vec<(SpecKey, Groups)> {
        let to_run = listed.iter().filter(|alloc| alloc.desired == DesiredStatus::Run);
        let mut needed: BTreeMap<(&JobKey, u64, u64), BTreeSet<&str>> =
            to_run.map(|alloc| (spec_of(alloc), BTreeSet::new())).collect();
        let mut live = BTreeSet::new();
        for alloc in state.allocs_of_node(node.id) {
            if alloc.desired == DesiredStatus::Run && !alloc.client.is_terminal() {
                live.insert(spec_of(alloc));
            }
            if let Some(groups) = needed.get_mut(&spec_of(alloc)) {
                groups.insert(&alloc.group);
            }
        }
        // Agents forget what nothing of theirs needs any more, and so it is sent again.
        self.specs.retain(|sent| {
            let (job, version, index) = &sent.key;
            base.is_some() && live.contains(&(job, *version, *index))
        });
        let mut unsent = Vec::new();
        for ((job, version, index), groups) in needed {
            let key: SpecKey = (job.clone(), version, index);
            let has = |sent: &Sent| {
                let group = |name: &&str| sent.groups.binary_search_by(|it| (**it).cmp(name)).is_ok();
                base.is_some_and(|base| sent.generation <= base) && groups.iter().all(group)
            };
            let at = self.specs.binary_search_by(|sent| sent.key.cmp(&key));
            if at.is_ok_and(|at| has(&self.specs[at])) {
                continue;
            }
            let groups: Groups = groups.into_iter().map(Box::from).collect();
            let sent = Sent {
                key: key.clone(),
                generation: node.generation,
                groups: groups.clone(),
            };
            match at {
                Ok(at) => self.specs[at] = sent,
                Err(at) => {
                    self.specs.reserve_exact(1);
                    self.specs.insert(at, sent);
                }
            }
            unsent.push((key, groups));
        }
        unsent
    }
}

/// The job as nodes are told of it: memory beyond what is reserved only where operators allow that.
fn as_allowed(job: &Job, generous: bool) -> Cow<'_, Job> {
    let mut tasks = job.groups().iter().flat_map(|group| group.tasks());
    let max = |task: &Task| task.resources.as_ref().and_then(|it| it.memory_max_mb);
    let wishes = tasks.any(|task| max(task).unwrap_or(0) != 0);
    if generous || !wishes {
        return Cow::Borrowed(job);
    }
    let mut job = job.clone();
    let tasks = job.task_groups.iter_mut().flatten();
    for task in tasks.flat_map(|group| group.tasks.iter_mut().flatten()) {
        if let Some(resources) = &mut task.resources {
            resources.memory_max_mb = None;
        }
    }
    Cow::Owned(job)
}

/// Whether an allocation belongs into a whole set: one that should run and may, or one that should end and has not.
fn matters(alloc: &Allocation) -> bool {
    match alloc.desired {
        DesiredStatus::Run => !alloc.client.is_terminal(),
        DesiredStatus::Stop | DesiredStatus::Evict => {
            !matches!(alloc.client, ClientStatus::Complete | ClientStatus::Failed)
        }
    }
}

/// Who waits for the health of an allocation. A drain needs that of every service allocation, however it came about: it
/// moves no more of a group than it can do without.
fn watch_health(state: &State, alloc: &Allocation) -> WatchHealth {
    let deployment = alloc.deployment.and_then(|id| state.deployments.get(&id));
    if alloc.health.is_some() {
        WatchHealth::Nobody
    } else if deployment.is_some_and(|it| it.status.is_active()) {
        WatchHealth::Deployment
    } else if state
        .job_of(alloc)
        .is_some_and(|job| job.job_type() == JobType::Service)
    {
        WatchHealth::Migration
    } else {
        WatchHealth::Nobody
    }
}

fn assigned(state: &State, alloc: &Allocation) -> Assigned {
    Assigned {
        id: alloc.id,
        name: alloc.name.to_string(),
        namespace: alloc.job.namespace.to_string(),
        job: alloc.job.id.to_string(),
        job_version: alloc.job_version,
        job_create_index: alloc.job_create_index,
        group: alloc.group.to_string(),
        run: alloc.desired == DesiredStatus::Run,
        no_shutdown_delay: alloc.transition.no_shutdown_delay,
        unknown: alloc.client == ClientStatus::Unknown,
        watch_health: watch_health(state, alloc),
        canary: alloc.canary,
        previous: alloc.previous.get(),
        ports: alloc.ports.iter().map(Into::into).collect(),
        devices: alloc.resources.devices.clone(),
        alloc_modify_index: alloc.alloc_modify_index,
    }
}
