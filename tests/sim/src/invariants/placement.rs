//! What must hold of every new allocation and job: S12.

use std::sync::Arc;

use holdfast_coordinator_core::State;
use holdfast_shared::id::JobKey;
use holdfast_shared::model::{Allocation, Eligibility, Job};

use super::Invariants;

/// By how much more important a job must be to push out another (`scheduling-semantics.md` 2.7).
const PRIORITY_GAP: i64 = 10;

impl Invariants {
    /// An allocation is new in `state`, which is what was durable before.
    pub(super) fn on_new_allocation(&mut self, state: &State, alloc: &Allocation) {
        let Some(node) = state.nodes.get(&alloc.node) else {
            return;
        };
        if node.eligibility != Eligibility::Eligible || node.drain.is_some() {
            self.find("S12", || {
                let name = node.name();
                format!("{} is placed on {name}, which takes nothing", alloc.name)
            });
        }
    }

    /// An allocation is pushed out by another one.
    pub(super) fn on_pushed_out(&mut self, state: &State, alloc: &Allocation) {
        let by = alloc.preempted_by.get().and_then(|id| state.allocs.get(&id));
        let priority = |alloc: &Allocation| state.job_of(alloc).map(|job| job.priority());
        let Some((winner, loser)) = by.and_then(|by| priority(by)).zip(priority(alloc)) else {
            return;
        };
        if winner < loser + PRIORITY_GAP {
            self.find("S12", || {
                format!(
                    "{} of priority {loser} is pushed out for priority {winner}",
                    alloc.name
                )
            });
        }
    }

    /// A job is new in `state`: if the clock launched it, no other instance may be at work.
    pub(super) fn on_new_job(&mut self, state: &State, job: &Job) {
        let parent = job
            .parent_id
            .as_ref()
            .map(|id| JobKey::new(job.namespace(), id.as_str()));
        let Some(parent) = parent.and_then(|key| state.jobs.get(&key)) else {
            return;
        };
        let forbids = parent.periodic.as_ref().and_then(|it| it.prohibit_overlap);
        if forbids != Some(true) {
            return;
        }
        let at_work = |child: &&Arc<Job>| {
            let key = child.key();
            key != job.key() && state.allocs_of_job(&key).any(|alloc| !alloc.is_terminal())
        };
        if let Some(other) = state.children_of(&parent.key()).find(at_work) {
            self.find("S12", || {
                format!("{} is launched while {} is at work", job.id(), other.id())
            });
        }
    }
}
