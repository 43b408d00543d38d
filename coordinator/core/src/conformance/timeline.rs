//! Stories in several steps, told to a whole coordinator: nodes that come and go, and what becomes of allocations.
//!
//! The agents here do what they are told at once. Allocations are called `a`, `b`, `c` in the order in which they were
//! placed, nodes `n1`, `n2`, `n3`.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_shared::id::{AllocId, NodeId};
use holdfast_shared::model::{
    Allocation, ClientStatus, DriverState, Fingerprint, Job, NodeResources, Task, TaskGroup, TaskRunState,
};
use holdfast_shared::time::{Duration, Timestamp};
use holdfast_shared::wire::{AllocReport, FromAgent, Held, Presence, Register, Report, TaskReport, ToAgent};
use serde_json::{Value, json};

use super::build;
use super::check::Check;
use crate::{Command, Coordinator, Effect, Input, Options, RequestId, State};

/// When the story begins.
const BEGIN: Timestamp = Timestamp::from_secs(1_000_000);

pub(super) fn run(input: &Value, expect: &Value) -> Option<Result<(), String>> {
    let mut story = Story::new(input);
    let mut check = Check::default();
    for step in expect["steps"].as_array()? {
        story.until(BEGIN + build::span(&step["at_s"])?);
        let event = step["event"].as_str()?;
        if !story.happen(event) {
            return None;
        }
        story.compare(step, event, &mut check);
    }
    Some(check.verdict())
}

/// An agent that does what it is told, at once.
#[derive(Debug, Default)]
struct Agent {
    session: u64,
    seq: u64,
    online: bool,
    held: Held,
    allocs: BTreeMap<AllocId, ClientStatus>,
    /// Allocations that the coordinator took for unknown when the agent was back.
    reconnected: BTreeSet<AllocId>,
}

struct Story {
    core: Coordinator,
    now: Timestamp,
    agents: BTreeMap<NodeId, Agent>,
    job: Job,
}

const FIRST: NodeId = NodeId(1);

impl Story {
    /// Three nodes of equal rank. The first one is alone until the first allocation is placed.
    fn new(input: &Value) -> Self {
        let mut core = Coordinator::new(
            Options {
                session_grace: Duration::ZERO,
                ..Options::default()
            },
            State::default(),
            1,
        );
        core.start(BEGIN);
        let group = TaskGroup {
            name: Some("web".into()),
            count: input["count"].as_i64(),
            disconnect: build::disconnect_block(&input["disconnect"]),
            reschedule_policy: build::reschedule_block(&input["reschedule"]),
            services: Some(vec![holdfast_shared::model::Service {
                name: "edge".into(),
                ..Default::default()
            }]),
            tasks: Some(vec![Task {
                name: "main".into(),
                driver: "mock".into(),
                ..Task::default()
            }]),
            ..TaskGroup::default()
        };
        let mut job = Job {
            id: Some("edge".into()),
            task_groups: Some(vec![group]),
            ..Job::default()
        };
        job.canonicalize();
        let mut story = Self {
            core,
            now: BEGIN,
            agents: BTreeMap::new(),
            job,
        };
        story.connect(FIRST);
        story.register();
        story.settle();
        story.connect(NodeId(2));
        story.settle();
        story
    }

    /// Makes happen what the step says; `false` when the words are unknown.
    fn happen(&mut self, event: &str) -> bool {
        match event {
            "deploy" | "reschedule follow-up eval" | "replacement" | "b starts" => {}
            "heartbeat missed" | "n1 misses its heartbeat" => self.disconnect(FIRST),
            "n1 heartbeats again" | "n1 returns" => self.connect(FIRST),
            _ if event.starts_with("job v1 registered") => {
                let group = &mut self
                    .job
                    .task_groups
                    .iter_mut()
                    .flatten()
                    .next()
                    .expect("it has one group");
                let task = &mut group.tasks.iter_mut().flatten().next().expect("it has one task");
                task.env = Some([("VERSION".to_owned(), "1".to_owned())].into());
                self.register();
            }
            _ => return false,
        }
        // What agents answer takes no time here.
        self.until(self.now + Duration::from_secs(1));
        true
    }

