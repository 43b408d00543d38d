//! `alloc status`: one allocation, its tasks, and what happened to them; what can be done with it is in `act`.

pub mod act;

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use holdfast_api::{AllocatedTask, Allocation, AllocationListStub, AllocationMetric, Evaluation, TaskState};
use holdfast_shared::model::Lifecycle;
use holdfast_shared::time::{Duration, Timestamp};
use serde_json::Value;

use super::stats::{self, AllocUsage, TaskUsage};
use super::{NodeNames, Verbosity, allocations};
use crate::client::{Request, segment};
use crate::ids::{self, Match};
use crate::output::json::Format;
use crate::output::{Labels, Table, size, time};
use crate::session::{DONE, Exit, FAILED, Session};

/// What can be asked about allocations.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show one allocation
    Status(Status),
    /// Restart its tasks where they are
    Restart(act::Restart),
    /// End it, so that it is replaced
    Stop(act::Stop),
    /// Any other verb of the original
    #[command(external_subcommand)]
    Other(Vec<String>),
}

/// Flags of `alloc status`.
#[derive(Debug, Args)]
pub struct Status {
    /// The allocation, or the first characters of its id
    pub id: Option<String>,
    /// Only the state of its tasks
    #[arg(long)]
    pub short: bool,
    /// Show everything that was measured
    #[arg(long)]
    pub stats: bool,
    /// How much to show.
    #[command(flatten)]
    pub how: Verbosity,
    /// For whom.
    #[command(flatten)]
    pub format: Format,
}

/// Shows one allocation.
///
/// # Errors
/// When the coordinator does not answer.
pub fn status(session: &mut Session<'_>, args: &Status) -> Result<Exit> {
    let Some(id) = &args.id else {
        return all(session, args);
    };
    let stub = match by_prefix(session, id)? {
        Match::One(found) => found,
        Match::Nothing => return Ok(unknown(session, id)),
        Match::Several(found) => {
            let text = ambiguous(session, &found, args.how);
            session.console.line(text);
            return Ok(DONE);
        }
    };
    let request =
        Request::get(format!("/v1/allocation/{}", segment(&stub.id))).query("namespace", &stub.namespace);
    let reply = session
        .client
        .fetch(&request)
        .context("Error querying allocation")?;
    if session.print_formatted(&args.format, &reply.value)? {
        return Ok(DONE);
    }
    let found: Allocation = reply.decode()?;
    show(session, args, &found)?;
    session.hint("View allocation details", &format!("/allocations/{}", found.id));
    Ok(DONE)
}

fn by_prefix(session: &Session<'_>, id: &str) -> Result<Match<AllocationListStub>> {
    ids::by_prefix(&session.client, "/v1/allocations", id, "allocation")
}

fn unknown(session: &mut Session<'_>, id: &str) -> Exit {
    session
        .console
        .error(format_args!("No allocation(s) with prefix or id {id:?} found"));
    FAILED
}

fn ambiguous(session: &Session<'_>, found: &[AllocationListStub], how: Verbosity) -> String {
    let table = allocations(session, found, how, NodeNames::Shown);
    format!("Prefix matched multiple allocations\n\n{table}")
}

/// The allocation that something is done with; `None` when there is none, or more than one, which is said.
fn find(session: &mut Session<'_>, id: &str, how: Verbosity) -> Result<Option<AllocationListStub>> {
    match by_prefix(session, id)? {
        Match::One(found) => return Ok(Some(found)),
        Match::Nothing => drop(unknown(session, id)),
        Match::Several(found) => {
            let text = ambiguous(session, &found, how);
            session.console.error(text);
        }
    }
    Ok(None)
}

fn all(session: &mut Session<'_>, args: &Status) -> Result<Exit> {
    anyhow::ensure!(
        !args.format.is_plain(),
        "This command takes one of the following argument conditions:\n * A single <allocation>\n * No arguments, with output format specified"
    );
    let reply = session
        .client
        .fetch(&Request::get("/v1/allocations"))
        .context("Error querying allocations")?;
    session.print_formatted(&args.format, &reply.value)?;
    Ok(DONE)
}

fn show(session: &mut Session<'_>, args: &Status, it: &Allocation) -> Result<()> {
    let labels = basics(session, it, args.how)?;
    session.console.line(labels);
    if let Some(addresses) = addresses(it) {
        session.console.line(format_args!("\n{addresses}"));
    }
    if args.short {
        session.console.line("");
        session.console.section("Tasks", short_tasks(it));
        return Ok(());
    }
    checks(session, it);
    let usage = stats::of_allocation(&session.client, &it.id).unwrap_or_else(|error| {
        session
            .console
            .error(format_args!("\nCouldn't retrieve stats: {error}"));
        None
    });
    tasks(session, args, it, usage.as_ref());
    if let Some(metric) = it.metrics.as_ref().filter(|_| args.how.verbose) {
        session.console.line("");
        session.console.section("Placement Metrics", scores(metric));
    }
    Ok(())
}

