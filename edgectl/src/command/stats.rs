//! What nodes and allocations use, as far as their agents tell: the shapes that only this tool reads.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::client::{ApiError, Client, Request, segment};

/// What an allocation uses.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AllocUsage {
    /// All its tasks together.
    pub resource_usage: Option<Usage>,
    /// Its tasks, by name.
    pub tasks: Option<BTreeMap<String, TaskUsage>>,
}

/// What a task uses.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskUsage {
    /// Its share.
    pub resource_usage: Option<Usage>,
}

/// Processor and memory.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Usage {
    /// Processor.
    pub cpu_stats: Option<CpuUsage>,
    /// Memory.
    pub memory_stats: Option<MemoryUsage>,
}

/// Processor time.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CpuUsage {
    /// In MHz.
    pub total_ticks: f64,
    /// Percent of one core.
    pub percent: f64,
    /// Of that, inside the kernel.
    pub system_mode: f64,
    /// Of that, outside of it.
    pub user_mode: f64,
    /// The figures that were measured, in the order in which to show them.
    pub measured: Option<Vec<String>>,
}

/// Memory in bytes.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct MemoryUsage {
    /// Resident.
    #[serde(rename = "RSS")]
    pub rss: u64,
    /// Everything, where that is known.
    pub usage: u64,
    /// Page cache.
    pub cache: u64,
    /// Swapped out.
    pub swap: u64,
    /// The most there was.
    pub max_usage: u64,
    /// The figures that were measured, in the order in which to show them.
    pub measured: Option<Vec<String>>,
}

impl MemoryUsage {
    /// What counts: the whole use, or else what is resident.
    pub const fn bytes(&self) -> u64 {
        if self.usage > 0 { self.usage } else { self.rss }
    }
}

/// What a node uses.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HostUsage {
    /// Seconds since it booted.
    pub uptime: u64,
    /// MHz in use.
    #[serde(rename = "CPUTicksConsumed")]
    pub cpu_ticks_consumed: f64,
    /// Its cores.
    #[serde(rename = "CPU")]
    pub cpu: Option<Vec<CoreUsage>>,
    /// Its memory.
    pub memory: Option<HostMemory>,
    /// The disk that allocations are on.
    pub alloc_dir_stats: Option<DiskUsage>,
    /// All its disks.
    pub disk_stats: Option<Vec<DiskUsage>>,
}

/// One core, in percent.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CoreUsage {
    /// Its name.
    #[serde(rename = "CPU")]
    pub name: String,
    /// Outside the kernel.
    pub user: f64,
    /// Inside it.
    pub system: f64,
    /// Doing nothing.
    pub idle: f64,
}

/// A node's memory in bytes.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HostMemory {
    /// All there is.
    pub total: u64,
    /// What could be had.
    pub available: u64,
    /// What is in use.
    pub used: u64,
    /// What nobody uses.
    pub free: u64,
}

/// A disk; sizes in bytes.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DiskUsage {
    /// The device.
    pub device: String,
    /// Where it is mounted.
    pub mountpoint: String,
    /// Its size.
    pub size: u64,
    /// What is in use.
    pub used: u64,
    /// What could be had.
    pub available: u64,
    /// Use in percent.
    pub used_percent: f64,
    /// Inodes in use in percent.
    pub inodes_used_percent: f64,
}

/// Asks for what an allocation uses. `None` where there is nothing to tell: its agent has not measured yet, or this
/// coordinator does not pass figures on.
///
/// # Errors
/// When the node cannot be asked.
pub fn of_allocation(client: &Client, id: &str) -> Result<Option<AllocUsage>, ApiError> {
    told(client.fetch(&Request::get(format!(
        "/v1/client/allocation/{}/stats",
        segment(id)
    ))))
}

/// Asks for what a node uses, in the same way.
///
/// # Errors
/// When the node cannot be asked.
pub fn of_node(client: &Client, id: &str) -> Result<Option<HostUsage>, ApiError> {
    told(client.fetch(&Request::get("/v1/client/stats").query("node_id", id)))
}

fn told<T: serde::de::DeserializeOwned>(
    answer: Result<crate::client::Reply, ApiError>,
) -> Result<Option<T>, ApiError> {
    match answer {
        Ok(reply) => reply.decode::<Option<T>>(),
        // A coordinator without this endpoint says nothing about the node; one that has it and lost the node does.
        Err(ApiError::Refused { status: 404, text }) if !text.contains("node") => Ok(None),
        Err(error) => Err(error),
    }
}
