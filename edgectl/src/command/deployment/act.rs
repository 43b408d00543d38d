//! What operators do with deployments: promote, pause, resume, fail, unblock.

use anyhow::{Context, Result};
use clap::Args;
use holdfast_api::{Deployment, DeploymentPauseRequest, DeploymentPromoteRequest, DeploymentUpdateResponse};
use serde::Serialize;
use serde_json::json;

use super::{find, report};
use crate::client::{Request, segment};
use crate::command::Verbosity;
use crate::monitor::Monitor;
use crate::session::{DONE, Exit, FAILED, Session};

/// A deployment, and whether what follows is watched.
#[derive(Debug, Args)]
pub struct Act {
    /// The deployment, or the first characters of its id
    id: String,
    /// Do not watch what follows
    #[arg(long)]
    detach: bool,
    #[command(flatten)]
    how: Verbosity,
}

/// Flags of `deployment promote`.
#[derive(Debug, Args)]
pub struct Promote {
    #[command(flatten)]
    act: Act,
    /// Only this group; may be given more than once
    #[arg(long, value_name = "GROUP")]
    group: Vec<String>,
}

/// Makes ordinary allocations of canaries.
///
/// # Errors
/// When the coordinator does not answer, or refuses it.
pub fn promote(session: &mut Session<'_>, args: &Promote) -> Result<Exit> {
    let body = |it: &Deployment| DeploymentPromoteRequest {
        deployment_id: it.id.clone(),
        all: args.group.is_empty(),
        groups: args.group.clone(),
    };
    let Some((_, done)) = act(session, &args.act, "promote", body)? else {
        return Ok(FAILED);
    };
    if args.act.detach || done.eval_id.is_empty() {
        return Ok(DONE);
    }
    Monitor::new(session, args.act.how).evaluation(&done.eval_id)
}

/// Halts a deployment.
///
/// # Errors
/// When the coordinator does not answer, or refuses it.
pub fn pause(session: &mut Session<'_>, args: &Act) -> Result<Exit> {
    let Some((it, _)) = act(session, args, "pause", |it| halt(it, true))? else {
        return Ok(FAILED);
    };
    session
        .console
        .line(format_args!("Deployment {:?} paused", it.id));
    Ok(DONE)
}

/// Lets a deployment go on.
///
/// # Errors
/// When the coordinator does not answer, or refuses it.
pub fn resume(session: &mut Session<'_>, args: &Act) -> Result<Exit> {
    let Some((it, done)) = act(session, args, "pause", |it| halt(it, false))? else {
        return Ok(FAILED);
    };
    session
        .console
        .line(format_args!("Deployment {:?} resumed", it.id));
    follow(session, args, &done)
}

/// Gives a deployment up.
///
/// # Errors
/// When the coordinator does not answer, or refuses it.
pub fn fail(session: &mut Session<'_>, args: &Act) -> Result<Exit> {
    let Some((it, done)) = act(session, args, "fail", |_| json!({}))? else {
        return Ok(FAILED);
    };
    let reverted = done
        .reverted_job_version
        .map(|version| format!(". Auto-reverted to job version {version}."));
    session.console.line(format_args!(
        "Deployment {:?} failed{}",
        it.id,
        reverted.unwrap_or_default()
    ));
    follow(session, args, &done)
}

/// Lets a deployment succeed although other regions are not done.
///
/// # Errors
/// When the coordinator does not answer, or refuses it.
pub fn unblock(session: &mut Session<'_>, args: &Act) -> Result<Exit> {
    let Some((it, done)) = act(session, args, "unblock", |_| json!({}))? else {
        return Ok(FAILED);
    };
    session
        .console
        .line(format_args!("Deployment {:?} unblocked", it.id));
    follow(session, args, &done)
}

fn halt(it: &Deployment, pause: bool) -> DeploymentPauseRequest {
    DeploymentPauseRequest {
        deployment_id: it.id.clone(),
        pause,
    }
}

/// Asks the coordinator for it; `None` when there is no such deployment, which is said.
fn act<B: Serialize>(
    session: &mut Session<'_>,
    args: &Act,
    verb: &str,
    body: impl FnOnce(&Deployment) -> B,
) -> Result<Option<(Deployment, DeploymentUpdateResponse)>> {
    let found = find(session, &args.id)?;
    let Some(it) = report(session, &args.id, found, args.how) else {
        return Ok(None);
    };
    let request = Request::put(format!("/v1/deployment/{verb}/{}", segment(&it.id)), body(&it));
    let ing = match verb {
        "promote" => "promoting",
        "pause" => "pausing",
        "fail" => "failing",
        _ => "unblocking",
    };
    let done = session
        .client
        .fetch(&request)
        .with_context(|| format!("Error {ing} deployment"))?
        .decode()?;
    Ok(Some((it, done)))
}

/// Watches the evaluation that carries on from there.
fn follow(session: &mut Session<'_>, args: &Act, done: &DeploymentUpdateResponse) -> Result<Exit> {
    if done.eval_id.is_empty() {
        return Ok(DONE);
    }
    if args.detach {
        session
            .console
            .line(format_args!("Evaluation ID: {}", done.eval_id));
        return Ok(DONE);
    }
    session.console.line("");
    Monitor::new(session, args.how).evaluation(&done.eval_id)
}
