//! Jobs, allocations, nodes and policies from what vector files say about them.

use std::sync::Arc;

use holdfast_shared::id::{AllocId, DeploymentId, EvalId, JobKey, NodeId};
use holdfast_shared::model::{
    AllocHealth, Allocation, ByName, ClientStatus, Component, Deployment, DeploymentGroup, DeploymentStatus,
    DesiredStatus, DesiredTransition, Disconnect, Job, NodeScore, NodeStatus, Packed, Phrase,
    PlacementReport, Rare, Reschedule, RescheduleEvent, Restart, Scores, Seldom, Task, TaskGroup,
    TaskResources, TaskRunState, TaskState, Update,
};
use holdfast_shared::time::{Duration, Timestamp};
use serde_json::Value;

use crate::reconciler::NodeView;

/// Names in vector files become ids, and ids names again.
#[derive(Debug, Default)]
pub(super) struct Ids {
    names: Vec<String>,
}

impl Ids {
    pub(super) fn of(&mut self, name: &str) -> u128 {
        let at = self
            .names
            .iter()
            .position(|known| known == name)
            .unwrap_or_else(|| {
                self.names.push(name.to_owned());
                self.names.len() - 1
            });
        at as u128 + 1
    }

    pub(super) fn name(&self, id: u128) -> String {
        usize::try_from(id)
            .ok()
            .and_then(|id| self.names.get(id - 1))
            .cloned()
            .unwrap_or_else(|| id.to_string())
    }
}

pub(super) fn time(value: &Value) -> Timestamp {
    Timestamp::from_secs(value.as_i64().unwrap_or(0))
}

