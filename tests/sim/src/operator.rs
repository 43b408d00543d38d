//! The operator: registers jobs, changes and stops them, whatever else happens, and in the end makes peace.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_coordinator_core::{Command, DeploymentAction, Input, Refusal, RequestId, Response, State};
use holdfast_shared::id::JobKey;
use holdfast_shared::model::DeploymentStatus;
use holdfast_shared::time::Duration;

use crate::jobs;
use crate::kind::Kind;
use crate::plan::{Entry, JOBS};
use crate::world::{Event, World};

/// How often the operator looks after things once the faults are over.
const ROUND: Duration = Duration::from_secs(60);

/// What the operator wants, and what was promised to them.
#[derive(Debug, Default)]
pub(crate) struct Operator {
    requests: u64,
    asked: BTreeMap<RequestId, Option<JobKey>>,
    /// The newest promise per job: it must never be lost.
    pub(crate) promised: BTreeMap<JobKey, Promise>,
    /// Jobs for which something without an answer may or may not have come true since.
    pub(crate) unanswered: BTreeMap<JobKey, u64>,
    /// Jobs that were stopped at some time: they are collected in the end.
    pub(crate) stopped: BTreeSet<JobKey>,
}

/// What the coordinator has acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Promise {
    /// The job has at least this version since it was first registered at this index.
    Version { create_index: u64, version: u64 },
    /// It is forgotten.
    Forgotten,
}

impl Operator {
    /// The coordinator died: what it had not answered is open.
    pub(crate) fn on_crash(&mut self) {
        for key in std::mem::take(&mut self.asked).into_values().flatten() {
            *self.unanswered.entry(key).or_default() += 1;
        }
    }

    /// An older copy of the coordinator's state counts from now on, by the operator's own doing.
    pub(crate) fn on_restore(&mut self, state: &State) {
        self.unanswered.clear();
        self.promised = state
            .jobs
            .keys()
            .map(|key| (key.clone(), promise(state, key)))
            .collect();
    }
}

/// What is so about a job.
fn promise(state: &State, key: &JobKey) -> Promise {
    state
        .jobs
        .get(key)
        .map_or(Promise::Forgotten, |job| Promise::Version {
            create_index: job.create_index(),
            version: job.version(),
        })
}

impl World {
    /// The operator does one thing.
    pub(crate) fn wish(&mut self, entry: &Entry) {
        let key = jobs::key(entry.to);
        let command = match entry.kind {
            Kind::Register => register(entry.to, entry.size),
            Kind::Stop | Kind::Purge => Command::DeregisterJob {
                key,
                purge: entry.kind == Kind::Purge,
                no_shutdown_delay: entry.size == 1,
            },
            Kind::Evaluate => Command::EvaluateJob {
                key,
                force_reschedule: entry.size == 1,
            },
            Kind::CollectGarbage => Command::CollectGarbage,
            Kind::AdoptState => Command::AdoptState,
            Kind::Promote => return self.act(&key, DeploymentAction::Promote { groups: None }),
            Kind::Pause => return self.act(&key, DeploymentAction::Pause),
            Kind::FailDeployment => return self.act(&key, DeploymentAction::Fail),
            _ => return,
        };
        self.command(command);
    }

    /// Acts on the newest deployment of a job, if there is one.
    pub(crate) fn act(&mut self, key: &JobKey, action: DeploymentAction) {
        let newest = self.host.state().latest_deployment(key).map(|it| it.id);
        if let Some(id) = newest {
            self.command(Command::Deployment { id, action });
        }
    }

    fn command(&mut self, command: Command) {
        if !self.host.is_up() {
            return;
        }
        let key = match &command {
            Command::RegisterJob { job, .. } => Some(job.key()),
            Command::DeregisterJob { key, .. } => {
                self.operator.stopped.insert(key.clone());
                Some(key.clone())
            }
            _ => None,
        };
        self.operator.requests += 1;
        let request = RequestId(self.operator.requests);
        self.operator.asked.insert(request, key);
        self.coordinator_input(Input::Command(request, command));
    }

    /// The coordinator answers; `None` when it says that it could not store what it did.
    pub(crate) fn operator_hears(&mut self, request: RequestId, result: Option<Result<Response, Refusal>>) {
        let Some(key) = self.operator.asked.remove(&request) else {
            return;
        };
        match result {
            Some(Ok(response)) => {
                self.check_reply(response.index);
                if let Some(key) = key {
                    let promise = promise(&self.host.durable, &key);
                    self.operator.unanswered.remove(&key);
                    self.operator.promised.insert(key, promise);
                }
            }
            Some(Err(refusal)) => self.tell_of("operator", || format!("is refused: {refusal}")),
            None => {
                self.tell_of("operator", || "hears that the disk takes nothing".into());
                if let Some(key) = key {
                    *self.operator.unanswered.entry(key).or_default() += 1;
                }
            }
        }
    }

    /// Once the faults are over: every job gets a version that works, and somebody looks after deployments and fences.
    pub(crate) fn make_peace(&mut self, round: u64) {
        if self.now + ROUND < self.end {
            self.at(ROUND, Event::Peace(round + 1));
        }
        if self.is_fenced() {
            self.tell_of("operator", || {
                "declares the coordinator's state to be the truth".into()
            });
            self.command(Command::AdoptState);
        }
        if round == 1 {
            for number in 0..JOBS as usize {
                let key = jobs::key(number);
                let known = self.host.state().jobs.get(&key);
                if known.is_none_or(|job| !job.is_stopped()) {
                    let count = known.and_then(|job| Some(job.groups().first()?.count()));
                    let size = count.map_or(number as u64, |count| count as u64 - 1);
                    self.command(register(number, jobs::well(size)));
                }
            }
        }
        let state = self.host.state();
        let open: Vec<_> = state
            .jobs
            .keys()
            .filter_map(|key| state.latest_deployment(key))
            .filter(|it| it.status.is_active())
            .map(|it| {
                (
                    it.job.clone(),
                    it.status,
                    it.groups
                        .values()
                        .any(|group| group.desired_canaries > 0 && !group.promoted),
                )
            })
            .collect();
        for (key, status, waits) in open {
            if status == DeploymentStatus::Paused {
                self.act(&key, DeploymentAction::Resume);
            } else if waits {
                self.act(&key, DeploymentAction::Promote { groups: None });
            }
        }
    }

    /// Whether some box holds something newer than the coordinator knows, which only happens to a restored one.
    fn is_fenced(&self) -> bool {
        let state = self.host.state();
        self.devices.iter().filter(|device| device.is_up()).any(|device| {
            let ours = state
                .nodes
                .get(&device.id)
                .map(|node| (state.epoch, node.sent_generation));
            let held = device.store.held;
            ours.is_some_and(|ours| (held.epoch, held.generation) > ours)
        })
    }
}

fn register(number: usize, size: u64) -> Command {
    Command::RegisterJob {
        job: Box::new(jobs::job(number, size)),
        check_index: None,
        preserve_counts: false,
        eval_priority: None,
        submission: None,
    }
}
