//! Wire format version 1. Frozen at its first release: do not add, remove, reorder or retype anything here.

use serde::{Deserialize, Serialize};

use crate::id::{AllocId, NodeId};
use crate::model::{AssignedDevice, ClientStatus, TaskRunState};
use crate::time::{Duration, Timestamp};

/// What the coordinator tells a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ToAgent {
    /// What it should run.
    Assignments(Assignments),
    /// Report `seq` of `session` is durable at the coordinator: the outbox may forget it. With a newer session than the
    /// agent's own, another agent has its identity and is the node.
    Ack {
        /// The agent's session.
        session: u64,
        /// The report that is durable.
        seq: u64,
    },
    /// Services that its templates want to know.
    Catalog(Catalog),
    /// Register again, and report everything.
    ReportAll,
    /// Something an operator wants done once, now. It is answered; one that gets lost is not said again.
    Order(Order),
}

/// Something an operator wants done once, now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The agent's session; an order that reaches a later one comes too late, and is neither obeyed nor answered.
    pub session: u64,
    /// What its answer is known by.
    pub number: u64,
    /// What is to be done.
    pub deed: Deed,
}

/// What an operator may want an agent to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Deed {
    /// End tasks of an allocation and start them again, in place.
    Restart {
        /// The allocation.
        alloc: AllocId,
        /// Which of its tasks.
        tasks: RestartTasks,
    },
    /// Change the node's own meta: `None` takes a key away, whoever set it.
    ApplyMeta(Vec<(String, Option<String>)>),
}

/// Which tasks of an allocation are restarted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RestartTasks {
    /// Those that run.
    Running,
    /// All of them, those that are over included, each when its turn comes.
    All,
    /// This one.
    One(String),
}

/// What a node should run: the whole set, or what changed since `base`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assignments {
    /// The coordinator's epoch; an older one has no say.
    pub epoch: u64,
    /// Counts up with every change of this node's set.
    pub generation: u64,
    /// `None`: this is the whole set. `Some`: what changed since this generation; a node that does not hold exactly
    /// that asks for the whole set by reporting what it holds.
    pub base: Option<u64>,
    /// Allocations that should run or end. One that is missing from a whole set is left alone: absence is no order.
    pub allocs: Vec<Assigned>,
    /// Allocations that the coordinator does not know (any more) and that must end.
    pub stop: Vec<AllocId>,
    /// Job versions that `allocs` name and the node may not have yet.
    pub jobs: Vec<JobSpec>,
}

/// One allocation of an assignment set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assigned {
    /// The allocation.
    pub id: AllocId,
    /// `<job>.<group>[<index>]`.
    pub name: String,
    /// The job's namespace.
    pub namespace: String,
    /// The job's id.
    pub job: String,
    /// The version of the job.
    pub job_version: u64,
    /// Index at which the job was first registered.
    pub job_create_index: u64,
    /// The group.
    pub group: String,
    /// Whether it should run; otherwise it should end.
    pub run: bool,
    /// Whether to skip the shutdown delay.
    pub no_shutdown_delay: bool,
    /// Whether the coordinator holds it for unknown: the agent then records that it has reconnected.
    pub unknown: bool,
    /// Who waits for its health.
    pub watch_health: WatchHealth,
    /// Whether it is an unpromoted canary.
    pub canary: bool,
    /// The allocation it replaces.
    pub previous: Option<AllocId>,
    /// Ports that were assigned to it.
    pub ports: Vec<Port>,
    /// Devices that were assigned to it, by task.
    pub devices: Vec<AssignedDevice>,
    /// Index of the coordinator's last change; an older one is stale.
    pub alloc_modify_index: u64,
}

/// Who waits for the health of an allocation, and so which block of its group says what healthy is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum WatchHealth {
    /// Nobody.
    #[default]
    Nobody,
    /// A deployment: `update`.
    Deployment,
    /// Whoever moves allocations of its group, now or later: `migrate`.
    Migration,
}

/// A port that was assigned to an allocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// What tasks and services call it.
    pub label: String,
    /// Its number on the node.
    pub value: u16,
    /// Its number inside the task's network; 0 is the same number.
    pub to: u16,
    /// The address it is published on; empty when the node had none.
    pub host_ip: String,
}

/// One version of a job, with the groups that the node needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSpec {
    /// The job's namespace.
    pub namespace: String,
    /// The job's id.
    pub job: String,
    /// The version.
    pub version: u64,
    /// Index at which the job was first registered.
    pub create_index: u64,
    /// Whether `bytes` is raw DEFLATE.
    pub compressed: bool,
    /// The job as JSON, without fields that are null.
    pub bytes: Vec<u8>,
}

