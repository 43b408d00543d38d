//! The contract between the agent and a driver.
//!
//! A driver starts, finds again and stops tasks; it decides nothing. Exits, progress and changes of its own health
//! arrive on one channel, in the order they happened.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::mpsc::UnboundedSender;

use crate::error::{ConfigError, DriverError, StartError};
use crate::logs::LogPump;
use crate::signal::Signal;
use crate::task::{TaskId, TaskSpec};

/// Runs tasks on this node.
pub trait Driver: Send + Sync {
    /// The runtime's state as last seen; changes arrive as [`DriverEvent::Health`]. Only the first answer may have to
    /// wait for the runtime, and never for longer than the driver's call time-out.
    fn fingerprint(&self) -> BoxFuture<'_, DriverInfo>;

    /// Checks a `config` block without starting anything.
    ///
    /// # Errors
    /// Names the first key that this driver cannot run. Keys that are accepted without effect come back as warnings.
    fn validate(&self, config: &Map<String, Value>) -> Result<Vec<String>, ConfigError>;

    /// Starts a task, or finds the very same one running already (same allocation, task and spec hash).
    ///
    /// # Errors
    /// Says whether trying again may help.
    fn start<'a>(&'a self, spec: &'a TaskSpec) -> BoxFuture<'a, Result<(Handle, Running), StartError>>;

    /// Finds a task again after the agent restarted; from then on its exit is reported.
    ///
    /// # Errors
    /// The runtime is unavailable; try again when it is healthy.
    fn recover<'a>(
        &'a self,
        handle: &'a Handle,
        spec: &'a TaskSpec,
    ) -> BoxFuture<'a, Result<Recovered, DriverError>>;

    /// Stops a task: `signal` (the driver's own default when `None`), then SIGKILL after `timeout`. Returns when it
    /// has exited; its exit is reported on the channel as any other.
    ///
    /// # Errors
    /// The runtime is unavailable or the task does not die. A task that is gone is no error.
    fn stop<'a>(
        &'a self,
        handle: &'a Handle,
        signal: Option<Signal>,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<(), DriverError>>;

    /// Sends a signal to the task's main process.
    ///
    /// # Errors
    /// The task is gone or the runtime is unavailable.
    fn signal<'a>(&'a self, handle: &'a Handle, signal: Signal) -> BoxFuture<'a, Result<(), DriverError>>;

    /// Destroys what is left of a task, running or not, and finishes its logs. No exit is reported afterwards.
    ///
    /// # Errors
    /// The runtime is unavailable. Removing twice is no error.
    fn remove<'a>(&'a self, handle: &'a Handle) -> BoxFuture<'a, Result<(), DriverError>>;

    /// Every task of this node that the runtime knows, running or not: to rebuild a lost store and to reap orphans.
    ///
    /// # Errors
    /// The runtime is unavailable.
    fn list(&self) -> BoxFuture<'_, Result<Vec<Found>, DriverError>>;

    /// What a running task uses.
    ///
    /// # Errors
    /// The task is gone or its usage is not readable.
    fn stats<'a>(&'a self, handle: &'a Handle) -> BoxFuture<'a, Result<Stats, DriverError>>;
}

/// What a driver is made from.
#[derive(Clone, Debug)]
pub struct DriverContext {
    /// This node's id: tells our tasks from those of another agent on the same box.
    pub node: String,
    /// A directory of the agent's own where a driver may keep files; it survives reboots.
    pub state_dir: PathBuf,
    /// The same in memory, for while that cannot be written.
    pub volatile_dir: PathBuf,
    /// How to run [`crate::supervise::main`]: program and leading arguments.
    pub supervisor: Vec<OsString>,
    /// The operator's options for this driver.
    pub options: Map<String, Value>,
    /// Where events go.
    pub events: UnboundedSender<DriverEvent>,
    /// Writes the log files.
    pub logs: LogPump,
}

/// Enough to find a task again: small, and stored by the agent. Only its own driver reads `state`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handle {
    /// Name of the driver that made it (`podman`, never the alias `docker`).
    pub driver: String,
    /// Whose handle it is.
    pub task: TaskId,
    /// The driver's own notes.
    pub state: String,
}

/// A task that runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Running {
    /// Its main process as the host sees it.
    pub pid: Option<i32>,
    /// Its own address, when it has one beside the node's.
    pub address: Option<IpAddr>,
}

/// What became of a task while the agent was away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recovered {
    /// It runs.
    Running(Running),
    /// It has exited; this exit is not reported on the channel as well.
    Exited(Exit),
    /// Nothing is left of it, or it never ran.
    Gone,
}

/// The end of a task's run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Which task.
    pub task: TaskId,
    /// Exit code, 128 + signal when killed by one; `None` when nobody saw it.
    pub exit_code: Option<i32>,
    /// The signal that killed it; 0 when none did or the runtime does not say.
    pub signal: i32,
    /// The kernel killed it for its memory limit.
    pub oom_killed: bool,
    /// When, as milliseconds of the node's wall clock since 1970: advisory.
    pub time_ms: u64,
}

/// A task that the runtime knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// To recover, stop or remove it.
    pub handle: Handle,
    /// Its job's id.
    pub job: String,
    /// The spec it was started from.
    pub spec_hash: String,
    /// It runs now.
    pub running: bool,
}

/// What a task uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Processor time since the task started, nanoseconds. The agent turns two samples into a rate.
    pub cpu_total_ns: u64,
    /// Memory in use, bytes.
    pub memory_bytes: u64,
}

/// A driver's state as the node reports it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DriverInfo {
    /// The driver's name.
    pub driver: &'static str,
    /// The runtime is installed.
    pub detected: bool,
    /// The runtime works.
    pub healthy: bool,
    /// One sentence for operators.
    pub description: String,
    /// Node attributes, `driver.podman.version` and the like.
    pub attributes: BTreeMap<String, String>,
}

/// What drivers tell the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DriverEvent {
    /// A task has exited.
    Exited(Exit),
    /// Something worth a line among the task's recent events.
    Progress {
        /// Which task.
        task: TaskId,
        /// The type column, as Nomad prints it.
        kind: &'static str,
        /// The description column.
        message: String,
    },
    /// A driver came or went.
    Health(DriverInfo),
}

/// The wall clock, milliseconds since 1970 (0 before it).
pub(crate) fn wall_clock_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
