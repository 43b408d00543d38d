//! What an agent keeps in its store: records, and the changes to them.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_shared::id::{AllocId, JobKey};
use holdfast_shared::model::{ClientStatus, MetaChanges, TaskState};
use holdfast_shared::time::Timestamp;
use holdfast_shared::transitions;
use holdfast_shared::wire::{Assigned, Catalog, Held, JobSpec};
use serde::{Deserialize, Serialize};

/// Where a task stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TaskPhase {
    /// Its turn has not come: directories, prestart tasks or main tasks come first.
    #[default]
    Waiting,
    /// Its templates are being rendered, or data for them are missing.
    Rendering,
    /// The driver starts it.
    Starting,
    /// It runs.
    Running,
    /// It ended and waits to be started again.
    Backoff,
    /// It was asked to end.
    Stopping,
    /// It will not run again.
    Dead,
    /// The agent was restarted and asks the driver what became of it.
    Recovering,
}

transitions!(TaskPhase {
    /// Its turn has come.
    on_turn(Waiting | Backoff | Recovering => Rendering);
    /// Its templates are there.
    on_rendered(Rendering => Starting);
    /// The driver has started it, or has found it again.
    on_started(Starting | Recovering => Running);
    /// It ended, or could not be started, and may try again.
    on_retry(Starting | Running | Recovering | Stopping => Backoff);
    /// It should end.
    on_stop(Running | Starting | Recovering => Stopping);
    /// The whole allocation begins anew.
    on_anew(Rendering | Backoff | Dead => Waiting);
    /// It will not run again.
    on_dead(Waiting | Rendering | Starting | Running | Backoff | Stopping | Recovering => Dead);
});

/// One task, as the agent keeps it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskRecord {
    /// Where it stands.
    pub phase: TaskPhase,
    /// What the coordinator is told.
    pub state: TaskState,
    /// What the driver needs to find it again; empty while there is nothing to find.
    pub handle: Vec<u8>,
    /// Address inside the allocation's network.
    pub address: String,
    /// When the current window of restarts began, monotonic.
    pub window_start: Timestamp,
    /// Restarts within the window.
    pub window_restarts: i64,
    /// When it is started again while in back-off, monotonic.
    pub retry_at: Timestamp,
    /// When the current run began, monotonic.
    pub running_since: Timestamp,
    /// Whether it ends because of a restart that somebody asked for (a template, an operator): does not count.
    pub restart_wanted: bool,
}

/// One allocation, as the agent keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AllocRecord {
    /// What the coordinator assigned.
    pub assigned: Assigned,
    /// Whether it should end: by order, by `stop_on_client_after`, or because a task failed for good.
    pub stopping: bool,
    /// Why it should end, for people.
    pub stop_reason: String,
    /// When its tasks are asked to end after the shutdown delay, monotonic; zero when that is not pending.
    pub kill_at: Timestamp,
    /// Whether its directories are there.
    pub prepared: bool,
    /// Its tasks, by name.
    pub tasks: BTreeMap<String, TaskRecord>,
    /// What the coordinator is told.
    pub client: ClientStatus,
    /// In words.
    pub description: String,
    /// Its health, once it is decided.
    pub healthy: Option<bool>,
    /// Counts up with every change that the coordinator must hear of.
    pub revision: u64,
    /// The newest revision that the coordinator has acknowledged.
    pub acknowledged: u64,
}

/// Names one version of a job.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SpecKey {
    /// The job.
    pub job: JobKey,
    /// Index at which it was first registered.
    pub create_index: u64,
    /// The version.
    pub version: u64,
}

impl SpecKey {
    /// The job version that an allocation runs.
    pub fn of(assigned: &Assigned) -> Self {
        Self {
            job: JobKey::new(assigned.namespace.clone(), assigned.job.clone()),
            create_index: assigned.job_create_index,
            version: assigned.job_version,
        }
    }
}

/// One change of what the agent keeps: keyed, idempotent upserts and removals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum LocalDelta {
    /// The newest assignment set it has stored.
    Held(Held),
    /// An allocation.
    Alloc(Box<AllocRecord>),
    /// An allocation is forgotten.
    RemoveAlloc(AllocId),
    /// A job version.
    Spec(JobSpec),
    /// A job version is forgotten.
    RemoveSpec(SpecKey),
    /// The last known services.
    Catalog(Catalog),
    /// What operators changed of the node's meta.
    Meta(MetaChanges),
    /// The allocations that begin anew.
    BeginningAnew(BTreeSet<AllocId>),
}

/// Everything the agent keeps, as it is loaded at its start.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LocalState {
    /// The newest assignment set it has stored.
    pub held: Held,
    /// Its allocations.
    pub allocs: BTreeMap<AllocId, AllocRecord>,
    /// Job versions.
    pub specs: Vec<JobSpec>,
    /// The last known services.
    pub catalog: Catalog,
    /// What operators changed of the node's meta.
    pub meta: MetaChanges,
    /// The allocations that begin anew.
    pub beginning_anew: BTreeSet<AllocId>,
}

impl LocalState {
    /// Applies one change.
    pub fn apply(&mut self, delta: LocalDelta) {
        match delta {
            LocalDelta::Held(held) => self.held = held,
            LocalDelta::Alloc(record) => {
                self.allocs.insert(record.assigned.id, *record);
            }
            LocalDelta::RemoveAlloc(id) => {
                self.allocs.remove(&id);
            }
            LocalDelta::Spec(spec) => {
                self.specs.retain(|old| spec_key(old) != spec_key(&spec));
                self.specs.push(spec);
            }
            LocalDelta::RemoveSpec(key) => self.specs.retain(|spec| spec_key(spec) != key),
            LocalDelta::Catalog(catalog) => self.catalog = catalog,
            LocalDelta::Meta(meta) => self.meta = meta,
            LocalDelta::BeginningAnew(allocs) => self.beginning_anew = allocs,
        }
    }
}

/// Names the job version in `spec`.
pub fn spec_key(spec: &JobSpec) -> SpecKey {
    SpecKey {
        job: spec.key(),
        create_index: spec.create_index,
        version: spec.version,
    }
}
