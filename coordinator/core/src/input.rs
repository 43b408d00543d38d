//! What the core is told.

use holdfast_shared::id::{DeploymentId, EvalId, JobKey, NodeId};
use holdfast_shared::model::Job;
use holdfast_shared::wire::{FromAgent, Presence};

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
    },
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
    /// Act on a deployment.
    Deployment {
        /// The deployment.
        id: DeploymentId,
        /// What is to be done.
        action: DeploymentAction,
    },
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
}
