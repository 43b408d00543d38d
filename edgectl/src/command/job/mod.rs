//! `job …`: what people do with jobs.

pub mod allocs;
pub mod dispatch;
pub mod eval;
pub mod explain;
pub mod history;
pub mod init;
pub mod inspect;
pub mod periodic;
pub mod plan;
pub mod promote;
pub mod restart;
pub mod revert;
pub mod run;
pub mod scale;
pub mod start;
pub mod status;
pub mod stop;
pub mod tag;
pub mod validate;

use anyhow::{Context, Result};
use clap::Subcommand;
use holdfast_api::JobListStub;

use crate::client::{Request, segment};
use crate::command::Verbosity;
use crate::monitor::Monitor;
use crate::output::{Table, time};
use crate::session::{DONE, Exit, Session};

/// What can be done with jobs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Register a job and watch it start
    Run(run::Run),
    /// List jobs, or show one
    Status(status::Status),
    /// Stop jobs
    Stop(stop::Stop),
    /// Start a job again that was stopped
    Start(start::Start),
    /// Restart a job's allocations, or have them replaced
    Restart(restart::Restart),
    /// Name versions of a job, so that they are kept
    #[command(arg_required_else_help = true)]
    Tag {
        /// What to do with names.
        #[command(subcommand)]
        verb: tag::Verb,
    },
    /// Check a job file
    Validate(validate::Validate),
    /// Print a job as JSON
    Inspect(inspect::Inspect),
    /// Format job files
    Fmt(crate::command::fmt::Fmt),
    /// Write an example of a job file
    Init(init::Init),
    /// List the allocations of a job
    Allocs(allocs::Allocs),
    /// Tell for each node why it would or would not take one more allocation
    Explain(explain::Explain),
    /// List the deployments of a job
    Deployments(allocs::Deployments),
    /// Show what a job file would do
    Plan(plan::Plan),
    /// List the versions of a job, and what changed from one to the next
    History(history::History),
    /// Return to an earlier version of a job
    Revert(revert::Revert),
    /// Change the count of a group
    Scale(scale::Scale),
    /// List the changes of counts
    ScalingEvents(scale::Events),
    /// Evaluate a job once more
    Eval(eval::Eval),
    /// Promote the canaries of a job's newest deployment
    Promote(promote::Promote),
    /// Launch an instance of a parameterized job
    Dispatch(dispatch::Dispatch),
    /// Act on a periodic job
    #[command(arg_required_else_help = true)]
    Periodic {
        /// What to do with it.
        #[command(subcommand)]
        verb: periodic::Verb,
    },
    /// Any other verb of the original
    #[command(external_subcommand)]
    Other(Vec<String>),
}

/// The job that an operator means: the one of that id, or the only one whose id starts so.
///
/// # Errors
/// When there is none, or more than one.
pub fn find(session: &Session<'_>, prefix: &str) -> Result<JobListStub> {
    let request = Request::get("/v1/jobs").query("prefix", prefix);
    let mut found: Vec<JobListStub> = session
        .client
        .fetch(&request)
        .context("Error querying jobs")?
        .decode()?;
    if let Some(exact) = found.iter().position(|job| job.id == prefix) {
        return Ok(found.swap_remove(exact));
    }
    match found.len() {
        0 => anyhow::bail!("No job(s) with prefix or ID {prefix:?} found"),
        1 => Ok(found.remove(0)),
        _ => anyhow::bail!(
            "Prefix matched multiple jobs\n\n{}",
            listing(&found, session.client.spans_namespaces())
        ),
    }
}

/// A request about the job that `stub` is of: what is at `tail` below its path, in its namespace.
pub fn request(stub: &JobListStub, tail: &str) -> Request {
    Request::get(format!("/v1/job/{}{tail}", segment(&stub.id))).query("namespace", &stub.namespace)
}

/// How the watching of an evaluation is switched off.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct Watching {
    /// Do not watch what follows
    #[arg(long)]
    pub detach: bool,
    /// How much to show.
    #[command(flatten)]
    pub how: Verbosity,
}

impl Watching {
    /// Watches the evaluation `id`, or prints it.
    ///
    /// # Errors
    /// When the coordinator stops answering.
    pub fn follow(self, session: &mut Session<'_>, id: &str) -> Result<Exit> {
        if id.is_empty() {
            return Ok(DONE);
        }
        if self.detach {
            session.console.line(format_args!("Evaluation ID: {id}"));
            return Ok(DONE);
        }
        Monitor::new(session, self.how).evaluation(id)
    }
}

/// A listing of jobs.
pub fn listing(jobs: &[JobListStub], with_namespace: bool) -> Table {
    let columns = ["ID", "Namespace", "Type", "Priority", "Status", "Submit Date"];
    let keep = |column: &usize| with_namespace || *column != 1;
    let mut table = Table::new((0..6).filter(keep).map(|column| columns[column]));
    for job in jobs {
        let cells = [
            job.id.clone(),
            job.namespace.clone(),
            kind(job),
            job.priority.to_string(),
            with_stop(&job.status, job.stop),
            time::stamp(holdfast_shared::time::Timestamp(job.submit_time)),
        ];
        table.push(
            cells
                .into_iter()
                .enumerate()
                .filter(|(column, _)| keep(column))
                .map(|(_, cell)| cell),
        );
    }
    table
}

fn kind(job: &JobListStub) -> String {
    let periodic = if job.periodic { "/periodic" } else { "" };
    let parameterized = if job.parameterized_job {
        "/parameterized"
    } else {
        ""
    };
    format!("{}{periodic}{parameterized}", job.kind)
}

/// The status of a job, and that an operator stopped it.
pub fn with_stop(status: &str, is_stopped: bool) -> String {
    if is_stopped {
        format!("{status} (stopped)")
    } else {
        status.to_owned()
    }
}
