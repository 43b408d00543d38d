//! Jobs that run on every node that fits: as many allocations per node as the count says (`scheduling-semantics.md`
//! 3.8).

use std::collections::{BTreeMap, BTreeSet};

use holdfast_shared::id::{AllocId, NodeId};
use holdfast_shared::model::{
    Allocation, ClientStatus, DelayFunction, DeploymentGroup, Job, PlanCounts, ReschedulePolicy, TaskGroup,
};
use holdfast_shared::time::Duration;

use super::classify::{Bucket, classify};
use super::group::Outcome;
use super::names::Names;
use super::reschedule::{self, Decision};
use super::rollout::Rollout;
use super::{Change, Changes, Later, Place, PlaceKind, ReconcileInput, Stop, reason};

/// When a failed allocation is placed anew: as a service's is by default. The original waits for whatever evaluation comes
/// next, and places it at once then; on a box that nobody looks after that is never, or in a circle.
const RETRY: ReschedulePolicy = ReschedulePolicy {
    attempts: 0,
    interval: Duration::ZERO,
    delay: Duration::from_secs(30),
    delay_function: DelayFunction::Exponential,
    max_delay: Duration::from_secs(3600),
    unlimited: true,
};

/// Reconciles one group of a job that runs everywhere.
pub(super) fn reconcile(
    input: &ReconcileInput<'_>,
    (job, group): (&Job, &TaskGroup),
    allocs: &[&Allocation],
    rollout: &Rollout<'_>,
    (changes, counts): (&mut Changes, &mut PlanCounts),
) -> Outcome {
    let mut turn = SystemTurn {
        input,
        job,
        group,
        update_budget: rollout.limit(allocs, 0, allocs.len()),
        outdated: 0,
    };
    let nothing = BTreeSet::new();
    let eligible = input.everywhere.get(group.name()).unwrap_or(&nothing);
    // Gone through once: a search for each node would cost the square of the fleet.
    let mut by_node: BTreeMap<NodeId, Vec<&Allocation>> =
        eligible.iter().map(|node| (*node, Vec::new())).collect();
    for alloc in allocs {
        by_node.entry(alloc.node).or_default().push(alloc);
    }
    for (node, here) in by_node {
        let mut kept: Vec<usize> = Vec::new();
        // Those that an operator wants replaced, where they are.
        let mut moved: Vec<&Allocation> = Vec::new();
        for alloc in here {
            if turn.keeps(alloc, eligible.contains(&node), (&mut *changes, &mut *counts)) {
                kept.extend(alloc.index());
            } else if alloc.transition.migrate && !alloc.is_terminal() {
                moved.push(alloc);
            }
        }
        let room = group.count().saturating_sub(kept.len());
        if !eligible.contains(&node) || room == 0 {
            continue;
        }
        let mut names = Names::new(job.name(), group.name(), kept);
        for _ in 0..room {
            let replaced = moved.pop();
            let kind = replaced.map_or(PlaceKind::Missing, |_| PlaceKind::Migrate);
            changes
                .places
                .push(turn.place(names.next(), replaced, node, kind));
            counts.place += 1;
        }
    }
    let away: BTreeSet<AllocId> = changes.unknown.iter().copied().collect();
    let in_contact: Vec<&Allocation> = allocs
        .iter()
        .copied()
        .filter(|it| it.client != ClientStatus::Unknown && !away.contains(&it.id))
        .collect();
    turn.outcome(&in_contact, rollout, counts)
}

struct SystemTurn<'a> {
    input: &'a ReconcileInput<'a>,
    job: &'a Job,
    group: &'a TaskGroup,
    /// How many may still be replaced by the new version.
    update_budget: usize,
    /// How many have to be, now or later.
    outdated: u64,
}

