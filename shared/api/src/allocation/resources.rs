//! What allocations take of their nodes, in Nomad's present form and in its legacy one.

use std::collections::BTreeMap;

use holdfast_shared::model;
use serde::{Deserialize, Serialize};

use crate::format::{is_default, null_is_default, nullable};

/// What an allocation takes of its node.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AllocatedResources {
    /// What its tasks take, by name.
    #[serde(deserialize_with = "null_is_default")]
    pub tasks: BTreeMap<String, AllocatedTask>,
    /// When its tasks run: `null` for the main ones.
    #[serde(deserialize_with = "null_is_default")]
    pub task_lifecycles: BTreeMap<String, Option<model::Lifecycle>>,
    /// What its tasks share.
    pub shared: AllocatedShared,
}

impl AllocatedResources {
    /// What `it` takes; its job says when each task runs.
    pub fn of(it: &model::Allocation, job: Option<&model::Job>) -> Self {
        let group = job.and_then(|job| job.group(&it.group));
        let lifecycle = |name: &str| {
            group
                .and_then(|group| group.task(name))
                .and_then(|task| task.lifecycle.clone())
        };
        let task = |(name, sizes): (&str, &(u64, u64, u64))| (name.to_owned(), AllocatedTask::of(*sizes));
        Self {
            tasks: it.resources.tasks.iter().map(task).collect(),
            task_lifecycles: it
                .resources
                .tasks
                .keys()
                .map(|name| (name.to_owned(), lifecycle(name)))
                .collect(),
            shared: AllocatedShared {
                disk_mb: it.resources.disk_mb,
                networks: NetworkResource::of(it),
                ports: it.ports.iter().map(Into::into).collect(),
            },
        }
    }
}

/// What a task takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AllocatedTask {
    /// Processor time.
    pub cpu: AllocatedCpu,
    /// Memory.
    pub memory: AllocatedMemory,
    /// Always `null`: networks belong to groups.
    #[serde(with = "nullable")]
    pub networks: Vec<NetworkResource>,
    /// Devices.
    #[serde(with = "nullable")]
    pub devices: Vec<serde_json::Value>,
}

impl AllocatedTask {
    fn of((cpu_shares, memory_mb, memory_max): (u64, u64, u64)) -> Self {
        let memory_max_mb = if memory_max == memory_mb { 0 } else { memory_max };
        Self {
            cpu: AllocatedCpu {
                cpu_shares,
                reserved_cores: Vec::new(),
            },
            memory: AllocatedMemory {
                memory_mb,
                memory_max_mb,
            },
            ..Self::default()
        }
    }
}

/// Processor time of a task.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AllocatedCpu {
    /// Megahertz.
    pub cpu_shares: u64,
    /// Whole cores of its own.
    #[serde(with = "nullable")]
    pub reserved_cores: Vec<u16>,
}

/// Memory of a task.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AllocatedMemory {
    /// Megabytes that are reserved.
    #[serde(rename = "MemoryMB")]
    pub memory_mb: u64,
    /// Megabytes it may use while there are some to spare; 0 when there is no such wish.
    #[serde(rename = "MemoryMaxMB")]
    pub memory_max_mb: u64,
}

/// What the tasks of an allocation share.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AllocatedShared {
    /// Megabytes of the shared disk.
    #[serde(rename = "DiskMB")]
    pub disk_mb: u64,
    /// The group's network.
    #[serde(with = "nullable")]
    pub networks: Vec<NetworkResource>,
    /// The ports that were assigned.
    #[serde(with = "nullable")]
    pub ports: Vec<AllocatedPort>,
}

/// A port that was assigned to an allocation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AllocatedPort {
    /// What tasks and services call it.
    pub label: String,
    /// Its number on the node.
    pub value: u16,
    /// Its number inside the task's network; 0 is the same number.
    #[serde(skip_serializing_if = "is_default")]
    pub to: i64,
    /// The address it is published on.
    #[serde(rename = "HostIP")]
    pub host_ip: String,
}

impl From<&model::AssignedPort> for AllocatedPort {
    fn from(it: &model::AssignedPort) -> Self {
        Self {
            label: it.label.clone(),
            value: it.value,
            to: it.to.into(),
            host_ip: it.host_ip.clone(),
        }
    }
}

