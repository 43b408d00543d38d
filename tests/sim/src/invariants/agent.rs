//! What must hold on boxes: S1, S2, S3, S5, S14, and that they only act on what is on their disk (S10).

use std::collections::BTreeSet;

use holdfast_agent_core::{AllocRecord, LocalDelta, TaskPhase, TaskRecord, TaskRef};
use holdfast_shared::id::AllocId;
use holdfast_shared::model::ClientStatus;
use holdfast_shared::time::Duration;
use holdfast_shared::wire::Held;

use crate::device::Device;
use crate::jobs;
use crate::world::World;

/// How much later than asked for a task may be told to end because contact is gone.
const STOP_SLACK: Duration = Duration::from_secs(5);

/// What an agent must not forget about an allocation. (What it finds out again, or may hear again, it need not store.)
fn decided(record: &AllocRecord) -> (AllocId, u64, bool, bool, ClientStatus, Option<bool>, u64) {
    let assigned = &record.assigned;
    let (index, run) = (assigned.alloc_modify_index, assigned.run);
    let (client, healthy) = (record.client, record.healthy);
    (
        assigned.id,
        index,
        run,
        record.stopping,
        client,
        healthy,
        record.revision,
    )
}

impl Device {
    pub(crate) fn record(&self, alloc: AllocId) -> Option<&AllocRecord> {
        self.agent()?.alloc(alloc)
    }

    fn stop_on_client_after(&self, record: &AllocRecord) -> Option<Duration> {
        let job = self.agent()?.job(record)?;
        job.group(&record.assigned.group)?
            .disconnect_policy()
            .stop_on_client_after
    }
}

impl World {
    /// S2 and S1: a newer set was accepted, and it came from who may give orders.
    pub(crate) fn on_accepted(&mut self, number: usize, before: Held, after: Held, lineage: Option<usize>) {
        let name = self.name_of_box(number);
        if after < before {
            self.invariants
                .find("S2", || format!("{name} goes from {before:?} to {after:?}"));
        }
        let Some(lineage) = lineage else {
            self.invariants
                .find("S2", || format!("{name} holds {after:?}, which nobody sent"));
            return;
        };
        let origin = std::mem::replace(&mut self.invariants.boxes[number].origin, lineage);
        if !self.may_give_orders(number, lineage, origin, before) {
            self.invariants.find("S1", || {
                format!(
                    "{name} holds {before:?} and obeys an older copy of the coordinator's state: {after:?}"
                )
            });
        }
    }

    /// Whether coordinator state of this lineage has seen what a box holds, or is the truth by the operator's word.
    fn may_give_orders(&self, number: usize, lineage: usize, origin: usize, held: Held) -> bool {
        if held == Held::default() {
            return true;
        }
        let node = self.devices[number].id;
        let mut at = lineage;
        while at != origin {
            let of = &self.host.lineages[at];
            if of.is_adopted && at == lineage {
                return true;
            }
            if at == 0 {
                return false;
            }
            let known = of.known.get(&node).copied();
            if !of.is_adopted && known.is_none_or(|known| (held.epoch, held.generation) > known) {
                return false;
            }
            at = of.parent;
        }
        true
    }

    /// S1: whoever is to end from now on has a cause.
    pub(crate) fn check_agent(&mut self, number: usize, deltas: &[LocalDelta]) {
        for delta in deltas {
            if let LocalDelta::Alloc(record) = delta
                && record.stopping
            {
                self.check_end(number, record.assigned.id, "is to end");
            }
        }
    }

    /// S1: the end of an allocation needs a cause.
    pub(crate) fn check_end(&mut self, number: usize, alloc: AllocId, what: &str) {
        if !self.has_cause(number, alloc) {
            let name = self.name_of_box(number);
            self.invariants.find("S1", || {
                format!("allocation {} on {name} {what} without a cause", alloc.short())
            });
        }
    }

