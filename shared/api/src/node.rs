//! Nodes: the list item and the whole.

mod drain;
mod resources;

use std::collections::BTreeMap;

use holdfast_shared::model;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use drain::{
    DrainMetadata, DrainRequest, DrainSpec, DrainStrategy, EligibilityRequest, NodeUpdateResponse,
};
pub use resources::{
    HostNetworkInfo, HostVolumeInfo, NodeCpu, NodeDisk, NodeMemory, NodeNetwork, NodeNetworkAddress,
    NodeNetworkResource, NodeResources, ReservedCpu, ReservedNetworks, ReservedResources,
};

use crate::format::{GoTime, is_default, null_is_default, nullable};

/// The attribute in which an agent states its version.
const VERSION_ATTRIBUTE: &str = "nomad.version";

/// A node in lists.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeListStub {
    /// The address other nodes reach it at.
    pub address: String,
    /// The node.
    #[serde(rename = "ID")]
    pub id: String,
    /// Its `os.*` attributes, when they were asked for.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub attributes: BTreeMap<String, String>,
    /// Its datacenter.
    pub datacenter: String,
    /// Its name.
    pub name: String,
    /// The operator's class of nodes.
    pub node_class: String,
    /// Its node pool.
    pub node_pool: String,
    /// Version of the agent.
    pub version: String,
    /// Whether its allocations are being moved away.
    pub drain: bool,
    /// `eligible` or `ineligible`.
    pub scheduling_eligibility: String,
    /// `initializing`, `ready`, `disconnected` or `down`.
    pub status: String,
    /// Why it has its status.
    pub status_description: String,
    /// Its drivers, by name.
    #[serde(deserialize_with = "null_is_default")]
    pub drivers: BTreeMap<String, DriverInfo>,
    /// Its volumes, by name.
    #[serde(deserialize_with = "null_is_default")]
    pub host_volumes: BTreeMap<String, HostVolumeInfo>,
    /// What it has to give, when that was asked for.
    #[serde(skip_serializing_if = "is_default")]
    pub node_resources: Option<NodeResources>,
    /// What of that is kept for the box itself, when that was asked for.
    #[serde(skip_serializing_if = "is_default")]
    pub reserved_resources: Option<ReservedResources>,
    /// The last drain; `null` when there was none.
    pub last_drain: Option<DrainMetadata>,
    /// Index of the first registration.
    pub create_index: u64,
    /// Index of the last change.
    pub modify_index: u64,
}

/// What else to tell of a node in a list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NodeListWith {
    /// Its resources.
    pub resources: bool,
    /// Its `os.*` attributes.
    pub os: bool,
}

impl NodeListStub {
    /// The list item of a node.
    pub fn of(it: &model::Node, with: NodeListWith) -> Self {
        let print = &it.fingerprint;
        let os = |(name, _): &(&String, &String)| with.os && name.starts_with("os.");
        Self {
            address: it.address().to_owned(),
            id: it.id.to_string(),
            attributes: print
                .attributes
                .iter()
                .filter(os)
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect(),
            datacenter: print.datacenter.clone(),
            name: print.name.clone(),
            node_class: print.node_class.clone(),
            node_pool: pool_of(it),
            version: version_of(it),
            drain: it.drain.is_some(),
            scheduling_eligibility: eligibility_of(it),
            status: it.status.to_string(),
            status_description: it.status_description.clone(),
            drivers: drivers_of(it),
            host_volumes: volumes_of(it),
            node_resources: with.resources.then(|| NodeResources::of(it)),
            reserved_resources: with.resources.then(|| ReservedResources::of(it)),
            last_drain: DrainMetadata::of(it),
            create_index: it.create_index,
            modify_index: it.modify_index,
        }
    }
}

