//! What a job lacks and what it has too much of: a pure function from what is so to what should change.
//!
//! It places nothing (the scheduler does) and stores nothing (the plan does). Order of work and every rule:
//! `scheduling-semantics.md` sections 1 and 3; where "our rules" of 1.10 differ from the original, they are followed.
//!
//! The unit of counting is the slot: an allocation together with its replacements.

pub mod classify;
mod fill;
mod group;
mod names;
pub mod reconnect;
pub mod reschedule;
mod rollout;
mod slots;
mod system;
pub mod update;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use holdfast_shared::id::{AllocId, DeploymentId, EvalId, NodeId};
use holdfast_shared::model::{
    Allocation, ByName, ClientStatus, Deployment, DeploymentGroup, DeploymentStatus, Job, JobType,
    NodeStatus, PlanCounts,
};
use holdfast_shared::time::{Duration, Timestamp};

use crate::deployment::text;
use rollout::Rollout;

/// Why allocations are stopped, verbatim as people know them.
pub mod reason {
    /// The job, or the rest of its slot, needs it no more.
    pub const NOT_NEEDED: &str = "alloc not needed due to job update";
    /// Its original is back.
    pub const RECONNECTED: &str = "alloc not needed due to disconnected client reconnect";
    /// It failed, and a new one is placed.
    pub const RESCHEDULED: &str = "alloc was rescheduled because it failed";
    /// Its node is gone.
    pub const LOST: &str = "alloc is lost since its node is down";
    /// Its node is out of contact.
    pub const UNKNOWN: &str = "alloc is unknown since its node is disconnected";
    /// Its node is drained.
    pub const MIGRATED: &str = "alloc is being migrated";
    /// A newer version takes its place.
    pub const UPDATED: &str = "alloc is being updated due to job update";
}

/// A node as far as reconciling goes; one that is missing is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeView {
    /// Its status.
    pub status: NodeStatus,
    /// Whether its agent has reported since it came back, or the wait for that is over.
    pub confirmed: bool,
}

/// What a change of the job means for an allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    Ignore,
    /// It goes on running and belongs to the new version.
    InPlace,
    /// It is replaced.
    Destructive,
}

/// Everything a decision depends on.
pub struct ReconcileInput<'a> {
    /// The time.
    pub now: Timestamp,
    /// The evaluation.
    pub eval: EvalId,
    /// The job; `None` when it was purged.
    pub job: Option<&'a Job>,
    /// Its allocations.
    pub allocs: Vec<Arc<Allocation>>,
    /// The nodes of those.
    pub nodes: BTreeMap<NodeId, NodeView>,
    /// For jobs that run everywhere: the nodes that qualify, by group.
    pub everywhere: BTreeMap<String, BTreeSet<NodeId>>,
    /// The newest deployment.
    pub deployment: Option<&'a Deployment>,
    /// What the job's change means for an allocation of an older version.
    pub change: &'a dyn Fn(&Allocation) -> Change,
    /// Whether an evaluation is still to come.
    pub is_pending: &'a dyn Fn(EvalId) -> bool,
}

/// An allocation to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// The allocation.
    pub alloc: AllocId,
    /// The client status to force on it.
    pub client: Option<ClientStatus>,
    /// Why, in words.
    pub reason: &'static str,
}

/// Why an allocation is placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlaceKind {
    /// There are too few.
    Missing,
    /// The one before is lost.
    Lost,
    /// The one before failed or is out of contact; this is the delay that its policy asked for.
    Reschedule(Duration),
    /// The one before has to leave its node.
    Migrate,
    /// The one before runs an older version.
    Update,
    /// The new version is tried.
    Canary,
}

/// An allocation to place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its group.
    pub group: String,
    /// Its name.
    pub name: String,
    /// The allocation it replaces.
    pub replaces: Option<AllocId>,
    /// Why.
    pub kind: PlaceKind,
    /// The version to place; the job's current one when `None`.
    pub version: Option<u64>,
    /// The only node that will do, for jobs that run everywhere.
    pub node: Option<NodeId>,
}

/// An allocation that is to be looked at again later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Later {
    /// The allocation.
    pub alloc: AllocId,
    /// When.
    pub at: Timestamp,
}

/// What should change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Allocations to end.
    pub stops: Vec<Stop>,
    /// Allocations to place.
    pub places: Vec<Place>,
    /// Allocations to replace by the newest version: each ends when its successor is placed, and goes on otherwise.
    pub destructive: Vec<Place>,
    /// Allocations that go on running as part of the newest version.
    pub in_place: Vec<AllocId>,
    /// Allocations whose node is out of contact.
    pub unknown: Vec<AllocId>,
    /// Allocations that are back and stay.
    pub reconnected: Vec<AllocId>,
    /// Allocations that are replaced later.
    pub later: Vec<Later>,
    /// When allocations that are out of contact now will be lost.
    pub timeouts: Vec<Timestamp>,
    /// A deployment that is pointless now, and why.
    pub cancel: Option<(DeploymentId, &'static str)>,
    /// Groups of a deployment to create.
    pub deployment: Option<ByName<DeploymentGroup>>,
    /// Whether the current deployment has reached its goal.
    pub deployed: bool,
}

