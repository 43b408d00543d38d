//! What the core asks for, done: the one match on [`Effect`].
//!
//! Nothing here waits. What takes time is submitted to the [lanes](crate::lanes) and answers with an [`Input`].

use std::sync::Arc;
use std::time::Duration;

use holdfast_agent_core::{CheckRef, Effect, Exit, Input, Recovery, TaskInput, TaskRef};
use holdfast_drivers::{Driver, DriverError, Handle, Recovered, Running, Signal, TaskSpec};
use holdfast_shared::id::AllocId;

use crate::checks::Probe;
use crate::clock;
use crate::payload;
use crate::runtime::{News, Runtime};
use crate::spec::task_spec;
use crate::templates::Rendering;

/// Pause before a driver that does not answer is asked again.
const DRIVER_RETRY: Duration = Duration::from_secs(2);

/// How long the end of a task that was stopped may take to be seen, before it is taken for granted.
const EXIT_GRACE: Duration = Duration::from_secs(5);

/// How long a task may take to end when its specification, which would say so, is not known any more.
const LEFTOVER_TIMEOUT: Duration = Duration::from_secs(5);

/// The job version of an allocation is not in the store: only a damaged store comes to that, and it is sent again.
const NO_SPEC: &str = "the specification of its job is missing";

impl Runtime {
    /// Does what the core asks for.
    pub(crate) fn execute(&mut self, effect: Effect) {
        tracing::debug!(?effect, "effect");
        match effect {
            // Done before everything else of its batch, by the one who calls this.
            Effect::Persist(_) => {}
            Effect::Publish(message) => self.mqtt.publish(&message),
            Effect::Prepare(alloc) => self.prepare(alloc),
            Effect::Render(task) => self.render(task),
            Effect::Start(task) => self.start(task),
            Effect::Recover(task, handle) => self.recover(task, &handle),
            Effect::Stop {
                task,
                handle,
                signal,
                timeout,
            } => self.stop(task, &handle, &signal, timeout.to_std()),
            Effect::Signal { task, handle, signal } => self.signal(task, &handle, &signal),
            Effect::Remove(task, handle) => self.remove(task, &handle),
            Effect::Sweep(alloc) => self.sweep(alloc),
            Effect::Destroy(alloc) => self.destroy(alloc),
            Effect::Watch(check) => self.watch(check),
            Effect::Unwatch(check) => self.checks.unwatch(&check),
        }
    }

    /// Makes the directories; a few system calls on the local disk are not worth a thread.
    fn prepare(&mut self, alloc: AllocId) {
        let job = self
            .agent
            .alloc(alloc)
            .and_then(|record| Some((record, self.agent.job(record)?)));
        let found = job.and_then(|(record, job)| Some((job, job.group(&record.assigned.group)?)));
        let dir = self.dirs.of(alloc);
        let result = match found {
            Some((job, group)) => dir
                .prepare(group)
                .map_err(|error| error.to_string())
                .and_then(|()| payload::write(&dir, job, group).map_err(|error| error.to_string())),
            None => Err(NO_SPEC.to_owned()),
        };
        self.tell(Input::Prepared(alloc, result));
    }

    fn render(&mut self, task: TaskRef) {
        let rendering = self.rendering(&task);
        let news = self.news.clone();
        self.lanes.submit(task.clone(), async move {
            let run = move || rendering?.run().map_err(|error| error.to_string());
            let result = tokio::task::spawn_blocking(run)
                .await
                .unwrap_or_else(|panic| Err(panic.to_string()));
            let _ = news.send(News::Input(Input::Rendered(task, result)));
        });
    }

    /// Finds out what the templates of a task that was found again ask for: that is stored nowhere. Nothing is written:
    /// so soon after a start, and perhaps without a network, the box may look different from what the task was told.
    pub(crate) fn survey(&mut self, task: TaskRef) {
        let Ok(rendering) = self.rendering(&task) else {
            return;
        };
        let news = self.news.clone();
        self.lanes.submit(task.clone(), async move {
            if let Ok(Ok(rendered)) = tokio::task::spawn_blocking(move || rendering.survey()).await {
                let _ = news.send(News::Input(Input::Rendered(task, Ok(rendered))));
            }
        });
    }

    fn rendering(&self, task: &TaskRef) -> Result<Rendering, String> {
        let now_ms = clock::now().wall.0 / 1_000_000;
        let prepared = self.with_subject(task, |subject, dir| {
            Rendering::new(subject, dir, self.agent.catalog(), now_ms).map_err(|error| error.to_string())
        });
        prepared.unwrap_or_else(|| Err(NO_SPEC.to_owned()))
    }

