//! A real agent: how it is started, asked and ended.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rustix::process::Signal;
use serde_json::Value;

use crate::coordinator::{Coordinator, MQTT_PORT};
use crate::edgectl::Edgectl;
use crate::fleet::Fleet;
use crate::image::Image;
use crate::machine::Machine;
use crate::process::{binary, log_level, seconds};
use crate::program::Program;
use crate::wait::wait_for;

/// Where an agent answers people on its own machine.
const LOCAL_SOCKET: &str = "/run/holdfast/agent.sock";

/// How long an agent may take to answer there.
const LOCAL_ANSWER: Duration = Duration::from_secs(2);

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
