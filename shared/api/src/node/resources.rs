//! What nodes have to give, and the networks and volumes they offer.

use holdfast_shared::model;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::format::{null_is_default, nullable};

/// What a node has to give.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeResources {
    /// Processor time.
    pub cpu: NodeCpu,
    /// Memory.
    pub memory: NodeMemory,
    /// Disk.
    pub disk: NodeDisk,
    /// Addresses that ports are published on.
    #[serde(deserialize_with = "null_is_default")]
    pub networks: Vec<NodeNetworkResource>,
    /// The same by interface.
    #[serde(deserialize_with = "null_is_default")]
    pub node_networks: Vec<NodeNetwork>,
    /// Devices.
    #[serde(with = "nullable")]
    pub devices: Vec<Value>,
    /// First dynamic port.
    pub min_dynamic_port: u16,
    /// Last dynamic port.
    pub max_dynamic_port: u16,
    /// The processor's topology, as Nomad writes it.
    pub processors: Value,
}

impl NodeResources {
    pub(super) fn of(it: &model::Node) -> Self {
        let resources = &it.fingerprint.resources;
        let (min_dynamic_port, max_dynamic_port) = resources.dynamic_ports();
        let networks = &it.fingerprint.host_networks;
        Self {
            cpu: NodeCpu {
                cpu_shares: resources.cpu_mhz,
                total_cpu_cores: resources.cores,
                reservable_cpu_cores: (0..resources.cores).collect(),
            },
            memory: NodeMemory {
                memory_mb: resources.memory_mb,
            },
            disk: NodeDisk {
                disk_mb: resources.disk_mb,
            },
            networks: networks.values().map(NodeNetworkResource::of).collect(),
            node_networks: networks
                .iter()
                .map(|(name, network)| NodeNetwork::of(name, network))
                .collect(),
            devices: Vec::new(),
            min_dynamic_port,
            max_dynamic_port,
            processors: topology(resources),
        }
    }
}

/// One socket with equal cores: all that an agent tells.
fn topology(resources: &model::NodeResources) -> Value {
    let speed = resources.cpu_mhz.checked_div(resources.cores.into()).unwrap_or(0);
    let core = |id: u32| {
        json!({
            "SocketID": 0, "NodeID": 0, "ID": id, "Grade": true, "Disable": false,
            "BaseSpeed": speed, "MaxSpeed": 0, "GuessSpeed": 0,
        })
    };
    let cores: Vec<Value> = (0..resources.cores).map(core).collect();
    json!({ "Topology": {
        "Nodes": [0], "Distances": null, "Cores": cores,
        "OverrideTotalCompute": 0, "OverrideWitholdCompute": 0,
    } })
}

/// Processor time of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeCpu {
    /// Megahertz over all cores.
    pub cpu_shares: u64,
    /// Number of cores.
    pub total_cpu_cores: u32,
    /// Cores that tasks may have for themselves.
    #[serde(deserialize_with = "null_is_default")]
    pub reservable_cpu_cores: Vec<u32>,
}

/// Memory of a node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeMemory {
    /// Megabytes.
    #[serde(rename = "MemoryMB")]
    pub memory_mb: u64,
}

/// Disk of a node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeDisk {
    /// Megabytes.
    #[serde(rename = "DiskMB")]
    pub disk_mb: u64,
}

/// An address that ports are published on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeNetworkResource {
    /// Always `host`.
    pub mode: String,
    /// The interface.
    pub device: String,
    /// The address with its prefix length.
    #[serde(rename = "CIDR")]
    pub cidr: String,
    /// The address.
    #[serde(rename = "IP")]
    pub ip: String,
    /// Always 1000: bandwidth has no effect.
    #[serde(rename = "MBits")]
    pub mbits: u64,
}

impl NodeNetworkResource {
    fn of(it: &model::HostNetwork) -> Self {
        let bits = if it.address.contains(':') { 128 } else { 32 };
        Self {
            mode: "host".to_owned(),
            device: it.interface.clone(),
            cidr: format!("{}/{bits}", it.address),
            ip: it.address.clone(),
            mbits: 1000,
        }
    }
}

