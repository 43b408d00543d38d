//! Networks and ports that groups (and, in older files, tasks) ask for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A network that a group asks for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Network {
    /// `host`, `bridge`, `none` or `cni/NAME`; empty means `host`.
    pub mode: String,
    /// Legacy.
    pub device: String,
    /// Legacy.
    #[serde(rename = "CIDR")]
    pub cidr: String,
    /// Legacy.
    #[serde(rename = "IP")]
    pub ip: String,
    /// Name resolution inside the network.
    #[serde(rename = "DNS")]
    pub dns: Option<Dns>,
    /// Ports whose number the job fixes.
    pub reserved_ports: Option<Vec<Port>>,
    /// Ports whose number the scheduler chooses.
    pub dynamic_ports: Option<Vec<Port>>,
    /// Host name inside the network.
    pub hostname: String,
    /// Legacy bandwidth, without effect.
    #[serde(rename = "MBits")]
    pub mbits: Option<i64>,
    /// Arguments for a CNI plugin.
    #[serde(rename = "CNI")]
    pub cni: Option<Cni>,
}

impl Network {
    /// Ports whose number the job fixes.
    pub fn reserved_ports(&self) -> &[Port] {
        self.reserved_ports.as_deref().unwrap_or_default()
    }

    /// Ports whose number the scheduler chooses.
    pub fn dynamic_ports(&self) -> &[Port] {
        self.dynamic_ports.as_deref().unwrap_or_default()
    }

    /// The mode, `host` unless given.
    pub fn mode(&self) -> &str {
        if self.mode.is_empty() { "host" } else { &self.mode }
    }
}

/// A port that a group asks for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Port {
    /// What tasks and services call it.
    pub label: String,
    /// Its number on the node; 0 lets the scheduler choose.
    pub value: i64,
    /// Its number inside the task's network; 0 is the same number, -1 as well.
    pub to: i64,
    /// The host network it is on; empty means `default`.
    pub host_network: String,
    /// Whether several tasks may share it.
    pub ignore_collision: bool,
}

/// Name resolution inside a network.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Dns {
    /// Name servers.
    pub servers: Option<Vec<String>>,
    /// Search domains.
    pub searches: Option<Vec<String>>,
    /// Resolver options.
    pub options: Option<Vec<String>>,
}

/// Arguments for a CNI plugin.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Cni {
    /// Key and value as the plugin wants them.
    pub args: Option<BTreeMap<String, String>>,
}
