//! What is sent and answered to plan, revert, scale, dispatch and launch jobs.

use std::collections::BTreeMap;

use holdfast_shared::model;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::allocation::AllocationMetric;
use crate::evaluation::{Evaluation, PlanAnnotations};
use crate::format::{GoTime, null_is_default, nullable};

/// What asks what a job would do.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobPlanRequest {
    /// The job.
    pub job: Option<Box<model::Job>>,
    /// Whether to answer what would change in the job.
    pub diff: bool,
    /// Without effect: there are no policies to override.
    pub policy_override: bool,
}

/// What a job would do.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobPlanResponse {
    /// What would happen to its allocations.
    pub annotations: Option<PlanAnnotations>,
    /// Evaluations that would follow later.
    #[serde(with = "nullable")]
    pub created_evals: Vec<Evaluation>,
    /// What would change in the job, when it was asked for.
    pub diff: Option<Value>,
    /// Groups that would find no place, and why.
    #[serde(rename = "FailedTGAllocs", with = "nullable")]
    pub failed_tg_allocs: BTreeMap<String, AllocationMetric>,
    /// Spec index that the job has now; 0 when there is none.
    pub job_modify_index: u64,
    /// When it would be launched by the clock.
    pub next_periodic_launch: GoTime,
    /// What the operator should know; empty when all is well.
    pub warnings: String,
    /// The same as the spec index.
    pub index: u64,
}

/// What returns to an earlier version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobRevertRequest {
    /// The job.
    #[serde(rename = "JobID")]
    pub job_id: String,
    /// The version to register anew.
    pub job_version: u64,
    /// The version that the job must have now.
    pub enforce_prior_version: Option<u64>,
}

/// What says whether a version is one to return to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobStabilityRequest {
    /// The job.
    #[serde(rename = "JobID")]
    pub job_id: String,
    /// The version.
    pub job_version: u64,
    /// Whether it is.
    pub stable: bool,
}

/// The answer to that.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobStabilityResponse {
    /// Index of the state that holds the change.
    pub job_modify_index: u64,
    /// The same.
    pub index: u64,
}

/// What gives a version of a job a name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobTagRequest {
    /// The version.
    pub version: u64,
    /// Why, in words.
    pub description: String,
}

/// The answer to that, and to taking the name away.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobTagResponse {
    /// The name.
    pub name: String,
    /// Why, in words.
    pub description: String,
    /// Index of the state that holds the change.
    pub index: u64,
}

/// What changes the count of a group.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ScalingRequest {
    /// The new count; without one only the event is recorded.
    pub count: Option<i64>,
    /// `Group` names the group.
    #[serde(deserialize_with = "null_is_default")]
    pub target: BTreeMap<String, String>,
    /// Why, in words.
    pub message: String,
    /// Whether scaling failed.
    pub error: bool,
    /// What else there is to say.
    #[serde(with = "nullable")]
    pub meta: BTreeMap<String, Value>,
    /// Without effect: there are no policies to override.
    pub policy_override: bool,
    /// The spec index that the job must have now; 0 is any.
    pub job_modify_index: u64,
}

/// How the groups of a job are scaled.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobScaleStatus {
    /// The job.
    #[serde(rename = "JobID")]
    pub job_id: String,
    /// Its namespace.
    pub namespace: String,
    /// Index of its first registration.
    pub job_create_index: u64,
    /// Index of its last change of any kind.
    pub job_modify_index: u64,
    /// Whether the operator stopped it.
    pub job_stopped: bool,
    /// Its groups, by name.
    #[serde(deserialize_with = "null_is_default")]
    pub task_groups: BTreeMap<String, GroupScaleStatus>,
}

/// How one group is scaled.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct GroupScaleStatus {
    /// How many allocations there should be.
    pub desired: i64,
    /// How many there are.
    pub placed: u64,
    /// How many of those run.
    pub running: u64,
    /// How many are healthy.
    pub healthy: u64,
    /// How many are unhealthy.
    pub unhealthy: u64,
    /// What happened to the count, newest first.
    #[serde(with = "nullable")]
    pub events: Vec<ScalingEvent>,
}

/// A change of a count, or what was said about it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ScalingEvent {
    /// The new count; `null` when it stayed what it was.
    pub count: Option<i64>,
    /// The count before.
    pub previous_count: i64,
    /// Whether scaling failed.
    pub error: bool,
    /// Why, in words.
    pub message: String,
    /// What else there is to say.
    #[serde(with = "nullable")]
    pub meta: BTreeMap<String, Value>,
    /// The evaluation that the change created.
    #[serde(rename = "EvalID")]
    pub eval_id: Option<String>,
    /// Nanoseconds since 1970.
    pub time: i64,
    /// Index of creation.
    pub create_index: u64,
}

