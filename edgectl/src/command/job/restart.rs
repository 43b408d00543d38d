//! `job restart`: restarts the allocations of a job in place, or has them replaced, some at a time.

mod batch;
mod interrupt;
mod wishes;

use std::fmt::Display;
use std::io::BufRead as _;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use holdfast_api::{AllocationListStub, Deployment, JobListStub};

use super::{find, request};
use crate::command::deployment::is_active;
use crate::command::{Verbosity, confirm};
use crate::output::{plural, time};
use crate::session::{DONE, Exit, FAILED, Session};
use batch::{Failure, Restarting};
use interrupt::Interrupts;
use wishes::{Answer, Wishes};

/// Flags of `job restart`.
#[derive(Debug, Default, Args)]
pub struct Restart {
    /// The job, or the first characters of its id
    id: String,
    /// Restart all tasks, those that are over included
    #[arg(long)]
    all_tasks: bool,
    /// How many allocations to restart at a time
    #[arg(long, value_name = "N|N%", default_value = "1")]
    batch_size: String,
    /// How long to wait between batches; `ask` waits for an answer
    #[arg(long, value_name = "DURATION|ask", default_value = "0s")]
    batch_wait: String,
    /// Only allocations of this group; may be repeated
    #[arg(long, value_name = "GROUP")]
    group: Vec<String>,
    /// End tasks without their shutdown delay; for -reschedule
    #[arg(long)]
    no_shutdown_delay: bool,
    /// What to do when a restart fails: `ask` or `fail`
    #[arg(long, value_name = "ask|fail", default_value = "ask")]
    on_error: String,
    /// Stop the allocations and have them replaced, maybe elsewhere
    #[arg(long)]
    reschedule: bool,
    /// Only this task; may be repeated
    #[arg(long, value_name = "TASK")]
    task: Vec<String>,
    /// Ask nothing, and go on after errors
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    how: Verbosity,
}

