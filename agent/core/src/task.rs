//! The life of a task: started, found again, ended, restarted by its policy.

use holdfast_shared::id::AllocId;
use holdfast_shared::model::{
    JobType, LifecycleHook, RestartDecision, RestartPolicy, RestartWindow, Task, TaskEvent, TaskRunState,
};
use holdfast_shared::time::{Duration, Timestamp};

use crate::agent::{Agent, group_of};
use crate::effect::Effect;
use crate::input::{Exit, Now, Recovery, TaskInput, TaskRef};
use crate::record::{TaskPhase, TaskRecord};

/// Pause before a driver that could not answer is asked again.
const RECOVER_RETRY: Duration = Duration::from_secs(2);

impl TaskRecord {
    /// It ended badly and for good.
    pub(crate) fn fail(&mut self, now: Now) {
        self.state.failed = true;
        self.end(now);
    }

    /// It ended for good.
    pub(crate) fn end(&mut self, now: Now) {
        self.phase.on_dead();
        self.state.state = TaskRunState::Dead;
        self.state.finished_at = now.wall;
        self.retry_at = Timestamp::ZERO;
    }
}

impl Agent {
    pub(crate) fn task_mut(&mut self, task: &TaskRef) -> Option<&mut TaskRecord> {
        self.allocs.get_mut(&task.alloc)?.tasks.get_mut(&task.task)
    }

    /// Takes up an allocation from the store after a restart of the agent or of the whole box.
    pub(crate) fn restore_alloc(&mut self, id: AllocId, same_boot: bool) {
        let now = self.now;
        let Some(record) = self.allocs.get_mut(&id) else {
            return;
        };
        if !same_boot {
            record.kill_at = if record.stopping {
                now.mono
            } else {
                Timestamp::ZERO
            };
        }
        let mut to_recover = Vec::new();
        for (name, task) in &mut record.tasks {
            if !same_boot {
                (task.window_start, task.window_restarts) = (now.mono, 0);
                task.running_since = now.mono;
            }
            match task.phase {
                TaskPhase::Waiting | TaskPhase::Dead => {}
                TaskPhase::Rendering | TaskPhase::Backoff => {
                    task.phase = TaskPhase::Backoff;
                    task.retry_at = if same_boot {
                        task.retry_at.max(Timestamp(1))
                    } else {
                        now.mono
                    };
                }
                _ if task.handle.is_empty() => {
                    // Killed between start and store: starting again adopts what already runs.
                    task.phase = TaskPhase::Backoff;
                    task.retry_at = now.mono;
                }
                _ => {
                    task.phase = TaskPhase::Recovering;
                    to_recover.push((name.clone(), task.handle.clone()));
                }
            }
        }
        let over = record.tasks.values().all(|task| task.phase == TaskPhase::Dead);
        record.prepared = over;
        if !over {
            self.effect(Effect::Prepare(id));
            self.watch_health(id);
        }
        for (task, handle) in to_recover {
            self.effect(Effect::Recover(TaskRef { alloc: id, task }, handle));
        }
    }

    /// Asks the driver once more what became of a task.
    pub(crate) fn recover(&mut self, task: &TaskRef) {
        if let Some(record) = self.task_mut(task) {
            record.retry_at = Timestamp::ZERO;
            let handle = record.handle.clone();
            self.effect(Effect::Recover(task.clone(), handle));
        }
    }

    /// It is a task's turn: templates first, if it has any.
    pub(crate) fn begin_task(&mut self, reference: &TaskRef, task: &Task) {
        let has_templates = !task.templates().is_empty();
        let Some(record) = self.task_mut(reference) else {
            return;
        };
        record.retry_at = Timestamp::ZERO;
        record.phase.on_turn();
        if has_templates {
            self.effect(Effect::Render(reference.clone()));
        } else {
            self.start_task(reference);
        }
        self.touch(reference.alloc);
    }

    /// Templates are there: the driver starts the task.
    pub(crate) fn start_task(&mut self, reference: &TaskRef) {
        if let Some(record) = self.task_mut(reference)
            && record.phase.on_rendered()
        {
            record.handle.clear();
            self.touch(reference.alloc);
            self.effect(Effect::Start(reference.clone()));
        }
    }

    pub(crate) fn on_task(&mut self, reference: &TaskRef, input: TaskInput) {
        if self.task_mut(reference).is_none() {
            return;
        }
        match input {
            TaskInput::Progress { kind, message } => {
                let now = self.now;
                if let Some(record) = self.task_mut(reference) {
                    record.event(now, &kind, &message);
                    self.report(reference.alloc);
                }
            }
            TaskInput::Started { handle, address } => self.on_started(reference, handle, address),
            TaskInput::StartFailed { message, recoverable } => {
                self.on_start_failed(reference, &message, recoverable);
            }
            TaskInput::Recovered(recovery) => self.on_recovered(reference, recovery),
            TaskInput::Exited(exit) => self.on_exited(reference, &exit),
        }
    }

