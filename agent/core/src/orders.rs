//! What an operator wants done once, now: tasks restarted in place, the node's own meta changed. Every order is answered.

use holdfast_shared::id::AllocId;
use holdfast_shared::model::{LifecycleHook, TaskRunState};
use holdfast_shared::wire::{Answer, Deed, FromAgent, Order, RestartTasks};

use crate::agent::Agent;
use crate::effect::Effect;
use crate::input::TaskRef;
use crate::record::{AllocRecord, LocalDelta, TaskPhase};

/// What operators may set in a node's meta, in bytes: it travels with every registration.
const META_BYTES_MAX: usize = 64 * 1024;

/// Kind of the event that tells why a task is restarted.
const SIGNALED: &str = "Restart Signaled";

/// What is said of a task that cannot be restarted.
const NOT_RUNNING: &str = "Task not running";

impl Agent {
    /// Obeys an order of this session, once. One of an earlier session comes too late: nobody waits for it any more.
    pub(crate) fn on_order(&mut self, order: Order) {
        if self.connection.session() != Some(order.session) || !self.connection.is_new(order.number) {
            return;
        }
        let outcome = match order.deed {
            Deed::Restart { alloc, tasks } => self.restart(alloc, tasks),
            Deed::ApplyMeta(changes) => self.apply_meta(changes),
        };
        self.effect(Effect::Publish(FromAgent::Answer(Answer {
            session: order.session,
            number: order.number,
            refusal: outcome.err(),
        })));
    }

    fn restart(&mut self, id: AllocId, tasks: RestartTasks) -> Result<(), String> {
        let known = self.allocs.get(&id);
        let record = known.ok_or_else(|| format!("Unknown allocation {:?}", id.to_string()))?;
        if record.stopping || record.client.is_terminal() {
            return Err("Allocation not running".into());
        }
        let (reason, names) = match tasks {
            RestartTasks::All => {
                self.set_beginning_anew(id, true);
                return Ok(());
            }
            RestartTasks::Running => ("User requested running tasks to restart", running(record)),
            RestartTasks::One(name) => {
                let Some(task) = record.tasks.get(&name) else {
                    return Err(format!("Could not find task runner for task: {name}"));
                };
                let is_running = task.phase == TaskPhase::Running;
                let names = is_running.then_some(name);
                ("User requested task to restart", names.into_iter().collect())
            }
        };
        if names.is_empty() {
            return Err(NOT_RUNNING.into());
        }
        for task in names {
            self.restart_task(&TaskRef { alloc: id, task }, SIGNALED, reason);
        }
        Ok(())
    }

    /// Ends what runs of an allocation that begins anew, and once nothing does, lets all tasks wait for their turn again.
    pub(crate) fn begin_anew(&mut self, id: AllocId) {
        if !self.beginning_anew.contains(&id) {
            return;
        }
        let Some(record) = self.allocs.get(&id).filter(|record| !record.stopping) else {
            self.set_beginning_anew(id, false);
            return;
        };
        for task in running(record) {
            let reference = TaskRef { alloc: id, task };
            self.restart_task(&reference, SIGNALED, "User requested all tasks to restart");
        }
        let is_busy = |phase| {
            matches!(
                phase,
                TaskPhase::Starting | TaskPhase::Running | TaskPhase::Stopping | TaskPhase::Recovering
            )
        };
        if self.allocs[&id].tasks.values().any(|task| is_busy(task.phase)) {
            return;
        }
        self.set_beginning_anew(id, false);
        self.await_turns(id);
    }

    /// Notes that an allocation begins anew, or no longer does.
    pub(crate) fn set_beginning_anew(&mut self, id: AllocId, begins: bool) {
        let allocs = &mut self.beginning_anew;
        let changed = if begins {
            allocs.insert(id)
        } else {
            allocs.remove(&id)
        };
        if changed {
            self.persist(LocalDelta::BeginningAnew(self.beginning_anew.clone()));
        }
    }

    fn await_turns(&mut self, id: AllocId) {
        let now = self.now;
        let job = self.job_of(id);
        let Some(record) = self.allocs.get_mut(&id) else {
            return;
        };
        let group = job.as_ref().and_then(|job| job.group(&record.assigned.group));
        for (name, task) in &mut record.tasks {
            let spec = group.and_then(|group| group.task(name));
            if spec.is_none_or(|it| it.hook() == LifecycleHook::Poststop) {
                continue;
            }
            if task.phase == TaskPhase::Dead {
                task.state.restarts += 1;
                task.state.last_restart = now.wall;
                task.state.state = TaskRunState::Pending;
            }
            task.phase.on_anew();
        }
        self.report(id);
    }

    /// Changes the node's own meta, stores that, and registers with it.
    fn apply_meta(&mut self, changes: Vec<(String, Option<String>)>) -> Result<(), String> {
        let configured = self.fingerprint.as_ref().map(|it| it.configured_meta());
        let mut meta = self.meta.clone();
        for (key, value) in changes {
            let hides = configured.is_some_and(|configured| configured.contains_key(&key));
            if value.is_none() && !hides {
                meta.remove(&key);
            } else {
                meta.insert(key, value);
            }
        }
        let bytes: usize = meta
            .iter()
            .map(|(key, value)| key.len() + value.as_ref().map_or(0, String::len))
            .sum();
        if bytes > META_BYTES_MAX {
            return Err(format!(
                "dynamic metadata would take {bytes} bytes; at most {META_BYTES_MAX} are allowed"
            ));
        }
        if meta == self.meta {
            return Ok(());
        }
        self.meta = meta;
        self.persist(LocalDelta::Meta(self.meta.clone()));
        if let Some(fingerprint) = &mut self.fingerprint {
            fingerprint.change_meta(&self.meta);
        }
        self.register();
        Ok(())
    }
}

/// The tasks that run.
fn running(record: &AllocRecord) -> Vec<String> {
    let tasks = record.tasks.iter();
    tasks
        .filter(|(_, task)| task.phase == TaskPhase::Running)
        .map(|(name, _)| name.clone())
        .collect()
}
