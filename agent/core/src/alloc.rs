//! The life of an allocation: whose turn it is, when it ends, and what the coordinator is told of it.

use holdfast_shared::id::AllocId;
use holdfast_shared::model::{ClientStatus, LifecycleHook, Task, TaskGroup, TaskRunState};
use holdfast_shared::time::{Duration, Timestamp};

use crate::agent::{Agent, group_of};
use crate::effect::Effect;
use crate::input::TaskRef;
use crate::record::{AllocRecord, TaskPhase};

impl Agent {
    /// Directories are there, or cannot be made: then the allocation fails, as nothing can run.
    pub(crate) fn on_prepared(&mut self, id: AllocId, result: Result<(), String>) {
        let now = self.now;
        let Some(record) = self.allocs.get_mut(&id) else {
            return;
        };
        match result {
            Ok(()) => {
                record.prepared = true;
                let fresh = record
                    .tasks
                    .values_mut()
                    .filter(|task| !task.state.started_at.is_set());
                for task in fresh {
                    task.event(now, "Task Setup", "Building Task Directory");
                }
                self.touch(id);
            }
            Err(error) => {
                for task in record
                    .tasks
                    .values_mut()
                    .filter(|task| task.phase == TaskPhase::Waiting)
                {
                    task.event(now, "Setup Failure", &error);
                    task.fail(now);
                }
                self.report(id);
            }
        }
    }

    /// Moves an allocation on as far as it goes now. Doing it again changes nothing more.
    pub(crate) fn advance(&mut self, id: AllocId) {
        let Some(record) = self.allocs.get(&id) else {
            return;
        };
        if record.tasks.values().all(|task| task.phase == TaskPhase::Dead) {
            self.update_client_status(id);
            return;
        }
        let Some(job) = self.job_of(id) else {
            return;
        };
        let Some(group) = job.group(&self.allocs[&id].assigned.group) else {
            return;
        };
        self.end_what_has_no_purpose(id, group);
        self.begin_anew(id);
        if !self.beginning_anew.contains(&id) {
            for task in group.tasks() {
                self.advance_task(id, group, task);
            }
        }
        self.update_client_status(id);
    }

    /// Ends the others when one failed for good, when the leader ended, or when the group's purpose is fulfilled.
    fn end_what_has_no_purpose(&mut self, id: AllocId, group: &TaskGroup) {
        let record = &self.allocs[&id];
        if !record.stopping {
            let failed = record
                .tasks
                .iter()
                .find(|(_, task)| task.phase == TaskPhase::Dead && task.state.failed);
            let leader_dead = group
                .tasks()
                .iter()
                .any(|task| task.leader && phase_of(record, task) == TaskPhase::Dead);
            let fulfilled = mains_dead(record, group);
            if let Some((name, _)) = failed {
                let text = format!("Task's sibling \"{name}\" failed");
                self.end_siblings(id, "Sibling Task Failed", &text);
            } else if leader_dead && !fulfilled {
                self.end_siblings(id, "Leader Task Dead", "Leader Task in Group dead");
            } else if fulfilled {
                self.end_siblings(id, "Main Tasks Dead", "Main tasks in the group died");
            }
        }
        if self.allocs[&id].stopping {
            self.kill_when_due(id, group);
        }
    }

    fn end_siblings(&mut self, id: AllocId, kind: &str, text: &str) {
        let now = self.now;
        if let Some(record) = self.allocs.get_mut(&id) {
            record.stopping = true;
            record.kill_at = now.mono;
            for task in record.tasks.values_mut().filter(|task| is_active(task.phase)) {
                task.event(now, kind, text);
            }
            self.touch(id);
        }
    }

    /// The allocation should end, after its shutdown delay. Poststop tasks still get their turn.
    pub(crate) fn begin_stop(&mut self, id: AllocId, reason: &str) {
        let delay = self.shutdown_delay(id);
        let now = self.now;
        let Some(record) = self.allocs.get_mut(&id).filter(|record| !record.stopping) else {
            return;
        };
        record.stopping = true;
        record.stop_reason = reason.into();
        record.kill_at = now.mono + delay;
        if delay > Duration::ZERO {
            for task in record
                .tasks
                .values_mut()
                .filter(|task| task.phase == TaskPhase::Running)
            {
                let text = format!("Waiting for shutdown_delay of {delay} before killing the task.");
                task.event(now, "Waiting for shutdown delay", &text);
            }
        }
        self.health.forget(id);
        self.report(id);
    }

    fn shutdown_delay(&self, id: AllocId) -> Duration {
        let Some(record) = self
            .allocs
            .get(&id)
            .filter(|record| !record.assigned.no_shutdown_delay)
        else {
            return Duration::ZERO;
        };
        let Some(group) = self.job(record).and_then(|job| group_of(job, record)) else {
            return Duration::ZERO;
        };
        let tasks = group.tasks().iter().map(|task| task.shutdown_delay);
        tasks.chain(group.shutdown_delay).max().unwrap_or(Duration::ZERO)
    }

