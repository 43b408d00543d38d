//! The job: what an operator submits.
//!
//! This tree is Nomad's API form of a job, field by field and name by name: the JSON of `/v1/jobs`, of the store and of
//! an assignment are one and the same. What the API may leave out is an `Option` here; [`Job::canonicalize`] fills in
//! the defaults, and accessors answer the effective value either way.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::constraint::{Affinity, Constraint, Spread};
use super::group::TaskGroup;
use super::policy::{Migrate, Reschedule, Update};
use super::shared::Shared;
use crate::id::JobKey;
use crate::time::Duration;

/// A job: groups of tasks, and how to place, update and repair them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Job {
    /// The region that runs the job; `global` by default.
    pub region: Option<String>,
    /// The namespace; `default` by default.
    pub namespace: Option<String>,
    /// What the operator calls the job, unique in its namespace.
    #[serde(rename = "ID")]
    pub id: Option<String>,
    /// A name for people; the id by default.
    pub name: Option<String>,
    /// `service`, `batch`, `system` or `sysbatch`.
    #[serde(rename = "Type")]
    pub kind: Option<String>,
    /// 1 to 100; 50 by default.
    pub priority: Option<i64>,
    /// Place everything in one plan or nothing.
    pub all_at_once: Option<bool>,
    /// Where it may run, with `*` as a wildcard; everywhere by default.
    pub datacenters: Option<Vec<String>>,
    /// The node pool; `default` by default.
    pub node_pool: Option<String>,
    /// What every node must satisfy.
    pub constraints: Option<Vec<Constraint>>,
    /// What nodes should rather satisfy.
    pub affinities: Option<Vec<Affinity>>,
    /// The groups, at least one. Many jobs are the same but for their names.
    pub task_groups: Option<Shared<Vec<TaskGroup>>>,
    /// How to roll out a change; groups may override it field by field.
    pub update: Option<Update>,
    /// Over which property to spread allocations.
    pub spreads: Option<Vec<Spread>>,
    /// When to launch by the clock.
    pub periodic: Option<Periodic>,
    /// That the job is a template to dispatch.
    pub parameterized_job: Option<Parameterized>,
    /// Default reschedule policy of the groups.
    pub reschedule: Option<Reschedule>,
    /// Default migrate policy of the groups.
    pub migrate: Option<Migrate>,
    /// Free text for people and templates.
    pub meta: Option<BTreeMap<String, String>>,
    /// Legacy: a Consul namespace.
    pub consul_namespace: Option<String>,
    /// Legacy: a Vault namespace.
    pub vault_namespace: Option<String>,
    /// Texts and links for the web UI.
    #[serde(rename = "UI")]
    pub ui: Option<JobUi>,
    /// Regions of a multi-region job.
    pub multiregion: Option<Multiregion>,
    /// Whether this is a dispatched copy of a parameterized job.
    pub dispatched: bool,
    /// What a repeated dispatch is recognised by.
    pub dispatch_idempotency_token: Option<String>,
    /// Payload of a dispatched job, base64.
    pub payload: Option<String>,
    /// Accessor of the token that registered the job.
    #[serde(rename = "NomadTokenID")]
    pub nomad_token_id: Option<String>,
    /// The job this one was launched from.
    #[serde(rename = "ParentID")]
    pub parent_id: Option<String>,
    /// Whether the operator stopped it.
    pub stop: Option<bool>,
    /// `pending`, `running` or `dead`.
    pub status: Option<String>,
    /// Why it has its status.
    pub status_description: Option<String>,
    /// Whether this version once deployed successfully.
    pub stable: Option<bool>,
    /// Counts up with every change of the specification, from 0.
    pub version: Option<u64>,
    /// When it was submitted, nanoseconds since 1970.
    pub submit_time: Option<i64>,
    /// Index of the first registration.
    pub create_index: Option<u64>,
    /// Index of the last change of any kind.
    pub modify_index: Option<u64>,
    /// Index of the last change of the specification.
    pub job_modify_index: Option<u64>,
    /// A name for this version that keeps it from being collected.
    pub version_tag: Option<VersionTag>,
}

/// A name that an operator gave to one version of a job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VersionTag {
    /// Unique among the versions of the job.
    pub name: String,
    /// Why, in words.
    pub description: String,
    /// When it was given, nanoseconds since 1970.
    pub tagged_time: i64,
}

impl Job {
    /// The job's key; the namespace is `default` when none is given.
    pub fn key(&self) -> JobKey {
        JobKey::new(self.namespace(), self.id())
    }

    /// The job's id, empty when missing.
    pub fn id(&self) -> &str {
        self.id.as_deref().unwrap_or_default()
    }

