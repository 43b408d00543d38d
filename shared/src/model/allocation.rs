//! The allocation: one copy of a group, bound to one node.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::by_name::ByName;
use super::packed::Packed;
use super::phrase::Phrase;
use super::placement::{NodeScore, PlacementReport};
use super::rare::Rare;
use super::seldom::Seldom;
use crate::id::{AllocId, DeploymentId, EvalId, JobKey, NodeId};
use crate::time::{Duration, Timestamp};
use crate::transitions;

/// What the coordinator wants of an allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DesiredStatus {
    /// It should run.
    Run,
    /// It should end.
    Stop,
    /// It should end to make room for a job of higher priority.
    Evict,
}

impl DesiredStatus {
    /// The word people read.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Stop => "stop",
            Self::Evict => "evict",
        }
    }
}

/// What the agent reports of an allocation, or the coordinator concludes in its absence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientStatus {
    /// It has not started yet.
    Pending,
    /// At least one task runs, and none has failed for good.
    Running,
    /// It ended well.
    Complete,
    /// It ended badly.
    Failed,
    /// Its node is gone for good.
    Lost,
    /// Its node is out of contact.
    Unknown,
}

transitions!(ClientStatus {
    /// The agent reports a running task.
    on_running(Pending | Unknown => Running);
    /// The agent reports a good end; that overrides `lost`.
    on_complete(Pending | Running | Unknown | Lost => Complete);
    /// The agent reports a bad end; that overrides `lost`.
    on_failed(Pending | Running | Unknown | Lost => Failed);
    /// The node is out of contact.
    on_disconnect(Running => Unknown);
    /// The node is gone for good.
    on_lost(Pending | Running | Unknown => Lost);
});

impl ClientStatus {
    /// The word people read.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Complete => "complete",
            Self::Failed => "failed",
            Self::Lost => "lost",
            Self::Unknown => "unknown",
        }
    }

    /// What an agent says of its tasks then, unless it knows more; nothing where only the coordinator speaks.
    pub const fn of_tasks(self) -> &'static str {
        match self {
            Self::Pending => "No tasks have started",
            Self::Running => "Tasks are running",
            Self::Complete => "All tasks have completed",
            Self::Failed => "Failed tasks",
            Self::Lost | Self::Unknown => "",
        }
    }

    /// Whether it will not run again: complete, failed or lost.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Complete | Self::Failed | Self::Lost)
    }
}

impl fmt::Display for ClientStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for DesiredStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One copy of a group, bound to one node. The job version it runs is kept beside it, once for all allocations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Allocation {
    /// The allocation.
    pub id: AllocId,
    /// `<job>.<group>[<index>]`.
    pub name: Box<str>,
    /// The job.
    pub job: JobKey,
    /// The version of the job it runs.
    pub job_version: u64,
    /// Index at which its job was first registered; a purged and registered job starts anew.
    pub job_create_index: u64,
    /// The group.
    pub group: Box<str>,
    /// The node it is bound to.
    pub node: NodeId,
    /// The evaluation that placed it.
    pub eval: EvalId,
    /// What the coordinator wants.
    pub desired: DesiredStatus,
    /// Why.
    pub desired_description: Phrase,
    /// What the operator or the drain asked for.
    pub transition: DesiredTransition,
    /// What the agent reports.
    pub client: ClientStatus,
    /// In words.
    pub client_description: Phrase,
    /// The coordinator's record of when `client` became `unknown` or `running` again, oldest first.
    pub client_history: Rare<(ClientStatus, Timestamp)>,
    /// Its tasks, by name.
    pub task_states: ByName<TaskState>,
    /// The deployment it belongs to.
    pub deployment: Option<DeploymentId>,
    /// Its health for that deployment.
    pub health: Option<AllocHealth>,
    /// Whether it is an unpromoted canary.
    pub canary: bool,
    /// The evaluation that will place its replacement later.
    pub followup_eval: Seldom<EvalId>,
    /// The allocation it replaces.
    pub previous: Seldom<AllocId>,
    /// The allocation that replaces it.
    pub next: Seldom<AllocId>,
    /// How often and why it was rescheduled, oldest first.
    pub reschedules: Rare<RescheduleEvent>,
    /// What it takes of its node.
    pub resources: Arc<TaskResources>,
    /// Ports that were assigned to it.
    pub ports: Rare<AssignedPort>,
    /// Addresses that the agent reports.
    pub network: Option<Box<AllocNetwork>>,
    /// Why it was placed where it is.
    pub report: Packed<PlacementReport>,
    /// The allocation that pushed it out.
    pub preempted_by: Seldom<AllocId>,
    /// Index of creation.
    pub create_index: u64,
    /// Index of the last change.
    pub modify_index: u64,
    /// Index of the last change by the coordinator itself.
    pub alloc_modify_index: u64,
    /// When it was placed.
    pub create_time: Timestamp,
    /// When it last changed.
    pub modify_time: Timestamp,
}

impl Allocation {
    /// Whether the coordinator wants it to end.
    pub fn is_server_terminal(&self) -> bool {
        self.desired != DesiredStatus::Run
    }

