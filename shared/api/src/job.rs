//! Jobs: the list item, the summary, and what is sent and answered to register, stop, validate and parse them.

use std::collections::BTreeMap;

use holdfast_shared::model;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use crate::format::{is_default, null_is_default, nullable};

/// A job as the API shows it: the job itself, with what only Nomad's servers write into it.
pub fn job_value(job: &model::Job) -> Value {
    let mut value = serde_json::to_value(job).expect("a job is plain data");
    let namespace = Value::from(job.namespace());
    let groups = value
        .get_mut("TaskGroups")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten();
    for group in groups {
        name_services(group, &namespace);
        group
            .get_mut("Tasks")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
            .for_each(|task| {
                name_services(task, &namespace);
                if let Some(task) = task.as_object_mut() {
                    task.entry("CSIPluginConfig").or_insert(Value::Null);
                }
            });
    }
    value
}

/// Writes the job's namespace into the services of a group or task.
fn name_services(owner: &mut Value, namespace: &Value) {
    for service in owner
        .get_mut("Services")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        service["Namespace"] = namespace.clone();
    }
}

// The signature is serde's.
#[allow(clippy::ref_option, reason = "serde hands the field over by reference")]
pub(crate) fn serialize_optional<S: Serializer>(
    job: &Option<Box<model::Job>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    job.as_deref().map(job_value).serialize(serializer)
}

/// A job in lists.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobListStub {
    /// What the operator calls the job.
    #[serde(rename = "ID")]
    pub id: String,
    /// The job this one was launched from; empty when none.
    #[serde(rename = "ParentID")]
    pub parent_id: String,
    /// A name for people.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Where it may run.
    #[serde(deserialize_with = "null_is_default")]
    pub datacenters: Vec<String>,
    /// Its node pool.
    pub node_pool: String,
    /// Its regions, when it has several.
    pub multiregion: Option<model::Multiregion>,
    /// `service`, `batch`, `system` or `sysbatch`.
    #[serde(rename = "Type")]
    pub kind: String,
    /// 1 to 100.
    pub priority: i64,
    /// Whether it launches by the clock.
    pub periodic: bool,
    /// Whether it is a template to dispatch.
    pub parameterized_job: bool,
    /// Whether the operator stopped it.
    pub stop: bool,
    /// `pending`, `running` or `dead`.
    pub status: String,
    /// Why it has its status.
    pub status_description: String,
    /// How its allocations are.
    pub job_summary: Option<JobSummary>,
    /// Index of the first registration.
    pub create_index: u64,
    /// Index of the last change of any kind.
    pub modify_index: u64,
    /// Index of the last change of the specification.
    pub job_modify_index: u64,
    /// When it was submitted, nanoseconds since 1970.
    pub submit_time: i64,
    /// Free text, when it was asked for.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub meta: BTreeMap<String, String>,
}

impl JobListStub {
    /// The list item of a job.
    pub fn of(it: &model::Job, summary: JobSummary, with_meta: bool) -> Self {
        Self {
            id: it.id().to_owned(),
            parent_id: it.parent_id.clone().unwrap_or_default(),
            name: it.name().to_owned(),
            namespace: it.namespace().to_owned(),
            datacenters: it.datacenters().into_iter().map(str::to_owned).collect(),
            node_pool: it.node_pool().to_owned(),
            multiregion: it.multiregion.clone(),
            kind: it.job_type().as_str().to_owned(),
            priority: it.priority(),
            periodic: it.periodic.is_some(),
            parameterized_job: it.parameterized_job.is_some(),
            stop: it.is_stopped(),
            status: it.status.clone().unwrap_or_default(),
            status_description: it.status_description.clone().unwrap_or_default(),
            job_summary: Some(summary),
            create_index: it.create_index(),
            modify_index: it.modify_index.unwrap_or(0),
            job_modify_index: it.job_modify_index.unwrap_or(0),
            submit_time: it.submit_time.unwrap_or(0),
            meta: it.meta.clone().filter(|_| with_meta).unwrap_or_default(),
        }
    }
}

/// How many allocations of a job are in which status.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobSummary {
    /// The job.
    #[serde(rename = "JobID")]
    pub job_id: String,
    /// Its namespace.
    pub namespace: String,
    /// By group.
    #[serde(deserialize_with = "null_is_default")]
    pub summary: BTreeMap<String, GroupSummary>,
    /// How many jobs were launched from it.
    pub children: ChildrenSummary,
    /// Index of the job's first registration.
    pub create_index: u64,
    /// Index of the last change that is counted here.
    pub modify_index: u64,
}

impl JobSummary {
    /// The summary of a job, of its allocations, and of how many of each group wait for capacity.
    pub fn of<'a>(
        job: &model::Job,
        allocs: impl IntoIterator<Item = &'a model::Allocation>,
        queued: &model::Tally,
    ) -> Self {
        let mut summary: BTreeMap<String, GroupSummary> = job
            .groups()
            .iter()
            .map(|group| (group.name().to_owned(), GroupSummary::default()))
            .collect();
        let mut modify_index = job.job_modify_index.unwrap_or(0);
        for alloc in allocs {
            modify_index = modify_index.max(alloc.modify_index);
            if alloc.job_create_index == job.create_index() {
                summary
                    .entry(alloc.group.to_string())
                    .or_default()
                    .count(alloc.client);
            }
        }
        for (group, count) in queued.iter() {
            summary.entry(group.to_owned()).or_default().queued = *count;
        }
        Self {
            job_id: job.id().to_owned(),
            namespace: job.namespace().to_owned(),
            summary,
            children: ChildrenSummary::default(),
            create_index: job.create_index(),
            modify_index,
        }
    }
}