pub(super) fn span(value: &Value) -> Option<Duration> {
    value.as_f64().map(|secs| Duration((secs * 1e9) as i64))
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

pub(super) fn reschedule_block(value: &Value) -> Option<Reschedule> {
    value.as_object()?;
    Some(Reschedule {
        attempts: value["attempts"].as_i64(),
        interval: span(&value["interval_s"]),
        delay: span(&value["delay_s"]),
        delay_function: text(&value["delay_function"]),
        max_delay: span(&value["max_delay_s"]),
        unlimited: value["unlimited"].as_bool(),
    })
}

pub(super) fn restart_block(value: &Value) -> Restart {
    Restart {
        interval: span(&value["interval_s"]),
        attempts: value["attempts"].as_i64(),
        delay: span(&value["delay_s"]),
        mode: text(&value["mode"]),
        ..Restart::default()
    }
}

pub(super) fn disconnect_block(value: &Value) -> Option<Disconnect> {
    value.as_object()?;
    Some(Disconnect {
        lost_after: span(&value["lost_after_s"]),
        stop_on_client_after: span(&value["stop_on_client_after_s"]),
        replace: value["replace"].as_bool(),
        replace_after: span(&value["replace_after_s"]),
        reconcile: text(&value["reconcile"]),
    })
}

pub(super) fn events(value: &Value) -> Vec<RescheduleEvent> {
    let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter()
        .map(|event| RescheduleEvent {
            time: time(&event["time_s"]),
            previous_alloc: AllocId(0),
            previous_node: NodeId(0),
            delay: span(&event["delay_s"]).unwrap_or_default(),
        })
        .collect()
}

pub(super) fn job(value: &Value) -> Job {
    let task = Task {
        name: "main".into(),
        kill_timeout: span(&value["kill_timeout_s"]),
        ..Task::default()
    };
    let leader = Task {
        name: "t2".into(),
        leader: true,
        ..Task::default()
    };
    let update = value["update"].as_object().map(|_| Update {
        max_parallel: value["update"]["max_parallel"].as_i64(),
        canary: value["update"]["canary"].as_i64(),
        ..Update::default()
    });
    let group = TaskGroup {
        name: text(&value["group"]),
        count: value["count"].as_i64(),
        tasks: Some(vec![task, leader]),
        disconnect: disconnect_block(&value["disconnect"]),
        reschedule_policy: reschedule_block(&value["reschedule"]),
        update,
        ..TaskGroup::default()
    };
    Job {
        id: text(&value["id"]),
        kind: text(&value["type"]),
        version: value["version"].as_u64(),
        create_index: value["create_index"].as_u64(),
        stop: value["stopped"].as_bool(),
        task_groups: Some(vec![group].into()),
        ..Job::default()
    }
}

pub(super) fn client(text: &str) -> ClientStatus {
    match text {
        "running" => ClientStatus::Running,
        "complete" => ClientStatus::Complete,
        "failed" => ClientStatus::Failed,
        "lost" => ClientStatus::Lost,
        "unknown" => ClientStatus::Unknown,
        _ => ClientStatus::Pending,
    }
}

pub(super) fn desired(text: &str) -> DesiredStatus {
    match text {
        "stop" => DesiredStatus::Stop,
        "evict" => DesiredStatus::Evict,
        _ => DesiredStatus::Run,
    }
}

/// `None` for a node that is gone.
pub(super) fn node_status(text: &str) -> Option<NodeStatus> {
    Some(match text {
        "ready" | "draining" => NodeStatus::Ready,
        "initializing" => NodeStatus::Initializing,
        "disconnected" => NodeStatus::Disconnected,
        "down" => NodeStatus::Down,
        _ => return None,
    })
}

/// `None` for a node that is gone. What is back and initializing has not reported yet.
pub(super) fn node_view(text: &str) -> Option<NodeView> {
    let status = node_status(text)?;
    let confirmed = status != NodeStatus::Initializing;
    Some(NodeView { status, confirmed })
}

fn task_states(value: &Value) -> ByName<TaskState> {
    let single = value.get("started_s").map(|_| value);
    let listed = value["tasks"].as_array().map(Vec::as_slice).unwrap_or_default();
    single
        .into_iter()
        .chain(listed)
        .map(|task| {
            let state = TaskState {
                state: TaskRunState::Running,
                restarts: task["restarts"].as_u64().unwrap_or(0),
                last_restart: time(&task["last_restart_s"]),
                started_at: time(&task["started_s"]),
                ..TaskState::default()
            };
            let name = task
                .get("tasks")
                .or_else(|| task.get("client"))
                .map_or(&task["name"], |_| &Value::Null);
            (name.as_str().unwrap_or("main").to_owned(), state)
        })
        .collect()
}

pub(super) fn alloc(value: &Value, group: &str, now: Timestamp, ids: &mut Ids) -> Allocation {
    let mut id = |key: &str| value[key].as_str().map(|name| ids.of(name));
    let status = client(value["client"].as_str().unwrap_or_default());
    let states = value["states"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut history: Vec<(ClientStatus, Timestamp)> = states
        .iter()
        .map(|entry| (client(entry[0].as_str().unwrap_or_default()), time(&entry[1])))
        .collect();
    if value["failed_at_s"].is_i64() && history.is_empty() {
        history.push((ClientStatus::Failed, time(&value["failed_at_s"])));
    }
    let scores = value["score"].as_f64().map(|score| {
        let mut scores = Scores::default();
        scores.set(Component::Binpack, score);
        NodeScore {
            node: NodeId(0),
            scores,
        }
    });
    Allocation {
        id: AllocId(id("id").unwrap_or(0)),
        name: value["name"].as_str().unwrap_or_default().into(),
        job: JobKey::new("default", "edge"),
        job_version: value["version"].as_u64().unwrap_or(0),
        job_create_index: value["create_index"].as_u64().unwrap_or(0),
        group: group.into(),
        node: NodeId(id("node").unwrap_or(0)),
        eval: EvalId(0),
        desired: desired(value["desired"].as_str().unwrap_or_default()),
        desired_description: Phrase::default(),
        transition: DesiredTransition {
            migrate: value["migrate"].as_bool().unwrap_or(false),
            ..DesiredTransition::default()
        },
        client: status,
        client_description: Phrase::default(),
        client_history: history.into(),
        task_states: task_states(value),
        deployment: id("deployment").map(DeploymentId),
        health: value["healthy"].as_bool().map(|healthy| AllocHealth {
            healthy,
            time: now,
            modify_index: 1,
        }),
        canary: value["canary"].as_bool().unwrap_or(false),
        followup_eval: id("followup_eval").map(EvalId).into(),
        previous: id("prev").map(AllocId).into(),
        next: id("next").map(AllocId).into(),
        reschedules: events(&value["resched_events"]).into(),
        resources: Arc::new(TaskResources::default()),
        ports: Rare::default(),
        network: None,
        report: Packed::of(&PlacementReport {
            scores: scores.into_iter().collect(),
            ..PlacementReport::default()
        }),
        preempted_by: Seldom::default(),
        create_index: 1,
        modify_index: 1,
        alloc_modify_index: 1,
        create_time: Timestamp::ZERO,
        modify_time: now,
    }
}

pub(super) fn deployment(value: &Value, job: &Job, ids: &mut Ids) -> Option<Deployment> {
    let id = DeploymentId(ids.of(value["id"].as_str()?));
    let canaries = value["placed_canaries"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let group = DeploymentGroup {
        promoted: value["promoted"].as_bool().unwrap_or(false),
        desired_canaries: value["desired_canaries"].as_u64().unwrap_or(0),
        placed_canaries: canaries
            .iter()
            .filter_map(Value::as_str)
            .map(|name| AllocId(ids.of(name)))
            .collect(),
        ..DeploymentGroup::default()
    };
    let status = match value["status"].as_str()? {
        "paused" => DeploymentStatus::Paused,
        "pending" => DeploymentStatus::Pending,
        "failed" => DeploymentStatus::Failed,
        "successful" => DeploymentStatus::Successful,
        "cancelled" => DeploymentStatus::Cancelled,
        "blocked" => DeploymentStatus::Blocked,
        _ => DeploymentStatus::Running,
    };
    let name = job.groups().first()?.name().to_owned();
    Some(Deployment {
        id,
        job: job.key(),
        job_version: value["version"].as_u64().unwrap_or_else(|| job.version()),
        job_create_index: job.create_index(),
        job_modify_index: 1,
        job_spec_modify_index: 1,
        status,
        status_description: String::new(),
        groups: [(name, group)].into_iter().collect(),
        create_index: 1,
        modify_index: 1,
        create_time: Timestamp::ZERO,
        modify_time: Timestamp::ZERO,
    })
}