    /// S3: what is started does not run already, as far as this agent process was told. S14: its turn has come.
    pub(crate) fn check_start(&mut self, number: usize, task: &TaskRef) {
        if self.devices[number].podman.is_live(task) {
            let name = self.name_of_box(number);
            self.invariants
                .find("S3", || format!("{task} runs on {name} and is started once more"));
        }
        let record = self.devices[number].record(task.alloc);
        let init = record.and_then(|record| record.tasks.get(jobs::INIT));
        let has_ended = |init: &TaskRecord| init.phase == TaskPhase::Dead && !init.state.failed;
        if task.task == jobs::TASK && !init.is_none_or(has_ended) {
            let name = self.name_of_box(number);
            self.invariants.find("S14", || {
                format!("{task} starts on {name} before what comes before it has ended well")
            });
        }
    }

    /// S1: a task that runs is stopped.
    pub(crate) fn check_stop(&mut self, number: usize, task: &TaskRef) {
        let device = &self.devices[number];
        let restarts = device
            .record(task.alloc)
            .and_then(|record| record.tasks.get(&task.task))
            .is_some_and(|task| task.restart_wanted);
        if device.podman.runs(task) && !restarts {
            self.check_end(number, task.alloc, "is stopped");
        }
    }

    fn has_cause(&mut self, number: usize, alloc: AllocId) -> bool {
        let device = &self.devices[number];
        if self.invariants.boxes[number].may_end.contains(&alloc) {
            return true;
        }
        let ordered = self.invariants.orders.contains(&(device.id, alloc));
        let record = device.record(alloc);
        // A task of it ended for good, and with it what it was for.
        let ends_it = |(name, task): (&String, &TaskRecord)| {
            task.phase == TaskPhase::Dead && (name == jobs::TASK || task.state.failed)
        };
        let over = record.is_some_and(|record| record.tasks.iter().any(ends_it));
        let away = device.now(self.now).mono.since(device.contact);
        let alone = record
            .and_then(|record| device.stop_on_client_after(record))
            .is_some_and(|after| device.link.is_none() && away >= after);
        let has_cause = ordered || over || alone;
        if has_cause {
            self.invariants.boxes[number].may_end.insert(alloc);
        }
        has_cause
    }

    /// S10 and S2: what the agent acts on from now on is on its disk, and that does not go back.
    pub(crate) fn check_store(&mut self, number: usize) {
        let device = &self.devices[number];
        let Some(agent) = device.agent().filter(|_| device.is_durable()) else {
            return;
        };
        let held = device.store.held;
        let memory = &mut self.invariants.boxes[number];
        let before = std::mem::replace(&mut memory.held, held);
        memory.checks += 1;
        let wrong = if agent.held() != held {
            Some(format!("holds {:?} and has stored {held:?}", agent.held()))
        } else if memory.checks.is_multiple_of(4)
            && !agent
                .allocs()
                .map(decided)
                .eq(device.store.allocs.values().map(decided))
        {
            Some("has decided what it has not stored".to_owned())
        } else {
            None
        };
        let name = self.name_of_box(number);
        if let Some(wrong) = wrong {
            self.invariants.find("S10", || format!("{name} {wrong}"));
        }
        if held < before {
            self.invariants
                .find("S2", || format!("{name} had stored {before:?} and now {held:?}"));
        }
    }

    /// The clock moves on: S5 and S3.
    pub(crate) fn tick(&mut self) {
        self.at(super::TICK, crate::world::Event::Tick);
        for number in 0..self.devices.len() {
            if self.devices[number].is_up() && self.devices[number].asleep.is_none() {
                self.check_stop_on_client_after(number);
            }
        }
        self.check_contact();
    }

    fn check_stop_on_client_after(&mut self, number: usize) {
        let device = &self.devices[number];
        let Some(agent) = device
            .agent()
            .filter(|_| device.link.is_none() && device.is_idle())
        else {
            return;
        };
        let away = device.now(self.now).mono.since(device.contact);
        let late: BTreeSet<AllocId> = agent
            .allocs()
            .filter(|record| !record.stopping && !record.client.is_terminal())
            .filter(|record| {
                let after = device.stop_on_client_after(record);
                after.is_some_and(|after| away >= after + STOP_SLACK)
            })
            .map(|record| record.assigned.id)
            .collect();
        let name = self.name_of_box(number);
        for alloc in late {
            self.invariants.find("S5", || {
                format!(
                    "allocation {} runs on {name}, which is out of contact for {away}",
                    alloc.short()
                )
            });
        }
    }
}
