//! `job dispatch`: launches an instance of a parameterized job.

use std::collections::BTreeMap;
use std::io::Read as _;

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use holdfast_api::{JobDispatchRequest, JobDispatchResponse};

use super::{Watching, find, request};
use crate::client::segment;
use crate::monitor::Monitor;
use crate::output::Labels;
use crate::session::{DONE, Exit, Session};

/// Flags of `job dispatch`.
#[derive(Debug, Args)]
pub struct Dispatch {
    /// The job, or the first characters of its id
    id: String,
    /// A file with the payload, or - for standard input
    payload: Option<String>,
    /// Meta of the instance; may be repeated
    #[arg(long = "meta", value_name = "KEY=VALUE")]
    meta: Vec<String>,
    /// What a repeated dispatch is recognised by
    #[arg(long, value_name = "TOKEN")]
    idempotency_token: Option<String>,
    /// What the instance's id contains beside time and chance
    #[arg(long, value_name = "TEXT")]
    id_prefix_template: Option<String>,
    #[command(flatten)]
    watching: Watching,
}

/// Launches an instance of a parameterized job.
///
/// # Errors
/// When the job is not found, the payload cannot be read, or the coordinator refuses.
pub fn run(session: &mut Session<'_>, args: &Dispatch) -> Result<Exit> {
    let payload = match &args.payload {
        None => Vec::new(),
        Some(name) => read(name).context("Error reading input data")?,
    };
    let mut meta = BTreeMap::new();
    for pair in &args.meta {
        let Some((key, value)) = pair.split_once('=') else {
            bail!("Error parsing meta value: {pair:?} is not KEY=VALUE");
        };
        meta.insert(key.to_owned(), value.to_owned());
    }
    let stub = find(session, &args.id)?;
    let wish = JobDispatchRequest {
        job_id: stub.id.clone(),
        payload: STANDARD.encode(payload),
        meta,
        id_prefix_template: args.id_prefix_template.clone().unwrap_or_default(),
    };
    let question = request(&stub, "/dispatch")
        .query_some("idempotency_token", args.idempotency_token.as_deref())
        .with_body(wish);
    let answer: JobDispatchResponse = session
        .client
        .fetch(&question)
        .context("Failed to dispatch job")?
        .decode()?;
    let is_evaluated = !answer.eval_id.is_empty();
    let short = args.watching.how.ids().cut(&answer.eval_id).to_owned();
    let labels = Labels::new()
        .with("Dispatched Job ID", &answer.dispatched_job_id)
        .with_some("Evaluation ID", is_evaluated.then_some(short));
    session.console.line(labels);
    if args.watching.detach || !is_evaluated {
        return Ok(DONE);
    }
    session.console.line("");
    let page = format!("/jobs/{}@{}", segment(&answer.dispatched_job_id), stub.namespace);
    session.hint_above("View this job", &page);
    Monitor::new(session, args.watching.how).evaluation(&answer.eval_id)
}

fn read(name: &str) -> Result<Vec<u8>> {
    if name != "-" {
        return std::fs::read(name).with_context(|| format!("cannot read {name}"));
    }
    let mut bytes = Vec::new();
    std::io::stdin()
        .read_to_end(&mut bytes)
        .context("cannot read standard input")?;
    Ok(bytes)
}
