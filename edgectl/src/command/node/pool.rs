//! `node pool …`: the sets of nodes that jobs name.

use std::io::Read as _;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use holdfast_api::{JobListStub, NodeListStub, NodePool, PoolSchedulerConfiguration};
use holdfast_jobspec::ParseOptions;
use holdfast_shared::time::Duration;
use serde_json::Value;

use crate::client::{Request, segment};
use crate::command::Verbosity;
use crate::command::job;
use crate::output::json::Format;
use crate::output::{Labels, Table};
use crate::session::{DONE, Exit, Session};

/// How long the original says that the identity of a node lasts.
const IDENTITY_LASTS: Duration = Duration::from_secs(24 * 3600);

/// What can be done with node pools.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List node pools
    List(List),
    /// Show one
    Info(Named),
    /// Make one from a file, or change it
    Apply(Apply),
    /// Forget one
    Delete(Name),
    /// List the nodes in one
    Nodes(Members),
    /// List the jobs in one
    Jobs(Members),
}

/// Flags of `node pool list`.
#[derive(Debug, Args)]
pub struct List {
    /// Only what fits this expression
    #[arg(long, value_name = "EXPRESSION")]
    filter: Option<String>,
    #[command(flatten)]
    format: Format,
}

/// A pool, and how it is shown.
#[derive(Debug, Args)]
pub struct Named {
    /// The node pool
    name: String,
    #[command(flatten)]
    format: Format,
}

/// Only a pool.
#[derive(Debug, Args)]
pub struct Name {
    /// The node pool
    name: String,
}

/// A pool, and how what is in it is shown.
#[derive(Debug, Args)]
pub struct Members {
    /// The node pool
    name: String,
    /// Only what fits this expression
    #[arg(long, value_name = "EXPRESSION")]
    filter: Option<String>,
    #[command(flatten)]
    how: Verbosity,
    #[command(flatten)]
    format: Format,
}

/// Flags of `node pool apply`.
#[derive(Debug, Args)]
pub struct Apply {
    /// The file, HCL unless told otherwise; `-` is standard input
    file: String,
    /// The file is JSON
    #[arg(long)]
    json: bool,
}

/// Does what is asked for.
///
/// # Errors
/// When the coordinator does not answer, or refuses it.
pub fn run(session: &mut Session<'_>, verb: &Verb) -> Result<Exit> {
    match verb {
        Verb::List(args) => list(session, args),
        Verb::Info(args) => info(session, args),
        Verb::Apply(args) => apply(session, args),
        Verb::Delete(args) => delete(session, &args.name),
        Verb::Nodes(args) => nodes(session, args),
        Verb::Jobs(args) => jobs(session, args),
    }
}

fn list(session: &mut Session<'_>, args: &List) -> Result<Exit> {
    let request = Request::get("/v1/node/pools").query_some("filter", args.filter.as_deref());
    let reply = session
        .client
        .fetch(&request)
        .context("Error querying node pools")?;
    if session.print_formatted(&args.format, &reply.value)? {
        return Ok(DONE);
    }
    let pools: Vec<NodePool> = reply.decode()?;
    let table =
        Table::new(["Name", "Description"]).rows(pools.into_iter().map(|it| [it.name, it.description]));
    session.console.line(table);
    Ok(DONE)
}

fn info(session: &mut Session<'_>, args: &Named) -> Result<Exit> {
    let reply = session
        .client
        .fetch(&Request::get(format!("/v1/node/pool/{}", segment(&args.name))))
        .context("Error retrieving node pool")?;
    if session.print_formatted(&args.format, &reply.value)? {
        return Ok(DONE);
    }
    let pool: NodePool = reply.decode()?;
    let basics = Labels::new()
        .with("Name", &pool.name)
        .with("Description", &pool.description)
        .with("Node Identity TTL", pool.node_identity_ttl);
    session.console.line(basics);
    session.console.line("");
    let meta = pool.meta.iter();
    let meta = meta.fold(Labels::new(), |labels, (name, value)| labels.with(name, value));
    let meta = if pool.meta.is_empty() {
        "No metadata".to_owned()
    } else {
        meta.to_string()
    };
    session.console.section("Metadata", meta);
    session.console.line("");
    let own = pool.scheduler_configuration.map_or_else(
        || "No scheduler configuration".to_owned(),
        |own| {
            let memory = own.memory_oversubscription_enabled.map(|it| it.to_string());
            Labels::new()
                .with("Scheduler Algorithm", own.scheduler_algorithm)
                .with("Memory Oversubscription Enabled", memory.unwrap_or_default())
                .to_string()
        },
    );
    session.console.section("Scheduler Configuration", own);
    Ok(DONE)
}

