//! `job inspect`: a job as the API writes it.

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};

use super::find;
use crate::client::{Request, segment};
use crate::output::json::Format;
use crate::session::{DONE, Exit, Session};

/// Flags of `job inspect`.
#[derive(Debug, Args)]
pub struct Inspect {
    /// The job, or the first characters of its id; all jobs when absent and -json or -t is given
    id: Option<String>,
    /// An earlier version of it
    #[arg(long, value_name = "VERSION")]
    version: Option<u64>,
    #[command(flatten)]
    format: Format,
}

/// Prints a job as JSON.
///
/// # Errors
/// When the job or its version is not found.
pub fn run(session: &mut Session<'_>, args: &Inspect) -> Result<Exit> {
    let answer = match &args.id {
        Some(id) => one(session, args, id)?,
        None if args.format.is_plain() => bail!("This command takes one argument: <job>"),
        None => {
            session
                .client
                .fetch(&Request::get("/v1/jobs"))
                .context("Error querying jobs")?
                .value
        }
    };
    if args.format.template.is_some() {
        session.print_formatted(&args.format, &answer)?;
        return Ok(DONE);
    }
    let wrapped = if args.id.is_some() {
        json!({ "Job": answer })
    } else {
        answer
    };
    session.console.line(crate::output::json::pretty(&wrapped));
    Ok(DONE)
}

fn one(session: &Session<'_>, args: &Inspect, id: &str) -> Result<Value> {
    let stub = find(session, id)?;
    let request = |tail: &str| {
        Request::get(format!("/v1/job/{}{tail}", segment(&stub.id))).query("namespace", &stub.namespace)
    };
    let Some(version) = args.version else {
        return Ok(session
            .client
            .fetch(&request(""))
            .context("Error inspecting job")?
            .value);
    };
    let mut answer = session
        .client
        .fetch(&request("/versions"))
        .context("Error retrieving job versions")?
        .value;
    let versions = answer["Versions"]
        .as_array_mut()
        .map(std::mem::take)
        .unwrap_or_default();
    let found = versions.into_iter().find(|job| job["Version"] == version);
    found.with_context(|| format!("job {:?} with version {version} couldn't be found", stub.id))
}
