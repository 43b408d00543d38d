//! The group: tasks that are placed together on one node.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::constraint::{Affinity, Constraint, Spread};
use super::job::JobType;
use super::network::Network;
use super::policy::{
    Disconnect, DisconnectPolicy, Migrate, Reschedule, ReschedulePolicy, Restart, RestartPolicy, Update,
    UpdatePolicy,
};
use super::service::Service;
use super::task::{LifecycleHook, Task};
use crate::time::Duration;

/// Tasks that are placed together on one node.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskGroup {
    /// The group's name, unique in its job.
    pub name: Option<String>,
    /// How many allocations; 1 unless given. Negative in a job that was not validated.
    pub count: Option<i64>,
    /// What every node must satisfy.
    pub constraints: Option<Vec<Constraint>>,
    /// What nodes should rather satisfy.
    pub affinities: Option<Vec<Affinity>>,
    /// The tasks, at least one.
    pub tasks: Option<Vec<Task>>,
    /// Over which property to spread allocations.
    pub spreads: Option<Vec<Spread>>,
    /// Volumes that tasks may mount, by name.
    pub volumes: Option<BTreeMap<String, Volume>>,
    /// What happens after a task's end.
    pub restart_policy: Option<Restart>,
    /// What happens when a node is out of contact.
    pub disconnect: Option<Disconnect>,
    /// When a failed allocation is placed anew.
    pub reschedule_policy: Option<Reschedule>,
    /// The shared disk of an allocation.
    pub ephemeral_disk: Option<EphemeralDisk>,
    /// How a change is rolled out.
    pub update: Option<Update>,
    /// How allocations move off a draining node.
    pub migrate: Option<Migrate>,
    /// The network that the tasks share.
    pub networks: Option<Vec<Network>>,
    /// Free text for people and templates.
    pub meta: Option<BTreeMap<String, String>>,
    /// Services of the group as a whole.
    pub services: Option<Vec<Service>>,
    /// Pause between deregistration and stop.
    pub shutdown_delay: Option<Duration>,
    /// Legacy form of `disconnect { stop_on_client_after }`.
    pub stop_after_client_disconnect: Option<Duration>,
    /// Legacy form of `disconnect { lost_after }`.
    pub max_client_disconnect: Option<Duration>,
    /// How long an allocation may run.
    pub max_run_duration: Option<Duration>,
    /// Bounds for an autoscaler.
    pub scaling: Option<Scaling>,
    /// Consul settings, accepted and mapped to the built-in provider.
    pub consul: Option<Value>,
    /// Legacy form of `disconnect { replace = false }`.
    pub prevent_reschedule_on_lost: Option<bool>,
}

impl TaskGroup {
    /// The group's name, empty when missing.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// How many allocations, never less than none.
    pub fn count(&self) -> usize {
        usize::try_from(self.count.unwrap_or(1)).unwrap_or(0)
    }

    /// The tasks.
    pub fn tasks(&self) -> &[Task] {
        self.tasks.as_deref().unwrap_or_default()
    }

    /// The task called `name`.
    pub fn task(&self, name: &str) -> Option<&Task> {
        self.tasks().iter().find(|task| task.name == name)
    }

    /// Services of the group as a whole.
    pub fn services(&self) -> &[Service] {
        self.services.as_deref().unwrap_or_default()
    }

    /// The group's networks; at most one counts.
    pub fn networks(&self) -> &[Network] {
        self.networks.as_deref().unwrap_or_default()
    }

    /// Megabytes of the allocation's shared disk.
    pub fn disk_mb(&self) -> u64 {
        let size = self
            .ephemeral_disk
            .as_ref()
            .and_then(|disk| disk.size_mb)
            .unwrap_or(300);
        u64::try_from(size).unwrap_or(0)
    }

