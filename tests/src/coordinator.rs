//! A real coordinator: how it is started, asked and ended.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rustix::process::Signal;
use serde_json::Value;

use crate::edgectl::Edgectl;
use crate::fleet::Fleet;
use crate::http::{HttpResponse, http_request};
use crate::machine::Machine;
use crate::process::{binary, log_level, pretend, seconds};
use crate::program::Program;
use crate::wait::wait_for;

/// Port of the coordinator's HTTP API.
const HTTP_PORT: u16 = 4646;

/// Port of the coordinator's broker.
pub(crate) const MQTT_PORT: u16 = 1883;

/// How long a freshly started binary may take until it answers.
const START: Duration = Duration::from_secs(20);

/// How a coordinator is started.
#[derive(Debug, Clone)]
pub struct CoordinatorPlan {
    /// Added to the heartbeat time before a silent node counts as gone.
    pub heartbeat_grace: Duration,
    /// URL of a broker to use in place of its own.
    pub external_broker: Option<String>,
    /// Further flags, as typed.
    pub flags: Vec<String>,
    /// How far its wall clock is off, as faketime writes it: `+3650d`.
    pub clock: Option<String>,
}

impl Default for CoordinatorPlan {
    fn default() -> Self {
        Self {
            heartbeat_grace: Duration::from_secs(1),
            external_broker: None,
            flags: Vec::new(),
            clock: None,
        }
    }
}

/// A running coordinator on a machine of its own.
#[derive(Debug)]
pub struct Coordinator {
    /// Where it runs.
    pub machine: Machine,
    /// How it is started the next time.
    pub plan: CoordinatorPlan,
    process: Option<Program>,
}

impl Coordinator {
    /// Starts a coordinator on a new machine called `coordinator`, and waits until it answers.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(fleet: &Fleet, plan: CoordinatorPlan) -> anyhow::Result<Self> {
        let machine = fleet.machine("coordinator")?;
        let mut coordinator = Self {
            machine,
            plan,
            process: None,
        };
        coordinator.restart()?;
        Ok(coordinator)
    }

    /// Address of its HTTP API.
    pub fn http(&self) -> SocketAddr {
        SocketAddr::from((self.address(), HTTP_PORT))
    }

    /// URL of the broker that it and its agents use.
    pub fn broker(&self) -> String {
        let own = || format!("mqtt://{}:{MQTT_PORT}", self.address());
        self.plan.external_broker.clone().unwrap_or_else(own)
    }

    /// `edgectl` on the coordinator's machine, set up to ask this coordinator.
    ///
    /// # Errors
    /// When it has not been built.
    pub fn edgectl(&self) -> anyhow::Result<Edgectl<'_>> {
        Edgectl::new(&self.machine, &format!("http://{}", self.http()))
    }

    /// Reads an endpoint of the HTTP API, from the coordinator's machine.
    ///
    /// # Errors
    /// When the answer is not status 200 with JSON.
    pub fn read(&self, path: &str) -> anyhow::Result<Value> {
        let answer = self.machine.http_get(self.http(), path)?;
        ensure!(
            answer.status == 200,
            "GET {path}: status {}: {}",
            answer.status,
            answer.body.trim()
        );
        serde_json::from_str(&answer.body).with_context(|| format!("GET {path}: not JSON: {}", answer.body))
    }

    /// Sends a request with a JSON body to the HTTP API, from the coordinator's machine, and answers whatever comes back.
    ///
    /// # Errors
    /// When nothing comes back: whether the coordinator has acted is not known then.
    pub fn request(&self, method: &str, path: &str, body: &Value) -> anyhow::Result<HttpResponse> {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        http_request(&self.machine.netns(), self.http(), method, path, &body)
    }

    /// Folder with everything it keeps.
    pub fn data_dir(&self) -> PathBuf {
        self.machine.dir().join("data")
    }

    /// Everything it has logged, over all its starts.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn log(&self) -> anyhow::Result<String> {
        Ok(fs::read_to_string(self.machine.dir().join("coordinator.log"))?)
    }

    /// Sends the coordinator a signal and goes on: [`Signal::STOP`] makes it hang, [`Signal::CONT`] lets it go on.
    ///
    /// # Errors
    /// When it does not run.
    pub fn signal(&mut self, signal: Signal) -> anyhow::Result<()> {
        self.process
            .as_mut()
            .context("the coordinator does not run")?
            .signal(signal)
    }

    /// The one element of the list at `path` whose `key` is `value`.
    ///
    /// # Errors
    /// When there is none.
    pub fn find(&self, path: &str, key: &str, value: &str) -> anyhow::Result<Value> {
        let list = self.read(path)?;
        let found = list
            .as_array()
            .into_iter()
            .flatten()
            .find(|entry| entry[key] == value);
        found
            .cloned()
            .with_context(|| format!("nothing in {path} has {key} = {value}: {list}"))
    }

    /// Process id of the coordinator on the host.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pid(&self) -> anyhow::Result<u32> {
        Ok(self
            .process
            .as_ref()
            .context("the coordinator does not run")?
            .pid())
    }

    /// Kills the coordinator with `signal` and waits for its end.
    ///
    /// # Errors
    /// When it did not run.
    pub fn kill(&mut self, signal: Signal) -> anyhow::Result<()> {
        self.process
            .take()
            .context("the coordinator does not run")?
            .kill(signal)
    }

    /// Starts the coordinator (again) with the data it has, and waits until it answers.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.launch()?;
        wait_for("the coordinator to answer", START, || {
            let process = self.process.as_mut().context("it was started above")?;
            ensure!(process.is_running(), "it has ended");
            self.read("/v1/status/leader")
        })?;
        Ok(())
    }

    /// Starts the coordinator (again) with the data it has, and waits for nothing.
    ///
    /// # Errors
    /// When it ends at once.
    pub fn launch(&mut self) -> anyhow::Result<()> {
        let mut command = self.machine.command(binary("holdfast-coordinator")?);
        command.arg("--data-dir").arg(self.data_dir());
        command.args(["--http-addr", &self.http().to_string()]);
        match &self.plan.external_broker {
            Some(url) => command.args(["--broker", url]),
            None => command.args(["--mqtt-addr", &format!("{}:{MQTT_PORT}", self.address())]),
        };
        command.args(["--heartbeat-grace", &seconds(self.plan.heartbeat_grace)]);
        command.args(&self.plan.flags);
        if let Some(offset) = &self.plan.clock {
            pretend(&mut command, offset)?;
        }
        log_level(&mut command);
        self.process = Some(self.machine.spawn("coordinator", command)?);
        Ok(())
    }

    /// Leaves the coordinator running when this value is gone: its fleet is handed over.
    pub fn let_go(self) {
        // Destructors end what they stand for; what is left open ends with this process.
        std::mem::forget(self);
    }

    fn address(&self) -> Ipv4Addr {
        self.machine
            .address()
            .expect("the coordinator's machine is on the switch")
    }
}
