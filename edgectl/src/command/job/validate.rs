//! `job validate`: is this file a job, and would the coordinator take it?

use anyhow::{Context, Result};
use clap::Args;
use holdfast_api::{JobValidateRequest, JobValidateResponse};
use holdfast_jobspec::Surroundings;
use holdfast_shared::model::Job;

use super::run::warn;
use crate::client::{ApiError, Request};
use crate::jobfile::JobFile;
use crate::session::{DONE, Exit, FAILED, Session};

/// Flags of `job validate`.
#[derive(Debug, Args)]
pub struct Validate {
    #[command(flatten)]
    file: JobFile,
}

/// Checks a job file: by the coordinator, or, where none answers, by the same rules on this machine.
///
/// # Errors
/// When the file is wrong, or the coordinator refuses to look at it.
pub fn run(session: &mut Session<'_>, args: &Validate) -> Result<Exit> {
    let job = args.file.load(&session.environment)?.job;
    session.client = session
        .client
        .for_job(job.region.as_deref(), job.namespace.as_deref());
    let request = JobValidateRequest {
        job: Some(Box::new(job.clone())),
    };
    let verdict: JobValidateResponse = match session.client.fetch(&Request::put("/v1/validate/job", request))
    {
        Ok(reply) => reply.decode()?,
        Err(ApiError::Unreachable { address, .. }) => {
            session.console.error(format_args!(
                "Note: no coordinator answers at {address}; the file is checked on this machine only\n"
            ));
            by_ourselves(job)
        }
        Err(error) => return Err(error).context("Error validating job"),
    };
    if !verdict.error.is_empty() || !verdict.validation_errors.is_empty() {
        let title = session.console.alarm("Job validation errors:");
        session.console.error(title);
        let text = if verdict.error.is_empty() {
            verdict.validation_errors.join("\n")
        } else {
            verdict.error
        };
        session.console.error(text.trim_end());
        return Ok(FAILED);
    }
    warn(session, &verdict.warnings);
    session
        .console
        .line(session.console.bold("Job validation successful"));
    Ok(DONE)
}

/// What a coordinator would say, as far as that depends on the job alone.
fn by_ourselves(mut job: Job) -> JobValidateResponse {
    job.canonicalize();
    let validation = holdfast_jobspec::validate(&job, &Surroundings::default());
    JobValidateResponse {
        error: validation.error_text(),
        warnings: validation.advice_text(),
        validation_errors: validation.errors,
        ..JobValidateResponse::default()
    }
}