    /// What happens when a node is out of contact. The older fields count when there is no `disconnect` block; a group
    /// that uses them gets its replacement at once, as the edge-services document shows (ARCHITECTURE 5.2).
    pub fn disconnect_policy(&self) -> DisconnectPolicy {
        if let Some(block) = &self.disconnect {
            return block.policy();
        }
        let lost_after = self.max_client_disconnect;
        DisconnectPolicy {
            lost_after: lost_after.unwrap_or(Duration::ZERO),
            stop_on_client_after: self.stop_after_client_disconnect,
            replace: !self.prevent_reschedule_on_lost.unwrap_or(false),
            replace_after: lost_after.map(|_| Duration::ZERO),
            ..DisconnectPolicy::default()
        }
    }

    /// When a failed allocation is placed anew; `None` when never.
    pub fn reschedule_policy(&self, kind: JobType) -> Option<ReschedulePolicy> {
        if kind.is_system() {
            return None;
        }
        self.reschedule_policy
            .clone()
            .or_else(|| Reschedule::defaults(kind))
            .map(|block| block.policy())
    }

    /// How a change is rolled out; `None` when all at once, without a deployment.
    pub fn update_policy(&self, kind: JobType) -> Option<UpdatePolicy> {
        if kind.is_batch() {
            return None;
        }
        let policy = self.update.as_ref()?.policy();
        (policy.max_parallel > 0).then_some(policy)
    }

    /// What happens after the end of `task`.
    pub fn restart_policy(&self, task: &Task, kind: JobType) -> RestartPolicy {
        let group = self.restart_policy.clone().unwrap_or_default();
        task.restart_policy
            .clone()
            .unwrap_or_default()
            .merged_over(&group)
            .policy(kind)
    }

    /// The longest time that any task of the group may take to end.
    pub fn longest_kill_timeout(&self) -> Duration {
        self.tasks()
            .iter()
            .map(Task::kill_timeout)
            .max()
            .unwrap_or(Duration::ZERO)
    }

    /// The tasks that are the group's purpose: neither before, beside nor after the others.
    pub fn main_tasks(&self) -> impl Iterator<Item = &Task> {
        self.tasks()
            .iter()
            .filter(|task| task.hook() == LifecycleHook::Main)
    }
}

/// The shared disk of an allocation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EphemeralDisk {
    /// Whether a replacement should go to the same node.
    pub sticky: Option<bool>,
    /// Whether the data move along to another node.
    pub migrate: Option<bool>,
    /// Megabytes; 300 unless given.
    #[serde(rename = "SizeMB")]
    pub size_mb: Option<i64>,
}

/// A volume that tasks may mount.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Volume {
    /// Its name in the group.
    pub name: String,
    /// `host` or `csi`.
    #[serde(rename = "Type")]
    pub kind: String,
    /// What the node calls it.
    pub source: String,
    /// Whether nothing may be written.
    pub read_only: bool,
    /// Whether a replacement must get the same volume.
    pub sticky: bool,
    /// CSI access mode.
    pub access_mode: String,
    /// CSI attachment mode.
    pub attachment_mode: String,
    /// CSI mount options.
    pub mount_options: Option<Value>,
    /// Whether each allocation has a volume of its own.
    pub per_alloc: bool,
}

/// Bounds for an autoscaler.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Scaling {
    /// Set by the coordinator.
    #[serde(rename = "ID")]
    pub id: String,
    /// Set by the coordinator.
    pub namespace: String,
    /// `horizontal`, or `vertical_cpu` and `vertical_mem` on tasks.
    #[serde(rename = "Type")]
    pub kind: String,
    /// What is scaled.
    pub target: Option<BTreeMap<String, String>>,
    /// The least count.
    pub min: Option<i64>,
    /// The greatest count.
    pub max: Option<i64>,
    /// For the autoscaler.
    pub policy: Option<BTreeMap<String, Value>>,
    /// Whether the autoscaler may act.
    pub enabled: Option<bool>,
    /// Index of creation.
    pub create_index: u64,
    /// Index of the last change.
    pub modify_index: u64,
}
