//! `node status`: the fleet, or one node of it; what else can be done with nodes is in the modules below.

pub mod drain;
pub mod eligibility;
pub mod meta;
pub mod pool;
mod resources;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use holdfast_api::{Allocation, AllocationListStub, Node, NodeListStub};
use holdfast_shared::time::Duration;

use super::stats::{self, HostUsage};
use super::{NodeNames, Verbosity, allocations};
use crate::client::{Request, segment};
use crate::ids::{self, Match};
use crate::output::json::Format;
use crate::output::{Labels, Table, time};
use crate::session::{DONE, Exit, FAILED, Session};

/// What can be asked about nodes.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List nodes, or show one
    Status(Status),
    /// Empty one, or leave off
    Drain(drain::Drain),
    /// Let one take allocations, or not
    Eligibility(eligibility::Eligibility),
    /// Look at node pools, make and forget them
    #[command(arg_required_else_help = true)]
    Pool {
        /// What to do with them.
        #[command(subcommand)]
        verb: pool::Verb,
    },
    /// Show and change what jobs can ask of one
    #[command(arg_required_else_help = true)]
    Meta {
        /// What to do with it.
        #[command(subcommand)]
        verb: meta::Verb,
    },
    /// Forget one
    Purge(eligibility::Purge),
    /// Any other verb of the original
    #[command(external_subcommand)]
    Other(Vec<String>),
}

/// The node that something is done with.
#[derive(Debug, Args)]
pub struct Target {
    /// The node, or the first characters of its id
    #[arg(required_unless_present = "own")]
    id: Option<String>,
    /// The node that this is run on
    #[arg(long = "self", conflicts_with = "id")]
    own: bool,
}

impl Target {
    /// The node with this id, or the one that this is run on.
    fn of(id: Option<&str>) -> Self {
        Self {
            id: id.map(str::to_owned),
            own: id.is_none(),
        }
    }

    /// Its whole id; `None` when there is no such node, or more than one, which is said.
    ///
    /// # Errors
    /// When the coordinator, or the agent of this machine, does not answer.
    fn find(&self, session: &mut Session<'_>) -> Result<Option<String>> {
        let id = match &self.id {
            Some(id) => id.clone(),
            None => super::local::node_id(&session.environment)
                .context("Error reading the node of this machine")?,
        };
        match ids::by_prefix::<NodeListStub>(&session.client, "/v1/nodes", &id, "node")? {
            Match::One(found) => Ok(Some(found.id)),
            Match::Nothing => {
                session
                    .console
                    .error(format_args!("No node(s) with prefix {id:?} found"));
                Ok(None)
            }
            Match::Several(found) => {
                let table = table(session, &Status::default(), &found)?;
                session
                    .console
                    .error(format_args!("Prefix matched multiple nodes\n\n{table}"));
                Ok(None)
            }
        }
    }
}

/// Flags of `node status`.
#[derive(Debug, Default, Args)]
pub struct Status {
    /// The node, or the first characters of its id; all nodes when absent
    pub id: Option<String>,
    /// The node that this is run on
    #[arg(long = "self")]
    pub own: bool,
    /// Show everything that was measured
    #[arg(long)]
    pub stats: bool,
    /// Count the running allocations of each node
    #[arg(long)]
    pub allocs: bool,
    /// Only the first block
    #[arg(long)]
    pub short: bool,
    /// Only ids
    #[arg(long)]
    pub quiet: bool,
    /// Show the operating systems too
    #[arg(long)]
    pub os: bool,
    /// Only what fits this expression
    #[arg(long, value_name = "EXPRESSION")]
    pub filter: Option<String>,
    /// How many to show at most
    #[arg(long, value_name = "COUNT")]
    pub per_page: Option<u32>,
    /// The page to show, as the last one named it
    #[arg(long, value_name = "TOKEN")]
    pub page_token: Option<String>,
    /// How much to show.
    #[command(flatten)]
    pub how: Verbosity,
    /// For whom.
    #[command(flatten)]
    pub format: Format,
}

/// Lists nodes, or shows one.
///
/// # Errors
/// When the coordinator does not answer.
pub fn status(session: &mut Session<'_>, args: &Status) -> Result<Exit> {
    match &args.id {
        Some(id) => one(session, args, id),
        None if args.own => {
            let id = super::local::node_id(&session.environment)
                .context("Error reading the node of this machine")?;
            one(session, args, &id)
        }
        None => list(session, args),
    }
}

