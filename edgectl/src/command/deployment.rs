//! `deployment list` and `deployment status`, and the block that every deployment is shown as.

pub mod act;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use holdfast_api::{AllocationListStub, Deployment, DeploymentState};

use super::{NodeNames, Verbosity, allocations};
use crate::client::{Request, segment};
use crate::ids::{self, Match};
use crate::monitor;
use crate::output::json::Format;
use crate::output::{Labels, Table, time};
use crate::session::{DONE, Exit, FAILED, Session};

/// What can be asked about deployments.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List deployments
    List(List),
    /// Show one deployment
    Status(Status),
    /// Make ordinary allocations of canaries
    Promote(act::Promote),
    /// Halt one
    Pause(act::Act),
    /// Let one go on
    Resume(act::Act),
    /// Give one up
    Fail(act::Act),
    /// Let one succeed although other regions are not done
    Unblock(act::Act),
    /// Any other verb of the original
    #[command(external_subcommand)]
    Other(Vec<String>),
}

/// Flags of `deployment list`.
#[derive(Debug, Args)]
pub struct List {
    /// Only what fits this expression
    #[arg(long, value_name = "EXPRESSION")]
    filter: Option<String>,
    #[command(flatten)]
    how: Verbosity,
    #[command(flatten)]
    format: Format,
}

/// Flags of `deployment status`.
#[derive(Debug, Args)]
pub struct Status {
    /// The deployment, or the first characters of its id
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
    /// The flags that show deployment `id` once.
    pub const fn of(id: String, how: Verbosity, format: Format) -> Self {
        Self {
            id,
            monitor: false,
            how,
            format,
        }
    }
}

/// Lists deployments.
///
/// # Errors
/// When the coordinator does not answer.
pub fn list(session: &mut Session<'_>, args: &List) -> Result<Exit> {
    let request = Request::get("/v1/deployments").query_some("filter", args.filter.as_deref());
    let reply = session
        .client
        .fetch(&request)
        .context("Error retrieving deployments")?;
    if session.print_formatted(&args.format, &reply.value)? {
        return Ok(DONE);
    }
    let found: Vec<Deployment> = reply.decode()?;
    session.console.line(table(&found, args.how));
    Ok(DONE)
}

/// Shows one deployment.
///
/// # Errors
/// When the coordinator does not answer.
pub fn status(session: &mut Session<'_>, args: &Status) -> Result<Exit> {
    let found = find(session, &args.id)?;
    let several = matches!(found, Match::Several(_));
    let Some(stub) = report(session, &args.id, found, args.how) else {
        return Ok(if several { DONE } else { FAILED });
    };
    let request = Request::get(format!("/v1/deployment/{}", segment(&stub.id)));
    let reply = session
        .client
        .fetch(&request)
        .context("Error retrieving deployment")?;
    if session.print_formatted(&args.format, &reply.value)? {
        return Ok(DONE);
    }
    let found: Deployment = reply.decode()?;
    if args.monitor && is_active(&found) {
        let ids = args.how.ids();
        let line = format!(
            "==> {}: Monitoring deployment {:?}",
            time::stamp_now(),
            ids.cut(&found.id)
        );
        session.console.line(line);
        return monitor::deployment(session, &found.id, args.how);
    }
    session.console.line(block(&found, args.how));
    if args.how.verbose {
        let request = Request::get(format!("/v1/deployment/allocations/{}", segment(&found.id)));
        let list: Vec<AllocationListStub> = session
            .client
            .fetch(&request)
            .context("Error retrieving allocations")?
            .decode()?;
        if !list.is_empty() {
            let table = allocations(session, &list, args.how, NodeNames::Shown);
            session.console.line("");
            session.console.section("Allocations", table);
        }
    }
    session.hint(
        "View all deployments for this job",
        &format!("/jobs/{}/deployments", segment(&found.job_id)),
    );
    Ok(DONE)
}

/// The deployment whose id begins with `id`.
fn find(session: &Session<'_>, id: &str) -> Result<Match<Deployment>> {
    ids::by_prefix(&session.client, "/v1/deployments", id, "deployment")
}

