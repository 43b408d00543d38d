//! Allocations: the list item, the whole, and why one was placed where it is.

mod metric;
mod resources;

use std::collections::BTreeMap;

use holdfast_shared::model;
use holdfast_shared::time::Duration;
use serde::{Deserialize, Serialize};

pub use metric::{AllocationMetric, NodeScoreMeta};
pub use resources::{
    AllocatedCpu, AllocatedMemory, AllocatedPort, AllocatedResources, AllocatedShared, AllocatedTask,
    LegacyResources, NetworkPort, NetworkResource,
};

use crate::format::{GoTime, is_default, nullable, or_empty};
use crate::task::TaskState;

/// What surrounds an allocation in its views: the records it points to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Surroundings<'a> {
    /// The version of the job it runs; `None` when it is gone.
    pub job: Option<&'a model::Job>,
    /// The node it is bound to; `None` when it is gone.
    pub node: Option<&'a model::Node>,
}

impl Surroundings<'_> {
    fn node_name(&self) -> String {
        self.node.map(|node| node.name().to_owned()).unwrap_or_default()
    }
}

/// An allocation in lists.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AllocationListStub {
    /// The allocation.
    #[serde(rename = "ID")]
    pub id: String,
    /// The evaluation that placed it.
    #[serde(rename = "EvalID")]
    pub eval_id: String,
    /// `<job>.<group>[<index>]`.
    pub name: String,
    /// The job's namespace.
    pub namespace: String,
    /// The node it is bound to.
    #[serde(rename = "NodeID")]
    pub node_id: String,
    /// That node's name.
    pub node_name: String,
    /// The job.
    #[serde(rename = "JobID")]
    pub job_id: String,
    /// The job's type.
    pub job_type: String,
    /// The version of the job it runs.
    pub job_version: u64,
    /// The group.
    pub task_group: String,
    /// What it takes of its node, when that was asked for.
    #[serde(skip_serializing_if = "is_default")]
    pub allocated_resources: Option<AllocatedResources>,
    /// `run`, `stop` or `evict`.
    pub desired_status: String,
    /// Why.
    pub desired_description: String,
    /// What the operator or a drain asked for.
    pub desired_transition: DesiredTransition,
    /// What the agent reports.
    pub client_status: String,
    /// In words.
    pub client_description: String,
    /// Its tasks, by name.
    #[serde(with = "nullable")]
    pub task_states: BTreeMap<String, TaskState>,
    /// Its health for its deployment.
    pub deployment_status: Option<AllocDeploymentStatus>,
    /// The evaluation that will place its replacement later; empty when none.
    #[serde(rename = "FollowupEvalID")]
    pub followup_eval_id: String,
    /// The allocation that replaces it; empty when none does.
    pub next_allocation: String,
    /// How often and why it was rescheduled.
    pub reschedule_tracker: Option<RescheduleTracker>,
    /// Allocations it pushed out.
    #[serde(with = "nullable")]
    pub preempted_allocations: Vec<String>,
    /// The allocation that pushed it out; empty when none did.
    pub preempted_by_allocation: String,
    /// Index of creation.
    pub create_index: u64,
    /// Index of the last change.
    pub modify_index: u64,
    /// Nanoseconds since 1970.
    pub create_time: i64,
    /// Nanoseconds since 1970.
    pub modify_time: i64,
}

impl AllocationListStub {
    /// The list item of an allocation.
    pub fn of(it: &model::Allocation, around: Surroundings<'_>) -> Self {
        Self {
            id: it.id.to_string(),
            eval_id: it.eval.to_string(),
            name: it.name.to_string(),
            namespace: it.job.namespace.to_string(),
            node_id: it.node.to_string(),
            node_name: around.node_name(),
            job_id: it.job.id.to_string(),
            job_type: around
                .job
                .map(|job| job.job_type().as_str().to_owned())
                .unwrap_or_default(),
            job_version: it.job_version,
            task_group: it.group.to_string(),
            allocated_resources: None,
            desired_status: it.desired.to_string(),
            desired_description: it.desired_description.to_string(),
            desired_transition: it.transition.into(),
            client_status: it.client.to_string(),
            client_description: it.client_description.to_string(),
            task_states: it
                .task_states
                .iter()
                .map(|(name, state)| (name.to_owned(), state.into()))
                .collect(),
            deployment_status: AllocDeploymentStatus::of(it),
            followup_eval_id: or_empty(it.followup_eval.get()),
            next_allocation: or_empty(it.next.get()),
            reschedule_tracker: RescheduleTracker::of(it),
            preempted_allocations: Vec::new(),
            preempted_by_allocation: or_empty(it.preempted_by.get()),
            create_index: it.create_index,
            modify_index: it.modify_index,
            create_time: it.create_time.0,
            modify_time: it.modify_time.0,
        }
    }
}