    fn compare(&self, step: &Value, event: &str, check: &mut Check) {
        let state = self.core.state();
        let mut allocs: Vec<&Allocation> = state.allocs.values().map(AsRef::as_ref).collect();
        allocs.sort_by_key(|alloc| (alloc.create_index, alloc.id));
        let name = |id: AllocId| {
            let at = allocs.iter().position(|alloc| alloc.id == id).unwrap_or(0);
            char::from(b'a' + at as u8).to_string()
        };
        for alloc in &allocs {
            let Some(expected) = step["allocs"][name(alloc.id)].as_str() else {
                continue;
            };
            let mut actual = format!("n{}:{}/{}", alloc.node.0, alloc.desired, alloc.client);
            if expected.contains(" v") {
                actual += &format!(" v{}", alloc.job_version);
            }
            // Agents here start what they are told before anybody can look.
            let started = expected.replace("/pending", "/running");
            if expected != actual && started != actual {
                check.fail(format!(
                    "{event}: {} is {actual} instead of {expected}",
                    name(alloc.id)
                ));
            }
        }
        for (node, expected) in step["node"].as_object().into_iter().flatten() {
            let id = node.trim_start_matches('n').parse().map(NodeId).unwrap_or(FIRST);
            let actual = state.nodes.get(&id).map_or("gone", |node| node.status.as_str());
            if !expected
                .as_str()
                .is_some_and(|expected| expected.ends_with(actual))
            {
                check.fail(format!("{event}: {node} is {actual} instead of {expected}"));
            }
        }
        let listed = state
            .services
            .values()
            .map(|service| json!(name(service.alloc)))
            .collect();
        let wanted = json!({ "services": step.get("services_listed") });
        check.set(&wanted, "services", listed);
        for (alloc, kind) in step["task_events_appended_on"].as_object().into_iter().flatten() {
            let appended = self
                .agents
                .values()
                .flat_map(|agent| &agent.reconnected)
                .any(|id| name(*id) == *alloc);
            if kind != "Reconnected" || !appended {
                check.fail(format!("{event}: {alloc} was not told that it has reconnected"));
            }
        }
    }

    fn register(&mut self) {
        let command = Command::RegisterJob {
            job: Box::new(self.job.clone()),
            check_index: None,
            preserve_counts: false,
            eval_priority: None,
            submission: None,
        };
        self.input(Input::Command(RequestId(1), command));
    }

    fn connect(&mut self, id: NodeId) {
        let driver = DriverState {
            detected: true,
            healthy: true,
            ..DriverState::default()
        };
        let fingerprint = Fingerprint {
            datacenter: "dc1".into(),
            drivers: BTreeMap::from([("mock".to_owned(), driver)]).into(),
            resources: NodeResources {
                cpu_mhz: 4000,
                memory_mb: 4000,
                disk_mb: 4000,
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

    fn disconnect(&mut self, id: NodeId) {
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

    fn report(&mut self, id: NodeId, full: bool) {
        let Some(agent) = self.agents.get_mut(&id).filter(|agent| agent.online) else {
            return;
        };
        agent.seq += 1;
        let allocs = agent.allocs.iter().map(|(id, client)| AllocReport {
            id: *id,
            client: *client,
            description: String::new(),
            healthy: (*client == ClientStatus::Running).then_some(true),
            address: String::new(),
            tasks: vec![TaskReport {
                name: "main".into(),
                state: if client.is_terminal() {
                    TaskRunState::Dead
                } else {
                    TaskRunState::Running
                },
                failed: false,
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
            let Effect::Publish(id, ToAgent::Assignments(set)) = effect else {
                continue;
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
                    agent.reconnected.insert(alloc.id);
                }
                let status = if alloc.run {
                    ClientStatus::Running
                } else {
                    ClientStatus::Complete
                };
                let known = agent.allocs.entry(alloc.id).or_insert(status);
                if !known.is_terminal() {
                    *known = status;
                }
            }
            self.report(id, false);
        }
    }

    /// Lets time pass.
    fn until(&mut self, end: Timestamp) {
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

    fn settle(&mut self) {
        while self.core.poll_timeout().is_some_and(|at| at <= self.now) {
            self.input(Input::Timeout);
        }
    }
}

/// How often agents are heard.
const HEARTBEAT: Duration = Duration::from_secs(5);
