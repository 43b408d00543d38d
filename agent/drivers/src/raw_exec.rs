//! Tasks that are plain processes of the node (`driver = "raw_exec"`).
//!
//! Each runs under a supervisor of its own ([`crate::supervise`]) that leads a session, with a record in the driver's state
//! directory. The agent holds nothing that a task needs: it waits on pidfds and reads records, the same way for
//! tasks it started and for those it found again.

mod config;

use std::collections::BTreeMap;
use std::io;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::DriverKind;
use crate::driver::{
    Driver, DriverContext, DriverEvent, DriverInfo, Exit, Found, Handle, Recovered, Running, Stats,
    wall_clock_ms,
};
use crate::error::{ConfigError, DriverError, StartError};
use crate::logs::{current_log, output_dropped};
use crate::process::{ProcessId, boot_id, session_usage};
use crate::record::{Record, RecordFile, Records};
use crate::signal::Signal;
use crate::supervise::{Answer, Order};
use crate::task::{TaskId, TaskSpec};
use config::RawExecConfig;

const NAME: &str = "raw_exec";
/// A supervisor only has to start one process.
const START: Duration = Duration::from_secs(10);
/// What the kernel gets to take a killed process down.
const KILL_GRACE: Duration = Duration::from_secs(10);

/// The driver's row in [`crate::DRIVERS`].
pub const KIND: DriverKind = DriverKind {
    name: NAME,
    aliases: &[],
    own_filesystem: false,
    keys: config::KEYS,
    build,
};

fn build(context: DriverContext) -> Result<Arc<dyn Driver>, ConfigError> {
    let enabled = config::enabled(&context.options)?;
    Ok(Arc::new(RawExec {
        context,
        enabled,
        watched: Arc::default(),
    }))
}

/// The exits that are awaited, by task.
type Watched = Arc<Mutex<BTreeMap<TaskId, watch::Receiver<bool>>>>;

struct RawExec {
    context: DriverContext,
    enabled: bool,
    watched: Watched,
}

impl RawExec {
    fn records(&self) -> Records {
        Records {
            lasting: self.context.state_dir.clone(),
            volatile: self.context.volatile_dir.clone(),
        }
    }

    /// The record of a task started since boot or before; `None` when there is none.
    fn record(&self, task: &TaskId) -> Option<Record> {
        self.records().of(task).read()
    }