/// A whole allocation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Allocation {
    /// The allocation.
    #[serde(rename = "ID")]
    pub id: String,
    /// The job's namespace.
    pub namespace: String,
    /// The evaluation that placed it.
    #[serde(rename = "EvalID")]
    pub eval_id: String,
    /// `<job>.<group>[<index>]`.
    pub name: String,
    /// The node it is bound to.
    #[serde(rename = "NodeID")]
    pub node_id: String,
    /// That node's name.
    pub node_name: String,
    /// The job.
    #[serde(rename = "JobID")]
    pub job_id: String,
    /// The version of the job it runs.
    #[serde(serialize_with = "crate::job::serialize_optional")]
    pub job: Option<Box<model::Job>>,
    /// The group.
    pub task_group: String,
    /// What it takes over all tasks; legacy.
    pub resources: Option<LegacyResources>,
    /// What its group takes; legacy.
    pub shared_resources: Option<LegacyResources>,
    /// What each task takes; legacy.
    #[serde(with = "nullable")]
    pub task_resources: BTreeMap<String, LegacyResources>,
    /// What it takes of its node.
    pub allocated_resources: Option<AllocatedResources>,
    /// Why it was placed where it is.
    pub metrics: Option<AllocationMetric>,
    /// `run`, `stop` or `evict`.
    pub desired_status: String,
    /// Why.
    pub desired_description: String,
    /// What the operator or a drain asked for.
    pub desired_transition: DesiredTransition,
    /// What the agent reports.
    pub client_status: String,
    /// In words.
    pub client_description: String,
    /// Its tasks, by name.
    #[serde(with = "nullable")]
    pub task_states: BTreeMap<String, TaskState>,
    /// When it became `unknown` or `running` again.
    #[serde(with = "nullable")]
    pub alloc_states: Vec<AllocState>,
    /// The deployment it belongs to; empty when none.
    #[serde(rename = "DeploymentID")]
    pub deployment_id: String,
    /// Its health for that deployment.
    pub deployment_status: Option<AllocDeploymentStatus>,
    /// The evaluation that will place its replacement later; empty when none.
    #[serde(rename = "FollowupEvalID")]
    pub followup_eval_id: String,
    /// The allocation it replaces; empty when none.
    pub previous_allocation: String,
    /// The allocation that replaces it; empty when none does.
    pub next_allocation: String,
    /// How often and why it was rescheduled.
    pub reschedule_tracker: Option<RescheduleTracker>,
    /// Addresses that the agent reports.
    pub network_status: Option<NetworkStatus>,
    /// Allocations it pushed out.
    #[serde(with = "nullable")]
    pub preempted_allocations: Vec<String>,
    /// The allocation that pushed it out; empty when none did.
    pub preempted_by_allocation: String,
    /// Always empty: workload identities are not signed.
    #[serde(rename = "SigningKeyID")]
    pub signing_key_id: String,
    /// Index of creation.
    pub create_index: u64,
    /// Index of the last change.
    pub modify_index: u64,
    /// Index of the last change by the coordinator itself.
    pub alloc_modify_index: u64,
    /// Nanoseconds since 1970.
    pub create_time: i64,
    /// Nanoseconds since 1970.
    pub modify_time: i64,
}

impl Allocation {
    /// The whole of an allocation.
    pub fn of(it: &model::Allocation, around: Surroundings<'_>) -> Self {
        let state = |(status, time): &(model::ClientStatus, _)| AllocState::of(*status, *time);
        Self {
            id: it.id.to_string(),
            namespace: it.job.namespace.to_string(),
            eval_id: it.eval.to_string(),
            name: it.name.to_string(),
            node_id: it.node.to_string(),
            node_name: around.node_name(),
            job_id: it.job.id.to_string(),
            job: around.job.map(|job| Box::new(job.clone())),
            task_group: it.group.to_string(),
            resources: Some(LegacyResources::total(it)),
            shared_resources: Some(LegacyResources::shared(it)),
            task_resources: LegacyResources::of_tasks(it),
            allocated_resources: Some(AllocatedResources::of(it, around.job)),
            metrics: Some((&it.report.open()).into()),
            desired_status: it.desired.to_string(),
            desired_description: it.desired_description.to_string(),
            desired_transition: it.transition.into(),
            client_status: it.client.to_string(),
            client_description: it.client_description.to_string(),
            task_states: it
                .task_states
                .iter()
                .map(|(name, state)| (name.to_owned(), state.into()))
                .collect(),
            alloc_states: it.client_history.iter().map(state).collect(),
            deployment_id: or_empty(it.deployment),
            deployment_status: AllocDeploymentStatus::of(it),
            followup_eval_id: or_empty(it.followup_eval.get()),
            previous_allocation: or_empty(it.previous.get()),
            next_allocation: or_empty(it.next.get()),
            reschedule_tracker: RescheduleTracker::of(it),
            network_status: Some(it.network.as_deref().map(Into::into).unwrap_or_default()),
            preempted_allocations: Vec::new(),
            preempted_by_allocation: or_empty(it.preempted_by.get()),
            signing_key_id: String::new(),
            create_index: it.create_index,
            modify_index: it.modify_index,
            alloc_modify_index: it.alloc_modify_index,
            create_time: it.create_time.0,
            modify_time: it.modify_time.0,
        }
    }
}

