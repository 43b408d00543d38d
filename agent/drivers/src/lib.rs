//! Task drivers of the agent: `podman` (which also runs `driver = "docker"`) and `raw_exec`, and the tasks' log files.
//!
//! A driver is one file `src/NAME.rs` and one row in [`DRIVERS`]. This crate knows how to run, find again and end
//! a task; it knows neither jobs nor policies: whether a task is restarted is the agent core's business.

pub mod config;
pub mod driver;
pub mod error;
pub mod logs;
pub mod podman;
pub mod raw_exec;
mod record;
pub mod signal;
pub mod supervise;
pub mod task;
#[cfg(feature = "testing")]
pub mod testing;

mod cgroup;
mod process;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Map, Value};
use tokio::sync::mpsc::UnboundedSender;

pub use config::{ConfigKey, Support};
pub use driver::{
    Driver, DriverContext, DriverEvent, DriverInfo, Exit, Found, Handle, Recovered, Running, Stats,
};
pub use error::{ConfigError, DriverError, StartError};
pub use logs::LogPump;
pub use signal::{Signal, UnknownSignal};
pub use task::{LogLimits, Mount, NetworkMode, Port, Resources, TaskId, TaskSpec};

/// A driver that this build has.
#[derive(Debug)]
pub struct DriverKind {
    /// Its name in job files and handles.
    pub name: &'static str,
    /// Other names in job files.
    pub aliases: &'static [&'static str],
    /// Tasks see `/alloc`, `/local` and `/secrets` instead of host paths.
    pub own_filesystem: bool,
    /// Every key of its `config` block; documentation is printed from it.
    pub keys: &'static [ConfigKey],
    /// Makes the driver. Must be called inside a tokio runtime.
    pub build: fn(DriverContext) -> Result<Arc<dyn Driver>, ConfigError>,
}

/// The drivers of this build.
pub const DRIVERS: &[DriverKind] = &[podman::KIND, raw_exec::KIND];

/// The driver that runs tasks of the given name, aliases included.
pub fn kind(name: &str) -> Option<&'static DriverKind> {
    DRIVERS
        .iter()
        .find(|kind| kind.name == name || kind.aliases.contains(&name))
}

/// What all drivers are made from.
#[derive(Clone, Debug)]
pub struct Settings {
    /// This node's id.
    pub node: String,
    /// The agent's directory for driver state; each driver gets a folder in it.
    pub state_dir: PathBuf,
    /// The same in memory, for while that cannot be written.
    pub volatile_dir: PathBuf,
    /// How to run [`supervise::main`]: program and leading arguments.
    pub supervisor: Vec<OsString>,
    /// The operator's options by driver name.
    pub options: BTreeMap<String, Map<String, Value>>,
}

/// The drivers of one agent by name.
pub struct Drivers(BTreeMap<&'static str, Arc<dyn Driver>>);

impl Drivers {
    /// Makes every driver of [`DRIVERS`]. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// An option that a driver does not understand, or options for a driver that does not exist.
    pub fn build(settings: &Settings, events: &UnboundedSender<DriverEvent>) -> Result<Self, ConfigError> {
        if let Some(name) = settings.options.keys().find(|name| kind(name).is_none()) {
            let known: Vec<_> = DRIVERS.iter().map(|kind| kind.name).collect();
            return Err(ConfigError::new(
                name,
                format!("no such driver; there are {}", known.join(", ")),
            ));
        }
        let logs = LogPump::default();
        let mut drivers = BTreeMap::new();
        for kind in DRIVERS {
            let names = std::iter::once(&kind.name).chain(kind.aliases);
            let options = names.filter_map(|name| settings.options.get(*name)).next();
            let context = DriverContext {
                node: settings.node.clone(),
                state_dir: settings.state_dir.join(kind.name),
                volatile_dir: settings.volatile_dir.join(kind.name),
                supervisor: settings.supervisor.clone(),
                options: options.cloned().unwrap_or_default(),
                events: events.clone(),
                logs: logs.clone(),
            };
            drivers.insert(kind.name, (kind.build)(context)?);
        }
        Ok(Self(drivers))
    }

    /// The driver for a task's `driver` or a handle's.
    pub fn find(&self, name: &str) -> Option<&Arc<dyn Driver>> {
        self.0.get(kind(name)?.name)
    }

    /// Every driver with its name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Arc<dyn Driver>)> {
        self.0.iter().map(|(name, driver)| (*name, driver))
    }
}
