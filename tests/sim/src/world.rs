//! The clock, the queue of events, and the order in which things happen.

use std::collections::BTreeMap;

use holdfast_agent_core::{Input as AgentInput, TaskRef};
use holdfast_shared::id::NodeId;
use holdfast_shared::time::{Duration, Timestamp};

use crate::broker::{Broker, Letter, Said};
use crate::device::Device;
use crate::host::Host;
use crate::invariants::{CONVERGENCE, Invariants, TICK, Violation};
use crate::network::Link;
use crate::operator::Operator;
use crate::plan::{Entry, plan};
use crate::podman::Order;
use crate::random::Random;

/// Where every story begins: 2026-01-01, so that a wall clock that jumps to 1970 goes back.
const EPOCH: Timestamp = Timestamp::from_secs(1_767_225_600);

/// How large a story is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
        let seconds = self.duration.as_secs() + CONVERGENCE.as_secs();
        (self.nodes as u64 + 1) * seconds as u64 * 5
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
    /// Wishes of the operator by kind.
    pub wishes: BTreeMap<&'static str, u64>,
    /// The readable account.
    pub trace: Vec<String>,
    /// Fingerprint of everything that happened: the same seed gives the same one.
    pub hash: u64,
}

/// Something that happens at a time. Numbers are those of boxes.
#[derive(Debug)]
pub(crate) enum Event {
    /// A message reaches the broker, a box, the coordinator.
    Up(usize, u64, Box<Said>),
    Down(usize, u64, Box<Letter>),
    ToCoordinator(Box<Said>),
    /// Sessions begin and end.
    Connect(usize),
    LinkLost(usize, u64),
    GiveUp(usize, u64),
    GoodBye(usize, u64),
    Ping(usize, u64),
    SessionExpires(usize, u64),
    SessionMissed(usize, u64),
    SleeperExpires(usize, u64),
    AgentMissesBroker(usize, u64),
    BrokerMeetsCoordinator,
    /// Something answers an agent process.
    Answer(usize, u64, Box<AgentInput>),
    Podman(usize, u64, Box<Order>),
    Unseen(usize, u64, TaskRef, u64),
    AgentCommitted(usize, u64),
    StoreRetry(usize),
    TaskEnds(usize, TaskRef, u64, i32),
    StartAgent(usize),
    WakeAgent(usize),
    /// The same for the coordinator's process.
    StartCoordinator,
    WakeCoordinator,
    CoordinatorCommitted(u64),
    CoordinatorRetries(u64),
    BackUp,
    /// Something of the plan begins, or comes to its end.
    Begin(usize),
    Undo(usize),
    /// The faults are over.
    MendEverything,
    Peace(u64),
    /// The invariants look at the clock.
    Tick,
    /// From now on only keep-alives should travel.
    Quiet,
}

/// Messages between the coordinator and boxes, so far.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Messages {
    pub(crate) up: u64,
    pub(crate) down: u64,
}

/// Everything there is in one story.
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) now: Timestamp,
    pub(crate) host: Host,
    /// Number of real boxes; as many places for clones come behind them.
    pub(crate) boxes: usize,
    pub(crate) devices: Vec<Device>,
    pub(crate) links: Vec<Link>,
    pub(crate) broker: Broker,
    pub(crate) operator: Operator,
    pub(crate) invariants: Invariants,
    pub(crate) messages: Messages,
    pub(crate) faults_end: Timestamp,
    pub(crate) end: Timestamp,
    pub(crate) outcome: Outcome,
    /// What has begun and not come to its end.
    pub(crate) open: Vec<Entry>,
    plan: Vec<Entry>,
    queue: BTreeMap<(Timestamp, u64), Event>,
    next: u64,
    trace: bool,
}

/// Tells the story of `seed`.
pub fn run(seed: u64, config: Config) -> Outcome {
    run_plan(seed, config, plan(seed, config))
}

/// Tells the story of `seed` with another plan.
pub fn run_plan(seed: u64, config: Config, plan: Vec<Entry>) -> Outcome {
    let mut world = World::new(seed, config, plan);
    world.schedule();
    while let Some(((at, _), event)) = world.queue.pop_first() {
        if at > world.end {
            break;
        }
        world.now = world.now.max(at);
        world.step(event);
        if world.outcome.events > config.events_max() {
            let text = format!("a core spins: {} steps", world.outcome.events);
            world.violation("S11", text);
        }
        if !world.outcome.violations.is_empty() {
            return world.outcome;
        }
    }
    world.now = world.end;
    world.check_convergence();
    world.outcome
}

impl World {
    fn new(seed: u64, config: Config, plan: Vec<Entry>) -> Self {
        let mut random = Random::stream(seed, "world", 0);
        let boxes = config.nodes;
        let ids: Vec<NodeId> = (0..boxes).map(|_| NodeId(random.seed())).collect();
        let mut devices: Vec<Device> = (0..2 * boxes)
            .map(|number| Device::new(seed, number, ids[number % boxes], EPOCH))
            .collect();
        for clone in &mut devices[boxes..] {
            clone.off_until = Timestamp(i64::MAX);
        }
        Self {
            seed,
            now: EPOCH,
            host: Host::new(seed, EPOCH),
            boxes,
            devices,
            links: (0..2 * boxes).map(|number| Link::new(seed, number)).collect(),
            broker: Broker::new(random.chance(40), 2 * boxes),
            operator: Operator::default(),
            invariants: Invariants::new(2 * boxes),
            messages: Messages::default(),
            faults_end: EPOCH + config.duration,
            end: EPOCH + config.duration + CONVERGENCE,
            outcome: Outcome::default(),
            open: Vec::new(),
            plan,
            queue: BTreeMap::new(),
            next: 0,
            trace: config.trace,
        }
    }

