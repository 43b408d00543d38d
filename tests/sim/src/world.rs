//! The clock, the queue of events, and the order in which things happen.

use std::collections::BTreeMap;

use holdfast_agent_core::{Input as AgentInput, TaskRef};
use holdfast_coordinator_core::Input as CoordinatorInput;
use holdfast_shared::id::NodeId;
use holdfast_shared::time::{Duration, Timestamp};
use holdfast_shared::wire::{FromAgent, Presence, ToAgent};

use crate::device::Device;
use crate::faults::{Fault, Faults};
use crate::host::Host;
use crate::invariants::{Invariants, Violation};
use crate::network::Network;
use crate::operator::Operator;
use crate::random::Random;

/// Where every story begins: 2026-01-01, so that a wall clock that jumps to 1970 goes back.
const EPOCH: Timestamp = Timestamp::from_secs(1_767_225_600);

/// How large a story is.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// Number of boxes.
    pub nodes: usize,
    /// How long faults happen; the time to converge comes on top.
    pub duration: Duration,
    /// Whether to keep a readable account.
    pub trace: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            nodes: 10,
            duration: Duration::from_secs(12 * 3600),
            trace: false,
        }
    }
}

impl Config {
    /// More steps than this are no story but a core that spins: a busy box has a few steps each second.
    fn events_max(&self) -> u64 {
        let seconds = self.duration.as_secs() + crate::invariants::CONVERGENCE.as_secs();
        self.nodes as u64 * seconds as u64 * 5
    }
}

/// What became of a story.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Broken invariants, with the time at which each broke.
    pub violations: Vec<Violation>,
    /// Steps that were simulated.
    pub events: u64,
    /// Faults by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// The readable account.
    pub trace: Vec<String>,
    /// Fingerprint of everything that happened: the same seed gives the same one.
    pub hash: u64,
}

/// Something that happens at a time.
#[derive(Debug)]
pub(crate) enum Event {
    /// A message reaches the coordinator.
    ToCoordinator(NodeId, u64, FromAgent),
    /// The broker tells the coordinator about a session.
    Presence(NodeId, Presence),
    /// A message reaches an agent.
    ToAgent(NodeId, u64, ToAgent),
    /// An agent tries to connect.
    Connect(NodeId),
    /// An agent notices that its connection is gone.
    LinkLost(NodeId, u64),
    /// A driver or the shell answers an agent process.
    Answer(NodeId, u64, Box<AgentInput>),
    /// A task ends by itself.
    TaskEnds(NodeId, TaskRef, u64, i32),
    /// An agent process starts.
    StartAgent(NodeId),
    /// The coordinator process starts.
    StartCoordinator,
    /// A core wants to be woken.
    Wake(Option<NodeId>),
    /// The operator acts.
    Operate,
    /// Something breaks.
    Break(Fault),
    /// Something is mended.
    Mend(Fault),
}

/// Everything there is in one story.
pub(crate) struct World {
    pub(crate) now: Timestamp,
    pub(crate) random: Random,
    pub(crate) host: Host,
    pub(crate) devices: BTreeMap<NodeId, Device>,
    pub(crate) network: Network,
    pub(crate) faults_end: Timestamp,
    pub(crate) outcome: Outcome,
    pub(crate) invariants: Invariants,
    pub(crate) operator: Operator,
    faults: Faults,
    queue: BTreeMap<(Timestamp, u64), Event>,
    next: u64,
    trace: bool,
}

/// Tells the story of `seed`.
pub fn run(seed: u64, config: Config) -> Outcome {
    let mut world = World::new(seed, config);
    world.schedule_everything(config);
    let end = world.faults_end + crate::invariants::CONVERGENCE;
    while let Some(((at, _), event)) = world.queue.pop_first() {
        if at > end {
            break;
        }
        world.now = world.now.max(at);
        world.step(event);
        if world.outcome.events > config.events_max() {
            let text = format!("a core spins: {} steps", world.outcome.events);
            world.outcome.violations.push(Violation {
                name: "S11",
                at: world.now,
                text,
            });
        }
        if !world.outcome.violations.is_empty() {
            return world.outcome;
        }
    }
    world.now = end;
    world.check_convergence();
    world.outcome
}