    fn start(&mut self, task: TaskRef) {
        // Its driver removes what is left of the last run, and must not remove this one later.
        self.held_back
            .retain(|effect| !matches!(effect, Effect::Remove(other, _) if *other == task));
        let prepared = self
            .spec_of(&task)
            .and_then(|spec| Ok((self.driver(&spec.driver)?, spec)));
        let news = self.news.clone();
        self.lanes.submit(task.clone(), async move {
            let input = match prepared {
                Ok((driver, spec)) => started(&*driver, &spec).await,
                Err(message) => TaskInput::StartFailed {
                    message,
                    recoverable: false,
                },
            };
            let _ = news.send(News::Input(Input::Task(task, input)));
        });
    }

    fn recover(&mut self, task: TaskRef, handle: &[u8]) {
        let prepared = self.spec_of(&task);
        let found = self.handle(handle);
        let rebooted = self.rebooted;
        let news = self.news.clone();
        self.lanes.submit(task.clone(), async move {
            let recovery = match (found, prepared) {
                (Some((driver, handle)), Ok(spec)) => match recovered(&*driver, &handle, &spec).await {
                    Recovery::Exited(exit) if rebooted && is_end_of_boot(&exit) => Recovery::Gone,
                    recovery => recovery,
                },
                (_, Err(message)) => Recovery::Unclear(message),
                // Nobody can read the handle any more. Starting the task anew adopts it if it still runs.
                (None, _) => Recovery::Gone,
            };
            let _ = news.send(News::Input(Input::Task(task, TaskInput::Recovered(recovery))));
        });
    }

    fn stop(&mut self, task: TaskRef, handle: &[u8], signal: &str, timeout: Duration) {
        let run = self.runs.ending(&task);
        let found = self.handle(handle);
        let signal = signal.parse::<Signal>().ok();
        let news = self.news.clone();
        self.lanes.submit(task.clone(), async move {
            if let Some((driver, handle)) = found {
                insist(&*driver, &handle, Order::Stop(signal, timeout)).await;
            }
            // Its exit is on the way, by the driver's own channel; unless nobody saw it.
            tokio::spawn(async move {
                tokio::time::sleep(EXIT_GRACE).await;
                let _ = news.send(News::Unseen(task, run));
            });
        });
    }

    fn signal(&mut self, task: TaskRef, handle: &[u8], signal: &str) {
        let (Some((driver, handle)), Ok(signal)) = (self.handle(handle), signal.parse::<Signal>()) else {
            tracing::warn!(%task, signal, "a signal cannot be sent");
            return;
        };
        self.lanes.submit(task.clone(), async move {
            if let Err(error) = driver.signal(&handle, signal).await {
                tracing::warn!(%task, %signal, %error, "a signal was not sent");
            }
        });
    }

    fn remove(&mut self, task: TaskRef, handle: &[u8]) {
        let Some((driver, handle)) = self.handle(handle) else {
            return;
        };
        self.lanes.submit(
            task,
            async move { insist(&*driver, &handle, Order::Remove).await },
        );
    }

    fn sweep(&mut self, alloc: AllocId) {
        let drivers = Arc::clone(&self.drivers);
        self.lanes.submit_after_all(alloc, async move {
            for (_, driver) in drivers.iter() {
                end_leftovers(&**driver, alloc).await;
            }
        });
    }

    /// Removes what is left of an allocation: also a task that still runs although the store has lost all trace of it,
    /// for only an order of the coordinator leads here.
    fn destroy(&mut self, alloc: AllocId) {
        let dir = self.dirs.of(alloc);
        let drivers = Arc::clone(&self.drivers);
        self.lanes.submit_after_all(alloc, async move {
            for (_, driver) in drivers.iter() {
                end_leftovers(&**driver, alloc).await;
            }
            let result = tokio::task::spawn_blocking(move || dir.destroy()).await;
            if let Ok(Err(error)) = result {
                tracing::warn!(alloc = %alloc.short(), %error, "the directories of an allocation cannot be deleted");
            }
        });
    }

    fn watch(&mut self, check: CheckRef) {
        let record = self.agent.alloc(check.alloc);
        let job = record.and_then(|record| Some((record, self.agent.job(record)?)));
        let Some((record, group)) =
            job.and_then(|(record, job)| Some((record, job.group(&record.assigned.group)?)))
        else {
            return;
        };
        match Probe::of(&check, record, group, &self.node.fingerprint) {
            Ok(probe) => self.checks.watch(check, probe, self.news.clone()),
            Err(error) => tracing::warn!(alloc = %check.alloc.short(), %error, "a check cannot be run"),
        }
    }

    /// What the driver of `task` is told; in words why not.
    fn spec_of(&self, task: &TaskRef) -> Result<TaskSpec, String> {
        let spec = self.with_subject(task, |subject, dir| {
            task_spec(subject, dir).map_err(|error| error.to_string())
        });
        spec.unwrap_or_else(|| Err(NO_SPEC.to_owned()))
    }

    fn driver(&self, name: &str) -> Result<Arc<dyn Driver>, String> {
        let kind =
            holdfast_drivers::kind(name).filter(|kind| self.config.drivers.iter().any(|it| it == kind.name));
        let driver = kind.and_then(|kind| self.drivers.find(kind.name));
        driver
            .cloned()
            .ok_or_else(|| format!("this node has no driver {name:?}"))
    }