/// The one that was found; when there is not exactly one, that is said.
fn report(
    session: &mut Session<'_>,
    id: &str,
    found: Match<Deployment>,
    how: Verbosity,
) -> Option<Deployment> {
    match found {
        Match::One(found) => return Some(found),
        Match::Nothing => session
            .console
            .error(format_args!("No deployment(s) with prefix or id {id:?} found")),
        Match::Several(found) => {
            let table = table(&found, how);
            session
                .console
                .line(format_args!("Prefix matched multiple deployments\n\n{table}"));
        }
    }
    None
}

/// Whether it has not ended yet.
pub fn is_active(it: &Deployment) -> bool {
    matches!(
        it.status.as_str(),
        "pending" | "initializing" | "running" | "paused" | "unblocking"
    )
}

/// A listing of deployments.
pub fn table(found: &[Deployment], how: Verbosity) -> String {
    if found.is_empty() {
        return "No deployments found".to_owned();
    }
    let ids = how.ids();
    let columns = ["ID", "Job ID", "Job Version", "Status", "Description"];
    let row = |it: &Deployment| {
        let version = it.job_version.to_string();
        [
            ids.cut(&it.id).to_owned(),
            it.job_id.clone(),
            version,
            it.status.clone(),
            it.status_description.clone(),
        ]
    };
    Table::new(columns).rows(found.iter().map(row)).to_string()
}

/// One deployment as `deployment status` and monitors show it.
pub fn block(it: &Deployment, how: Verbosity) -> String {
    let labels = Labels::new()
        .with("ID", how.ids().cut(&it.id))
        .with("Job ID", &it.job_id)
        .with("Job Version", it.job_version)
        .with("Status", &it.status)
        .with("Description", &it.status_description);
    with_groups(labels, it)
}

/// The newest deployment as `job status` shows it.
pub fn brief(it: &Deployment, how: Verbosity) -> String {
    let labels = Labels::new()
        .with("ID", how.ids().cut(&it.id))
        .with("Status", &it.status)
        .with("Description", &it.status_description);
    with_groups(labels, it)
}

fn with_groups(labels: Labels, it: &Deployment) -> String {
    if it.task_groups.is_empty() {
        return labels.to_string();
    }
    format!("{labels}\n\nDeployed\n{}", groups(it))
}

/// The groups of a deployment. A column that says nothing for any of them is left out.
fn groups(it: &Deployment) -> Table {
    let any = |holds: fn(&DeploymentState) -> bool| it.task_groups.values().any(holds);
    let (reverts, canaries) = (
        any(|group| group.auto_revert),
        any(|group| group.desired_canaries > 0),
    );
    let has_deadline = any(|group| group.progress_deadline.0 != 0);
    let is_shown = |column: &str| match column {
        "Auto Revert" => reverts,
        "Promoted" | "Canaries" => canaries,
        "Progress Deadline" => has_deadline,
        _ => true,
    };
    let row = |name: &str, group: &DeploymentState| {
        let of_canary = |text: String| {
            if group.desired_canaries > 0 {
                text
            } else {
                time::NEVER.to_owned()
            }
        };
        [
            ("Task Group", name.to_owned()),
            ("Auto Revert", group.auto_revert.to_string()),
            ("Promoted", of_canary(group.promoted.to_string())),
            ("Desired", group.desired_total.to_string()),
            ("Canaries", of_canary(group.desired_canaries.to_string())),
            ("Placed", group.placed_allocs.to_string()),
            ("Healthy", group.healthy_allocs.to_string()),
            ("Unhealthy", group.unhealthy_allocs.to_string()),
            ("Progress Deadline", time::stamp(group.require_progress_by.0)),
        ]
    };
    let heading = row("", &DeploymentState::default()).map(|(column, _)| column);
    let mut table = Table::new(heading.into_iter().filter(|column| is_shown(column)));
    for (name, group) in &it.task_groups {
        table.push(
            row(name, group)
                .into_iter()
                .filter(|(column, _)| is_shown(column))
                .map(|(_, cell)| cell),
        );
    }
    table
}
