//! `job validate`: is this file a job, and would the coordinator take it?

use anyhow::{Context, Result};
use clap::Args;
use holdfast_api::{JobValidateRequest, JobValidateResponse};

use super::run::warn;
use crate::client::Request;
use crate::jobfile::JobFile;
use crate::session::{DONE, Exit, FAILED, Session};

/// Flags of `job validate`.
#[derive(Debug, Args)]
pub struct Validate {
    #[command(flatten)]
    file: JobFile,
}

/// Checks a job file.
///
/// # Errors
/// When the file is wrong, or the coordinator does not answer.
pub fn run(session: &mut Session<'_>, args: &Validate) -> Result<Exit> {
    let job = args.file.load(&session.environment)?.job;
    session.client = session
        .client
        .for_job(job.region.as_deref(), job.namespace.as_deref());
    let request = Request::put(
        "/v1/validate/job",
        JobValidateRequest {
            job: Some(Box::new(job)),
        },
    );
    let answer: JobValidateResponse = session
        .client
        .fetch(&request)
        .context("Error validating job")?
        .decode()?;
    if !answer.error.is_empty() || !answer.validation_errors.is_empty() {
        let title = session.console.alarm("Job validation errors:");
        session.console.error(title);
        let text = if answer.error.is_empty() {
            answer.validation_errors.join("\n")
        } else {
            answer.error
        };
        session.console.error(text.trim_end());
        return Ok(FAILED);
    }
    warn(session, &answer.warnings);
    session
        .console
        .line(session.console.bold("Job validation successful"));
    Ok(DONE)
}
