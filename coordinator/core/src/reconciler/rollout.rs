//! How far the rollout of the current version has come in one group, and what it allows.

use holdfast_shared::model::{
    Allocation, Deployment, DeploymentGroup, DeploymentStatus, Job, TaskGroup, UpdatePolicy,
};

/// A group's part in the deployment of the current version, if there is one.
#[derive(Debug)]
pub(super) struct Rollout<'a> {
    /// How changes are rolled out; `None` is all at once.
    pub(super) policy: Option<UpdatePolicy>,
    /// The deployment of the current version: active or failed.
    pub(super) deployment: Option<&'a Deployment>,
    /// The group's part of it.
    pub(super) group: Option<&'a DeploymentGroup>,
    /// Whether some allocation runs or ran the current version.
    pub(super) version_ran: bool,
    /// The newest version but the current one that allocations of the group have.
    pub(super) stable: Option<u64>,
}

impl<'a> Rollout<'a> {
    pub(super) fn new(
        job: &Job,
        group: &TaskGroup,
        allocs: &[&Allocation],
        deployment: Option<&'a Deployment>,
    ) -> Self {
        let is_current = |alloc: &&&Allocation| {
            (alloc.job_version, alloc.job_create_index) == (job.version(), job.create_index())
        };
        let older = allocs
            .iter()
            .filter(|alloc| !alloc.canary && alloc.job_version < job.version());
        Self {
            policy: group.update_policy(job.job_type()),
            deployment,
            group: deployment.and_then(|it| it.groups.get(group.name())),
            version_ran: allocs.iter().any(|alloc| is_current(&alloc)),
            stable: older.map(|alloc| alloc.job_version).max(),
        }
    }

    /// Whether canaries are out and not promoted.
    pub(super) fn is_canarying(&self) -> bool {
        !self.has_failed()
            && self
                .group
                .is_some_and(|group| group.desired_canaries > 0 && !group.promoted)
    }

    pub(super) fn has_failed(&self) -> bool {
        self.deployment
            .is_some_and(|it| it.status == DeploymentStatus::Failed)
    }

    pub(super) fn is_paused(&self) -> bool {
        use DeploymentStatus::{Blocked, Initializing, Paused, Pending, Unblocking};
        self.deployment
            .is_some_and(|it| matches!(it.status, Paused | Pending | Initializing | Blocked | Unblocking))
    }

    /// Whether new allocations may be placed for other reasons than that one was lost or failed.
    pub(super) fn is_open(&self) -> bool {
        !self.is_paused() && !self.has_failed() && !self.is_canarying()
    }

    /// Whether the allocation belongs to the deployment while that is active. Such an allocation is only rescheduled
    /// when the deployment says so.
    pub(super) fn holds(&self, alloc: &Allocation) -> bool {
        let active = self.deployment.filter(|it| it.status.is_active());
        active.is_some_and(|it| alloc.deployment == Some(it.id))
            && !alloc.transition.reschedule
            && !alloc.transition.force_reschedule
    }

    /// Whether the allocation belongs to a deployment that failed.
    pub(super) fn gave_up(&self, alloc: &Allocation) -> bool {
        self.has_failed() && self.deployment.is_some_and(|it| alloc.deployment == Some(it.id))
    }

    /// Whether the allocation is a canary that the current deployment wants.
    pub(super) fn wants_canary(&self, alloc: &Allocation) -> bool {
        self.is_canarying() && self.deployment.is_some_and(|it| alloc.deployment == Some(it.id))
    }

    /// How many allocations may be replaced by the new version now, besides `placed` ones.
    pub(super) fn limit(&self, allocs: &[&Allocation], placed: usize, count: usize) -> usize {
        let Some(policy) = &self.policy else { return count };
        let max_parallel = usize::try_from(policy.max_parallel).unwrap_or(0);
        let Some(deployment) = self.deployment else {
            return max_parallel.saturating_sub(placed);
        };
        if !self.is_open() {
            return 0;
        }
        let mut waiting = 0;
        for alloc in allocs
            .iter()
            .filter(|it| it.deployment == Some(deployment.id) && !it.is_terminal())
        {
            match alloc.health {
                Some(health) if !health.healthy => return 0,
                Some(_) => {}
                None => waiting += 1,
            }
        }
        max_parallel.saturating_sub(waiting + placed)
    }
}
