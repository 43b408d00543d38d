//! `job promote`: promotes the canaries of a job's newest deployment.

use anyhow::{Context, Result};
use clap::Args;
use holdfast_api::Deployment;
use serde_json::{Value, json};

use super::{Watching, find, request};
use crate::client::{Request, segment};
use crate::session::{Exit, FAILED, Session};

/// Flags of `job promote`.
#[derive(Debug, Args)]
pub struct Promote {
    /// The job, or the first characters of its id
    id: String,
    /// A group to promote, instead of all; may be repeated
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    #[command(flatten)]
    watching: Watching,
}

/// Promotes the canaries of a job's newest deployment.
///
/// # Errors
/// When there is no such job, or the coordinator refuses.
pub fn run(session: &mut Session<'_>, args: &Promote) -> Result<Exit> {
    let stub = find(session, &args.id)?;
    let newest: Option<Deployment> = session
        .client
        .fetch(&request(&stub, "/deployment"))
        .context("Error retrieving deployments")?
        .decode()?;
    let Some(newest) = newest else {
        session
            .console
            .error(format_args!("Job {:?} has no deployment to promote", stub.id));
        return Ok(FAILED);
    };
    let wish = json!({
        "DeploymentID": newest.id,
        "All": args.groups.is_empty(),
        "Groups": args.groups,
    });
    let answer: Value = session
        .client
        .fetch(&Request::put(
            format!("/v1/deployment/promote/{}", segment(&newest.id)),
            wish,
        ))
        .with_context(|| format!("Error promoting deployment {:?} for job {:?}", newest.id, stub.id))?
        .value;
    args.watching
        .follow(session, answer["EvalID"].as_str().unwrap_or_default())
}