impl World {
    fn new(seed: u64, config: Config) -> Self {
        let mut random = Random::from_seed(seed);
        let devices: BTreeMap<NodeId, Device> = (0..config.nodes)
            .map(|number| {
                let id = NodeId(random.seed());
                (id, Device::new(id, number))
            })
            .collect();
        let host = Host::new(random.seed());
        Self {
            now: EPOCH,
            host,
            devices,
            network: Network::default(),
            faults_end: EPOCH + config.duration,
            outcome: Outcome::default(),
            invariants: Invariants::default(),
            operator: Operator::default(),
            faults: Faults::default(),
            queue: BTreeMap::new(),
            next: 0,
            trace: config.trace,
            random,
        }
    }

    fn schedule_everything(&mut self, config: Config) {
        self.at(Duration::ZERO, Event::StartCoordinator);
        for id in self.device_ids() {
            let delay = self.random.millis(0, 3_000);
            self.at(delay, Event::StartAgent(id));
        }
        self.at(Duration::from_secs(5), Event::Operate);
        let plan = Faults::plan(&mut self.random, &self.devices, config.duration);
        for (after, fault, lasts) in plan {
            self.at(after, Event::Break(fault));
            if let Some(lasts) = lasts {
                let until = (after + lasts).min(config.duration);
                self.at(until, Event::Mend(fault));
            }
        }
    }

    pub(crate) fn device_ids(&self) -> Vec<NodeId> {
        self.devices.keys().copied().collect()
    }

    /// Lets `event` happen after `delay`.
    pub(crate) fn at(&mut self, delay: Duration, event: Event) {
        self.next += 1;
        self.queue.insert((self.now + delay, self.next), event);
    }

    /// Whether a small mishap with this chance happens; none does once faults have ended.
    pub(crate) fn mishap(&mut self, percent: u64) -> bool {
        self.random.chance(percent) && self.now < self.faults_end
    }

    /// Adds a line to the account.
    pub(crate) fn tell(&mut self, text: impl FnOnce() -> String) {
        if self.trace {
            let after = self.now.since(EPOCH);
            let line = format!(
                "{:>9}.{:03} {}",
                after.as_secs(),
                after.0 / 1_000_000 % 1000,
                text()
            );
            self.outcome.trace.push(line);
        }
    }

    fn step(&mut self, event: Event) {
        self.outcome.events += 1;
        self.outcome.hash = mix(self.outcome.hash, self.now.0 as u64 ^ self.next);
        match event {
            Event::ToCoordinator(node, session, message) => {
                if self.network.delivers(node, session) {
                    self.coordinator_input(CoordinatorInput::Agent(node, message));
                }
            }
            Event::Presence(node, presence) => {
                self.coordinator_input(CoordinatorInput::Presence(node, presence))
            }
            Event::ToAgent(node, session, message) => {
                if self.network.delivers(node, session) {
                    self.agent_input(node, AgentInput::Message(message));
                }
            }
            Event::Connect(node) => self.connect(node),
            Event::LinkLost(node, session) => self.link_lost(node, session),
            Event::Answer(node, process, input) => {
                if self.devices[&node].is_process(process) {
                    self.agent_input(node, *input);
                }
            }
            Event::TaskEnds(node, task, run, code) => self.task_ends(node, &task, run, code),
            Event::StartAgent(node) => self.start_agent(node),
            Event::StartCoordinator => self.start_coordinator(),
            Event::Wake(None) => self.wake_coordinator(),
            Event::Wake(Some(node)) => self.wake_agent(node),
            Event::Operate => self.operate(),
            Event::Break(fault) => self.break_(fault),
            Event::Mend(fault) => self.mend(fault),
        }
        self.check_invariants();
    }

    fn break_(&mut self, fault: Fault) {
        *self.outcome.faults.entry(fault.name()).or_default() += 1;
        self.tell(|| format!("FAULT {fault:?}"));
        self.faults.count += 1;
        self.apply_fault(fault);
    }

    fn mend(&mut self, fault: Fault) {
        self.tell(|| format!("mended {fault:?}"));
        self.undo_fault(fault);
    }
}

fn mix(hash: u64, value: u64) -> u64 {
    (hash ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
}
