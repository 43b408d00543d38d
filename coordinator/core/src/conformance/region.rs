//! A whole coordinator, and agents that do what they are told at once. No network, no clock, no disk.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_shared::id::{AllocId, NodeId};
use holdfast_shared::model::{
    Allocation, ClientStatus, DriverState, Fingerprint, Job, NodeResources, TaskRunState,
};
use holdfast_shared::time::{Duration, Timestamp};
use holdfast_shared::wire::{
    AllocReport, FromAgent, Held, Presence, Register, Report, TaskReport, ToAgent, WatchHealth,
};

use crate::{Command, Coordinator, Effect, Input, Options, Refusal, RequestId, Response, State};

/// When every story begins.
pub(super) const BEGIN: Timestamp = Timestamp::from_secs(1_000_000);

/// How often agents are heard.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// The only driver of every node.
pub(super) const DRIVER: &str = "mock";

/// What an agent knows of an allocation.
#[derive(Debug, Clone, Copy)]
struct Known {
    client: ClientStatus,
    healthy: Option<bool>,
}

/// An agent that does what it is told, at once.
#[derive(Debug, Default)]
struct Agent {
    session: u64,
    seq: u64,
    online: bool,
    held: Held,
    allocs: BTreeMap<AllocId, Known>,
}

/// A coordinator and its agents.
pub(super) struct Region {
    pub(super) core: Coordinator,
    pub(super) now: Timestamp,
    /// Allocations that the coordinator took for unknown when their agent was back.
    pub(super) reconnected: BTreeSet<AllocId>,
    agents: BTreeMap<NodeId, Agent>,
    /// Whether whatever runs is healthy; otherwise that is decided by [`Region::says`].
    is_healthy: bool,
    reply: Option<Result<Response, Refusal>>,
}

impl Region {
    pub(super) fn new(is_healthy: bool) -> Self {
        let options = Options {
            session_grace: Duration::ZERO,
            ..Options::default()
        };
        let mut core = Coordinator::new(options, State::default(), 1);
        core.start(BEGIN);
        Self {
            core,
            now: BEGIN,
            reconnected: BTreeSet::new(),
            agents: BTreeMap::new(),
            is_healthy,
            reply: None,
        }
    }

    pub(super) fn state(&self) -> &State {
        self.core.state()
    }

    /// The allocations, oldest first.
    pub(super) fn allocs(&self) -> Vec<&Allocation> {
        let mut allocs: Vec<&Allocation> = self.state().allocs.values().map(AsRef::as_ref).collect();
        allocs.sort_by_key(|alloc| (alloc.create_index, alloc.index(), alloc.id));
        allocs
    }

    /// A command, without what follows from it.
    pub(super) fn command(&mut self, command: Command) -> Result<Response, Refusal> {
        self.input(Input::Command(RequestId(1), command));
        self.reply.take().expect("every command is answered")
    }

    pub(super) fn register(&mut self, job: &Job) -> Result<Response, Refusal> {
        self.command(Command::RegisterJob {
            job: Box::new(job.clone()),
            check_index: None,
            preserve_counts: false,
            eval_priority: None,
            submission: None,
        })
    }

    /// The agent of a node with this much of everything begins a session, and reports what it has.
    pub(super) fn connect(&mut self, id: NodeId, size: u64) {
        let driver = DriverState {
            detected: true,
            healthy: true,
            ..DriverState::default()
        };
        let fingerprint = Fingerprint {
            datacenter: "dc1".into(),
            drivers: BTreeMap::from([(DRIVER.to_owned(), driver)]).into(),
            resources: NodeResources {
                cpu_mhz: size,
                memory_mb: size,
                disk_mb: size,
                ..NodeResources::default()
            },
            ..Fingerprint::default()
        };
        let fingerprint = serde_json::to_vec(&fingerprint).expect("a fingerprint is plain data");
        let agent = self.agents.entry(id).or_default();
        agent.session += 1;
        agent.online = true;
        let register = Register {
            session: agent.session,
            held: agent.held,
            fingerprint,
        };
        self.input(Input::Agent(id, FromAgent::Register(register)));
        self.report(id, true);
    }

