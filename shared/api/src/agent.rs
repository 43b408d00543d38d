//! What a coordinator says about itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::format::null_is_default;

/// The answer of `/v1/agent/self`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AgentSelf {
    /// Its settings; what does not apply here is zero, empty or `null`.
    #[serde(deserialize_with = "null_is_default")]
    pub config: BTreeMap<String, Value>,
    /// Itself as a member of the region.
    pub member: AgentMember,
    /// Figures, by subject and name.
    #[serde(deserialize_with = "null_is_default")]
    pub stats: BTreeMap<String, BTreeMap<String, String>>,
}

/// The coordinators of the region.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AgentMembers {
    /// Name of the coordinator that answers.
    pub server_name: String,
    /// Its region.
    pub server_region: String,
    /// Its datacenter.
    #[serde(rename = "ServerDC")]
    pub server_dc: String,
    /// Everyone there is.
    #[serde(deserialize_with = "null_is_default")]
    pub members: Vec<AgentMember>,
}

/// One coordinator.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AgentMember {
    /// `<name>.<region>`.
    pub name: String,
    /// Its address.
    pub addr: String,
    /// Its port.
    pub port: u16,
    /// `region`, `dc`, `role`, `build`, …
    #[serde(deserialize_with = "null_is_default")]
    pub tags: BTreeMap<String, String>,
    /// `alive`.
    pub status: String,
    /// Protocol versions, as Nomad's gossip tells them.
    pub protocol_min: u8,
    /// See [`Self::protocol_min`].
    pub protocol_max: u8,
    /// See [`Self::protocol_min`].
    pub protocol_cur: u8,
    /// See [`Self::protocol_min`].
    pub delegate_min: u8,
    /// See [`Self::protocol_min`].
    pub delegate_max: u8,
    /// See [`Self::protocol_min`].
    pub delegate_cur: u8,
}

/// The answer of `/v1/agent/health`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AgentHealth {
    /// Whether nodes can be reached.
    pub client: Health,
    /// Whether the coordinator works.
    pub server: Health,
}

/// Whether something works.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Health {
    /// Whether it does.
    pub ok: bool,
    /// `ok`, or what is wrong.
    pub message: String,
}

impl Health {
    /// Works, or does not for this reason.
    pub fn new(problem: Option<String>) -> Self {
        Self {
            ok: problem.is_none(),
            message: problem.unwrap_or_else(|| "ok".to_owned()),
        }
    }
}