fn list(session: &mut Session<'_>, args: &Status) -> Result<Exit> {
    let request = Request::get("/v1/nodes")
        .query_some("os", args.os.then_some(true))
        .query_some("filter", args.filter.as_deref())
        .query_some("per_page", args.per_page)
        .query_some("next_token", args.page_token.as_deref());
    let reply = session
        .client
        .fetch(&request)
        .context("Error querying node status")?;
    if session.print_formatted(&args.format, &reply.value)? {
        return Ok(DONE);
    }
    let nodes: Vec<NodeListStub> = reply.decode()?;
    if nodes.is_empty() {
        session.console.line("No nodes registered");
        return Ok(DONE);
    }
    if args.quiet {
        for node in &nodes {
            session.console.line(args.how.ids().cut(&node.id));
        }
        return Ok(DONE);
    }
    let table = table(session, args, &nodes)?;
    session.console.line(table);
    session.hint("View and manage Nomad clients", "/clients");
    Ok(DONE)
}

fn table(session: &Session<'_>, args: &Status, nodes: &[NodeListStub]) -> Result<Table> {
    let is_shown = |column: &str| match column {
        "OS" => args.os,
        "Address" | "Version" => args.how.verbose,
        "Running Allocs" => args.allocs,
        _ => true,
    };
    let row = |it: &NodeListStub, running: usize| {
        [
            ("ID", args.how.ids().cut(&it.id).to_owned()),
            ("Node Pool", it.node_pool.clone()),
            ("DC", it.datacenter.clone()),
            ("Name", it.name.clone()),
            ("Class", it.node_class.clone()),
            ("OS", it.attributes.get("os.name").cloned().unwrap_or_default()),
            ("Address", it.address.clone()),
            ("Version", it.version.clone()),
            ("Drain", it.drain.to_string()),
            ("Eligibility", it.scheduling_eligibility.clone()),
            ("Status", it.status.clone()),
            ("Running Allocs", running.to_string()),
        ]
    };
    let heading = row(&NodeListStub::default(), 0).map(|(column, _)| column);
    let mut table = Table::new(heading.into_iter().filter(|column| is_shown(column)));
    for node in nodes {
        let running = if args.allocs {
            running(session, &node.id)?
        } else {
            0
        };
        table.push(
            row(node, running)
                .into_iter()
                .filter(|(column, _)| is_shown(column))
                .map(|(_, cell)| cell),
        );
    }
    Ok(table)
}

fn of_node(session: &Session<'_>, id: &str) -> Result<Vec<Allocation>> {
    let request = Request::get(format!("/v1/node/{}/allocations", segment(id))).query("namespace", "*");
    Ok(session
        .client
        .fetch(&request)
        .context("Error querying node allocations")?
        .decode()?)
}

fn running(session: &Session<'_>, id: &str) -> Result<usize> {
    Ok(of_node(session, id)?
        .iter()
        .filter(|it| it.client_status == "running")
        .count())
}

fn one(session: &mut Session<'_>, args: &Status, id: &str) -> Result<Exit> {
    let stub = match ids::by_prefix::<NodeListStub>(&session.client, "/v1/nodes", id, "node")? {
        Match::One(found) => found,
        Match::Nothing => {
            session
                .console
                .error(format_args!("No node(s) with prefix {id:?} found"));
            return Ok(FAILED);
        }
        Match::Several(found) => {
            let table = table(session, args, &found)?;
            session
                .console
                .line(format_args!("Prefix matched multiple nodes\n\n{table}"));
            return Ok(DONE);
        }
    };
    let request = Request::get(format!("/v1/node/{}", segment(&stub.id)));
    let reply = session
        .client
        .fetch(&request)
        .context("Error querying node info")?;
    if session.print_formatted(&args.format, &reply.value)? {
        return Ok(DONE);
    }
    let node: Node = reply.decode()?;
    show(session, args, &node)?;
    session.hint(
        "View client details and metrics",
        &format!("/clients/{}", node.id),
    );
    Ok(DONE)
}

fn show(session: &mut Session<'_>, args: &Status, node: &Node) -> Result<()> {
    let usage = stats::of_node(&session.client, &node.id);
    let host = usage.as_ref().ok().and_then(Option::as_ref);
    session.console.line(basics(args, node, host));
    if args.short {
        return Ok(());
    }
    if args.how.verbose {
        section(session, "Drivers", drivers(node));
    }
    section(session, "Node Events", events(node, args.how));
    let found = of_node(session, &node.id)?;
    section(session, "Allocated Resources", resources::allocated(node, &found));
    if let Some(host) = host {
        section(
            session,
            "Allocation Resource Utilization",
            resources::used_by_allocations(session, node, &found),
        );
        section(
            session,
            "Host Resource Utilization",
            resources::used_by_host(node, host),
        );
        if args.stats {
            resources::host_in_detail(session, host);
        }
    } else if let Err(error) = &usage {
        session
            .console
            .error(format_args!("\nerror fetching node stats: {error}"));
    }
    let stubs: Vec<AllocationListStub> = found.iter().map(stub_of).collect();
    let table = if stubs.is_empty() {
        "No allocations placed".to_owned()
    } else {
        allocations(session, &stubs, args.how, NodeNames::Hidden).to_string()
    };
    section(session, "Allocations", table);
    if args.how.verbose {
        let pairs = |map: &std::collections::BTreeMap<String, String>| {
            map.iter()
                .fold(Labels::new(), |labels, (name, value)| labels.with(name, value))
        };
        section(session, "Attributes", pairs(&node.attributes));
        section(session, "Meta", pairs(&node.meta));
    }
    Ok(())
}

