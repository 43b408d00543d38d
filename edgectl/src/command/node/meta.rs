//! `node meta …`: what jobs can ask of a node by `${meta.KEY}`, shown and changed while it runs.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use holdfast_api::{NodeMeta, NodeMetaRequest};

use super::Target;
use crate::client::Request;
use crate::output::Labels;
use crate::output::json::Format;
use crate::session::{DONE, Exit, FAILED, Session};

/// What can be done with a node's meta.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show it
    Read(Read),
    /// Change it
    Apply(Apply),
    /// Any other verb of the original
    #[command(external_subcommand)]
    Other(Vec<String>),
}

/// Flags of `node meta read`.
#[derive(Debug, Args)]
pub struct Read {
    /// The node, or the first characters of its id; the one that this is run on when absent
    #[arg(long, value_name = "ID")]
    node_id: Option<String>,
    #[command(flatten)]
    format: Format,
}

/// Flags of `node meta apply`.
#[derive(Debug, Args)]
pub struct Apply {
    /// The node, or the first characters of its id; the one that this is run on when absent
    #[arg(long, value_name = "ID")]
    node_id: Option<String>,
    /// Take these keys away
    #[arg(long, value_name = "KEY,…", value_delimiter = ',')]
    unset: Vec<String>,
    /// What is set
    #[arg(value_name = "KEY=VALUE")]
    pairs: Vec<String>,
}

/// Shows a node's meta, and where it comes from.
///
/// # Errors
/// When the coordinator does not answer.
pub fn read(session: &mut Session<'_>, args: &Read) -> Result<Exit> {
    let Some(id) = Target::of(args.node_id.as_deref()).find(session)? else {
        return Ok(FAILED);
    };
    let question = Request::get("/v1/client/metadata").query("node_id", id);
    let reply = session
        .client
        .fetch(&question)
        .context("Error reading dynamic node metadata")?;
    if session.print_formatted(&args.format, &reply.value)? {
        return Ok(DONE);
    }
    let found: NodeMeta = reply.decode()?;
    let changed = found.dynamic.into_iter();
    let changed = changed.map(|(key, value)| (key, value.unwrap_or_else(|| "<unset>".to_owned())));
    session.console.section("All Meta", labels(found.meta));
    session.console.line("");
    session.console.section("Dynamic Meta", labels(changed.collect()));
    session.console.line("");
    session.console.section("Static Meta", labels(found.configured));
    Ok(DONE)
}

fn labels(pairs: BTreeMap<String, String>) -> Labels {
    pairs
        .into_iter()
        .fold(Labels::new(), |labels, (key, value)| labels.with(key, value))
}

/// Changes a node's meta; it is in force once this returns.
///
/// # Errors
/// When nothing is to be changed, the agent cannot be reached, or it refuses.
pub fn apply(session: &mut Session<'_>, args: &Apply) -> Result<Exit> {
    let set = args.pairs.iter().map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key.to_owned(), Some(value.to_owned()))
    });
    let unset = args.unset.iter().filter(|key| !key.is_empty());
    let meta: BTreeMap<String, Option<String>> = set.chain(unset.map(|key| (key.clone(), None))).collect();
    if meta.is_empty() {
        bail!("Must specify -unset or at least 1 key=value pair");
    }
    let Some(node_id) = Target::of(args.node_id.as_deref()).find(session)? else {
        return Ok(FAILED);
    };
    let request = NodeMetaRequest { node_id, meta };
    session
        .client
        .fetch(&Request::put("/v1/client/metadata", request))
        .context("Error applying dynamic node metadata")?;
    Ok(DONE)
}
