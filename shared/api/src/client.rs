//! What is sent and answered to act on agents: `/v1/client/…` and the ending of allocations.

use std::collections::BTreeMap;

use holdfast_shared::model;
use serde::{Deserialize, Serialize};

use crate::format::null_is_default;

/// What restarts tasks of an allocation in place: those that run, unless it says which.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AllocRestartRequest {
    /// Only this task.
    #[serde(deserialize_with = "null_is_default")]
    pub task_name: String,
    /// Every task, also those that are over.
    pub all_tasks: bool,
}

/// The answer to what an agent was told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AllocRestartResponse {
    /// Index of the state at that time.
    pub index: u64,
}

/// The answer to the ending of an allocation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AllocStopResponse {
    /// The evaluation that replaces it.
    #[serde(rename = "EvalID")]
    pub eval_id: String,
    /// Index of the state that holds the change.
    pub index: u64,
}

/// What changes a node's meta.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeMetaRequest {
    /// The node.
    #[serde(rename = "NodeID", deserialize_with = "null_is_default")]
    pub node_id: String,
    /// What is set, and with `null` taken away.
    #[serde(deserialize_with = "null_is_default")]
    pub meta: BTreeMap<String, Option<String>>,
}

/// A node's meta, and where it comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeMeta {
    /// What jobs can ask for.
    #[serde(deserialize_with = "null_is_default")]
    pub meta: BTreeMap<String, String>,
    /// What operators set since, and with `null` took away.
    #[serde(deserialize_with = "null_is_default")]
    pub dynamic: BTreeMap<String, Option<String>>,
    /// What is configured.
    #[serde(rename = "Static", deserialize_with = "null_is_default")]
    pub configured: BTreeMap<String, String>,
}

impl From<&model::Fingerprint> for NodeMeta {
    fn from(it: &model::Fingerprint) -> Self {
        let changed = it.changed_meta.as_ref();
        Self {
            meta: it.meta.clone(),
            dynamic: changed.map(|changed| changed.changes.clone()).unwrap_or_default(),
            configured: it.configured_meta().clone(),
        }
    }
}