    fn on_started(&mut self, reference: &TaskRef, handle: Vec<u8>, address: String) {
        let now = self.now;
        let Some(record) = self.task_mut(reference) else {
            return;
        };
        record.handle = handle;
        record.address = address;
        if !record.phase.on_started() {
            // It was given up while the driver started it; the driver's own word comes too late.
            self.touch(reference.alloc);
            self.kill_latecomer(reference);
            return;
        }
        record.running_since = now.mono;
        record.state.state = TaskRunState::Running;
        if !record.state.started_at.is_set() || record.state.restarts == 0 {
            record.state.started_at = now.wall;
        }
        record.event(now, "Started", "Task started by client");
        self.report(reference.alloc);
        self.watch_checks(reference.alloc);
    }

    fn kill_latecomer(&mut self, reference: &TaskRef) {
        if let Some(record) = self.task_mut(reference)
            && record.phase == TaskPhase::Dead
        {
            let handle = record.handle.clone();
            let timeout = Duration::ZERO;
            self.effect(Effect::Stop {
                task: reference.clone(),
                handle,
                signal: String::new(),
                timeout,
            });
        }
    }

    fn on_start_failed(&mut self, reference: &TaskRef, message: &str, recoverable: bool) {
        let now = self.now;
        let stopping = self.allocs[&reference.alloc].stopping;
        let Some(record) = self.task_mut(reference) else {
            return;
        };
        record.push_event(TaskEvent {
            kind: "Driver Failure".into(),
            time: now.wall,
            message: message.into(),
            fails_task: !recoverable,
            ..TaskEvent::default()
        });
        if stopping {
            record.end(now);
            self.report(reference.alloc);
        } else if recoverable {
            self.retry_by_policy(reference);
        } else {
            record.event(now, "Not Restarting", "Error was unrecoverable");
            record.fail(now);
            self.report(reference.alloc);
        }
    }

    fn on_recovered(&mut self, reference: &TaskRef, recovery: Recovery) {
        let now = self.now;
        let stopping = self.allocs[&reference.alloc].stopping;
        let Some(record) = self
            .task_mut(reference)
            .filter(|record| record.phase == TaskPhase::Recovering)
        else {
            return;
        };
        match recovery {
            Recovery::Running { address } => {
                record.phase.on_started();
                record.address = address;
                record.state.state = TaskRunState::Running;
                self.report(reference.alloc);
                self.watch_checks(reference.alloc);
            }
            Recovery::Exited(exit) => self.on_exited(reference, &exit),
            Recovery::Gone if stopping => {
                record.end(now);
                self.report(reference.alloc);
            }
            Recovery::Gone => {
                // The box was rebooted, or the container removed: that is no failure of the task.
                record.event(
                    now,
                    "Restarting",
                    "Task was gone after a restart of the box; starting it again",
                );
                record.phase.on_retry();
                record.retry_at = now.mono;
                record.handle.clear();
                record.state.state = TaskRunState::Pending;
                record.state.restarts += 1;
                record.state.last_restart = now.wall;
                self.report(reference.alloc);
            }
            Recovery::Unclear(_) => record.retry_at = now.mono + RECOVER_RETRY,
        }
    }

    fn on_exited(&mut self, reference: &TaskRef, exit: &Exit) {
        let now = self.now;
        let stopping = self.allocs[&reference.alloc].stopping;
        let done = self.is_done(reference, exit);
        let Some(record) = self
            .task_mut(reference)
            .filter(|record| record.phase != TaskPhase::Dead)
        else {
            return;
        };
        let asked_to_end = record.phase == TaskPhase::Stopping;
        record.push_event(terminated(now, exit));
        record.address.clear();
        let handle = std::mem::take(&mut record.handle);
        let restart_wanted = std::mem::take(&mut record.restart_wanted);
        if (stopping || asked_to_end) && !restart_wanted {
            record.event(now, "Killed", "Task successfully killed");
            record.end(now);
        } else if restart_wanted && !stopping {
            record.phase.on_retry();
            record.retry_at = now.mono;
            record.state.state = TaskRunState::Pending;
            record.state.restarts += 1;
            record.state.last_restart = now.wall;
        } else if done {
            record.end(now);
        } else {
            self.retry_by_policy(reference);
        }
        if !handle.is_empty() {
            self.effect(Effect::Remove(reference.clone(), handle));
        }
        self.report(reference.alloc);
    }

    /// Whether a task that ended like this has fulfilled its purpose.
    fn is_done(&self, reference: &TaskRef, exit: &Exit) -> bool {
        let Some((kind, task)) = self.spec(reference) else {
            return true;
        };
        let once = kind.is_batch()
            || task.hook() == LifecycleHook::Poststop
            || (task.hook() != LifecycleHook::Main && !task.is_sidecar());
        once && exit.code == 0 && exit.signal == 0
    }

