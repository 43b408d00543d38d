//! `alloc status`: one allocation, its tasks, and what happened to them; what can be done with it is in `act`.

pub mod act;
mod tasks;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use holdfast_api::{Allocation, AllocationListStub, Evaluation};
use holdfast_shared::time::{Duration, Timestamp};
use serde_json::Value;

use super::{NodeNames, Verbosity, allocations, placement, stats};
use crate::client::{Request, segment};
use crate::ids::{self, Match};
use crate::output::json::Format;
use crate::output::{Labels, Table, time};
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
        session.console.section("Tasks", tasks::in_short(it));
        return Ok(());
    }
    checks(session, it);
    let usage = stats::of_allocation(&session.client, &it.id).unwrap_or_else(|error| {
        session
            .console
            .error(format_args!("\nCouldn't retrieve stats: {error}"));
        None
    });
    tasks::show(session, args, it, usage.as_ref());
    if let Some(metric) = it.metrics.as_ref().filter(|_| args.how.verbose) {
        session.console.line("");
        let mut lines = placement::reasons(metric, "  ");
        lines.push(placement::scores(metric).to_string());
        session.console.section("Placement Metrics", lines.join("\n"));
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
        counts(&mut labels, it);
    }
    Ok(labels)
}

/// How many nodes were looked at for it.
fn counts(labels: &mut Labels, it: &Allocation) {
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
