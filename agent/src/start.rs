//! How an agent comes up: from its settings to a running loop, whatever is missing on the way.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use holdfast_agent_core::Agent;
use holdfast_drivers::{DRIVERS, Drivers};
use rustix::fs::FlockOperation;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::checks::Checks;
use crate::config::Config;
use crate::fingerprint::Observer;
use crate::identity::Identity;
use crate::lanes::Lanes;
use crate::mqtt::{Mqtt, MqttConfig};
use crate::runs::Runs;
use crate::runtime::{Runtime, Streams};
use crate::store::{Loaded, Opened, Place, Store, Writer};
use crate::taskdir::AllocDirs;
use crate::taskenv::NodeView;
use crate::tls::TlsError;
use crate::{clock, entropy, local};

/// The hidden subcommand that runs the supervisor of one raw_exec task.
pub const SUPERVISE: &str = "supervise";

/// Why an agent does not start: only for what its operator must change.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another agent has the directory.
    #[error("another agent runs with data_dir {0:?}: stop it, or choose another directory")]
    Busy(PathBuf),
    /// The directory cannot be used at all.
    #[error("data_dir {path:?} cannot be used")]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// TLS is asked for and cannot be had.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A driver does not understand its options.
    #[error("a driver cannot be made")]
    Driver(#[from] holdfast_drivers::ConfigError),
    /// The operating system has no thread for the store.
    #[error("the store gets no thread")]
    Thread(#[source] io::Error),
    /// The operating system has no signals for us.
    #[error("signals cannot be received")]
    Signals(#[source] io::Error),
}

/// Runs an agent until it is asked to end by SIGTERM or SIGINT. Must be called inside a tokio runtime.
///
/// # Errors
/// Only when the operator must change something: everything else is worked around.
pub async fn run(config: Config) -> Result<(), StartError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(StartError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(StartError::Signals)?;
    let _lock = lock(&config.data_dir)?;
    let (identity, unwritten) = Identity::load(&config.data_dir, config.node_id);
    if let Some(error) = unwritten {
        tracing::error!(%error, "the node's identity cannot be kept; after a restart it may be another node");
    }
    let (store, loaded) = Store::open(place(&config, &identity));
    report(&loaded, &identity);
    let (runtime, streams) = assemble(config, &identity, store, loaded).await?;
    let stop = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    runtime.run(streams, stop).await;
    Ok(())
}

/// Puts the agent together and takes up what the store holds.
async fn assemble(
    config: Config,
    identity: &Identity,
    store: Store,
    loaded: Loaded,
) -> Result<(Runtime, Streams), StartError> {
    let (driver_events, drivers_in) = mpsc::unbounded_channel();
    let (mqtt_events, mqtt_in) = mpsc::channel(64);
    let (news, news_in) = mpsc::unbounded_channel();
    let (requests, local_in) = mpsc::channel(16);
    let drivers = Drivers::build(&driver_settings(&config, identity), &driver_events)?;
    let mqtt = Mqtt::start(mqtt_config(&config, identity), identity.sessions(), mqtt_events)?;
    if let Err(error) = local::listen(&config.socket, requests) {
        tracing::error!(path = %config.socket.display(), %error, "the local socket cannot be opened");
    }
    let config = Arc::new(config);
    let observer = Observer::new(Arc::clone(&config));
    let boot_id = clock::boot_id();
    let same_boot = !boot_id.is_empty() && boot_id == loaded.boot_id;
    let (agent, effects) = Agent::restore(entropy::seed(), loaded.state, same_boot, clock::now());
    // Tasks may start before the drivers have said anything; the addresses are known at once.
    let mut fingerprint = observer.look();
    fingerprint.change_meta(agent.meta());
    let mut runtime = Runtime {
        agent,
        node: NodeView {
            id: identity.id,
            region: config.region.clone(),
            fingerprint: Arc::new(fingerprint),
        },
        store: Writer::start(store).map_err(StartError::Thread)?,
        mqtt,
        drivers: Arc::new(drivers),
        dirs: AllocDirs::new(&config.data_dir),
        config,
        lanes: Lanes::default(),
        checks: Checks::default(),
        runs: Runs::default(),
        held_back: Vec::new(),
        news,
        observer,
        rebooted: !same_boot,
        coordinator: String::new(),
    };
    runtime.perform(effects).await;
    // Only now do the monotonic times in the store belong to this boot.
    if !same_boot {
        runtime.store.set_boot_id(&boot_id).await;
    }
    let streams = Streams {
        mqtt: mqtt_in,
        drivers: drivers_in,
        news: news_in,
        local: local_in,
    };
    Ok((runtime, streams))
}

fn place(config: &Config, identity: &Identity) -> Place {
    Place {
        data_dir: config.data_dir.clone(),
        volatile_dir: run_dir(config).join(format!("state-{}", identity.id.short())),
    }
}

/// A directory in memory.
fn run_dir(config: &Config) -> &Path {
    config.socket.parent().unwrap_or_else(|| Path::new("/run"))
}

/// Keeps a second agent out of `dir`, for as long as the answer lives. Works on a disk that cannot be written, too.
fn lock(dir: &Path) -> Result<File, StartError> {
    let unusable = |source| StartError::DataDir {
        path: dir.to_owned(),
        source,
    };
    if !dir.is_dir() {
        fs::create_dir_all(dir).map_err(unusable)?;
        fs::set_permissions(dir, Permissions::from_mode(0o711)).map_err(unusable)?;
    }
    let file = File::open(dir).map_err(unusable)?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(StartError::Busy(dir.to_owned())),
        Err(error) => Err(unusable(error.into())),
    }
}

fn report(loaded: &Loaded, identity: &Identity) {
    let allocs = loaded.state.allocs.len();
    match &loaded.opened {
        Opened::Clean => tracing::info!(node = %identity.id, allocs, "the agent starts"),
        Opened::Repaired { lost_records } => {
            tracing::warn!(node = %identity.id, allocs, lost_records, "the agent starts with a repaired store; what it may have lost is asked for");
        }
        Opened::Quarantined(path) => tracing::error!(
            node = %identity.id,
            path = %path.display(),
            "the store is damaged beyond repair and was put aside; tasks that run are left alone until they are assigned again"
        ),
        Opened::Volatile => {
            tracing::error!(node = %identity.id, allocs, "the disk cannot be written; changes are kept in memory");
        }
    }
}

fn driver_settings(config: &Config, identity: &Identity) -> holdfast_drivers::Settings {
    let mut options = BTreeMap::new();
    for kind in DRIVERS {
        let wanted = config.drivers.iter().any(|name| name == kind.name);
        let given = match kind.name {
            "podman" => json!({"socket": config.podman_socket.to_string_lossy()}),
            "raw_exec" => json!({"enabled": wanted}),
            _ => continue,
        };
        options.insert(
            kind.name.to_owned(),
            given.as_object().cloned().unwrap_or_default(),
        );
    }
    holdfast_drivers::Settings {
        node: identity.id.to_string(),
        state_dir: config.data_dir.join("drivers"),
        volatile_dir: run_dir(config).join(format!("drivers-{}", identity.id.short())),
        supervisor: supervisor(),
        options,
    }
}

fn mqtt_config(config: &Config, identity: &Identity) -> MqttConfig {
    MqttConfig {
        node: identity.id,
        secret: identity.secret.clone(),
        enrolment_token: config.enrolment_token.clone(),
        coordinators: config.coordinators.clone(),
        keep_alive: config.keep_alive,
        ca_file: config.ca_file.clone(),
    }
}

/// This very program, as a path that lasts: a supervisor outlives the agent that started it.
fn supervisor() -> Vec<OsString> {
    let program = std::env::current_exe().unwrap_or_else(|_| "/proc/self/exe".into());
    vec![program.into_os_string(), SUPERVISE.into()]
}
