//! Tasks in containers (`driver = "podman"`, and `"docker"`, which runs here unchanged), through podman's libpod socket.
//!
//! Containers carry labels that name node, allocation, task and spec, so that a restarted agent adopts them and orphans
//! are found. Every request has a time-out; podman absent or hanging makes the driver unhealthy and nothing
//! else, and it comes back by itself.

mod client;
mod config;
mod container;
mod http;
mod images;
mod keys;
mod passthrough;
mod pod;
mod watch;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value};
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use crate::DriverKind;
use crate::cgroup::Cgroup;
use crate::config::{ConfigKey, Section};
use crate::driver::{
    Driver, DriverContext, DriverEvent, DriverInfo, Found, Handle, Recovered, Running, Stats,
};
use crate::error::{ConfigError, DriverError, StartError};
use crate::logs::{LogPump, make_spool, output_dropped};
use crate::signal::Signal;
use crate::task::{TaskId, TaskSpec};
use client::{ContainerState, start_error};
use config::PodmanConfig;
use container::label;
use watch::{Health, Tracked};

const NAME: &str = "podman";
const DEFAULT_SOCKET: &str = "/run/podman/podman.sock";
const CALL_TIMEOUT: i64 = 30;
/// What podman gets to take a killed container down.
const KILL_GRACE: Duration = Duration::from_secs(10);
/// How often a container that is not tracked is looked at while it stops.
const ORPHAN_LOOK: Duration = Duration::from_millis(250);

/// The driver's row in [`crate::DRIVERS`].
pub const KIND: DriverKind = DriverKind {
    name: NAME,
    aliases: &["docker"],
    own_filesystem: true,
    keys: keys::KEYS,
    build,
};

const OPTIONS: &[ConfigKey] = &[
    ConfigKey::full(
        "socket",
        "path of podman's libpod socket; /run/podman/podman.sock by default",
    ),
    ConfigKey::full(
        "call_timeout",
        "seconds after which podman counts as hanging; 30 by default",
    ),
];

fn build(context: DriverContext) -> Result<Arc<dyn Driver>, ConfigError> {
    let options = Section::root(&context.options);
    options.check(OPTIONS)?;
    let socket = PathBuf::from(
        options
            .string("socket")?
            .unwrap_or_else(|| DEFAULT_SOCKET.to_owned()),
    );
    let seconds = options.integer("call_timeout")?.unwrap_or(CALL_TIMEOUT);
    let seconds = u64::try_from(seconds).ok().filter(|seconds| *seconds > 0);
    let call_timeout = seconds.ok_or_else(|| options.error("call_timeout", "must be at least 1"))?;
    let podman = Arc::new(Podman {
        node: context.node,
        socket,
        call_timeout: Duration::from_secs(call_timeout),
        events: context.events,
        logs: context.logs,
        tracked: Mutex::default(),
        pulls: Mutex::default(),
        pods: tokio::sync::Mutex::default(),
        doubt: Notify::default(),
        health: tokio::sync::watch::Sender::default(),
    });
    let watch = tokio::spawn(podman.clone().watch()).abort_handle();
    Ok(Arc::new(PodmanDriver { podman, watch }))
}

/// The driver as the agent holds it; dropping it ends the watching, not the tasks.
struct PodmanDriver {
    podman: Arc<Podman>,
    watch: AbortHandle,
}

impl Drop for PodmanDriver {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

/// The connection to one podman service.
struct Podman {
    node: String,
    socket: PathBuf,
    call_timeout: Duration,
    events: UnboundedSender<DriverEvent>,
    logs: LogPump,
    /// By container id.
    tracked: Mutex<BTreeMap<String, Tracked>>,
    /// The downloads under way, by image.
    pulls: Mutex<BTreeMap<String, Weak<tokio::sync::Mutex<()>>>>,
    /// Held while a group's network is made or taken down.
    pods: tokio::sync::Mutex<()>,
    /// Somebody has reason to believe that podman hangs.
    doubt: Notify,
    health: tokio::sync::watch::Sender<Health>,
}

impl Podman {
    fn tracked(&self) -> MutexGuard<'_, BTreeMap<String, Tracked>> {
        self.tracked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, event: DriverEvent) {
        // Nobody listens any more only when the agent is ending.
        let _ = self.events.send(event);
    }

    fn progress(&self, task: &TaskId, message: &str) {
        self.send(DriverEvent::Progress {
            task: task.clone(),
            kind: "Driver",
            message: message.to_owned(),
        });
    }