/// A network with its ports.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NetworkResource {
    /// The address that ports are published on.
    #[serde(rename = "IP", skip_serializing_if = "is_default")]
    pub ip: String,
    /// Ports whose number the job fixed.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub reserved_ports: Vec<NetworkPort>,
    /// Ports whose number the scheduler chose.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
    pub dynamic_ports: Vec<NetworkPort>,
}

impl NetworkResource {
    fn of(it: &model::Allocation) -> Vec<Self> {
        if it.ports.is_empty() {
            return Vec::new();
        }
        let ports = |dynamic: bool| {
            let port = |port: &model::AssignedPort| (port.dynamic == dynamic).then(|| port.into());
            it.ports.iter().filter_map(port).collect()
        };
        vec![Self {
            ip: it.ports[0].host_ip.clone(),
            reserved_ports: ports(false),
            dynamic_ports: ports(true),
        }]
    }
}

/// A port of a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NetworkPort {
    /// What tasks and services call it.
    pub label: String,
    /// Its number on the node.
    #[serde(skip_serializing_if = "is_default")]
    pub value: u16,
    /// Its number inside the task's network.
    #[serde(skip_serializing_if = "is_default")]
    pub to: i64,
    /// The host network it is on.
    pub host_network: String,
}

impl From<&model::AssignedPort> for NetworkPort {
    fn from(it: &model::AssignedPort) -> Self {
        let network = if it.host_network.is_empty() {
            "default"
        } else {
            &it.host_network
        };
        Self {
            label: it.label.clone(),
            value: it.value,
            to: it.to.into(),
            host_network: network.to_owned(),
        }
    }
}

/// Resources as Nomad wrote them at first; some programs still read them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct LegacyResources {
    /// Megahertz.
    #[serde(rename = "CPU")]
    pub cpu: u64,
    /// Whole cores.
    pub cores: u64,
    /// Megabytes of memory.
    #[serde(rename = "MemoryMB")]
    pub memory_mb: u64,
    /// Megabytes of memory at most.
    #[serde(rename = "MemoryMaxMB")]
    pub memory_max_mb: u64,
    /// Megabytes of disk.
    #[serde(rename = "DiskMB")]
    pub disk_mb: u64,
    /// Always 0.
    #[serde(rename = "IOPS")]
    pub iops: u64,
    /// Networks with their ports.
    #[serde(with = "nullable")]
    pub networks: Vec<NetworkResource>,
    /// Devices.
    #[serde(with = "nullable")]
    pub devices: Vec<serde_json::Value>,
    /// Always `null`.
    #[serde(rename = "NUMA")]
    pub numa: Option<serde_json::Value>,
    /// Megabytes of the secrets directory.
    #[serde(rename = "SecretsMB")]
    pub secrets_mb: u64,
}

impl LegacyResources {
    pub(super) fn total(it: &model::Allocation) -> Self {
        Self {
            cpu: it.resources.cpu_mhz(),
            memory_mb: it.resources.memory_mb(),
            memory_max_mb: it
                .resources
                .tasks
                .values()
                .map(|(_, memory, max)| memory.max(max))
                .sum(),
            ..Self::shared(it)
        }
    }

    pub(super) fn shared(it: &model::Allocation) -> Self {
        Self {
            disk_mb: it.resources.disk_mb,
            networks: NetworkResource::of(it),
            ..Self::default()
        }
    }

    pub(super) fn asked_by(task: &model::Task) -> Self {
        let resources = task.resources();
        Self {
            cpu: resources.cpu_mhz(),
            memory_mb: resources.memory_mb(),
            memory_max_mb: resources.memory_max_mb(),
            ..Self::default()
        }
    }

    pub(super) fn of_tasks(it: &model::Allocation) -> BTreeMap<String, Self> {
        let task = |(name, sizes): (&str, &(u64, u64, u64))| {
            let AllocatedTask { cpu, memory, .. } = AllocatedTask::of(*sizes);
            let view = Self {
                cpu: cpu.cpu_shares,
                memory_mb: memory.memory_mb,
                memory_max_mb: memory.memory_max_mb,
                ..Self::default()
            };
            (name.to_owned(), view)
        };
        it.resources.tasks.iter().map(task).collect()
    }
}