    pub(super) fn disconnect(&mut self, id: NodeId) {
        let Some(agent) = self.agents.get_mut(&id) else {
            return;
        };
        agent.online = false;
        let presence = Presence {
            session: agent.session,
            online: false,
        };
        self.input(Input::Presence(id, presence));
    }

    /// What becomes of an allocation by itself.
    pub(super) fn says(&mut self, id: AllocId, client: ClientStatus, healthy: Option<bool>) {
        let node = self.state().allocs.get(&id).map(|alloc| alloc.node);
        let agent = node.and_then(|node| self.agents.get_mut(&node));
        if let Some((node, agent)) = node.zip(agent) {
            agent.allocs.insert(id, Known { client, healthy });
            self.report(node, false);
        }
    }

    fn report(&mut self, id: NodeId, full: bool) {
        let is_healthy = self.is_healthy;
        let Some(agent) = self.agents.get_mut(&id).filter(|agent| agent.online) else {
            return;
        };
        agent.seq += 1;
        let at_once = |client| (is_healthy && client == ClientStatus::Running).then_some(true);
        let allocs = agent.allocs.iter().map(|(id, known)| AllocReport {
            id: *id,
            client: known.client,
            description: String::new(),
            healthy: known.healthy.or_else(|| at_once(known.client)),
            address: String::new(),
            tasks: vec![TaskReport {
                name: "main".into(),
                state: if known.client.is_terminal() {
                    TaskRunState::Dead
                } else {
                    TaskRunState::Running
                },
                failed: known.client == ClientStatus::Failed,
                restarts: 0,
                last_restart: Timestamp::ZERO,
                started_at: Timestamp::ZERO,
                finished_at: Timestamp::ZERO,
                running_for: Duration::ZERO,
                events: Vec::new(),
            }],
        });
        let (session, seq, held) = (agent.session, agent.seq, agent.held);
        let report = Report {
            session,
            seq,
            full,
            held,
            allocs: allocs.collect(),
        };
        self.input(Input::Agent(id, FromAgent::Report(report)));
    }

    fn input(&mut self, input: Input) {
        for effect in self.core.handle(self.now, input) {
            let (id, set) = match effect {
                Effect::Publish(id, ToAgent::Assignments(set)) => (id, set),
                Effect::Reply(_, reply) => {
                    self.reply = Some(reply);
                    continue;
                }
                _ => continue,
            };
            let Some(agent) = self.agents.get_mut(&id).filter(|agent| agent.online) else {
                continue;
            };
            agent.held = Held {
                epoch: set.epoch,
                generation: set.generation,
            };
            for alloc in set.allocs {
                if alloc.unknown {
                    self.reconnected.insert(alloc.id);
                }
                let client = if alloc.run {
                    ClientStatus::Running
                } else {
                    ClientStatus::Complete
                };
                let healthy = None;
                let known = agent.allocs.entry(alloc.id).or_insert(Known { client, healthy });
                // A new verdict is waited for.
                if alloc.watch_health != WatchHealth::Nobody {
                    known.healthy = None;
                }
                if !known.client.is_terminal() {
                    known.client = client;
                }
            }
            self.report(id, false);
        }
    }

    /// Lets time pass.
    pub(super) fn until(&mut self, end: Timestamp) {
        loop {
            self.settle();
            if self.now >= end {
                return;
            }
            self.now = self
                .core
                .poll_timeout()
                .unwrap_or(end)
                .max(self.now)
                .min(end)
                .min(self.now + HEARTBEAT);
            let online: Vec<(NodeId, u64, Held)> = self
                .agents
                .iter()
                .filter(|(_, agent)| agent.online)
                .map(|(id, agent)| (*id, agent.session, agent.held))
                .collect();
            for (id, session, held) in online {
                self.input(Input::Agent(id, FromAgent::Heartbeat { session, held }));
            }
        }
    }

    /// Runs everything that is due now.
    pub(super) fn settle(&mut self) {
        while self.core.poll_timeout().is_some_and(|at| at <= self.now) {
            self.input(Input::Timeout);
        }
    }
}
