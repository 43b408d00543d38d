//! The node: one box that runs the agent, as the coordinator knows it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::NodeId;
use crate::time::{Duration, Timestamp};
use crate::transitions;

/// Whether a node is in contact. See `scheduling-semantics.md` 1.2 and 1.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeStatus {
    /// It is back, and has not yet reported its allocations.
    Initializing,
    /// It is in contact and takes allocations.
    Ready,
    /// It is out of contact, and at least one of its allocations may outlive that.
    Disconnected,
    /// It is out of contact, and nothing on it counts any more.
    Down,
}

transitions!(NodeStatus {
    /// Its heartbeat is missing, and something on it may outlive that.
    on_disconnect(Ready | Initializing => Disconnected);
    /// Its heartbeat is missing, and nothing on it counts any more.
    on_down(Ready | Initializing | Disconnected => Down);
    /// It is heard again after a disconnect.
    on_return(Disconnected => Initializing);
    /// It has reported its allocations, or has none.
    on_ready(Initializing | Down => Ready);
});

impl NodeStatus {
    /// The word people read.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Initializing => "initializing",
            Self::Ready => "ready",
            Self::Disconnected => "disconnected",
            Self::Down => "down",
        }
    }
}

impl fmt::Display for NodeStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether a node may receive allocations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Eligibility {
    /// It may.
    #[default]
    Eligible,
    /// It may not.
    Ineligible,
}

/// How a node is emptied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainStrategy {
    /// How long it may take, as it was asked for: negative is no time at all, zero is for ever.
    pub deadline: Duration,
    /// Whether allocations of system jobs stay.
    pub ignore_system_jobs: bool,
    /// When it began; asking again does not change that.
    pub started_at: Timestamp,
    /// When everything that is left is ended; zero is never.
    pub force_deadline: Timestamp,
}

/// How a drain went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DrainStatus {
    /// It goes on.
    Draining,
    /// The node is empty.
    Complete,
    /// An operator called it off.
    Canceled,
}

impl DrainStatus {
    /// The word people read.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draining => "draining",
            Self::Complete => "complete",
            Self::Canceled => "canceled",
        }
    }
}

/// The record of a node's newest drain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastDrain {
    /// When it began.
    pub started_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// How it went.
    pub status: DrainStatus,
    /// What the operator noted; `message` is the reason.
    pub meta: BTreeMap<String, String>,
}

/// What the agent found out about its box; sent whole with every registration, as JSON.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Fingerprint {
    /// The node's name, its host name unless configured.
    pub name: String,
    /// The datacenter it says it is in.
    pub datacenter: String,
    /// The node pool it says it is in.
    pub node_pool: String,
    /// The operator's class of nodes.
    pub node_class: String,
    /// Detected properties, like `kernel.name`; keys without the `attr.` prefix.
    pub attributes: BTreeMap<String, String>,
    /// Properties that jobs may ask for: the configured ones, as operators changed them since.
    pub meta: BTreeMap<String, String>,
    /// What operators changed of them; `None` for nothing, as on nearly every node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed_meta: Option<Box<ChangedMeta>>,
    /// What it has to give.
    pub resources: NodeResources,
    /// Its drivers, by name.
    pub drivers: Drivers,
    /// Its volumes, by name.
    pub host_volumes: BTreeMap<String, HostVolume>,
    /// Its named networks, by name; `default` is the address other nodes reach it at.
    pub host_networks: BTreeMap<String, HostNetwork>,
    /// Its devices that jobs may ask for.
    pub devices: Vec<NodeDevice>,
    /// Version of the agent.
    pub version: String,
    /// How long the agent may be silent before it counts as gone: its MQTT keep-alive.
    pub keep_alive: Duration,
}

/// What operators set in a node's meta while it runs, by key; `None` takes a configured key away.
pub type MetaChanges = BTreeMap<String, Option<String>>;

/// How a node's meta differs from what is configured.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChangedMeta {
    /// What is configured.
    pub configured: BTreeMap<String, String>,
    /// What operators made of it.
    pub changes: MetaChanges,
}

impl Fingerprint {
    /// What is configured of the node's meta.
    pub fn configured_meta(&self) -> &BTreeMap<String, String> {
        self.changed_meta
            .as_ref()
            .map_or(&self.meta, |changed| &changed.configured)
    }

    /// Lays these changes over the configured meta, instead of those that lay there before.
    pub fn change_meta(&mut self, changes: &MetaChanges) {
        let configured = self.configured_meta().clone();
        self.meta.clone_from(&configured);
        for (key, value) in changes {
            match value {
                Some(value) => self.meta.insert(key.clone(), value.clone()),
                None => self.meta.remove(key),
            };
        }
        self.changed_meta = (!changes.is_empty()).then(|| {
            Box::new(ChangedMeta {
                configured,
                changes: changes.clone(),
            })
        });
    }
}

/// Devices of one kind that a node has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeDevice {
    /// `gpu`, `usb`, `serial`, …
    pub kind: String,
    /// Who made them.
    pub vendor: String,
    /// The model.
    pub name: String,
    /// Each of them.
    pub instances: Vec<DeviceInstance>,
    /// What they have in common; quantities have units.
    pub attributes: BTreeMap<String, String>,
}