    /// Asks the tasks to end: the leader first, the others once it has.
    fn kill_when_due(&mut self, id: AllocId, group: &TaskGroup) {
        let record = &self.allocs[&id];
        if self.now.mono < record.kill_at {
            return;
        }
        let alive = |task: &&Task| {
            phase_of(record, task) != TaskPhase::Dead && task.hook() != LifecycleHook::Poststop
        };
        let leaders: Vec<&Task> = group
            .tasks()
            .iter()
            .filter(|task| task.leader)
            .filter(alive)
            .collect();
        let targets = if leaders.is_empty() {
            group.tasks().iter().filter(alive).collect()
        } else {
            leaders
        };
        let names: Vec<(String, String, Duration)> = targets
            .into_iter()
            .map(|task| (task.name.clone(), task.kill_signal.clone(), task.kill_timeout()))
            .collect();
        for (name, signal, timeout) in names {
            self.kill_task(
                &TaskRef {
                    alloc: id,
                    task: name,
                },
                signal,
                timeout,
            );
        }
        // Poststop tasks have nothing to clean up after when no main task ever started.
        let record = &self.allocs[&id];
        let never_started = group.main_tasks().all(|task| {
            record
                .tasks
                .get(&task.name)
                .is_none_or(|it| !it.state.started_at.is_set())
        });
        if never_started && mains_dead(record, group) {
            for task in group
                .tasks()
                .iter()
                .filter(|task| task.hook() == LifecycleHook::Poststop)
            {
                self.bury(&TaskRef {
                    alloc: id,
                    task: task.name.clone(),
                });
            }
        }
    }

    fn advance_task(&mut self, id: AllocId, group: &TaskGroup, task: &Task) {
        let record = &self.allocs[&id];
        let Some(state) = record.tasks.get(&task.name) else {
            return;
        };
        let poststop = task.hook() == LifecycleHook::Poststop;
        let due = match state.phase {
            TaskPhase::Waiting => record.prepared && has_turn(record, group, task),
            TaskPhase::Backoff => record.prepared && self.now.mono >= state.retry_at,
            TaskPhase::Recovering => state.retry_at.is_set() && self.now.mono >= state.retry_at,
            _ => false,
        };
        let reference = TaskRef {
            alloc: id,
            task: task.name.clone(),
        };
        if due && state.phase == TaskPhase::Recovering {
            self.recover(&reference);
        } else if due && (poststop || !record.stopping) {
            self.begin_task(&reference, task);
        }
    }

    /// What the coordinator is told: derived from the tasks, reported when it changes.
    fn update_client_status(&mut self, id: AllocId) {
        let Some(record) = self.allocs.get_mut(&id) else {
            return;
        };
        let status = client_status(record);
        if record.client == status || record.tasks.is_empty() {
            return;
        }
        record.client = status;
        record.description = status.of_tasks().into();
        if status.is_terminal() {
            self.on_terminal(id);
        }
        self.report(id);
    }

    fn on_terminal(&mut self, id: AllocId) {
        self.effect(Effect::Sweep(id));
        if self.allocs[&id].client == ClientStatus::Failed {
            self.declare_health(id, false, "Unhealthy because of failed task");
        }
        self.health.forget(id);
        self.templates.forget(id);
        self.publish_interest(false);
    }

    /// When something about this allocation is due by the clock. What is due already has been dealt with.
    pub(crate) fn alloc_timeout(&self, record: &AllocRecord) -> Option<Timestamp> {
        let retries = record
            .tasks
            .values()
            .filter(|task| matches!(task.phase, TaskPhase::Backoff | TaskPhase::Recovering))
            .map(|task| task.retry_at);
        let kill = record.stopping.then_some(record.kill_at);
        retries.chain(kill).filter(|at| *at > self.now.mono).min()
    }
}

/// Whether a task in this phase still has something to end.
pub(crate) const fn is_active(phase: TaskPhase) -> bool {
    !matches!(phase, TaskPhase::Dead)
}

fn phase_of(record: &AllocRecord, task: &Task) -> TaskPhase {
    record
        .tasks
        .get(&task.name)
        .map_or(TaskPhase::Dead, |it| it.phase)
}

fn mains_dead(record: &AllocRecord, group: &TaskGroup) -> bool {
    group
        .main_tasks()
        .all(|task| phase_of(record, task) == TaskPhase::Dead)
}

/// Whether everything that must come before `task` has happened.
fn has_turn(record: &AllocRecord, group: &TaskGroup, task: &Task) -> bool {
    let of = |hook| group.tasks().iter().filter(move |it| it.hook() == hook);
    match task.hook() {
        LifecycleHook::Prestart => true,
        LifecycleHook::Main => of(LifecycleHook::Prestart).all(|before| {
            let phase = phase_of(record, before);
            phase
                == if before.is_sidecar() {
                    TaskPhase::Running
                } else {
                    TaskPhase::Dead
                }
        }),
        LifecycleHook::Poststart => group.main_tasks().all(|it| {
            record
                .tasks
                .get(&it.name)
                .is_some_and(|task| task.state.started_at.is_set())
        }),
        LifecycleHook::Poststop => mains_dead(record, group),
    }
}

fn client_status(record: &AllocRecord) -> ClientStatus {
    let mut states = record.tasks.values().map(|task| &task.state);
    if states
        .clone()
        .any(|task| task.state == TaskRunState::Dead && task.failed)
    {
        ClientStatus::Failed
    } else if states.clone().any(|task| task.state == TaskRunState::Running) {
        ClientStatus::Running
    } else if states.any(|task| task.state == TaskRunState::Pending) {
        ClientStatus::Pending
    } else {
        ClientStatus::Complete
    }
}
