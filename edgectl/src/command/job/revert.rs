//! `job revert`: returns to an earlier version.

use anyhow::{Context, Result};
use clap::Args;
use holdfast_api::{JobRegisterResponse, JobRevertRequest};

use super::run::warn;
use super::{Watching, find, request, tag};
use crate::session::{Exit, Session};

/// Flags of `job revert`.
#[derive(Debug, Args)]
pub struct Revert {
    /// The job, or the first characters of its id
    id: String,
    /// The version to return to, or its tag
    version: String,
    #[command(flatten)]
    watching: Watching,
}

/// Registers an earlier version of a job anew.
///
/// # Errors
/// When the job or the version is not found, or the coordinator refuses.
pub fn run(session: &mut Session<'_>, args: &Revert) -> Result<Exit> {
    let stub = find(session, &args.id)?;
    let job_version = tag::version(session, &stub, &args.version)?;
    let wish = JobRevertRequest {
        job_id: stub.id.clone(),
        job_version,
        enforce_prior_version: None,
    };
    let path = request(&stub, "/revert");
    let answer: JobRegisterResponse = session
        .client
        .fetch(&path.with_body(wish))
        .with_context(|| format!("Error reverting job to version {job_version}"))?
        .decode()?;
    warn(session, &answer.warnings);
    args.watching.follow(session, &answer.eval_id)
}
