//! `system gc`.

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
    /// Any other verb of the original
    #[command(external_subcommand)]
    Other(Vec<String>),
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
