//! Accepting what the coordinator assigns: newer generations only, stored before anything is done about them.

use std::sync::Arc;

use holdfast_shared::id::AllocId;
use holdfast_shared::model::{ClientStatus, Job, Packed, TaskEvent};
use holdfast_shared::wire::{Assigned, Assignments, FromAgent, Held, JobSpec};

use crate::agent::Agent;
use crate::effect::Effect;
use crate::record::{AllocRecord, LocalDelta, SpecKey, TaskPhase, TaskRecord, spec_key};

/// Allocations that are over, and acknowledged, stay for people to look at; beyond this number the oldest go.
const TERMINAL_ALLOCS_MAX: usize = 50;

impl Agent {
    pub(crate) fn on_assignments(&mut self, set: Assignments) {
        let offered = Held {
            epoch: set.epoch,
            generation: set.generation,
        };
        if offered <= self.held {
            return;
        }
        // Of whichever epoch: the coordinator only builds on what it knows to be its own.
        let gap = set.base.is_some_and(|base| base != self.held.generation);
        let whole = set.base.is_none();
        // A whole set is all there is to have: what it does not explain fails, visibly, instead of being asked for again.
        let specs_missing = !whole
            && set.allocs.iter().any(|assigned| {
                let key = SpecKey::of(assigned);
                assigned.run
                    && !self.jobs.contains_key(&key)
                    && !set.jobs.iter().any(|spec| spec_key(spec) == key)
            });
        if gap || specs_missing {
            self.ask_for_the_whole_set();
            return;
        }
        // Another lineage of the coordinator's state: what the lost one counted says nothing.
        let counts_anew = offered.epoch > self.held.epoch;
        self.held = offered;
        self.persist(LocalDelta::Held(offered));
        for spec in set.jobs {
            self.accept_spec(spec);
        }
        let assigned_ids: Vec<AllocId> = set.allocs.iter().map(|assigned| assigned.id).collect();
        for assigned in set.allocs {
            self.accept(assigned, counts_anew);
        }
        for id in set.stop {
            self.stop_disowned(id);
        }
        if whole {
            self.forget_terminal(|id| !assigned_ids.contains(&id));
        }
        self.forget_unused_specs();
    }

    /// A heartbeat that claims to hold nothing of this epoch: the coordinator answers with the whole set. Saying what it
    /// really holds would bring the same delta again, and again.
    fn ask_for_the_whole_set(&mut self) {
        if let Some(session) = self.connection.session() {
            let held = Held {
                generation: 0,
                ..self.held
            };
            self.effect(Effect::Publish(FromAgent::Heartbeat { session, held }));
        }
    }

    fn accept_spec(&mut self, spec: JobSpec) {
        // A specification that cannot be read fails its allocations, visibly, when they are accepted.
        if let Ok(job) = spec.job() {
            self.jobs.insert(spec_key(&spec), Arc::new(job));
            self.persist(LocalDelta::Spec(spec));
        }
    }

    fn accept(&mut self, assigned: Assigned, counts_anew: bool) {
        let id = assigned.id;
        let Some(record) = self.allocs.get_mut(&id) else {
            self.accept_new(assigned);
            return;
        };
        if assigned.alloc_modify_index < record.assigned.alloc_modify_index && !counts_anew {
            return;
        }
        let (run, reconnected) = (
            assigned.run,
            assigned.unknown && assigned.run && !record.client.is_terminal(),
        );
        let updated = assigned.job_version != record.assigned.job_version;
        let previous = assigned.previous.or(record.assigned.previous);
        record.assigned = if run {
            Assigned { previous, ..assigned }
        } else {
            // It ends as what it is: the specification of a version that it should have become never came here.
            Assigned {
                previous,
                job_version: record.assigned.job_version,
                job_create_index: record.assigned.job_create_index,
                ..assigned
            }
        };
        if reconnected {
            self.record_reconnect(id);
        }
        self.touch(id);
        if !run {
            self.begin_stop(id, "stopped by the coordinator");
        } else {
            self.decide_health_again(id, updated);
        }
    }

    /// Something runs here that nobody here knows. It is left alone: absence is no order. Unless its allocation is over.
    pub(crate) fn on_orphan(&mut self, id: AllocId) {
        match self.allocs.get(&id) {
            Some(record) if record.client.is_terminal() => self.effect(Effect::Sweep(id)),
            Some(_) => {}
            None if self.orphans.insert(id) => self.report_all(),
            None => {}
        }
    }

