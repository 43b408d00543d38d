//! `job allocs` and `job deployments`: listings of what belongs to one job.

use anyhow::{Context, Result};
use clap::Args;
use holdfast_api::{AllocationListStub, Deployment};

use super::find;
use crate::client::{Request, segment};
use crate::command::{NodeNames, Verbosity, allocations, deployment};
use crate::output::json::Format;
use crate::session::{DONE, Exit, Session};

/// Flags of `job allocs`.
#[derive(Debug, Args)]
pub struct Allocs {
    /// The job, or the first characters of its id
    id: String,
    /// Show the allocations of earlier jobs of the same id too
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    how: Verbosity,
    #[command(flatten)]
    format: Format,
}

/// Flags of `job deployments`.
#[derive(Debug, Args)]
pub struct Deployments {
    /// The job, or the first characters of its id
    id: String,
    /// Only the newest one, in full
    #[arg(long)]
    latest: bool,
    /// Show the deployments of earlier jobs of the same id too
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    how: Verbosity,
    #[command(flatten)]
    format: Format,
}

/// Lists the allocations of a job.
///
/// # Errors
/// When the job is not found or the coordinator does not answer.
pub fn allocs(session: &mut Session<'_>, args: &Allocs) -> Result<Exit> {
    let job = find(session, &args.id)?;
    let request = Request::get(format!("/v1/job/{}/allocations", segment(&job.id)))
        .query("namespace", &job.namespace)
        .query_some("all", args.all.then_some(true));
    let reply = session
        .client
        .fetch(&request)
        .context("Error retrieving allocations")?;
    if session.print_formatted(&args.format, &reply.value)? {
        return Ok(DONE);
    }
    let found: Vec<AllocationListStub> = reply.decode()?;
    if found.is_empty() {
        session.console.line("No allocations placed");
    } else {
        let table = allocations(session, &found, args.how, NodeNames::Shown);
        session.console.line(table);
    }
    session.hint(
        "View job allocations",
        &format!("/jobs/{}@{}/allocations", segment(&job.id), job.namespace),
    );
    Ok(DONE)
}

/// Lists the deployments of a job, newest first.
///
/// # Errors
/// When the job is not found or the coordinator does not answer.
pub fn deployments(session: &mut Session<'_>, args: &Deployments) -> Result<Exit> {
    let job = find(session, &args.id)?;
    let tail = if args.latest { "deployment" } else { "deployments" };
    let request = Request::get(format!("/v1/job/{}/{tail}", segment(&job.id)))
        .query("namespace", &job.namespace)
        .query_some("all", args.all.then_some(true));
    let reply = session
        .client
        .fetch(&request)
        .context("Error retrieving deployments")?;
    if session.print_formatted(&args.format, &reply.value)? {
        return Ok(DONE);
    }
    let text = if args.latest {
        let newest: Option<Deployment> = reply.decode()?;
        newest.map_or_else(
            || "No deployment found".to_owned(),
            |it| deployment::block(&it, args.how),
        )
    } else {
        let mut found: Vec<Deployment> = reply.decode()?;
        found.sort_by_key(|it| std::cmp::Reverse(it.create_index));
        deployment::table(&found, args.how)
    };
    session.console.line(text);
    Ok(DONE)
}
