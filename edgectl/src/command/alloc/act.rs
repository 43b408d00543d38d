//! `alloc restart` and `alloc stop`.

use anyhow::{Context, Result, bail};
use clap::Args;
use holdfast_api::{AllocRestartRequest, AllocStopResponse};
use serde_json::json;

use super::find;
use crate::client::{Request, segment};
use crate::command::Verbosity;
use crate::monitor::Monitor;
use crate::session::{DONE, Exit, FAILED, Session};

/// Flags of `alloc restart`.
#[derive(Debug, Args)]
pub struct Restart {
    /// The allocation, or the first characters of its id
    id: String,
    /// Only this task
    named: Option<String>,
    /// Restart all tasks, those that are over included
    #[arg(long)]
    all_tasks: bool,
    /// Only this task
    #[arg(long, value_name = "TASK")]
    task: Option<String>,
    #[command(flatten)]
    how: Verbosity,
}

/// Flags of `alloc stop`.
#[derive(Debug, Args)]
pub struct Stop {
    /// The allocation, or the first characters of its id
    id: String,
    /// Do not watch it being replaced
    #[arg(long)]
    detach: bool,
    /// End tasks without their shutdown delay
    #[arg(long)]
    no_shutdown_delay: bool,
    #[command(flatten)]
    how: Verbosity,
}

/// Restarts tasks of an allocation in place.
///
/// # Errors
/// When the coordinator does not answer, or the agent refuses.
pub fn restart(session: &mut Session<'_>, args: &Restart) -> Result<Exit> {
    let task = args.task.as_ref().or(args.named.as_ref());
    if args.all_tasks && task.is_some() {
        bail!("The -all-tasks option is not allowed when restarting a specific task.");
    }
    let Some(stub) = find(session, &args.id, args.how)? else {
        return Ok(FAILED);
    };
    if let Some(task) = task.filter(|task| !stub.task_states.contains_key(*task)) {
        let found: Vec<&str> = stub.task_states.keys().map(String::as_str).collect();
        bail!("Could not find task named: {task}, found:\n{}", found.join("\n"));
    }
    let wish = AllocRestartRequest {
        task_name: task.cloned().unwrap_or_default(),
        all_tasks: args.all_tasks,
    };
    let path = format!("/v1/client/allocation/{}/restart", segment(&stub.id));
    let target = if task.is_some() { "task" } else { "allocation" };
    session
        .client
        .fetch(&Request::put(path, wish))
        .with_context(|| format!("Failed to restart {target}"))?;
    Ok(DONE)
}

/// Ends an allocation and watches it being replaced.
///
/// # Errors
/// When the coordinator does not answer.
pub fn stop(session: &mut Session<'_>, args: &Stop) -> Result<Exit> {
    let Some(stub) = find(session, &args.id, args.how)? else {
        return Ok(FAILED);
    };
    let path = format!("/v1/allocation/{}/stop", segment(&stub.id));
    let hurry = args.no_shutdown_delay.then_some(true);
    let request = Request::put(path, json!({})).query_some("no_shutdown_delay", hurry);
    let stopped: AllocStopResponse = session
        .client
        .fetch(&request)
        .context("Error stopping allocation")?
        .decode()?;
    if args.detach {
        session.console.line(&stopped.eval_id);
        return Ok(DONE);
    }
    Monitor::new(session, args.how).evaluation(&stopped.eval_id)
}
