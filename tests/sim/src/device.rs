//! A box: the agent's process, its store, its containers, its clock.

use std::collections::BTreeMap;

use holdfast_agent_core::{
    Agent, Effect, Exit, Input, LocalState, Now, Recovery, Rendered, TaskInput, TaskRef,
};
use holdfast_shared::id::NodeId;
use holdfast_shared::model::{DriverState, Fingerprint, HostNetwork, NodeResources};
use holdfast_shared::time::{Duration, Timestamp};
use holdfast_shared::wire::FromAgent;

use crate::network::KEEP_ALIVE;
use crate::world::{Event, World};

/// A container, or a process.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Container {
    /// Tells runs of the same task apart.
    pub(crate) run: u64,
    /// How it ended, once it has.
    pub(crate) exit: Option<i32>,
}

/// A box and what is on it.
pub(crate) struct Device {
    number: usize,
    agent: Option<Agent>,
    /// Counts agent processes: answers for an older one are lost.
    process: u64,
    /// What survives a power cut.
    pub(crate) store: LocalState,
    /// Counts connections, durably.
    pub(crate) sessions: u64,
    /// The session the agent believes in.
    pub(crate) link: Option<u64>,
    pub(crate) containers: BTreeMap<TaskRef, Container>,
    booted_at: Timestamp,
    same_boot: bool,
    wake_at: Option<Timestamp>,
    runs: u64,
    /// How far the wall clock is off.
    pub(crate) clock_off: Duration,
    /// Whether podman hangs.
    pub(crate) podman_hangs: bool,
    /// Effects after which the agent dies.
    pub(crate) dies_after: Option<u64>,
}

impl Device {
    pub(crate) fn new(_id: NodeId, number: usize) -> Self {
        Self {
            number,
            agent: None,
            process: 0,
            store: LocalState::default(),
            sessions: 0,
            link: None,
            containers: BTreeMap::new(),
            booted_at: Timestamp::ZERO,
            same_boot: true,
            wake_at: None,
            runs: 0,
            clock_off: Duration::ZERO,
            podman_hangs: false,
            dies_after: None,
        }
    }

    pub(crate) const fn is_up(&self) -> bool {
        self.agent.is_some()
    }

    pub(crate) const fn agent(&self) -> Option<&Agent> {
        self.agent.as_ref()
    }

    pub(crate) fn is_process(&self, process: u64) -> bool {
        self.is_up() && self.process == process
    }

    /// Tasks that run right now, whatever the agent believes.
    pub(crate) fn running(&self) -> impl Iterator<Item = &TaskRef> {
        self.containers
            .iter()
            .filter(|(_, container)| container.exit.is_none())
            .map(|(task, _)| task)
    }

    fn now(&self, now: Timestamp) -> Now {
        Now {
            mono: Timestamp(now.since(self.booted_at).0),
            wall: now + self.clock_off,
        }
    }

    /// Boxes differ, so that node ranks do.
    fn fingerprint(&self) -> Fingerprint {
        let podman = DriverState {
            detected: true,
            healthy: true,
            ..DriverState::default()
        };
        let address = format!("10.0.{}.{}", self.number / 250, self.number % 250 + 1);
        let network = HostNetwork {
            address,
            interface: "eth0".into(),
        };
        Fingerprint {
            name: format!("box-{}", self.number),
            datacenter: "dc1".into(),
            node_pool: "default".into(),
            attributes: [("kernel.name".to_owned(), "linux".to_owned())].into(),
            resources: NodeResources {
                cpu_mhz: 2000 + 1000 * (self.number as u64 % 3),
                cores: 2,
                memory_mb: 1024 * (1 + self.number as u64 % 3),
                disk_mb: 10_000,
                ..NodeResources::default()
            },
            drivers: BTreeMap::from(
                ["podman", "docker", "raw_exec"].map(|name| (name.to_owned(), podman.clone())),
            )
            .into(),
            host_networks: [("default".to_owned(), network)].into(),
            keep_alive: KEEP_ALIVE,
            ..Fingerprint::default()
        }
    }
}

impl World {
    fn device(&mut self, node: NodeId) -> &mut Device {
        self.devices
            .get_mut(&node)
            .expect("every node of the story has a device")
    }

