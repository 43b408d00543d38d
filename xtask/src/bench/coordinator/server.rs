//! The coordinator that is measured: the real program with its real store, on loopback, in a folder of its own.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use holdfast_tests::load::{Load, LoadPlan};
use holdfast_tests::process::binary;
use holdfast_tests::usage::{anonymous_bytes, cpu_time};
use holdfast_tests::{let_pass, wait_for};
use serde_json::Value;
use tempfile::TempDir;

use super::connection::Connection;
use crate::repository::target_dir;

/// How long it may take until it answers.
const START: Duration = Duration::from_secs(20);

/// Memory counts as settled when it has changed by less than this much in so long: the store works on in the background,
/// and a thread gives back what it does not need once it was quiet for a second.
const SETTLE: (u64, Duration) = (256 << 10, Duration::from_secs(3));

/// How often that is looked at, before it is taken as it is.
const LOOKS: usize = 20;

/// A running coordinator; it ends, and its folder goes, with this value.
pub(super) struct Server {
    process: Child,
    folder: TempDir,
    http: SocketAddr,
    mqtt: SocketAddr,
}

impl Server {
    /// Starts a coordinator that knows nothing yet. It logs warnings, as the original did when it was measured.
    pub(super) fn start() -> anyhow::Result<Self> {
        let base = target_dir().join("bench");
        fs::create_dir_all(&base)?;
        let folder = TempDir::new_in(&base)?;
        let ports = folder.path().join("ports.json");
        let mut process = Command::new(binary("holdfast-coordinator")?)
            .arg("--data-dir")
            .arg(folder.path())
            .args(["--http-addr", "127.0.0.1:0", "--mqtt-addr", "127.0.0.1:0"])
            .args(["--log-level", "warn"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(folder.path().join("log"))?)
            .spawn()
            .context("cannot start the coordinator")?;
        let addresses = wait_for("the coordinator to say where it is", START, || {
            ensure!(process.try_wait()?.is_none(), "it has ended");
            let ports: Value = serde_json::from_slice(&fs::read(&ports)?)?;
            let of = |name: &str| -> anyhow::Result<SocketAddr> {
                Ok(ports[name].as_str().context("no address")?.parse()?)
            };
            Ok((of("http")?, of("mqtt")?))
        });
        let (http, mqtt) = addresses.inspect_err(|_| drop(process.kill()))?;
        Ok(Self {
            process,
            folder,
            http,
            mqtt,
        })
    }

    /// A new connection to its HTTP API.
    pub(super) fn connect(&self) -> anyhow::Result<Connection> {
        Connection::open(self.http)
    }

    /// Its folder, and with it the disk that it writes to.
    pub(super) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Simulated nodes with a real connection each, once all of them are in.
    pub(super) fn nodes(&self, nodes: usize, seed: u64, patience: Duration) -> anyhow::Result<Load> {
        let load = Load::start(&LoadPlan {
            broker: self.mqtt,
            nodes,
            keep_alive: Duration::from_secs(120),
            seed,
        })?;
        load.await_all("registered", patience, |figures| figures.registered)?;
        Ok(load)
    }

    /// Memory that no file stands behind, once it does not change any more.
    pub(super) fn memory(&self) -> anyhow::Result<f64> {
        let (little, time) = SETTLE;
        let mut last = anonymous_bytes(self.process.id())?;
        for _ in 0..LOOKS {
            let_pass(time);
            let bytes = anonymous_bytes(self.process.id())?;
            let is_settled = bytes.abs_diff(last) < little;
            last = bytes;
            if is_settled {
                break;
            }
        }
        Ok(last as f64)
    }

    /// Processor time of all its threads so far.
    pub(super) fn cpu_time(&self) -> anyhow::Result<Duration> {
        cpu_time(self.process.id())
    }

    /// Counters of its own, as `/v1/metrics` has them, in the order of `names`.
    pub(super) fn counters<const N: usize>(&self, names: [&str; N]) -> anyhow::Result<[f64; N]> {
        let view = self.connect()?.read("/v1/metrics")?;
        let counters = view["Counters"].as_array().context("no counters")?;
        let of = |name: &str| {
            let found = counters.iter().find(|it| it["Name"] == name);
            found.and_then(|it| it["Sum"].as_f64()).unwrap_or(f64::NAN)
        };
        Ok(names.map(of))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing of it is needed any more.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