/// Why: what is shown to people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Numbers by group.
    pub groups: ByName<PlanCounts>,
}

/// Follow-up evaluations closer together than this share one.
pub const FOLLOW_UP_BATCH: Duration = Duration::from_secs(5);

/// Decides.
pub fn reconcile(input: &ReconcileInput<'_>) -> (Changes, Report) {
    let mut changes = Changes::default();
    let mut report = Report::default();
    let job = input.job.filter(|job| !job.is_stopped());
    let current = deployment_of(input, job, &mut changes);
    let mut created = Vec::new();
    let mut finished = current.is_some_and(|it| it.status.is_active());
    let mut names: BTreeSet<&str> = input.allocs.iter().map(|alloc| &*alloc.group).collect();
    names.extend(job.iter().flat_map(|job| job.groups()).map(|group| group.name()));
    for name in names {
        let allocs: Vec<&Allocation> = input
            .allocs
            .iter()
            .map(Arc::as_ref)
            .filter(|alloc| *alloc.group == *name)
            .collect();
        let counts = report.groups.or_default(name);
        let wanted = job.and_then(|job| job.group(name).map(|group| (job, group)));
        match wanted {
            Some((job, group)) if job.job_type().is_system() => {
                let rollout = Rollout::new(job, group, &allocs, current);
                let parts = (&mut changes, counts);
                let outcome = system::reconcile(input, (job, group), &allocs, &rollout, parts);
                created.extend(outcome.deploys.map(|it| (name, it)));
                finished &= outcome.finished;
            }
            Some((job, group)) if group.count() > 0 => {
                let rollout = Rollout::new(job, group, &allocs, current);
                let mut turn = group::GroupTurn::new(input, (job, group), &allocs, rollout);
                turn.run();
                let outcome = turn.finish(&mut changes, counts);
                created.extend(outcome.deploys.map(|it| (name, it)));
                finished &= outcome.finished;
            }
            _ => stop_all(input, &allocs, &mut changes, counts),
        }
    }
    if current.is_none() && !created.is_empty() {
        changes.deployment = Some(created.into_iter().collect());
    }
    changes.deployed = finished && changes.cancel.is_none();
    changes.timeouts.sort_unstable();
    changes
        .timeouts
        .dedup_by(|next, first| next.since(*first) < FOLLOW_UP_BATCH);
    (changes, report)
}

/// The deployment that matters for the job as it is; one that is pointless now is cancelled.
fn deployment_of<'a>(
    input: &ReconcileInput<'a>,
    job: Option<&Job>,
    changes: &mut Changes,
) -> Option<&'a Deployment> {
    let deployment = input.deployment?;
    let active = deployment.status.is_active();
    let Some(job) = job else {
        changes.cancel = active.then_some((deployment.id, text::STOPPED));
        return None;
    };
    if (deployment.job_version, deployment.job_create_index) != (job.version(), job.create_index()) {
        changes.cancel = active.then_some((deployment.id, text::NEWER));
        return None;
    }
    Some(deployment).filter(|it| {
        !matches!(
            it.status,
            DeploymentStatus::Successful | DeploymentStatus::Cancelled
        )
    })
}

/// Nothing of the group is wanted any more.
fn stop_all(
    input: &ReconcileInput<'_>,
    allocs: &[&Allocation],
    changes: &mut Changes,
    counts: &mut PlanCounts,
) {
    let policy = input
        .job
        .and_then(|job| job.group(&allocs.first()?.group))
        .map(|group| group.disconnect_policy());
    let policy = policy.unwrap_or_default();
    let batch = input.job.is_some_and(|job| job.job_type() == JobType::Batch);
    for alloc in allocs {
        if alloc.is_server_terminal()
            || (alloc.client.is_terminal() && (batch || alloc.client != ClientStatus::Failed))
        {
            counts.ignore += 1;
            continue;
        }
        let lost = matches!(
            classify::classify(alloc, input.nodes.get(&alloc.node), &policy, input.now),
            classify::Bucket::Lost | classify::Bucket::Expiring
        );
        counts.stop += 1;
        changes.stops.push(if lost {
            Stop {
                alloc: alloc.id,
                client: Some(ClientStatus::Lost),
                reason: reason::LOST,
            }
        } else {
            Stop {
                alloc: alloc.id,
                client: None,
                reason: reason::NOT_NEEDED,
            }
        });
    }
}
