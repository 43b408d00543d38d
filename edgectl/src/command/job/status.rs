//! `job status`: the list of jobs, or everything about one.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use clap::Args;
use holdfast_api::{AllocationListStub, Deployment, Evaluation, JobListStub, JobSummary};
use holdfast_shared::model::Job;
use holdfast_shared::time::Timestamp;
use serde_json::json;

use super::{find, listing, periodic, with_stop};
use crate::client::{Reply, Request, segment};
use crate::command::{NodeNames, Verbosity, allocations, deployment, eval, placement};
use crate::output::json::Format;
use crate::output::{Labels, Table, time};
use crate::session::{DONE, Exit, Session};

/// How many groups that found no place are explained before the rest is left to `eval status`.
const MAX_EXPLAINED: usize = 5;

/// Flags of `job status`.
#[derive(Debug, Default, Args)]
pub struct Status {
    /// The job, or the first characters of its id; all jobs when absent
    pub id: Option<String>,
    /// Only the first block
    #[arg(long)]
    pub short: bool,
    /// Show evaluations too
    #[arg(long)]
    pub evals: bool,
    /// Show the allocations of earlier jobs of the same id too
    #[arg(long)]
    pub all_allocs: bool,
    /// How much to show.
    #[command(flatten)]
    pub how: Verbosity,
    /// For whom.
    #[command(flatten)]
    pub format: Format,
}

/// Lists jobs, or shows one.
///
/// # Errors
/// When the coordinator does not answer, or the job is not found.
pub fn run(session: &mut Session<'_>, args: &Status) -> Result<Exit> {
    match &args.id {
        None => list(session, args),
        Some(id) => one(session, args, id),
    }
}

fn list(session: &mut Session<'_>, args: &Status) -> Result<Exit> {
    let reply = session
        .client
        .fetch(&Request::get("/v1/jobs"))
        .context("Error querying jobs")?;
    if session.print_formatted(&args.format, &reply.value)? {
        return Ok(DONE);
    }
    let mut jobs: Vec<JobListStub> = reply.decode()?;
    jobs.sort_by(|a, b| (&a.id, &a.namespace).cmp(&(&b.id, &b.namespace)));
    if jobs.is_empty() {
        session.console.line("No running jobs");
    } else if args.short {
        let table =
            Table::new(["ID", "Status"]).rows(jobs.iter().map(|it| [it.id.clone(), it.status.clone()]));
        session.console.line(table);
    } else {
        session
            .console
            .line(listing(&jobs, session.client.spans_namespaces()));
    }
    session.hint("View and manage Nomad jobs", "/jobs");
    Ok(DONE)
}

/// Everything that is shown of one job.
struct Picture {
    job: Job,
    summary: JobSummary,
    allocations: Vec<AllocationListStub>,
    evaluations: Vec<Evaluation>,
    deployment: Option<Deployment>,
}

fn one(session: &mut Session<'_>, args: &Status, id: &str) -> Result<Exit> {
    let stub = find(session, id)?;
    let read = |tail: &str| {
        let request =
            Request::get(format!("/v1/job/{}{tail}", segment(&stub.id))).query("namespace", &stub.namespace);
        let request = if args.all_allocs {
            request.query("all", true)
        } else {
            request
        };
        session.client.fetch(&request)
    };
    let job = read("").context("Error querying job")?;
    let summary = read("/summary").context("Error querying job summary")?;
    let allocations = read("/allocations").context("Error querying job allocations")?;
    let evaluations = read("/evaluations").context("Error querying job evaluations")?;
    let deployment = read("/deployment").context("Error querying latest job deployment")?;
    if !args.format.is_plain() {
        let value = |reply: Reply| reply.value;
        let whole = json!([{
            "Allocations": value(allocations),
            "Evaluations": value(evaluations),
            "LatestDeployment": value(deployment),
            "Summary": value(summary),
        }]);
        session.print_formatted(&args.format, &whole)?;
        return Ok(DONE);
    }
    let picture = Picture {
        job: job.decode()?,
        summary: summary.decode()?,
        allocations: allocations.decode::<Option<_>>()?.unwrap_or_default(),
        evaluations: evaluations.decode::<Option<_>>()?.unwrap_or_default(),
        deployment: deployment.decode()?,
    };
    session.console.line(basics(&picture.job, session.now));
    if !args.short {
        details(session, args, &picture)?;
    }
    let page = format!("/jobs/{}@{}", segment(&stub.id), stub.namespace);
    session.hint("View job details and metrics", &page);
    Ok(DONE)
}

