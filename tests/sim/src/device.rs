//! A box: the agent's process with its shell, its store, its clock.

mod turn;

use std::collections::{BTreeMap, BTreeSet};

use holdfast_agent_core::{Agent, Effect, Input, Link, LocalDelta, LocalState, Now, TaskRef};
use holdfast_shared::id::{AllocId, NodeId};
use holdfast_shared::model::{DriverState, Fingerprint, HostNetwork, NodeResources};
use holdfast_shared::time::{Duration, Timestamp};
use holdfast_shared::wire::ToAgent;

use crate::broker::{KEEP_ALIVE, Letter};
use crate::clock::Clock;
use crate::network::Weather;
use crate::podman::Podman;
use crate::random::Random;
use crate::sessions::Sessions;
use crate::world::{Event, World};

/// How the agent's process, or the whole box, comes to an end.
#[derive(Debug, Clone, Copy)]
pub(crate) enum End {
    /// kill -9; another one starts after a while.
    Killed(Duration),
    /// The box loses power, and has it again after a while. Whether a commit that was under way is on the disk.
    PowerCut(Duration, bool),
}

/// An input for the core, and for a message the lineage that it comes from.
type Heard = (Input, Option<usize>);

/// A box and what is on it.
pub(crate) struct Device {
    pub(crate) number: usize,
    pub(crate) id: NodeId,
    agent: Option<Agent>,
    /// Counts agent processes: answers for an older one are lost.
    process: u64,
    /// What survives a power cut.
    pub(crate) store: LocalState,
    /// The boot during which it was written.
    store_boot: u64,
    boot: u64,
    was_rebooted: bool,
    /// Changes that the disk did not take: only the agent's process has them.
    backlog: Vec<LocalDelta>,
    /// What waits for them to be on the disk.
    held_back: Vec<Effect>,
    pub(crate) disk_full: bool,
    pub(crate) slow_disk: Option<Weather>,
    /// What is being written, and what depends on it.
    writing: Option<(Vec<LocalDelta>, Vec<Effect>)>,
    inbox: Vec<Heard>,
    pub(crate) sessions: Sessions,
    /// The session the agent believes in.
    pub(crate) link: Option<u64>,
    pub(crate) is_connecting: bool,
    pub(crate) podman: Podman,
    pub(crate) clock: Clock,
    wake_at: Option<Timestamp>,
    /// When the core has been told everything that the shell has seen.
    seen_until: Timestamp,
    /// When the agent last had contact, by its own clock.
    pub(crate) contact: Timestamp,
    /// Until when the box has no power, or is not there.
    pub(crate) off_until: Timestamp,
    /// What happens to the box while it sleeps.
    pub(crate) asleep: Option<Vec<Event>>,
    /// Effects after which it ends, and how.
    pub(crate) end: Option<(u64, End)>,
    pub(crate) random: Random,
}

impl Device {
    pub(crate) fn new(seed: u64, number: usize, id: NodeId, now: Timestamp) -> Self {
        Self {
            number,
            id,
            agent: None,
            process: 0,
            store: LocalState::default(),
            store_boot: 0,
            boot: 1,
            was_rebooted: false,
            backlog: Vec::new(),
            held_back: Vec::new(),
            disk_full: false,
            slow_disk: None,
            writing: None,
            inbox: Vec::new(),
            sessions: Sessions::default(),
            link: None,
            is_connecting: false,
            podman: Podman::default(),
            clock: Clock::new(now, Timestamp::from_secs(10)),
            wake_at: None,
            seen_until: now,
            contact: Timestamp::ZERO,
            off_until: now,
            asleep: None,
            end: None,
            random: Random::stream(seed, "box", number),
        }
    }

    /// A copy of this box's disk in another one.
    pub(crate) fn cloned(&self, seed: u64, number: usize, now: Timestamp) -> Self {
        Self {
            store: self.store.clone(),
            store_boot: self.store_boot,
            boot: 1000,
            sessions: self.sessions.clone(),
            ..Self::new(seed, number, self.id, now)
        }
    }

    pub(crate) const fn is_up(&self) -> bool {
        self.agent.is_some()
    }

