//! The evaluation queue: which evaluation is next, which wait for a time, and which wait for capacity.
//!
//! It learns everything from the evaluations that are recorded, and so rebuilds itself from stored state. Evaluations
//! run one at a time and to their end, so that at most one per job is ever under way.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use holdfast_shared::id::{EvalId, JobKey};
use holdfast_shared::model::{EvalStatus, Evaluation};
use holdfast_shared::time::Timestamp;

use crate::state::State;

/// Order of work: priority, then age.
type Rank = (Reverse<i64>, u64, EvalId);

/// The queue.
#[derive(Debug, Default)]
pub(crate) struct Broker {
    ready: BTreeSet<Rank>,
    delayed: BTreeSet<(Timestamp, EvalId)>,
    blocked: BTreeMap<JobKey, EvalId>,
    known: BTreeMap<EvalId, Place>,
    sequence: u64,
}

#[derive(Debug, Clone)]
enum Place {
    Ready(Rank),
    Delayed(Timestamp),
    Blocked(JobKey),
}

impl Broker {
    /// The queue of a stored state.
    pub(crate) fn of(state: &State) -> Self {
        let mut broker = Self::default();
        let mut evals: Vec<_> = state
            .evals
            .values()
            .filter(|eval| !eval.status.is_terminal())
            .collect();
        evals.sort_by_key(|eval| (eval.create_index, eval.id));
        for eval in evals {
            broker.observe(eval);
        }
        broker
    }

    /// Puts a changed evaluation where it belongs now.
    pub(crate) fn observe(&mut self, eval: &Evaluation) {
        let rank = match self.known.get(&eval.id) {
            Some(Place::Ready(rank)) if eval.status == EvalStatus::Pending => Some(*rank),
            _ => None,
        };
        self.forget(eval.id);
        let place = match eval.status {
            EvalStatus::Pending if eval.wait_until.is_set() => {
                self.delayed.insert((eval.wait_until, eval.id));
                Place::Delayed(eval.wait_until)
            }
            EvalStatus::Pending => {
                self.sequence += 1;
                let rank = rank.unwrap_or((Reverse(eval.priority), self.sequence, eval.id));
                self.ready.insert(rank);
                Place::Ready(rank)
            }
            EvalStatus::Blocked => {
                self.blocked.insert(eval.job.clone(), eval.id);
                Place::Blocked(eval.job.clone())
            }
            _ => return,
        };
        self.known.insert(eval.id, place);
    }

    /// Drops an evaluation from every queue.
    pub(crate) fn forget(&mut self, id: EvalId) {
        match self.known.remove(&id) {
            Some(Place::Ready(rank)) => {
                self.ready.remove(&rank);
            }
            Some(Place::Delayed(at)) => {
                self.delayed.remove(&(at, id));
            }
            Some(Place::Blocked(job)) if self.blocked.get(&job) == Some(&id) => {
                self.blocked.remove(&job);
            }
            Some(Place::Blocked(_)) | None => {}
        }
    }

    /// The evaluation whose turn it is.
    pub(crate) fn next(&self, now: Timestamp) -> Option<EvalId> {
        let due = self
            .delayed
            .first()
            .filter(|(at, _)| *at <= now)
            .map(|(_, id)| *id);
        due.or_else(|| self.ready.first().map(|(_, _, id)| *id))
    }

    /// When there is something to do, if nothing happens before.
    pub(crate) fn next_at(&self, now: Timestamp) -> Option<Timestamp> {
        if self.ready.is_empty() {
            self.delayed.first().map(|(at, _)| *at)
        } else {
            Some(now)
        }
    }

    /// Evaluations that wait for capacity.
    pub(crate) fn blocked(&self) -> Vec<EvalId> {
        self.blocked.values().copied().collect()
    }

    /// The evaluation of `job` that waits for capacity.
    pub(crate) fn blocked_of(&self, job: &JobKey) -> Option<EvalId> {
        self.blocked.get(job).copied()
    }
}
