//! The log of what changed: every delta in one place, with the same field names everywhere.

use holdfast_coordinator_core::{Delta, State};
use tracing::{debug, info};

/// Logs a change of the state that was `before`.
pub(super) fn record(delta: &Delta, before: &State) {
    match delta {
        Delta::Meta { .. }
        | Delta::JobVersion(_)
        | Delta::RemoveJobVersion(..)
        | Delta::Submission(_)
        | Delta::RemoveSubmission(..)
        | Delta::JobHistory(_)
        | Delta::RemoveJobHistory(_) => {}
        Delta::Job(it) => {
            let status = it.status.as_deref().unwrap_or_default();
            info!(job = %it.key(), version = it.version(), status, stop = it.is_stopped(), "job");
        }
        Delta::RemoveJob(key) => info!(job = %key, "job forgotten"),
        Delta::Node(it) => {
            let was = before.nodes.get(&it.id);
            if was.is_some_and(|was| was.status == it.status && was.eligibility == it.eligibility) {
                debug!(node = %it.id, name = it.name(), generation = it.generation, "node heard");
            } else {
                info!(node = %it.id, name = it.name(), status = %it.status, generation = it.generation, "node");
            }
        }
        Delta::RemoveNode(id) => info!(node = %id, "node forgotten"),
        Delta::Credential(node, _) => info!(node = %node, "node enrolled"),
        Delta::RemoveCredential(node) => info!(node = %node, "credential revoked"),
        Delta::Allocation(it) => info!(
            alloc = %it.id, name = it.name, job = %it.job, version = it.job_version, node = %it.node,
            desired = %it.desired, status = %it.client, reason = &*it.desired_description, "allocation"
        ),
        Delta::RemoveAllocation(id) => info!(alloc = %id, "allocation forgotten"),
        Delta::Evaluation(it) => info!(
            eval = %it.id, job = %it.job, trigger = %it.trigger, status = it.status.as_str(),
            reason = it.status_description, "evaluation"
        ),
        Delta::RemoveEvaluation(id) => info!(eval = %id, "evaluation forgotten"),
        Delta::Deployment(it) => info!(
            deployment = %it.id, job = %it.job, version = it.job_version, status = it.status.as_str(),
            reason = it.status_description, "deployment"
        ),
        Delta::RemoveDeployment(id) => info!(deployment = %id, "deployment forgotten"),
        Delta::Service(it) => info!(
            service = it.service_name, alloc = %it.alloc, address = it.address, port = it.port, "service offered"
        ),
        Delta::RemoveService(id) => info!(service = id, "service withdrawn"),
        Delta::SchedulerConfiguration(it) => info!(
            algorithm = it.algorithm.as_str(),
            paused = it.pause_eval_broker,
            "scheduler settings"
        ),
        Delta::NodePool(it) => info!(pool = it.name, "node pool"),
        Delta::RemoveNodePool(name) => info!(pool = name, "node pool forgotten"),
        Delta::ForgottenNode(id, generation) => debug!(node = %id, generation, "last generation kept"),
        Delta::Epoch(epoch) => debug!(epoch, "epoch"),
        Delta::RemoveEpoch(epoch) => debug!(epoch, "epoch forgotten"),
    }
}
