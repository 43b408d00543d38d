//! `/v1/job/:id/explain`: what the scheduler makes of every node, as things stand.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::format::nullable;

/// What the scheduler makes of every node for one more allocation of a group.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct GroupExplanation {
    /// The group.
    pub task_group: String,
    /// Every node of the region.
    #[serde(with = "nullable")]
    pub nodes: Vec<NodeExplanation>,
}

/// What the scheduler makes of a node.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeExplanation {
    /// The node.
    #[serde(rename = "NodeID")]
    pub node_id: String,
    /// Its name.
    pub node_name: String,
    /// Its class.
    pub node_class: String,
    /// `ranked`, `exhausted`, `filtered` or `unavailable`.
    pub verdict: String,
    /// Why it is none of the ranked ones, or what would have to give way.
    pub reason: String,
    /// Each component of its score, by name.
    #[serde(with = "nullable")]
    pub scores: BTreeMap<String, f64>,
    /// Their mean: the node's rank.
    pub norm_score: f64,
}
