//! What the core is told.

use std::collections::BTreeMap;

use holdfast_shared::id::{AllocId, DeploymentId, EvalId, JobKey, NodeId};
use holdfast_shared::model::{Eligibility, Job, NodePool, SchedulerConfiguration, Submission, VersionTag};
use holdfast_shared::time::Duration;
use holdfast_shared::wire::{Deed, FromAgent, Presence};
use serde_json::Value;

/// Tells replies apart; chosen by the shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// Everything that can happen to a coordinator.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// An operator wants something; exactly one [`Effect::Reply`](crate::Effect::Reply) answers it.
    Command(RequestId, Command),
    /// An agent says something.
    Agent(NodeId, FromAgent),
    /// An agent's connection gave a sign of life, without a word.
    Alive(NodeId),
    /// An agent's session began or ended, by its own word, its last will, or the broker's.
    Presence(NodeId, Presence),
    /// Whether agents can be heard: the coordinator's own way to them broke, or is there again. They can when it begins.
    Hearing(bool),
    /// Nobody could be heard until now: the coordinator itself stood still.
    Lapse,
    /// The time that `poll_timeout` named has come. Spurious ones do no harm.
    Timeout,
}

/// What operators can want. Reading needs no command: it is served from snapshots.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Register a job or a new version of it. It is canonical and valid.
    RegisterJob {
        /// The job as submitted.
        job: Box<Job>,
        /// The spec index that the job must have now; 0 is "must not exist".
        check_index: Option<u64>,
        /// Keep the counts that the running version has.
        preserve_counts: bool,
        /// Priority of the evaluation, instead of the job's.
        eval_priority: Option<i64>,
        /// What it was made from; its version and index are filled in here.
        submission: Option<Box<Submission>>,
    },
    /// Act on a job that is there.
    Job(JobKey, JobAction),
    /// Stop a job.
    DeregisterJob {
        /// The job.
        key: JobKey,
        /// Whether to forget it altogether.
        purge: bool,
        /// Whether its allocations skip their shutdown delay.
        no_shutdown_delay: bool,
    },
    /// Evaluate a job once more.
    EvaluateJob {
        /// The job.
        key: JobKey,
        /// Whether failed allocations are rescheduled whatever their policy says.
        force_reschedule: bool,
    },
    /// End an allocation; its job is evaluated, which replaces it.
    StopAllocation {
        /// The allocation.
        id: AllocId,
        /// Whether it skips its shutdown delay.
        no_shutdown_delay: bool,
    },
    /// Have an agent do something, once and now. Answered when the agent has said what came of it.
    Order {
        /// The agent's node.
        node: NodeId,
        /// What it is to do.
        deed: Deed,
    },
    /// Act on a deployment.
    Deployment {
        /// The deployment.
        id: DeploymentId,
        /// What is to be done.
        action: DeploymentAction,
    },
    /// Act on a node.
    Node {
        /// The node.
        id: NodeId,
        /// What is to be done.
        action: NodeAction,
    },
    /// Change the region's scheduler settings.
    SetSchedulerConfiguration {
        /// What they are from now on; its indexes do not count.
        configuration: SchedulerConfiguration,
        /// The modify index that they must have now.
        check_index: Option<u64>,
    },
    /// Make a node pool, or change it.
    PutNodePool(Box<NodePool>),
    /// Forget a node pool.
    RemoveNodePool(String),
    /// Accept a node's credential; a node that has one already keeps it.
    Enroll {
        /// The node.
        node: NodeId,
        /// SHA-256 of its secret.
        secret_hash: [u8; 32],
    },
    /// Forget what is over and old.
    CollectGarbage,
    /// Declare this state to be the truth although nodes hold something newer: it was restored from a backup.
    AdoptState,
    /// A no-operation that proves the loop is alive and answers the current index.
    Ping,
    /// Cancel an evaluation that waits. For tests and operators in need.
    CancelEvaluation(EvalId),
}

/// What operators can do with a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeploymentAction {
    /// Make ordinary allocations of canaries.
    Promote {
        /// The groups; all of them when `None`.
        groups: Option<Vec<String>>,
    },
    /// Halt it.
    Pause,
    /// Let it go on.
    Resume,
    /// Give it up.
    Fail,
    /// Say how allocations are, in the agent's place.
    SetHealth {
        /// Those that are well.
        healthy: Vec<AllocId>,
        /// Those that are not; any of them ends the deployment.
        unhealthy: Vec<AllocId>,
    },
    /// Let it succeed although other regions are not done.
    Unblock,
}

/// What operators can do with a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeAction {
    /// Empty it, change how it is emptied, or leave off.
    Drain {
        /// How; `None` leaves off.
        spec: Option<DrainSpec>,
        /// Whether it takes allocations again once that is left off.
        mark_eligible: bool,
        /// What is noted about it; `message` is the reason.
        meta: BTreeMap<String, String>,
    },
    /// Let it take new allocations, or not.
    SetEligibility(Eligibility),
    /// Evaluate every job that has something on it, and every one that runs everywhere.
    Evaluate,
    /// Forget it; what it runs is lost.
    Purge,
}

/// How a node is to be emptied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DrainSpec {
    /// How long it may take: negative is no time at all, zero is for ever.
    pub deadline: Duration,
    /// Whether allocations of system jobs stay.
    pub ignore_system_jobs: bool,
}

/// What operators can do with a job that is there.
#[derive(Debug, Clone, PartialEq)]
pub enum JobAction {
    /// Register an earlier version anew.
    Revert {
        /// That version.
        version: u64,
        /// The version that the job must have now.
        enforce_prior: Option<u64>,
    },
    /// Say whether a version is one to return to.
    SetStable {
        /// The version.
        version: u64,
        /// Whether it is.
        stable: bool,
    },
    /// Give a version a name.
    Tag {
        /// The version.
        version: u64,
        /// The name, and why; the time is filled in here.
        tag: VersionTag,
    },
    /// Take a name away from the version that has it.
    Untag(String),
    /// Change the count of a group, or record what an autoscaler has to say about it.
    Scale(Scale),
    /// Launch an instance of a parameterized job.
    Dispatch(Dispatch),
    /// Launch an instance of a periodic job now.
    LaunchNow,
}

/// How a group is to be scaled.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scale {
    /// The group.
    pub group: String,
    /// The new count; `None` only records the event.
    pub count: Option<i64>,
    /// Why, in words.
    pub message: String,
    /// Whether scaling failed.
    pub error: bool,
    /// What else there is to say.
    pub meta: BTreeMap<String, Value>,
    /// The spec index that the job must have now.
    pub check_index: Option<u64>,
}

/// What an instance of a parameterized job is launched with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dispatch {
    /// Its input, as base64.
    pub payload: String,
    /// Its meta, beside what the job has.
    pub meta: BTreeMap<String, String>,
    /// What its id contains beside time and chance; may be empty.
    pub id_prefix: String,
    /// What a repeated dispatch is recognised by; empty for none.
    pub idempotency_token: String,
}