    /// The job's type and the specification of a task.
    pub(crate) fn spec(&self, reference: &TaskRef) -> Option<(JobType, Task)> {
        let record = self.allocs.get(&reference.alloc)?;
        let job = self.job(record)?;
        Some((
            job.job_type(),
            group_of(job, record)?.task(&reference.task)?.clone(),
        ))
    }

    fn restart_policy(&self, reference: &TaskRef) -> Option<RestartPolicy> {
        let record = self.allocs.get(&reference.alloc)?;
        let job = self.job(record)?;
        let group = group_of(job, record)?;
        Some(group.restart_policy(group.task(&reference.task)?, job.job_type()))
    }

    /// Starts a task again as its restart policy says, or fails it.
    fn retry_by_policy(&mut self, reference: &TaskRef) {
        let now = self.now;
        let Some(policy) = self.restart_policy(reference) else {
            return;
        };
        let jitter = self.jitter(policy.jitter_max());
        let Some(record) = self.task_mut(reference) else {
            return;
        };
        let mut window = RestartWindow {
            start: record.window_start,
            restarts: record.window_restarts,
        };
        let decision = policy.decide(&mut window, now.mono);
        (record.window_start, record.window_restarts) = (window.start, window.restarts);
        let pause = match decision {
            RestartDecision::Restart(delay) => delay + jitter,
            RestartDecision::Wait(delay) => delay,
            RestartDecision::Fail => {
                record.event(now, "Not Restarting", &not_restarting(&policy));
                record.fail(now);
                self.report(reference.alloc);
                return;
            }
        };
        record.event(now, "Restarting", &format!("Task restarting in {pause}"));
        record.phase.on_retry();
        record.retry_at = now.mono + pause;
        record.state.state = TaskRunState::Pending;
        record.state.restarts += 1;
        record.state.last_restart = now.wall;
        self.report(reference.alloc);
    }

    /// Ends a task and starts it again: somebody asked for it, and it does not count.
    pub(crate) fn restart_task(&mut self, reference: &TaskRef, kind: &str, reason: &str) {
        let Some((_, spec)) = self.spec(reference) else {
            return;
        };
        let now = self.now;
        let Some(record) = self
            .task_mut(reference)
            .filter(|record| record.phase == TaskPhase::Running)
        else {
            return;
        };
        record.event(now, kind, reason);
        record.restart_wanted = true;
        self.send_stop(reference, spec.kill_signal.clone(), spec.kill_timeout());
    }

    /// Asks a task to end, in whatever phase it is.
    pub(crate) fn kill_task(&mut self, reference: &TaskRef, signal: String, timeout: Duration) {
        let now = self.now;
        let Some(record) = self.task_mut(reference) else {
            return;
        };
        match record.phase {
            TaskPhase::Running => {
                let text = format!("Sent interrupt. Waiting {timeout} before force killing");
                record.event(now, "Killing", &text);
                self.send_stop(reference, signal, timeout);
                self.report(reference.alloc);
            }
            TaskPhase::Waiting | TaskPhase::Rendering | TaskPhase::Backoff => self.bury(reference),
            TaskPhase::Stopping => record.restart_wanted = false,
            // The driver's answer is under way; what follows from it is decided then.
            TaskPhase::Starting | TaskPhase::Recovering | TaskPhase::Dead => {}
        }
    }

    fn send_stop(&mut self, reference: &TaskRef, signal: String, timeout: Duration) {
        if let Some(record) = self.task_mut(reference) {
            record.phase.on_stop();
            let handle = record.handle.clone();
            self.touch(reference.alloc);
            self.effect(Effect::Stop {
                task: reference.clone(),
                handle,
                signal,
                timeout,
            });
        }
    }

    /// A task that does not run will not run any more.
    pub(crate) fn bury(&mut self, reference: &TaskRef) {
        let now = self.now;
        if let Some(record) = self
            .task_mut(reference)
            .filter(|record| record.phase != TaskPhase::Dead)
        {
            record.end(now);
            self.report(reference.alloc);
        }
    }
}

fn not_restarting(policy: &RestartPolicy) -> String {
    if policy.attempts == 0 {
        return "Policy allows no restarts".into();
    }
    let mode = if policy.fails { "fail" } else { "delay" };
    format!(
        "Exceeded allowed attempts {} in interval {} and mode is \"{mode}\"",
        policy.attempts, policy.interval
    )
}

fn terminated(now: Now, exit: &Exit) -> TaskEvent {
    let mut message = format!("Exit Code: {}", exit.code);
    if exit.signal != 0 {
        message += &format!(", Signal: {}", exit.signal);
    }
    if exit.oom_killed {
        message += ", OOM Killed";
    }
    if !exit.message.is_empty() {
        message += &format!(", Exit Message: \"{}\"", exit.message);
    }
    TaskEvent {
        kind: "Terminated".into(),
        time: now.wall,
        message,
        exit_code: exit.code,
        signal: exit.signal,
        details: [("oom_killed".to_owned(), exit.oom_killed.to_string())].into(),
        ..TaskEvent::default()
    }
}
