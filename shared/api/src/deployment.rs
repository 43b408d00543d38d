//! Deployments.

use std::collections::BTreeMap;

use holdfast_shared::model;
use holdfast_shared::time::Duration;
use serde::{Deserialize, Serialize};

use crate::format::{GoTime, null_is_default, nullable};

/// The rollout of one job version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Deployment {
    /// The deployment.
    #[serde(rename = "ID")]
    pub id: String,
    /// The job's namespace.
    pub namespace: String,
    /// The job.
    #[serde(rename = "JobID")]
    pub job_id: String,
    /// The version that is rolled out.
    pub job_version: u64,
    /// Index of the job's last change of any kind.
    pub job_modify_index: u64,
    /// Index of the job's last change of its specification.
    pub job_spec_modify_index: u64,
    /// Index at which the job was first registered.
    pub job_create_index: u64,
    /// Whether other regions take part.
    pub is_multiregion: bool,
    /// Its groups, by name.
    #[serde(deserialize_with = "null_is_default")]
    pub task_groups: BTreeMap<String, DeploymentState>,
    /// `running`, `successful`, …
    pub status: String,
    /// In words.
    pub status_description: String,
    /// Priority of the evaluations it causes.
    pub eval_priority: i64,
    /// Index of creation.
    pub create_index: u64,
    /// Index of the last change.
    pub modify_index: u64,
    /// Nanoseconds since 1970.
    pub create_time: i64,
    /// Nanoseconds since 1970.
    pub modify_time: i64,
}

impl Deployment {
    /// The view of a deployment whose job is this one; `None` when the job is gone.
    pub fn of(it: &model::Deployment, job: Option<&model::Job>) -> Self {
        Self {
            id: it.id.to_string(),
            namespace: it.job.namespace.to_string(),
            job_id: it.job.id.to_string(),
            job_version: it.job_version,
            job_modify_index: it.job_modify_index,
            job_spec_modify_index: it.job_spec_modify_index,
            job_create_index: it.job_create_index,
            is_multiregion: job.is_some_and(|job| job.multiregion.is_some()),
            task_groups: it
                .groups
                .iter()
                .map(|(name, group)| (name.to_owned(), group.into()))
                .collect(),
            status: it.status.as_str().to_owned(),
            status_description: it.status_description.clone(),
            eval_priority: job.map_or(50, model::Job::priority),
            create_index: it.create_index,
            modify_index: it.modify_index,
            create_time: it.create_time.0,
            modify_time: it.modify_time.0,
        }
    }
}

/// One group of a deployment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DeploymentState {
    /// Canaries that were placed.
    #[serde(with = "nullable")]
    pub placed_canaries: Vec<String>,
    /// Whether a failure returns to the last stable version.
    pub auto_revert: bool,
    /// Whether healthy canaries are promoted without an operator.
    pub auto_promote: bool,
    /// How long it may go without progress.
    pub progress_deadline: Duration,
    /// When it fails without further progress.
    pub require_progress_by: GoTime,
    /// Whether canaries were promoted.
    pub promoted: bool,
    /// How many canaries there should be.
    pub desired_canaries: u64,
    /// How many allocations there should be.
    pub desired_total: u64,
    /// How many were placed.
    pub placed_allocs: u64,
    /// How many of those became healthy.
    pub healthy_allocs: u64,
    /// How many of those became unhealthy.
    pub unhealthy_allocs: u64,
}

impl From<&model::DeploymentGroup> for DeploymentState {
    fn from(it: &model::DeploymentGroup) -> Self {
        Self {
            placed_canaries: it.placed_canaries.iter().map(ToString::to_string).collect(),
            auto_revert: it.auto_revert,
            auto_promote: it.auto_promote,
            progress_deadline: it.progress_deadline,
            require_progress_by: it.require_progress_by.into(),
            promoted: it.promoted,
            desired_canaries: it.desired_canaries,
            desired_total: it.desired_total,
            placed_allocs: it.placed,
            healthy_allocs: it.healthy,
            unhealthy_allocs: it.unhealthy,
        }
    }
}

/// The body of `/v1/deployment/promote/:id`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DeploymentPromoteRequest {
    /// The deployment; its id is in the path as well.
    #[serde(rename = "DeploymentID")]
    pub deployment_id: String,
    /// Whether canaries of every group are promoted.
    pub all: bool,
    /// The groups whose canaries are promoted, when not all.
    #[serde(with = "nullable")]
    pub groups: Vec<String>,
}

/// The body of `/v1/deployment/pause/:id`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DeploymentPauseRequest {
    /// The deployment; its id is in the path as well.
    #[serde(rename = "DeploymentID")]
    pub deployment_id: String,
    /// Whether it is halted; otherwise it goes on.
    pub pause: bool,
}

/// The body of `/v1/deployment/allocation-health/:id`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AllocHealthRequest {
    /// The deployment; its id is in the path as well.
    #[serde(rename = "DeploymentID")]
    pub deployment_id: String,
    /// Allocations that are well.
    #[serde(rename = "HealthyAllocationIDs", with = "nullable")]
    pub healthy: Vec<String>,
    /// Allocations that are not.
    #[serde(rename = "UnhealthyAllocationIDs", with = "nullable")]
    pub unhealthy: Vec<String>,
}

/// A deployment was changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DeploymentUpdateResponse {
    /// The evaluation that carries on from there.
    #[serde(rename = "EvalID")]
    pub eval_id: String,
    /// Index of that.
    pub eval_create_index: u64,
    /// Index of the deployment's change.
    pub deployment_modify_index: u64,
    /// The version that was registered anew; `null` when none was.
    pub reverted_job_version: Option<u64>,
    /// Index of the change.
    pub index: u64,
}
