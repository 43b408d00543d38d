//! Deployments: the rollout of one job version, from its first allocation to success or failure
//! (`scheduling-semantics.md` section 4).
//!
//! What is placed and stopped on its behalf is the reconciler's decision; here its progress is counted, and it is ended.

mod absent;
mod progress;
mod rollouts;

use std::collections::BTreeSet;
use std::sync::Arc;

use holdfast_shared::id::{AllocId, DeploymentId, JobKey};
use holdfast_shared::model::{
    AllocHealth, Allocation, ByName, ClientStatus, Deployment, DeploymentGroup, DeploymentStatus, Job,
    Trigger,
};
use holdfast_shared::time::{Duration, Timestamp};

use crate::admit::register_version;
use crate::ledger::Ledger;
use crate::state::State;
pub(crate) use rollouts::Rollouts;

use absent::{excuse, is_absent, replace_absent, undecided};

/// Texts that people see, verbatim.
pub(crate) mod text {
    pub(crate) const RUNNING: &str = "Deployment is running";
    pub(crate) const NEEDS_PROMOTION: &str = "Deployment is running but requires manual promotion";
    pub(crate) const AUTO_PROMOTION: &str = "Deployment is running pending automatic promotion";
    pub(crate) const SUCCESSFUL: &str = "Deployment completed successfully";
    pub(crate) const PAUSED: &str = "Deployment is paused";
    pub(crate) const MARKED: &str = "Deployment marked as failed";
    pub(crate) const UNHEALTHY: &str = "Failed due to unhealthy allocations";
    pub(crate) const DEADLINE: &str = "Failed due to progress deadline";
    pub(crate) const STOPPED: &str = "Cancelled because job is stopped";
    pub(crate) const NEWER: &str = "Cancelled due to newer version of job";
    pub(crate) const PENDING: &str = "Deployment is pending, waiting for peer region";
    pub(crate) const BLOCKED: &str = "Deployment is complete but waiting for peer region";
    pub(crate) const PEER: &str = "Failed because of an error in peer region";
}

/// The deployment of the job's current version, if it is not over or has failed.
pub(crate) fn current(state: &State, job: &Job) -> Option<DeploymentId> {
    let key = job.key();
    let deployment = state.latest_deployment(&key)?;
    let same = (deployment.job_version, deployment.job_create_index) == (job.version(), job.create_index());
    (same && (deployment.status.is_active() || deployment.status == DeploymentStatus::Failed))
        .then_some(deployment.id)
}

/// Begins the rollout of the job's current version.
pub(crate) fn create(ledger: &mut Ledger, job: &Job, groups: ByName<DeploymentGroup>) -> DeploymentId {
    let id = DeploymentId::generate(&mut ledger.ids);
    let canaries = || groups.values().filter(|group| group.desired_canaries > 0);
    let description = if canaries().next().is_none() {
        text::RUNNING
    } else if canaries().all(|group| group.auto_promote) {
        text::AUTO_PROMOTION
    } else {
        text::NEEDS_PROMOTION
    };
    ledger.put_deployment(Deployment {
        id,
        job: job.key(),
        job_version: job.version(),
        job_create_index: job.create_index(),
        job_modify_index: job.modify_index.unwrap_or(0),
        job_spec_modify_index: job.job_modify_index.unwrap_or(0),
        status: DeploymentStatus::Running,
        status_description: description.to_owned(),
        groups,
        create_index: 0,
        modify_index: 0,
        create_time: Timestamp::ZERO,
        modify_time: Timestamp::ZERO,
    });
    id
}

/// Allocations were placed, or taken along, on behalf of the deployment: its time begins to count. Each is a group, and
/// the allocation if it is a canary.
pub(crate) fn count_placed(ledger: &mut Ledger, id: DeploymentId, placed: Vec<(&str, Option<AllocId>)>) {
    let now = ledger.now;
    change(ledger, id, |deployment| {
        for (name, canary) in placed {
            let Some(group) = deployment.groups.find_mut(name) else {
                continue;
            };
            group.placed += 1;
            group.placed_canaries.extend(canary);
            if !group.require_progress_by.is_set() && group.progress_deadline > Duration::ZERO {
                group.require_progress_by = now + group.progress_deadline;
            }
        }
    });
}

/// The deployment has reached its goal: its job version is stable.
pub(crate) fn succeed(ledger: &mut Ledger, id: DeploymentId) {
    let Some(deployment) = ledger.state.deployments.get(&id).cloned() else {
        return;
    };
    end(
        ledger,
        id,
        DeploymentStatus::Successful,
        text::SUCCESSFUL.to_owned(),
    );
    let key = (deployment.job.clone(), deployment.job_version);
    if let Some(job) = ledger.state.versions.get(&key).cloned() {
        let mut job = current_copy(&ledger.state, &job);
        job.stable = Some(true);
        ledger.put_job(job);
    }
}

