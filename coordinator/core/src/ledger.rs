//! The state of the region together with the changes of the turn that is running.
//!
//! Everything that happens in one turn carries one index. A change is applied the moment it is recorded, so that what
//! follows in the same turn sees it; the shell gets the whole list at the turn's end, in one `Persist`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use holdfast_shared::id::{EvalId, IdGenerator, JobKey};
use holdfast_shared::model::{
    Allocation, ByName, Deployment, EvalStatus, Evaluation, Job, JobType, Node, NodeEvent, PlanCounts,
    Registration, Shared, Tally, Trigger,
};
use holdfast_shared::time::Timestamp;

use crate::common::{Common, Names};
use crate::options::Options;
use crate::scheduler::fleet::Fleet;
use crate::shapes::Shapes;
use crate::state::{Delta, State};

/// How many events a node remembers.
const NODE_EVENTS_MAX: usize = 10;

/// How far apart two epochs are at most: that two coordinators begin the same one is as unlikely.
const EPOCH_STEP_MAX: u64 = 1 << 16;

/// How many of its epochs a state remembers. Of a node that was away for more starts than these it cannot say who told it
/// what it holds.
const EPOCHS_MAX: usize = 1024;

/// How far an adoption goes: beyond what any coordinator has reached that the adopting one has not heard of.
const EPOCHS_PER_ADOPTION: u64 = 1 << 32;

/// What evaluations say of groups: most say the same as many others.
#[derive(Debug, Default)]
struct Outcomes {
    queued: Common<Tally>,
    plans: Common<ByName<PlanCounts>>,
}

impl Outcomes {
    fn share(&mut self, eval: &mut Evaluation) {
        eval.queued = self.queued.share(eval.queued.inner()).into();
        eval.plan = self.plans.share(eval.plan.inner()).into();
    }

    /// Lets the evaluations of a state that was loaded share what they have in common.
    fn share_all(&mut self, state: &mut State) {
        for (id, eval) in state.evals.clone() {
            let mut eval = (*eval).clone();
            self.share(&mut eval);
            state.evals.insert(id, Arc::new(eval));
        }
    }
}

/// State, and the changes of this turn.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// What is so, changes of this turn included.
    pub(crate) state: State,
    /// The nodes of that state, as the scheduler looks at them.
    pub(crate) fleet: Fleet,
    /// The groups of its jobs.
    pub(crate) shapes: Shapes,
    /// What its evaluations say of groups.
    outcomes: Outcomes,
    /// What groups are called.
    groups: Names,
    /// Where new ids come from.
    pub(crate) ids: IdGenerator,
    /// The time of this turn.
    pub(crate) now: Timestamp,
    /// What the operator set.
    pub(crate) options: Arc<Options>,
    open: Vec<Delta>,
    touched_services: BTreeSet<(String, String)>,
}

impl Ledger {
    pub(crate) fn new(options: Options, mut state: State, seed: u128) -> Self {
        let mut shapes = Shapes::default();
        shapes.share_all(&mut state);
        let mut outcomes = Outcomes::default();
        outcomes.share_all(&mut state);
        // A coordinator that is started twice with one seed must not give out the same ids twice.
        let seed = seed ^ (u128::from(state.index) << 64);
        Self {
            fleet: Fleet::of(&state),
            shapes,
            outcomes,
            groups: Names::default(),
            state,
            ids: IdGenerator::from_seed(seed),
            now: Timestamp::ZERO,
            options: Arc::new(options),
            open: Vec::new(),
            touched_services: BTreeSet::new(),
        }
    }

    /// The index that the changes of this turn carry.
    pub(crate) fn index(&self) -> u64 {
        self.state.index + u64::from(self.open.is_empty())
    }

    /// Changes of this turn so far.
    pub(crate) fn open(&self) -> &[Delta] {
        &self.open
    }

    /// Ends the turn: its changes, in order.
    pub(crate) fn close(&mut self) -> Vec<Delta> {
        std::mem::take(&mut self.open)
    }

    /// Applies `delta` and remembers it.
    pub(crate) fn record(&mut self, delta: Delta) {
        if self.open.is_empty() {
            let meta = Delta::Meta {
                index: self.state.index + 1,
                epoch: self.state.epoch,
            };
            self.state.apply(&meta);
            self.open.push(meta);
        }
        self.apply(&delta);
        self.open.push(delta);
    }

    /// Applies `delta` to the state and to the fleet that follows from it.
    fn apply(&mut self, delta: &Delta) {
        match delta {
            Delta::Allocation(new) => {
                let old = self.state.allocs.get(&new.id);
                self.fleet.replace(old.map(Arc::as_ref), Some(new));
            }
            Delta::RemoveAllocation(id) => {
                let old = self.state.allocs.get(id);
                self.fleet.replace(old.map(Arc::as_ref), None);
            }
            Delta::RemoveNode(id) => self.fleet.remove_node(*id),
            _ => {}
        }
        self.state.apply(delta);
        if let Delta::Node(node) = delta {
            self.fleet.put_node(node, &self.state);
        }
    }

    /// Begins the epoch of this process, which is unlike that of any other that starts with the same state.
    pub(crate) fn begin_epoch(&mut self) {
        let last = self.state.epoch.max(1);
        if self.state.lineage.is_empty() {
            self.record(Delta::Epoch(last));
        }
        let step = 1 + self.ids.next_u64() % EPOCH_STEP_MAX;
        self.raise_epoch(last + step);
        if self.state.lineage.len() > EPOCHS_MAX {
            let oldest = self.state.lineage.epochs().next();
            oldest
                .into_iter()
                .for_each(|it| self.record(Delta::RemoveEpoch(it)));
        }
    }

