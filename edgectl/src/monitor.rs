//! Watching an evaluation, and the deployment that it belongs to, until both have ended.
//!
//! Interrupting the watcher changes nothing about what is watched.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use holdfast_api::{AllocationListStub, Deployment, Evaluation};

use crate::client::{Request, segment};
use crate::command::deployment::{block, is_active};
use crate::command::{Verbosity, placement};
use crate::output::{IdLength, time};
use crate::session::{DONE, Exit, FAILED, Session, UNPLACED};

/// How long the coordinator may hold an answer while nothing changes.
const WAIT: Duration = Duration::from_secs(1);
/// The least time between two questions, should the coordinator answer at once.
const PAUSE: Duration = Duration::from_millis(200);
/// What turns while a deployment is under way.
const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

/// Watches one evaluation after the other.
pub struct Monitor<'m, 's> {
    session: &'m mut Session<'s>,
    how: Verbosity,
    ids: IdLength,
    seen: Seen,
}

/// What has been told already.
#[derive(Debug)]
struct Seen {
    is_introduced: bool,
    deployment: String,
    status: String,
    /// Client status by allocation.
    allocations: BTreeMap<String, String>,
}

impl Seen {
    /// Nothing of an evaluation, which always begins pending; of its deployment what was told before.
    fn within(deployment: String) -> Self {
        Self {
            is_introduced: false,
            deployment,
            status: "pending".to_owned(),
            allocations: BTreeMap::new(),
        }
    }
}

impl<'m, 's> Monitor<'m, 's> {
    /// A watcher that prints into the session's console.
    pub fn new(session: &'m mut Session<'s>, how: Verbosity) -> Self {
        Self {
            session,
            how,
            ids: how.ids(),
            seen: Seen::within(String::new()),
        }
    }

    /// Watches the evaluation `id`, those that follow from it, and their deployment.
    ///
    /// # Errors
    /// When the coordinator stops answering.
    pub fn evaluation(&mut self, id: &str) -> Result<Exit> {
        let mut id = id.to_owned();
        let mut unplaced = false;
        loop {
            self.seen = Seen::within(std::mem::take(&mut self.seen.deployment));
            let short = self.ids.cut(&id).to_owned();
            self.headline(format_args!("Monitoring evaluation {short:?}"));
            let ended = self.until_ended(&id)?;
            self.verdict(&ended);
            unplaced |= !ended.failed_tg_allocs.is_empty();
            if ended.next_eval.is_empty() {
                break;
            }
            id = ended.next_eval;
        }
        if !self.seen.deployment.is_empty() {
            let deployment = std::mem::take(&mut self.seen.deployment);
            let short = self.ids.cut(&deployment).to_owned();
            self.headline(format_args!("Monitoring deployment {short:?}"));
            if self::deployment(self.session, &deployment, self.how)? != DONE {
                return Ok(FAILED);
            }
        }
        Ok(if unplaced { UNPLACED } else { DONE })
    }

    fn until_ended(&mut self, id: &str) -> Result<Evaluation> {
        let path = format!("/v1/evaluation/{}", segment(id));
        let mut pace = Pace::default();
        loop {
            let reply = self
                .session
                .client
                .fetch(&pace.question(&path))
                .context("Error reading evaluation")?;
            pace.index = reply.index;
            let evaluation: Evaluation = reply.decode()?;
            let request = Request::get(format!("{path}/allocations"));
            let allocations: Vec<AllocationListStub> = self
                .session
                .client
                .fetch(&request)
                .context("Error reading allocations")?
                .decode()?;
            self.tell(&evaluation, &allocations);
            if matches!(
                evaluation.status.as_str(),
                "complete" | "failed" | "canceled" | "blocked"
            ) {
                return Ok(evaluation);
            }
            pace.pause();
        }
    }

