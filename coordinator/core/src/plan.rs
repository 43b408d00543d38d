//! The plan: what an evaluation changes. Finds a place for everything that is to be placed, and writes it all down.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use holdfast_shared::id::{AllocId, DeploymentId, EvalId, JobKey, NodeId};
use holdfast_shared::model::{
    Allocation, ByName, ClientStatus, DesiredStatus, DesiredTransition, EvalStatus, Evaluation, Job, Packed,
    Phrase, PlacementReport, Rare, Seldom, Tally, TaskGroup, Trigger,
};
use holdfast_shared::time::Timestamp;

use crate::admit::cancel;
use crate::broker::Broker;
use crate::deployment;
use crate::ledger::Ledger;
use crate::reconciler::{
    Changes, FOLLOW_UP_BATCH, Later, Place, PlaceKind, Report, Stop, reason, reschedule,
};
use crate::scheduler::{Placement, Rules, Scheduler, Wanted};
use crate::state::State;

/// Writes down what one evaluation changes.
pub(crate) struct Plan<'a> {
    ledger: &'a mut Ledger,
    /// The state before this evaluation.
    before: &'a State,
    job: Option<&'a Job>,
    eval: Evaluation,
    deployment: Option<DeploymentId>,
    /// What was placed or taken along for the deployment: groups, and allocations that are canaries.
    placed: Vec<(&'a str, Option<AllocId>)>,
    /// Jobs whose allocations gave way.
    preempted: BTreeSet<JobKey>,
    failed: BTreeMap<String, PlacementReport>,
    queued: BTreeMap<String, u64>,
}

impl<'a> Plan<'a> {
    pub(crate) fn new(
        ledger: &'a mut Ledger,
        before: &'a State,
        job: Option<&'a Job>,
        eval: Evaluation,
    ) -> Self {
        Self {
            ledger,
            before,
            job,
            eval,
            deployment: None,
            placed: Vec::new(),
            preempted: BTreeSet::new(),
            failed: BTreeMap::new(),
            queued: BTreeMap::new(),
        }
    }

    /// Carries out everything that was found to be necessary.
    pub(crate) fn apply(&mut self, changes: &Changes) {
        self.settle_deployment(changes);
        // A failed allocation only ends when its successor is placed: otherwise its history would be lost.
        let conditional: BTreeSet<AllocId> = changes
            .places
            .iter()
            .filter(|place| matches!(place.kind, PlaceKind::Reschedule(_)))
            .filter_map(|place| place.replaces)
            .collect();
        for stop in changes
            .stops
            .iter()
            .filter(|stop| !conditional.contains(&stop.alloc))
        {
            self.stop(stop);
        }
        for id in &changes.unknown {
            self.mark_unknown(*id);
        }
        for id in &changes.reconnected {
            self.take_back(*id);
        }
        for id in &changes.in_place {
            self.update_in_place(*id);
        }
        self.follow_up(&changes.later);
        for at in &changes.timeouts {
            let text = "created for delayed disconnect timeout";
            self.delayed_eval(Trigger::MaxDisconnectTimeout, *at, text);
        }
        self.place_all(changes, &conditional);
        self.drop_timeouts();
        if let Some(id) = self.deployment {
            let placed = std::mem::take(&mut self.placed);
            if !placed.is_empty() {
                deployment::count_placed(self.ledger, id, placed);
            }
            if changes.deployed {
                deployment::succeed(self.ledger, id);
            } else if !changes.in_place.is_empty() {
                self.look_again(id);
            }
        }
    }

    /// An update in place may have been the last thing to do, and nobody may report anything that shows it: the agent
    /// may be out of contact.
    fn look_again(&mut self, deployment: DeploymentId) {
        let mut eval = self.ledger.new_eval(&self.eval.job, Trigger::DeploymentWatcher);
        eval.deployment = Some(deployment);
        self.ledger.put_eval(eval);
    }