fn basics(job: &Job, now: Timestamp) -> Labels {
    let periodic = job.periodic.as_ref();
    let next = periodic
        .filter(|it| it.is_enabled())
        .map(|_| match job.is_stopped() {
            true => "none (job stopped)".to_owned(),
            false => periodic::next_launch(job, now).unwrap_or_else(|| "none".to_owned()),
        });
    Labels::new()
        .with("ID", job.id())
        .with("Name", job.name())
        .with(
            "Submit Date",
            time::stamp(Timestamp(job.submit_time.unwrap_or(0))),
        )
        .with("Type", job.job_type().as_str())
        .with("Priority", job.priority())
        .with("Datacenters", job.datacenters().join(","))
        .with("Namespace", job.namespace())
        .with("Node Pool", job.node_pool())
        .with(
            "Status",
            with_stop(job.status.as_deref().unwrap_or_default(), job.is_stopped()),
        )
        .with("Periodic", periodic.is_some())
        .with(
            "Parameterized",
            job.parameterized_job.is_some() && !job.dispatched,
        )
        .with_some(
            "Next Periodic Launch",
            next.filter(|_| job.parameterized_job.is_none() || job.dispatched),
        )
}

fn details(session: &mut Session<'_>, args: &Status, it: &Picture) -> Result<()> {
    if it.job.is_template() {
        children(session, it)?;
        return Ok(());
    }
    section(session, "Summary", summary(&it.summary));
    if args.evals || args.how.verbose {
        section(session, "Evaluations", evaluations(&it.evaluations, args.how));
    }
    unplaced(session, &it.evaluations);
    let rescheduling = rescheduling(session, it, args.how)?;
    if !rescheduling.is_empty() {
        section(session, "Future Rescheduling Attempts", rescheduling);
    }
    if let Some(newest) = &it.deployment {
        section(session, "Latest Deployment", deployment::brief(newest, args.how));
    }
    let list = if it.allocations.is_empty() {
        "No allocations placed".to_owned()
    } else {
        allocations(session, &it.allocations, args.how, NodeNames::Shown).to_string()
    };
    section(session, "Allocations", list);
    Ok(())
}

fn section(session: &mut Session<'_>, title: &str, body: impl std::fmt::Display) {
    session.console.line("");
    session.console.section(title, body);
}

fn summary(it: &JobSummary) -> Table {
    let columns = [
        "Task Group",
        "Queued",
        "Starting",
        "Running",
        "Failed",
        "Complete",
        "Lost",
        "Unknown",
    ];
    Table::new(columns).rows(it.summary.iter().map(|(group, it)| {
        let counts = [
            it.queued,
            it.starting,
            it.running,
            it.failed,
            it.complete,
            it.lost,
            it.unknown,
        ];
        [group.clone()]
            .into_iter()
            .chain(counts.map(|count| count.to_string()))
    }))
}

fn evaluations(list: &[Evaluation], how: Verbosity) -> Table {
    let mut sorted: Vec<&Evaluation> = list.iter().collect();
    sorted.sort_by_key(|it| std::cmp::Reverse(it.create_index));
    let columns = ["ID", "Priority", "Triggered By", "Status", "Placement Failures"];
    Table::new(columns).rows(sorted.into_iter().map(|it| {
        let id = how.ids().cut(&it.id).to_owned();
        [
            id,
            it.priority.to_string(),
            it.triggered_by.clone(),
            it.status.clone(),
            eval::failures(it),
        ]
    }))
}