fn basics(session: &Session<'_>, it: &Allocation, how: Verbosity) -> Result<Labels> {
    let ids = how.ids();
    let version = it.job.as_deref().map_or(0, |job| job.version());
    let mut labels = Labels::new()
        .with("ID", &it.id)
        .with("Eval ID", ids.cut(&it.eval_id))
        .with("Name", &it.name)
        .with("Node ID", ids.cut(&it.node_id))
        .with("Node Name", &it.node_name)
        .with("Job ID", &it.job_id)
        .with("Job Version", version)
        .with("Client Status", &it.client_status)
        .with("Client Description", &it.client_description)
        .with("Desired Status", &it.desired_status)
        .with("Desired Description", &it.desired_description)
        .with("Created", session.when(Timestamp(it.create_time), how.verbose))
        .with("Modified", session.when(Timestamp(it.modify_time), how.verbose));
    if !it.deployment_id.is_empty() {
        labels.push("Deployment ID", ids.cut(&it.deployment_id));
        let health = match it.deployment_status.and_then(|status| status.healthy) {
            Some(true) => "healthy",
            Some(false) => "unhealthy",
            None => "unset",
        };
        labels.push("Deployment Health", health);
        if it.deployment_status.is_some_and(|status| status.canary) {
            labels.push("Canary", true);
        }
    }
    if let Some((made, allowed)) = reschedules(it, session.now) {
        labels.push(
            "Reschedule Attempts",
            format_args!("{made}/{allowed}").to_string(),
        );
    }
    if !it.next_allocation.is_empty() {
        labels.push("Replacement Alloc ID", ids.cut(&it.next_allocation));
    }
    if !it.followup_eval_id.is_empty() {
        let request = Request::get(format!("/v1/evaluation/{}", segment(&it.followup_eval_id)));
        // It may have been collected since.
        if let Ok(reply) = session.client.fetch(&request) {
            let due = reply.decode::<Evaluation>()?.wait_until.0;
            if due > session.now {
                labels.push("Reschedule Eligibility", time::distance(due, session.now));
            }
        }
    }
    if how.verbose {
        placement(&mut labels, it);
    }
    Ok(labels)
}

fn placement(labels: &mut Labels, it: &Allocation) {
    let Some(metric) = &it.metrics else { return };
    labels.push("Evaluated Nodes", metric.nodes_evaluated);
    labels.push("Filtered Nodes", metric.nodes_filtered);
    labels.push("Exhausted Nodes", metric.nodes_exhausted);
    labels.push("Allocation Time", Duration(metric.allocation_time));
    labels.push("Failures", metric.coalesced_failures);
}

/// How often it was rescheduled within its policy's interval, and how often it may be; nothing without a limit.
fn reschedules(it: &Allocation, now: Timestamp) -> Option<(usize, i64)> {
    let job = it.job.as_deref()?;
    let policy = job.group(&it.task_group)?.reschedule_policy.as_ref()?;
    let (allowed, interval) = (policy.attempts.unwrap_or(0), policy.interval.unwrap_or_default());
    if policy.unlimited.unwrap_or(false) || allowed == 0 {
        return None;
    }
    let events = it
        .reschedule_tracker
        .as_ref()
        .map(|tracker| tracker.events.as_slice())
        .unwrap_or_default();
    let recent =
        |event: &&holdfast_api::RescheduleEvent| now.since(Timestamp(event.reschedule_time)) < interval;
    let made = events.iter().filter(recent).count();
    (made > 0).then_some((made, allowed))
}

/// The ports of its group, as others reach them.
fn addresses(it: &Allocation) -> Option<String> {
    let shared = &it.allocated_resources.as_ref()?.shared;
    let network = shared.networks.first()?;
    let mode = it.job.as_deref().and_then(|job| {
        job.group(&it.task_group)?
            .networks()
            .first()
            .map(|it| it.mode.clone())
    });
    let mode = mode
        .filter(|mode| !mode.is_empty())
        .map(|mode| format!(" (mode = {mode:?})"))
        .unwrap_or_default();
    let rows = shared.ports.iter().map(|port| {
        let is_dynamic = network.dynamic_ports.iter().any(|it| it.label == port.label);
        let to = if port.to > 0 {
            format!(" -> {}", port.to)
        } else {
            String::new()
        };
        let dynamic = if is_dynamic { "yes" } else { "no" };
        [
            format!("*{}", port.label),
            dynamic.to_owned(),
            format!("{}:{}{to}", port.host_ip, port.value),
        ]
    });
    let table = Table::new(["Label", "Dynamic", "Address"])
        .with_blanks()
        .rows(rows);
    Some(format!("Allocation Addresses{mode}:\n{table}"))
}

