//! `job eval`: evaluates a job once more.

use anyhow::{Context, Result};
use clap::Args;
use holdfast_api::{EvalOptions, JobEvaluateRequest, JobRegisterResponse};

use super::{Watching, find, request};
use crate::session::{DONE, Exit, Session};

/// Flags of `job eval`.
#[derive(Debug, Args)]
pub struct Eval {
    /// The job, or the first characters of its id
    id: String,
    /// Place failed allocations anew, whatever their policy says
    #[arg(long)]
    force_reschedule: bool,
    #[command(flatten)]
    watching: Watching,
}

/// Evaluates a job once more.
///
/// # Errors
/// When the job is not found, or the coordinator refuses.
pub fn run(session: &mut Session<'_>, args: &Eval) -> Result<Exit> {
    let stub = find(session, &args.id)?;
    let wish = JobEvaluateRequest {
        job_id: stub.id.clone(),
        eval_options: EvalOptions {
            force_reschedule: args.force_reschedule,
        },
    };
    let answer: JobRegisterResponse = session
        .client
        .fetch(&request(&stub, "/evaluate").with_body(wish))
        .context("Error evaluating job")?
        .decode()?;
    if args.watching.detach {
        let id = args.watching.how.ids().cut(&answer.eval_id).to_owned();
        session.console.line(format_args!("Created eval ID: {id:?} "));
        return Ok(DONE);
    }
    args.watching.follow(session, &answer.eval_id)
}
