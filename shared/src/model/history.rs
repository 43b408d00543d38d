//! What is remembered of a job beside its versions: what they were made from, how it was scaled, when it was launched.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::{EvalId, JobKey};
use crate::time::Timestamp;

/// What one version of a job was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submission {
    /// The job.
    pub job: JobKey,
    /// The version.
    pub version: u64,
    /// Spec index of that version.
    pub job_modify_index: u64,
    /// The text of the job file.
    pub source: String,
    /// `hcl2` or `json`.
    pub format: String,
    /// Variables of the command line.
    pub variable_flags: BTreeMap<String, String>,
    /// Variables of files, as text.
    pub variables: String,
}

/// What is remembered of a job whatever its version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobHistory {
    /// The job.
    pub job: JobKey,
    /// What happened to the counts of its groups, newest first.
    pub scaling: BTreeMap<String, Vec<ScalingEvent>>,
    /// Launches by the clock are settled up to this time: they happened, or were skipped; zero when there were none.
    pub launched_until: Timestamp,
}

/// A change of a group's count, or what an autoscaler had to say about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScalingEvent {
    /// The new count; `None` when it stays what it is.
    pub count: Option<i64>,
    /// The count before.
    pub previous_count: i64,
    /// Why, in words.
    pub message: String,
    /// Whether scaling failed.
    pub error: bool,
    /// What else there is to say.
    pub meta: BTreeMap<String, Value>,
    /// The evaluation that the change created.
    pub eval: Option<EvalId>,
    /// When.
    pub time: Timestamp,
    /// Index of creation.
    pub create_index: u64,
}