/// The checks of its services, as far as its node tells.
fn checks(session: &mut Session<'_>, it: &Allocation) {
    let request = Request::get(format!("/v1/client/allocation/{}/checks", segment(&it.id)));
    let Ok(reply) = session.client.fetch(&request) else {
        return;
    };
    let Some(found) = reply.value.as_object().filter(|found| !found.is_empty()) else {
        return;
    };
    let text = |check: &Value, field: &str| check[field].as_str().unwrap_or_default().to_owned();
    let task = |check: &Value| match text(check, "Task") {
        task if task.is_empty() => "(group)".to_owned(),
        task => task,
    };
    let mut rows: Vec<[String; 5]> = found
        .values()
        .map(|it| {
            [
                text(it, "Service"),
                task(it),
                text(it, "Check"),
                text(it, "Mode"),
                text(it, "Status"),
            ]
        })
        .collect();
    rows.sort();
    let table = Table::new(["Service", "Task", "Name", "Mode", "Status"]).rows(rows);
    session.console.line("");
    session.console.section("Nomad Service Checks:", table);
}

fn short_tasks(it: &Allocation) -> Table {
    Table::new(["Name", "State", "Last Event", "Time", "Lifecycle"]).rows(ordered(it).into_iter().map(
        |(name, state)| {
            let last = state.events.last();
            [
                name.to_owned(),
                state.state.clone(),
                last.map(|event| event.kind.clone()).unwrap_or_default(),
                last.map(|event| time::stamp(Timestamp(event.time)))
                    .unwrap_or_default(),
                lifecycle(it, name).map_or_else(|| "main".to_owned(), describe),
            ]
        },
    ))
}

/// Its tasks in the order in which they run, each with its state.
fn ordered(it: &Allocation) -> Vec<(&str, &TaskState)> {
    let mut tasks: Vec<(&str, &TaskState)> = it
        .task_states
        .iter()
        .map(|(name, state)| (name.as_str(), state))
        .collect();
    let turn =
        |name: &str| match lifecycle(it, name).map(|it| (it.hook.as_str(), it.sidecar.unwrap_or(false))) {
            Some(("prestart", false)) => 0,
            Some(("prestart", true)) => 1,
            None => 2,
            Some(("poststart", _)) => 3,
            Some(_) => 4,
        };
    tasks.sort_by_key(|(name, _)| (turn(name), *name));
    tasks
}

fn lifecycle<'a>(it: &'a Allocation, task: &str) -> Option<&'a Lifecycle> {
    it.allocated_resources
        .as_ref()?
        .task_lifecycles
        .get(task)?
        .as_ref()
}

fn describe(it: &Lifecycle) -> String {
    let sidecar = if it.sidecar.unwrap_or(false) {
        " sidecar"
    } else {
        ""
    };
    format!("{}{sidecar}", it.hook)
}

fn tasks(session: &mut Session<'_>, args: &Status, it: &Allocation, usage: Option<&AllocUsage>) {
    let none = BTreeMap::new();
    let sizes = it.allocated_resources.as_ref().map_or(&none, |all| &all.tasks);
    let measured = usage.and_then(|usage| usage.tasks.as_ref());
    for (name, state) in ordered(it) {
        let hook = lifecycle(it, name)
            .map(|it| format!(" ({})", describe(it)))
            .unwrap_or_default();
        let title = session
            .console
            .bold(&format!("Task {name:?}{hook} is {:?}", state.state));
        session.console.line(format_args!("\n{title}"));
        let usage = measured.and_then(|tasks| tasks.get(name));
        if let Some(size) = sizes.get(name) {
            session
                .console
                .line(format_args!("Task Resources:\n{}", resources(it, size, usage)));
        }
        if let Some(usage) = usage.filter(|_| args.stats) {
            usage_in_detail(session, usage);
        }
        session
            .console
            .line(format_args!("\nTask Events:\n{}", times(state)));
        session
            .console
            .line(format_args!("\nRecent Events:\n{}", events(state)));
    }
}

