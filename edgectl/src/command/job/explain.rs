//! `job explain`: why each node would or would not take one more allocation, and how well.

use anyhow::{Context, Result};
use clap::Args;
use holdfast_api::{GroupExplanation, NodeExplanation};

use super::find;
use crate::client::{Request, segment};
use crate::command::Verbosity;
use crate::output::json::Format;
use crate::output::{Table, plural, size};
use crate::session::{DONE, Exit, Session};

/// Flags of `job explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// The job, or the first characters of its id
    id: String,
    /// Only this group
    #[arg(long)]
    group: Option<String>,
    #[command(flatten)]
    how: Verbosity,
    #[command(flatten)]
    format: Format,
}

/// Prints what the scheduler makes of every node, as things stand: the best ones first, then those without room, those
/// that do not qualify, and those that are not looked at.
///
/// # Errors
/// When the job or the group is not found, or the coordinator does not answer.
pub fn run(session: &mut Session<'_>, args: &Explain) -> Result<Exit> {
    let job = find(session, &args.id)?;
    let request =
        Request::get(format!("/v1/job/{}/explain", segment(&job.id))).query("namespace", &job.namespace);
    let reply = session
        .client
        .fetch(&request)
        .context("Error explaining placements")?;
    if session.print_formatted(&args.format, &reply.value)? {
        return Ok(DONE);
    }
    let found: Vec<GroupExplanation> = reply.decode()?;
    let wanted = |it: &&GroupExplanation| args.group.as_ref().is_none_or(|name| *name == it.task_group);
    let groups: Vec<&GroupExplanation> = found.iter().filter(wanted).collect();
    if let Some(name) = args.group.as_ref().filter(|_| groups.is_empty()) {
        anyhow::bail!("Job {:?} has no group {name:?}", job.id);
    }
    for (at, group) in groups.into_iter().enumerate() {
        if at > 0 {
            session.console.line("");
        }
        let ranked = group.nodes.iter().filter(|it| it.verdict == "ranked").count();
        let nodes = plural(i64::try_from(group.nodes.len()).unwrap_or(i64::MAX), "node");
        session.console.line(format!(
            "Group {:?}: {ranked} of {nodes} would take one more allocation",
            group.task_group
        ));
        session.console.line("");
        session.console.line(table(group, args.how));
    }
    Ok(DONE)
}

fn table(group: &GroupExplanation, how: Verbosity) -> Table {
    let mut nodes: Vec<&NodeExplanation> = group.nodes.iter().collect();
    let order = ["ranked", "exhausted", "filtered", "unavailable"];
    let rank = |it: &NodeExplanation| order.iter().position(|verdict| *verdict == it.verdict);
    nodes.sort_by(|a, b| {
        rank(a)
            .cmp(&rank(b))
            .then(b.norm_score.total_cmp(&a.norm_score))
            .then_with(|| a.reason.cmp(&b.reason))
            .then_with(|| a.node_name.cmp(&b.node_name))
    });
    let columns = [
        "Node ID",
        "Node Name",
        "Node Class",
        "Verdict",
        "Final Score",
        "Why",
    ];
    Table::new(columns).rows(nodes.into_iter().map(|it| {
        let is_ranked = it.verdict == "ranked";
        [
            how.ids().cut(&it.node_id).to_owned(),
            it.node_name.clone(),
            or_none(&it.node_class),
            it.verdict.clone(),
            if is_ranked {
                size::three_digits(it.norm_score)
            } else {
                "-".to_owned()
            },
            if is_ranked {
                components(it)
            } else {
                it.reason.clone()
            },
        ]
    }))
}

fn or_none(text: &str) -> String {
    if text.is_empty() { "<none>" } else { text }.to_owned()
}

/// `binpack 0.5, node-affinity 1`, and what would have to give way.
fn components(it: &NodeExplanation) -> String {
    let scores = it
        .scores
        .iter()
        .map(|(name, score)| format!("{name} {}", size::three_digits(*score)));
    let evicts = Some(it.reason.clone()).filter(|reason| !reason.is_empty());
    scores.chain(evicts).collect::<Vec<_>>().join(", ")
}
