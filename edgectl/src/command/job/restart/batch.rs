//! One batch of a restart: all of it is told first, then waited for.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use holdfast_api::{AllocRestartRequest, AllocStopResponse, Allocation, AllocationListStub, Evaluation};
use serde_json::json;

use super::interrupt::Interrupts;
use super::{Restart, news};
use crate::client::{Request, segment};
use crate::command::placement;
use crate::monitor::Pace;
use crate::output::plural;
use crate::session::Session;

/// How often a sign of life is given while nothing happens.
const SIGN_OF_LIFE: Duration = Duration::from_secs(60);

/// What went wrong.
#[derive(Debug)]
pub(super) struct Failure {
    text: String,
    /// Whether the next allocation is bound to fail like this one.
    pub(super) is_hopeless: bool,
}

impl Failure {
    pub(super) fn of(text: String) -> Self {
        Self {
            text,
            is_hopeless: false,
        }
    }
}

/// A replacement found no place; the next one will not, either.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NoPlace(String);

/// All that went wrong, as one text.
pub(super) fn listed(failures: &[Failure]) -> String {
    let count = i64::try_from(failures.len()).unwrap_or(i64::MAX);
    let points: Vec<String> = failures
        .iter()
        .map(|it| format!("* {}", it.text.trim()))
        .collect();
    format!(
        "{} occurred while restarting job:\n{}",
        plural(count, "error"),
        points.join("\n")
    )
}

/// What is waited for.
enum Awaited {
    /// These tasks run again: how often each was restarted before.
    Tasks(BTreeMap<String, u64>),
    /// A replacement runs; evaluations from this index on tell why not.
    Replacement(u64),
}

/// How a job's allocations are restarted.
pub(super) struct Restarting<'a> {
    pub(super) args: &'a Restart,
    pub(super) job: &'a str,
    pub(super) interrupts: &'a Interrupts,
}

