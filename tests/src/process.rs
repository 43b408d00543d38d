//! The real binaries and how they are started: the one place that knows their flags.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{env, fs};

use anyhow::{Context as _, ensure};
use rustix::process::Signal;
use serde_json::Value;

use crate::edgectl::Edgectl;
use crate::fleet::Fleet;
use crate::http::{HttpResponse, http_request};
use crate::image::Image;
use crate::machine::Machine;
use crate::program::Program;
use crate::wait::wait_for;

/// Port of the coordinator's HTTP API.
const HTTP_PORT: u16 = 4646;

/// Port of the coordinator's broker.
const MQTT_PORT: u16 = 1883;

/// Where an agent answers people on its own machine.
const LOCAL_SOCKET: &str = "/run/holdfast/agent.sock";

/// How long an agent may take to answer there.
const LOCAL_ANSWER: Duration = Duration::from_secs(2);

/// How long a freshly started binary may take until it answers.
const START: Duration = Duration::from_secs(20);

/// Names the folder of the binaries, when they are not those that stand beside the running test or task.
const BINARIES: &str = "HOLDFAST_BINARIES";

/// A binary of this workspace, from the folder that holds the running test or task.
///
/// # Errors
/// When it has not been built.
pub fn binary(name: &str) -> anyhow::Result<PathBuf> {
    let own = env::current_exe()?;
    let beside = || {
        own.ancestors()
            .skip(1)
            .find(|dir| !dir.ends_with("deps") && !dir.ends_with("examples"))
            .map(PathBuf::from)
    };
    let chosen = env::var_os(BINARIES).map(PathBuf::from);
    let dir = chosen.or_else(beside).context("a program stands in a folder")?;
    let path = dir.join(name);
    ensure!(
        path.exists(),
        "{} is not built: run `cargo build --workspace --bins`",
        path.display()
    );
    Ok(path)
}

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

    /// Its process id, on the host.
    ///
    /// # Errors
    /// When it does not run.
    pub fn process_id(&self) -> anyhow::Result<u32> {
        Ok(self
            .process
            .as_ref()
            .context("the coordinator does not run")?
            .pid())
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

/// How an agent is started.
#[derive(Debug, Clone)]
pub struct AgentPlan {
    /// Name of the node and of its machine.
    pub name: String,
    /// Its datacenter.
    pub datacenter: String,
    /// Images its podman holds; none at all leaves the machine without podman.
    pub images: Vec<Image>,
    /// Time between two heartbeats.
    pub keep_alive: Duration,
    /// Whether the node knows its address on the switch as the public one of a cloud machine.
    pub public_address: bool,
    /// Further flags, as typed.
    pub flags: Vec<String>,
    /// Further variables of its environment.
    pub environment: Vec<(String, String)>,
}

impl AgentPlan {
    /// An agent called `name` in `dc1`, without podman.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            datacenter: "dc1".to_owned(),
            images: Vec::new(),
            keep_alive: Duration::from_secs(1),
            public_address: false,
            flags: Vec::new(),
            environment: Vec::new(),
        }
    }

    /// Puts the node into another datacenter.
    #[must_use]
    pub fn datacenter(mut self, datacenter: &str) -> Self {
        datacenter.clone_into(&mut self.datacenter);
        self
    }

    /// Gives the machine podman, with these images in its store.
    #[must_use]
    pub fn images(mut self, images: &[Image]) -> Self {
        self.images = images.to_vec();
        self
    }

    /// Lets the node know its address on the switch as a public one, as a machine in a cloud does.
    #[must_use]
    pub fn public_address(mut self) -> Self {
        self.public_address = true;
        self
    }

    /// Adds a flag, or a flag's value.
    #[must_use]
    pub fn flag(mut self, flag: impl Into<String>) -> Self {
        self.flags.push(flag.into());
        self
    }

    /// Sets the time between two heartbeats.
    #[must_use]
    pub fn keep_alive(mut self, keep_alive: Duration) -> Self {
        self.keep_alive = keep_alive;
        self
    }
}

