//! What becomes of a deployment's allocations, and what follows from that.

use std::sync::Arc;

use holdfast_shared::id::DeploymentId;
use holdfast_shared::model::{
    Allocation, ByName, ClientStatus, Deployment, DeploymentGroup, DesiredStatus, Trigger,
};
use holdfast_shared::time::Duration;

use super::absent::{excuse, is_absent};
use super::{auto_promote, fail, is_fine, text};
use crate::ledger::Ledger;
use crate::reconciler::reschedule::{failed_at, is_eligible};

/// Looks at what has become of the deployment's allocations.
pub(super) fn advance(ledger: &mut Ledger, id: DeploymentId) {
    let Some(deployment) = ledger.state.deployments.get(&id).cloned() else {
        return;
    };
    if !deployment.status.is_active() {
        return;
    }
    let allocs: Vec<Arc<Allocation>> = ledger
        .state
        .allocs_of_job(&deployment.job)
        .filter(|alloc| alloc.deployment == Some(id))
        .cloned()
        .collect();
    let mut counted = (*deployment).clone();
    recount(&mut counted.groups, &allocs);
    let progressed = counted.groups != deployment.groups;
    if progressed {
        ledger.put_deployment(counted.clone());
    }
    if let Some(revert) = is_doomed(ledger, &counted, &allocs) {
        fail(ledger, &counted, text::UNHEALTHY, revert);
        return;
    }
    // Where no time is given, none is lost.
    let impatient = |alloc: &&Arc<Allocation>| {
        let group = counted.groups.get(&alloc.group);
        group.is_some_and(|group| group.progress_deadline <= Duration::ZERO)
    };
    let absent = allocs
        .iter()
        .filter(|alloc| is_absent(alloc) && alloc.health.is_none() && !alloc.is_terminal());
    excuse(ledger, &counted, absent.filter(impatient).cloned().collect());
    let released = release_unhealthy(ledger, &allocs);
    let promoted = auto_promote(ledger, &counted);
    let is_news = progressed && !only_waits(ledger, &counted, &allocs);
    if is_news || released || promoted {
        let mut eval = ledger.new_eval(&deployment.job, Trigger::DeploymentWatcher);
        eval.deployment = Some(id);
        ledger.put_eval(eval);
    }
}

/// Whether everything is placed, nothing is left of other versions, and the goal needs an allocation that is still to become
/// healthy: an evaluation could do nothing.
fn only_waits(ledger: &Ledger, deployment: &Deployment, allocs: &[Arc<Allocation>]) -> bool {
    let may_become_healthy = |alloc: &Arc<Allocation>| {
        let group = deployment.groups.get(&alloc.group);
        group.is_some_and(|group| !is_fine(group))
            && alloc.health.is_none()
            && !alloc.is_terminal()
            && !is_absent(alloc)
    };
    let of_job = || ledger.state.allocs_of_job(&deployment.job);
    deployment
        .groups
        .values()
        .all(|group| group.unhealthy == 0 && group.placed >= group.desired_total)
        && allocs.iter().any(may_become_healthy)
        && of_job().all(|alloc| alloc.job_version == deployment.job_version || alloc.is_server_terminal())
}

/// Counts health anew; whoever became healthy gives the group more time.
fn recount(groups: &mut ByName<DeploymentGroup>, allocs: &[Arc<Allocation>]) {
    for (_, group) in groups.iter_mut() {
        (group.healthy, group.unhealthy) = (0, 0);
    }
    for alloc in allocs {
        let Some((health, group)) = alloc.health.zip(groups.find_mut(&alloc.group)) else {
            continue;
        };
        if !health.healthy {
            group.unhealthy += 1;
            continue;
        }
        group.healthy += 1;
        if group.require_progress_by.is_set() {
            let by = health.time + group.progress_deadline;
            group.require_progress_by = group.require_progress_by.max(by);
        }
    }
}

/// Whether an unhealthy allocation ends the deployment at once, and if so whether its group wants to return to the last
/// stable version.
fn is_doomed(ledger: &Ledger, deployment: &Deployment, allocs: &[Arc<Allocation>]) -> Option<bool> {
    let job = ledger
        .state
        .versions
        .get(&(deployment.job.clone(), deployment.job_version))?;
    allocs
        .iter()
        .filter(|alloc| is_unhealthy(alloc))
        .find_map(|alloc| {
            let group = deployment.groups.get(&alloc.group)?;
            let policy = job.group(&alloc.group)?.reschedule_policy(job.job_type());
            let replaceable = alloc.next.is_some()
                || alloc.is_server_terminal()
                || policy.is_some_and(|policy| is_eligible(&policy, &alloc.reschedules, failed_at(alloc)));
            (group.progress_deadline <= Duration::ZERO || !replaceable).then_some(group.auto_revert)
        })
}

fn is_unhealthy(alloc: &Allocation) -> bool {
    alloc.health.is_some_and(|health| !health.healthy)
}

/// Unhealthy allocations may be rescheduled although their deployment goes on.
fn release_unhealthy(ledger: &mut Ledger, allocs: &[Arc<Allocation>]) -> bool {
    let mut released = false;
    for alloc in allocs {
        let failed = is_unhealthy(alloc) || alloc.client == ClientStatus::Failed;
        if failed && alloc.desired == DesiredStatus::Run && !alloc.transition.reschedule {
            let mut alloc = (**alloc).clone();
            alloc.transition.reschedule = true;
            ledger.put_alloc(alloc);
            released = true;
        }
    }
    released
}
