//! `/v1/job/:id/explain`: why each node would or would not take one more allocation of the job.

use axum::extract::{Path, State};
use axum::response::Response;
use holdfast_api::{GroupExplanation, NodeExplanation};
use holdfast_coordinator_core::scheduler::explain::{Verdict, explain};
use holdfast_coordinator_core::state::Table;
use holdfast_coordinator_core::{Options, State as Snapshot};
use holdfast_shared::id::NodeId;

use super::ask::Ask;
use super::problem::Problem;
use super::{Shared, answer};

/// What an explanation is made of.
const TABLES: &[Table] = &[
    Table::Jobs,
    Table::Nodes,
    Table::Allocations,
    Table::SchedulerConfiguration,
];

pub(super) async fn get(State(app): Shared, Path(id): Path<String>, ask: Ask) -> Response {
    let key = ask.job_key(id);
    answer::one(&app, &ask, TABLES, |state| {
        let job = state.jobs.get(&key).ok_or_else(|| Problem::not_found("job"))?;
        let groups = explain(state, job, Options::default().node_limit).into_iter();
        Ok(groups
            .map(|(task_group, nodes)| GroupExplanation {
                task_group,
                nodes: nodes
                    .into_iter()
                    .map(|(node, verdict)| view(state, node, verdict))
                    .collect(),
            })
            .collect::<Vec<_>>())
    })
    .await
}

fn view(state: &Snapshot, node: NodeId, verdict: Verdict) -> NodeExplanation {
    let known = state.nodes.get(&node);
    let view = NodeExplanation {
        node_id: node.to_string(),
        node_name: known.map(|node| node.name().to_owned()).unwrap_or_default(),
        node_class: known
            .map(|node| node.fingerprint.node_class.clone())
            .unwrap_or_default(),
        ..NodeExplanation::default()
    };
    let refused = |verdict: &str, reason: String| NodeExplanation {
        verdict: verdict.to_owned(),
        reason,
        ..view.clone()
    };
    match verdict {
        Verdict::Unavailable(why) => refused("unavailable", why),
        Verdict::Filtered(why) => refused("filtered", why),
        Verdict::Exhausted(what) => refused("exhausted", what),
        Verdict::Ranked { score, evicts } => NodeExplanation {
            verdict: "ranked".to_owned(),
            reason: match evicts {
                0 => String::new(),
                1 => "1 allocation gives way".to_owned(),
                number => format!("{number} allocations give way"),
            },
            scores: score
                .scores
                .iter()
                .map(|(component, value)| (component.as_str().to_owned(), value))
                .collect(),
            norm_score: score.norm_score(),
            ..view
        },
    }
}