    async fn start_task(self: &Arc<Self>, spec: &TaskSpec) -> Result<(Handle, Running), StartError> {
        let config = PodmanConfig::read(&spec.config)?;
        let image = self.image(&spec.id, &config.image).await?;
        let spec = &*self.loggable(spec, &config);
        let body = container::container(spec, &config, &image, &self.node)?;
        let name = spec.id.to_string();
        if let Some(old) = self.inspect(&name).await? {
            if old.is_running() && old.labels.get(label::SPEC) == Some(&spec.spec_hash) {
                self.adopt(spec, &old);
                return Ok((handle(&spec.id, &old.id), old.running()));
            }
            self.delete(&old.id).await?;
            self.logs.finish(&spec.id).await;
        }
        let id = self.create_in_group(spec, &config, &body).await?;
        match self.launch(spec, &config, &id).await {
            Ok(state) => Ok((handle(&spec.id, &id), state.running())),
            Err(error) => {
                self.forget(&id);
                // What cannot be removed now is removed before the next start.
                let _ = self.delete(&id).await;
                let _ = self.remove_unused_pod(&spec.id.alloc).await;
                self.logs.finish(&spec.id).await;
                Err(error)
            }
        }
    }

    /// The task as it can be run: without log files where they cannot be written, because podman would not start it.
    fn loggable<'a>(&self, spec: &'a TaskSpec, config: &PodmanConfig) -> Cow<'a, TaskSpec> {
        if !container::has_log_files(spec, config) {
            return Cow::Borrowed(spec);
        }
        let Err(error) = make_spool(&spec.log_dir, &spec.id.task) else {
            return Cow::Borrowed(spec);
        };
        let cause = format!("cannot write to {}: {error}", spec.log_dir.display());
        self.send(output_dropped(&spec.id, &cause));
        let mut silent = spec.clone();
        silent.logs.disabled = true;
        Cow::Owned(silent)
    }

    /// Starts a created container.
    async fn launch(
        self: &Arc<Self>,
        spec: &TaskSpec,
        config: &PodmanConfig,
        id: &str,
    ) -> Result<ContainerState, StartError> {
        if container::has_log_files(spec, config) {
            self.logs.copy_spool(&spec.id, &spec.log_dir, &spec.logs);
        }
        self.tracked()
            .insert(id.to_owned(), Tracked::new(spec.id.clone()));
        let started = self
            .call("start the container", self.api().containers().get(id).start(None))
            .await;
        match started {
            Ok(()) => {}
            Err(DriverError::Refused { message, .. }) => {
                return Err(start_error("start the container", &message));
            }
            Err(error) => return Err(error.into()),
        }
        let state = self.inspect(id).await?;
        let state =
            state.ok_or_else(|| StartError::recoverable("the container vanished while it was started"))?;
        self.watch_process(&state);
        Ok(state)
    }

    /// Reports the exit of a container that was seen running, and continues its logs.
    fn adopt(self: &Arc<Self>, spec: &TaskSpec, state: &ContainerState) {
        if PodmanConfig::read(&spec.config).is_ok_and(|config| container::has_log_files(spec, &config)) {
            self.logs.copy_spool(&spec.id, &spec.log_dir, &spec.logs);
        }
        let new = || Tracked::new(spec.id.clone());
        self.tracked().entry(state.id.clone()).or_insert_with(new);
        // From here on events are heeded, and what happened since it was seen is found out now.
        self.watch_process(state);
    }

    async fn recover_task(
        self: &Arc<Self>,
        handle: &Handle,
        spec: &TaskSpec,
    ) -> Result<Recovered, DriverError> {
        let Some(state) = self.inspect(&handle.state).await? else {
            return Ok(Recovered::Gone);
        };
        if state.is_running() {
            self.adopt(spec, &state);
            return Ok(Recovered::Running(state.running()));
        }
        self.forget(&handle.state);
        // Otherwise it was created but never started, or reset by a reboot.
        Ok(if state.is_over() {
            Recovered::Exited(state.exit(&handle.task, false))
        } else {
            Recovered::Gone
        })
    }

    fn forget(&self, id: &str) {
        self.tracked().remove(id);
    }

    async fn stop_task(
        &self,
        handle: &Handle,
        signal: Option<Signal>,
        patience: Duration,
    ) -> Result<(), DriverError> {
        let id = handle.state.as_str();
        let Some(state) = self.inspect(id).await?.filter(ContainerState::is_running) else {
            return Ok(());
        };
        let signal = signal.or(state.stop_signal).unwrap_or(Signal::TERM);
        for (signal, patience) in [(signal, patience), (Signal::KILL, KILL_GRACE)] {
            match self.kill(id, signal).await {
                // It ended between the two requests.
                Err(DriverError::Gone(_) | DriverError::Refused { .. }) if !self.runs(id).await? => {
                    return Ok(());
                }
                sent => sent?,
            }
            if timeout(patience, self.gone(handle)).await.is_ok() {
                return Ok(());
            }
            if !self.runs(id).await? {
                return Ok(());
            }
        }
        Err(DriverError::Unkillable(handle.task.to_string()))
    }

    /// Resolves when the container has exited.
    async fn gone(&self, handle: &Handle) {
        let exit = self
            .tracked()
            .get(&handle.state)
            .map(|tracked| tracked.exit.subscribe());
        match exit {
            Some(mut exit) => drop(exit.wait_for(Option::is_some).await),
            // Somebody stops an orphan, whose events nobody hears.
            None => {
                while !matches!(self.runs(&handle.state).await, Ok(false)) {
                    sleep(ORPHAN_LOOK).await;
                }
            }
        }
    }

    async fn remove_task(&self, handle: &Handle) -> Result<(), DriverError> {
        self.forget(&handle.state);
        self.delete(&handle.state).await?;
        self.remove_unused_pod(&handle.task.alloc).await?;
        self.logs.finish(&handle.task).await;
        Ok(())
    }

    async fn list_tasks(&self) -> Result<Vec<Found>, DriverError> {
        let found = self.containers().await?.into_iter().filter_map(|container| {
            let labels = container.labels?;
            let text = |name: &str| labels.get(name).cloned().unwrap_or_default();
            let task = TaskId {
                alloc: text(label::ALLOC),
                task: text(label::TASK),
            };
            Some(Found {
                handle: handle(&task, &container.id?),
                job: text(label::JOB),
                spec_hash: text(label::SPEC),
                running: container.state.as_deref() == Some("running"),
            })
        });
        Ok(found.collect())
    }

    async fn usage(&self, handle: &Handle) -> Result<Stats, DriverError> {
        let gone = || DriverError::Gone(handle.task.to_string());
        let state = self.inspect(&handle.state).await?.ok_or_else(gone)?;
        state
            .pid
            .and_then(|pid| Cgroup::of(pid)?.stats())
            .ok_or_else(gone)
    }
}

