//! Evaluations on a state that nobody else sees, as often as one likes: what benchmarks measure.

use std::sync::Arc;

use holdfast_shared::id::JobKey;
use holdfast_shared::model::Trigger;
use holdfast_shared::time::Timestamp;

use crate::broker::Broker;
use crate::evaluate;
use crate::ledger::Ledger;
use crate::options::Options;
use crate::scheduler;
use crate::state::{Delta, State};

/// A coordinator's decisions without its consequences.
#[derive(Debug)]
pub struct Rehearsal {
    ledger: Ledger,
    /// What everything begins with.
    start: State,
}

impl Rehearsal {
    /// A rehearsal on `state` at the time `now`.
    pub fn new(options: Options, state: State, now: Timestamp) -> Self {
        let mut ledger = Ledger::new(options, state.clone(), 1);
        ledger.now = now;
        Self { ledger, start: state }
    }

    /// Brings the indexes up to date that evaluations of the job look at, as an evaluation before would have done.
    pub fn prepare(&mut self, job: &JobKey) {
        if let Some(job) = self.ledger.state.jobs.get(job) {
            scheduler::prepare(&mut self.ledger.fleet, job);
        }
    }

    /// Evaluates a job from start to end, and applies the plan. Answers every change, as it would be stored.
    pub fn evaluate(&mut self, job: &JobKey) -> Vec<Delta> {
        let eval = self.ledger.evaluate(job, Trigger::JobRegister);
        evaluate::evaluate(&mut self.ledger, &Broker::default(), eval);
        self.ledger.close()
    }

    /// Takes changes of allocations back, and everything else with them: what is so is what was so at the start.
    pub fn rewind(&mut self, changes: &[Delta]) {
        for delta in changes.iter().rev() {
            if let Delta::Allocation(alloc) = delta
                && let Some(last) = self.ledger.state.allocs.remove(&alloc.id)
            {
                let first = self.start.allocs.get(&alloc.id);
                self.ledger.fleet.replace(Some(&last), first.map(Arc::as_ref));
            }
        }
        self.ledger.state = self.start.clone();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tests::fleet::{Fleet, job};

    #[test]
    fn what_was_taken_back_can_be_decided_again() {
        let job = job(json!({ "ID": "edge", "TaskGroups": [{ "Name": "web", "Count": 6,
            "Tasks": [{ "Name": "main", "Driver": "docker", "Resources": { "CPU": 2000 } }] }] }));
        let mut fleet = Fleet::new(4);
        let key = job.key();
        fleet.submit(crate::Command::RegisterJob {
            job: Box::new(job),
            check_index: None,
            preserve_counts: false,
            eval_priority: None,
            submission: None,
        });
        let state = fleet.core.state().clone();
        let mut rehearsal = Rehearsal::new(Options::default(), state, fleet.now);
        rehearsal.prepare(&key);
        let placements = |deltas: &[Delta]| {
            let of_allocs = deltas.iter().filter(|it| matches!(it, Delta::Allocation(_)));
            of_allocs.count()
        };
        for round in 0..3 {
            let deltas = rehearsal.evaluate(&key);
            assert_eq!(placements(&deltas), 6, "round {round}");
            rehearsal.rewind(&deltas);
        }
    }
}