impl NodeDevice {
    /// `vendor/type/model`, as jobs and allocations name them.
    pub fn id(&self) -> String {
        format!("{}/{}/{}", self.vendor, self.kind, self.name)
    }
}

/// One device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceInstance {
    /// What it is told apart by.
    pub id: String,
    /// Whether it works.
    pub healthy: bool,
    /// Its node in `/dev`.
    pub path: String,
}

/// The drivers of a node, by name. Shared: in a fleet they are the same on nearly every node.
pub type Drivers = Arc<BTreeMap<String, DriverState>>;

/// What a node has to give.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeResources {
    /// Megahertz over all cores.
    pub cpu_mhz: u64,
    /// Number of cores.
    pub cores: u32,
    /// Megabytes of memory.
    pub memory_mb: u64,
    /// Megabytes of disk.
    pub disk_mb: u64,
    /// What of that is kept for the box itself: megahertz.
    pub reserved_cpu_mhz: u64,
    /// Kept for the box itself: megabytes of memory.
    pub reserved_memory_mb: u64,
    /// Kept for the box itself: megabytes of disk.
    pub reserved_disk_mb: u64,
    /// Ports that are never given out.
    pub reserved_ports: Vec<u16>,
    /// First dynamic port; 20000 when 0.
    pub dynamic_port_min: u16,
    /// Last dynamic port; 32000 when 0.
    pub dynamic_port_max: u16,
}

impl NodeResources {
    /// First and last dynamic port.
    pub fn dynamic_ports(&self) -> (u16, u16) {
        let or = |port, default| if port == 0 { default } else { port };
        (
            or(self.dynamic_port_min, 20_000),
            or(self.dynamic_port_max, 32_000),
        )
    }
}

/// A driver of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DriverState {
    /// Whether it is there.
    pub detected: bool,
    /// Whether it works.
    pub healthy: bool,
    /// Why it does or does not.
    pub description: String,
    /// What it says about itself, keys with the `driver.NAME` prefix.
    pub attributes: BTreeMap<String, String>,
}

/// A directory that jobs may mount by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostVolume {
    /// Where it lies.
    pub path: String,
    /// Whether nothing may be written.
    pub read_only: bool,
}

/// A named network of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostNetwork {
    /// The address jobs publish ports on.
    pub address: String,
    /// The interface it belongs to.
    pub interface: String,
}

/// Something that happened to a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeEvent {
    /// When.
    pub time: Timestamp,
    /// `Cluster`, `Drain`, `Driver: NAME`, …
    pub subsystem: String,
    /// What people read.
    pub message: String,
    /// More of it, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, String>,
    /// Index of the change that recorded it.
    pub create_index: u64,
}

/// A node, as the coordinator knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// The node.
    pub id: NodeId,
    /// What its agent found out.
    #[serde(default, skip_serializing_if = "is_blank")]
    pub fingerprint: Arc<Fingerprint>,
    /// Whether it is in contact.
    pub status: NodeStatus,
    /// Why it has its status.
    pub status_description: String,
    /// Since when it has its status.
    pub status_since: Timestamp,
    /// Whether it may receive allocations.
    pub eligibility: Eligibility,
    /// How it is being emptied; `None` when it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<Box<DrainStrategy>>,
    /// Its newest drain, the one that goes on included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_drain: Option<Box<LastDrain>>,
    /// When it was last heard.
    pub last_heard: Timestamp,
    /// The agent's session that the coordinator last accepted; older presence messages are stale.
    pub session: u64,
    /// Generation of its newest assignment set.
    pub generation: u64,
    /// Generation of the newest assignment set that was ever sent to it.
    #[serde(default)]
    pub sent_generation: u64,
    /// The last few events, oldest first.
    pub events: Vec<NodeEvent>,
    /// Index of the first registration.
    pub create_index: u64,
    /// Index of the last change.
    pub modify_index: u64,
    /// Index at which its last heartbeat was missed, 0 when never.
    pub missed_heartbeat_index: u64,
    /// Index of the last change of an allocation that it reported.
    pub alloc_update_index: u64,
}

/// Whether nothing is said of what a node is like.
fn is_blank(fingerprint: &Fingerprint) -> bool {
    *fingerprint == Fingerprint::default()
}

impl Node {
    /// Whether both are like each other: nothing that a fingerprint tells is different.
    pub fn is_like(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.fingerprint, &other.fingerprint) || self.fingerprint == other.fingerprint
    }

    /// The node's name.
    pub fn name(&self) -> &str {
        &self.fingerprint.name
    }

    /// Whether new allocations may be placed on it.
    pub fn is_schedulable(&self) -> bool {
        self.status == NodeStatus::Ready && self.eligibility == Eligibility::Eligible && self.drain.is_none()
    }

    /// The address that other nodes reach it at; empty when it has none but loopback.
    pub fn address(&self) -> &str {
        self.fingerprint
            .host_networks
            .get("default")
            .map_or("", |network| network.address.as_str())
    }
}
