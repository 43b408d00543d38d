//! Jobs that run on every node that fits: as many allocations per node as the count says (`scheduling-semantics.md`
//! 3.8).

use std::collections::{BTreeMap, BTreeSet};

use holdfast_shared::id::NodeId;
use holdfast_shared::model::{Allocation, ClientStatus, Job, PlanCounts, TaskGroup};

use super::classify::{Bucket, classify};
use super::names::Names;
use super::{Change, Changes, Place, PlaceKind, ReconcileInput, Stop, reason};

/// Reconciles one group of a job that runs everywhere.
pub(super) fn reconcile(
    input: &ReconcileInput<'_>,
    (job, group): (&Job, &TaskGroup),
    allocs: &[&Allocation],
    (changes, counts): (&mut Changes, &mut PlanCounts),
) {
    let turn = SystemTurn { input, job, group };
    let nothing = BTreeSet::new();
    let eligible = input.everywhere.get(group.name()).unwrap_or(&nothing);
    let mut update_budget = turn.update_limit(allocs);
    // Gone through once: a search for each node would cost the square of the fleet.
    let mut by_node: BTreeMap<NodeId, Vec<&Allocation>> =
        eligible.iter().map(|node| (*node, Vec::new())).collect();
    for alloc in allocs {
        by_node.entry(alloc.node).or_default().push(alloc);
    }
    for (node, here) in by_node {
        let mut kept: Vec<usize> = Vec::new();
        for alloc in here {
            if turn.keeps(
                alloc,
                eligible.contains(&node),
                &mut update_budget,
                (&mut *changes, &mut *counts),
            ) {
                kept.extend(alloc.index());
            }
        }
        let room = group.count().saturating_sub(kept.len());
        if !eligible.contains(&node) || room == 0 {
            continue;
        }
        let mut names = Names::new(job.name(), group.name(), kept);
        for _ in 0..room {
            changes
                .places
                .push(turn.place(names.next(), None, node, PlaceKind::Missing));
            counts.place += 1;
        }
    }
}

struct SystemTurn<'a> {
    input: &'a ReconcileInput<'a>,
    job: &'a Job,
    group: &'a TaskGroup,
}

impl SystemTurn<'_> {
    /// Decides about one allocation; answers whether it holds its place on the node.
    fn keeps(
        &self,
        alloc: &Allocation,
        eligible: bool,
        update_budget: &mut usize,
        (changes, counts): (&mut Changes, &mut PlanCounts),
    ) -> bool {
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
                if alloc.client == ClientStatus::Failed && !once {
                    return stop(None, reason::RESCHEDULED);
                }
                once && current
            }
            Bucket::Reconnecting | Bucket::Untainted if current => {
                counts.ignore += 1;
                true
            }
            Bucket::Reconnecting | Bucket::Untainted => match (self.input.change)(alloc) {
                Change::InPlace => {
                    changes.in_place.push(alloc.id);
                    counts.in_place += 1;
                    true
                }
                Change::Ignore => true,
                Change::Destructive if !eligible => stop(None, reason::NOT_NEEDED),
                Change::Destructive if *update_budget > 0 => {
                    *update_budget -= 1;
                    let place = self.place(alloc.name.clone(), Some(alloc), alloc.node, PlaceKind::Update);
                    changes.destructive.push(place);
                    counts.destructive += 1;
                    true
                }
                Change::Destructive => true,
            },
        }
    }

    /// How many may be replaced now: those that were replaced before have to run first.
    fn update_limit(&self, allocs: &[&Allocation]) -> usize {
        let Some(policy) = self.group.update_policy(self.job.job_type()) else {
            return allocs.len();
        };
        let starting = allocs.iter().filter(|alloc| {
            let current = alloc.job_version == self.job.version();
            current && alloc.client == ClientStatus::Pending && !alloc.is_server_terminal()
        });
        usize::try_from(policy.max_parallel)
            .unwrap_or(1)
            .saturating_sub(starting.count())
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