    pub(crate) const fn agent(&self) -> Option<&Agent> {
        self.agent.as_ref()
    }

    pub(crate) const fn process(&self) -> u64 {
        self.process
    }

    pub(crate) const fn was_rebooted(&self) -> bool {
        self.was_rebooted
    }

    /// Whether what it has decided is on its disk.
    pub(crate) fn is_durable(&self) -> bool {
        self.backlog.is_empty() && self.writing.is_none()
    }

    /// Whether its loop waits for nothing but what may happen next.
    pub(crate) const fn is_idle(&self) -> bool {
        self.writing.is_none()
    }

    pub(crate) fn now(&self, now: Timestamp) -> Now {
        Now {
            mono: self.clock.forward(now),
            wall: self.clock.wall(now),
        }
    }

    fn task_env(&self, task: &TaskRef) -> Option<&BTreeMap<String, String>> {
        let agent = self.agent.as_ref()?;
        let record = agent.alloc(task.alloc)?;
        let group = agent.job(record)?.group(&record.assigned.group)?;
        group.task(&task.task)?.env.as_ref()
    }

    /// Whether the containers of this task are told so by their environment.
    pub(crate) fn is_told(&self, task: &TaskRef, variable: &str) -> bool {
        self.task_env(task).is_some_and(|env| env.contains_key(variable))
    }

    /// Whether the templates of this task ask for a service.
    pub(crate) fn wants_service(&self, task: &TaskRef) -> bool {
        let agent = self.agent.as_ref();
        agent
            .and_then(|agent| {
                let record = agent.alloc(task.alloc)?;
                let group = agent.job(record)?.group(&record.assigned.group)?;
                Some(!group.task(&task.task)?.templates().is_empty())
            })
            .unwrap_or(false)
    }

    /// Boxes differ, so that node ranks do.
    fn fingerprint(&self) -> Fingerprint {
        let healthy = self.podman.is_healthy();
        let podman = DriverState {
            detected: true,
            healthy,
            ..DriverState::default()
        };
        let number = self.number;
        let address = format!("10.0.{}.{}", number / 250, number % 250 + 1);
        let network = HostNetwork {
            address,
            interface: "eth0".into(),
        };
        Fingerprint {
            name: format!("box-{number}"),
            datacenter: "dc1".into(),
            node_pool: "default".into(),
            attributes: [("kernel.name".to_owned(), "linux".to_owned())].into(),
            resources: NodeResources {
                cpu_mhz: 1000 + 500 * (number as u64 % 3),
                cores: 2,
                memory_mb: 512 * (1 + number as u64 % 3),
                disk_mb: 10_000,
                ..NodeResources::default()
            },
            drivers: BTreeMap::from([("podman".to_owned(), podman)]).into(),
            host_networks: [("default".to_owned(), network)].into(),
            keep_alive: KEEP_ALIVE,
            ..Fingerprint::default()
        }
    }
}

impl World {
    pub(crate) fn start_agent(&mut self, number: usize) {
        let now = self.now;
        let device = &mut self.devices[number];
        if device.is_up() || now < device.off_until {
            return;
        }
        device.process += 1;
        device.wake_at = None;
        device.podman.forget_process();
        let clock = device.now(now);
        device.sessions.start(clock.wall);
        device.contact = clock.mono;
        let same_boot = device.store_boot == device.boot;
        device.was_rebooted = !same_boot;
        let seed = device.random.seed();
        let (agent, effects) = Agent::restore(seed, device.store.clone(), same_boot, clock);
        device.agent = Some(agent);
        self.tell(number, || {
            if same_boot {
                "agent starts".into()
            } else {
                "agent starts after a boot".into()
            }
        });
        self.perform(number, effects);
        let device = &mut self.devices[number];
        if device.is_up() && !device.disk_full {
            device.store_boot = device.boot;
        }
        if device.is_up() {
            self.look_around(number);
            self.devices[number].is_connecting = true;
            let delay = self.devices[number].random.millis(50, 1_000);
            self.at(delay, Event::Connect(number));
        }
    }

