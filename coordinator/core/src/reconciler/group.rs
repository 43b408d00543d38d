//! One group of a service or batch job: every slot is settled, then the count is filled.

use std::collections::BTreeMap;

use holdfast_shared::id::AllocId;
use holdfast_shared::model::{
    Allocation, ClientStatus, DeploymentGroup, DisconnectPolicy, Job, JobType, PlanCounts, ReschedulePolicy,
    TaskGroup,
};
use holdfast_shared::time::{Duration, Timestamp};

use super::classify::{Bucket, classify};
use super::reconnect;
use super::reschedule::{self, Decision};
use super::rollout::Rollout;
use super::slots::{Slot, slots};
use super::{Change, Changes, Later, ReconcileInput, Stop, reason};

/// What is decided about a member of a slot, as far as it is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is in contact and stays.
    Known,
    /// It failed; the policy says when another one is placed.
    Failed(Decision),
    /// It is out of contact; the policy says when another one is placed.
    Away(Decision),
    /// It is back.
    Returning,
    /// It has done its work and counts.
    Done,
    /// It has to leave its node.
    Migrate,
    /// Its node is gone.
    Lost,
}

/// What becomes of the group's part in a deployment.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// The part to create.
    pub(super) deploys: Option<DeploymentGroup>,
    /// Whether nothing is left to do.
    pub(super) finished: bool,
}

/// What a slot has come to.
#[derive(Debug, Default)]
pub(super) struct Holding<'a> {
    pub(super) index: usize,
    pub(super) canary: bool,
    /// In contact, the newest last.
    pub(super) known: Vec<&'a Allocation>,
    /// Out of contact.
    pub(super) away: Vec<&'a Allocation>,
    /// To be replaced now, after this delay.
    pub(super) renew: Option<(&'a Allocation, Duration)>,
    /// Lost in this evaluation.
    pub(super) lost: Option<&'a Allocation>,
    pub(super) migrate: Option<&'a Allocation>,
    /// Done for good.
    pub(super) done: bool,
}

impl Holding<'_> {
    /// Whether somebody is there who can be counted on.
    pub(super) fn is_known(&self) -> bool {
        !self.known.is_empty() || self.migrate.is_some() || self.done
    }

    pub(super) fn is_filled(&self) -> bool {
        self.is_known() || !self.away.is_empty() || self.renew.is_some()
    }
}

/// Reconciles one group.
pub(super) struct GroupTurn<'a> {
    pub(super) input: &'a ReconcileInput<'a>,
    pub(super) job: &'a Job,
    pub(super) group: &'a TaskGroup,
    pub(super) allocs: &'a [&'a Allocation],
    pub(super) rollout: Rollout<'a>,
    pub(super) policy: DisconnectPolicy,
    pub(super) reschedule: Option<ReschedulePolicy>,
    pub(super) fates: BTreeMap<AllocId, Fate>,
    pub(super) out: Changes,
    pub(super) counts: PlanCounts,
    pub(super) outcome: Outcome,
}