/// What an operator or a drain asked of an allocation; `null` where nobody asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DesiredTransition {
    /// Move it to another node.
    pub migrate: Option<bool>,
    /// It may be rescheduled although its deployment is active.
    pub reschedule: Option<bool>,
    /// Reschedule it whatever its policy says.
    pub force_reschedule: Option<bool>,
    /// Skip the shutdown delay.
    pub no_shutdown_delay: Option<bool>,
    /// End it without a replacement.
    pub migrate_disable_placement: Option<bool>,
}

impl From<model::DesiredTransition> for DesiredTransition {
    fn from(it: model::DesiredTransition) -> Self {
        let asked = |flag: bool| flag.then_some(true);
        Self {
            migrate: asked(it.migrate),
            reschedule: asked(it.reschedule),
            force_reschedule: asked(it.force_reschedule),
            no_shutdown_delay: asked(it.no_shutdown_delay),
            migrate_disable_placement: asked(it.migrate_without_placement),
        }
    }
}

/// Health of an allocation for its deployment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AllocDeploymentStatus {
    /// Whether it is well; `null` while that is undecided.
    pub healthy: Option<bool>,
    /// Since when.
    pub timestamp: GoTime,
    /// Whether it is an unpromoted canary.
    pub canary: bool,
    /// Index of the change that recorded it.
    pub modify_index: u64,
}

impl AllocDeploymentStatus {
    fn of(it: &model::Allocation) -> Option<Self> {
        if it.health.is_none() && !it.canary {
            return None;
        }
        Some(Self {
            healthy: it.health.map(|health| health.healthy),
            timestamp: it.health.map(|health| health.time.into()).unwrap_or_default(),
            canary: it.canary,
            modify_index: it.health.map_or(0, |health| health.modify_index),
        })
    }
}

/// How often and why an allocation was rescheduled.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RescheduleTracker {
    /// Oldest first.
    #[serde(with = "nullable")]
    pub events: Vec<RescheduleEvent>,
    /// Outcome of the last one; empty while there is none to tell.
    pub last_reschedule: String,
}

impl RescheduleTracker {
    fn of(it: &model::Allocation) -> Option<Self> {
        let events: Vec<_> = it.reschedules.iter().map(Into::into).collect();
        (!events.is_empty()).then(|| Self {
            events,
            last_reschedule: String::new(),
        })
    }
}

/// One rescheduling.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RescheduleEvent {
    /// When the replacement was placed, nanoseconds since 1970.
    pub reschedule_time: i64,
    /// The allocation that was replaced.
    #[serde(rename = "PrevAllocID")]
    pub prev_alloc_id: String,
    /// Its node.
    #[serde(rename = "PrevNodeID")]
    pub prev_node_id: String,
    /// The delay before the replacement.
    pub delay: Duration,
}

impl From<&model::RescheduleEvent> for RescheduleEvent {
    fn from(it: &model::RescheduleEvent) -> Self {
        Self {
            reschedule_time: it.time.0,
            prev_alloc_id: it.previous_alloc.to_string(),
            prev_node_id: it.previous_node.to_string(),
            delay: it.delay,
        }
    }
}

/// A change of an allocation's client status that the coordinator made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AllocState {
    /// Always 0: the client status.
    pub field: u8,
    /// The new status.
    pub value: String,
    /// When.
    pub time: GoTime,
}

impl AllocState {
    fn of(status: model::ClientStatus, time: holdfast_shared::time::Timestamp) -> Self {
        Self {
            field: 0,
            value: status.to_string(),
            time: time.into(),
        }
    }
}

/// Addresses that an agent reports for an allocation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NetworkStatus {
    /// The interface.
    pub interface_name: String,
    /// The address inside the allocation's network.
    pub address: String,
    /// The IPv6 address inside the allocation's network.
    #[serde(rename = "AddressIPv6")]
    pub address_ipv6: String,
    /// Always `null`: name resolution is the node's.
    #[serde(rename = "DNS")]
    pub dns: Option<serde_json::Value>,
}

impl From<&model::AllocNetwork> for NetworkStatus {
    fn from(it: &model::AllocNetwork) -> Self {
        Self {
            interface_name: it.interface.clone(),
            address: it.address.clone(),
            ..Self::default()
        }
    }
}
