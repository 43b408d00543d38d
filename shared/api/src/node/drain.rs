//! Emptying nodes, and whether they take allocations: requests, answers, records.

use std::collections::BTreeMap;

use holdfast_shared::model;
use holdfast_shared::time::{Duration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::format::{GoTime, null_is_default, nullable};

/// How a node is emptied.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DrainStrategy {
    /// How long it may take: negative is no time at all, zero is for ever.
    pub deadline: Duration,
    /// Whether allocations of system jobs stay.
    pub ignore_system_jobs: bool,
    /// When everything that is left is ended.
    pub force_deadline: GoTime,
    /// When it began.
    pub started_at: GoTime,
}

impl From<&model::DrainStrategy> for DrainStrategy {
    fn from(it: &model::DrainStrategy) -> Self {
        Self {
            deadline: it.deadline,
            ignore_system_jobs: it.ignore_system_jobs,
            force_deadline: it.force_deadline.into(),
            started_at: it.started_at.into(),
        }
    }
}

/// The record of a node's newest drain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DrainMetadata {
    /// When it began, to the second.
    pub started_at: GoTime,
    /// When it last changed, to the second.
    pub updated_at: GoTime,
    /// `draining`, `complete` or `canceled`.
    pub status: String,
    /// Who asked for it: always empty, nobody has to say.
    #[serde(rename = "AccessorID")]
    pub accessor_id: String,
    /// What was noted about it; `message` is the reason.
    #[serde(deserialize_with = "null_is_default")]
    pub meta: BTreeMap<String, String>,
}

impl DrainMetadata {
    pub(super) fn of(node: &model::Node) -> Option<Self> {
        let it = node.last_drain.as_deref()?;
        let whole = |at: Timestamp| GoTime(Timestamp::from_secs(at.as_secs()));
        Some(Self {
            started_at: whole(it.started_at),
            updated_at: whole(it.updated_at),
            status: it.status.as_str().to_owned(),
            accessor_id: String::new(),
            meta: it.meta.clone(),
        })
    }
}

/// The body of `/v1/node/:id/drain`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DrainRequest {
    /// The node; its id is in the path as well.
    #[serde(rename = "NodeID")]
    pub node_id: String,
    /// How it is emptied; `null` leaves off.
    pub drain_spec: Option<DrainSpec>,
    /// Whether it takes allocations again once that is left off.
    pub mark_eligible: bool,
    /// What is noted about it; `message` is the reason.
    #[serde(with = "nullable")]
    pub meta: BTreeMap<String, String>,
}

/// How a node is to be emptied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DrainSpec {
    /// How long it may take: negative is no time at all, zero is for ever.
    pub deadline: Duration,
    /// Whether allocations of system jobs stay.
    pub ignore_system_jobs: bool,
}

/// The body of `/v1/node/:id/eligibility`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EligibilityRequest {
    /// The node; its id is in the path as well.
    #[serde(rename = "NodeID")]
    pub node_id: String,
    /// `eligible` or `ineligible`.
    pub eligibility: String,
}

/// A node was changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeUpdateResponse {
    /// Index of the node's change.
    pub node_modify_index: u64,
    /// The evaluations that follow from it.
    #[serde(rename = "EvalIDs", with = "nullable")]
    pub eval_ids: Vec<String>,
    /// Index of those; 0 when there are none.
    pub eval_create_index: u64,
    /// Index of the change.
    pub index: u64,
}
