//! What a job would do: the same admission, reconciler and scheduler on a copy of the state, of which nothing is kept.

use std::sync::Arc;

use holdfast_shared::model::{
    Allocation, ByName, DesiredStatus, Evaluation, Job, PlacementReport, PlanCounts, Shared, Trigger,
};
use holdfast_shared::time::Timestamp;

use crate::admit::{keep_kind, register_version};
use crate::broker::Broker;
use crate::effect::Refusal;
use crate::evaluate;
use crate::ledger::Ledger;
use crate::options::Options;
use crate::state::{Delta, State};

/// What a job would do, were it registered now.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DryRun {
    /// The job as it is; `None` when there is none.
    pub current: Option<Arc<Job>>,
    /// What would happen to each group.
    pub groups: Shared<ByName<PlanCounts>>,
    /// Groups that would find no place, and why.
    pub failed: ByName<Arc<PlacementReport>>,
    /// Allocations of others that would have to go.
    pub preempted: Vec<Arc<Allocation>>,
    /// Evaluations that would follow later.
    pub follow_ups: Vec<Evaluation>,
}

impl DryRun {
    /// Tries `job` on `state`, at time `now`.
    ///
    /// # Errors
    /// When the job would be refused.
    pub fn of(state: &State, options: &Options, now: Timestamp, job: &Job) -> Result<Self, Refusal> {
        let key = job.key();
        let current = state.jobs.get(&key).cloned();
        keep_kind(current.as_deref(), job)?;
        let mut ledger = Ledger::new(options.clone(), state.clone(), 0);
        ledger.now = now;
        let mut job = job.clone();
        job.parent_id = current
            .as_ref()
            .map_or_else(|| Some(String::new()), |it| it.parent_id.clone());
        job.submit_time = Some(now.0);
        // A job that only launches others is shown as what it launches.
        let launched = Job {
            periodic: None,
            parameterized_job: None,
            ..job.clone()
        };
        let is_template = job.is_template();
        let changed = current
            .as_ref()
            .is_none_or(|current| current.specification() != job.specification());
        if changed || is_template {
            register_version(&mut ledger, if is_template { launched } else { job });
        }
        let eval = ledger.evaluate(&key, Trigger::JobRegister);
        evaluate::evaluate(&mut ledger, &Broker::default(), eval);
        let done = ledger.state.evals.get(&eval).map(|eval| (**eval).clone());
        let (groups, failed) = done.map(|it| (it.plan, it.failed_placements)).unwrap_or_default();
        let deltas = ledger.close();
        let preempted = deltas.iter().filter_map(|delta| match delta {
            Delta::Allocation(alloc) if alloc.desired == DesiredStatus::Evict => Some(Arc::clone(alloc)),
            _ => None,
        });
        let follow_ups = deltas.iter().filter_map(|delta| match delta {
            Delta::Evaluation(eval) if eval.wait_until.is_set() => Some((**eval).clone()),
            _ => None,
        });
        Ok(Self {
            current,
            groups,
            failed,
            preempted: preempted.collect(),
            follow_ups: follow_ups.collect(),
        })
    }
}