    /// Prints what is new since the last time.
    fn tell(&mut self, evaluation: &Evaluation, allocations: &[AllocationListStub]) {
        if !self.seen.is_introduced {
            self.seen.is_introduced = true;
            if evaluation.triggered_by == "node-update" && !evaluation.node_id.is_empty() {
                let node = self.ids.cut(&evaluation.node_id).to_owned();
                self.news(format_args!("Evaluation triggered by node {node:?}"));
            } else {
                self.news(format_args!(
                    "Evaluation triggered by job {:?}",
                    evaluation.job_id
                ));
            }
        }
        if !evaluation.deployment_id.is_empty() && self.seen.deployment != evaluation.deployment_id {
            self.seen.deployment.clone_from(&evaluation.deployment_id);
            let deployment = self.ids.cut(&evaluation.deployment_id).to_owned();
            self.news(format_args!("Evaluation within deployment: {deployment:?}"));
        }
        for allocation in allocations {
            self.tell_allocation(evaluation, allocation);
        }
        if self.seen.status != evaluation.status {
            let before = std::mem::take(&mut self.seen.status);
            self.news(format_args!(
                "Evaluation status changed: {before:?} -> {:?}",
                evaluation.status
            ));
        }
        self.seen.status.clone_from(&evaluation.status);
    }

    fn tell_allocation(&mut self, evaluation: &Evaluation, it: &AllocationListStub) {
        let before = self
            .seen
            .allocations
            .insert(it.id.clone(), it.client_status.clone());
        let (id, node) = (
            self.ids.cut(&it.id).to_owned(),
            self.ids.cut(&it.node_id).to_owned(),
        );
        match before {
            None if it.create_index < evaluation.create_index => {
                self.news(format_args!(
                    "Allocation {id:?} modified: node {node:?}, group {:?}",
                    it.task_group
                ));
            }
            None if it.desired_status == "run" => {
                self.news(format_args!(
                    "Allocation {id:?} created: node {node:?}, group {:?}",
                    it.task_group
                ));
            }
            Some(before) if before != it.client_status => {
                let description = match it.client_description.as_str() {
                    "" => String::new(),
                    description => format!(" ({description})"),
                };
                let now = &it.client_status;
                self.news(format_args!(
                    "Allocation {id:?} status changed: {before:?} -> {now:?}{description}"
                ));
            }
            _ => {}
        }
    }

    fn verdict(&mut self, it: &Evaluation) {
        let id = self.ids.cut(&it.id).to_owned();
        if it.failed_tg_allocs.is_empty() {
            self.headline(format_args!(
                "Evaluation {id:?} finished with status {:?}",
                it.status
            ));
            return;
        }
        let status = &it.status;
        self.headline(format_args!(
            "Evaluation {id:?} finished with status {status:?} but failed to place all allocations:"
        ));
        for (group, metric) in &it.failed_tg_allocs {
            self.news(format_args!(
                "Task Group {group:?} ({}):",
                placement::failure_count(metric)
            ));
            for reason in placement::reasons(metric, "      ") {
                self.session.console.line(reason);
            }
        }
        if !it.blocked_eval.is_empty() {
            let blocked = self.ids.cut(&it.blocked_eval).to_owned();
            self.news(format_args!(
                "Evaluation {blocked:?} waiting for additional capacity to place remainder"
            ));
        }
    }

    fn headline(&mut self, text: impl Display) {
        let line = format!("==> {}: {text}", time::stamp_now());
        self.session.console.line(line);
    }

    fn news(&mut self, text: impl Display) {
        let line = format!("    {}: {text}", time::stamp_now());
        self.session.console.line(line);
    }
}

/// When to ask again: at once when the index has moved, but never without a breath.
#[derive(Debug, Default)]
pub struct Pace {
    /// The index of the last answer.
    pub index: u64,
    asked: Option<Instant>,
}

impl Pace {
    /// The next question: waits for something newer than the last answer.
    pub fn question(&mut self, path: &str) -> Request {
        self.asked = Some(Instant::now());
        let request = Request::get(path);
        if self.index == 0 {
            request
        } else {
            request.after(self.index, WAIT)
        }
    }

    /// Waits out the breath.
    pub fn pause(&self) {
        let passed = self.asked.map_or(PAUSE, |asked| asked.elapsed());
        std::thread::sleep(PAUSE.saturating_sub(passed));
    }
}

