//! Why an allocation was placed where it is, or why it could not be placed.

use std::collections::BTreeMap;

use holdfast_shared::model;
use serde::{Deserialize, Serialize};

use super::resources::LegacyResources;
use crate::format::nullable;

/// The report of one placement.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AllocationMetric {
    /// Nodes that were looked at.
    pub nodes_evaluated: u64,
    /// Nodes that did not qualify.
    pub nodes_filtered: u64,
    /// Nodes in the job's pool.
    pub nodes_in_pool: u64,
    /// The pool.
    pub node_pool: String,
    /// Ready nodes by datacenter.
    #[serde(with = "nullable")]
    pub nodes_available: BTreeMap<String, u64>,
    /// Nodes that did not qualify, by class.
    #[serde(with = "nullable")]
    pub class_filtered: BTreeMap<String, u64>,
    /// Nodes that did not qualify, by constraint.
    #[serde(with = "nullable")]
    pub constraint_filtered: BTreeMap<String, u64>,
    /// Nodes that qualified and had no room.
    pub nodes_exhausted: u64,
    /// Nodes that had no room, by class.
    #[serde(with = "nullable")]
    pub class_exhausted: BTreeMap<String, u64>,
    /// Nodes that had no room, by what was short.
    #[serde(with = "nullable")]
    pub dimension_exhausted: BTreeMap<String, u64>,
    /// Always `null`: there are no quotas.
    #[serde(with = "nullable")]
    pub quota_exhausted: Vec<String>,
    /// What tasks asked for where it was short.
    #[serde(with = "nullable")]
    pub resources_exhausted: BTreeMap<String, LegacyResources>,
    /// Always `null`: legacy.
    #[serde(with = "nullable")]
    pub scores: BTreeMap<String, f64>,
    /// How the best nodes scored, best first.
    #[serde(with = "nullable")]
    pub score_meta_data: Vec<NodeScoreMeta>,
    /// How long it took, in nanoseconds; 0 when it was not measured.
    pub allocation_time: i64,
    /// Placements of the same group that failed for the same reason after this one.
    pub coalesced_failures: u64,
}

impl From<&model::PlacementReport> for AllocationMetric {
    fn from(it: &model::PlacementReport) -> Self {
        Self {
            nodes_evaluated: it.nodes_evaluated,
            nodes_filtered: it.nodes_filtered,
            nodes_in_pool: it.nodes_in_pool,
            node_pool: it.node_pool.to_string(),
            nodes_available: it.nodes_available.to_map(),
            class_filtered: it.class_filtered.to_map(),
            constraint_filtered: it.constraint_filtered.to_map(),
            nodes_exhausted: it.nodes_exhausted,
            class_exhausted: it.class_exhausted.to_map(),
            dimension_exhausted: it.dimension_exhausted.to_map(),
            score_meta_data: it.scores.iter().map(Into::into).collect(),
            coalesced_failures: it.coalesced_failures,
            ..Self::default()
        }
    }
}

impl AllocationMetric {
    /// The same, with what the tasks of `group` ask for where it was short.
    #[must_use]
    pub fn with_demand(mut self, group: &model::TaskGroup) -> Self {
        if !self.dimension_exhausted.is_empty() {
            let demand = |task: &model::Task| (task.name.clone(), LegacyResources::asked_by(task));
            self.resources_exhausted = group.tasks().iter().map(demand).collect();
        }
        self
    }
}

/// How a node scored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeScoreMeta {
    /// The node.
    #[serde(rename = "NodeID")]
    pub node_id: String,
    /// Each component, by name.
    #[serde(with = "nullable")]
    pub scores: BTreeMap<String, f64>,
    /// Their mean: the node's rank.
    pub norm_score: f64,
}

impl From<&model::NodeScore> for NodeScoreMeta {
    fn from(it: &model::NodeScore) -> Self {
        use model::Component::{JobAntiAffinity, NodeAffinity, NodeReschedulePenalty};
        // People's tables have a column for these also when they do not count.
        let shown = [JobAntiAffinity, NodeAffinity, NodeReschedulePenalty].map(|it| (it, 0.0));
        let scores = shown.into_iter().chain(it.scores.iter());
        Self {
            node_id: it.node.to_string(),
            scores: scores
                .map(|(component, score)| (component.as_str().to_owned(), score))
                .collect(),
            norm_score: it.norm_score(),
        }
    }
}
