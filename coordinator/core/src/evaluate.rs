//! One evaluation from start to end: reconcile, then plan.
//!
//! Evaluations run one after the other on the state as it is, so that a plan is never based on anything stale.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use holdfast_shared::id::{EvalId, NodeId};
use holdfast_shared::model::{Allocation, EvalStatus, Evaluation, Job, JobType, Node, NodeStatus, TaskGroup};

use crate::admit::cancel;
use crate::broker::Broker;
use crate::ledger::Ledger;
use crate::plan::Plan;
use crate::reconciler::{Change, NodeView, ReconcileInput, reconcile, update};
use crate::scheduler::{self, feasible};
use crate::state::State;

/// Processes one evaluation to its end.
pub(crate) fn evaluate(ledger: &mut Ledger, broker: &Broker, id: EvalId) {
    let Some(eval) = ledger.state.evals.get(&id).cloned() else {
        return;
    };
    // Now and then, and in small fleets: otherwise that would take longer than everything else.
    debug_assert!(
        !ledger.state.index.is_multiple_of(16)
            || ledger.state.nodes.len() > 64
            || ledger.fleet.agrees_with(&ledger.state),
        "the fleet is not what the state makes of it"
    );
    // A clone costs next to nothing, and lets the plan write while the input is still looked at.
    let state = ledger.state.clone();
    let job = state
        .jobs
        .get(&eval.job)
        .filter(|job| !job.is_template())
        .cloned();
    let allocs: Vec<Arc<Allocation>> = state.allocs_of_job(&eval.job).cloned().collect();
    let change = |alloc: &Allocation| {
        job.as_ref()
            .map_or(Change::Ignore, |job| change(&state, job, alloc))
    };
    let is_pending = |id: EvalId| {
        state
            .evals
            .get(&id)
            .is_some_and(|eval| !eval.status.is_terminal())
    };
    let input = ReconcileInput {
        now: ledger.now,
        eval: id,
        job: job.as_deref(),
        nodes: views(&state, &allocs),
        allocs,
        everywhere: job
            .as_ref()
            .map(|job| everywhere(ledger, job))
            .unwrap_or_default(),
        deployment: state.latest_deployment(&eval.job).map(|it| &**it),
        change: &change,
        is_pending: &is_pending,
    };
    let (changes, report) = reconcile(&input);
    let mut plan = Plan::new(ledger, &state, job.as_deref(), (*eval).clone());
    plan.apply(&changes);
    let eval = plan.complete(broker, report);
    cancel_duplicates(ledger, &eval);
}

/// Evaluations of the same job that waited meanwhile have nothing left to find out: all but the newest go. Those that
/// wait for a time have a purpose of their own.
fn cancel_duplicates(ledger: &mut Ledger, done: &Evaluation) {
    let mut waiting: Vec<(u64, EvalId)> = ledger
        .state
        .evals_of_job(&done.job)
        .filter(|eval| eval.status == EvalStatus::Pending && !eval.wait_until.is_set())
        .map(|eval| (eval.create_index, eval.id))
        .collect();
    waiting.sort_unstable();
    waiting.pop();
    for (_, id) in waiting {
        cancel(ledger, id, "canceled after more recent eval was processed");
    }
}

/// The nodes of allocations, as far as reconciling goes.
fn views(state: &State, allocs: &[Arc<Allocation>]) -> BTreeMap<NodeId, NodeView> {
    let nodes: BTreeSet<NodeId> = allocs.iter().map(|alloc| alloc.node).collect();
    nodes
        .into_iter()
        .filter_map(|id| state.nodes.get(&id))
        .map(|node| {
            // A node is initializing until it has reported, or the wait for that is over.
            let confirmed = node.status != NodeStatus::Initializing;
            (
                node.id,
                NodeView {
                    status: node.status,
                    confirmed,
                },
            )
        })
        .collect()
}

/// The nodes that qualify for each group of a job that runs everywhere.
fn everywhere(ledger: &mut Ledger, job: &Job) -> BTreeMap<String, BTreeSet<NodeId>> {
    if !job.job_type().is_system() {
        return BTreeMap::new();
    }
    job.groups()
        .iter()
        .map(|group| {
            let nodes = scheduler::qualified(&mut ledger.fleet, job, group);
            (group.name().to_owned(), nodes)
        })
        .collect()
}

/// What the newest version of the job means for an allocation.
fn change(state: &State, job: &Job, alloc: &Allocation) -> Change {
    if (alloc.job_version, alloc.job_create_index) == (job.version(), job.create_index()) {
        return Change::Ignore;
    }
    let old = state
        .job_of(alloc)
        .filter(|old| old.create_index() == alloc.job_create_index);
    let Some((old, group)) = old.zip(job.group(&alloc.group)) else {
        return Change::Destructive;
    };
    let node = state.nodes.get(&alloc.node).map(|node| &**node);
    change_on(old, job, group, node)
}

/// What a change of the job means for an allocation of the group on a node; `None` when the node is gone.
pub(crate) fn change_on(old: &Job, new: &Job, group: &TaskGroup, node: Option<&Node>) -> Change {
    if update::is_destructive(old, new, group.name()) {
        return Change::Destructive;
    }
    let Some(node) = node else {
        return Change::Destructive;
    };
    // What ends by itself before long stays where it is, as the original has it.
    let ends_soon = new.job_type() == JobType::Batch
        && old
            .group(group.name())
            .is_some_and(|group| group.max_run_duration.is_some());
    // Its resources stay what they are, so that it fits if only the node still qualifies.
    if ends_soon || feasible::qualifies(new, group, node).is_ok() {
        Change::InPlace
    } else {
        Change::Destructive
    }
}
