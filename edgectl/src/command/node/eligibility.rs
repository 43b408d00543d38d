//! `node eligibility` and `node purge`.

use anyhow::{Context, Result, bail};
use clap::Args;
use holdfast_api::EligibilityRequest;
use serde_json::json;

use super::Target;
use crate::client::{Request, segment};
use crate::command::confirm;
use crate::session::{DONE, Exit, FAILED, Session};

/// Flags of `node eligibility`.
#[derive(Debug, Args)]
pub struct Eligibility {
    #[command(flatten)]
    target: Target,
    /// Let the node take allocations
    #[arg(long, conflicts_with = "disable")]
    enable: bool,
    /// Let it take no new ones
    #[arg(long)]
    disable: bool,
}

/// Flags of `node purge`.
#[derive(Debug, Args)]
pub struct Purge {
    #[command(flatten)]
    target: Target,
    /// Do not ask first
    #[arg(long)]
    yes: bool,
}

/// Lets a node take allocations, or not.
///
/// # Errors
/// When the coordinator does not answer, or refuses it.
pub fn run(session: &mut Session<'_>, args: &Eligibility) -> Result<Exit> {
    if !args.enable && !args.disable {
        bail!("Either the '-enable' or '-disable' flag must be set");
    }
    let Some(id) = args.target.find(session)? else {
        return Ok(FAILED);
    };
    let eligibility = if args.enable { "eligible" } else { "ineligible" };
    let request = EligibilityRequest {
        node_id: id.clone(),
        eligibility: eligibility.to_owned(),
    };
    session
        .client
        .fetch(&Request::put(
            format!("/v1/node/{}/eligibility", segment(&id)),
            request,
        ))
        .context("Error updating scheduling eligibility")?;
    session.console.line(format_args!(
        "Node {id:?} scheduling eligibility set: {eligibility} for scheduling"
    ));
    Ok(DONE)
}

/// Forgets a node.
///
/// # Errors
/// When the coordinator does not answer.
pub fn purge(session: &mut Session<'_>, args: &Purge) -> Result<Exit> {
    let Some(id) = args.target.find(session)? else {
        return Ok(FAILED);
    };
    let question = format!("Are you sure you want to forget node {id:?}? What it runs is lost. [y/N] ");
    if !args.yes
        && !confirm(
            session,
            &question,
            "add -yes to forget the node without being asked",
        )?
    {
        session.console.line("Canceling node purge");
        return Ok(DONE);
    }
    session
        .client
        .fetch(&Request::put(
            format!("/v1/node/{}/purge", segment(&id)),
            json!({}),
        ))
        .context("Error purging node")?;
    session.console.line(format_args!("Node {id:?} purged"));
    Ok(DONE)
}