    pub(crate) fn start_agent(&mut self, node: NodeId) {
        let (now, seed) = (self.now, self.random.seed());
        let device = self.device(node);
        if device.is_up() {
            return;
        }
        device.process += 1;
        device.link = None;
        device.wake_at = None;
        let clock = device.now(now);
        let (agent, effects) = Agent::restore(seed, device.store.clone(), device.same_boot, clock);
        device.same_boot = true;
        device.agent = Some(agent);
        let fingerprint = Box::new(device.fingerprint());
        self.tell(|| format!("{} agent starts", node.short()));
        self.execute_agent(node, effects);
        self.agent_input(node, Input::Fingerprint(fingerprint));
        let delay = self.random.millis(50, 1_000);
        self.at(delay, Event::Connect(node));
    }

    /// kill -9; containers go on.
    pub(crate) fn kill_agent(&mut self, node: NodeId) {
        let device = self.device(node);
        if device.agent.take().is_none() {
            return;
        }
        device.dies_after = None;
        device.link = None;
        self.tell(|| format!("{} agent is killed", node.short()));
        let at_once = !self.network.is_cut(node);
        self.session_ends(node, at_once);
        let pause = self.random.millis(500, 15_000);
        self.at(pause, Event::StartAgent(node));
    }

    /// Power cut: containers are gone, the monotonic clock starts anew.
    pub(crate) fn reboot(&mut self, node: NodeId) {
        self.kill_agent(node);
        let now = self.now;
        let device = self.device(node);
        device.containers.clear();
        device.same_boot = false;
        device.booted_at = now;
        self.tell(|| format!("{} reboots", node.short()));
    }

    pub(crate) fn agent_input(&mut self, node: NodeId, input: Input) {
        let now = self.now;
        let device = self.device(node);
        let clock = device.now(now);
        if let Some(agent) = &mut device.agent {
            let effects = agent.handle(clock, input);
            self.execute_agent(node, effects);
        }
    }

    pub(crate) fn wake_agent(&mut self, node: NodeId) {
        let now = self.now;
        let device = self.device(node);
        if device.wake_at.is_some_and(|at| at <= now) {
            device.wake_at = None;
            self.agent_input(node, Input::Timeout);
        }
    }

    fn execute_agent(&mut self, node: NodeId, effects: Vec<Effect>) {
        for effect in effects {
            if let Some(left) = &mut self.device(node).dies_after {
                if *left == 0 {
                    self.kill_agent(node);
                    return;
                }
                *left -= 1;
            }
            self.execute_agent_effect(node, effect);
        }
        let now = self.now;
        let device = self.device(node);
        let Some(wanted) = device.agent.as_ref().and_then(Agent::poll_timeout) else {
            return;
        };
        let at = (device.booted_at + Duration(wanted.0)).max(now + Duration::from_millis(1));
        if device.wake_at.is_none_or(|old| at < old) {
            device.wake_at = Some(at);
            self.at(at.since(now), Event::Wake(Some(node)));
        }
    }

    fn execute_agent_effect(&mut self, node: NodeId, effect: Effect) {
        self.tell_effect(node, &effect);
        match effect {
            Effect::Persist(deltas) => {
                let device = self.device(node);
                deltas.into_iter().for_each(|delta| device.store.apply(delta));
            }
            Effect::Publish(message) => self.publish_up(node, message),
            Effect::Prepare(alloc) => self.answer(node, 5, 200, Input::Prepared(alloc, Ok(()))),
            Effect::Render(task) => self.answer(node, 1, 20, Input::Rendered(task, Ok(Rendered::default()))),
            Effect::Start(task) => self.start_container(node, task),
            Effect::Recover(task, _) => self.recover_container(node, task),
            Effect::Stop { task, timeout, .. } => self.stop_container(node, &task, timeout),
            Effect::Remove(task, _) => {
                let device = self.device(node);
                if device
                    .containers
                    .get(&task)
                    .is_some_and(|container| container.exit.is_some())
                {
                    device.containers.remove(&task);
                }
            }
            Effect::Destroy(alloc) => {
                self.invariants.destroyed(&self.host, alloc);
                self.device(node).containers.retain(|task, _| task.alloc != alloc);
            }
            Effect::Signal { .. } | Effect::Watch(_) | Effect::Unwatch(_) => {}
        }
    }