/// Something newer made it pointless.
pub(crate) fn cancel(ledger: &mut Ledger, id: DeploymentId, why: &str) {
    end(ledger, id, DeploymentStatus::Cancelled, why.to_owned());
}

/// When the deployment fails, if it makes no progress before.
fn deadline(deployment: &Deployment) -> Option<Timestamp> {
    if deployment.status != DeploymentStatus::Running {
        return None;
    }
    deployment.groups.values().filter_map(next_deadline).min()
}

fn next_deadline(group: &DeploymentGroup) -> Option<Timestamp> {
    (!is_fine(group) && group.require_progress_by.is_set()).then_some(group.require_progress_by)
}

/// Whether the group needs no more progress for now.
fn is_fine(group: &DeploymentGroup) -> bool {
    let tried = group.desired_canaries > 0 && !group.promoted && group.healthy >= group.desired_canaries;
    tried || group.healthy + group.excused >= group.desired_total
}

/// The deployment's deadline has come.
fn on_deadline(ledger: &mut Ledger, id: DeploymentId) {
    let Some(deployment) = ledger.state.deployments.get(&id).cloned() else {
        return;
    };
    if deployment.status != DeploymentStatus::Running {
        return;
    }
    let late = deployment
        .groups
        .iter()
        .filter(|(_, group)| next_deadline(group).is_some_and(|at| at <= ledger.now));
    let (mut failed, mut absent) = (Vec::new(), Vec::new());
    for (name, group) in late {
        let undecided: Vec<Arc<Allocation>> = undecided(&ledger.state, &deployment, name).cloned().collect();
        if undecided.is_empty() || !undecided.iter().all(|alloc| is_absent(alloc)) {
            failed.push(group);
        }
        absent.extend(undecided);
    }
    if failed.is_empty() {
        excuse(ledger, &deployment, absent);
    } else {
        let revert = failed.iter().any(|group| group.auto_revert);
        fail(ledger, &deployment, text::DEADLINE, revert);
    }
}

/// Promotes when every group with canaries wants that by itself, and has as many healthy ones as it should.
fn auto_promote(ledger: &mut Ledger, deployment: &Deployment) -> bool {
    let waiting = || {
        deployment
            .groups
            .iter()
            .filter(|(_, group)| group.desired_canaries > 0 && !group.promoted)
    };
    let ready = deployment.status == DeploymentStatus::Running
        && waiting().next().is_some()
        && waiting().all(|(name, group)| {
            group.auto_promote && healthy_canaries(&ledger.state, deployment, name) == group.desired_canaries
        });
    if ready {
        promote(
            ledger,
            deployment.id,
            &deployment.groups.keys().map(str::to_owned).collect(),
        );
    }
    ready
}

/// The canaries of these groups become ordinary allocations of the new version.
pub(crate) fn promote(ledger: &mut Ledger, id: DeploymentId, groups: &BTreeSet<String>) {
    let now = ledger.now;
    let Some(job) = ledger.state.deployments.get(&id).map(|it| it.job.clone()) else {
        return;
    };
    change(ledger, id, |deployment| {
        for (_, group) in deployment
            .groups
            .iter_mut()
            .filter(|(name, _)| groups.contains(*name))
        {
            group.promoted = true;
            if group.progress_deadline > Duration::ZERO {
                group.require_progress_by = now + group.progress_deadline;
            }
        }
        let waits = deployment
            .groups
            .values()
            .any(|it| it.desired_canaries > 0 && !it.promoted);
        if !waits && deployment.status == DeploymentStatus::Running {
            text::RUNNING.clone_into(&mut deployment.status_description);
        }
    });
    let canaries: Vec<Arc<Allocation>> = ledger
        .state
        .allocs_of_job(&job)
        .filter(|alloc| alloc.canary && alloc.deployment == Some(id) && groups.contains(&*alloc.group))
        .cloned()
        .collect();
    for alloc in canaries {
        ledger.decide_alloc(Allocation {
            canary: false,
            ..(*alloc).clone()
        });
    }
}

/// Halts the deployment, or lets it go on; either way its time begins anew.
pub(crate) fn pause(ledger: &mut Ledger, id: DeploymentId, halt: bool) {
    let now = ledger.now;
    change(ledger, id, |deployment| {
        let (status, text) = if halt {
            (DeploymentStatus::Paused, text::PAUSED)
        } else {
            (DeploymentStatus::Running, text::RUNNING)
        };
        deployment.status = status;
        text.clone_into(&mut deployment.status_description);
        for (_, group) in deployment
            .groups
            .iter_mut()
            .filter(|(_, it)| it.require_progress_by.is_set())
        {
            group.require_progress_by = now + group.progress_deadline;
        }
    });
}

/// An operator gives the deployment up. Answers the version that it goes back to.
pub(crate) fn give_up(ledger: &mut Ledger, deployment: &Deployment) -> Option<u64> {
    let revert = deployment.groups.values().any(|group| group.auto_revert);
    fail(ledger, deployment, text::MARKED, revert)
}

