//! The evaluation: one request to reconcile one job.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::by_name::{ByName, Tally};
use super::job::JobType;
use super::placement::PlacementReport;
use super::shared::Shared;
use crate::id::{DeploymentId, EvalId, JobKey, NodeId};
use crate::time::Timestamp;

/// Where an evaluation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EvalStatus {
    /// It waits for its turn.
    Pending,
    /// It waits for capacity.
    Blocked,
    /// It is done.
    Complete,
    /// It was tried too often.
    Failed,
    /// A newer one made it pointless.
    Canceled,
}

impl EvalStatus {
    /// The word people read.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Blocked => "blocked",
            Self::Complete => "complete",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }

    /// Whether nothing more will come of it.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Complete | Self::Failed | Self::Canceled)
    }
}

macro_rules! triggers {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// Why an evaluation exists. See `scheduling-semantics.md` 6.1.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Trigger {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }

        impl Trigger {
            /// The word people read.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The trigger that people call `text`.
            pub fn parse(text: &str) -> Option<Self> {
                Some(match text { $($text => Self::$name,)* _ => return None })
            }
        }
    };
}

triggers! {
    /// A job was registered.
    JobRegister = "job-register";
    /// A job was stopped.
    JobDeregister = "job-deregister";
    /// A periodic job launched.
    PeriodicJob = "periodic-job";
    /// A node drains.
    NodeDrain = "node-drain";
    /// A node changed its status.
    NodeUpdate = "node-update";
    /// An operator stopped an allocation.
    AllocStop = "alloc-stop";
    /// The garbage collector.
    Scheduled = "scheduled";
    /// A deployment moved on.
    DeploymentWatcher = "deployment-watcher";
    /// An evaluation failed and is tried again.
    FailedFollowUp = "failed-follow-up";
    /// Too many conflicts.
    MaxPlanAttempts = "max-plan-attempts";
    /// An allocation failed.
    AllocFailure = "alloc-failure";
    /// There is room for what was waiting.
    QueuedAllocs = "queued-allocs";
    /// An allocation was pushed out.
    Preemption = "preemption";
    /// A count was changed.
    JobScaling = "job-scaling";
    /// A disconnected allocation's time is up.
    MaxDisconnectTimeout = "max-disconnect-timeout";
    /// A disconnected allocation is back.
    Reconnect = "reconnect";
    /// A delayed reschedule is due.
    AllocReschedule = "alloc-reschedule";
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One request to reconcile one job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// The evaluation.
    pub id: EvalId,
    /// The job.
    pub job: JobKey,
    /// The job's type.
    pub kind: JobType,
    /// The job's priority.
    pub priority: i64,
    /// Why it exists.
    pub trigger: Trigger,
    /// The node that caused it.
    pub node: Option<NodeId>,
    /// The deployment it belongs to.
    pub deployment: Option<DeploymentId>,
    /// Where it stands.
    pub status: EvalStatus,
    /// Why.
    pub status_description: String,
    /// Not before this time; zero is at once.
    pub wait_until: Timestamp,
    /// The evaluation that caused it.
    pub previous: Option<EvalId>,
    /// The evaluation that follows it.
    pub next: Option<EvalId>,
    /// The evaluation that waits for the capacity it missed.
    pub blocked: Option<EvalId>,
    /// Groups that could not be placed, and why.
    pub failed_placements: ByName<Arc<PlacementReport>>,
    /// How many allocations of each group still wait.
    pub queued: Shared<Tally>,
    /// What its plan did to each group.
    pub plan: Shared<ByName<PlanCounts>>,
    /// Spec index of the job when it was created.
    pub job_modify_index: u64,
    /// Index of creation.
    pub create_index: u64,
    /// Index of the last change.
    pub modify_index: u64,
    /// When it was created.
    pub create_time: Timestamp,
    /// When it last changed.
    pub modify_time: Timestamp,
}

/// What a plan does to a group, in numbers of allocations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PlanCounts {
    /// Left alone.
    pub ignore: u64,
    /// Placed.
    pub place: u64,
    /// Moved off a draining node.
    pub migrate: u64,
    /// Stopped.
    pub stop: u64,
    /// Updated in place.
    pub in_place: u64,
    /// Replaced by the new version.
    pub destructive: u64,
    /// Placed as canaries.
    pub canary: u64,
    /// Pushed out for others.
    pub preemptions: u64,
    /// Marked unknown.
    pub disconnect: u64,
    /// Taken back after a disconnect.
    pub reconnect: u64,
    /// Rescheduled now.
    pub reschedule_now: u64,
    /// To be rescheduled later.
    pub reschedule_later: u64,
}