impl Driver for PodmanDriver {
    fn fingerprint(&self) -> BoxFuture<'_, DriverInfo> {
        self.podman.fingerprint().boxed()
    }

    fn validate(&self, config: &Map<String, Value>) -> Result<Vec<String>, ConfigError> {
        PodmanConfig::read(config).map(|config| config.warnings)
    }

    fn start<'a>(&'a self, spec: &'a TaskSpec) -> BoxFuture<'a, Result<(Handle, Running), StartError>> {
        self.podman.start_task(spec).boxed()
    }

    fn recover<'a>(
        &'a self,
        handle: &'a Handle,
        spec: &'a TaskSpec,
    ) -> BoxFuture<'a, Result<Recovered, DriverError>> {
        self.podman.recover_task(handle, spec).boxed()
    }

    fn stop<'a>(
        &'a self,
        handle: &'a Handle,
        signal: Option<Signal>,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<(), DriverError>> {
        self.podman.stop_task(handle, signal, timeout).boxed()
    }

    fn signal<'a>(&'a self, handle: &'a Handle, signal: Signal) -> BoxFuture<'a, Result<(), DriverError>> {
        self.podman.kill(&handle.state, signal).boxed()
    }

    fn remove<'a>(&'a self, handle: &'a Handle) -> BoxFuture<'a, Result<(), DriverError>> {
        self.podman.remove_task(handle).boxed()
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<Found>, DriverError>> {
        self.podman.list_tasks().boxed()
    }

    fn stats<'a>(&'a self, handle: &'a Handle) -> BoxFuture<'a, Result<Stats, DriverError>> {
        self.podman.usage(handle).boxed()
    }
}

fn handle(task: &TaskId, id: &str) -> Handle {
    Handle {
        driver: NAME.to_owned(),
        task: task.clone(),
        state: id.to_owned(),
    }
}
