//! `job plan`: what a job file would do, without doing it.

use anyhow::{Context, Result};
use clap::{ArgAction, Args};
use holdfast_api::{JobPlanRequest, JobPlanResponse};
use holdfast_diff::{DiffType, JobDiff};
use holdfast_shared::model::Job;

use super::periodic;
use super::run::warn;
use crate::client::{Request, segment};
use crate::command::placement;
use crate::jobfile::JobFile;
use crate::output::json::Format;
use crate::output::{Table, plural};
use crate::session::{DONE, Exit, FAILED, Session};

/// It could not be found out.
const UNKNOWN: Exit = 255;

/// Preempted allocations that are listed one by one.
const LISTED_MAX: usize = 10;

/// What the index is good for.
const EXPLANATION: &str = "When running the job with the check-index flag, the job will only be run if the
job modify index given matches the server-side version. If the index has
changed, another user has modified the job and the plan's results are
potentially invalid.";

/// Flags of `job plan`.
#[derive(Debug, Args)]
pub struct Plan {
    #[command(flatten)]
    file: JobFile,
    /// Show what would change in the job
    #[arg(
        long,
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_value_t = true,
        default_missing_value = "true",
    )]
    diff: bool,
    /// Override soft policies
    #[arg(long)]
    policy_override: bool,
    /// Show what is new or gone in full
    #[arg(long, help_heading = "Output")]
    verbose: bool,
    /// Print the answer as JSON
    #[arg(long, help_heading = "Output")]
    json_output: bool,
    /// Print the answer through a Go template
    #[arg(short = 't', value_name = "TEMPLATE", help_heading = "Output")]
    template: Option<String>,
}

/// Shows what a job file would do. Exits with 1 when that starts or ends allocations.
///
/// # Errors
/// Never: what is wrong is printed, and the exit code says that the outcome is unknown.
pub fn run(session: &mut Session<'_>, args: &Plan) -> Result<Exit> {
    match plan(session, args) {
        Ok(exit) => Ok(exit),
        Err(error) => {
            session.console.error(format_args!("{error:#}"));
            Ok(UNKNOWN)
        }
    }
}

fn plan(session: &mut Session<'_>, args: &Plan) -> Result<Exit> {
    let job = args.file.load(&session.environment)?.job;
    session.client = session
        .client
        .for_job(job.region.as_deref(), job.namespace.as_deref());
    // The exit code depends on what changes, shown or not.
    let request = JobPlanRequest {
        job: Some(Box::new(job.clone())),
        diff: true,
        policy_override: args.policy_override,
    };
    let path = format!("/v1/job/{}/plan", segment(job.id()));
    let reply = session
        .client
        .fetch(&Request::put(path, request))
        .context("Error during plan")?;
    let answer: JobPlanResponse = reply.decode()?;
    let diff: JobDiff = answer
        .diff
        .clone()
        .map(serde_json::from_value)
        .transpose()
        .context("Error during plan")?
        .unwrap_or_default();
    let format = Format {
        json: args.json_output,
        template: args.template.clone(),
    };
    if !session.print_formatted(&format, &reply.value)? {
        if args.diff {
            let text = holdfast_diff::render(&diff, args.verbose);
            session.console.line(format_args!("{}\n", text.trim_end()));
        }
        show(session, args, &job, &answer);
    }
    Ok(exit(&diff, &answer))
}

/// 1 when allocations would be started or ended because the job changes.
fn exit(diff: &JobDiff, answer: &JobPlanResponse) -> Exit {
    let updates = answer
        .annotations
        .iter()
        .flat_map(|it| it.desired_tg_updates.values());
    let mut counts = updates.map(|it| it.stop + it.place + it.migrate + it.destructive_update + it.canary);
    if diff.kind != DiffType::None && counts.any(|count| count > 0) {
        FAILED
    } else {
        DONE
    }
}

fn show(session: &mut Session<'_>, args: &Plan, job: &Job, answer: &JobPlanResponse) {
    session.console.section(
        "Scheduler dry-run:",
        format_args!("{}\n", outcome(session, job, answer)),
    );
    warn(session, &answer.warnings);
    preemptions(session, answer);
    let title = format!("Job Modify Index: {}", answer.job_modify_index);
    let mut command = format!(
        "{} job run -check-index {} ",
        session.program, answer.job_modify_index
    );
    for var in &args.file.vars {
        command += &format!("-var={var:?} ");
    }
    for file in &args.file.var_files {
        command += &format!("-var-file={:?} ", file.display().to_string());
    }
    command += &args.file.name();
    session.console.section(
        &title,
        format_args!("To submit the job with version verification run:\n\n{command}\n\n{EXPLANATION}"),
    );
}

/// Whether everything found a place, and if not why.
fn outcome(session: &Session<'_>, job: &Job, answer: &JobPlanResponse) -> String {
    let mut lines = Vec::new();
    if answer.failed_tg_allocs.is_empty() {
        lines.push("- All tasks successfully allocated.".to_owned());
    } else {
        let what = if job.job_type().is_system() {
            "allocations on all nodes"
        } else {
            "all allocations"
        };
        let warning = format!("- WARNING: Failed to place {what}.");
        lines.push(session.console.warning(&warning));
    }
    let groups = answer.failed_tg_allocs.iter().map(|(group, metric)| {
        let reasons = placement::reasons(metric, "    ").join("\n");
        format!(
            "  Task Group {group:?} ({}):\n{reasons}",
            placement::failure_count(metric)
        )
    });
    let groups: Vec<String> = groups.collect();
    if !groups.is_empty() {
        lines.push(groups.join("\n\n"));
    }
    if !answer.next_periodic_launch.is_never() && job.parameterized_job.is_none() {
        let next = periodic::moment(job, answer.next_periodic_launch.0, session.now);
        lines.push(format!(
            "- If submitted now, next periodic launch would be at {next}."
        ));
    }
    lines.join("\n")
}

/// The allocations of other jobs that would have to go.
fn preemptions(session: &mut Session<'_>, answer: &JobPlanResponse) {
    let preempted = answer
        .annotations
        .iter()
        .flat_map(|it| it.preempted_allocs.iter())
        .map(|it| ["ID", "JobID", "TaskGroup"].map(|key| it[key].as_str().unwrap_or_default().to_owned()));
    let preempted: Vec<[String; 3]> = preempted.collect();
    if preempted.is_empty() {
        return;
    }
    let body = if preempted.len() <= LISTED_MAX {
        Table::new(["Alloc ID", "Job ID", "Task Group"])
            .rows(preempted)
            .to_string()
    } else {
        let count = i64::try_from(preempted.len()).unwrap_or(i64::MAX);
        plural(count, "allocation")
    };
    session
        .console
        .section("Preemptions:\n", format_args!("{body}\n"));
}
