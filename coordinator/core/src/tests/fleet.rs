//! A region in a box: the coordinator's core, and agents that do what they are told. No network, no clock, no disk.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Command, Coordinator, Effect, Input, Options, Refusal, RequestId, Response, State};
use holdfast_shared::id::{AllocId, JobKey, NodeId};
use holdfast_shared::model::TaskRunState;
use holdfast_shared::model::{
    Allocation, ClientStatus, DriverState, Fingerprint, HostNetwork, Job, NodeResources,
};
use holdfast_shared::time::{Duration, Timestamp};
use holdfast_shared::wire::{
    AllocReport, Answer, Assigned, Assignments, Catalog, FromAgent, Held, JobSpec, Order, Presence, Register,
    Report, TaskReport, ToAgent, WatchHealth,
};

/// An agent that runs what it is told to, at once and without fail.
#[derive(Debug, Default)]
pub(super) struct Agent {
    pub(super) session: u64,
    pub(super) online: bool,
    pub(super) held: Held,
    pub(super) allocs: BTreeMap<AllocId, (Assigned, ClientStatus)>,
    pub(super) acked: u64,
    pub(super) specs: BTreeMap<(String, u64), BTreeSet<String>>,
    /// Job versions whose tasks fail at once.
    pub(super) broken: BTreeSet<u64>,
    /// Whether what it is told takes forever to start.
    pub(super) stuck: bool,
    /// Whether it never makes up its mind about health.
    pub(super) coy: bool,
    /// Whether it says nothing about its allocations.
    pub(super) mute: bool,
    /// Whether messages to it get lost.
    pub(super) deaf: bool,
    /// Orders it was given.
    pub(super) orders: Vec<Order>,
    /// Why it obeys none.
    pub(super) refusal: Option<String>,
    /// Newest catalog it was sent.
    pub(super) catalog: Option<Catalog>,
    /// Assignment messages it was sent.
    pub(super) told: Vec<Assignments>,
    pub(super) seq: u64,
}

pub(crate) struct Fleet {
    pub(crate) core: Coordinator,
    /// Of the next start.
    pub(super) options: Options,
    pub(crate) now: Timestamp,
    pub(super) agents: BTreeMap<NodeId, Agent>,
    pub(super) replies: BTreeMap<RequestId, Result<Response, Refusal>>,
    requests: u64,
    /// The seed of the coordinator that runs.
    starts: u128,
}

pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(10);

pub(super) fn fingerprint(name: &str) -> Fingerprint {
    let driver = DriverState {
        detected: true,
        healthy: true,
        ..DriverState::default()
    };
    let network = HostNetwork {
        address: format!("192.0.2.{}", name.len()),
        interface: "eth0".into(),
    };
    Fingerprint {
        name: name.into(),
        datacenter: "dc1".into(),
        node_pool: "default".into(),
        resources: NodeResources {
            cpu_mhz: 4000,
            cores: 4,
            memory_mb: 4096,
            disk_mb: 20_000,
            ..Default::default()
        },
        drivers: BTreeMap::from([("docker".into(), driver.clone()), ("raw_exec".into(), driver)]).into(),
        host_networks: [("default".into(), network)].into(),
        keep_alive: KEEP_ALIVE,
        ..Fingerprint::default()
    }
}

/// Health without a wait: as soon as it is decided.
fn healthy(alloc: &Assigned, status: ClientStatus) -> Option<bool> {
    let watched = alloc.watch_health != WatchHealth::Nobody;
    match status {
        ClientStatus::Running => watched.then_some(true),
        ClientStatus::Failed => watched.then_some(false),
        _ => None,
    }
}

/// A job version, and the groups of it that a node was sent.
fn groups_of(spec: &JobSpec) -> ((String, u64), BTreeSet<String>) {
    let job = spec.job().unwrap();
    let groups = job.groups().iter().map(|group| group.name().to_owned());
    ((spec.job.clone(), spec.version), groups.collect())
}

pub(crate) fn job(json: serde_json::Value) -> Job {
    let mut job: Job = serde_json::from_value(json).unwrap();
    job.canonicalize();
    job
}

impl Fleet {
    pub(crate) fn new(nodes: u32) -> Self {
        let options = Options {
            // What happens is looked at at once, however large a job is.
            look_pause: Duration::ZERO,
            session_grace: Duration::ZERO,
            ..Options::default()
        };
        let mut core = Coordinator::new(options.clone(), State::default(), 7);
        let now = Timestamp::from_secs(1_000_000);
        core.start(now);
        let mut fleet = Self {
            core,
            options,
            now,
            agents: BTreeMap::new(),
            replies: BTreeMap::new(),
            requests: 0,
            starts: 7,
        };
        for number in 1..=nodes {
            let id = NodeId(u128::from(number));
            fleet.agents.insert(id, Agent::default());
            fleet.connect(id);
        }
        fleet.settle();
        fleet
    }

