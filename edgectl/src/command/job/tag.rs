//! `job tag …`: names for versions of a job, which keep them from being forgotten.

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use holdfast_api::{JobListStub, JobTagRequest, JobVersionsResponse};
use holdfast_shared::model::Job;

use super::{find, request};
use crate::client::{Request, segment};
use crate::session::{DONE, Exit, Session};

/// What can be done with tags.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Give a version a name
    Apply(Apply),
    /// Take a name away
    Unset(Unset),
    /// Any other verb of the original
    #[command(external_subcommand)]
    Other(Vec<String>),
}

/// Flags of `job tag apply`.
#[derive(Debug, Args)]
pub struct Apply {
    /// The job, or the first characters of its id
    id: String,
    /// The name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Why, in words
    #[arg(long, value_name = "TEXT", default_value = "")]
    description: String,
    /// The version; the newest one when absent
    #[arg(long, value_name = "VERSION")]
    version: Option<u64>,
}

/// Flags of `job tag unset`.
#[derive(Debug, Args)]
pub struct Unset {
    /// The job, or the first characters of its id
    id: String,
    /// The name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

/// Gives a version a name.
///
/// # Errors
/// When the job or the version is not found, or another version has that name.
pub fn apply(session: &mut Session<'_>, args: &Apply) -> Result<Exit> {
    let name = given(args.name.as_deref())?;
    let stub = find(session, &args.id)?;
    let version = match args.version {
        Some(version) => version,
        None => newest(session, &stub)?,
    };
    let wish = JobTagRequest {
        version,
        description: args.description.clone(),
    };
    session
        .client
        .fetch(&path(&stub, name).with_body(wish))
        .context("Error tagging job version")?;
    let line = format!("Job version {version} tagged with name {name:?}");
    session.console.line(line);
    Ok(DONE)
}

/// Takes a name away from the version that has it.
///
/// # Errors
/// When the job is not found, or has no version of that name.
pub fn unset(session: &mut Session<'_>, args: &Unset) -> Result<Exit> {
    let name = given(args.name.as_deref())?;
    let stub = find(session, &args.id)?;
    let request = Request::delete(format!(
        "/v1/job/{}/versions/{}/tag",
        segment(&stub.id),
        segment(name)
    ))
    .query("namespace", &stub.namespace);
    session
        .client
        .fetch(&request)
        .context("Error tagging job version")?;
    let line = format!("Tag {name:?} removed from job {:?}", stub.id);
    session.console.line(line);
    Ok(DONE)
}

/// The version that `text` means: a number, or a tag.
///
/// # Errors
/// When no version has that tag, or the coordinator does not answer.
pub fn version(session: &Session<'_>, stub: &JobListStub, text: &str) -> Result<u64> {
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    let versions: JobVersionsResponse = session
        .client
        .fetch(&request(stub, "/versions"))
        .context("Error retrieving job versions")?
        .decode()?;
    let tagged = |job: &&Job| job.version_tag.as_ref().is_some_and(|tag| tag.name == text);
    match versions.versions.iter().find(tagged) {
        Some(job) => Ok(job.version()),
        None => bail!(
            "{text:?} is neither a version number nor a tag of job {:?}: `job history` lists them",
            stub.id
        ),
    }
}

fn given(name: Option<&str>) -> Result<&str> {
    match name.filter(|name| !name.is_empty()) {
        Some(name) => Ok(name),
        None => bail!("A version tag name is required: -name=NAME"),
    }
}

fn newest(session: &Session<'_>, stub: &JobListStub) -> Result<u64> {
    let job: Job = session
        .client
        .fetch(&request(stub, ""))
        .context("Error retrieving job versions")?
        .decode()?;
    Ok(job.version())
}

fn path(stub: &JobListStub, name: &str) -> Request {
    request(stub, &format!("/versions/{}/tag", segment(name)))
}