    /// Declares this state to be the truth, whatever nodes hold that were told otherwise, up to the epoch `heard`.
    pub(crate) fn adopt_state(&mut self, heard: u64) {
        let overruled: Vec<u64> = self.state.lineage.epochs().collect();
        self.raise_epoch(self.state.epoch.max(heard) + EPOCHS_PER_ADOPTION);
        for epoch in overruled {
            self.record(Delta::RemoveEpoch(epoch));
        }
    }

    fn raise_epoch(&mut self, epoch: u64) {
        self.state.epoch = epoch;
        self.record(Delta::Meta {
            index: self.index(),
            epoch,
        });
        self.record(Delta::Epoch(epoch));
    }

    /// Records a change of an allocation that the coordinator decided: its node has to hear of it.
    pub(crate) fn decide_alloc(&mut self, mut alloc: Allocation) {
        alloc.alloc_modify_index = self.index();
        self.put_alloc(alloc);
    }

    /// Records a change of an allocation that its node knows already, or need not know.
    pub(crate) fn put_alloc(&mut self, mut alloc: Allocation) {
        alloc.modify_index = self.index();
        alloc.modify_time = self.now;
        if alloc.create_index == 0 {
            alloc.create_index = alloc.modify_index;
            alloc.create_time = self.now;
        }
        self.record(Delta::Allocation(Arc::new(alloc)));
    }

    /// Records a change of a node.
    pub(crate) fn put_node(&mut self, mut node: Node) {
        node.modify_index = self.index();
        if node.create_index == 0 {
            node.create_index = node.modify_index;
        }
        self.record(Delta::Node(Arc::new(node)));
    }

    /// Adds an event to a node's memory; the caller records the node.
    pub(crate) fn note(&self, node: &mut Node, subsystem: &str, message: impl Into<String>) {
        if node.events.len() >= NODE_EVENTS_MAX {
            node.events.remove(0);
        }
        if node.events.is_empty() {
            // Most nodes never have a second one.
            node.events.reserve_exact(1);
        }
        node.events.push(NodeEvent {
            time: self.now,
            subsystem: subsystem.to_owned(),
            message: message.into(),
            details: BTreeMap::new(),
            create_index: self.index(),
        });
    }

    /// Records a change of an evaluation.
    pub(crate) fn put_eval(&mut self, mut eval: Evaluation) {
        eval.modify_index = self.index();
        eval.modify_time = self.now;
        if eval.create_index == 0 {
            eval.create_index = eval.modify_index;
            eval.create_time = self.now;
        }
        self.outcomes.share(&mut eval);
        self.record(Delta::Evaluation(Arc::new(eval)));
    }

    /// Records a change of a deployment.
    pub(crate) fn put_deployment(&mut self, mut deployment: Deployment) {
        deployment.modify_index = self.index();
        deployment.modify_time = self.now;
        if deployment.create_index == 0 {
            deployment.create_index = deployment.modify_index;
            deployment.create_time = self.now;
            deployment.groups.share_names(|name| self.groups.share(name));
        }
        self.record(Delta::Deployment(Arc::new(deployment)));
    }

    /// Records a change of a kept version of a job; of the job as well when it is the current one.
    pub(crate) fn put_job(&mut self, mut job: Job) {
        job.modify_index = Some(self.index());
        let job = Arc::new(job);
        let current = self
            .state
            .jobs
            .get(&job.key())
            .is_none_or(|current| current.version() <= job.version());
        if current {
            self.record(Delta::Job(Arc::clone(&job)));
        }
        self.record(Delta::JobVersion(job));
    }

    /// Records a change of a registration.
    pub(crate) fn put_service(&mut self, mut service: Registration) {
        service.modify_index = self.index();
        service.create_index = self
            .state
            .services
            .get(&service.id)
            .map_or(service.modify_index, |old| old.create_index);
        self.touched_services
            .insert((service.job.namespace.to_string(), service.service_name.clone()));
        self.record(Delta::Service(Arc::new(service)));
    }

    /// Records that a service is no longer offered there.
    pub(crate) fn remove_service(&mut self, service: &Registration) {
        self.touched_services
            .insert((service.job.namespace.to_string(), service.service_name.clone()));
        self.record(Delta::RemoveService(service.id.clone()));
    }

    /// Namespaces and names of the services that changed in this turn.
    pub(crate) fn take_touched_services(&mut self) -> BTreeSet<(String, String)> {
        std::mem::take(&mut self.touched_services)
    }

    /// An evaluation of `job` that nobody has recorded yet.
    pub(crate) fn new_eval(&mut self, job: &JobKey, trigger: Trigger) -> Evaluation {
        let current = self.state.jobs.get(job);
        Evaluation {
            id: EvalId::generate(&mut self.ids),
            job: job.clone(),
            kind: current.map_or(JobType::Service, |job| job.job_type()),
            priority: current.map_or(50, |job| job.priority()),
            trigger,
            node: None,
            deployment: None,
            status: EvalStatus::Pending,
            status_description: String::new(),
            wait_until: Timestamp::ZERO,
            previous: None,
            next: None,
            blocked: None,
            failed_placements: ByName::default(),
            queued: Shared::default(),
            plan: Shared::default(),
            job_modify_index: current.and_then(|job| job.job_modify_index).unwrap_or(0),
            create_index: 0,
            modify_index: 0,
            create_time: Timestamp::ZERO,
            modify_time: Timestamp::ZERO,
        }
    }

    /// Asks for an evaluation of `job` at once.
    pub(crate) fn evaluate(&mut self, job: &JobKey, trigger: Trigger) -> EvalId {
        let eval = self.new_eval(job, trigger);
        let id = eval.id;
        self.put_eval(eval);
        id
    }
}
