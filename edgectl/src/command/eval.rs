//! `eval list` and `eval status`: what was asked of the scheduler, and what came of it.

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use holdfast_api::{DesiredUpdates, Evaluation, EvaluationStub};
use holdfast_shared::time::Timestamp;

use super::{Verbosity, placement};
use crate::client::{Request, segment};
use crate::ids::{self, Match};
use crate::monitor::Monitor;
use crate::output::json::Format;
use crate::output::{IdLength, Labels, Table, time};
use crate::session::{DONE, Exit, FAILED, Session};

/// What can be asked about evaluations.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List evaluations
    List(List),
    /// Show one evaluation and what it failed to place
    Status(Status),
    /// Any other verb of the original
    #[command(external_subcommand)]
    Other(Vec<String>),
}

/// Flags of `eval list`.
#[derive(Debug, Args)]
pub struct List {
    /// Only those of this job
    #[arg(long, value_name = "JOB")]
    job: Option<String>,
    /// Only those of this status
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,
    /// Only what fits this expression
    #[arg(long, value_name = "EXPRESSION")]
    filter: Option<String>,
    /// How many to show at most
    #[arg(long, value_name = "COUNT")]
    per_page: Option<u32>,
    /// The page to show, as the last one named it
    #[arg(long, value_name = "TOKEN")]
    page_token: Option<String>,
    #[command(flatten)]
    how: Verbosity,
    #[command(flatten)]
    format: Format,
}

/// Flags of `eval status`.
#[derive(Debug, Args)]
pub struct Status {
    /// The evaluation, or the first characters of its id
    id: String,
    /// Keep watching until it has ended
    #[arg(long)]
    monitor: bool,
    #[command(flatten)]
    how: Verbosity,
    #[command(flatten)]
    format: Format,
}

impl Status {
    /// The flags that show evaluation `id` once.
    pub const fn of(id: String, how: Verbosity, format: Format) -> Self {
        Self {
            id,
            monitor: false,
            how,
            format,
        }
    }
}

/// Lists evaluations.
///
/// # Errors
/// When the coordinator does not answer.
pub fn list(session: &mut Session<'_>, args: &List) -> Result<Exit> {
    let request = Request::get("/v1/evaluations")
        .query_some("job", args.job.as_deref())
        .query_some("status", args.status.as_deref())
        .query_some("filter", args.filter.as_deref())
        .query_some("per_page", args.per_page)
        .query_some("next_token", args.page_token.as_deref());
    let reply = session
        .client
        .fetch(&request)
        .context("Error querying evaluations")?;
    if session.print_formatted(&args.format, &reply.value)? {
        return Ok(DONE);
    }
    let found: Vec<Evaluation> = reply.decode()?;
    if found.is_empty() {
        session.console.line("No evals found");
        return Ok(DONE);
    }
    session.console.line(overview(&found, args.how));
    session.hint("View evaluations", "/evaluations");
    Ok(DONE)
}

fn overview(found: &[Evaluation], how: Verbosity) -> Table {
    let ids = how.ids();
    let columns = [
        "ID",
        "Priority",
        "Triggered By",
        "Job ID",
        "Namespace",
        "Node ID",
        "Status",
        "Placement Failures",
    ];
    Table::new(columns).rows(found.iter().map(|it| {
        [
            ids.cut(&it.id).to_owned(),
            it.priority.to_string(),
            it.triggered_by.clone(),
            it.job_id.clone(),
            it.namespace.clone(),
            ids.cut(&it.node_id).to_owned(),
            it.status.clone(),
            failures(it),
        ]
    }))
}

/// Whether it failed to place something; undecided while a blocked one still waits.
pub fn failures(it: &Evaluation) -> String {
    match it.status.as_str() {
        "blocked" => "N/A - In Progress".to_owned(),
        _ => (!it.failed_tg_allocs.is_empty()).to_string(),
    }
}

/// Shows one evaluation.
///
/// # Errors
/// When the coordinator does not answer.
pub fn status(session: &mut Session<'_>, args: &Status) -> Result<Exit> {
    let stub = match ids::by_prefix::<Evaluation>(&session.client, "/v1/evaluations", &args.id, "evaluation")?
    {
        Match::One(found) => found,
        Match::Nothing => {
            session.console.error(format_args!(
                "No evaluation(s) with prefix or id {:?} found",
                args.id
            ));
            return Ok(FAILED);
        }
        Match::Several(found) => {
            session.console.line(format_args!(
                "Prefix matched multiple evaluations\n\n{}",
                choices(&found, args.how)
            ));
            return Ok(DONE);
        }
    };
    if args.monitor {
        return Monitor::new(session, args.how).evaluation(&stub.id);
    }
    let request = Request::get(format!("/v1/evaluation/{}", segment(&stub.id))).query("related", true);
    let reply = session
        .client
        .fetch(&request)
        .context("Error querying evaluation")?;
    if session.print_formatted(&args.format, &reply.value)? {
        return Ok(DONE);
    }
    let found: Evaluation = reply.decode()?;
    show(session, &found, args.how);
    session.hint(
        "View evaluation details",
        &format!("/evaluations?currentEval={}", found.id),
    );
    Ok(DONE)
}