    /// The shell finds out what the box is like and what runs on it, and tells the core.
    pub(crate) fn look_around(&mut self, number: usize) {
        let now = self.now;
        let device = &mut self.devices[number];
        let fingerprint = Box::new(device.fingerprint());
        // What is seen first is told first.
        let delay = device.random.millis(100, 3_000).max(device.seen_until.since(now));
        device.seen_until = now + delay;
        let unknown = |alloc: &AllocId| device.record(*alloc).is_none_or(|it| it.client.is_terminal());
        let running = device.podman.running().map(|task| task.alloc);
        let orphans: BTreeSet<AllocId> = running.filter(unknown).collect();
        self.answer(number, delay, Input::Fingerprint(fingerprint));
        for alloc in orphans {
            self.answer(number, delay, Input::Orphan(alloc));
        }
    }

    /// Something answers the running agent process, after a while.
    pub(crate) fn answer(&mut self, number: usize, delay: Duration, input: Input) {
        let process = self.devices[number].process;
        self.at(delay, Event::Answer(number, process, Box::new(input)));
    }

    /// The agent's process, or its whole box, ends without a word.
    pub(crate) fn end_device(&mut self, number: usize, end: End) {
        let now = self.now;
        let device = &mut self.devices[number];
        device.end = None;
        let was_up = device.agent.take().is_some();
        device.held_back.clear();
        device.backlog.clear();
        device.inbox.clear();
        let link = device.link.take();
        // A commit is all or nothing; what depends on it has not happened yet.
        let under_way = device.writing.take().map(|(deltas, _)| deltas);
        let pause = match end {
            End::Killed(pause) if was_up => {
                if device.random.chance(50) {
                    device.write(under_way.unwrap_or_default());
                }
                device.backlog.clear();
                self.tell(number, || "agent is killed".into());
                if let Some(session) = link {
                    self.hang_up(number, session);
                }
                pause
            }
            End::Killed(_) => return,
            End::PowerCut(pause, torn) => {
                if !torn {
                    device.write(under_way.unwrap_or_default());
                }
                device.backlog.clear();
                device.boot += 1;
                device.off_until = device.off_until.max(now + pause);
                device.clock.restart(now, Timestamp::ZERO);
                let vanish = device.random.chance(50);
                device.podman.power_cut(vanish);
                device.asleep = None;
                self.tell(number, || "loses power".into());
                // Nobody closes the socket: the broker has to miss it.
                if let Some(session) = link {
                    let missed = Duration(KEEP_ALIVE.0 * 3 / 2);
                    self.at(missed, Event::SessionMissed(number, session));
                }
                pause
            }
        };
        self.at(pause, Event::StartAgent(number));
    }

    /// The agent is ended in order: it says good-bye.
    pub(crate) fn end_agent_in_order(&mut self, number: usize, pause: Duration) {
        if !self.devices[number].is_up() || self.devices[number].asleep.is_some() {
            return;
        }
        if let Some(session) = self.devices[number].link {
            self.send_presence(number, session, false);
            self.at(Duration::from_secs(1), Event::GoodBye(number, session));
            self.devices[number].link = None;
        }
        self.store_retry(number);
        self.end_device(number, End::Killed(pause));
    }

    /// Contact begins or ends.
    pub(crate) fn agent_link(&mut self, number: usize, session: Option<u64>) {
        let now = self.now;
        let device = &mut self.devices[number];
        device.contact = device.now(now).mono;
        let link = session.map_or(Link::Down, |session| Link::Up { session });
        self.agent_input(number, Input::Link(link), None);
    }

    pub(crate) fn on_letter(&mut self, number: usize, letter: Letter) {
        let now = self.now;
        let device = &mut self.devices[number];
        device.contact = device.now(now).mono;
        if let ToAgent::Ack { session, seq: 0 } = &letter.message
            && let Some(own) = device.link
            && *session > own
        {
            // Another agent has this identity, and is the node: this one stands back.
            let newer = *session;
            device.sessions.refused(newer);
            self.link_lost(number, own);
            return;
        }
        self.agent_input(number, Input::Message(letter.message), Some(letter.lineage));
    }
}
