//! `job start`: starts a job again that was stopped.

use anyhow::{Context, Result, bail};
use clap::Args;
use holdfast_api::{JobRegisterRequest, JobRegisterResponse, JobSubmission};
use holdfast_shared::model::Job;

use super::run::warn;
use super::{Watching, find, periodic, request};
use crate::client::{ApiError, Request};
use crate::session::{DONE, Exit, Session};

/// Flags of `job start`.
#[derive(Debug, Args)]
pub struct Start {
    /// The job, or the first characters of its id
    id: String,
    #[command(flatten)]
    watching: Watching,
}

/// Registers the newest version of a stopped job anew, as one that runs.
///
/// # Errors
/// When the job is not found, was not stopped, or the coordinator refuses it.
pub fn run(session: &mut Session<'_>, args: &Start) -> Result<Exit> {
    let stub = find(session, &args.id)?;
    let mut job: Job = session
        .client
        .fetch(&request(&stub, ""))
        .context("Error querying job")?
        .decode()?;
    if !job.is_stopped() {
        bail!("Job {:?} has not been stopped", job.name());
    }
    job.stop = Some(false);
    let source = request(&stub, "/submission").query("version", job.version());
    let submission: Option<JobSubmission> = match session.client.fetch(&source) {
        Ok(reply) => Some(reply.decode()?),
        // A job that was submitted as JSON by a program has none.
        Err(ApiError::Refused { status: 404, .. }) => None,
        Err(error) => return Err(error).context("Error querying the job's source"),
    };
    let wish = JobRegisterRequest {
        submission,
        job: Some(Box::new(job.clone())),
        ..JobRegisterRequest::default()
    };
    let question = Request::put("/v1/jobs", wish).query("namespace", &stub.namespace);
    let answer: JobRegisterResponse = session
        .client
        .fetch(&question)
        .context("Error starting job")?
        .decode()?;
    warn(session, &answer.warnings);
    if args.watching.detach || answer.eval_id.is_empty() || job.multiregion.is_some() {
        session.console.line("Job start successful");
        if !answer.eval_id.is_empty() {
            let line = format!("Evaluation ID: {}", answer.eval_id);
            session.console.line(line);
        } else if let Some(next) = periodic::next_launch(&job, session.now) {
            let line = format!("Approximate next launch time: {next}");
            session.console.line(line);
        }
        return Ok(DONE);
    }
    args.watching.follow(session, &answer.eval_id)
}