impl<'a> GroupTurn<'a> {
    pub(super) fn new(
        input: &'a ReconcileInput<'a>,
        (job, group): (&'a Job, &'a TaskGroup),
        allocs: &'a [&'a Allocation],
        rollout: Rollout<'a>,
    ) -> Self {
        Self {
            input,
            job,
            group,
            allocs,
            rollout,
            policy: group.disconnect_policy(),
            reschedule: group.reschedule_policy(job.job_type()),
            fates: BTreeMap::new(),
            out: Changes::default(),
            counts: PlanCounts::default(),
            outcome: Outcome::default(),
        }
    }

    pub(super) fn run(&mut self) {
        for alloc in self.allocs {
            if let Some(fate) = self.fate(alloc) {
                self.fates.insert(alloc.id, fate);
            }
        }
        let mut holdings: Vec<Holding<'a>> = slots(self.allocs)
            .into_iter()
            .map(|slot| self.settle(&slot))
            .collect();
        holdings.sort_by_key(|holding| holding.index);
        self.stop_surplus(&mut holdings);
        let destructive = self.update(&holdings);
        let canaries_missing = self.place_canaries(&holdings, &destructive);
        self.fill(&holdings);
        self.migrate(&holdings);
        self.replace_old(&holdings, &destructive, canaries_missing);
        self.judge_deployment(&destructive, canaries_missing);
        self.count_ignored(&holdings);
    }

    /// Hands over what was decided.
    pub(super) fn finish(self, changes: &mut Changes, counts: &mut PlanCounts) -> Outcome {
        changes.stops.extend(self.out.stops);
        changes.places.extend(self.out.places);
        changes.destructive.extend(self.out.destructive);
        changes.in_place.extend(self.out.in_place);
        changes.unknown.extend(self.out.unknown);
        changes.reconnected.extend(self.out.reconnected);
        changes.later.extend(self.out.later);
        changes.timeouts.extend(self.out.timeouts);
        *counts = self.counts;
        self.outcome
    }

    fn is_batch(&self) -> bool {
        self.job.job_type() == JobType::Batch
    }

    pub(super) fn is_current(&self, alloc: &Allocation) -> bool {
        (alloc.job_version, alloc.job_create_index) == (self.job.version(), self.job.create_index())
    }

    pub(super) fn stop(&mut self, alloc: &Allocation, client: Option<ClientStatus>, reason: &'static str) {
        self.fates.remove(&alloc.id);
        self.out.stops.push(Stop {
            alloc: alloc.id,
            client,
            reason,
        });
        self.counts.stop += 1;
    }

    /// What is to be done about an allocation by itself; `None` when it counts for nothing.
    fn fate(&mut self, alloc: &Allocation) -> Option<Fate> {
        // What was told to end counts for nothing, unless it is a batch job's and has come to an end of its own.
        if alloc.is_server_terminal() && (!self.is_batch() || !alloc.client.is_terminal()) {
            return None;
        }
        if self.is_batch() && alloc.is_terminal() && !self.is_current(alloc) {
            return None;
        }
        let bucket = classify(
            alloc,
            self.input.nodes.get(&alloc.node),
            &self.policy,
            self.input.now,
        );
        if alloc.canary && !self.rollout.wants_canary(alloc) && !alloc.is_server_terminal() {
            let lost = matches!(bucket, Bucket::Lost | Bucket::Expiring);
            let (client, why) = if lost {
                (Some(ClientStatus::Lost), reason::LOST)
            } else {
                (None, reason::NOT_NEEDED)
            };
            self.stop(alloc, client, why);
            return None;
        }
        match bucket {
            Bucket::Ignore | Bucket::Untainted
                if self.is_batch() && alloc.client == ClientStatus::Complete =>
            {
                Some(Fate::Done)
            }
            Bucket::Untainted if alloc.transition.migrate_without_placement => Some(Fate::Done),
            Bucket::Ignore => None,
            Bucket::Untainted => self.untainted(alloc),
            Bucket::Migrate => Some(Fate::Migrate),
            Bucket::Lost | Bucket::Expiring => {
                self.stop(alloc, Some(ClientStatus::Lost), reason::LOST);
                Some(Fate::Lost)
            }
            Bucket::Disconnecting => Some(self.disconnecting(alloc)),
            Bucket::Reconnecting if alloc.client == ClientStatus::Failed => {
                self.stop(alloc, Some(ClientStatus::Failed), reason::RESCHEDULED);
                None
            }
            Bucket::Reconnecting => Some(Fate::Returning),
        }
    }

    fn untainted(&self, alloc: &Allocation) -> Option<Fate> {
        let due = alloc.followup_eval.get() == Some(self.input.eval);
        match alloc.client {
            ClientStatus::Complete | ClientStatus::Lost => None,
            ClientStatus::Pending | ClientStatus::Running => Some(Fate::Known),
            ClientStatus::Failed if self.rollout.holds(alloc) || self.rollout.gave_up(alloc) => {
                Some(Fate::Failed(Decision::Never))
            }
            ClientStatus::Failed => {
                let failed_at = reschedule::failed_at(alloc);
                let when = (self.input.now, due);
                let decision = reschedule::decide(self.reschedule.as_ref(), alloc, failed_at, when);
                let arranged = alloc
                    .followup_eval
                    .get()
                    .is_some_and(|id| !due && (self.input.is_pending)(id));
                Some(Fate::Failed(match decision {
                    Decision::Later(_) if arranged => Decision::Never,
                    decision => decision,
                }))
            }
            ClientStatus::Unknown => {
                // Its follow-up evaluation is this one, or came at a time when nothing could be done.
                let due = due
                    || alloc
                        .followup_eval
                        .get()
                        .is_some_and(|id| !(self.input.is_pending)(id));
                let replace = due && self.policy.replace && !self.rollout.holds(alloc);
                let delay = self.next_delay(alloc, self.input.now);
                Some(Fate::Away(if replace {
                    Decision::Now(delay)
                } else {
                    Decision::Never
                }))
            }
        }
    }

    fn next_delay(&self, alloc: &Allocation, at: Timestamp) -> Duration {
        let policy = self.reschedule.as_ref();
        policy.map_or(Duration::ZERO, |policy| {
            reschedule::next_delay(policy, &alloc.reschedules, at)
        })
    }

    /// Its node went out of contact: it is unknown from now on, and lost later.
    fn disconnecting(&mut self, alloc: &Allocation) -> Fate {
        let now = self.input.now;
        self.out.unknown.push(alloc.id);
        self.counts.disconnect += 1;
        self.out.timeouts.push(now + self.policy.lost_after);
        if !self.policy.replace || self.rollout.holds(alloc) {
            return Fate::Away(Decision::Never);
        }
        Fate::Away(match self.policy.replace_after {
            Some(after) if after <= Duration::ZERO => Decision::Now(self.next_delay(alloc, now)),
            Some(after) => Decision::Later(now + after),
            None => reschedule::decide(self.reschedule.as_ref(), alloc, now, (now, false)),
        })
    }

    /// Decides among the members of a slot.
    fn settle(&mut self, slot: &Slot<'a>) -> Holding<'a> {
        let is_back = self.welcome_back(slot);
        self.choose(slot, is_back);
        let mut holding = Holding {
            index: slot.index(),
            ..Holding::default()
        };
        let mut failed = None;
        let mut away = None;
        for alloc in &slot.members {
            let Some(fate) = self.fates.get(&alloc.id).copied() else {
                continue;
            };
            holding.canary |= alloc.canary && fate != Fate::Lost;
            match fate {
                Fate::Known | Fate::Returning => holding.known.push(alloc),
                Fate::Failed(decision) => failed = Some((*alloc, decision)),
                Fate::Away(decision) => {
                    holding.away.push(alloc);
                    away = Some((*alloc, decision));
                }
                Fate::Done => holding.done = true,
                Fate::Migrate => holding.migrate = Some(alloc),
                Fate::Lost => holding.lost = Some(*alloc).filter(|alloc| !alloc.canary),
            }
        }
        // Whoever took its place while it was out of contact is there: nobody else has to be found.
        if !holding.known.is_empty()
            && let Some(alloc) = holding.migrate.take()
        {
            self.stop(alloc, None, reason::NOT_NEEDED);
        }
        if !holding.is_known() {
            self.renew(&mut holding, failed.or(away));
        }
        if let Some((alloc, _)) = failed
            && holding.renew.is_none_or(|(renewed, _)| renewed.id != alloc.id)
        {
            holding.known.push(alloc);
        }
        holding
    }

    /// Arranges for a slot in which nobody is in contact and well.
    fn renew(&mut self, holding: &mut Holding<'a>, last: Option<(&'a Allocation, Decision)>) {
        match last {
            Some((alloc, Decision::Now(delay))) => holding.renew = Some((alloc, delay)),
            Some((alloc, Decision::Later(at))) => {
                self.out.later.push(Later { alloc: alloc.id, at });
                self.counts.reschedule_later += 1;
            }
            Some((_, Decision::Never)) | None => {}
        }
    }

    /// Looks at who of a slot is back; answers whether somebody is who may stay.
    fn welcome_back(&mut self, slot: &Slot<'a>) -> bool {
        let returning: Vec<&Allocation> = slot
            .members
            .iter()
            .copied()
            .filter(|it| self.fates.get(&it.id) == Some(&Fate::Returning))
            .collect();
        let mut confirmed = false;
        for alloc in returning {
            let reported = alloc.client == ClientStatus::Running;
            let waited = self
                .input
                .nodes
                .get(&alloc.node)
                .is_some_and(|node| node.confirmed);
            if !reported && !waited {
                self.fates.insert(alloc.id, Fate::Away(Decision::Never));
            } else if self.is_obsolete(alloc, slot) {
                self.stop(alloc, None, reason::NOT_NEEDED);
            } else {
                confirmed = true;
            }
        }
        confirmed
    }

    /// Decides who of a slot lives on: when a member is back, and whenever two are in contact, however that came about.
    fn choose(&mut self, slot: &Slot<'a>, is_back: bool) {
        let is_known = |alloc: &&&Allocation| self.fates.get(&alloc.id) == Some(&Fate::Known);
        if !is_back && slot.members.iter().filter(is_known).count() < 2 {
            return;
        }
        let here = |fate: &Fate| matches!(fate, Fate::Known | Fate::Returning | Fate::Failed(_));
        let live = |alloc: &&Allocation| {
            self.fates
                .get(&alloc.id)
                .is_some_and(|it| here(it) || matches!(it, Fate::Away(_)))
        };
        let chain: Vec<&Allocation> = slot
            .members
            .iter()
            .copied()
            .skip_while(|alloc| !self.fates.get(&alloc.id).is_some_and(here))
            .filter(live)
            .collect();
        let leader = self
            .group
            .tasks()
            .iter()
            .find(|task| task.leader)
            .map(|task| task.name.as_str());
        let verdict = reconnect::settle(&chain, self.policy.reconcile, leader);
        for alloc in verdict.not_needed {
            self.stop(alloc, None, reason::NOT_NEEDED);
        }
        let displaced = if is_back {
            reason::RECONNECTED
        } else {
            reason::NOT_NEEDED
        };
        for alloc in verdict.displaced {
            self.stop(alloc, None, displaced);
        }
        for alloc in chain {
            if self.fates.get(&alloc.id) != Some(&Fate::Returning) {
                continue;
            }
            let fate = if alloc.client == ClientStatus::Running {
                self.out.reconnected.push(alloc.id);
                self.counts.reconnect += 1;
                Fate::Known
            } else {
                Fate::Away(Decision::Never)
            };
            self.fates.insert(alloc.id, fate);
        }
    }

    /// Whether an allocation that is back cannot stay, whatever became of its replacements.
    fn is_obsolete(&self, alloc: &Allocation, slot: &Slot<'_>) -> bool {
        let transition = alloc.transition;
        if transition.migrate || transition.reschedule || transition.force_reschedule {
            return true;
        }
        if alloc.job_create_index < self.job.create_index() {
            return true;
        }
        // While a new version is only tried, the one before it is the current one.
        if alloc.job_version >= self.job.version() || (self.rollout.is_canarying() && !alloc.canary) {
            return false;
        }
        let others = || {
            slot.members
                .iter()
                .filter(|it| it.id != alloc.id && self.fates.contains_key(&it.id))
        };
        if others().any(|it| it.job_version > alloc.job_version) {
            return true;
        }
        let stays = (self.input.change)(alloc) != Change::Destructive;
        let irreplaceable = !self.rollout.is_open() && others().next().is_none();
        !stays && !irreplaceable
    }
}