    /// Ends the evaluation; what found no place waits for capacity.
    pub(crate) fn complete(mut self, broker: &Broker, report: Report) -> Evaluation {
        let waiting = broker.blocked_of(&self.eval.job).filter(|id| *id != self.eval.id);
        if let Some(old) = waiting {
            cancel(self.ledger, old, "canceled by a newer evaluation");
        }
        self.eval.plan = report.groups.into();
        self.eval.status = EvalStatus::Complete;
        self.eval.status_description = String::new();
        let none = self
            .job
            .iter()
            .flat_map(|job| job.groups())
            .map(|it| (it.name(), 0));
        let some = self.queued.iter().map(|(group, count)| (group.as_str(), *count));
        self.eval.queued = none.chain(some).collect::<Tally>().into();
        let failed = std::mem::take(&mut self.failed).into_iter();
        self.eval.failed_placements = failed.map(|(group, report)| (group, Arc::new(report))).collect();
        self.eval.deployment = self.eval.deployment.or(self.deployment);
        if !self.eval.failed_placements.is_empty() {
            let mut blocked = self.ledger.new_eval(&self.eval.job, Trigger::QueuedAllocs);
            blocked.status = EvalStatus::Blocked;
            "created to place remaining allocations".clone_into(&mut blocked.status_description);
            blocked.priority = self.eval.priority;
            blocked.failed_placements = self.eval.failed_placements.clone();
            blocked.queued = self.queued.into_iter().collect::<Tally>().into();
            blocked.previous = Some(self.eval.id);
            self.eval.blocked = Some(blocked.id);
            self.ledger.put_eval(blocked);
        }
        self.ledger.put_eval(self.eval.clone());
        self.eval
    }

    /// Cancels what is pointless, creates what is needed.
    fn settle_deployment(&mut self, changes: &Changes) {
        if let Some((id, why)) = changes.cancel {
            deployment::cancel(self.ledger, id, why);
        }
        let Some(job) = self.job else { return };
        self.deployment = match &changes.deployment {
            Some(groups) => Some(deployment::create(self.ledger, job, groups.clone())),
            None => deployment::current(&self.ledger.state, job),
        };
    }

    fn alloc(&self, id: AllocId) -> Option<Allocation> {
        self.ledger.state.allocs.get(&id).map(|alloc| (**alloc).clone())
    }

    fn stop(&mut self, stop: &Stop) {
        let Some(mut alloc) = self.alloc(stop.alloc) else {
            return;
        };
        alloc.desired = DesiredStatus::Stop;
        alloc.desired_description = stop.reason.into();
        if stop.client == Some(ClientStatus::Lost) && alloc.client.on_lost() {
            alloc.client_description = stop.reason.into();
            alloc.client_history.push((ClientStatus::Lost, self.ledger.now));
        }
        let followup = alloc.followup_eval.take();
        self.ledger.decide_alloc(alloc);
        self.drop_followup(followup);
    }

    /// Its node is out of contact.
    fn mark_unknown(&mut self, id: AllocId) {
        let Some(mut alloc) = self.alloc(id) else { return };
        if alloc.client.on_disconnect() {
            alloc.client_description = reason::UNKNOWN.into();
            alloc
                .client_history
                .push((ClientStatus::Unknown, self.ledger.now));
            self.ledger.decide_alloc(alloc);
        }
    }

    /// It is back and stays: an ordinary allocation again.
    fn take_back(&mut self, id: AllocId) {
        let Some(mut alloc) = self.alloc(id) else { return };
        alloc
            .client_history
            .push((ClientStatus::Running, self.ledger.now));
        let followup = alloc.followup_eval.take();
        self.ledger.decide_alloc(alloc);
        self.drop_followup(followup);
    }

    /// Cancels a follow-up evaluation that nobody waits for any more.
    fn drop_followup(&mut self, id: Option<EvalId>) {
        let Some(id) = id else { return };
        let shared = self
            .ledger
            .state
            .allocs_of_job(&self.eval.job)
            .any(|it| it.followup_eval.get() == Some(id) && !it.is_terminal());
        if id != self.eval.id && !shared {
            cancel(self.ledger, id, "allocs reconnected");
        }
    }

    /// Cancels the evaluations that look after what is out of contact once nothing is: an instance of a periodic job would
    /// wait for them, and the next one for it.
    fn drop_timeouts(&mut self) {
        let away = |it: &Arc<Allocation>| it.client == ClientStatus::Unknown && !it.is_terminal();
        if self.ledger.state.allocs_of_job(&self.eval.job).any(away) {
            return;
        }
        let pointless = |it: &&Arc<Evaluation>| {
            it.trigger == Trigger::MaxDisconnectTimeout && !it.status.is_terminal() && it.id != self.eval.id
        };
        let evals = self.ledger.state.evals_of_job(&self.eval.job).filter(pointless);
        let ids: Vec<EvalId> = evals.map(|it| it.id).collect();
        for id in ids {
            cancel(self.ledger, id, "allocs reconnected");
        }
    }