/// An operator says how allocations of the deployment are. A single one that is not well ends it, whatever its deadline.
/// Answers the version that it goes back to then.
pub(crate) fn set_health(
    ledger: &mut Ledger,
    deployment: &Deployment,
    healthy: &[AllocId],
    unhealthy: &[AllocId],
) -> Option<u64> {
    let index = ledger.index();
    let verdicts = healthy.iter().map(|id| (*id, true));
    let verdicts = verdicts.chain(unhealthy.iter().map(|id| (*id, false)));
    let mut revert = false;
    for (id, healthy) in verdicts {
        let Some(alloc) = ledger.state.allocs.get(&id).cloned() else {
            continue;
        };
        let mut alloc = (*alloc).clone();
        alloc.health = Some(AllocHealth {
            healthy,
            time: ledger.now,
            modify_index: index,
        });
        let reverts = |group: &DeploymentGroup| group.auto_revert;
        revert |= !healthy && deployment.groups.get(&alloc.group).is_some_and(reverts);
        ledger.put_alloc(alloc);
    }
    if unhealthy.is_empty() {
        return None;
    }
    // On this path nothing is said of a stable version that is missing.
    let revert = revert && newest_stable(&ledger.state, &deployment.job).is_some();
    fail(ledger, deployment, text::UNHEALTHY, revert)
}

/// The newest version of a job that was rolled out well.
fn newest_stable(state: &State, job: &JobKey) -> Option<Arc<Job>> {
    let stable = state.versions_of_job(job).filter(|job| job.stable == Some(true));
    stable.last().cloned()
}

/// How many canaries of the group are there and well.
pub(crate) fn healthy_canaries(state: &State, deployment: &Deployment, group: &str) -> u64 {
    let canaries = state.allocs_of_job(&deployment.job).filter(|it| {
        it.canary && it.deployment == Some(deployment.id) && *it.group == *group && !it.is_terminal()
    });
    canaries
        .filter(|alloc| alloc.health.is_some_and(|it| it.healthy))
        .count() as u64
}

/// Gives the deployment up; with `revert`, the last stable version is registered anew, and answered.
fn fail(ledger: &mut Ledger, deployment: &Deployment, why: &str, revert: bool) -> Option<u64> {
    let mut description = why.to_owned();
    let current = ledger.state.jobs.get(&deployment.job).cloned();
    let stable = newest_stable(&ledger.state, &deployment.job);
    let target = match (revert, current, stable) {
        (false, _, _) | (_, None, _) => None,
        (true, Some(_), None) => {
            description += " - no stable job version to auto revert to";
            None
        }
        (true, Some(current), Some(stable)) if current.specification() == stable.specification() => {
            description += &format!(
                " - not rolling back to stable job version {} as current job has same specification",
                stable.version()
            );
            None
        }
        (true, Some(_), Some(stable)) => {
            description += &format!(" - rolling back to job version {}", stable.version());
            Some(stable)
        }
    };
    end(ledger, deployment.id, DeploymentStatus::Failed, description);
    let reverted = target.as_ref().map(|job| job.version());
    if let Some(target) = target {
        let mut job = (*target).clone();
        job.stable = Some(true);
        job.submit_time = Some(ledger.now.0);
        register_version(ledger, job);
    }
    let mut eval = ledger.new_eval(&deployment.job, Trigger::DeploymentWatcher);
    eval.deployment = Some(deployment.id);
    ledger.put_eval(eval);
    reverted
}

/// Ends the deployment. Allocations whose replacement had to wait for that get it now.
fn end(ledger: &mut Ledger, id: DeploymentId, status: DeploymentStatus, description: String) {
    let Some(deployment) = ledger.state.deployments.get(&id).cloned() else {
        return;
    };
    change(ledger, id, |deployment| {
        deployment.status = status;
        deployment.status_description = description;
    });
    let waiting: Vec<Allocation> = ledger
        .state
        .allocs_of_job(&deployment.job)
        .filter(|alloc| alloc.deployment == Some(id) && !alloc.is_server_terminal())
        .filter(|alloc| alloc.client == ClientStatus::Unknown && alloc.next.is_none())
        .map(|alloc| (**alloc).clone())
        .collect();
    replace_absent(ledger, &deployment.job, waiting);
}

fn change(ledger: &mut Ledger, id: DeploymentId, apply: impl FnOnce(&mut Deployment)) {
    if let Some(deployment) = ledger.state.deployments.get(&id).cloned() {
        let mut deployment = (*deployment).clone();
        apply(&mut deployment);
        ledger.put_deployment(deployment);
    }
}

/// The newest record of a job version: the current job's is kept twice.
fn current_copy(state: &State, job: &Job) -> Job {
    let current = state
        .jobs
        .get(&job.key())
        .filter(|current| current.version() == job.version());
    current.map_or_else(|| job.clone(), |current| (**current).clone())
}