/// How it goes on after a batch.
enum Next {
    Batch,
    /// Not at all; the text says why.
    Stop(&'static str),
    /// Not at all: the operator says so.
    Cancel,
}

/// Restarts the allocations of a job.
///
/// # Errors
/// When flags make no sense, the job is not found, or the coordinator does not answer.
pub fn run(session: &mut Session<'_>, args: &Restart) -> Result<Exit> {
    let mut wishes = Wishes::of(args)?;
    let stub = find(session, &args.id)?;
    session.client = session.client.for_job(None, Some(&stub.namespace));
    if stub.multiregion.is_some() && !args.yes {
        let question = format!(
            "Are you sure you want to restart multi-region job {:?} in a single region? [y/N] ",
            stub.id
        );
        if !confirm(session, &question, "add -yes to restart it without being asked")? {
            session.console.line("\nJob restart canceled.");
            return Ok(DONE);
        }
    }
    let allocs = wanted(session, args, &stub)?;
    if allocs.is_empty() {
        session.console.line("No allocations to restart");
        return Ok(DONE);
    }
    let count = i64::try_from(allocs.len()).unwrap_or(i64::MAX);
    headline(
        session,
        format_args!("Restarting {}", plural(count, "allocation")),
    );
    let (failures, is_canceled) = in_batches(session, (args, &mut wishes), &stub, &allocs)?;
    if !failures.is_empty() {
        if !is_canceled {
            headline(session, "Job restart finished with errors");
        }
        session
            .console
            .error(format_args!("\n{}", batch::listed(&failures)));
        return Ok(FAILED);
    }
    if !is_canceled {
        headline(session, "Job restart finished");
        session.console.line("\nJob restarted successfully!");
    }
    Ok(DONE)
}

/// Answers what went wrong, and whether the operator ended it.
fn in_batches(
    session: &mut Session<'_>,
    (args, wishes): (&Restart, &mut Wishes),
    stub: &JobListStub,
    allocs: &[AllocationListStub],
) -> Result<(Vec<Failure>, bool)> {
    let size = wishes.batch.of(allocs.len());
    let interrupts = Interrupts::watch()?;
    let restarting = Restarting {
        args,
        job: &stub.id,
        interrupts: &interrupts,
    };
    let mut failures = Vec::new();
    let batches = allocs.chunks(size).count();
    for (at, batch) in allocs.chunks(size).enumerate() {
        interrupts.pass();
        if let Some(active) = active_deployment(session, args, stub)? {
            failures.push(active);
            break;
        }
        if size > 1 {
            let (number, len) = (ordinal(at + 1), batch.len());
            headline(
                session,
                format_args!("Restarting {number} batch of {len} allocations"),
            );
        }
        let failed = restarting.batch(session, batch);
        interrupts.pass();
        let next = if at + 1 == batches {
            Next::Batch
        } else {
            let _floor = interrupts.hold();
            decide(session, (args, wishes), &failed)?
        };
        failures.extend(failed);
        match next {
            Next::Batch if at + 1 == batches => break,
            Next::Batch => rest(session, wishes.wait),
            Next::Stop(why) => {
                headline(session, why);
                break;
            }
            Next::Cancel => {
                headline(session, "Job restart canceled");
                return Ok((failures, true));
            }
        }
    }
    Ok((failures, false))
}

/// How to go on after a batch that is not the last.
fn decide(
    session: &mut Session<'_>,
    (args, wishes): (&Restart, &mut Wishes),
    failed: &[Failure],
) -> Result<Next> {
    let is_hopeless = failed.iter().any(|it| it.is_hopeless);
    if !failed.is_empty() && wishes.fails {
        return Ok(Next::Stop("Stopping job restart due to error"));
    }
    if args.yes && is_hopeless {
        return Ok(Next::Stop("Stopping job restart due to unrecoverable error"));
    }
    if args.yes || (failed.is_empty() && !wishes.asks) {
        return Ok(Next::Batch);
    }
    let mut question = match (failed.is_empty(), is_hopeless) {
        (true, _) => "Proceed with the next batch? [Y/n".to_owned(),
        (false, false) => "Ignore the errors above and proceed with the next batch? [y/N".to_owned(),
        (false, true) => {
            "The errors above are likely to happen again.\nIgnore them anyway and proceed with the next \
                          batch? [y/N"
                .to_owned()
        }
    };
    question += if wishes.asks { "/<wait duration>] " } else { "] " };
    if !failed.is_empty() {
        headline(session, batch::listed(failed));
    }
    loop {
        session.console.text(stamped(&question));
        let mut line = String::new();
        std::io::stdin()
            .lock()
            .read_line(&mut line)
            .context("Error reading the answer")?;
        match Answer::parse(&line, failed.is_empty(), wishes.asks) {
            Some(Answer::Yes) => return Ok(Next::Batch),
            Some(Answer::No) => return Ok(Next::Cancel),
            Some(Answer::Wait(wait)) => {
                (wishes.asks, wishes.wait) = (false, wait);
                let text = format!("Proceeding restarts with new wait time of {wait}");
                headline(session, text);
                return Ok(Next::Batch);
            }
            None if line.is_empty() => return Ok(Next::Cancel),
            None => session.console.line(invalid(&line)),
        }
    }
}

fn rest(session: &mut Session<'_>, wait: holdfast_shared::time::Duration) {
    if wait.0 <= 0 {
        return;
    }
    headline(
        session,
        format_args!("Waiting {wait} before restarting the next batch"),
    );
    std::thread::sleep(Duration::from_nanos(u64::try_from(wait.0).unwrap_or(0)));
}

/// The allocations that are to be restarted.
fn wanted(session: &mut Session<'_>, args: &Restart, stub: &JobListStub) -> Result<Vec<AllocationListStub>> {
    let question = request(stub, "/allocations").query("all", true);
    let mut all: Vec<AllocationListStub> = session
        .client
        .fetch(&question)
        .with_context(|| format!("Error retrieving allocations for job {:?}", stub.id))?
        .decode()?;
    all.retain(|it| {
        let Some(why) = passed_over(it, args) else {
            return true;
        };
        if args.how.verbose {
            let text = format!(
                "Skipping allocation {:?} because {why}",
                args.how.ids().cut(&it.id)
            );
            news(session, text);
        }
        false
    });
    Ok(all)
}

/// Why an allocation is left alone.
fn passed_over(it: &AllocationListStub, args: &Restart) -> Option<String> {
    if it.client_status != "running" || it.desired_status != "run" {
        return Some(format!(
            "desired status is {:?} and client status is {:?}",
            it.desired_status, it.client_status
        ));
    }
    if !args.group.is_empty() && !args.group.contains(&it.task_group) {
        return Some("it doesn't have any of requested groups".to_owned());
    }
    let has_task = args.task.iter().any(|task| it.task_states.contains_key(task));
    if !args.task.is_empty() && !has_task {
        return Some("it doesn't have any of requested tasks".to_owned());
    }
    None
}

/// A restart must not come in the way of a deployment.
fn active_deployment(session: &Session<'_>, args: &Restart, stub: &JobListStub) -> Result<Option<Failure>> {
    let question = request(stub, "/deployments").query("all", true);
    let all: Vec<Deployment> = session
        .client
        .fetch(&question)
        .with_context(|| format!("Error retrieving deployments for job {:?}", stub.id))?
        .decode()?;
    let active = all.iter().find(|it| is_active(it));
    Ok(active.map(|it| {
        let id = args.how.ids().cut(&it.id);
        Failure::of(format!("Deployment {id:?} is {:?}", it.status))
    }))
}

fn ordinal(number: usize) -> String {
    let ending = match (number % 10, number % 100) {
        (1, rest) if rest != 11 => "st",
        (2, rest) if rest != 12 => "nd",
        (3, rest) if rest != 13 => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

fn headline(session: &mut Session<'_>, text: impl Display) {
    let line = session
        .console
        .bold(&format!("==> {}: {text}", time::stamp_now()));
    session.console.line(line);
}

/// A text behind the time; its other lines begin where the first one does.
fn stamped(text: &str) -> String {
    let start = format!("==> {}: ", time::stamp_now());
    let gap = " ".repeat(start.len());
    format!("{start}{}", text.replace('\n', &format!("\n{gap}")))
}

/// What is said of an answer that makes no sense.
fn invalid(answer: &str) -> String {
    let gap = stamped("").len();
    format!("{:gap$}Invalid answer {:?}", "", answer.trim())
}

fn news(session: &mut Session<'_>, text: impl Display) {
    let stamp = time::stamp_now();
    session.console.line(format_args!("    {stamp}: {text}"));
}

/// Refuses flags that make no sense together.
fn check(args: &Restart) -> Result<()> {
    if args.all_tasks && !args.task.is_empty() {
        bail!("The -all-tasks option cannot be used with -task");
    }
    if args.reschedule && !args.task.is_empty() {
        bail!("The -reschedule option cannot be used with -task");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_counted_as_people_do() {
        let words: Vec<String> = [1, 2, 3, 4, 11, 12, 13, 21, 102, 111]
            .into_iter()
            .map(ordinal)
            .collect();
        let expected = [
            "1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "102nd", "111th",
        ];
        assert_eq!(words, expected);
    }

    #[test]
    fn only_what_runs_and_is_asked_for_is_restarted() {
        let mut alloc = AllocationListStub {
            client_status: "running".into(),
            desired_status: "run".into(),
            task_group: "app".into(),
            ..AllocationListStub::default()
        };
        alloc.task_states.insert("server".into(), Default::default());
        let asked = |group: &[&str], task: &[&str]| Restart {
            group: group.iter().map(ToString::to_string).collect(),
            task: task.iter().map(ToString::to_string).collect(),
            ..Restart::default()
        };
        assert_eq!(passed_over(&alloc, &asked(&[], &[])), None);
        assert_eq!(passed_over(&alloc, &asked(&["app"], &["server"])), None);
        assert!(passed_over(&alloc, &asked(&["db"], &[])).is_some());
        assert!(passed_over(&alloc, &asked(&[], &["proxy"])).is_some());
        alloc.client_status = "failed".into();
        assert!(passed_over(&alloc, &asked(&[], &[])).is_some());
    }
}