/// An agent on a machine of its own.
#[derive(Debug)]
pub struct Agent {
    /// Where it runs.
    pub machine: Machine,
    plan: AgentPlan,
    broker: String,
    process: Option<Program>,
}

impl Agent {
    /// Starts an agent on a new machine; it connects to `coordinator` by itself.
    ///
    /// # Errors
    /// When it ends at once.
    pub fn start(fleet: &Fleet, coordinator: &Coordinator, plan: AgentPlan) -> anyhow::Result<Self> {
        let machine = fleet.machine(&plan.name)?;
        Self::on(fleet, machine, coordinator.broker(), plan)
    }

    /// Starts an agent on a new machine that has nothing but its loopback; `broker` is therefore out of reach.
    ///
    /// # Errors
    /// When it ends at once.
    pub fn start_lonely(fleet: &Fleet, plan: AgentPlan) -> anyhow::Result<Self> {
        let machine = fleet.lonely_machine(&plan.name)?;
        Self::on(fleet, machine, format!("mqtt://10.66.0.10:{MQTT_PORT}"), plan)
    }

    /// Starts an agent on a machine that is there already, and tells it that its broker is at the URL `broker`.
    ///
    /// # Errors
    /// When it ends at once.
    pub fn on(fleet: &Fleet, mut machine: Machine, broker: String, plan: AgentPlan) -> anyhow::Result<Self> {
        if !plan.images.is_empty() {
            machine.start_podman(fleet, &plan.images)?;
        }
        let mut agent = Self {
            machine,
            plan,
            broker,
            process: None,
        };
        agent.restart()?;
        Ok(agent)
    }

    /// Name of the node.
    pub fn name(&self) -> &str {
        &self.plan.name
    }

    /// Address of the node on the switch.
    ///
    /// # Panics
    /// When it has nothing but its loopback.
    pub fn address(&self) -> Ipv4Addr {
        self.machine
            .address()
            .expect("only a lonely machine has no address")
    }

    /// Kills the agent with `signal` and waits for its end; what it runs is left alone.
    ///
    /// # Errors
    /// When it did not run.
    pub fn kill(&mut self, signal: Signal) -> anyhow::Result<()> {
        self.process
            .take()
            .context("the agent does not run")?
            .kill(signal)
    }

    /// Sends the agent a signal: [`Signal::STOP`] makes it hang, [`Signal::CONT`] lets it go on.
    ///
    /// # Errors
    /// When it does not run.
    pub fn signal(&mut self, signal: Signal) -> anyhow::Result<()> {
        self.process
            .as_mut()
            .context("the agent does not run")?
            .signal(signal)
    }

    /// Replaces the further variables of its environment, from its next start on.
    pub fn set_environment(&mut self, environment: Vec<(String, String)>) {
        self.plan.environment = environment;
    }