/// An interface with its addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeNetwork {
    /// Always `host`.
    pub mode: String,
    /// The interface.
    pub device: String,
    /// Always empty: agents do not tell it.
    pub mac_address: String,
    /// Always 1000: bandwidth has no effect.
    pub speed: u64,
    /// Its addresses.
    #[serde(deserialize_with = "null_is_default")]
    pub addresses: Vec<NodeNetworkAddress>,
}

impl NodeNetwork {
    fn of(name: &str, it: &model::HostNetwork) -> Self {
        let address = NodeNetworkAddress {
            family: if it.address.contains(':') { "ipv6" } else { "ipv4" }.to_owned(),
            alias: name.to_owned(),
            address: it.address.clone(),
            ..NodeNetworkAddress::default()
        };
        Self {
            mode: "host".to_owned(),
            device: it.interface.clone(),
            mac_address: String::new(),
            speed: 1000,
            addresses: vec![address],
        }
    }
}

/// An address of an interface.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeNetworkAddress {
    /// `ipv4` or `ipv6`.
    pub family: String,
    /// Name of the host network.
    pub alias: String,
    /// The address.
    pub address: String,
    /// Always empty.
    pub reserved_ports: String,
    /// Always empty.
    pub gateway: String,
}

/// What of a node is kept for the box itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ReservedResources {
    /// Processor time.
    pub cpu: ReservedCpu,
    /// Memory.
    pub memory: NodeMemory,
    /// Disk.
    pub disk: NodeDisk,
    /// Ports.
    pub networks: ReservedNetworks,
}

impl ReservedResources {
    pub(super) fn of(it: &model::Node) -> Self {
        let resources = &it.fingerprint.resources;
        let ports: Vec<String> = resources.reserved_ports.iter().map(ToString::to_string).collect();
        Self {
            cpu: ReservedCpu {
                cpu_shares: resources.reserved_cpu_mhz,
                reserved_cpu_cores: Vec::new(),
            },
            memory: NodeMemory {
                memory_mb: resources.reserved_memory_mb,
            },
            disk: NodeDisk {
                disk_mb: resources.reserved_disk_mb,
            },
            networks: ReservedNetworks {
                reserved_host_ports: ports.join(","),
            },
        }
    }
}

/// Processor time that is kept for the box itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ReservedCpu {
    /// Megahertz.
    pub cpu_shares: u64,
    /// Whole cores.
    #[serde(with = "nullable")]
    pub reserved_cpu_cores: Vec<u16>,
}

/// Ports that are kept for the box itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ReservedNetworks {
    /// Numbers, separated by commas.
    pub reserved_host_ports: String,
}

/// A directory that jobs may mount by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HostVolumeInfo {
    /// Its name.
    pub name: String,
    /// Where it lies.
    pub path: String,
    /// Whether nothing may be written.
    pub read_only: bool,
    /// Always empty: it is configured, not created.
    #[serde(rename = "ID")]
    pub id: String,
}

impl HostVolumeInfo {
    pub(super) fn of(name: &str, it: &model::HostVolume) -> Self {
        Self {
            name: name.to_owned(),
            path: it.path.clone(),
            read_only: it.read_only,
            id: String::new(),
        }
    }
}

/// A named network of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HostNetworkInfo {
    /// Its name.
    pub name: String,
    /// The address jobs publish ports on.
    #[serde(rename = "CIDR")]
    pub cidr: String,
    /// The interface it belongs to.
    pub interface: String,
    /// Always empty.
    pub reserved_ports: String,
}

impl HostNetworkInfo {
    pub(super) fn of(name: &str, it: &model::HostNetwork) -> Self {
        Self {
            name: name.to_owned(),
            cidr: it.address.clone(),
            interface: it.interface.clone(),
            reserved_ports: String::new(),
        }
    }
}