    /// The record of a task that runs although its file cannot be read, rebuilt from its handle: without it a second copy
    /// would be started beside the first.
    fn rebuilt(&self, handle: &Handle, spec: &TaskSpec) -> Option<Record> {
        let mut words = handle.state.split(' ');
        let main = ProcessId {
            pid: words.next()?.parse().ok()?,
            start_ticks: words.next()?.parse().ok()?,
        };
        let record = Record {
            task: handle.task.clone(),
            job: spec.job.clone(),
            spec_hash: spec.spec_hash.clone(),
            log_dir: (!spec.logs.disabled).then(|| spec.log_dir.clone()),
            boot: words.next()?.to_owned(),
            // It leads the task's session. One that was killed is not waited for.
            supervisor: main.session_leader().unwrap_or(main),
            main,
            exit: None,
        };
        if !is_running(&record) {
            return None;
        }
        // What cannot be written now is rebuilt again by the next agent.
        let _ = self.records().of(&handle.task).write(&record);
        Some(record)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TaskId, watch::Receiver<bool>>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn start_task(&self, spec: &TaskSpec) -> Result<(Handle, Running), StartError> {
        if !self.enabled {
            return Err(StartError::permanent(
                "driver raw_exec is switched off on this node (option `enabled`)",
            ));
        }
        let config = RawExecConfig::read(&spec.config)?;
        spec.stop_signal()?;
        if let Some(record) = self.record(&spec.id) {
            if is_running(&record) && record.spec_hash == spec.spec_hash {
                return Ok(self.adopt(&record, spec));
            }
            self.remove_task(&spec.id).await?;
        }
        let order = self.order(spec, &config)?;
        match self.supervise(&order).await {
            Ok(Answer::Started { record, dropped }) => {
                if let Some(cause) = dropped {
                    let _ = self.context.events.send(output_dropped(&spec.id, &cause));
                }
                Ok(self.adopt(&record, spec))
            }
            Ok(Answer::Failed(problem)) => Err(StartError::permanent(problem)),
            Err(error) => Err(StartError::recoverable(format!(
                "cannot start a supervisor: {error}"
            ))),
        }
    }

    fn order(&self, spec: &TaskSpec, config: &RawExecConfig) -> Result<Order, StartError> {
        let logs = ["stdout", "stderr"].map(|stream| current_log(&spec.log_dir, &spec.id.task, stream));
        Ok(Order {
            record: self.records().of(&spec.id),
            task: spec.id.clone(),
            job: spec.job.clone(),
            spec_hash: spec.spec_hash.clone(),
            program: config.program(spec)?,
            args: config.args.clone(),
            env: config.environment(spec),
            work_dir: config.work_dir(spec),
            user: spec.user.as_deref().map(config::user_ids).transpose()?,
            logs: (!spec.logs.disabled).then_some(logs),
            oom_score_adj: config.oom_score_adj,
        })
    }

    async fn supervise(&self, order: &Order) -> io::Result<Answer> {
        let [program, arguments @ ..] = self.context.supervisor.as_slice() else {
            return Err(io::Error::other("the agent names no supervisor program"));
        };
        let mut child = Command::new(program)
            .args(arguments)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        // Only to reap it: its end is seen through its pidfd, as after a restart of the agent.
        tokio::spawn(async move { child.wait().await });
        let exchange = async {
            let mut stdin = stdin.ok_or(io::ErrorKind::BrokenPipe)?;
            stdin.write_all(&serde_json::to_vec(order)?).await?;
            drop(stdin);
            let mut line = String::new();
            BufReader::new(stdout.ok_or(io::ErrorKind::BrokenPipe)?)
                .read_line(&mut line)
                .await?;
            Ok(serde_json::from_str(&line)?)
        };
        timeout(START, exchange)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Reports the task's exit from now on.
    fn adopt(&self, record: &Record, spec: &TaskSpec) -> (Handle, Running) {
        if !spec.logs.disabled {
            self.context.logs.rotate_live(&spec.id, &spec.log_dir, &spec.logs);
        }
        let mut watched = self.lock();
        if watched
            .get(&spec.id)
            .is_none_or(|exited| exited.has_changed().is_err())
        {
            let (done, exited) = watch::channel(false);
            watched.insert(spec.id.clone(), exited);
            let (record, file) = (record.clone(), self.records().of(&spec.id));
            let (events, watched) = (self.context.events.clone(), self.watched.clone());
            tokio::spawn(async move {
                let exit = wait_for_exit(record, &file).await;
                let mut watched = watched.lock().unwrap_or_else(PoisonError::into_inner);
                // A task that was removed meanwhile has nothing to report any more.
                if watched.remove(&exit.task).is_some() {
                    let _ = events.send(DriverEvent::Exited(exit));
                }
                let _ = done.send(true);
            });
        }
        (
            handle(record),
            Running {
                pid: Some(record.main.pid),
                address: None,
            },
        )
    }

    async fn stop_task(&self, task: &TaskId, signal: Signal, patience: Duration) -> Result<(), DriverError> {
        let Some(record) = self.record(task).filter(is_running) else {
            return Ok(());
        };
        let done = self.lock().get(task).cloned();
        for (signal, patience) in [(signal, patience), (Signal::KILL, KILL_GRACE)] {
            match record.main.signal_group(signal) {
                Ok(()) => {}
                Err(error) if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => {}
                Err(error) => return Err(DriverError::io(format!("send {signal} to task {task}"), error)),
            }
            if timeout(patience, gone(&record, done.clone())).await.is_ok() {
                return Ok(());
            }
        }
        Err(DriverError::Unkillable(task.to_string()))
    }

    async fn remove_task(&self, task: &TaskId) -> Result<(), DriverError> {
        self.lock().remove(task);
        self.stop_task(task, Signal::KILL, KILL_GRACE).await?;
        self.context.logs.finish(task).await;
        self.records()
            .of(task)
            .remove()
            .map_err(|error| DriverError::io(format!("remove the record of task {task}"), error))
    }

    fn list_tasks(&self) -> Vec<Found> {
        self.records()
            .list()
            .into_iter()
            .map(|record| Found {
                handle: handle(&record),
                running: is_running(&record),
                job: record.job,
                spec_hash: record.spec_hash,
            })
            .collect()
    }
}

impl Driver for RawExec {
    fn fingerprint(&self) -> BoxFuture<'_, DriverInfo> {
        let description = if self.enabled {
            "Healthy"
        } else {
            "switched off by the option `enabled`"
        };
        let attributes = self
            .enabled
            .then(|| ("driver.raw_exec".to_owned(), "1".to_owned()));
        let info = DriverInfo {
            driver: NAME,
            detected: self.enabled,
            healthy: self.enabled,
            description: description.to_owned(),
            attributes: attributes.into_iter().collect(),
        };
        std::future::ready(info).boxed()
    }

    fn validate(&self, config: &Map<String, Value>) -> Result<Vec<String>, ConfigError> {
        RawExecConfig::read(config).map(|config| config.warnings)
    }

    fn start<'a>(&'a self, spec: &'a TaskSpec) -> BoxFuture<'a, Result<(Handle, Running), StartError>> {
        self.start_task(spec).boxed()
    }

    fn recover<'a>(
        &'a self,
        handle: &'a Handle,
        spec: &'a TaskSpec,
    ) -> BoxFuture<'a, Result<Recovered, DriverError>> {
        let record = self.record(&handle.task).or_else(|| self.rebuilt(handle, spec));
        let recovered = match record {
            Some(record) if is_running(&record) => Recovered::Running(self.adopt(&record, spec).1),
            // One of an earlier run says nothing of this one: the disk may not have taken a newer one.
            Some(record) if record.exit.is_some() && self::handle(&record) == *handle => {
                Recovered::Exited(exit(&record))
            }
            // It was running when the box or its supervisor went down.
            _ => Recovered::Gone,
        };
        std::future::ready(Ok(recovered)).boxed()
    }

    fn stop<'a>(
        &'a self,
        handle: &'a Handle,
        signal: Option<Signal>,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<(), DriverError>> {
        self.stop_task(&handle.task, signal.unwrap_or(Signal::INT), timeout)
            .boxed()
    }

    fn signal<'a>(&'a self, handle: &'a Handle, signal: Signal) -> BoxFuture<'a, Result<(), DriverError>> {
        let task = &handle.task;
        let result = match self.record(task).filter(is_running) {
            Some(record) => record
                .main
                .signal(signal)
                .map_err(|error| DriverError::io(format!("send {signal} to task {task}"), error)),
            None => Err(DriverError::Gone(task.to_string())),
        };
        std::future::ready(result).boxed()
    }

    fn remove<'a>(&'a self, handle: &'a Handle) -> BoxFuture<'a, Result<(), DriverError>> {
        self.remove_task(&handle.task).boxed()
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<Found>, DriverError>> {
        std::future::ready(Ok(self.list_tasks())).boxed()
    }

    fn stats<'a>(&'a self, handle: &'a Handle) -> BoxFuture<'a, Result<Stats, DriverError>> {
        let stats = match self.record(&handle.task).filter(is_running) {
            Some(record) => {
                let (ticks, pages) = session_usage(record.main.pid, record.supervisor.pid);
                let hertz = rustix::param::clock_ticks_per_second();
                Ok(Stats {
                    cpu_total_ns: ticks * (1_000_000_000 / hertz.max(1)),
                    memory_bytes: pages * rustix::param::page_size() as u64,
                })
            }
            None => Err(DriverError::Gone(handle.task.to_string())),
        };
        std::future::ready(stats).boxed()
    }
}