    /// A node that was not there before.
    pub(super) fn join(&mut self, id: NodeId) {
        self.agents.insert(id, Agent::default());
        self.connect(id);
        self.settle();
    }

    /// A new session of a node's agent: registers, and reports everything.
    pub(super) fn connect(&mut self, id: NodeId) {
        self.register(id);
        self.report_all(id);
    }

    /// A new session of a node's agent begins.
    pub(super) fn register(&mut self, id: NodeId) {
        let agent = self.agents.get_mut(&id).unwrap();
        agent.session += 1;
        agent.online = true;
        let session = agent.session;
        self.input(Input::Presence(
            id,
            Presence {
                session,
                online: true,
            },
        ));
        self.introduce(id);
    }

    /// The agent says what its node is like.
    fn introduce(&mut self, id: NodeId) {
        let (session, held) = (self.agents[&id].session, self.agents[&id].held);
        let fingerprint = serde_json::to_vec(&fingerprint(&format!("n{}", { id.0 }))).unwrap();
        self.input(Input::Agent(
            id,
            FromAgent::Register(Register {
                session,
                held,
                fingerprint,
            }),
        ));
    }

    /// The uplink breaks; the broker publishes the last will at once.
    pub(super) fn disconnect(&mut self, id: NodeId) {
        let agent = self.agents.get_mut(&id).unwrap();
        agent.online = false;
        let session = agent.session;
        self.input(Input::Presence(
            id,
            Presence {
                session,
                online: false,
            },
        ));
    }

    /// The coordinator starts anew with this state.
    pub(super) fn restart(&mut self, state: State) {
        self.starts += 1;
        self.core = Coordinator::new(self.options.clone(), state, self.starts);
        let effects = self.core.start(self.now);
        self.execute(effects);
        self.settle();
    }

    pub(super) fn report_all(&mut self, id: NodeId) {
        let agent = self.agents.get_mut(&id).unwrap();
        let all: Vec<AllocId> = agent.allocs.keys().copied().collect();
        self.report(id, true, &all);
    }

    pub(super) fn report(&mut self, id: NodeId, full: bool, allocs: &[AllocId]) {
        let agent = self.agents.get_mut(&id).unwrap();
        if !agent.online || agent.mute {
            return;
        }
        agent.seq += 1;
        let entries = allocs
            .iter()
            .filter_map(|id| agent.allocs.get(id))
            .map(|(alloc, status)| AllocReport {
                id: alloc.id,
                client: *status,
                description: String::new(),
                healthy: healthy(alloc, *status).filter(|_| !agent.coy),
                address: String::new(),
                tasks: vec![TaskReport {
                    name: "main".into(),
                    state: if *status == ClientStatus::Running {
                        TaskRunState::Running
                    } else {
                        TaskRunState::Dead
                    },
                    failed: *status == ClientStatus::Failed,
                    restarts: 0,
                    last_restart: Timestamp::ZERO,
                    started_at: Timestamp::from_secs(5),
                    finished_at: Timestamp::ZERO,
                    running_for: Duration::from_secs(1),
                    events: Vec::new(),
                }],
            });
        let report = Report {
            session: agent.session,
            seq: agent.seq,
            full,
            held: agent.held,
            allocs: entries.collect(),
        };
        self.input(Input::Agent(id, FromAgent::Report(report)));
    }

    /// What a task did by itself.
    pub(super) fn becomes(&mut self, id: AllocId, status: ClientStatus) {
        let node = self.core.state().allocs[&id].node;
        self.agents.get_mut(&node).unwrap().allocs.get_mut(&id).unwrap().1 = status;
        self.report(node, false, &[id]);
        self.settle();
    }

    pub(super) fn command(&mut self, command: Command) -> Result<Response, Refusal> {
        let request = self.submit(command);
        self.settle();
        self.replies.remove(&request).expect("every command is answered")
    }

    /// A command, without waiting for what follows from it.
    pub(crate) fn submit(&mut self, command: Command) -> RequestId {
        self.requests += 1;
        let request = RequestId(self.requests);
        self.input(Input::Command(request, command));
        request
    }

    pub(super) fn run(&mut self, job: &Job) -> Response {
        let command = Command::RegisterJob {
            job: Box::new(job.clone()),
            check_index: None,
            preserve_counts: false,
            eval_priority: None,
            submission: None,
        };
        self.command(command).unwrap()
    }

    pub(super) fn input(&mut self, input: Input) {
        let effects = self.core.handle(self.now, input);
        self.execute(effects);
    }