fn section(session: &mut Session<'_>, title: &str, body: impl std::fmt::Display) {
    session.console.line("");
    session.console.section(title, body);
}

fn basics(args: &Status, node: &Node, host: Option<&HostUsage>) -> Labels {
    let names = |mut names: Vec<&str>| {
        names.sort_unstable();
        names.join(",")
    };
    let volumes = names(node.host_volumes.keys().map(String::as_str).collect());
    let networks = names(node.host_networks.keys().map(String::as_str).collect());
    let plugins = |map: &std::collections::BTreeMap<String, serde_json::Value>| {
        names(map.keys().map(String::as_str).collect())
    };
    let healthy = node
        .drivers
        .iter()
        .filter(|(_, driver)| driver.detected && driver.healthy);
    let mut labels = Labels::new()
        .with("ID", &node.id)
        .with("Name", &node.name)
        .with("Node Pool", &node.node_pool)
        .with("Class", &node.node_class)
        .with("DC", &node.datacenter)
        .with("Drain", node.drain)
        .with("Eligibility", &node.scheduling_eligibility)
        .with("Status", &node.status)
        .with("CSI Controllers", plugins(&node.csi_controller_plugins))
        .with("CSI Drivers", plugins(&node.csi_node_plugins));
    if let Some(host) = host {
        let uptime = Duration::from_secs(i64::try_from(host.uptime).unwrap_or(i64::MAX / 2_000_000_000));
        labels.push("Uptime", uptime);
    }
    if args.how.verbose && !args.short {
        return labels;
    }
    labels
        .with("Host Volumes", volumes)
        .with("Host Networks", networks)
        .with("CSI Volumes", "")
        .with(
            "Driver Status",
            healthy
                .map(|(name, _)| name.as_str())
                .collect::<Vec<_>>()
                .join(","),
        )
}

fn drivers(node: &Node) -> Table {
    Table::new(["Driver", "Detected", "Healthy", "Message", "Time"]).rows(node.drivers.iter().map(
        |(name, it)| {
            let (detected, healthy) = (it.detected.to_string(), it.healthy.to_string());
            [
                name.clone(),
                detected,
                healthy,
                it.health_description.clone(),
                time::stamp(it.update_time.0),
            ]
        },
    ))
}

/// What happened to the node, newest first.
fn events(node: &Node, how: Verbosity) -> Table {
    let heading = ["Time", "Subsystem", "Message", "Details"];
    let columns = if how.verbose { 4 } else { 3 };
    let row = |it: &holdfast_api::NodeEvent| {
        let driver = it.details.get("driver").filter(|_| it.subsystem == "Driver");
        let subsystem = driver.map_or_else(
            || it.subsystem.clone(),
            |driver| format!("{}: {driver}", it.subsystem),
        );
        let details: Vec<String> = it
            .details
            .iter()
            .map(|(name, value)| format!("{name} = {value}"))
            .collect();
        [
            time::stamp(it.timestamp.0),
            subsystem,
            it.message.clone(),
            details.join(", "),
        ]
        .into_iter()
        .take(columns)
    };
    Table::new(heading.into_iter().take(columns)).rows(node.events.iter().rev().map(row))
}

/// What a listing shows of a whole allocation.
fn stub_of(it: &Allocation) -> AllocationListStub {
    AllocationListStub {
        id: it.id.clone(),
        eval_id: it.eval_id.clone(),
        node_id: it.node_id.clone(),
        node_name: it.node_name.clone(),
        job_id: it.job_id.clone(),
        job_version: it.job.as_deref().map_or(0, |job| job.version()),
        task_group: it.task_group.clone(),
        desired_status: it.desired_status.clone(),
        client_status: it.client_status.clone(),
        create_index: it.create_index,
        modify_index: it.modify_index,
        create_time: it.create_time,
        modify_time: it.modify_time,
        ..AllocationListStub::default()
    }
}