fn choices(found: &[Evaluation], how: Verbosity) -> Table {
    let ids = how.ids();
    let row = |it: &Evaluation| {
        let priority = it.priority.to_string();
        [
            ids.cut(&it.id).to_owned(),
            priority,
            it.triggered_by.clone(),
            it.status.clone(),
            failures(it),
        ]
    };
    Table::new(["ID", "Priority", "Triggered By", "Status", "Placement Failures"]).rows(found.iter().map(row))
}

fn show(session: &mut Session<'_>, it: &Evaluation, how: Verbosity) {
    let labels = basics(session, it, how);
    session.console.line(labels);
    if !it.related_evals.is_empty() {
        session.console.line("");
        session
            .console
            .section("Related Evaluations", related(&it.related_evals, how.ids()));
    }
    let plan = it
        .plan_annotations
        .as_ref()
        .map(|plan| &plan.desired_tg_updates)
        .filter(|it| !it.is_empty());
    if let Some(plan) = plan {
        let columns: Vec<&str> = updates(&DesiredUpdates::default(), how)
            .into_iter()
            .map(|it| it.0)
            .collect();
        let mut table = Table::new(["Task Group"].into_iter().chain(columns));
        for (group, counts) in plan {
            let counts = updates(counts, how)
                .into_iter()
                .map(|(_, count)| count.to_string());
            table.push([group.clone()].into_iter().chain(counts));
        }
        session.console.line("");
        session.console.section("Plan Annotations", table);
    }
    if it.failed_tg_allocs.is_empty() {
        return;
    }
    let mut lines = Vec::new();
    for (group, metric) in &it.failed_tg_allocs {
        lines.push(format!(
            "Task Group {group:?} ({}):",
            placement::failure_count(metric)
        ));
        lines.extend(placement::reasons(metric, "  "));
    }
    session.console.line("");
    session.console.section("Failed Placements", lines.join("\n"));
    if !it.blocked_eval.is_empty() {
        let blocked = how.ids().cut(&it.blocked_eval).to_owned();
        session.console.line(format_args!(
            "\nEvaluation {blocked:?} waiting for additional capacity to place remainder"
        ));
    }
}

fn basics(session: &Session<'_>, it: &Evaluation, how: Verbosity) -> Labels {
    let ids = how.ids();
    let description = if it.status_description.is_empty() {
        &it.status
    } else {
        &it.status_description
    };
    let mut labels = Labels::new()
        .with("ID", ids.cut(&it.id))
        .with(
            "Create Time",
            session.when(Timestamp(it.create_time), how.verbose),
        )
        .with(
            "Modify Time",
            session.when(Timestamp(it.modify_time), how.verbose),
        )
        .with("Status", &it.status)
        .with("Status Description", description)
        .with("Type", &it.kind)
        .with("TriggeredBy", &it.triggered_by);
    if it.triggered_by == "node-update" {
        labels.push("Node ID", ids.cut(&it.node_id));
    } else {
        labels.push("Job ID", &it.job_id);
        labels.push("Namespace", &it.namespace);
    }
    labels.push("Priority", it.priority);
    labels.push("Placement Failures", failures(it));
    labels.push("Previous Eval", ids.cut(&it.previous_eval));
    labels.push("Next Eval", ids.cut(&it.next_eval));
    labels.push("Blocked Eval", ids.cut(&it.blocked_eval));
    if !it.wait_until.is_never() {
        labels.push("Wait Until", time::stamp(it.wait_until.0));
    }
    labels
}

fn related(list: &[EvaluationStub], ids: IdLength) -> Table {
    let columns = [
        "ID",
        "Priority",
        "Triggered By",
        "Node ID",
        "Status",
        "Description",
    ];
    Table::new(columns).rows(list.iter().map(|it| {
        [
            ids.cut(&it.id).to_owned(),
            it.priority.to_string(),
            it.triggered_by.clone(),
            ids.cut(&it.node_id).to_owned(),
            it.status.clone(),
            it.status_description.clone(),
        ]
    }))
}

/// What the plan did to a group; the rarer changes only where everything is shown.
fn updates(it: &DesiredUpdates, how: Verbosity) -> Vec<(&'static str, u64)> {
    let mut counts = vec![
        ("Ignore", it.ignore),
        ("Place", it.place),
        ("Stop", it.stop),
        ("InPlace", it.in_place_update),
        ("Destructive", it.destructive_update),
    ];
    if how.verbose {
        counts.extend([
            ("Migrate", it.migrate),
            ("Canary", it.canary),
            ("Preemptions", it.preemptions),
            ("Reschedule Now", it.reschedule_now),
            ("Reschedule Later", it.reschedule_later),
            ("Disconnect", it.disconnect),
            ("Reconnect", it.reconnect),
        ]);
    }
    counts
}