    fn schedule(&mut self) {
        self.at(Duration::ZERO, Event::StartCoordinator);
        for number in 0..self.boxes {
            let delay = self.devices[number].random.millis(0, 3_000);
            self.at(delay, Event::StartAgent(number));
        }
        let length = self.faults_end.since(EPOCH);
        for index in 0..self.plan.len() {
            let entry = self.plan[index];
            self.at(entry.at.min(length), Event::Begin(index));
            if entry.lasts > Duration::ZERO {
                self.at((entry.at + entry.lasts).min(length), Event::Undo(index));
            }
        }
        self.at(length, Event::MendEverything);
        self.at(length + Duration::from_secs(60), Event::Peace(1));
        self.at(Duration::from_secs(60), Event::BackUp);
        self.at(TICK, Event::Tick);
        let quiet = self.quiet_from().since(EPOCH);
        self.at(quiet, Event::Quiet);
    }

    /// Lets `event` happen after `delay`.
    pub(crate) fn at(&mut self, delay: Duration, event: Event) {
        self.next += 1;
        self.queue.insert((self.now + delay, self.next), event);
    }

    fn step(&mut self, event: Event) {
        self.outcome.events += 1;
        self.outcome.hash = mix(self.outcome.hash, self.now.0 as u64 ^ self.next);
        let Some(event) = self.unless_asleep(event) else {
            return;
        };
        match event {
            Event::Up(number, session, said) => self.arrive_up(number, session, *said),
            Event::Down(number, session, letter) => self.arrive_down(number, session, *letter),
            Event::ToCoordinator(said) => self.reach_coordinator(*said),
            Event::Connect(number) => self.connect(number),
            Event::LinkLost(number, session) => self.link_lost(number, session),
            Event::GiveUp(number, session) => self.hang_up(number, session),
            Event::GoodBye(number, session) => self.end_session(number, session, false),
            Event::Ping(number, session) => self.ping(number, session),
            Event::SessionExpires(number, changes) => self.session_expires(number, changes),
            Event::SleeperExpires(number, changes) => {
                if self.devices[number].asleep.is_some() {
                    self.session_expires(number, changes);
                }
            }
            Event::SessionMissed(number, session) => self.session_missed(number, session),
            Event::AgentMissesBroker(number, changes) => self.agent_misses_broker(number, changes),
            Event::BrokerMeetsCoordinator => self.broker_meets_coordinator(),
            Event::Answer(number, process, input) if self.is_process(number, process) => {
                self.agent_input(number, *input, None);
            }
            Event::Podman(number, process, order) if self.is_process(number, process) => {
                self.podman_acts(number, *order);
            }
            Event::Unseen(number, process, task, life) if self.is_process(number, process) => {
                self.unseen(number, task, life);
            }
            Event::AgentCommitted(number, process) if self.is_process(number, process) => {
                self.agent_committed(number);
            }
            other => self.step_rest(other),
        }
        self.finish_step();
    }

    fn step_rest(&mut self, event: Event) {
        match event {
            Event::StoreRetry(number) => self.store_retry(number),
            Event::TaskEnds(number, task, run, code) => self.task_ends(number, &task, run, code),
            Event::StartAgent(number) => self.start_agent(number),
            Event::WakeAgent(number) => self.wake_agent(number),
            Event::StartCoordinator => self.start_coordinator(),
            Event::WakeCoordinator => self.wake_coordinator(),
            Event::CoordinatorCommitted(process) => self.coordinator_committed(process),
            Event::CoordinatorRetries(process) => self.coordinator_retries(process),
            Event::BackUp => self.back_up(),
            Event::Begin(index) => self.begin_entry(index),
            Event::Undo(index) => self.undo_entry(index),
            Event::MendEverything => self.mend_everything(),
            Event::Peace(round) => self.make_peace(round),
            Event::Tick => self.tick(),
            Event::Quiet => self.quiet(),
            // For a process that is gone.
            _ => {}
        }
    }

    fn is_process(&self, number: usize, process: u64) -> bool {
        self.devices[number].is_up() && self.devices[number].process() == process
    }

    /// A box that sleeps sees nothing happen before it wakes up.
    fn unless_asleep(&mut self, event: Event) -> Option<Event> {
        let number = match &event {
            Event::Down(number, ..)
            | Event::Connect(number)
            | Event::LinkLost(number, _)
            | Event::AgentMissesBroker(number, _)
            | Event::Answer(number, ..)
            | Event::Podman(number, ..)
            | Event::Unseen(number, ..)
            | Event::AgentCommitted(number, _)
            | Event::StoreRetry(number)
            | Event::TaskEnds(number, ..)
            | Event::WakeAgent(number) => *number,
            _ => return Some(event),
        };
        match &mut self.devices[number].asleep {
            Some(waiting) => {
                waiting.push(event);
                None
            }
            None => Some(event),
        }
    }

    fn begin_entry(&mut self, index: usize) {
        let entry = self.plan[index];
        let counts = if entry.kind.is_wish() {
            &mut self.outcome.wishes
        } else {
            &mut self.outcome.faults
        };
        *counts.entry(entry.kind.name()).or_default() += 1;
        self.tell_entry(&entry);
        if entry.lasts > Duration::ZERO {
            self.open.push(entry);
        }
        self.begin(&entry);
    }

    fn undo_entry(&mut self, index: usize) {
        let entry = self.plan[index];
        if let Some(at) = self.open.iter().position(|open| *open == entry) {
            self.open.remove(at);
            self.undo(&entry);
        }
    }

    pub(crate) const fn tells(&self) -> bool {
        self.trace
    }

    /// When the story began.
    pub(crate) const fn began(&self) -> Timestamp {
        EPOCH
    }
}

fn mix(hash: u64, value: u64) -> u64 {
    (hash ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
}