/// Watches a deployment until it has ended, and the one that reverts it, should it fail.
///
/// # Errors
/// When the coordinator stops answering.
pub fn deployment(session: &mut Session<'_>, id: &str, how: Verbosity) -> Result<Exit> {
    let ended = if session.console.style.terminal {
        watch_on_terminal(session, id, how)?
    } else {
        watch_in_lines(session, id, how)?
    };
    if ended.status == "successful" {
        return Ok(DONE);
    }
    if ended.status == "failed"
        && ended.task_groups.values().any(|group| group.auto_revert)
        && let Some(rollback) = rollback_of(session, &ended)?
    {
        let short = how.ids().cut(&rollback);
        let line = format!(
            "\n==> {}: Monitoring rollback deployment {short:?}",
            time::stamp_now()
        );
        session.console.line(line);
        // Its outcome is shown; the deployment that was asked for has failed either way.
        deployment(session, &rollback, how)?;
    }
    Ok(FAILED)
}

/// The deployment that returns to the last stable version, once it is there.
fn rollback_of(session: &Session<'_>, failed: &Deployment) -> Result<Option<String>> {
    let request = Request::get(format!("/v1/job/{}/deployment", segment(&failed.job_id)))
        .query("namespace", &failed.namespace);
    let deadline = Instant::now() + WAIT;
    loop {
        let newest: Option<Deployment> = session
            .client
            .fetch(&request)
            .context("Error reading the rollback deployment")?
            .decode()?;
        if let Some(newest) = newest.filter(|it| it.id != failed.id && it.create_index > failed.create_index)
        {
            return Ok(Some(newest.id));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        std::thread::sleep(PAUSE);
    }
}

fn watch_in_lines(session: &mut Session<'_>, id: &str, how: Verbosity) -> Result<Deployment> {
    let mut shown = None;
    follow(session, id, |session, it| {
        let block = block(it, how);
        if shown.as_ref() != Some(&block) {
            session
                .console
                .line(format_args!("    \n{}\n{block}", time::stamp_now()));
            shown = Some(block);
        }
    })
}

fn watch_on_terminal(session: &mut Session<'_>, id: &str, how: Verbosity) -> Result<Deployment> {
    let (mut turn, mut drawn) = (0, 0);
    follow(session, id, |session, it| {
        let short = how.ids().cut(&it.id).to_owned();
        let title = match it.status.as_str() {
            "successful" => format!("✓ Deployment {short:?} successful"),
            "failed" | "cancelled" => format!("! Deployment {short:?} {}", it.status),
            "blocked" => format!("! Deployment {short:?} blocked"),
            _ => format!(
                "{} Deployment {short:?} in progress...",
                SPINNER[turn % SPINNER.len()]
            ),
        };
        turn += 1;
        let block = block(it, how);
        let body: String = [time::stamp_now().as_str()]
            .into_iter()
            .chain(block.lines())
            .map(|line| {
                if line.is_empty() {
                    "\n".to_owned()
                } else {
                    format!("    {line}\n")
                }
            })
            .collect();
        let frame = format!("  {title}\n\n{body}");
        // Back to where the last frame began, and away with it; lines that are too long are cut, not wrapped, so
        // that the next frame finds its way back.
        let back = if drawn > 0 {
            format!("\x1b[{drawn}A\x1b[0J")
        } else {
            String::new()
        };
        drawn = frame.lines().count();
        if is_active(it) {
            session
                .console
                .text(format_args!("{back}\x1b[?7l{frame}\x1b[?7h"));
        } else {
            session.console.text(format_args!("{back}{frame}"));
        }
    })
}

/// Asks for a deployment again and again, and hands every answer on, until it has ended.
fn follow(
    session: &mut Session<'_>,
    id: &str,
    mut show: impl FnMut(&mut Session<'_>, &Deployment),
) -> Result<Deployment> {
    let path = format!("/v1/deployment/{}", segment(id));
    let mut pace = Pace::default();
    loop {
        let reply = session
            .client
            .fetch(&pace.question(&path))
            .context("Error reading deployment")?;
        pace.index = reply.index;
        let deployment: Deployment = reply.decode()?;
        show(session, &deployment);
        if !is_active(&deployment) {
            return Ok(deployment);
        }
        pace.pause();
    }
}