/// Services that a node's templates want to know; replaces what was sent before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalog {
    /// Counts up; an older one is ignored.
    pub revision: u64,
    /// Every service the node asked for, also those without an instance.
    pub services: Vec<CatalogService>,
}

/// One service of the catalog.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogService {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Where it is offered, ordered by id.
    pub instances: Vec<ServiceInstance>,
}

/// One place where a service is offered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceInstance {
    /// Id of the registration.
    pub id: String,
    /// The node.
    pub node: NodeId,
    /// The node's datacenter.
    pub datacenter: String,
    /// The job.
    pub job: String,
    /// The allocation.
    pub alloc: AllocId,
    /// Tags.
    pub tags: Vec<String>,
    /// Address for other nodes.
    pub address: String,
    /// Port for other nodes.
    pub port: u16,
}

/// What an agent tells the coordinator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum FromAgent {
    /// It is there, and what its box is like; the first message of every session.
    Register(Register),
    /// What became of its allocations.
    Report(Report),
    /// It is still there.
    Heartbeat {
        /// Its session.
        session: u64,
        /// What it holds.
        held: Held,
    },
    /// What its templates want to know.
    Interest(Interest),
    /// What came of an order.
    Answer(Answer),
}

/// What came of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The agent's session.
    pub session: u64,
    /// The order's number.
    pub number: u64,
    /// Why it cannot be obeyed; `None` when it is.
    pub refusal: Option<String>,
}

/// The newest assignment set that an agent has stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Held {
    /// The coordinator's epoch.
    pub epoch: u64,
    /// The set's generation.
    pub generation: u64,
}

/// The first message of every session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Register {
    /// Counts up with every connection, across restarts of the agent and its box.
    pub session: u64,
    /// What it holds.
    pub held: Held,
    /// What its box is like: a `Fingerprint` as JSON.
    pub fingerprint: Vec<u8>,
}

/// What became of allocations: of all of them after every connect, of those that changed in between.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The agent's session.
    pub session: u64,
    /// Counts up within the session.
    pub seq: u64,
    /// Whether these are all allocations that the agent knows.
    pub full: bool,
    /// What it holds.
    pub held: Held,
    /// The allocations.
    pub allocs: Vec<AllocReport>,
}

/// What became of one allocation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AllocReport {
    /// The allocation.
    pub id: AllocId,
    /// Never `lost` and never `unknown`.
    pub client: ClientStatus,
    /// In words.
    pub description: String,
    /// Its health, once it is decided.
    pub healthy: Option<bool>,
    /// Address inside the allocation's network; empty when it has none of its own.
    pub address: String,
    /// Its tasks.
    pub tasks: Vec<TaskReport>,
}

/// State of one task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskReport {
    /// The task.
    pub name: String,
    /// Whether it runs.
    pub state: TaskRunState,
    /// Whether it ended badly.
    pub failed: bool,
    /// How often it was restarted.
    pub restarts: u64,
    /// By the node's clock, zero for never.
    pub last_restart: Timestamp,
    /// By the node's clock, zero for never.
    pub started_at: Timestamp,
    /// By the node's clock, zero for never.
    pub finished_at: Timestamp,
    /// For how long the current run has lasted by the node's monotonic clock.
    pub running_for: Duration,
    /// The last events, oldest first.
    pub events: Vec<TaskEvent>,
}

/// Something that happened to a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskEvent {
    /// `Received`, `Started`, …
    pub kind: String,
    /// By the node's clock.
    pub time: Timestamp,
    /// What people read.
    pub message: String,
    /// Exit code of `Terminated`.
    pub exit_code: i32,
    /// Signal of `Terminated`.
    pub signal: i32,
    /// Whether this event failed the task.
    pub fails_task: bool,
    /// More of it.
    pub details: Vec<(String, String)>,
}

/// What an agent's templates want to know; replaces what was sent before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interest {
    /// The agent's session.
    pub session: u64,
    /// Services, by namespace and name, ordered.
    pub services: Vec<(String, String)>,
    /// Namespaces of which all services are wanted, ordered.
    pub namespaces: Vec<String>,
}

/// That an agent is there, or, as its last will, that it is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// The session that began or ended; a will of an older session is stale.
    pub session: u64,
    /// Whether it began.
    pub online: bool,
}