fn apply(session: &mut Session<'_>, args: &Apply) -> Result<Exit> {
    let source = if args.file == "-" {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .context("Error reading standard input")?;
        text
    } else {
        std::fs::read_to_string(&args.file).with_context(|| format!("Error reading {}", args.file))?
    };
    let pool = if args.json {
        serde_json::from_str(&source).with_context(|| format!("{} is no node pool", args.file))?
    } else {
        of_hcl(&args.file, &source)?
    };
    session
        .client
        .fetch(&Request::put("/v1/node/pools", &pool))
        .context("Error applying node pool")?;
    session
        .console
        .line(format_args!("Successfully applied node pool {:?}!", pool.name));
    Ok(DONE)
}

/// The pool that a file describes: `node_pool "name" { description, meta, scheduler_config }`.
fn of_hcl(file: &str, source: &str) -> Result<NodePool> {
    let options = ParseOptions {
        file_name: file.to_owned(),
        ..ParseOptions::default()
    };
    let tree = holdfast_jobspec::evaluate_file(source, &options)
        .map_err(|diagnostics| anyhow::anyhow!("{}", diagnostics.render()))?;
    let blocks = tree["b"].as_array().map(Vec::as_slice).unwrap_or_default();
    let [pool] = blocks else {
        bail!("{file} must have exactly one node_pool block");
    };
    let (Some("node_pool"), Some(name)) = (pool[0].as_str(), pool[1][0].as_str()) else {
        bail!("{file} must have a block like: node_pool \"NAME\" {{ … }}");
    };
    let body = &pool[2];
    let child = |kind: &str| {
        let blocks = body["b"].as_array().into_iter().flatten();
        blocks
            .into_iter()
            .find(|block| block[0] == kind)
            .map(|block| &block[2]["a"])
    };
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let meta = child("meta").unwrap_or_else(|| &body["a"]["meta"]);
    let meta = meta.as_object().into_iter().flatten();
    Ok(NodePool {
        name: name.to_owned(),
        description: body["a"]["description"].as_str().unwrap_or_default().to_owned(),
        meta: meta.map(|(name, value)| (name.clone(), text(value))).collect(),
        node_identity_ttl: IDENTITY_LASTS,
        scheduler_configuration: child("scheduler_config").map(|own| PoolSchedulerConfiguration {
            scheduler_algorithm: own["scheduler_algorithm"].as_str().unwrap_or_default().to_owned(),
            memory_oversubscription_enabled: own["memory_oversubscription_enabled"].as_bool(),
        }),
        ..NodePool::default()
    })
}

fn delete(session: &mut Session<'_>, name: &str) -> Result<Exit> {
    session
        .client
        .fetch(&Request::delete(format!("/v1/node/pool/{}", segment(name))))
        .context("Error deleting node pool")?;
    session
        .console
        .line(format_args!("Successfully deleted node pool {name:?}!"));
    Ok(DONE)
}

fn nodes(session: &mut Session<'_>, args: &Members) -> Result<Exit> {
    let request = Request::get(format!("/v1/node/pool/{}/nodes", segment(&args.name)))
        .query_some("filter", args.filter.as_deref());
    let reply = session.client.fetch(&request).context("Error querying nodes")?;
    if session.print_formatted(&args.format, &reply.value)? {
        return Ok(DONE);
    }
    let nodes: Vec<NodeListStub> = reply.decode()?;
    if nodes.is_empty() {
        session.console.line("No nodes");
        return Ok(DONE);
    }
    let how = super::Status {
        how: args.how,
        ..super::Status::default()
    };
    let table = super::table(session, &how, &nodes)?;
    session.console.line(table);
    Ok(DONE)
}

fn jobs(session: &mut Session<'_>, args: &Members) -> Result<Exit> {
    let request = Request::get(format!("/v1/node/pool/{}/jobs", segment(&args.name)))
        .query_some("filter", args.filter.as_deref());
    let reply = session.client.fetch(&request).context("Error querying jobs")?;
    if session.print_formatted(&args.format, &reply.value)? {
        return Ok(DONE);
    }
    let jobs: Vec<JobListStub> = reply.decode()?;
    if jobs.is_empty() {
        session.console.line("No jobs");
        return Ok(DONE);
    }
    let table = job::listing(&jobs, session.client.spans_namespaces());
    session.console.line(table);
    Ok(DONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_is_read_from_its_file() {
        let source = r#"
node_pool "edge" {
  description = "Small boxes"
  meta {
    owner = "ops"
  }
  scheduler_config {
    scheduler_algorithm             = "spread"
    memory_oversubscription_enabled = true
  }
}
"#;
        let pool = of_hcl("edge.hcl", source).unwrap();
        assert_eq!(
            (pool.name.as_str(), pool.description.as_str()),
            ("edge", "Small boxes")
        );
        assert_eq!(pool.meta["owner"], "ops");
        let own = pool.scheduler_configuration.unwrap();
        assert_eq!(
            (
                own.scheduler_algorithm.as_str(),
                own.memory_oversubscription_enabled
            ),
            ("spread", Some(true))
        );
        assert!(of_hcl("x.hcl", "job \"a\" {}").is_err());
    }
}