/// A whole node.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Node {
    /// The node.
    #[serde(rename = "ID")]
    pub id: String,
    /// Its datacenter.
    pub datacenter: String,
    /// Its name.
    pub name: String,
    /// Where programs ask about it: the coordinator's own address, because edge nodes cannot be reached.
    #[serde(rename = "HTTPAddr")]
    pub http_addr: String,
    /// Whether that address speaks TLS.
    #[serde(rename = "TLSEnabled")]
    pub tls_enabled: bool,
    /// Detected properties.
    #[serde(deserialize_with = "null_is_default")]
    pub attributes: BTreeMap<String, String>,
    /// What it has to give.
    pub node_resources: NodeResources,
    /// What of that is kept for the box itself.
    pub reserved_resources: ReservedResources,
    /// Always empty: legacy.
    #[serde(deserialize_with = "null_is_default")]
    pub links: BTreeMap<String, String>,
    /// Configured properties.
    #[serde(deserialize_with = "null_is_default")]
    pub meta: BTreeMap<String, String>,
    /// The operator's class of nodes.
    pub node_class: String,
    /// Its node pool.
    pub node_pool: String,
    /// Where its agent keeps control groups.
    pub cgroup_parent: String,
    /// What makes it equal to others for the scheduler; empty when that is not computed.
    pub computed_class: String,
    /// Whether its allocations are being moved away.
    pub drain: bool,
    /// How; `null` while it does not drain.
    pub drain_strategy: Option<DrainStrategy>,
    /// `eligible` or `ineligible`.
    pub scheduling_eligibility: String,
    /// `initializing`, `ready`, `disconnected` or `down`.
    pub status: String,
    /// Why it has its status.
    pub status_description: String,
    /// Since when it has its status, seconds since 1970.
    pub status_updated_at: i64,
    /// The last few events, oldest first.
    #[serde(with = "nullable")]
    pub events: Vec<NodeEvent>,
    /// Its drivers, by name.
    #[serde(deserialize_with = "null_is_default")]
    pub drivers: BTreeMap<String, DriverInfo>,
    /// Its volumes, by name.
    #[serde(deserialize_with = "null_is_default")]
    pub host_volumes: BTreeMap<String, HostVolumeInfo>,
    /// Its named networks, `default` aside.
    #[serde(with = "nullable")]
    pub host_networks: BTreeMap<String, HostNetworkInfo>,
    /// Always false.
    #[serde(rename = "GCVolumesOnNodeGC")]
    pub gc_volumes_on_node_gc: bool,
    /// Always empty.
    #[serde(rename = "CSIControllerPlugins", deserialize_with = "null_is_default")]
    pub csi_controller_plugins: BTreeMap<String, Value>,
    /// Always empty.
    #[serde(rename = "CSINodePlugins", deserialize_with = "null_is_default")]
    pub csi_node_plugins: BTreeMap<String, Value>,
    /// The last drain; `null` when there was none.
    pub last_drain: Option<DrainMetadata>,
    /// Index of the last change of an allocation that it reported.
    pub last_alloc_update_index: u64,
    /// Index at which its last heartbeat was missed, 0 when never.
    pub last_missed_heartbeat_index: u64,
    /// Always empty: identities are not signed.
    #[serde(rename = "IdentitySigningKeyID")]
    pub identity_signing_key_id: String,
    /// How many allocations it takes; 0 is any number.
    pub node_max_allocs: u64,
    /// Always empty: secrets are not told.
    #[serde(rename = "SecretID")]
    pub secret_id: String,
    /// Index of the first registration.
    pub create_index: u64,
    /// Index of the last change.
    pub modify_index: u64,
}