    fn accept_new(&mut self, assigned: Assigned) {
        let id = assigned.id;
        // Starting its tasks adopts what runs.
        self.orphans.remove(&id);
        let job = self.jobs.get(&SpecKey::of(&assigned)).cloned();
        let mut record = new_record(assigned, job.as_deref());
        if !record.assigned.run {
            // It should end and is not known here: whatever the drivers still have of it goes.
            record.stopping = true;
            let over = ClientStatus::Complete;
            end_unstarted(&mut record, over, over.of_tasks());
            self.allocs.insert(id, record);
            self.effect(Effect::Destroy(id));
        } else if record.tasks.is_empty() {
            let text = "its job specification has no such group or cannot be read";
            end_unstarted(&mut record, ClientStatus::Failed, text);
            self.allocs.insert(id, record);
        } else {
            for task in record.tasks.values_mut() {
                task.event(self.now, "Received", "Task received by client");
            }
            self.allocs.insert(id, record);
            self.effect(Effect::Prepare(id));
            self.watch_health(id);
        }
        self.report(id);
    }

    /// The coordinator held it for unknown: it learns, and people see, that it was there all the time.
    fn record_reconnect(&mut self, id: AllocId) {
        if let Some(record) = self.allocs.get_mut(&id) {
            for task in record.tasks.values_mut() {
                task.event(self.now, "Reconnected", "Client reconnected");
            }
        }
        self.report(id);
    }

    /// The coordinator does not know it (any more) and says so explicitly: it ends, and is forgotten once it has.
    fn stop_disowned(&mut self, id: AllocId) {
        match self.allocs.get(&id) {
            Some(record) if record.client.is_terminal() => self.forget(id),
            Some(_) => self.begin_stop(id, "the coordinator does not know this allocation"),
            None if self.orphans.remove(&id) => self.effect(Effect::Destroy(id)),
            None => {}
        }
    }

    /// Keeps the last few allocations that are over and acknowledged, for people to look at.
    pub(crate) fn forget_what_is_over(&mut self) {
        let mut over: Vec<(u64, AllocId)> = self
            .allocs
            .values()
            .filter(|record| is_over(record))
            .map(|record| (record.assigned.alloc_modify_index, record.assigned.id))
            .collect();
        over.sort_unstable();
        let surplus = over.len().saturating_sub(TERMINAL_ALLOCS_MAX);
        for (_, id) in over.into_iter().take(surplus) {
            self.forget(id);
        }
    }

    fn forget_terminal(&mut self, gone: impl Fn(AllocId) -> bool) {
        let ids: Vec<AllocId> = self
            .allocs
            .values()
            .filter(|record| is_over(record))
            .map(|record| record.assigned.id)
            .collect();
        for id in ids.into_iter().filter(|id| gone(*id)) {
            self.forget(id);
        }
    }

    fn forget(&mut self, id: AllocId) {
        self.allocs.remove(&id);
        self.health.forget(id);
        self.templates.forget(id);
        self.set_beginning_anew(id, false);
        self.persist(LocalDelta::RemoveAlloc(id));
        self.effect(Effect::Destroy(id));
    }

    fn forget_unused_specs(&mut self) {
        let used: Vec<SpecKey> = self
            .allocs
            .values()
            .map(|record| SpecKey::of(&record.assigned))
            .collect();
        let unused: Vec<SpecKey> = self
            .jobs
            .keys()
            .filter(|key| !used.contains(key))
            .cloned()
            .collect();
        for key in unused {
            self.jobs.remove(&key);
            self.persist(LocalDelta::RemoveSpec(key));
        }
    }
}

fn is_over(record: &AllocRecord) -> bool {
    record.client.is_terminal()
        && record.acknowledged >= record.revision
        && record.tasks.values().all(|task| task.phase == TaskPhase::Dead)
}

fn new_record(assigned: Assigned, job: Option<&Job>) -> AllocRecord {
    let group = job.and_then(|job| job.group(&assigned.group));
    let tasks = group.map(|group| group.tasks()).unwrap_or_default();
    AllocRecord {
        tasks: tasks
            .iter()
            .map(|task| (task.name.clone(), TaskRecord::default()))
            .collect(),
        assigned,
        stopping: false,
        stop_reason: String::new(),
        kill_at: holdfast_shared::time::Timestamp::ZERO,
        prepared: false,
        client: ClientStatus::Pending,
        description: ClientStatus::Pending.of_tasks().into(),
        healthy: None,
        revision: 0,
        acknowledged: 0,
    }
}

fn end_unstarted(record: &mut AllocRecord, client: ClientStatus, text: &str) {
    record.client = client;
    record.description = text.into();
    for task in record.tasks.values_mut() {
        task.phase.on_dead();
        task.state.state = holdfast_shared::model::TaskRunState::Dead;
    }
}

impl TaskRecord {
    /// Records something that happened, and forgets what happened too long ago.
    pub(crate) fn event(&mut self, now: crate::input::Now, kind: &str, message: &str) {
        self.push_event(TaskEvent {
            kind: kind.into(),
            time: now.wall,
            message: message.into(),
            ..TaskEvent::default()
        });
    }

    /// As [`event`](Self::event), for events that carry more than a text.
    pub(crate) fn push_event(&mut self, event: TaskEvent) {
        const EVENTS_MAX: usize = 10;
        let mut events = self.state.events.open();
        if events.len() >= EVENTS_MAX {
            events.remove(0);
        }
        events.push(event);
        self.state.events = Packed::of(&events);
    }
}