    fn update_in_place(&mut self, id: AllocId) {
        let (Some(mut alloc), Some(job)) = (self.alloc(id), self.job) else {
            return;
        };
        alloc.job_version = job.version();
        alloc.job_create_index = job.create_index();
        alloc.eval = self.eval.id;
        if let Some(deployment) = self.deployment_for(&alloc.group) {
            alloc.deployment = Some(deployment);
            alloc.health = None;
            let group = job.group(&alloc.group).map_or("", TaskGroup::name);
            self.placed.push((group, alloc.canary.then_some(id)));
        }
        self.ledger.decide_alloc(alloc);
    }

    /// The deployment that allocations of the group belong to.
    fn deployment_for(&self, group: &str) -> Option<DeploymentId> {
        let id = self.deployment?;
        let deployment = self.ledger.state.deployments.get(&id)?;
        (deployment.status.is_active() && deployment.groups.contains_key(group)).then_some(id)
    }

    /// Evaluations for what is to be placed later; what is due at about the same time shares one.
    fn follow_up(&mut self, later: &[Later]) {
        let mut later = later.to_vec();
        later.sort_by_key(|it| (it.at, it.alloc));
        let mut batch: Option<(Timestamp, EvalId)> = None;
        for entry in later {
            let Some(mut alloc) = self.alloc(entry.alloc) else {
                continue;
            };
            let shared = batch.filter(|(first, _)| entry.at.since(*first) < FOLLOW_UP_BATCH);
            let (_, eval) = *batch.insert(shared.unwrap_or_else(|| {
                let trigger = match alloc.client {
                    ClientStatus::Unknown => Trigger::AllocReschedule,
                    _ => Trigger::AllocFailure,
                };
                (
                    entry.at,
                    self.delayed_eval(trigger, entry.at, "created for delayed rescheduling"),
                )
            }));
            alloc.followup_eval = eval.into();
            self.ledger.put_alloc(alloc);
        }
    }

    fn delayed_eval(&mut self, trigger: Trigger, at: Timestamp, text: &str) -> EvalId {
        let mut eval = self.ledger.new_eval(&self.eval.job, trigger);
        eval.wait_until = at;
        eval.previous = Some(self.eval.id);
        text.clone_into(&mut eval.status_description);
        let id = eval.id;
        self.ledger.put_eval(eval);
        id
    }

    fn place_all(&mut self, changes: &Changes, conditional: &BTreeSet<AllocId>) {
        if changes.places.is_empty() && changes.destructive.is_empty() {
            return;
        }
        let seed = self.eval.id.0 ^ u128::from(self.before.index);
        let Some(job) = self.job else { return };
        let rules = Rules::of(self.before, job, self.ledger.options.node_limit);
        let mut scheduler = Scheduler::new(self.before, rules, seed);
        for stop in &changes.stops {
            scheduler.release(&mut self.ledger.fleet, &self.ledger.state, stop.alloc);
        }
        for place in &changes.places {
            if self.place(&mut scheduler, place)
                && let Some(replaced) = place.replaces
                && conditional.contains(&replaced)
                && let Some(stop) = changes.stops.iter().find(|it| it.alloc == replaced)
            {
                self.stop(stop);
            }
        }
        for place in &changes.destructive {
            let Some(old) = place.replaces else { continue };
            scheduler.release(&mut self.ledger.fleet, &self.ledger.state, old);
            if self.place(&mut scheduler, place) {
                self.stop(&Stop {
                    alloc: old,
                    client: None,
                    reason: reason::UPDATED,
                });
            } else {
                scheduler.withhold(&mut self.ledger.fleet, old);
            }
        }
        scheduler.finish(&mut self.ledger.fleet);
        for job in std::mem::take(&mut self.preempted) {
            self.ledger.evaluate(&job, Trigger::Preemption);
        }
    }

    /// An allocation gives way to another one.
    fn push_out(&mut self, victim: AllocId, by: AllocId) {
        let Some(mut alloc) = self.alloc(victim) else {
            return;
        };
        alloc.desired = DesiredStatus::Evict;
        alloc.desired_description = format!("Preempted by alloc ID {by}").as_str().into();
        alloc.preempted_by = by.into();
        self.preempted.insert(alloc.job.clone());
        self.ledger.decide_alloc(alloc);
    }

