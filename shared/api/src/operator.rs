//! What surrounds jobs and nodes and cannot be changed yet: namespaces, node pools, the scheduler's settings.

use std::collections::BTreeMap;

use holdfast_shared::time::Duration;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::format::nullable;

/// The coordinator's state was declared to be the truth (our own).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AdoptStateResponse {
    /// The epoch that begins with it: nodes follow the newest one.
    pub epoch: u64,
    /// Index of the change.
    pub index: u64,
}

/// A namespace.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Namespace {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Always empty.
    pub quota: String,
    /// Fingerprint of its settings, base64.
    pub hash: String,
    /// Free text.
    #[serde(with = "nullable")]
    pub meta: BTreeMap<String, String>,
    /// What is allowed in it; `null` is everything.
    pub capabilities: Option<Value>,
    /// Which pools it may use; `null` is all.
    pub node_pool_configuration: Option<Value>,
    /// Always `null`.
    pub vault_configuration: Option<Value>,
    /// Always `null`.
    pub consul_configuration: Option<Value>,
    /// Always `null`.
    pub required_extra_claims: Option<Value>,
    /// Always `null`.
    pub optional_extra_claims: Option<Value>,
    /// Index of creation.
    pub create_index: u64,
    /// Index of the last change.
    pub modify_index: u64,
}

/// A node pool.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodePool {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Free text.
    #[serde(with = "nullable")]
    pub meta: BTreeMap<String, String>,
    /// Always `null`.
    pub hash: Option<Value>,
    /// How long an identity of one of its nodes lasts.
    #[serde(rename = "NodeIdentityTTL")]
    pub node_identity_ttl: Duration,
    /// Scheduler settings of its own; `null` when it has none.
    pub scheduler_configuration: Option<Value>,
    /// Index of creation.
    pub create_index: u64,
    /// Index of the last change.
    pub modify_index: u64,
}

/// The answer of `/v1/operator/scheduler/configuration`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SchedulerConfigurationResponse {
    /// The settings.
    pub scheduler_config: SchedulerConfiguration,
    /// Index of the state that this is.
    pub index: u64,
    /// Always 0: there is one coordinator.
    pub last_contact: u64,
    /// Whether there is a leader.
    pub known_leader: bool,
    /// Always empty.
    pub next_token: String,
}

/// How the scheduler works.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SchedulerConfiguration {
    /// `binpack` or `spread`.
    pub scheduler_algorithm: String,
    /// Which types of jobs may push out others.
    pub preemption_config: PreemptionConfig,
    /// Whether tasks may use memory beyond what they reserve.
    pub memory_oversubscription_enabled: bool,
    /// Whether jobs are refused.
    pub reject_job_registration: bool,
    /// Whether evaluations wait.
    pub pause_eval_broker: bool,
    /// How many nodes are looked at; 0 is Nomad's own rule.
    pub node_limit_for_feasibility_checks: u64,
    /// Index of creation.
    pub create_index: u64,
    /// Index of the last change.
    pub modify_index: u64,
}

/// Which types of jobs may push out others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PreemptionConfig {
    /// System jobs.
    pub system_scheduler_enabled: bool,
    /// System batch jobs.
    pub sys_batch_scheduler_enabled: bool,
    /// Batch jobs.
    pub batch_scheduler_enabled: bool,
    /// Service jobs.
    pub service_scheduler_enabled: bool,
}