/// Why groups found no place, while an evaluation still waits to place them.
fn unplaced(session: &mut Session<'_>, list: &[Evaluation]) {
    if !list.iter().any(|it| it.status == "blocked") {
        return;
    }
    let failed = list.iter().filter(|it| !it.failed_tg_allocs.is_empty());
    let Some(newest) = failed.max_by_key(|it| it.create_index) else {
        return;
    };
    let group = |(name, metric)| {
        let reasons = placement::reasons(metric, "  ").join("\n");
        format!("Task Group {name:?}:\n{reasons}")
    };
    let mut groups: Vec<String> = newest
        .failed_tg_allocs
        .iter()
        .take(MAX_EXPLAINED)
        .map(group)
        .collect();
    if newest.failed_tg_allocs.len() > MAX_EXPLAINED {
        let (program, id) = (
            &session.program,
            crate::output::IdLength::of(false).cut(&newest.id),
        );
        groups.push(format!(
            "Placement failures truncated. To see remainder run:\n{program} eval status {id}"
        ));
    }
    section(session, "Placement Failure", groups.join("\n\n"));
}

/// Which groups are going to be placed again, and when.
fn rescheduling(session: &Session<'_>, it: &Picture, how: Verbosity) -> Result<Table> {
    let mut newest: BTreeMap<&str, &AllocationListStub> = BTreeMap::new();
    for allocation in &it.allocations {
        let slot = newest.entry(&allocation.task_group).or_insert(allocation);
        if allocation.modify_time > slot.modify_time {
            *slot = allocation;
        }
    }
    let mut table = Table::new(["Task Group", "Eval ID", "Eval Time"]);
    for (group, allocation) in newest {
        if allocation.followup_eval_id.is_empty() {
            continue;
        }
        let request = Request::get(format!(
            "/v1/evaluation/{}",
            segment(&allocation.followup_eval_id)
        ));
        let due = match session.client.fetch(&request) {
            Ok(reply) => reply.decode::<Evaluation>()?.wait_until.0,
            // It may have been collected since the listing was made.
            Err(_) => continue,
        };
        if due > session.now {
            let id = how.ids().cut(&allocation.followup_eval_id).to_owned();
            table.push([group.to_owned(), id, time::distance(due, session.now)]);
        }
    }
    Ok(table)
}

/// The jobs that a periodic or parameterized one has launched.
fn children(session: &mut Session<'_>, it: &Picture) -> Result<()> {
    let counts = &it.summary.children;
    let summary = Table::new(["Pending", "Running", "Dead"]).rows([[
        counts.pending.to_string(),
        counts.running.to_string(),
        counts.dead.to_string(),
    ]]);
    let (title, kind, listed, none) = match &it.job.parameterized_job {
        Some(block) => {
            let list = |keys: &Option<Vec<String>>| keys.as_deref().unwrap_or_default().join(", ");
            let labels = Labels::new()
                .with("Payload", &block.payload)
                .with("Required Metadata", list(&block.meta_required))
                .with("Optional Metadata", list(&block.meta_optional));
            section(session, "Parameterized Job", labels);
            let none = "No dispatched instances of parameterized job found";
            ("Parameterized Job Summary", "dispatch", "Dispatched Jobs", none)
        }
        None => {
            let none = "No instances of periodic job found";
            (
                "Children Job Summary",
                "periodic",
                "Previously Launched Jobs",
                none,
            )
        }
    };
    section(session, title, summary);
    let request = Request::get("/v1/jobs")
        .query("prefix", format!("{}/{kind}-", it.job.id()))
        .query("namespace", it.job.namespace());
    let found: Vec<JobListStub> = session
        .client
        .fetch(&request)
        .context("Error querying launched jobs")?
        .decode()?;
    if found.is_empty() {
        session.console.line(format_args!("\n{none}"));
    } else {
        let rows = found
            .iter()
            .map(|job| [job.id.clone(), with_stop(&job.status, job.stop)]);
        section(session, listed, Table::new(["ID", "Status"]).rows(rows));
    }
    Ok(())
}