impl JobScaleStatus {
    /// How a job is scaled, with its allocations and what is remembered of it.
    pub fn of<'a>(
        job: &model::Job,
        allocs: impl IntoIterator<Item = &'a model::Allocation>,
        history: Option<&model::JobHistory>,
    ) -> Self {
        let events = |group: &str| history.and_then(|it| it.scaling.get(group)).into_iter().flatten();
        let group = |group: &model::TaskGroup| GroupScaleStatus {
            desired: group.count.unwrap_or(1),
            events: events(group.name()).map(Into::into).collect(),
            ..GroupScaleStatus::default()
        };
        let groups = job.groups().iter();
        let mut status = Self {
            job_id: job.id().to_owned(),
            namespace: job.namespace().to_owned(),
            job_create_index: job.create_index(),
            job_modify_index: job.modify_index.unwrap_or(0),
            job_stopped: job.is_stopped(),
            task_groups: groups.map(|it| (it.name().to_owned(), group(it))).collect(),
        };
        for alloc in allocs.into_iter().filter(|it| !it.is_terminal() && !it.canary) {
            if let Some(group) = status.task_groups.get_mut(&*alloc.group) {
                group.count(alloc);
            }
        }
        status
    }
}

impl GroupScaleStatus {
    fn count(&mut self, alloc: &model::Allocation) {
        self.placed += 1;
        self.running += u64::from(alloc.client == model::ClientStatus::Running);
        match alloc.health {
            Some(health) if health.healthy => self.healthy += 1,
            Some(_) => self.unhealthy += 1,
            None => {}
        }
    }
}

impl From<&model::ScalingEvent> for ScalingEvent {
    fn from(it: &model::ScalingEvent) -> Self {
        Self {
            count: it.count,
            previous_count: it.previous_count,
            error: it.error,
            message: it.message.clone(),
            meta: it.meta.clone(),
            eval_id: it.eval.map(|id| id.to_string()),
            time: it.time.0,
            create_index: it.create_index,
        }
    }
}

/// What launches an instance of a parameterized job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobDispatchRequest {
    /// The parameterized job.
    #[serde(rename = "JobID")]
    pub job_id: String,
    /// Its input, base64.
    #[serde(deserialize_with = "null_is_default")]
    pub payload: String,
    /// Its meta, beside what the job has.
    #[serde(with = "nullable")]
    pub meta: BTreeMap<String, String>,
    /// What its id contains beside time and chance.
    pub id_prefix_template: String,
}

/// The answer to that.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobDispatchResponse {
    /// The job that was launched.
    #[serde(rename = "DispatchedJobID")]
    pub dispatched_job_id: String,
    /// The evaluation that was created; empty when none was.
    #[serde(rename = "EvalID")]
    pub eval_id: String,
    /// Index of that evaluation.
    pub eval_create_index: u64,
    /// Index of the job's registration.
    pub job_create_index: u64,
    /// Index of the state that holds the change.
    pub index: u64,
}

/// The answer to a launch of a periodic job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PeriodicForceResponse {
    /// The evaluation that was created.
    #[serde(rename = "EvalID")]
    pub eval_id: String,
    /// Index of that evaluation.
    pub eval_create_index: u64,
    /// Index of the state that holds the change.
    pub index: u64,
}

/// What a version of a job was made from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobSubmissionView {
    /// The job.
    #[serde(rename = "JobID")]
    pub job_id: String,
    /// Its namespace.
    pub namespace: String,
    /// The version.
    pub version: u64,
    /// Spec index of that version.
    pub job_modify_index: u64,
    /// The text of the job file.
    pub source: String,
    /// `hcl2` or `json`.
    pub format: String,
    /// Variables of the command line.
    #[serde(with = "nullable")]
    pub variable_flags: BTreeMap<String, String>,
    /// Variables of files, as text.
    pub variables: String,
}

impl From<&model::Submission> for JobSubmissionView {
    fn from(it: &model::Submission) -> Self {
        Self {
            job_id: it.job.id.to_string(),
            namespace: it.job.namespace.to_string(),
            version: it.version,
            job_modify_index: it.job_modify_index,
            source: it.source.clone(),
            format: it.format.clone(),
            variable_flags: it.variable_flags.clone(),
            variables: it.variables.clone(),
        }
    }
}
