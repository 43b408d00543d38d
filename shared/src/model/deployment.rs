//! The deployment: the rollout of one job version.

use serde::{Deserialize, Serialize};

use super::by_name::ByName;
use crate::id::{AllocId, DeploymentId, JobKey};
use crate::time::{Duration, Timestamp};

/// Where a deployment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeploymentStatus {
    /// It is being prepared.
    Initializing,
    /// It waits for other regions to accept the job.
    Pending,
    /// It goes on.
    Running,
    /// An operator halted it.
    Paused,
    /// It is done here and waits for other regions.
    Blocked,
    /// It releases the other regions.
    Unblocking,
    /// Every allocation is healthy.
    Successful,
    /// It was given up.
    Failed,
    /// Something newer made it pointless.
    Cancelled,
}

impl DeploymentStatus {
    /// The word people read.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Initializing => "initializing",
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Blocked => "blocked",
            Self::Unblocking => "unblocking",
            Self::Successful => "successful",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether it may still change.
    pub const fn is_active(self) -> bool {
        !matches!(self, Self::Successful | Self::Failed | Self::Cancelled)
    }
}

/// The rollout of one job version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    /// The deployment.
    pub id: DeploymentId,
    /// The job.
    pub job: JobKey,
    /// The version that is rolled out.
    pub job_version: u64,
    /// Index at which the job was first registered.
    pub job_create_index: u64,
    /// Index of the job's last change of any kind.
    pub job_modify_index: u64,
    /// Index of the job's last change of its specification.
    pub job_spec_modify_index: u64,
    /// Where it stands.
    pub status: DeploymentStatus,
    /// In words; verbatim as in `scheduling-semantics.md` 4.2.
    pub status_description: String,
    /// Its groups, by name.
    pub groups: ByName<DeploymentGroup>,
    /// Index of creation.
    pub create_index: u64,
    /// Index of the last change.
    pub modify_index: u64,
    /// When it was created.
    pub create_time: Timestamp,
    /// When it last changed.
    pub modify_time: Timestamp,
}

/// One group of a deployment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentGroup {
    /// Whether a failure returns to the last stable version.
    pub auto_revert: bool,
    /// Whether healthy canaries are promoted without an operator.
    pub auto_promote: bool,
    /// Whether canaries were promoted.
    pub promoted: bool,
    /// How long it may go without progress.
    pub progress_deadline: Duration,
    /// When it fails without further progress; zero while nothing is placed.
    pub require_progress_by: Timestamp,
    /// Canaries that were placed.
    pub placed_canaries: Vec<AllocId>,
    /// How many canaries there should be.
    pub desired_canaries: u64,
    /// How many allocations there should be.
    pub desired_total: u64,
    /// How many were placed.
    pub placed: u64,
    /// How many of those became healthy.
    pub healthy: u64,
    /// How many of those became unhealthy.
    pub unhealthy: u64,
    /// How many of those are no longer waited for, because their node was out of contact when the deadline came.
    #[serde(default)]
    pub excused: u64,
}
