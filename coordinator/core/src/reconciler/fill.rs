//! Filling a group's count once every slot is settled: ending what is too much, updating, placing, and what that means
//! for a deployment.

use std::collections::BTreeSet;

use holdfast_shared::id::AllocId;
use holdfast_shared::model::{Allocation, ClientStatus, DeploymentGroup, JobType, NodeStatus};
use holdfast_shared::time::{Duration, Timestamp};

use super::group::{Fate, GroupTurn, Holding};
use super::names::Names;
use super::{Change, Later, Place, PlaceKind, Stop, reason};

impl<'a> GroupTurn<'a> {
    /// Ends what is too much: copies of what was promoted first, then what has to move anyway, then the highest index.
    pub(super) fn stop_surplus(&mut self, holdings: &mut [Holding<'a>]) {
        let eligible = |holding: &Holding<'_>| !holding.canary && holding.is_known();
        let known = holdings.iter().filter(|it| eligible(it)).count();
        let surplus = known.saturating_sub(self.group.count());
        if surplus == 0 {
            return;
        }
        let current: BTreeSet<usize> = holdings
            .iter()
            .filter(|it| eligible(it) && it.known.iter().any(|alloc| self.is_current(alloc)))
            .map(|it| it.index)
            .collect();
        let mut order: Vec<usize> = (0..holdings.len())
            .filter(|at| eligible(&holdings[*at]))
            .collect();
        order.sort_by_key(|at| {
            let holding = &holdings[*at];
            let doubled =
                current.contains(&holding.index) && !holding.known.iter().any(|alloc| self.is_current(alloc));
            std::cmp::Reverse((doubled, holding.migrate.is_some(), holding.index))
        });
        for at in order.into_iter().take(surplus) {
            let holding = &mut holdings[at];
            for alloc in std::mem::take(&mut holding.known)
                .into_iter()
                .chain(holding.migrate.take())
            {
                self.stop(alloc, None, reason::NOT_NEEDED);
            }
            holding.done = false;
            // Whoever is out of contact is neither removable nor missed.
            holding.renew = None;
        }
    }

    /// Takes along what can go on running under the new version; answers what cannot, in the order of replacement.
    pub(super) fn update(&mut self, holdings: &[Holding<'a>]) -> Vec<&'a Allocation> {
        let mut destructive = Vec::new();
        for holding in holdings.iter().filter(|it| !it.canary) {
            let renewed = holding.renew.map(|(alloc, _)| alloc.id);
            for alloc in holding.known.iter().chain(&holding.away) {
                if self.is_current(alloc) || Some(alloc.id) == renewed {
                    continue;
                }
                match (self.input.change)(alloc) {
                    Change::Ignore => {}
                    Change::InPlace => {
                        self.out.in_place.push(alloc.id);
                        self.counts.in_place += 1;
                    }
                    Change::Destructive if holding.known.iter().any(|it| it.id == alloc.id) => {
                        destructive.push((alloc.client != ClientStatus::Running, holding.index, *alloc));
                    }
                    // It is replaced when it is back: an update must not wait for who cannot answer.
                    Change::Destructive => {}
                }
            }
        }
        destructive.sort_by_key(|(idle, index, alloc)| (*idle, *index, alloc.id));
        destructive.into_iter().map(|(_, _, alloc)| alloc).collect()
    }

    /// Places what the new version is to be tried with; answers whether canaries are, or were, missing.
    pub(super) fn place_canaries(&mut self, holdings: &[Holding<'a>], destructive: &[&Allocation]) -> bool {
        let Some(policy) = &self.rollout.policy else {
            return false;
        };
        let wanted = usize::try_from(policy.canary).unwrap_or(0);
        let promoted = self.rollout.group.is_some_and(|group| group.promoted);
        let missing = wanted.saturating_sub(live_canaries(holdings));
        if destructive.is_empty() || promoted || missing == 0 {
            return false;
        }
        if self.rollout.is_paused() || self.rollout.has_failed() {
            return true;
        }
        let of_canaries = holdings.iter().filter(|it| it.canary).map(|it| it.index);
        let mut names = Names::new(self.job.id(), self.group.name(), of_canaries);
        let replaced: Vec<usize> = destructive.iter().filter_map(|alloc| alloc.index()).collect();
        let mut spare = names.clone();
        holdings
            .iter()
            .filter(|it| it.is_filled())
            .for_each(|it| spare.reserve(it.index));
        for _ in 0..missing {
            let free = replaced.iter().copied().find(|index| names.is_free(*index));
            let name = match free {
                Some(index) => names.take(index),
                None => spare.next(),
            };
            self.out.places.push(self.wanted(name, None, PlaceKind::Canary));
            self.counts.canary += 1;
        }
        true
    }

    fn wanted(&self, name: String, replaces: Option<&Allocation>, kind: PlaceKind) -> Place {
        let stable = self.rollout.is_canarying() && replaces.is_some_and(|alloc| !alloc.canary);
        Place {
            group: self.group.name().to_owned(),
            name,
            replaces: replaces.map(|alloc| alloc.id),
            kind,
            version: self.rollout.stable.filter(|_| stable),
            node: None,
        }
    }

    /// Fills the count: what is due to be placed anew, what was lost, what is missing.
    pub(super) fn fill(&mut self, holdings: &[Holding<'a>]) {
        if let Some(at) = self.placements_wait_until() {
            for alloc in holdings.iter().filter_map(|it| it.lost) {
                self.out.later.push(Later { alloc: alloc.id, at });
            }
            return;
        }
        let count = self.group.count();
        let regular = || holdings.iter().filter(|it| !it.canary);
        let mut known = regular().filter(|it| it.is_known()).count();
        // A canary that was replaced while it was out of contact, and is back, is one more than wanted.
        let mut canaries = holdings.iter().filter(|it| it.canary && it.is_known()).count();
        let canaries_wanted = self.rollout.group.map_or(0, |group| group.desired_canaries) as usize;
        let mut missing = count.saturating_sub(regular().filter(|it| it.is_filled()).count());
        for holding in holdings {
            if let Some((alloc, delay)) = holding.renew {
                let (there, wanted) = if holding.canary {
                    (&mut canaries, canaries_wanted)
                } else {
                    (&mut known, count)
                };
                if *there < wanted {
                    *there += 1;
                    self.place_anew(alloc, delay);
                }
            } else if let Some(lost) = holding.lost
                && !holding.is_known()
                && known < count
            {
                // Its original is only out of contact: the slot is theirs, and nothing else fills it.
                let shared = !holding.away.is_empty();
                if shared || missing > 0 {
                    missing -= usize::from(!shared);
                    known += 1;
                    let place = self.wanted(lost.name.to_string(), Some(lost), PlaceKind::Lost);
                    self.out.places.push(place);
                    self.counts.place += 1;
                }
            }
        }
        if self.rollout.is_open() {
            let taken = regular()
                .filter(|it| it.is_filled() || it.lost.is_some())
                .map(|it| it.index);
            let mut names = Names::new(self.job.id(), self.group.name(), taken);
            for _ in 0..missing {
                let place = self.wanted(names.next(), None, PlaceKind::Missing);
                self.out.places.push(place);
                self.counts.place += 1;
            }
        }
    }

    fn place_anew(&mut self, alloc: &'a Allocation, delay: Duration) {
        let place = self.wanted(alloc.name.to_string(), Some(alloc), PlaceKind::Reschedule(delay));
        self.out.places.push(place);
        self.counts.place += 1;
        self.counts.reschedule_now += 1;
        if alloc.client == ClientStatus::Failed {
            self.stop(alloc, None, reason::RESCHEDULED);
        }
    }

    /// With `stop_on_client_after`, nothing is placed before the lost ones must have stopped themselves.
    fn placements_wait_until(&self) -> Option<Timestamp> {
        let after = self.policy.stop_on_client_after?;
        let slack = self.group.longest_kill_timeout().max(Duration::from_secs(5));
        let lost_now: BTreeSet<AllocId> = self
            .fates
            .iter()
            .filter(|(_, fate)| **fate == Fate::Lost)
            .map(|(id, _)| *id)
            .collect();
        let since = self.allocs.iter().filter_map(|alloc| {
            let recorded = alloc
                .client_history
                .iter()
                .rev()
                .find(|(status, _)| *status == ClientStatus::Lost);
            let recorded = recorded.map(|(_, at)| *at);
            let away = self
                .input
                .nodes
                .get(&alloc.node)
                .is_some_and(|node| node.status == NodeStatus::Down);
            if lost_now.contains(&alloc.id) {
                Some(recorded.unwrap_or(self.input.now))
            } else {
                recorded.filter(|_| away && alloc.client == ClientStatus::Lost)
            }
        });
        since
            .max()
            .map(|since| since + after + slack)
            .filter(|at| *at > self.input.now)
    }

    /// Moves what has to leave its node. A canary that was out of contact may have been replaced already.
    pub(super) fn migrate(&mut self, holdings: &[Holding<'a>]) {
        let policy = self.rollout.policy.as_ref();
        let wanted = policy.map_or(0, |policy| usize::try_from(policy.canary).unwrap_or(0));
        let mut surplus = live_canaries(holdings).saturating_sub(wanted);
        for alloc in holdings.iter().filter_map(|it| it.migrate) {
            let is_surplus = alloc.canary && surplus > 0;
            if is_surplus {
                surplus -= 1;
            }
            if !alloc.transition.migrate_without_placement && !is_surplus {
                let place = self.wanted(alloc.name.to_string(), Some(alloc), PlaceKind::Migrate);
                self.out.places.push(place);
            }
            self.out.stops.push(Stop {
                alloc: alloc.id,
                client: None,
                reason: reason::MIGRATED,
            });
            self.counts.migrate += 1;
        }
    }

    /// Replaces allocations of older versions, as many as the rollout allows at a time.
    pub(super) fn replace_old(
        &mut self,
        holdings: &[Holding<'a>],
        destructive: &[&'a Allocation],
        canaries_missing: bool,
    ) {
        let trial = canaries_missing || holdings.iter().any(|it| it.canary);
        let placed = self.out.places.len();
        let limit = if trial {
            0
        } else {
            self.rollout.limit(self.allocs, placed, self.group.count())
        };
        for alloc in destructive.iter().take(limit) {
            let place = self.wanted(alloc.name.to_string(), Some(alloc), PlaceKind::Update);
            self.out.destructive.push(place);
            self.counts.destructive += 1;
        }
    }

    /// Whether a deployment is to be created, or has reached its goal.
    pub(super) fn judge_deployment(&mut self, destructive: &[&Allocation], canaries_missing: bool) {
        let in_place = self.out.in_place.len();
        let placed = self
            .out
            .places
            .iter()
            .filter(|it| it.kind != PlaceKind::Canary)
            .count();
        let busy = !destructive.is_empty() || in_place > 0 || !self.out.places.is_empty();
        self.outcome.finished = match self.rollout.group {
            None => true,
            Some(group) => {
                let settled = group.healthy + group.excused;
                let enough = settled >= group.desired_total.max(group.desired_canaries);
                let promoted = group.desired_canaries == 0 || group.promoted;
                let pending = self.out.later.iter().any(|later| {
                    self.allocs
                        .iter()
                        .any(|it| it.id == later.alloc && it.client == ClientStatus::Failed)
                });
                !busy && !canaries_missing && enough && promoted && !pending
            }
        };
        let Some(policy) = self
            .rollout
            .policy
            .as_ref()
            .filter(|_| self.job.job_type() == JobType::Service)
        else {
            return;
        };
        let changes_allocs = !destructive.is_empty() || in_place > 0;
        let desired = placed + in_place + destructive.len();
        if self.rollout.deployment.is_none() && desired > 0 && (!self.rollout.version_ran || changes_allocs) {
            self.outcome.deploys = Some(DeploymentGroup {
                auto_revert: policy.auto_revert,
                auto_promote: policy.auto_promote,
                progress_deadline: policy.progress_deadline,
                desired_canaries: if canaries_missing {
                    u64::try_from(policy.canary).unwrap_or(0)
                } else {
                    0
                },
                desired_total: desired as u64,
                ..DeploymentGroup::default()
            });
        }
    }

    pub(super) fn count_ignored(&mut self, holdings: &[Holding<'a>]) {
        let stopped: BTreeSet<AllocId> = self.out.stops.iter().map(|stop| stop.alloc).collect();
        let touched: BTreeSet<AllocId> = self
            .out
            .in_place
            .iter()
            .chain(&self.out.unknown)
            .chain(&self.out.reconnected)
            .copied()
            .chain(self.out.destructive.iter().filter_map(|place| place.replaces))
            .collect();
        let kept = holdings.iter().flat_map(|it| it.known.iter().chain(&it.away));
        self.counts.ignore = kept
            .filter(|alloc| !stopped.contains(&alloc.id) && !touched.contains(&alloc.id))
            .count() as u64;
        self.counts.ignore += holdings.iter().filter(|it| it.done).count() as u64;
    }
}

/// How many slots hold a canary that is there, or is about to be.
fn live_canaries(holdings: &[Holding<'_>]) -> usize {
    let live =
        |it: &&Holding<'_>| it.canary && (!it.known.is_empty() || it.migrate.is_some() || it.renew.is_some());
    holdings.iter().filter(live).count()
}
