//! The agent's core as a whole: its state, its one entrance and its one clockwork.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use holdfast_shared::id::{AllocId, IdGenerator};
use holdfast_shared::model::{Fingerprint, Job, MetaChanges, TaskGroup};
use holdfast_shared::time::{Duration, Timestamp};
use holdfast_shared::wire::{Catalog, Held, ToAgent};

use crate::connection::Connection;
use crate::effect::Effect;
use crate::health::Health;
use crate::input::{Input, Link, Now};
use crate::outbox::Outbox;
use crate::record::{AllocRecord, LocalDelta, LocalState, SpecKey, spec_key};
use crate::templates::Templates;

/// Decides what one box runs.
#[derive(Debug)]
pub struct Agent {
    pub(crate) now: Now,
    pub(crate) ids: IdGenerator,
    pub(crate) held: Held,
    pub(crate) allocs: BTreeMap<AllocId, AllocRecord>,
    pub(crate) jobs: BTreeMap<SpecKey, Arc<Job>>,
    pub(crate) catalog: Catalog,
    pub(crate) fingerprint: Option<Box<Fingerprint>>,
    pub(crate) connection: Connection,
    pub(crate) outbox: Outbox,
    pub(crate) health: Health,
    pub(crate) templates: Templates,
    /// Allocations that run here and whose records were lost: reported, and left alone until the coordinator says what is
    /// to become of them.
    pub(crate) orphans: BTreeSet<AllocId>,
    /// Allocations that begin anew, once everything of theirs has ended. Stored: what was begun is finished, whoever is
    /// killed meanwhile.
    pub(crate) beginning_anew: BTreeSet<AllocId>,
    /// What operators changed of the node's meta.
    pub(crate) meta: MetaChanges,
    /// Allocations whose record changed in this step.
    dirty: BTreeSet<AllocId>,
    deltas: Vec<LocalDelta>,
    effects: Vec<Effect>,
}

impl Agent {
    /// Takes up what the store holds. `same_boot` tells whether the box has not been rebooted since: only then do the
    /// monotonic times in the records mean anything. The effects ask drivers what became of the tasks.
    pub fn restore(seed: u128, state: LocalState, same_boot: bool, now: Now) -> (Self, Vec<Effect>) {
        let jobs = state
            .specs
            .iter()
            .filter_map(|spec| Some((spec_key(spec), Arc::new(spec.job().ok()?))))
            .collect();
        let mut agent = Self {
            now,
            ids: IdGenerator::from_seed(seed),
            held: state.held,
            allocs: state.allocs,
            jobs,
            catalog: state.catalog,
            fingerprint: None,
            connection: Connection::new(now.mono),
            outbox: Outbox::default(),
            health: Health::default(),
            templates: Templates::default(),
            orphans: BTreeSet::new(),
            beginning_anew: state.beginning_anew,
            meta: state.meta,
            dirty: BTreeSet::new(),
            deltas: Vec::new(),
            effects: Vec::new(),
        };
        for id in agent.alloc_ids() {
            agent.restore_alloc(id, same_boot);
        }
        let effects = agent.finish();
        (agent, effects)
    }

    /// Decides. Never blocks, never fails, never reads a clock.
    pub fn handle(&mut self, now: Now, input: Input) -> Vec<Effect> {
        self.now = now;
        match input {
            Input::Message(message) => {
                self.connection.heard(now.mono);
                self.on_message(message);
            }
            Input::Link(Link::Up { session }) => self.on_link_up(session),
            Input::Link(Link::Down) => self.on_link_down(),
            Input::Fingerprint(fingerprint) => self.on_fingerprint(fingerprint),
            Input::Prepared(alloc, result) => self.on_prepared(alloc, result),
            Input::Rendered(task, result) => self.on_rendered(&task, result),
            Input::Task(task, input) => self.on_task(&task, input),
            Input::Orphan(alloc) => self.on_orphan(alloc),
            Input::Check(check, passing) => self.on_check(check, passing),
            Input::Timeout => {}
        }
        self.on_time();
        self.finish()
    }