impl SystemTurn<'_> {
    /// Decides about one allocation; answers whether it holds its place on the node.
    fn keeps(
        &mut self,
        alloc: &Allocation,
        eligible: bool,
        (changes, counts): (&mut Changes, &mut PlanCounts),
    ) -> bool {
        if alloc.is_server_terminal() && !alloc.client.is_terminal() {
            // It has been told to end.
            return false;
        }
        let policy = self.group.disconnect_policy();
        let bucket = classify(alloc, self.input.nodes.get(&alloc.node), &policy, self.input.now);
        let current =
            (alloc.job_version, alloc.job_create_index) == (self.job.version(), self.job.create_index());
        let mut stop = |client, reason| {
            changes.stops.push(Stop {
                alloc: alloc.id,
                client,
                reason,
            });
            counts.stop += 1;
            false
        };
        match bucket {
            Bucket::Ignore => false,
            Bucket::Lost | Bucket::Expiring => stop(Some(ClientStatus::Lost), reason::LOST),
            Bucket::Migrate => stop(None, reason::MIGRATED),
            Bucket::Disconnecting => {
                changes.unknown.push(alloc.id);
                changes.timeouts.push(self.input.now + policy.lost_after);
                counts.disconnect += 1;
                true
            }
            Bucket::Reconnecting if alloc.client == ClientStatus::Failed => {
                stop(Some(ClientStatus::Failed), reason::RESCHEDULED)
            }
            Bucket::Reconnecting if alloc.client == ClientStatus::Running && current => {
                changes.reconnected.push(alloc.id);
                counts.reconnect += 1;
                true
            }
            Bucket::Untainted if alloc.client.is_terminal() => {
                // Once is enough for a sysbatch job, and a system job's failed allocation is placed anew.
                let once = self.job.job_type().is_batch();
                if alloc.client != ClientStatus::Failed || once {
                    return once && current;
                }
                if !current {
                    return stop(None, reason::RESCHEDULED);
                }
                self.retries(alloc, eligible, (changes, counts));
                true
            }
            Bucket::Reconnecting | Bucket::Untainted if current => {
                counts.ignore += 1;
                true
            }
            Bucket::Reconnecting | Bucket::Untainted => self.takes_along(alloc, eligible, (changes, counts)),
        }
    }

    /// Decides about an allocation of an older version; answers whether its place is held.
    fn takes_along(
        &mut self,
        alloc: &Allocation,
        eligible: bool,
        (changes, counts): (&mut Changes, &mut PlanCounts),
    ) -> bool {
        match (self.input.change)(alloc) {
            Change::InPlace => {
                changes.in_place.push(alloc.id);
                counts.in_place += 1;
            }
            Change::Ignore => {}
            Change::Destructive if !eligible => {
                changes.stops.push(Stop {
                    alloc: alloc.id,
                    client: None,
                    reason: reason::NOT_NEEDED,
                });
                counts.stop += 1;
                return false;
            }
            Change::Destructive if self.update_budget > 0 => {
                self.update_budget -= 1;
                self.outdated += 1;
                let place = self.place(alloc.name.to_string(), Some(alloc), alloc.node, PlaceKind::Update);
                changes.destructive.push(place);
                counts.destructive += 1;
            }
            Change::Destructive => {
                self.outdated += 1;
                counts.ignore += 1;
            }
        }
        true
    }

    /// Places a failed allocation anew on its node, now or later.
    fn retries(
        &self,
        alloc: &Allocation,
        eligible: bool,
        (changes, counts): (&mut Changes, &mut PlanCounts),
    ) {
        let due = alloc.followup_eval.get() == Some(self.input.eval);
        let when = reschedule::decide(
            Some(&RETRY),
            alloc,
            reschedule::failed_at(alloc),
            (self.input.now, due),
        );
        match when {
            Decision::Now(delay) => {
                changes.stops.push(Stop {
                    alloc: alloc.id,
                    client: None,
                    reason: reason::RESCHEDULED,
                });
                counts.stop += 1;
                if eligible {
                    let kind = PlaceKind::Reschedule(delay);
                    let place = self.place(alloc.name.to_string(), Some(alloc), alloc.node, kind);
                    changes.places.push(place);
                    counts.place += 1;
                    counts.reschedule_now += 1;
                }
            }
            Decision::Later(_) if alloc.followup_eval.get().is_some_and(self.input.is_pending) => {}
            Decision::Later(at) => {
                changes.later.push(Later { alloc: alloc.id, at });
                counts.reschedule_later += 1;
            }
            // The policy has no limit.
            Decision::Never => {}
        }
    }

    /// Whether a deployment is to be created, or has reached its goal: every allocation of it that is in contact is healthy.
    /// A node that nobody can reach holds nothing up.
    fn outcome(&self, in_contact: &[&Allocation], rollout: &Rollout<'_>, counts: &PlanCounts) -> Outcome {
        let desired = counts.place + counts.in_place + self.outdated;
        let id = rollout.deployment.map(|it| it.id);
        let part: Vec<&&Allocation> = in_contact
            .iter()
            .filter(|it| it.deployment == id && id.is_some() && !it.is_terminal())
            .collect();
        let all_healthy = part
            .iter()
            .all(|it| it.health.is_some_and(|health| health.healthy));
        let policy = rollout.policy.as_ref().filter(|_| rollout.deployment.is_none());
        let changes = self.outdated + counts.in_place > 0;
        let deploys = policy.filter(|_| desired > 0 && (!rollout.version_ran || changes));
        Outcome {
            deploys: deploys.map(|policy| DeploymentGroup {
                auto_revert: policy.auto_revert,
                progress_deadline: policy.progress_deadline,
                desired_total: desired,
                ..DeploymentGroup::default()
            }),
            finished: rollout.group.is_none() || (desired == 0 && !part.is_empty() && all_healthy),
        }
    }

    fn place(&self, name: String, replaces: Option<&Allocation>, node: NodeId, kind: PlaceKind) -> Place {
        Place {
            group: self.group.name().to_owned(),
            name,
            replaces: replaces.map(|alloc| alloc.id),
            kind,
            version: None,
            node: Some(node),
        }
    }
}