impl Node {
    /// The whole of a node; `http_addr` is the coordinator's own address.
    pub fn of(it: &model::Node, http_addr: &str) -> Self {
        let print = &it.fingerprint;
        let named = |(name, _): &(&String, &model::HostNetwork)| name.as_str() != "default";
        let networks = print.host_networks.iter().filter(named);
        Self {
            id: it.id.to_string(),
            datacenter: print.datacenter.clone(),
            name: print.name.clone(),
            http_addr: http_addr.to_owned(),
            attributes: print.attributes.clone(),
            node_resources: NodeResources::of(it),
            reserved_resources: ReservedResources::of(it),
            meta: print.meta.clone(),
            node_class: print.node_class.clone(),
            node_pool: pool_of(it),
            drain: it.drain.is_some(),
            drain_strategy: it.drain.as_deref().map(Into::into),
            last_drain: DrainMetadata::of(it),
            scheduling_eligibility: eligibility_of(it),
            status: it.status.to_string(),
            status_description: it.status_description.clone(),
            status_updated_at: it.status_since.as_secs(),
            events: it.events.iter().map(Into::into).collect(),
            drivers: drivers_of(it),
            host_volumes: volumes_of(it),
            host_networks: networks
                .map(|(name, net)| (name.clone(), HostNetworkInfo::of(name, net)))
                .collect(),
            last_alloc_update_index: it.alloc_update_index,
            last_missed_heartbeat_index: it.missed_heartbeat_index,
            create_index: it.create_index,
            modify_index: it.modify_index,
            ..Self::default()
        }
    }
}

fn pool_of(it: &model::Node) -> String {
    let pool = it.fingerprint.node_pool.as_str();
    if pool.is_empty() {
        "default".to_owned()
    } else {
        pool.to_owned()
    }
}

/// The agent's own version; the one it states for Nomad's constraints when it has none.
fn version_of(it: &model::Node) -> String {
    let print = &it.fingerprint;
    let version = Some(&print.version).filter(|it| !it.is_empty());
    version
        .or_else(|| print.attributes.get(VERSION_ATTRIBUTE))
        .cloned()
        .unwrap_or_default()
}

fn eligibility_of(it: &model::Node) -> String {
    match it.eligibility {
        model::Eligibility::Eligible => "eligible".to_owned(),
        model::Eligibility::Ineligible => "ineligible".to_owned(),
    }
}

fn drivers_of(it: &model::Node) -> BTreeMap<String, DriverInfo> {
    let since = GoTime(it.status_since);
    it.fingerprint
        .drivers
        .iter()
        .map(|(name, state)| (name.clone(), DriverInfo::of(state, since)))
        .collect()
}

fn volumes_of(it: &model::Node) -> BTreeMap<String, HostVolumeInfo> {
    it.fingerprint
        .host_volumes
        .iter()
        .map(|(name, volume)| (name.clone(), HostVolumeInfo::of(name, volume)))
        .collect()
}

/// A driver of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DriverInfo {
    /// What it says about itself.
    #[serde(deserialize_with = "null_is_default")]
    pub attributes: BTreeMap<String, String>,
    /// Whether it is there.
    pub detected: bool,
    /// Whether it works.
    pub healthy: bool,
    /// Why it does or does not.
    pub health_description: String,
    /// When this was found out.
    pub update_time: GoTime,
}

impl DriverInfo {
    fn of(it: &model::DriverState, update_time: GoTime) -> Self {
        Self {
            attributes: it.attributes.clone(),
            detected: it.detected,
            healthy: it.healthy,
            health_description: it.description.clone(),
            update_time,
        }
    }
}

/// Something that happened to a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeEvent {
    /// What people read.
    pub message: String,
    /// `Cluster`, `Drain`, `Driver: NAME`, …
    pub subsystem: String,
    /// More of it, by name.
    #[serde(with = "nullable")]
    pub details: BTreeMap<String, String>,
    /// When.
    pub timestamp: GoTime,
    /// Index of the change that recorded it.
    pub create_index: u64,
}

impl From<&model::NodeEvent> for NodeEvent {
    fn from(it: &model::NodeEvent) -> Self {
        Self {
            message: it.message.clone(),
            subsystem: it.subsystem.clone(),
            details: it.details.clone(),
            timestamp: it.time.into(),
            create_index: it.create_index,
        }
    }
}