/// How many allocations of a group are in which status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct GroupSummary {
    /// They wait for capacity.
    pub queued: u64,
    /// They ended well.
    pub complete: u64,
    /// They ended badly.
    pub failed: u64,
    /// They run.
    pub running: u64,
    /// They have not started yet.
    pub starting: u64,
    /// Their node is gone for good.
    pub lost: u64,
    /// Their node is out of contact.
    pub unknown: u64,
}

impl GroupSummary {
    fn count(&mut self, status: model::ClientStatus) {
        let field = match status {
            model::ClientStatus::Pending => &mut self.starting,
            model::ClientStatus::Running => &mut self.running,
            model::ClientStatus::Complete => &mut self.complete,
            model::ClientStatus::Failed => &mut self.failed,
            model::ClientStatus::Lost => &mut self.lost,
            model::ClientStatus::Unknown => &mut self.unknown,
        };
        *field += 1;
    }
}

/// How many jobs that were launched from another are in which status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ChildrenSummary {
    /// They wait.
    pub pending: u64,
    /// They run.
    pub running: u64,
    /// They are over.
    pub dead: u64,
}

/// What registers a job.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobRegisterRequest {
    /// The job.
    pub job: Option<Box<model::Job>>,
    /// Whether [`Self::job_modify_index`] must be the spec index that the job has now.
    pub enforce_index: bool,
    /// That index; 0 is "must not exist".
    pub job_modify_index: u64,
    /// Without effect: there are no policies to override.
    pub policy_override: bool,
    /// Whether to keep the counts that the running version has.
    pub preserve_counts: bool,
    /// Priority of the evaluation; 0 is the job's.
    pub eval_priority: i64,
    /// What the job was made from.
    pub submission: Option<JobSubmission>,
}

/// What a job was made from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobSubmission {
    /// The text of the job file.
    pub source: String,
    /// `hcl2` or `json`.
    pub format: String,
    /// Variables of the command line.
    #[serde(with = "nullable")]
    pub variable_flags: BTreeMap<String, String>,
    /// Variables of a file, as text.
    pub variables: String,
}

/// The answer to a registration or an evaluation on demand.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobRegisterResponse {
    /// The evaluation that was created; empty when none was.
    #[serde(rename = "EvalID")]
    pub eval_id: String,
    /// Index of that evaluation.
    pub eval_create_index: u64,
    /// Spec index of the job.
    pub job_modify_index: u64,
    /// What the operator should know; empty when all is well.
    pub warnings: String,
    /// Index of the state that holds the change.
    pub index: u64,
    /// Always 0: there is one coordinator.
    pub last_contact: u64,
    /// Always false on writes, as Nomad answers it.
    pub known_leader: bool,
    /// Always empty.
    pub next_token: String,
}

/// The answer to stopping a job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobDeregisterResponse {
    /// The evaluation that was created; empty when none was.
    #[serde(rename = "EvalID")]
    pub eval_id: String,
    /// Index of that evaluation.
    pub eval_create_index: u64,
    /// Spec index of the job.
    pub job_modify_index: u64,
    /// Always empty: there are no volumes to release.
    #[serde(rename = "VolumeEvalID")]
    pub volume_eval_id: String,
    /// Always 0.
    pub volume_eval_index: u64,
    /// Index of the state that holds the change.
    pub index: u64,
    /// Always 0: there is one coordinator.
    pub last_contact: u64,
    /// Always false on writes, as Nomad answers it.
    pub known_leader: bool,
    /// Always empty.
    pub next_token: String,
}

/// What asks whether a job is valid.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobValidateRequest {
    /// The job.
    pub job: Option<Box<model::Job>>,
}

/// Whether a job is valid.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobValidateResponse {
    /// Whether driver configurations were looked at.
    pub driver_config_validated: bool,
    /// What is wrong, one by one.
    #[serde(with = "nullable")]
    pub validation_errors: Vec<String>,
    /// What is wrong, as one text; empty when nothing is.
    pub error: String,
    /// What the operator should know; empty when all is well.
    pub warnings: String,
}

/// What turns a job file into a job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobsParseRequest {
    /// The text of the job file.
    #[serde(rename = "JobHCL")]
    pub job_hcl: String,
    /// Whether to fill in the defaults.
    pub canonicalize: bool,
    /// Variables, as the text of a variable file.
    pub variables: String,
}

/// What asks for an evaluation of a job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobEvaluateRequest {
    /// The job.
    #[serde(rename = "JobID")]
    pub job_id: String,
    /// How.
    pub eval_options: EvalOptions,
}

/// How a job is evaluated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EvalOptions {
    /// Whether failed allocations are rescheduled whatever their policy says.
    pub force_reschedule: bool,
}

/// The kept versions of a job.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobVersionsResponse {
    /// Newest first.
    #[serde(serialize_with = "serialize_jobs", deserialize_with = "null_is_default")]
    pub versions: Vec<model::Job>,
    /// What changed from one to the next; `null` unless asked for.
    #[serde(with = "nullable")]
    pub diffs: Vec<Value>,
    /// Index of the state that this is.
    pub index: u64,
    /// Always 0: there is one coordinator.
    pub last_contact: u64,
    /// Whether there is a leader.
    pub known_leader: bool,
    /// Always empty.
    pub next_token: String,
}

fn serialize_jobs<S: Serializer>(jobs: &[model::Job], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(jobs.iter().map(job_value))
}
