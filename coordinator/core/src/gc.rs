//! Forgetting what is over and old (`scheduling-semantics.md` 6.6).

use std::collections::BTreeSet;
use std::sync::Arc;

use holdfast_shared::id::{AllocId, EvalId, JobKey};
use holdfast_shared::model::{Allocation, ClientStatus, Node, NodeStatus};
use holdfast_shared::time::{Duration, Timestamp};

use crate::admit;
use crate::history;
use crate::ledger::Ledger;
use crate::options::Options;
use crate::state::{Delta, State};

/// Forgets everything that is over, whatever its age.
pub(crate) fn collect_all(ledger: &mut Ledger) {
    let options = Options {
        eval_gc_age: Duration::ZERO,
        job_gc_age: Duration::ZERO,
        deployment_gc_age: Duration::ZERO,
        node_gc_age: Duration::ZERO,
        ..Options::default()
    };
    collect_with(ledger, &options);
}

/// Forgets what is over and old enough.
pub(crate) fn collect(ledger: &mut Ledger) {
    let options = Arc::clone(&ledger.options);
    collect_with(ledger, &options);
}

fn collect_with(ledger: &mut Ledger, options: &Options) {
    let deltas = evals_and_allocs(&ledger.state, ledger, options)
        .into_iter()
        .chain(deployments(ledger, options))
        .collect::<Vec<_>>();
    deltas.into_iter().for_each(|delta| ledger.record(delta));
    let deltas = jobs(ledger, options);
    deltas.into_iter().for_each(|delta| ledger.record(delta));
    for node in nodes(ledger, options) {
        admit::forget_node(ledger, &node);
    }
}

/// Whether nobody needs the allocation any more: its node says it ended, or will never say anything.
fn is_collectable(state: &State, alloc: &Allocation) -> bool {
    let job = state.jobs.get(&alloc.job);
    let may_be_rescheduled = alloc.client == ClientStatus::Failed
        && !alloc.is_server_terminal()
        && job.is_some_and(|job| !job.is_stopped() && job.create_index() == alloc.job_create_index);
    let counts_as_done = alloc.client == ClientStatus::Complete
        && !alloc.is_server_terminal()
        && job.is_some_and(|job| job.job_type().is_batch() && !job.is_stopped());
    let counted = alloc
        .deployment
        .and_then(|id| state.deployments.get(&id))
        .is_some_and(|it| it.status.is_active());
    let ended = match alloc.client {
        ClientStatus::Complete | ClientStatus::Failed => true,
        ClientStatus::Lost => state
            .nodes
            .get(&alloc.node)
            .is_none_or(|node| node.status == NodeStatus::Down),
        _ => alloc.is_server_terminal() && !state.nodes.contains_key(&alloc.node),
    };
    ended && !may_be_rescheduled && !counts_as_done && !counted
}

fn evals_and_allocs(state: &State, ledger: &Ledger, options: &Options) -> Vec<Delta> {
    let old = |at| ledger.now.since(at) >= options.eval_gc_age;
    let mut allocs: BTreeSet<AllocId> = state
        .allocs
        .values()
        .filter(|alloc| is_collectable(state, alloc) && old(alloc.modify_time))
        .map(|alloc| alloc.id)
        .collect();
    // A chain of replacements is one slot: the neighbours of what counts are remembered, so that it holds together.
    let neighbours: Vec<AllocId> = state
        .allocs
        .values()
        .filter(|alloc| !allocs.contains(&alloc.id) && !alloc.is_terminal())
        .flat_map(|alloc| alloc.previous.get().into_iter().chain(alloc.next.get()))
        .collect();
    for id in neighbours {
        allocs.remove(&id);
    }
    let placed_by: BTreeSet<EvalId> = state
        .allocs
        .values()
        .filter(|alloc| !allocs.contains(&alloc.id))
        .map(|alloc| alloc.eval)
        .collect();
    let evals = state
        .evals
        .values()
        .filter(|eval| eval.status.is_terminal() && old(eval.modify_time) && !placed_by.contains(&eval.id))
        .map(|eval| Delta::RemoveEvaluation(eval.id));
    allocs
        .iter()
        .map(|id| Delta::RemoveAllocation(*id))
        .chain(evals)
        .collect()
}

fn deployments(ledger: &Ledger, options: &Options) -> Vec<Delta> {
    let state = &ledger.state;
    let in_use: BTreeSet<_> = state
        .allocs
        .values()
        .filter(|alloc| !alloc.is_terminal())
        .filter_map(|alloc| alloc.deployment)
        .collect();
    state
        .deployments
        .values()
        .filter(|it| !it.status.is_active() && !in_use.contains(&it.id))
        .filter(|it| ledger.now.since(it.modify_time) >= options.deployment_gc_age)
        .map(|it| Delta::RemoveDeployment(it.id))
        .collect()
}

fn jobs(ledger: &Ledger, options: &Options) -> Vec<Delta> {
    let state = &ledger.state;
    let submitted =
        |key: &JobKey| Timestamp(state.jobs.get(key).and_then(|job| job.submit_time).unwrap_or(0));
    let dead = state.jobs.iter().filter(|(key, job)| {
        let over = job.is_stopped() || (job.job_type().is_batch() && job.status.as_deref() == Some("dead"));
        // What only launches others is over when it is stopped.
        over && (job.is_stopped() || !job.is_template())
            && ledger.now.since(submitted(key)) >= options.job_gc_age
            && state.allocs_of_job(key).next().is_none()
            && state.evals_of_job(key).all(|eval| eval.status.is_terminal())
            && state
                .versions_of_job(key)
                .all(|version| version.version_tag.is_none())
    });
    dead.flat_map(|(key, _)| history::forget_job(state, key))
        .collect()
}

fn nodes(ledger: &Ledger, options: &Options) -> Vec<Arc<Node>> {
    let state = &ledger.state;
    state
        .nodes
        .values()
        .filter(|node| node.status == NodeStatus::Down)
        .filter(|node| ledger.now.since(node.status_since) >= options.node_gc_age)
        .filter(|node| state.allocs_of_node(node.id).next().is_none())
        .cloned()
        .collect()
}
