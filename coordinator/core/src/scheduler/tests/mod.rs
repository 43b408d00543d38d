//! The scheduler against a slow and obvious one, and what it makes of single fleets.

mod agreement;
mod chance;
mod reference;
mod refusals;
mod room;

use std::sync::Arc;

use holdfast_shared::id::{AllocId, EvalId, JobKey, NodeId};
use holdfast_shared::model::{
    Allocation, AssignedPort, ByName, ClientStatus, DesiredStatus, DesiredTransition, Eligibility,
    Fingerprint, Job, Node, NodeStatus, Packed, Phrase, Rare, Seldom, TaskResources,
};
use holdfast_shared::time::Timestamp;

/// A node that is ready.
pub(crate) fn node(id: u128, fingerprint: Fingerprint) -> Node {
    Node {
        id: NodeId(id),
        fingerprint: Arc::new(fingerprint),
        status: NodeStatus::Ready,
        status_description: String::new(),
        status_since: Timestamp::ZERO,
        eligibility: Eligibility::Eligible,
        drain: None,
        last_drain: None,
        last_heard: Timestamp::ZERO,
        session: 1,
        generation: 0,
        sent_generation: 0,
        events: Vec::new(),
        create_index: 1,
        modify_index: 1,
        missed_heartbeat_index: 0,
        alloc_update_index: 0,
    }
}

/// A job from its JSON.
pub(super) fn job(json: serde_json::Value) -> Job {
    let mut job: Job = serde_json::from_value(json).unwrap();
    job.canonicalize();
    job
}

/// A running allocation.
pub(super) fn alloc(
    id: u128,
    (job, group): (&str, &str),
    node: u128,
    (resources, ports): (TaskResources, Vec<AssignedPort>),
) -> Allocation {
    Allocation {
        id: AllocId(id),
        name: format!("{job}.{group}[0]").into(),
        job: JobKey::new("default", job),
        job_version: 0,
        job_create_index: 0,
        group: group.into(),
        node: NodeId(node),
        eval: EvalId(0),
        desired: DesiredStatus::Run,
        desired_description: Phrase::default(),
        transition: DesiredTransition::default(),
        client: ClientStatus::Running,
        client_description: Phrase::default(),
        client_history: Rare::default(),
        task_states: ByName::default(),
        deployment: None,
        health: None,
        canary: false,
        followup_eval: Seldom::default(),
        previous: Seldom::default(),
        next: Seldom::default(),
        reschedules: Rare::default(),
        resources: Arc::new(resources),
        ports: ports.into(),
        network: None,
        report: Packed::default(),
        preempted_by: Seldom::default(),
        create_index: 1,
        modify_index: 1,
        alloc_modify_index: 1,
        create_time: Timestamp::ZERO,
        modify_time: Timestamp::ZERO,
    }
}

/// What one task takes.
pub(super) fn takes(cpu: u64, memory: u64, disk_mb: u64) -> TaskResources {
    TaskResources {
        tasks: [("main", (cpu, memory, memory))].into_iter().collect(),
        disk_mb,
        devices: Vec::new(),
    }
}
