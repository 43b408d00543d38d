//! Wire shapes to model records and back.

use super::v1;
use crate::model;

impl From<&model::TaskEvent> for v1::TaskEvent {
    fn from(it: &model::TaskEvent) -> Self {
        Self {
            kind: it.kind.clone(),
            time: it.time,
            message: it.message.clone(),
            exit_code: it.exit_code,
            signal: it.signal,
            fails_task: it.fails_task,
            details: it
                .details
                .iter()
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
        }
    }
}

impl From<v1::TaskEvent> for model::TaskEvent {
    fn from(it: v1::TaskEvent) -> Self {
        Self {
            kind: it.kind,
            time: it.time,
            message: it.message,
            exit_code: it.exit_code,
            signal: it.signal,
            fails_task: it.fails_task,
            details: it.details.into_iter().collect(),
        }
    }
}

impl v1::TaskReport {
    /// The report of task `name` in this state; `running_for` is the length of its current run.
    pub fn of(name: &str, it: &model::TaskState, running_for: crate::time::Duration) -> Self {
        Self {
            name: name.to_owned(),
            state: it.state,
            failed: it.failed,
            restarts: it.restarts,
            last_restart: it.last_restart,
            started_at: it.started_at,
            finished_at: it.finished_at,
            running_for,
            events: it.events.open().iter().map(Into::into).collect(),
        }
    }
}

impl From<v1::TaskReport> for model::TaskState {
    fn from(it: v1::TaskReport) -> Self {
        Self {
            state: it.state,
            failed: it.failed,
            restarts: it.restarts,
            last_restart: it.last_restart,
            started_at: it.started_at,
            finished_at: it.finished_at,
            events: model::Packed::of(&it.events.into_iter().map(Into::into).collect()),
        }
    }
}

impl From<&model::AssignedPort> for v1::Port {
    fn from(it: &model::AssignedPort) -> Self {
        Self {
            label: it.label.clone(),
            value: it.value,
            to: it.to,
            host_ip: it.host_ip.clone(),
        }
    }
}

impl From<&model::Registration> for v1::ServiceInstance {
    fn from(it: &model::Registration) -> Self {
        Self {
            id: it.id.clone(),
            node: it.node,
            datacenter: it.datacenter.clone(),
            job: it.job.id.to_string(),
            alloc: it.alloc,
            tags: it.tags.clone(),
            address: it.address.clone(),
            port: it.port,
        }
    }
}
