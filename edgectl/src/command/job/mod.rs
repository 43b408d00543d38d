//! `job …`: what people do with jobs.

pub mod allocs;
pub mod init;
pub mod inspect;
pub mod run;
pub mod status;
pub mod stop;
pub mod validate;

use anyhow::{Context, Result};
use clap::Subcommand;
use holdfast_api::JobListStub;

use crate::client::Request;
use crate::output::{Table, time};
use crate::session::Session;

/// What can be done with jobs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Register a job and watch it start
    Run(run::Run),
    /// List jobs, or show one
    Status(status::Status),
    /// Stop jobs
    Stop(stop::Stop),
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
    /// List the deployments of a job
    Deployments(allocs::Deployments),
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
