//! `job run`: registers a job and watches it start.

use anyhow::{Context, Result, anyhow};
use clap::Args;
use holdfast_api::{JobRegisterRequest, JobRegisterResponse};
use holdfast_shared::model::Job;

use super::periodic;
use crate::client::{ApiError, Request, segment};
use crate::command::Verbosity;
use crate::jobfile::JobFile;
use crate::monitor::Monitor;
use crate::output::json;
use crate::session::{DONE, Exit, FAILED, Session};

/// How the coordinator begins its refusal of a job that has changed in the meantime.
const STALE: &str = "Enforcing job modify index";

/// Flags of `job run`.
#[derive(Debug, Args)]
pub struct Run {
    #[command(flatten)]
    file: JobFile,
    /// Register only if the job still has this modify index; 0: only if there is none yet
    #[arg(long, value_name = "INDEX")]
    check_index: Option<u64>,
    /// Do not watch the job start
    #[arg(long)]
    detach: bool,
    /// Priority of the evaluation, where it differs from the job's
    #[arg(long, value_name = "PRIORITY")]
    eval_priority: Option<i64>,
    /// Print the job as JSON instead of registering it
    #[arg(long)]
    output: bool,
    /// Override soft policies
    #[arg(long)]
    policy_override: bool,
    /// Keep the counts that the job has, instead of those of the file
    #[arg(long)]
    preserve_counts: bool,
    #[command(flatten)]
    how: Verbosity,
}

/// Registers a job.
///
/// # Errors
/// When the file is wrong, or the coordinator refuses it or does not answer.
pub fn run(session: &mut Session<'_>, args: &Run) -> Result<Exit> {
    let loaded = args.file.load(&session.environment)?;
    let mut job = loaded.job;
    if args.output {
        job.canonicalize();
        session.console.line(json::pretty(
            &serde_json::json!({ "Job": holdfast_api::job_value(&job) }),
        ));
        return Ok(DONE);
    }
    session.client = session
        .client
        .for_job(job.region.as_deref(), job.namespace.as_deref());
    let request = JobRegisterRequest {
        enforce_index: args.check_index.is_some(),
        job_modify_index: args.check_index.unwrap_or(0),
        policy_override: args.policy_override,
        preserve_counts: args.preserve_counts,
        eval_priority: args.eval_priority.unwrap_or(0),
        submission: Some(loaded.submission),
        job: Some(Box::new(job.clone())),
    };
    let answer: JobRegisterResponse = match session.client.fetch(&Request::put("/v1/jobs", request)) {
        Ok(reply) => reply.decode()?,
        Err(ApiError::Refused { text, .. }) if text.contains(STALE) => {
            let from = text.find(STALE).unwrap_or(0);
            return Err(anyhow!(
                "{}\nJob not updated",
                text[from..].lines().next().unwrap_or(STALE)
            ));
        }
        Err(error) => return Err(error).context("Error submitting job"),
    };
    follow(session, args, &job, &answer)
}

fn follow(session: &mut Session<'_>, args: &Run, job: &Job, answer: &JobRegisterResponse) -> Result<Exit> {
    warn(session, &answer.warnings);
    let page = format!("/jobs/{}@{}", segment(job.id()), job.namespace());
    if args.detach || answer.eval_id.is_empty() || job.multiregion.is_some() {
        session.console.line("Job registration successful");
        if !answer.eval_id.is_empty() {
            session
                .console
                .line(format_args!("Evaluation ID: {}", answer.eval_id));
        } else if let Some(next) = periodic::next_launch(job, session.now) {
            session
                .console
                .line(format_args!("Approximate next launch time: {next}"));
        }
        session.hint("View this job", &page);
        return Ok(DONE);
    }
    session.hint_above("View this job", &page);
    let exit = Monitor::new(session, args.how).evaluation(&answer.eval_id)?;
    if exit == FAILED {
        let (program, id) = (&session.program, job.id());
        session.console.error(format_args!(
            "\nThe job did not start as asked: see `{program} job status {id}`"
        ));
    }
    Ok(exit)
}

/// Shows what the coordinator has to say about a job that it took all the same.
pub fn warn(session: &mut Session<'_>, warnings: &str) {
    if !warnings.is_empty() {
        let text = session
            .console
            .warning(&format!("Job Warnings:\n{}", warnings.trim_end()));
        session.console.line(format_args!("{text}\n"));
    }
}
