//! Jobs of several regions: each region's own copy, and in which order their deployments go on
//! (`scheduling-semantics.md` 4.6).
//!
//! The copy is made when a job is admitted, be it to register it or to plan it. The order is a pure machine: this coordinator
//! knows no other regions yet, and so nothing but the recorded cases drives it so far.

use holdfast_shared::model::{DeploymentStatus, Job, MultiregionStrategy};

use crate::deployment::text;

/// Makes the job the copy that this region runs, when it is meant for it.
pub fn localize(job: &mut Job, region: &str) {
    let regions = job.multiregion.iter().flat_map(|it| it.regions.iter().flatten());
    let Some(own) = regions.into_iter().find(|it| it.name == region).cloned() else {
        return;
    };
    job.region = Some(own.name);
    for group in job.task_groups.iter_mut().flatten() {
        // A group that says how many it wants means that.
        if group.count == Some(0) {
            group.count = own.count.or(group.count);
        }
    }
    let datacenters = own.datacenters.filter(|it| !it.is_empty());
    job.datacenters = datacenters.or_else(|| job.datacenters.take());
    let pool = own.node_pool.filter(|it| !it.is_empty());
    job.node_pool = pool.or_else(|| job.node_pool.take());
    if let Some(meta) = own.meta {
        job.meta.get_or_insert_default().extend(meta);
    }
}

/// Which other regions fail with one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OnFailure {
    /// Those that come later.
    Following,
    /// Every one.
    All,
    /// None.
    Local,
}

/// Where the deployment of one version stands in every region, and why, in the order of the job.
#[derive(Debug)]
pub struct Regions {
    max_parallel: usize,
    on_failure: OnFailure,
    states: Vec<(DeploymentStatus, &'static str)>,
}

impl Regions {
    /// Every region has accepted the version: the first ones begin.
    pub fn begin(strategy: &MultiregionStrategy, count: usize) -> Self {
        let max_parallel = usize::try_from(strategy.max_parallel.unwrap_or(0)).unwrap_or(0);
        let mut regions = Self {
            max_parallel: if max_parallel == 0 { count } else { max_parallel },
            on_failure: match strategy.on_failure.as_deref() {
                Some("fail_all") => OnFailure::All,
                Some("fail_local") => OnFailure::Local,
                _ => OnFailure::Following,
            },
            states: vec![(DeploymentStatus::Pending, text::PENDING); count],
        };
        regions.go_on();
        regions
    }

    /// Where it stands, and why.
    pub fn states(&self) -> &[(DeploymentStatus, &'static str)] {
        &self.states
    }

    /// A region has done its part. The last one releases all of them.
    pub fn complete(&mut self, region: usize) {
        self.set(region, DeploymentStatus::Blocked, text::BLOCKED);
        self.go_on();
        if self
            .states
            .iter()
            .all(|(status, _)| *status == DeploymentStatus::Blocked)
        {
            self.states.fill((DeploymentStatus::Successful, text::SUCCESSFUL));
        }
    }

    /// A region has failed.
    pub fn fail(&mut self, region: usize, why: &'static str) {
        self.set(region, DeploymentStatus::Failed, why);
        let affected = match self.on_failure {
            OnFailure::Following => region + 1..self.states.len(),
            OnFailure::All => 0..self.states.len(),
            OnFailure::Local => 0..0,
        };
        for other in affected {
            self.set(other, DeploymentStatus::Failed, text::PEER);
        }
        self.go_on();
    }

    /// An operator releases a region that waits for the others.
    pub fn unblock(&mut self, region: usize) {
        if self
            .states
            .get(region)
            .is_some_and(|(status, _)| *status == DeploymentStatus::Blocked)
        {
            self.set(region, DeploymentStatus::Successful, text::SUCCESSFUL);
        }
    }

    /// A newer version was registered.
    pub fn supersede(&mut self) {
        for region in 0..self.states.len() {
            self.set(region, DeploymentStatus::Cancelled, text::NEWER);
        }
    }

    /// As many regions run as may, in order.
    fn go_on(&mut self) {
        let runs = |(status, _): &&(DeploymentStatus, &str)| *status == DeploymentStatus::Running;
        let mut free = self
            .max_parallel
            .saturating_sub(self.states.iter().filter(runs).count());
        for state in &mut self.states {
            if free > 0 && state.0 == DeploymentStatus::Pending {
                *state = (DeploymentStatus::Running, text::RUNNING);
                free -= 1;
            }
        }
    }

    /// What is over stays as it is.
    fn set(&mut self, region: usize, status: DeploymentStatus, why: &'static str) {
        if let Some(state) = self.states.get_mut(region).filter(|it| it.0.is_active()) {
            *state = (status, why);
        }
    }
}