    /// The job's name: its id unless it names one.
    pub fn name(&self) -> &str {
        self.name
            .as_deref()
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| self.id())
    }

    /// The namespace, `default` unless given.
    pub fn namespace(&self) -> &str {
        self.namespace
            .as_deref()
            .filter(|it| !it.is_empty())
            .unwrap_or("default")
    }

    /// The region, `global` unless given.
    pub fn region(&self) -> &str {
        self.region
            .as_deref()
            .filter(|it| !it.is_empty())
            .unwrap_or("global")
    }

    /// The node pool, `default` unless given.
    pub fn node_pool(&self) -> &str {
        self.node_pool
            .as_deref()
            .filter(|it| !it.is_empty())
            .unwrap_or("default")
    }

    /// The job's type; `service` unless it says a known one.
    pub fn job_type(&self) -> JobType {
        self.kind
            .as_deref()
            .and_then(JobType::parse)
            .unwrap_or(JobType::Service)
    }

    /// 1 to 100.
    pub fn priority(&self) -> i64 {
        self.priority.unwrap_or(50)
    }

    /// Datacenter patterns; everywhere unless given.
    pub fn datacenters(&self) -> Vec<&str> {
        match self.datacenters.as_deref() {
            None | Some([]) => vec!["*"],
            Some(list) => list.iter().map(String::as_str).collect(),
        }
    }

    /// The groups.
    pub fn groups(&self) -> &[TaskGroup] {
        self.task_groups.as_deref().map_or(&[], Vec::as_slice)
    }

    /// The group called `name`.
    pub fn group(&self, name: &str) -> Option<&TaskGroup> {
        self.groups().iter().find(|group| group.name() == name)
    }

    /// Whether the operator stopped it.
    pub fn is_stopped(&self) -> bool {
        self.stop.unwrap_or(false)
    }

    /// The version, from 0.
    pub fn version(&self) -> u64 {
        self.version.unwrap_or(0)
    }

    /// Index of the first registration.
    pub fn create_index(&self) -> u64 {
        self.create_index.unwrap_or(0)
    }

    /// Whether the job only launches others: by the clock, also where that is switched off, or by dispatch.
    pub fn is_template(&self) -> bool {
        self.periodic.is_some() || (self.parameterized_job.is_some() && !self.dispatched)
    }

    /// The same job with everything that a registration does not ask for taken out: two jobs with equal
    /// specifications are one version.
    pub fn specification(&self) -> Self {
        Self {
            nomad_token_id: None,
            status: None,
            status_description: None,
            stable: None,
            version: None,
            submit_time: None,
            create_index: None,
            modify_index: None,
            job_modify_index: None,
            version_tag: None,
            ..self.clone()
        }
    }
}

/// What a job does in the long run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobType {
    /// Runs until it is stopped.
    Service,
    /// Runs until it has succeeded.
    Batch,
    /// Runs on every node that fits.
    System,
    /// Runs once on every node that fits.
    Sysbatch,
}

impl JobType {
    /// The type that job files call `text`.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "service" => Self::Service,
            "batch" => Self::Batch,
            "system" => Self::System,
            "sysbatch" => Self::Sysbatch,
            _ => return None,
        })
    }

    /// The word in job files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Batch => "batch",
            Self::System => "system",
            Self::Sysbatch => "sysbatch",
        }
    }

    /// Whether a task that ends well is done, instead of started again.
    pub const fn is_batch(self) -> bool {
        matches!(self, Self::Batch | Self::Sysbatch)
    }

    /// Whether it runs on every node that fits.
    pub const fn is_system(self) -> bool {
        matches!(self, Self::System | Self::Sysbatch)
    }
}

/// Launches by the clock.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Periodic {
    /// Whether it launches at all; true unless given.
    pub enabled: Option<bool>,
    /// One cron expression.
    pub spec: Option<String>,
    /// Several cron expressions.
    pub specs: Option<Vec<String>>,
    /// Always `cron`.
    pub spec_type: Option<String>,
    /// Whether a launch is skipped while the last one still runs.
    pub prohibit_overlap: Option<bool>,
    /// The zone of the cron expressions; UTC unless given.
    pub time_zone: Option<String>,
}

impl Periodic {
    /// Whether it launches at all.
    pub fn is_enabled(&self) -> bool {
        self.enabled.unwrap_or(true)
    }
}

/// What a dispatch must and may bring.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Parameterized {
    /// `optional`, `required` or `forbidden`.
    pub payload: String,
    /// Meta keys that must be given.
    pub meta_required: Option<Vec<String>>,
    /// Meta keys that may be given.
    pub meta_optional: Option<Vec<String>>,
}

/// Texts and links for the web UI.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobUi {
    /// What the job is for.
    pub description: String,
    /// Where to read on.
    pub links: Option<Vec<JobUiLink>>,
}

/// One link of the web UI.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobUiLink {
    /// What is shown.
    pub label: String,
    /// Where it leads.
    #[serde(rename = "URL")]
    pub url: String,
}

/// A job that is rolled out over several regions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Multiregion {
    /// In which order, and what a failure does.
    pub strategy: Option<MultiregionStrategy>,
    /// The regions, in order.
    pub regions: Option<Vec<MultiregionRegion>>,
}

/// In which order regions deploy, and what a failure does.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct MultiregionStrategy {
    /// How many regions at a time; 0 is all.
    pub max_parallel: Option<i64>,
    /// Empty, `fail_all` or `fail_local`.
    pub on_failure: Option<String>,
}

/// One region of a multi-region job.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct MultiregionRegion {
    /// The region's name.
    pub name: String,
    /// Replaces a group's count where that is 0.
    pub count: Option<i64>,
    /// Replaces the job's datacenters.
    pub datacenters: Option<Vec<String>>,
    /// Replaces the job's node pool.
    pub node_pool: Option<String>,
    /// Laid over the job's meta.
    pub meta: Option<BTreeMap<String, String>>,
}

/// A duration that the API may leave out; zero then.
pub(crate) fn or_zero(duration: Option<Duration>) -> Duration {
    duration.unwrap_or(Duration::ZERO)
}