    /// Runs everything that is due now.
    pub(super) fn settle(&mut self) {
        for _ in 0..1000 {
            if self.core.poll_timeout().is_none_or(|at| at > self.now) {
                return;
            }
            self.input(Input::Timeout);
        }
        panic!("the core never comes to rest");
    }

    /// Lets time pass, with heartbeats of everybody who is online.
    pub(super) fn advance(&mut self, by: Duration) {
        let end = self.now + by;
        while self.now < end {
            self.now = (self.now + Duration::from_secs(1)).min(end);
            if self.now.as_secs() % KEEP_ALIVE.as_secs() == 0 {
                for id in self.agents.keys().copied().collect::<Vec<_>>() {
                    let agent = &self.agents[&id];
                    if agent.online {
                        let (session, held) = (agent.session, agent.held);
                        self.input(Input::Agent(id, FromAgent::Heartbeat { session, held }));
                    }
                }
            }
            self.settle();
        }
    }

    fn execute(&mut self, effects: Vec<Effect>) {
        let replies_after_persist = effects.iter().skip_while(|it| matches!(it, Effect::Persist(_)));
        assert!(
            replies_after_persist
                .clone()
                .all(|it| !matches!(it, Effect::Persist(_))),
            "persist comes first"
        );
        for effect in effects {
            match effect {
                Effect::Persist(_) => {}
                Effect::Reply(request, reply) => {
                    self.replies.insert(request, reply);
                }
                Effect::Publish(node, message) => self.deliver(node, message),
            }
        }
    }

    fn deliver(&mut self, node: NodeId, message: ToAgent) {
        let Some(agent) = self
            .agents
            .get_mut(&node)
            .filter(|agent| agent.online && !agent.deaf)
        else {
            return;
        };
        match message {
            ToAgent::Assignments(set) => {
                let newer = Held {
                    epoch: set.epoch,
                    generation: set.generation,
                };
                agent.told.push(set.clone());
                if newer <= agent.held {
                    return;
                }
                if set.base.is_some_and(|base| base != agent.held.generation) {
                    let (session, held) = (agent.session, agent.held);
                    return self.input(Input::Agent(node, FromAgent::Heartbeat { session, held }));
                }
                agent.held = newer;
                agent.specs.extend(set.jobs.iter().map(groups_of));
                let mut changed: Vec<AllocId> = Vec::new();
                for alloc in set.allocs {
                    let id = alloc.id;
                    let spec = agent.specs.get(&(alloc.job.clone(), alloc.job_version));
                    assert!(
                        !alloc.run || spec.is_some_and(|groups| groups.contains(&alloc.group)),
                        "no spec"
                    );
                    let known = agent.allocs.get(&id).map(|(_, status)| *status);
                    let status = match (alloc.run, known) {
                        (_, Some(status)) if status.is_terminal() => status,
                        (true, _) if agent.broken.contains(&alloc.job_version) => ClientStatus::Failed,
                        (true, None) if agent.stuck => ClientStatus::Pending,
                        (true, Some(status)) => status,
                        (true, None) => ClientStatus::Running,
                        (false, _) => ClientStatus::Complete,
                    };
                    agent.allocs.insert(id, (alloc, status));
                    changed.push(id);
                }
                for id in set.stop {
                    agent.allocs.remove(&id);
                }
                self.report(node, false, &changed);
            }
            ToAgent::Ack { seq, .. } => agent.acked = seq,
            ToAgent::ReportAll => {
                self.introduce(node);
                self.report_all(node);
            }
            ToAgent::Catalog(catalog) => agent.catalog = Some(catalog),
            ToAgent::Order(order) => {
                let answer = Answer {
                    session: order.session,
                    number: order.number,
                    refusal: agent.refusal.clone(),
                };
                agent.orders.push(order);
                if !agent.mute {
                    self.input(Input::Agent(node, FromAgent::Answer(answer)));
                }
            }
        }
    }

    /// The allocations of a job, ordered by age: (name, node, desired/client, version).
    pub(super) fn allocs(&self, job: &str) -> Vec<String> {
        let key = JobKey::new("default", job);
        let mut allocs: Vec<&std::sync::Arc<Allocation>> = self.core.state().allocs_of_job(&key).collect();
        allocs.sort_by_key(|alloc| (alloc.create_index, alloc.name.clone()));
        allocs
            .iter()
            .map(|it| {
                format!(
                    "{} n{} {}/{} v{}",
                    it.name,
                    { it.node.0 },
                    it.desired,
                    it.client,
                    it.job_version
                )
            })
            .collect()
    }

    pub(super) fn alloc(&self, job: &str, find: impl Fn(&Allocation) -> bool) -> Allocation {
        let key = JobKey::new("default", job);
        let mut found = self.core.state().allocs_of_job(&key).filter(|alloc| find(alloc));
        (**found.next().expect("there is one")).clone()
    }
}
