//! `job scale` and `job scaling-events`: counts of groups, and how they changed.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use holdfast_api::{JobRegisterResponse, JobScaleStatus, ScalingEvent, ScalingRequest};
use holdfast_shared::model::Job;
use holdfast_shared::time::Timestamp;

use super::run::warn;
use super::{Watching, find, request};
use crate::client::Request;
use crate::command::Verbosity;
use crate::output::json::Format;
use crate::output::{Table, time};
use crate::session::{DONE, Exit, Session};

/// Flags of `job scale`.
#[derive(Debug, Args)]
pub struct Scale {
    /// The job, or the first characters of its id
    id: String,
    /// The group, which may be left out when there is one only, and the new count
    #[arg(required = true, num_args = 1..=2, value_names = ["GROUP", "COUNT"])]
    target: Vec<String>,
    /// Scale only if the job still has this modify index
    #[arg(long, value_name = "INDEX")]
    check_index: Option<u64>,
    #[command(flatten)]
    watching: Watching,
}

/// Flags of `job scaling-events`.
#[derive(Debug, Args)]
pub struct Events {
    /// The job, or the first characters of its id
    id: String,
    #[command(flatten)]
    how: Verbosity,
    #[command(flatten)]
    format: Format,
}

/// Changes the count of a group.
///
/// # Errors
/// When the job is not found, or the coordinator refuses.
pub fn run(session: &mut Session<'_>, args: &Scale) -> Result<Exit> {
    let (count, group) = args.target.split_last().context("a count is needed")?;
    let count: i64 = count
        .parse()
        .map_err(|_| anyhow!("Failed to convert count string to int: {count:?} is no whole number"))?;
    let stub = find(session, &args.id)?;
    let group = match group.first() {
        Some(group) => group.clone(),
        None => only_group(session, &request(&stub, ""))?,
    };
    let target = [("Group", group), ("Job", stub.id.clone())];
    let wish = ScalingRequest {
        count: Some(count),
        target: target.map(|(name, value)| (name.to_owned(), value)).into(),
        message: "submitted using the Nomad CLI".to_owned(),
        job_modify_index: args.check_index.unwrap_or(0),
        ..ScalingRequest::default()
    };
    let answer: JobRegisterResponse = session
        .client
        .fetch(&request(&stub, "/scale").with_body(wish))
        .context("Error submitting scaling request")?
        .decode()?;
    warn(session, &answer.warnings);
    args.watching.follow(session, &answer.eval_id)
}

fn only_group(session: &Session<'_>, request: &Request) -> Result<String> {
    let job: Job = session
        .client
        .fetch(request)
        .context("Error querying job")?
        .decode()?;
    match job.groups() {
        [only] => Ok(only.name().to_owned()),
        _ => bail!("Group name required: the job has more than one group"),
    }
}

/// Lists the changes of a job's counts, newest first.
///
/// # Errors
/// When the job is not found, or the coordinator does not answer.
pub fn events(session: &mut Session<'_>, args: &Events) -> Result<Exit> {
    let stub = find(session, &args.id)?;
    let reply = session
        .client
        .fetch(&request(&stub, "/scale"))
        .context("Error listing scaling events")?;
    let status: JobScaleStatus = reply.decode()?;
    let by_group: BTreeMap<&String, &Vec<ScalingEvent>> = status
        .task_groups
        .iter()
        .map(|(name, group)| (name, &group.events))
        .collect();
    let answer = serde_json::to_value(&by_group).context("Error listing scaling events")?;
    if session.print_formatted(&args.format, &answer)? {
        return Ok(DONE);
    }
    let mut all: Vec<(&str, &ScalingEvent)> = by_group
        .iter()
        .flat_map(|(group, events)| events.iter().map(|event| (group.as_str(), event)))
        .collect();
    all.sort_by_key(|(group, event)| (std::cmp::Reverse(event.time), *group));
    if all.is_empty() {
        session.console.line("No events found");
        return Ok(DONE);
    }
    let is_shown = |column: &str| args.how.verbose || !matches!(column, "Error" | "Message" | "Eval ID");
    let row = |group: &str, event: &ScalingEvent| {
        let count = event
            .count
            .map_or_else(|| "<nil>".to_owned(), |count| count.to_string());
        [
            ("Task Group", group.to_owned()),
            ("Count", count),
            ("PrevCount", event.previous_count.to_string()),
            ("Error", event.error.to_string()),
            ("Message", event.message.clone()),
            ("Eval ID", event.eval_id.clone().unwrap_or_default()),
            ("Date", time::stamp(Timestamp(event.time))),
        ]
    };
    let heading = row("", &ScalingEvent::default()).map(|(column, _)| column);
    let mut table = Table::new(heading.into_iter().filter(|column| is_shown(column)));
    for (group, event) in all {
        let cells = row(group, event)
            .into_iter()
            .filter(|(column, _)| is_shown(column));
        table.push(cells.map(|(_, cell)| cell));
    }
    session.console.line(table);
    Ok(DONE)
}