fn handle(record: &Record) -> Handle {
    let state = format!("{} {} {}", record.main.pid, record.main.start_ticks, record.boot);
    Handle {
        driver: NAME.to_owned(),
        task: record.task.clone(),
        state,
    }
}

fn is_running(record: &Record) -> bool {
    record.exit.is_none() && record.boot == boot_id() && record.main.is_alive()
}

/// Waits for the supervisor, and for the task itself should the supervisor be killed before it.
async fn wait_for_exit(record: Record, file: &RecordFile) -> Exit {
    record.supervisor.exited().await;
    record.main.exited().await;
    exit(
        &file
            .read()
            .filter(|written| written.main == record.main)
            .unwrap_or(record),
    )
}

/// Resolves when the task is gone, its supervisor's work included.
async fn gone(record: &Record, done: Option<watch::Receiver<bool>>) {
    match done {
        Some(mut done) => drop(done.wait_for(|done| *done).await),
        None => {
            record.supervisor.exited().await;
            record.main.exited().await;
        }
    }
}

fn exit(record: &Record) -> Exit {
    Exit {
        task: record.task.clone(),
        exit_code: record.exit.map(|status| status.code),
        signal: record.exit.map_or(0, |status| status.signal),
        oom_killed: false,
        time_ms: record.exit.map_or_else(wall_clock_ms, |status| status.time_ms),
    }
}
