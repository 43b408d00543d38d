//! What a driver is told about a task: plain values, already interpolated, with host paths resolved.
//!
//! Owns the vocabulary between the agent and its drivers. It does not know jobs, generations or statuses.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::StartError;
use crate::signal::Signal;

/// One task of one allocation on this node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskId {
    /// The allocation's uuid, as text.
    pub alloc: String,
    /// The task's name within its group.
    pub task: String,
}

impl fmt::Display for TaskId {
    /// `<task>-<alloc>`: the name Nomad gives a task's container.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.task, self.alloc)
    }
}

/// Everything a driver needs to start a task. The directories exist: the agent makes them.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskSpec {
    /// Which task of which allocation.
    pub id: TaskId,
    /// The job's id.
    pub job: String,
    /// The task group's name.
    pub group: String,
    /// The driver as the job names it (`docker`, `podman`, `raw_exec`).
    pub driver: String,
    /// The task's `config` block as JSON, already interpolated.
    pub config: Map<String, Value>,
    /// The task's whole environment.
    pub env: BTreeMap<String, String>,
    /// The task's `user`, if any.
    pub user: Option<String>,
    /// What the task may use.
    pub resources: Resources,
    /// The task's own directory on the host; relative paths in `config` start here.
    pub task_dir: PathBuf,
    /// The directory that the allocation's tasks share, on the host (`/alloc` inside a container).
    pub alloc_dir: PathBuf,
    /// The task's secrets directory on the host (`/secrets` inside a container).
    pub secrets_dir: PathBuf,
    /// Where the task's log files go.
    pub log_dir: PathBuf,
    /// How much is logged.
    pub logs: LogLimits,
    /// The group's ports as the scheduler assigned them.
    pub ports: Vec<Port>,
    /// The mode of the group's network.
    pub network: NetworkMode,
    /// Mounts beyond the allocation's own directories: the group's volumes.
    pub mounts: Vec<Mount>,
    /// The task's `kill_signal`; `None` leaves it to the driver.
    pub kill_signal: Option<String>,
    /// How long the task may take to stop before it is killed.
    pub kill_timeout: Duration,
    /// Changes when a running task no longer matches its spec.
    pub spec_hash: String,
}

impl TaskSpec {
    /// The signal that stops the task; `None` leaves it to the driver.
    ///
    /// # Errors
    /// `kill_signal` names no signal.
    pub fn stop_signal(&self) -> Result<Option<Signal>, StartError> {
        let parse = |text: &String| {
            text.parse()
                .map_err(|error| StartError::permanent(format!("kill_signal: {error}")))
        };
        self.kill_signal.as_ref().map(parse).transpose()
    }
}

/// What a task may use; a zero means no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Share of the processor, MHz.
    pub cpu_mhz: u64,
    /// The node's whole processor, MHz; what `cpu_mhz` is a part of.
    pub cpu_total_mhz: u64,
    /// Cores reserved for the task alone.
    pub cores: Vec<u16>,
    /// Memory, MiB.
    pub memory_mb: u64,
    /// Memory the task may reach when the node has it to spare, MiB.
    pub memory_max_mb: u64,
}

/// Limits of a task's log files, per stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLimits {
    /// Number of files kept.
    pub max_files: u32,
    /// Size of one file, MiB.
    pub max_file_size_mb: u64,
    /// Nothing is kept.
    pub disabled: bool,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self {
            max_files: 10,
            max_file_size_mb: 10,
            disabled: false,
        }
    }
}

/// A port of the group on this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// The port's label in the job.
    pub label: String,
    /// Host address to bind; `None` binds every address.
    pub host_ip: Option<IpAddr>,
    /// Port on the host.
    pub host_port: u16,
    /// Port inside the task's network; 0 means the host's port.
    pub to: u16,
}

/// The `mode` of a group's network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NetworkMode {
    /// The node's own network.
    #[default]
    Host,
    /// A private network of the group's, with published ports.
    Bridge,
    /// No network.
    None,
    /// A named CNI network (`cni/NAME`).
    Cni(String),
}

/// A host directory or file that a task sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Path on the host.
    pub source: PathBuf,
    /// Path inside the task.
    pub target: PathBuf,
    /// The task may not write.
    pub read_only: bool,
}