    /// A stored handle, with the driver that made it; `None` when it cannot be read.
    fn handle(&self, bytes: &[u8]) -> Option<(Arc<dyn Driver>, Handle)> {
        let handle: Handle = serde_json::from_slice(bytes).ok()?;
        let driver = Arc::clone(self.drivers.find(&handle.driver)?);
        Some((driver, handle))
    }
}

async fn started(driver: &dyn Driver, spec: &TaskSpec) -> TaskInput {
    match driver.start(spec).await {
        Ok((handle, running)) => {
            let handle = serde_json::to_vec(&handle).expect("a handle is plain data");
            TaskInput::Started {
                handle,
                address: address(&running),
            }
        }
        Err(error) => TaskInput::StartFailed {
            message: error.message,
            recoverable: error.recoverable,
        },
    }
}

async fn recovered(driver: &dyn Driver, handle: &Handle, spec: &TaskSpec) -> Recovery {
    match driver.recover(handle, spec).await {
        Ok(Recovered::Running(running)) => Recovery::Running {
            address: address(&running),
        },
        Ok(Recovered::Exited(exit)) => Recovery::Exited(exit_of(&exit)),
        Ok(Recovered::Gone) | Err(DriverError::Gone(_) | DriverError::BadHandle(..)) => Recovery::Gone,
        Err(error) => Recovery::Unclear(error.to_string()),
    }
}

/// Whether a task seems to have ended because the box went down: then that is no failure of the task.
fn is_end_of_boot(exit: &Exit) -> bool {
    let signals = [Signal::INT, Signal::KILL, Signal::TERM].map(Signal::number);
    signals.contains(&exit.signal) || signals.contains(&(exit.code - 128))
}

fn address(running: &Running) -> String {
    running.address.map(|ip| ip.to_string()).unwrap_or_default()
}

/// How a task ended, in the core's words.
pub(crate) fn exit_of(exit: &holdfast_drivers::Exit) -> Exit {
    let unknown = exit.exit_code.is_none();
    Exit {
        // What nobody saw cannot be called a success.
        code: exit.exit_code.unwrap_or(-1),
        signal: exit.signal,
        oom_killed: exit.oom_killed,
        message: if unknown {
            "nobody saw its exit code".to_owned()
        } else {
            String::new()
        },
    }
}

/// Ends and removes whatever `driver` still has of an allocation.
async fn end_leftovers(driver: &dyn Driver, alloc: AllocId) {
    let found = loop {
        match driver.list().await {
            Ok(found) => break found,
            // What it runs is looked at when it comes up.
            Err(DriverError::Unavailable { .. }) => return,
            Err(_) => tokio::time::sleep(DRIVER_RETRY).await,
        }
    };
    for task in found
        .into_iter()
        .filter(|task| task.handle.task.alloc == alloc.to_string())
    {
        if task.running {
            insist(driver, &task.handle, Order::Stop(None, LEFTOVER_TIMEOUT)).await;
        }
        insist(driver, &task.handle, Order::Remove).await;
    }
}

/// What a driver is asked to do until it has done it.
#[derive(Debug, Clone, Copy)]
enum Order {
    Stop(Option<Signal>, Duration),
    Remove,
}

/// Gives a driver an order until it is carried out: podman may be away for a while, the order stays.
async fn insist(driver: &dyn Driver, handle: &Handle, order: Order) {
    let mut reported = false;
    loop {
        let result = match order {
            Order::Stop(signal, timeout) => driver.stop(handle, signal, timeout).await,
            Order::Remove => driver.remove(handle).await,
        };
        match result {
            Ok(()) | Err(DriverError::Gone(_) | DriverError::BadHandle(..)) => return,
            Err(error) if !reported => {
                tracing::warn!(task = %handle.task, ?order, %error, "a driver does not do what it should; it is asked again");
                reported = true;
            }
            Err(_) => {}
        }
        tokio::time::sleep(DRIVER_RETRY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_end_of_a_boot_does_to_tasks_is_told_from_their_own_ends() {
        for (code, signal, ended_by_boot) in [
            (0, 0, false),
            (1, 0, false),
            (139, 11, false),
            (143, 15, true),
            (137, 9, true),
            (143, 0, true),
            (0, 2, true),
        ] {
            let exit = Exit {
                code,
                signal,
                ..Exit::default()
            };
            assert_eq!(is_end_of_boot(&exit), ended_by_boot, "{exit:?}");
        }
    }

    #[test]
    fn an_exit_that_nobody_saw_is_no_success() {
        let task = holdfast_drivers::TaskId {
            alloc: String::new(),
            task: String::new(),
        };
        let exit = holdfast_drivers::Exit {
            task,
            exit_code: None,
            signal: 0,
            oom_killed: false,
            time_ms: 0,
        };
        assert_eq!(exit_of(&exit).code, -1);
    }
}