    /// When [`Input::Timeout`] should come, in monotonic time. Any call of [`handle`](Self::handle) may change it.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let allocs = self
            .allocs
            .values()
            .filter_map(|record| self.alloc_timeout(record));
        let rest = [
            self.outbox.timeout(),
            self.connection_timeout(),
            self.health.timeout(),
            self.templates.timeout(),
        ];
        allocs.chain(rest.into_iter().flatten()).min()
    }

    /// An allocation.
    pub fn alloc(&self, id: AllocId) -> Option<&AllocRecord> {
        self.allocs.get(&id)
    }

    /// All allocations, ordered by id.
    pub fn allocs(&self) -> impl Iterator<Item = &AllocRecord> {
        self.allocs.values()
    }

    /// The job version that an allocation runs.
    pub fn job(&self, record: &AllocRecord) -> Option<&Arc<Job>> {
        self.jobs.get(&SpecKey::of(&record.assigned))
    }

    /// The last known services.
    pub const fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// What operators changed of the node's meta.
    pub const fn meta(&self) -> &MetaChanges {
        &self.meta
    }

    /// The newest assignment set it has stored.
    pub const fn held(&self) -> Held {
        self.held
    }

    /// Whether there is contact, and since when (monotonic).
    pub const fn link(&self) -> (bool, Timestamp) {
        self.connection.status()
    }

    /// How many allocations have news that the coordinator has not acknowledged.
    pub fn outbox_depth(&self) -> usize {
        self.allocs
            .values()
            .filter(|record| record.revision > record.acknowledged)
            .count()
    }

    pub(crate) fn alloc_ids(&self) -> Vec<AllocId> {
        self.allocs.keys().copied().collect()
    }

    /// The job and the group of an allocation; `None` when its specification is missing or broken.
    pub(crate) fn job_of(&self, id: AllocId) -> Option<Arc<Job>> {
        self.allocs.get(&id).and_then(|record| self.job(record)).cloned()
    }

    pub(crate) fn effect(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    pub(crate) fn persist(&mut self, delta: LocalDelta) {
        self.deltas.push(delta);
    }

    /// Marks that the record of `id` changed and must be stored.
    pub(crate) fn touch(&mut self, id: AllocId) {
        self.dirty.insert(id);
    }

    /// Marks that the record of `id` changed in a way that the coordinator must hear of.
    pub(crate) fn report(&mut self, id: AllocId) {
        if let Some(record) = self.allocs.get_mut(&id) {
            record.revision += 1;
            self.dirty.insert(id);
        }
    }

    /// A random part of `longest`.
    pub(crate) fn jitter(&mut self, longest: Duration) -> Duration {
        let bound = u64::try_from(longest.0).unwrap_or(0);
        if bound == 0 {
            Duration::ZERO
        } else {
            Duration((self.ids.next_u64() % bound) as i64)
        }
    }

    fn on_message(&mut self, message: ToAgent) {
        match message {
            ToAgent::Assignments(assignments) => self.on_assignments(assignments),
            ToAgent::Ack { session, seq } => self.on_ack(session, seq),
            ToAgent::Catalog(catalog) => self.on_catalog(catalog),
            ToAgent::ReportAll => self.register(),
            ToAgent::Order(order) => self.on_order(order),
        }
    }

    fn on_time(&mut self) {
        self.on_stop_after_disconnect();
        for id in self.alloc_ids() {
            self.advance(id);
        }
        self.on_health_time();
        self.on_template_time();
        self.on_heartbeat_time();
        self.publish_reports();
    }

    /// Everything this step came to: first what must be durable, then what depends on it.
    fn finish(&mut self) -> Vec<Effect> {
        let mut deltas = std::mem::take(&mut self.deltas);
        for id in std::mem::take(&mut self.dirty) {
            if let Some(record) = self.allocs.get(&id) {
                deltas.push(LocalDelta::Alloc(Box::new(record.clone())));
            }
        }
        let effects = std::mem::take(&mut self.effects);
        if deltas.is_empty() {
            return effects;
        }
        std::iter::once(Effect::Persist(deltas)).chain(effects).collect()
    }
}

/// The group that an allocation runs.
pub(crate) fn group_of<'a>(job: &'a Job, record: &AllocRecord) -> Option<&'a TaskGroup> {
    job.group(&record.assigned.group)
}
