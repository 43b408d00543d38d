//! `operator …`: what an operator decides about the coordinator itself.

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use holdfast_api::AdoptStateResponse;
use serde_json::json;

use super::scheduler;
use crate::client::Request;
use crate::output::json::Format;
use crate::session::{DONE, Exit, Session};

/// What can be decided.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make the coordinator's state the truth, after it was restored from a backup or lost
    AdoptState(AdoptState),
    /// Look at the scheduler's settings, and change them
    #[command(arg_required_else_help = true)]
    Scheduler {
        /// What to do with them.
        #[command(subcommand)]
        verb: scheduler::Verb,
    },
    /// Any other verb of the original
    #[command(external_subcommand)]
    Other(Vec<String>),
}

/// Flags of `operator adopt-state`.
///
/// Nodes that hold something newer than the coordinator knows change nothing until this is said. Then they follow it
/// again: what the coordinator knows goes on, and what it does not know ends. Register what is to stay first.
#[derive(Debug, Args)]
pub struct AdoptState {
    #[command(flatten)]
    format: Format,
}

/// Declares the coordinator's state to be the truth.
///
/// # Errors
/// When the coordinator does not answer, or cannot store it.
pub fn adopt_state(session: &mut Session<'_>, args: &AdoptState) -> Result<Exit> {
    let reply = session
        .client
        .fetch(&Request::put("/v1/operator/adopt-state", json!({})))
        .context("Error adopting the coordinator's state")?;
    if session.print_formatted(&args.format, &reply.value)? {
        return Ok(DONE);
    }
    let done: AdoptStateResponse = reply.decode()?;
    session.console.line(format_args!(
        "The coordinator's state is the truth from now on (epoch {}). Nodes follow it again.",
        done.epoch
    ));
    Ok(DONE)
}