    /// Finds a place, and takes it. Answers whether there was one.
    fn place(&mut self, scheduler: &mut Scheduler<'a>, place: &Place) -> bool {
        let Some(current) = self.job else { return false };
        let older = place
            .version
            .and_then(|version| self.before.versions.get(&(current.key(), version)));
        let job = older.map_or(current, |job| &**job);
        let Some(group) = job.group(&place.group) else {
            return false;
        };
        if let Some(report) = self.failed.get_mut(&place.group).filter(|_| place.node.is_none()) {
            report.coalesced_failures += 1;
            *self.queued.entry(place.group.clone()).or_default() += 1;
            return false;
        }
        match self.find(scheduler, place, (job, group)) {
            Ok(mut placement) => {
                let evicts = std::mem::take(&mut placement.evicts);
                let alloc = self.new_alloc(job, place, placement);
                evicts
                    .into_iter()
                    .for_each(|victim| self.push_out(victim, alloc.id));
                self.link(place, &alloc);
                if alloc.deployment.is_some() {
                    self.placed.push((group.name(), alloc.canary.then_some(alloc.id)));
                }
                scheduler.take(&self.ledger.fleet, group, alloc.node);
                self.ledger.decide_alloc(alloc);
                true
            }
            Err(report) => {
                self.failed.insert(place.group.clone(), *report);
                *self.queued.entry(place.group.clone()).or_default() += 1;
                false
            }
        }
    }

    fn find(
        &mut self,
        scheduler: &mut Scheduler<'a>,
        place: &Place,
        (job, group): (&'a Job, &'a TaskGroup),
    ) -> Result<Placement, Box<PlacementReport>> {
        let previous = place.replaces.and_then(|id| self.before.allocs.get(&id));
        let penalized: BTreeSet<NodeId> = previous
            .filter(|_| matches!(place.kind, PlaceKind::Reschedule(_)))
            .map(|previous| {
                let failed = (previous.client == ClientStatus::Failed).then_some(previous.node);
                previous
                    .reschedules
                    .iter()
                    .map(|event| event.previous_node)
                    .chain(failed)
                    .collect()
            })
            .unwrap_or_default();
        let sticky = group
            .ephemeral_disk
            .as_ref()
            .is_some_and(|disk| disk.sticky == Some(true));
        let mut wanted = Wanted {
            job,
            group,
            penalized: &penalized,
            only: place.node,
        };
        if sticky
            && place.kind != PlaceKind::Migrate
            && let Some(previous) = previous
        {
            wanted.only = Some(previous.node);
            if let Ok(placement) = scheduler.place(&mut self.ledger.fleet, &self.ledger.state, &wanted) {
                return Ok(placement);
            }
            wanted.only = place.node;
        }
        scheduler.place(&mut self.ledger.fleet, &self.ledger.state, &wanted)
    }

    /// Ties the allocation to the one it replaces.
    fn link(&mut self, place: &Place, alloc: &Allocation) {
        if let Some(mut previous) = place.replaces.and_then(|id| self.alloc(id)) {
            previous.next = alloc.id.into();
            self.ledger.put_alloc(previous);
        }
    }

    fn new_alloc(&mut self, job: &Job, place: &Place, placement: Placement) -> Allocation {
        let previous = place.replaces.and_then(|id| self.alloc(id));
        let reschedules = match (&previous, place.kind) {
            (Some(previous), PlaceKind::Reschedule(delay)) => {
                let group = job.group(&place.group);
                let policy = group.and_then(|group| group.reschedule_policy(job.job_type()));
                reschedule::history(policy.as_ref(), previous, delay, self.ledger.now)
            }
            _ => Rare::default(),
        };
        let deployment = self
            .deployment_for(&place.group)
            .filter(|_| place.version.is_none());
        // A canary of an older deployment has no heir in this one.
        let inherits = |it: &Allocation| it.canary && it.deployment == deployment;
        let is_canary = place.kind == PlaceKind::Canary || previous.as_ref().is_some_and(inherits);
        Allocation {
            id: AllocId::generate(&mut self.ledger.ids),
            name: place.name.as_str().into(),
            job: self.eval.job.clone(),
            job_version: job.version(),
            job_create_index: job.create_index(),
            group: place.group.as_str().into(),
            node: placement.node,
            eval: self.eval.id,
            desired: DesiredStatus::Run,
            desired_description: Phrase::default(),
            transition: DesiredTransition::default(),
            client: ClientStatus::Pending,
            client_description: Phrase::default(),
            client_history: Rare::default(),
            task_states: ByName::default(),
            deployment,
            health: None,
            canary: is_canary && deployment.is_some(),
            followup_eval: Seldom::default(),
            previous: place.replaces.into(),
            next: Seldom::default(),
            reschedules,
            resources: placement.resources,
            ports: placement.ports.into(),
            network: None,
            report: Packed::of(&placement.report),
            preempted_by: Seldom::default(),
            create_index: 0,
            modify_index: 0,
            alloc_modify_index: 0,
            create_time: Timestamp::ZERO,
            modify_time: Timestamp::ZERO,
        }
    }
}
