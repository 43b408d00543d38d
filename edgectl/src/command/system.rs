//! `system gc` and `system reconcile summaries`.

use anyhow::{Context, Result};
use clap::Subcommand;
use serde_json::json;

use crate::client::Request;
use crate::session::{DONE, Exit, Session};

/// What can be done with the region as a whole.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Forget everything that is over
    Gc,
    /// Mend what is derived
    #[command(arg_required_else_help = true)]
    Reconcile {
        /// What to mend.
        #[command(subcommand)]
        verb: Reconcile,
    },
    /// Any other verb of the original
    #[command(external_subcommand)]
    Other(Vec<String>),
}

/// What can be mended.
#[derive(Debug, Subcommand)]
pub enum Reconcile {
    /// Count the summaries of all jobs anew
    Summaries,
    /// Any other verb of the original
    #[command(external_subcommand)]
    Other(Vec<String>),
}

/// Has the summaries of all jobs counted anew. A coordinator of ours counts them whenever they are asked for.
///
/// # Errors
/// When the coordinator does not answer.
pub fn reconcile_summaries(session: &Session<'_>) -> Result<Exit> {
    session
        .client
        .fetch(&Request::put("/v1/system/reconcile/summaries", json!({})))
        .context("Error running system summary reconciliation")?;
    Ok(DONE)
}

/// Forgets everything that is over, however young it is.
///
/// # Errors
/// When the coordinator does not answer.
pub fn gc(session: &Session<'_>) -> Result<Exit> {
    session
        .client
        .fetch(&Request::put("/v1/system/gc", json!({})))
        .context("Error running system garbage-collection")?;
    Ok(DONE)
}