impl Restarting<'_> {
    /// Restarts these allocations, and waits until all of them run again.
    pub(super) fn batch(&self, session: &mut Session<'_>, allocs: &[AllocationListStub]) -> Vec<Failure> {
        let mut failures = Vec::new();
        let mut told = Vec::new();
        for alloc in allocs {
            self.interrupts.pass();
            match self.tell(session, alloc) {
                Ok(awaited) => told.push((alloc, awaited)),
                Err(error) => failures.push(self.failure(alloc, &error)),
            }
        }
        for (alloc, awaited) in told {
            let outcome = match awaited {
                Awaited::Tasks(before) => await_tasks(session, alloc, &before),
                Awaited::Replacement(index) => self.await_replacement(session, alloc, index),
            };
            failures.extend(outcome.err().map(|error| self.failure(alloc, &error)));
        }
        failures
    }

    fn failure(&self, alloc: &AllocationListStub, error: &anyhow::Error) -> Failure {
        let id = self.args.how.ids().cut(&alloc.id);
        Failure {
            text: format!("Error restarting allocation {id:?}: {error:#}"),
            is_hopeless: error.is::<NoPlace>(),
        }
    }

    fn tell(&self, session: &mut Session<'_>, alloc: &AllocationListStub) -> Result<Awaited> {
        let (id, group) = (self.args.how.ids().cut(&alloc.id), &alloc.task_group);
        if self.args.reschedule {
            news(
                session,
                format_args!("Rescheduling allocation {id:?} for group {group:?}"),
            );
            let path = format!("/v1/allocation/{}/stop", segment(&alloc.id));
            let hurry = self.args.no_shutdown_delay.then_some(true);
            let request = Request::put(path, json!({})).query_some("no_shutdown_delay", hurry);
            let stopped: AllocStopResponse = session
                .client
                .fetch(&request)
                .context("Failed to stop allocation")?
                .decode()?;
            return Ok(Awaited::Replacement(stopped.index));
        }
        let before = tasks_that_run(&read(session, &alloc.id, &mut Pace::default())?, &self.args.task);
        let path = format!("/v1/client/allocation/{}/restart", segment(&alloc.id));
        let wish = AllocRestartRequest {
            all_tasks: self.args.all_tasks,
            ..AllocRestartRequest::default()
        };
        if self.args.task.is_empty() {
            let which = if self.args.all_tasks { "all" } else { "running" };
            let text = format!("Restarting {which} tasks in allocation {id:?} for group {group:?}");
            news(session, text);
            session.client.fetch(&Request::put(path, wish))?;
            return Ok(Awaited::Tasks(before));
        }
        let named = self.args.task.iter();
        for task in named.filter(|task| alloc.task_states.contains_key(*task)) {
            let text = format!("Restarting task {task:?} in allocation {id:?} for group {group:?}");
            news(session, text);
            let wish = AllocRestartRequest {
                task_name: task.clone(),
                ..wish.clone()
            };
            session
                .client
                .fetch(&Request::put(&path, wish))
                .with_context(|| format!("Failed to restart task {task:?}"))?;
        }
        Ok(Awaited::Tasks(before))
    }

    /// Follows an allocation to the one that replaces it, and to that one's replacement, until one runs.
    fn await_replacement(
        &self,
        session: &mut Session<'_>,
        alloc: &AllocationListStub,
        index: u64,
    ) -> Result<()> {
        let ids = self.args.how.ids();
        let mut current = alloc.id.clone();
        let (mut pace, mut quiet_since) = (Pace::default(), Instant::now());
        loop {
            let it = read(session, &current, &mut pace)?;
            if !it.next_allocation.is_empty() {
                let (old, new) = (ids.cut(&it.id), ids.cut(&it.next_allocation));
                let text =
                    format!("Allocation {old:?} replaced by {new:?}, waiting for {new:?} to start running");
                news(session, text);
                current.clone_from(&it.next_allocation);
                pace = Pace::default();
                continue;
            }
            if it.id != alloc.id && it.client_status == "running" {
                news(
                    session,
                    format_args!("Allocation {:?} is \"running\"", ids.cut(&it.id)),
                );
                return Ok(());
            }
            self.check_placement(session, alloc, index)?;
            if quiet_since.elapsed() >= SIGN_OF_LIFE {
                quiet_since = Instant::now();
                let id = ids.cut(&alloc.id);
                news(
                    session,
                    format_args!("Still waiting for allocation {id:?} to be replaced"),
                );
            }
            pace.pause();
        }
    }

    /// Fails when the replacement waits for a place.
    fn check_placement(&self, session: &Session<'_>, alloc: &AllocationListStub, index: u64) -> Result<()> {
        let path = format!("/v1/job/{}/evaluations", segment(self.job));
        let all: Vec<Evaluation> = session
            .client
            .fetch(&Request::get(path))
            .with_context(|| format!("Failed to retrieve evaluations for job {:?}", self.job))?
            .decode()?;
        let blocked = all
            .iter()
            .filter(|it| it.create_index >= index && it.status == "blocked")
            .find_map(|it| Some((it, it.failed_tg_allocs.get(&alloc.task_group)?)));
        match blocked {
            None => Ok(()),
            Some((eval, metric)) => Err(NoPlace(format!(
                "Evaluation {:?} has placement failures for group {:?}:\n{}",
                self.args.how.ids().cut(&eval.id),
                alloc.task_group,
                placement::reasons(metric, "    ").join("\n")
            ))
            .into()),
        }
    }
}

/// How often each task was restarted that runs and is meant; all are meant when none is named.
fn tasks_that_run(it: &Allocation, named: &[String]) -> BTreeMap<String, u64> {
    it.task_states
        .iter()
        .filter(|(name, task)| task.state == "running" && (named.is_empty() || named.contains(name)))
        .map(|(name, task)| (name.clone(), task.restarts))
        .collect()
}

/// Waits until every task runs again.
fn await_tasks(
    session: &Session<'_>,
    alloc: &AllocationListStub,
    before: &BTreeMap<String, u64>,
) -> Result<()> {
    let mut pace = Pace::default();
    loop {
        let it = read(session, &alloc.id, &mut pace)?;
        let runs_again = |(name, restarts): (&String, &u64)| {
            let state = it.task_states.get(name);
            state.is_some_and(|task| task.restarts > *restarts && task.state == "running")
        };
        if before.iter().all(runs_again) {
            return Ok(());
        }
        if !matches!(it.client_status.as_str(), "running" | "pending") {
            bail!(
                "it does not run again: its client status is {:?}",
                it.client_status
            );
        }
        pace.pause();
    }
}

fn read(session: &Session<'_>, id: &str, pace: &mut Pace) -> Result<Allocation> {
    let path = format!("/v1/allocation/{}", segment(id));
    let reply = session
        .client
        .fetch(&pace.question(&path))
        .with_context(|| format!("Failed to retrieve allocation {id:?}"))?;
    pace.index = reply.index;
    Ok(reply.decode()?)
}