    fn tell_effect(&mut self, node: NodeId, effect: &Effect) {
        let text = match effect {
            Effect::Start(task) => format!("starts {task}"),
            Effect::Recover(task, _) => format!("looks for {task}"),
            Effect::Stop { task, .. } => format!("stops {task}"),
            Effect::Destroy(alloc) => format!("forgets {}", alloc.short()),
            _ => return,
        };
        self.tell(|| format!("{} {text}", node.short()));
    }

    fn publish_up(&mut self, node: NodeId, message: FromAgent) {
        self.send_up(node, message);
    }

    /// A driver or the shell answers the running agent process; podman takes longer when it hangs.
    fn answer(&mut self, node: NodeId, from: u64, to: u64, input: Input) {
        let hang = if self.device(node).podman_hangs { 20_000 } else { 0 };
        let delay = self.random.millis(from + hang, to + hang);
        let process = self.device(node).process;
        self.at(delay, Event::Answer(node, process, Box::new(input)));
    }

    fn start_container(&mut self, node: NodeId, task: TaskRef) {
        if self.mishap(3) {
            let message = "image pull failed: no route to the registry".to_owned();
            let input = TaskInput::StartFailed {
                message,
                recoverable: true,
            };
            self.answer(node, 100, 5_000, Input::Task(task, input));
            return;
        }
        let device = self.device(node);
        let adopted = device
            .containers
            .get(&task)
            .filter(|container| container.exit.is_none())
            .map(|it| it.run);
        let run = adopted.unwrap_or_else(|| {
            device.runs += 1;
            device.containers.insert(
                task.clone(),
                Container {
                    run: device.runs,
                    exit: None,
                },
            );
            device.runs
        });
        if adopted.is_none() && self.mishap(5) {
            let life = self.random.millis(1_000, 3_600_000);
            let code = i32::from(self.random.chance(80));
            self.at(life, Event::TaskEnds(node, task.clone(), run, code));
        }
        let input = TaskInput::Started {
            handle: run.to_be_bytes().to_vec(),
            address: String::new(),
        };
        self.answer(node, 50, 3_000, Input::Task(task, input));
    }

    fn recover_container(&mut self, node: NodeId, task: TaskRef) {
        let unclear = self.device(node).podman_hangs || self.mishap(5);
        let recovery = match self.device(node).containers.get(&task) {
            _ if unclear => Recovery::Unclear("podman does not answer".into()),
            None => Recovery::Gone,
            Some(Container { exit: Some(code), .. }) => Recovery::Exited(Exit {
                code: *code,
                ..Exit::default()
            }),
            Some(_) => Recovery::Running {
                address: String::new(),
            },
        };
        self.answer(node, 5, 100, Input::Task(task, TaskInput::Recovered(recovery)));
    }

    fn stop_container(&mut self, node: NodeId, task: &TaskRef, timeout: Duration) {
        let state = self.host.state();
        let alive = self.devices[&node]
            .containers
            .get(task)
            .is_some_and(|container| container.exit.is_none());
        let restart = self.devices[&node].agent.as_ref().is_some_and(|agent| {
            agent
                .alloc(task.alloc)
                .is_some_and(|record| record.tasks[&task.task].restart_wanted)
        });
        if alive && !restart {
            self.invariants.on_stop(state, &self.host.durable, task);
        }
        let most = (timeout.0 / 1_000_000).max(10) as u64;
        let delay = self.random.millis(5, most);
        match self.device(node).containers.get(task).map(|it| it.run) {
            Some(run) => self.at(delay, Event::TaskEnds(node, task.clone(), run, 0)),
            None => self.answer(
                node,
                1,
                10,
                Input::Task(task.clone(), TaskInput::Exited(Exit::default())),
            ),
        }
    }

    /// A task ends: its container stays until it is removed, and the running agent is told.
    pub(crate) fn task_ends(&mut self, node: NodeId, task: &TaskRef, run: u64, code: i32) {
        let device = self.device(node);
        let Some(container) = device
            .containers
            .get_mut(task)
            .filter(|container| container.run == run)
        else {
            return;
        };
        let code = *container.exit.get_or_insert(code);
        let process = device.process;
        let input = Input::Task(
            task.clone(),
            TaskInput::Exited(Exit {
                code,
                ..Exit::default()
            }),
        );
        let delay = self.random.millis(1, 50);
        self.at(delay, Event::Answer(node, process, Box::new(input)));
    }
}