    /// Whether it is over, for the coordinator or for the agent.
    pub fn is_terminal(&self) -> bool {
        self.is_server_terminal() || self.client.is_terminal()
    }

    /// The index in its name, if the name has one.
    pub fn index(&self) -> Option<usize> {
        let open = self.name.rfind('[')?;
        self.name.get(open + 1..self.name.len() - 1)?.parse().ok()
    }

    /// When it was last declared `unknown`, and whether nothing was recorded since.
    pub fn last_unknown(&self) -> Option<(Timestamp, bool)> {
        let at = self
            .client_history
            .iter()
            .rposition(|(status, _)| *status == ClientStatus::Unknown)?;
        Some((self.client_history[at].1, at + 1 == self.client_history.len()))
    }

    /// The best normalized score recorded when it was placed: the node's rank for this allocation.
    pub fn node_rank(&self) -> Option<f64> {
        self.report.open().scores.first().map(NodeScore::norm_score)
    }
}

/// What an operator or a drain asked of an allocation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DesiredTransition {
    /// Move it to another node.
    pub migrate: bool,
    /// It may be rescheduled although its deployment is active.
    pub reschedule: bool,
    /// Reschedule it whatever its policy says.
    pub force_reschedule: bool,
    /// Skip the shutdown delay.
    pub no_shutdown_delay: bool,
    /// End it without a replacement: a drained batch allocation.
    pub migrate_without_placement: bool,
}

/// Health of an allocation for its deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllocHealth {
    /// Whether it is well.
    pub healthy: bool,
    /// Since when.
    pub time: Timestamp,
    /// Index of the change that recorded it.
    pub modify_index: u64,
}

/// One rescheduling.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RescheduleEvent {
    /// When the replacement was placed.
    pub time: Timestamp,
    /// The allocation that was replaced.
    pub previous_alloc: AllocId,
    /// Its node.
    pub previous_node: NodeId,
    /// The delay before the replacement.
    pub delay: Duration,
}

/// What the tasks of an allocation take of their node. Shared by all allocations of a group that take the same.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskResources {
    /// Megahertz, memory and memory at most (both MB) of each task, by name.
    pub tasks: ByName<(u64, u64, u64)>,
    /// Megabytes of the shared disk.
    pub disk_mb: u64,
    /// Devices that were assigned, by task.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<AssignedDevice>,
}

/// Devices of one group of a node's devices that were assigned to a task.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssignedDevice {
    /// The task.
    pub task: String,
    /// `vendor/type/model` of the devices.
    pub name: String,
    /// Which of them.
    pub ids: Vec<String>,
}

impl TaskResources {
    /// Megahertz over all tasks.
    pub fn cpu_mhz(&self) -> u64 {
        self.tasks.values().map(|(cpu, _, _)| cpu).sum()
    }

    /// Megabytes of memory over all tasks.
    pub fn memory_mb(&self) -> u64 {
        self.tasks.values().map(|(_, memory, _)| memory).sum()
    }
}

/// A port that was assigned to an allocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssignedPort {
    /// What tasks and services call it.
    pub label: String,
    /// Its number on the node.
    pub value: u16,
    /// Its number inside the task's network; 0 is the same number.
    pub to: u16,
    /// The address it is published on.
    pub host_ip: String,
    /// The host network it is on.
    pub host_network: String,
    /// Whether the scheduler chose the number.
    pub dynamic: bool,
}

/// Addresses that an agent reports for an allocation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllocNetwork {
    /// The interface.
    pub interface: String,
    /// The address inside the allocation's network.
    pub address: String,
}

/// Whether a task runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskRunState {
    /// It has not started yet, or waits to start again.
    #[default]
    Pending,
    /// It runs.
    Running,
    /// It will not start again.
    Dead,
}

impl TaskRunState {
    /// The word people read.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Dead => "dead",
        }
    }
}

/// State of one task. Times are by the node's clock and so only advisory; zero is never.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskState {
    /// Whether it runs.
    pub state: TaskRunState,
    /// Whether it ended badly.
    pub failed: bool,
    /// How often it was restarted.
    pub restarts: u64,
    /// When it was last restarted.
    pub last_restart: Timestamp,
    /// When it started for the first time in this allocation.
    pub started_at: Timestamp,
    /// When it ended for good.
    pub finished_at: Timestamp,
    /// The last ten events, oldest first.
    pub events: Packed<Vec<TaskEvent>>,
}

/// Something that happened to a task. Kinds and texts: `operator-surface.md` section 6.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskEvent {
    /// `Received`, `Task Setup`, `Started`, `Terminated`, `Reconnected`, …
    pub kind: String,
    /// By the node's clock.
    pub time: Timestamp,
    /// What people read.
    pub message: String,
    /// Exit code of `Terminated`.
    pub exit_code: i32,
    /// Signal of `Terminated`.
    pub signal: i32,
    /// Whether this event failed the task.
    pub fails_task: bool,
    /// More of it, by name.
    pub details: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_with_its_two_counters_takes_no_more_than_384_bytes() {
        // There are tens of thousands, and allocators round up: to 448 from there.
        assert!(size_of::<Allocation>() + 2 * size_of::<usize>() <= 384);
    }
}