fn resources(it: &Allocation, size: &AllocatedTask, usage: Option<&TaskUsage>) -> Table {
    let usage = usage.and_then(|usage| usage.resource_usage.as_ref());
    let cpu = usage
        .and_then(|it| it.cpu_stats.as_ref())
        .map(|it| format!("{:.0}/", it.total_ticks));
    let memory = usage
        .and_then(|it| it.memory_stats.as_ref())
        .map(|it| format!("{}/", size::bytes(it.bytes())));
    let limit = match size.memory.memory_max_mb {
        0 => String::new(),
        max => format!(
            " (max {})",
            size::mebibytes(i64::try_from(max).unwrap_or(i64::MAX))
        ),
    };
    let mebibytes = |count: u64| size::mebibytes(i64::try_from(count).unwrap_or(i64::MAX));
    let disk = it
        .allocated_resources
        .as_ref()
        .map_or(0, |all| all.shared.disk_mb);
    let ports = size.networks.iter().flat_map(|network| {
        let all = network.dynamic_ports.iter().chain(&network.reserved_ports);
        all.map(|port| format!("{}: {}:{}", port.label, network.ip, port.value))
            .collect::<Vec<_>>()
    });
    let mut ports = ports.collect::<Vec<_>>().into_iter();
    let mut table = Table::new(["CPU", "Memory", "Disk", "Addresses"]).with_blanks();
    table.push([
        format!("{}{} MHz", cpu.unwrap_or_default(), size.cpu.cpu_shares),
        format!(
            "{}{}{limit}",
            memory.unwrap_or_default(),
            mebibytes(size.memory.memory_mb)
        ),
        mebibytes(disk),
        ports.next().unwrap_or_default(),
    ]);
    for port in ports {
        table.push([String::new(), String::new(), String::new(), port]);
    }
    table
}

fn usage_in_detail(session: &mut Session<'_>, usage: &TaskUsage) {
    let Some(usage) = &usage.resource_usage else {
        return;
    };
    if let Some(memory) = &usage.memory_stats {
        let cell = |name: &str| match name {
            "RSS" => Some(memory.rss),
            "Cache" => Some(memory.cache),
            "Swap" => Some(memory.swap),
            "Usage" => Some(memory.usage),
            "Max Usage" => Some(memory.max_usage),
            _ => None,
        };
        let measured = memory.measured.iter().flatten();
        let (names, cells): (Vec<_>, Vec<_>) = measured
            .filter_map(|name| Some((name.clone(), size::bytes(cell(name)?))))
            .unzip();
        session.console.line("");
        session
            .console
            .section("Memory Stats", Table::new(names).rows([cells]));
    }
    if let Some(cpu) = &usage.cpu_stats {
        let cell = |name: &str| match name {
            "Percent" => Some(cpu.percent),
            "System Mode" => Some(cpu.system_mode),
            "User Mode" => Some(cpu.user_mode),
            _ => None,
        };
        let mut measured: Vec<&String> = cpu.measured.iter().flatten().collect();
        measured.sort();
        let (names, cells): (Vec<_>, Vec<_>) = measured
            .into_iter()
            .filter_map(|name| Some((name.clone(), format!("{:.2}%", cell(name)?))))
            .unzip();
        session.console.line("");
        session
            .console
            .section("CPU Stats", Table::new(names).rows([cells]));
    }
}

fn times(state: &TaskState) -> Labels {
    Labels::new()
        .with("Started At", time::stamp(state.started_at.0))
        .with("Finished At", time::stamp(state.finished_at.0))
        .with("Total Restarts", state.restarts)
        .with("Last Restart", time::stamp(state.last_restart.0))
}

/// What happened to a task, newest first.
fn events(state: &TaskState) -> Table {
    Table::new(["Time", "Type", "Description"]).rows(state.events.iter().rev().map(|event| {
        let text = event.display_message.replace(['\n', '|'], " ");
        [
            time::stamp(Timestamp(event.time)),
            event.kind.clone(),
            text.trim().to_owned(),
        ]
    }))
}

/// How the best nodes scored.
fn scores(metric: &AllocationMetric) -> Table {
    let mut names: Vec<&String> = metric
        .score_meta_data
        .iter()
        .flat_map(|node| node.scores.keys())
        .collect();
    names.sort();
    names.dedup();
    let heading = ["Node"]
        .into_iter()
        .chain(names.iter().map(|name| name.as_str()))
        .chain(["final score"]);
    Table::new(heading).rows(metric.score_meta_data.iter().map(|node| {
        let cells = names
            .iter()
            .map(|name| size::three_digits(node.scores.get(*name).copied().unwrap_or(0.0)));
        [node.node_id.clone()]
            .into_iter()
            .chain(cells)
            .chain([size::three_digits(node.norm_score)])
    }))
}