    /// Process id of the agent on the host.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pid(&self) -> anyhow::Result<u32> {
        Ok(self.process.as_ref().context("the agent does not run")?.pid())
    }

    /// Where it keeps its data, for a process of its own machine.
    pub fn data_dir(&self) -> PathBuf {
        self.machine.dir().join("data")
    }

    /// What the agent itself answers on its local socket, with no coordinator anywhere.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn local_status(&self) -> anyhow::Result<Value> {
        let mut stream = UnixStream::connect(self.machine.host_path(LOCAL_SOCKET))?;
        stream.set_read_timeout(Some(LOCAL_ANSWER))?;
        stream.write_all(b"{\"command\":\"status\"}\n")?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        serde_json::from_str(&line).with_context(|| format!("not JSON: {line:?}"))
    }

    /// What the agent, with all its predecessors on this machine, has logged.
    ///
    /// # Errors
    /// When it never ran.
    pub fn log(&self) -> anyhow::Result<String> {
        Ok(fs::read_to_string(self.machine.dir().join("agent.log"))?)
    }

    /// Starts the agent (again) with the data it has.
    ///
    /// # Errors
    /// When it ends at once.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        let mut command = self.machine.command(binary("holdfast-agent")?);
        command.arg("--data-dir").arg(self.data_dir());
        command.args(["--coordinator", &self.broker]);
        command.args(["--name", &self.plan.name, "--datacenter", &self.plan.datacenter]);
        command.args(["--keep-alive", &seconds(self.plan.keep_alive)]);
        if self.plan.public_address {
            let attribute = format!("unique.platform.aws.public-ipv4={}", self.address());
            command.args(["--attributes", &attribute]);
        }
        command.args(&self.plan.flags);
        command.envs(self.plan.environment.iter().cloned());
        log_level(&mut command);
        self.process = Some(self.machine.spawn("agent", command)?);
        Ok(())
    }

    /// Cuts the power of the whole node, removes its containers, powers it on and starts the agent again.
    ///
    /// # Errors
    /// When the machine or the agent does not come up.
    pub fn power_cycle(&mut self, fleet: &Fleet) -> anyhow::Result<()> {
        self.machine.power_cycle(fleet)?;
        self.process = None;
        self.restart()
    }

    /// Its process id, on the host.
    ///
    /// # Errors
    /// When it does not run.
    pub fn process_id(&self) -> anyhow::Result<u32> {
        Ok(self.process.as_ref().context("the agent does not run")?.pid())
    }

    /// Leaves the agent running when this value is gone: its fleet is handed over.
    pub fn let_go(self) {
        // Destructors end what they stand for; what is left open ends with this process.
        std::mem::forget(self);
    }

    /// Whether the agent's process still runs.
    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(Program::is_running)
    }

    /// `edgectl` on the node itself, for what works without a coordinator.
    ///
    /// # Errors
    /// When it has not been built.
    pub fn edgectl(&self) -> anyhow::Result<Edgectl<'_>> {
        Edgectl::new(&self.machine, "http://127.0.0.1:1")
    }

    /// The node as the coordinator lists it.
    ///
    /// # Errors
    /// When it is not listed.
    pub fn node(&self, coordinator: &Coordinator) -> anyhow::Result<Value> {
        coordinator.find("/v1/nodes", "Name", self.name())
    }

    /// Waits until the coordinator shows the node with this status.
    ///
    /// # Errors
    /// When it does not within `deadline`.
    pub fn await_status(
        &self,
        coordinator: &Coordinator,
        status: &str,
        deadline: Duration,
    ) -> anyhow::Result<Value> {
        wait_for(&format!("node {} to be {status}", self.name()), deadline, || {
            let node = self.node(coordinator)?;
            ensure!(node["Status"] == status, "it is {}", node["Status"]);
            Ok(node)
        })
    }
}

/// A duration as the settings table reads it.
fn seconds(duration: Duration) -> String {
    format!("{}ms", duration.as_millis())
}

/// Sets the wall clock that a program sees off by this much; its monotonic clock stays true.
fn pretend(command: &mut Command, offset: &str) -> anyhow::Result<()> {
    let library = Path::new("/usr/lib")
        .join(format!("{}-linux-gnu", env::consts::ARCH))
        .join("faketime/libfaketime.so.1");
    ensure!(
        library.exists(),
        "faketime is not installed: run `cargo xtask setup`"
    );
    command.env("LD_PRELOAD", library).env("FAKETIME", offset);
    command
        .env("DONT_FAKE_MONOTONIC", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    Ok(())
}

/// Lets the log level of the test run through to the binaries.
fn log_level(command: &mut Command) {
    for name in ["HOLDFAST_LOG_LEVEL", "RUST_LOG", "RUST_BACKTRACE"] {
        if let Some(value) = env::var_os(name) {
            command.env(name, value);
        }
    }
}
