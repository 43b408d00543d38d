//! The operator: registers jobs, changes and stops them, empties boxes, whatever else happens.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_coordinator_core::{
    Command, DeploymentAction, Dispatch, DrainSpec, Input, JobAction, NodeAction, Refusal, RequestId,
    Response, Scale, State,
};
use holdfast_shared::id::JobKey;
use holdfast_shared::model::Eligibility;
use holdfast_shared::time::Duration;

use crate::jobs;
use crate::kind::Kind;
use crate::orders::Orders;
use crate::plan::Entry;
use crate::world::World;

/// What the operator wants, and what was promised to them.
#[derive(Debug, Default)]
pub(crate) struct Operator {
    requests: u64,
    asked: BTreeMap<RequestId, Option<JobKey>>,
    /// What agents were told to do.
    pub(crate) orders: Orders,
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
        // What was asked of agents may have been done.
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
            Kind::Scale => Command::Job(key, JobAction::Scale(scale(entry.size))),
            Kind::Revert => {
                let (version, enforce_prior) = (entry.size, None);
                Command::Job(
                    key,
                    JobAction::Revert {
                        version,
                        enforce_prior,
                    },
                )
            }
            Kind::Dispatch => {
                let key = jobs::key(jobs::PARAMETERIZED);
                Command::Job(key, JobAction::Dispatch(Dispatch::default()))
            }
            Kind::Drain => self.node_command(entry.to, drain(entry.size)),
            Kind::Ineligible => {
                self.node_command(entry.to, NodeAction::SetEligibility(Eligibility::Ineligible))
            }
            // System jobs may push out others unless somebody has it otherwise.
            Kind::Rival => register(jobs::RIVAL, jobs::well(0)),
            Kind::RestartTasks => return self.restart_tasks(entry),
            Kind::StopAllocation => return self.stop_allocation(entry),
            Kind::ApplyMeta => return self.apply_meta(entry),
            Kind::Promote => return self.act(&key, DeploymentAction::Promote { groups: None }),
            Kind::Pause => return self.act(&key, DeploymentAction::Pause),
            Kind::FailDeployment => return self.act(&key, DeploymentAction::Fail),
            _ => return,
        };
        self.command(command);
    }

    /// What the operator wanted for a while is over.
    pub(crate) fn unwish(&mut self, entry: &Entry) {
        match entry.kind {
            Kind::Pause => self.act(&jobs::key(entry.to), DeploymentAction::Resume),
            Kind::Drain | Kind::Ineligible => self.take_back(entry.to),
            Kind::Rival => self.send_rival_away(),
            _ => {}
        }
    }

    /// A box takes allocations again.
    pub(crate) fn take_back(&mut self, number: usize) {
        let leave_off = NodeAction::Drain {
            spec: None,
            mark_eligible: true,
            meta: BTreeMap::new(),
        };
        for action in [leave_off, NodeAction::SetEligibility(Eligibility::Eligible)] {
            let command = self.node_command(number, action);
            self.command(command);
        }
    }

    pub(crate) fn send_rival_away(&mut self) {
        self.command(Command::DeregisterJob {
            key: jobs::key(jobs::RIVAL),
            purge: true,
            no_shutdown_delay: false,
        });
    }

    fn node_command(&self, number: usize, action: NodeAction) -> Command {
        let id = self.devices[number].id;
        Command::Node { id, action }
    }

    /// Acts on the newest deployment of a job, if there is one.
    pub(crate) fn act(&mut self, key: &JobKey, action: DeploymentAction) {
        let newest = self.host.state().latest_deployment(key).map(|it| it.id);
        if let Some(id) = newest {
            self.command(Command::Deployment { id, action });
        }
    }

    pub(crate) fn command(&mut self, command: Command) {
        if !self.host.is_up() {
            return;
        }
        let key = match &command {
            Command::RegisterJob { job, .. } => Some(job.key()),
            Command::Job(key, _) => Some(key.clone()),
            Command::DeregisterJob { key, .. } => {
                self.operator.stopped.insert(key.clone());
                Some(key.clone())
            }
            _ => None,
        };
        self.operator.requests += 1;
        let request = RequestId(self.operator.requests);
        self.operator.asked.insert(request, key);
        self.operator.orders.on_asked(request, &command);
        self.coordinator_input(Input::Command(request, command));
    }

    /// The coordinator answers; `None` when it says that it could not store what it did.
    pub(crate) fn operator_hears(&mut self, request: RequestId, result: Option<Result<Response, Refusal>>) {
        let Some(key) = self.operator.asked.remove(&request) else {
            return;
        };
        self.operator.orders.on_answer(request, result.as_ref());
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
}

pub(crate) fn register(number: usize, size: u64) -> Command {
    Command::RegisterJob {
        job: Box::new(jobs::job(number, size)),
        check_index: None,
        preserve_counts: false,
        eval_priority: None,
        submission: None,
    }
}

fn scale(size: u64) -> Scale {
    Scale {
        group: "g".into(),
        count: Some(1 + size as i64),
        message: "the operator wants it so".into(),
        error: false,
        meta: BTreeMap::new(),
        check_index: None,
    }
}

fn drain(minutes: u64) -> NodeAction {
    let deadline = match minutes {
        0 => Duration::from_secs(-1),
        _ => Duration::from_secs(60 * minutes as i64),
    };
    let ignore_system_jobs = minutes.is_multiple_of(2);
    NodeAction::Drain {
        spec: Some(DrainSpec {
            deadline,
            ignore_system_jobs,
        }),
        mark_eligible: false,
        meta: BTreeMap::new(),
    }
}
