//! Evaluations on a state that nobody else sees, as often as one likes: what benchmarks measure.

use holdfast_shared::id::JobKey;
use holdfast_shared::model::Trigger;
use holdfast_shared::time::Timestamp;

use crate::broker::Broker;
use crate::evaluate;
use crate::ledger::Ledger;
use crate::options::Options;
use crate::scheduler;
use crate::state::{Delta, State};

/// A coordinator's decisions without its consequences. A clone begins anew where the original stands.
#[derive(Debug, Clone)]
pub struct Rehearsal {
    ledger: Ledger,
}

impl Rehearsal {
    /// A rehearsal on `state` at the time `now`.
    pub fn new(options: Options, state: State, now: Timestamp) -> Self {
        let mut ledger = Ledger::new(options, state, 1);
        ledger.now = now;
        Self { ledger }
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

    /// What is so after the evaluations so far.
    pub fn state(&self) -> &State {
        &self.ledger.state
    }
}
