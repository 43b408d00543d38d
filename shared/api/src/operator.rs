//! What surrounds jobs and nodes: namespaces, node pools, the scheduler's settings.

use std::collections::BTreeMap;

use holdfast_shared::model;
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
    pub scheduler_configuration: Option<PoolSchedulerConfiguration>,
    /// Index of creation.
    pub create_index: u64,
    /// Index of the last change.
    pub modify_index: u64,
}

/// How long the original says that the identity of a node lasts.
const IDENTITY_LASTS: Duration = Duration::from_secs(24 * 3600);

impl From<&model::NodePool> for NodePool {
    fn from(it: &model::NodePool) -> Self {
        Self {
            name: it.name.clone(),
            description: it.description.clone(),
            meta: it.meta.clone(),
            hash: None,
            node_identity_ttl: IDENTITY_LASTS,
            scheduler_configuration: it.scheduling.map(Into::into),
            create_index: it.create_index,
            modify_index: it.modify_index,
        }
    }
}

impl NodePool {
    /// What it says, as the model has it; `None` when it names an algorithm that there is not.
    pub fn to_model(&self) -> Option<model::NodePool> {
        let scheduling = match &self.scheduler_configuration {
            Some(own) => Some(own.to_model()?),
            None => None,
        };
        Some(model::NodePool {
            name: self.name.clone(),
            description: self.description.clone(),
            meta: self.meta.clone(),
            scheduling,
            create_index: 0,
            modify_index: 0,
        })
    }
}

/// Where the settings of a pool differ from the region's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PoolSchedulerConfiguration {
    /// `binpack` or `spread`; empty is the region's.
    pub scheduler_algorithm: String,
    /// Whether tasks may use memory beyond what they reserve; `null` is as in the region.
    pub memory_oversubscription_enabled: Option<bool>,
}

impl From<model::PoolScheduling> for PoolSchedulerConfiguration {
    fn from(it: model::PoolScheduling) -> Self {
        let algorithm = it.algorithm.map(model::SchedulerAlgorithm::as_str);
        Self {
            scheduler_algorithm: algorithm.unwrap_or_default().to_owned(),
            memory_oversubscription_enabled: it.memory_oversubscription,
        }
    }
}

impl PoolSchedulerConfiguration {
    fn to_model(&self) -> Option<model::PoolScheduling> {
        let algorithm = match self.scheduler_algorithm.as_str() {
            "" => None,
            text => Some(model::SchedulerAlgorithm::parse(text)?),
        };
        Some(model::PoolScheduling {
            algorithm,
            memory_oversubscription: self.memory_oversubscription_enabled,
        })
    }
}

/// The answer to a change of the scheduler's settings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SchedulerConfigurationSetResponse {
    /// Whether they are what was asked for: not when they were not as expected.
    pub updated: bool,
    /// Index of the change.
    pub index: u64,
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

impl From<&model::SchedulerConfiguration> for SchedulerConfiguration {
    fn from(it: &model::SchedulerConfiguration) -> Self {
        Self {
            scheduler_algorithm: it.algorithm.as_str().to_owned(),
            preemption_config: PreemptionConfig {
                system_scheduler_enabled: it.preemption.system,
                sys_batch_scheduler_enabled: it.preemption.sysbatch,
                batch_scheduler_enabled: it.preemption.batch,
                service_scheduler_enabled: it.preemption.service,
            },
            memory_oversubscription_enabled: it.memory_oversubscription,
            reject_job_registration: it.reject_job_registration,
            pause_eval_broker: it.pause_eval_broker,
            node_limit_for_feasibility_checks: it.node_limit,
            create_index: it.create_index.max(1),
            modify_index: it.modify_index.max(1),
        }
    }
}

impl SchedulerConfiguration {
    /// What it says, as the model has it; `None` when it names an algorithm that there is not.
    pub fn to_model(&self) -> Option<model::SchedulerConfiguration> {
        let algorithm = match self.scheduler_algorithm.as_str() {
            "" => model::SchedulerAlgorithm::default(),
            text => model::SchedulerAlgorithm::parse(text)?,
        };
        let preemption = &self.preemption_config;
        Some(model::SchedulerConfiguration {
            algorithm,
            preemption: model::Preemption {
                system: preemption.system_scheduler_enabled,
                sysbatch: preemption.sys_batch_scheduler_enabled,
                batch: preemption.batch_scheduler_enabled,
                service: preemption.service_scheduler_enabled,
            },
            memory_oversubscription: self.memory_oversubscription_enabled,
            reject_job_registration: self.reject_job_registration,
            pause_eval_broker: self.pause_eval_broker,
            node_limit: self.node_limit_for_feasibility_checks,
            create_index: 0,
            modify_index: 0,
        })
    }
}
