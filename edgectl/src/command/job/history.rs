//! `job history`: the versions of a job, and what changed from one to the next.

use anyhow::{Context, Result, bail};
use clap::Args;
use holdfast_api::JobVersionsResponse;
use holdfast_diff::JobDiff;
use holdfast_shared::model::Job;
use holdfast_shared::time::Timestamp;
use serde_json::Value;

use super::{find, request};
use crate::output::json::{self, Format};
use crate::output::{Labels, time};
use crate::session::{DONE, Exit, Session};

/// Flags of `job history`.
#[derive(Debug, Args)]
pub struct History {
    /// The job, or the first characters of its id
    id: String,
    /// Show what changed
    #[arg(short = 'p')]
    patch: bool,
    /// Show each version in full
    #[arg(long)]
    full: bool,
    /// Only this version
    #[arg(long, value_name = "VERSION")]
    version: Option<u64>,
    /// Show what changed from this version, instead of from the one before
    #[arg(long, value_name = "VERSION")]
    diff_version: Option<u64>,
    /// Only the version with this tag
    #[arg(long, value_name = "TAG", conflicts_with = "version")]
    tag: Option<String>,
    /// Show what changed from the version with this tag, instead of from the one before
    #[arg(long, value_name = "TAG", conflicts_with = "diff_version")]
    diff_tag: Option<String>,
    #[command(flatten)]
    format: Format,
}

/// A version, and what changed from the one before it.
struct Entry<'a> {
    job: &'a Job,
    value: &'a Value,
    diff: Option<&'a Value>,
}

/// Lists the versions of a job, newest first.
///
/// # Errors
/// When the job or the version is not found.
pub fn run(session: &mut Session<'_>, args: &History) -> Result<Exit> {
    let stub = find(session, &args.id)?;
    let shows_diffs = args.patch || args.diff_version.is_some() || args.diff_tag.is_some();
    let question = request(&stub, "/versions")
        .query("diffs", shows_diffs)
        .query_some("diff_version", args.diff_version)
        .query_some("diff_tag", args.diff_tag.as_deref());
    let reply = session
        .client
        .fetch(&question)
        .context("Error retrieving job versions")?;
    let versions: JobVersionsResponse = reply.decode()?;
    let values = reply.value["Versions"].as_array().cloned().unwrap_or_default();
    let mut diffs = versions.diffs.iter();
    let mut entries = Vec::new();
    for (at, (job, value)) in versions.versions.iter().zip(&values).enumerate() {
        // The first version was made from nothing, and the one that the others are held against from itself.
        let is_compared = match (args.diff_version, &args.diff_tag) {
            _ if !shows_diffs => false,
            (Some(version), _) => job.version() != version,
            (None, Some(tag)) => !has_tag(job, tag),
            (None, None) => at + 1 < values.len(),
        };
        let diff = if is_compared { diffs.next() } else { None };
        entries.push(Entry { job, value, diff });
    }
    if let Some(wanted) = args.version {
        entries.retain(|it| it.job.version() == wanted);
        if entries.is_empty() {
            bail!(
                "Job version {wanted} not found among the versions of {:?}",
                stub.id
            );
        }
    }
    if let Some(tag) = &args.tag {
        entries.retain(|it| has_tag(it.job, tag));
        if entries.is_empty() {
            bail!("Tag {tag:?} not found among the versions of {:?}", stub.id);
        }
    }
    let is_one = args.version.is_some() || args.tag.is_some();
    let answer = match entries.as_slice() {
        [only] if is_one => only.value.clone(),
        entries => entries.iter().map(|it| it.value.clone()).collect(),
    };
    if session.print_formatted(&args.format, &answer)? {
        return Ok(DONE);
    }
    let blocks: Result<Vec<String>> = entries.iter().map(|it| block(it, args.full)).collect();
    session.console.line(blocks?.join("\n\n"));
    Ok(DONE)
}

fn has_tag(job: &Job, name: &str) -> bool {
    job.version_tag.as_ref().is_some_and(|tag| tag.name == name)
}

fn block(it: &Entry<'_>, in_full: bool) -> Result<String> {
    let tag = it.job.version_tag.as_ref();
    let description = tag.map(|tag| &tag.description).filter(|text| !text.is_empty());
    let diff = match it.diff {
        None => None,
        Some(diff) => {
            let diff: JobDiff = serde_json::from_value(diff.clone()).context("Error reading the diff")?;
            Some(format!("\n{}", holdfast_diff::render(&diff, false).trim_end()))
        }
    };
    let labels = Labels::new()
        .with("Version", it.job.version())
        .with("Stable", it.job.stable.unwrap_or(false))
        .with(
            "Submit Date",
            time::stamp(Timestamp(it.job.submit_time.unwrap_or(0))),
        )
        .with_some("Tag Name", tag.map(|tag| &tag.name))
        .with_some("Tag Description", description)
        .with_some("Diff", diff);
    let body = in_full.then(|| format!("\nJob:\n{}", json::pretty(it.value)));
    Ok(format!("{labels}{}", body.unwrap_or_default()))
}
