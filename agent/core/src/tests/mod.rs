//! The core driven as the shell drives it, with a clock, drivers and a coordinator that the tests own.

mod lifecycle;
mod offline;
mod orders;

use std::collections::{BTreeSet, VecDeque};

use holdfast_shared::id::AllocId;
use holdfast_shared::model::{ClientStatus, Job};
use holdfast_shared::time::{Duration, Timestamp};
use holdfast_shared::wire::{Assigned, Assignments, FromAgent, JobSpec, ToAgent, WatchHealth};
use serde_json::{Value, json};

use crate::{Agent, Effect, Exit, Input, Link, LocalState, Now, Rendered, TaskInput, TaskRef};

/// An agent on a box of its own: every effect is carried out at once, and remembered.
pub(crate) struct TestBox {
    pub(crate) agent: Agent,
    pub(crate) now: Now,
    pub(crate) store: LocalState,
    pub(crate) published: Vec<FromAgent>,
    pub(crate) running: BTreeSet<TaskRef>,
    pub(crate) log: Vec<String>,
    answers: VecDeque<Input>,
    /// What rendering answers.
    pub(crate) rendered: Rendered,
}

impl TestBox {
    pub(crate) fn new() -> Self {
        Self::from_store(LocalState::default(), true, Timestamp::from_secs(1000))
    }

    pub(crate) fn from_store(store: LocalState, same_boot: bool, mono: Timestamp) -> Self {
        let now = Now {
            mono,
            wall: Timestamp::from_secs(1_800_000_000),
        };
        let (agent, effects) = Agent::restore(7, store.clone(), same_boot, now);
        let mut it = Self {
            agent,
            now,
            store,
            published: Vec::new(),
            running: BTreeSet::new(),
            log: Vec::new(),
            answers: VecDeque::new(),
            rendered: Rendered::default(),
        };
        it.execute(effects);
        it.settle();
        it.input(Input::Fingerprint(Box::default()));
        it
    }

    pub(crate) fn input(&mut self, input: Input) {
        self.answers.push_back(input);
        self.settle();
    }

    /// Hands in every answer of drivers and shell, in order, until there is none left.
    fn settle(&mut self) {
        while let Some(input) = self.answers.pop_front() {
            let effects = self.agent.handle(self.now, input);
            self.execute(effects);
        }
    }

    fn execute(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Persist(deltas) => deltas.into_iter().for_each(|delta| self.store.apply(delta)),
                Effect::Publish(message) => self.published.push(message),
                Effect::Prepare(alloc) => self.answers.push_back(Input::Prepared(alloc, Ok(()))),
                Effect::Render(task) => {
                    self.log.push(format!("render {}", task.task));
                    self.answers
                        .push_back(Input::Rendered(task, Ok(self.rendered.clone())));
                }
                Effect::Start(task) => {
                    self.log.push(format!("start {}", task.task));
                    self.running.insert(task.clone());
                    let handle = task.task.clone().into_bytes();
                    self.answers.push_back(Input::Task(
                        task,
                        TaskInput::Started {
                            handle,
                            address: String::new(),
                        },
                    ));
                }
                Effect::Stop { task, .. } => {
                    self.log.push(format!("stop {}", task.task));
                    self.running.remove(&task);
                    self.answers
                        .push_back(Input::Task(task, TaskInput::Exited(Exit::default())));
                }
                Effect::Recover(task, _) => self.log.push(format!("recover {}", task.task)),
                other => self.log.push(
                    format!("{other:?}")
                        .split(['(', ' '])
                        .next()
                        .unwrap()
                        .to_lowercase(),
                ),
            }
        }
    }

    pub(crate) fn task(&self, name: &str) -> TaskRef {
        let alloc = self
            .agent
            .allocs()
            .find(|record| record.tasks.contains_key(name))
            .unwrap();
        TaskRef {
            alloc: alloc.assigned.id,
            task: name.into(),
        }
    }

    pub(crate) fn exit(&mut self, task: &str, code: i32) {
        let reference = self.task(task);
        self.running.remove(&reference);
        self.input(Input::Task(
            reference,
            TaskInput::Exited(Exit {
                code,
                ..Exit::default()
            }),
        ));
    }

    /// Lets time pass, stopping wherever the core wants to be woken.
    pub(crate) fn pass(&mut self, duration: Duration) {
        let end = self.now.mono + duration;
        while let Some(at) = self.agent.poll_timeout().filter(|at| *at <= end) {
            assert!(at > self.now.mono || self.log.len() < 10_000, "the core spins");
            let step = at.since(self.now.mono);
            self.now = Now {
                mono: self.now.mono + step,
                wall: self.now.wall + step,
            };
            self.input(Input::Timeout);
        }
        let rest = end.since(self.now.mono);
        self.now = Now {
            mono: end,
            wall: self.now.wall + rest,
        };
        self.input(Input::Timeout);
    }

    pub(crate) fn link_up(&mut self) {
        self.input(Input::Link(Link::Up { session: 1 }));
    }

    pub(crate) fn assign(&mut self, generation: u64, base: Option<u64>, allocs: Vec<Assigned>, job: &Job) {
        let set = Assignments {
            epoch: 1,
            generation,
            base,
            allocs,
            stop: Vec::new(),
            jobs: vec![JobSpec::of(job, |_| true)],
        };
        self.input(Input::Message(ToAgent::Assignments(set)));
    }

    /// Acknowledges every report so far.
    pub(crate) fn acknowledge(&mut self) {
        let acks = self.published.iter().filter_map(|message| match message {
            FromAgent::Report(report) => Some(ToAgent::Ack {
                session: report.session,
                seq: report.seq,
            }),
            _ => None,
        });
        for ack in acks.collect::<Vec<_>>() {
            self.input(Input::Message(ack));
        }
    }

    pub(crate) fn client(&self) -> ClientStatus {
        self.agent.allocs().next().unwrap().client
    }

    pub(crate) fn events(&self, task: &str) -> Vec<String> {
        let reference = self.task(task);
        let record = self.agent.alloc(reference.alloc).unwrap();
        record.tasks[task]
            .state
            .events
            .open()
            .iter()
            .map(|event| event.kind.clone())
            .collect()
    }
}

/// A job of one group `g` with these tasks, each `{"Name": …}` with more fields of the API.
pub(crate) fn job(kind: &str, tasks: Value, group: Value) -> Job {
    let mut fields = json!({ "Name": "g", "Tasks": tasks });
    fields
        .as_object_mut()
        .unwrap()
        .extend(group.as_object().unwrap().clone());
    serde_json::from_value(json!({ "ID": "j", "Type": kind, "Version": 0, "TaskGroups": [fields] })).unwrap()
}

/// Allocation 1 of [`job`].
pub(crate) fn assigned(run: bool, alloc_modify_index: u64) -> Assigned {
    Assigned {
        id: AllocId(1),
        name: "j.g[0]".into(),
        namespace: "default".into(),
        job: "j".into(),
        job_version: 0,
        job_create_index: 0,
        group: "g".into(),
        run,
        no_shutdown_delay: false,
        unknown: false,
        watch_health: WatchHealth::Deployment,
        canary: false,
        previous: None,
        ports: Vec::new(),
        devices: Vec::new(),
        alloc_modify_index,
    }
}
