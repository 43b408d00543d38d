//! `service list` and `service info`: who offers what, and where.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use holdfast_api::{ServiceListStub, ServiceRegistration};

use super::{Verbosity, bracketed};
use crate::client::{Request, segment};
use crate::output::json::Format;
use crate::output::{Labels, Table};
use crate::session::{DONE, Exit, FAILED, Session};

/// What can be asked about services.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List all services
    List(List),
    /// Show where a service is offered
    Info(Info),
    /// Any other verb of the original
    #[command(external_subcommand)]
    Other(Vec<String>),
}

/// Flags of `service list`.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    format: Format,
}

/// Flags of `service info`.
#[derive(Debug, Args)]
pub struct Info {
    /// The service
    name: String,
    /// How many services to show at most
    #[arg(long, value_name = "COUNT")]
    per_page: Option<u32>,
    /// The page to show, as the last one named it
    #[arg(long, value_name = "TOKEN")]
    page_token: Option<String>,
    /// Only what fits this expression
    #[arg(long, value_name = "EXPRESSION")]
    filter: Option<String>,
    #[command(flatten)]
    how: Verbosity,
    #[command(flatten)]
    format: Format,
}

/// Lists all services.
///
/// # Errors
/// When the coordinator does not answer.
pub fn list(session: &mut Session<'_>, args: &List) -> Result<Exit> {
    let reply = session
        .client
        .fetch(&Request::get("/v1/services"))
        .context("Error listing service registrations")?;
    if session.print_formatted(&args.format, &reply.value)? {
        return Ok(DONE);
    }
    let spaces: Vec<ServiceListStub> = reply.decode()?;
    let with_namespace = session.client.spans_namespaces();
    let columns = ["Service Name", "Namespace", "Tags"];
    let keep = |column: &usize| with_namespace || *column != 1;
    let mut table = Table::new((0..3).filter(keep).map(|column| columns[column]));
    for space in &spaces {
        for service in &space.services {
            let mut tags = service.tags.clone();
            tags.sort();
            let cells = [
                service.service_name.clone(),
                space.namespace.clone(),
                bracketed(&tags),
            ];
            table.push(
                cells
                    .into_iter()
                    .enumerate()
                    .filter(|(column, _)| keep(column))
                    .map(|(_, cell)| cell),
            );
        }
    }
    if table.is_empty() {
        session.console.line("No service registrations found");
    } else {
        session.console.line(table);
    }
    Ok(DONE)
}

/// Shows where a service is offered.
///
/// # Errors
/// When the coordinator does not answer.
pub fn info(session: &mut Session<'_>, args: &Info) -> Result<Exit> {
    let request = Request::get(format!("/v1/service/{}", segment(&args.name)))
        .query_some("per_page", args.per_page)
        .query_some("next_token", args.page_token.as_deref())
        .query_some("filter", args.filter.as_deref());
    let reply = session
        .client
        .fetch(&request)
        .context("Error listing service registrations")?;
    let found: Vec<ServiceRegistration> = reply.decode()?;
    if found.is_empty() {
        session.console.line("No service registrations found");
        return Ok(FAILED);
    }
    if session.print_formatted(&args.format, &reply.value)? {
        return Ok(DONE);
    }
    if args.how.verbose {
        for it in &found {
            session.console.line(format_args!("{}\n", registration(it)));
        }
        return Ok(DONE);
    }
    session.console.line(registrations(args.how, &found));
    Ok(DONE)
}

/// The registrations in the order of their jobs; those of one job in the order of the answer.
fn registrations(how: Verbosity, found: &[ServiceRegistration]) -> Table {
    let mut by_job: BTreeMap<&str, Vec<&ServiceRegistration>> = BTreeMap::new();
    for it in found {
        by_job.entry(&it.job_id).or_default().push(it);
    }
    let ids = how.ids();
    Table::new(["Job ID", "Address", "Tags", "Node ID", "Alloc ID"]).rows(by_job.into_values().flatten().map(
        |it| {
            let node = ids.cut(&it.node_id).to_owned();
            [
                it.job_id.clone(),
                address(it),
                bracketed(&it.tags),
                node,
                ids.cut(&it.alloc_id).to_owned(),
            ]
        },
    ))
}

fn registration(it: &ServiceRegistration) -> Labels {
    Labels::new()
        .with("ID", &it.id)
        .with("Service Name", &it.service_name)
        .with("Namespace", &it.namespace)
        .with("Job ID", &it.job_id)
        .with("Alloc ID", &it.alloc_id)
        .with("Node ID", &it.node_id)
        .with("Datacenter", &it.datacenter)
        .with("Address", address(it))
        .with("Tags", bracketed(&it.tags))
}

/// `10.0.0.1:80`; a service without a port is only an address.
pub fn address(it: &ServiceRegistration) -> String {
    match (it.port, it.address.contains(':')) {
        (0, _) => it.address.clone(),
        (port, true) => format!("[{}]:{port}", it.address),
        (port, false) => format!("{}:{port}", it.address),
    }
}
