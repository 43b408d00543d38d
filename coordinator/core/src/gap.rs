//! A gap in the records that is too long to be believed: the clock was wrong then or is wrong now, as on a box that
//! boots in 1970. What waits for a time goes on waiting as if the gap had not been.

use std::sync::Arc;

use holdfast_shared::model::{ClientStatus, EvalStatus, NodeStatus};
use holdfast_shared::time::{Duration, Timestamp};

use crate::ledger::Ledger;
use crate::state::{Delta, State};

/// Nothing at all is recorded for so long only while no node is in contact. Shorter gaps count as time: a coordinator
/// that was off for an hour finds nodes lost that may be away for a minute.
const BELIEVABLE: Duration = Duration::from_secs(24 * 3600);

impl State {
    /// The newest time in the records.
    pub fn newest_time(&self) -> Timestamp {
        let evals = self.evals.values().map(|eval| eval.modify_time);
        let allocs = self.allocs.values().map(|alloc| alloc.modify_time);
        let deployments = self.deployments.values().map(|deployment| deployment.modify_time);
        let nodes = self
            .nodes
            .values()
            .map(|node| node.last_heard.max(node.status_since));
        evals
            .chain(allocs)
            .chain(deployments)
            .chain(nodes)
            .max()
            .unwrap_or_default()
    }
}

/// Moves everything that waits for a time across the gap between the records and now.
pub(crate) fn bridge(ledger: &mut Ledger) {
    let newest = ledger.state.newest_time();
    let gap = ledger.now.since(newest);
    if !newest.is_set() || gap < BELIEVABLE {
        return;
    }
    for delta in moved(&ledger.state, gap) {
        ledger.record(delta);
    }
}

fn moved(state: &State, gap: Duration) -> Vec<Delta> {
    let mut deltas = Vec::new();
    for alloc in state
        .allocs
        .values()
        .filter(|alloc| alloc.client == ClientStatus::Unknown)
    {
        let mut alloc = (**alloc).clone();
        let history = alloc.client_history.iter();
        alloc.client_history = history.map(|(status, at)| (*status, *at + gap)).collect();
        deltas.push(Delta::Allocation(Arc::new(alloc)));
    }
    for eval in state
        .evals
        .values()
        .filter(|eval| eval.status == EvalStatus::Pending)
    {
        if eval.wait_until.is_set() {
            let mut eval = (**eval).clone();
            eval.wait_until = eval.wait_until + gap;
            deltas.push(Delta::Evaluation(Arc::new(eval)));
        }
    }
    for deployment in state.deployments.values().filter(|it| it.status.is_active()) {
        let mut deployment = (**deployment).clone();
        for (_, group) in deployment
            .groups
            .iter_mut()
            .filter(|(_, it)| it.require_progress_by.is_set())
        {
            group.require_progress_by = group.require_progress_by + gap;
        }
        deltas.push(Delta::Deployment(Arc::new(deployment)));
    }
    for node in state
        .nodes
        .values()
        .filter(|node| node.status != NodeStatus::Ready)
    {
        let mut node = (**node).clone();
        node.status_since = node.status_since + gap;
        deltas.push(Delta::Node(Arc::new(node)));
    }
    deltas
}
