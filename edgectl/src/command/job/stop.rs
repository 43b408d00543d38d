//! `job stop`: ends jobs and watches them go.

use anyhow::{Context, Result};
use clap::Args;
use holdfast_api::JobDeregisterResponse;

use super::find;
use crate::client::{Request, segment};
use crate::command::{Verbosity, confirm};
use crate::monitor::Monitor;
use crate::session::{DONE, Exit, Session};

/// Flags of `job stop`.
#[derive(Debug, Args)]
pub struct Stop {
    /// The jobs, or the first characters of their ids
    #[arg(required = true)]
    ids: Vec<String>,
    /// Do not watch them end
    #[arg(long)]
    detach: bool,
    /// Priority of the evaluation, where it differs from the job's
    #[arg(long, value_name = "PRIORITY")]
    eval_priority: Option<i64>,
    /// Stop a multi-region job in all its regions
    #[arg(long)]
    global: bool,
    /// End tasks without their shutdown delay
    #[arg(long)]
    no_shutdown_delay: bool,
    /// Forget the jobs, too
    #[arg(long)]
    purge: bool,
    /// Do not ask whether a prefix means the right job
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    how: Verbosity,
}

/// Stops jobs, one after the other.
///
/// # Errors
/// When a job is not found, or the coordinator does not answer.
pub fn run(session: &mut Session<'_>, args: &Stop) -> Result<Exit> {
    let mut worst = DONE;
    for id in &args.ids {
        worst = worst.max(stop(session, args, id)?);
    }
    Ok(worst)
}

fn stop(session: &mut Session<'_>, args: &Stop, id: &str) -> Result<Exit> {
    let stub = find(session, id)?;
    let question = format!("Are you sure you want to stop job {:?}? [y/N] ", stub.id);
    let instead = "name it in full, or add -yes to stop it without being asked";
    if stub.id != *id && !args.yes && !confirm(session, &question, instead)? {
        session.console.line("Cancelling job stop");
        return Ok(DONE);
    }
    let request = Request::delete(format!("/v1/job/{}", segment(&stub.id)))
        .query("namespace", &stub.namespace)
        .query("purge", args.purge)
        .query_some("global", args.global.then_some(true))
        .query_some("no_shutdown_delay", args.no_shutdown_delay.then_some(true))
        .query_some("eval_priority", args.eval_priority);
    let answer: JobDeregisterResponse = session
        .client
        .fetch(&request)
        .context("Error deregistering job")?
        .decode()?;
    if answer.eval_id.is_empty() {
        return Ok(DONE);
    }
    if args.detach {
        session.console.line(&answer.eval_id);
        return Ok(DONE);
    }
    Monitor::new(session, args.how).evaluation(&answer.eval_id)
}
