//! What the coordinator has not heard yet: the latest state of each allocation, until the coordinator itself has
//! acknowledged it. A PUBACK of a broker is no acknowledgement.

use std::collections::BTreeMap;

use holdfast_shared::id::AllocId;
use holdfast_shared::model::ClientStatus;
use holdfast_shared::time::{Duration, Timestamp};
use holdfast_shared::wire::{AllocReport, FromAgent, Report, TaskReport};

use crate::agent::Agent;
use crate::effect::Effect;
use crate::record::{AllocRecord, TaskPhase};

/// After this long without an acknowledgement, everything is reported again.
const ACK_TIMEOUT: Duration = Duration::from_secs(20);

/// Reports that are under way in the current session.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    seq: u64,
    in_flight: BTreeMap<u64, Sent>,
}

/// A report that is under way.
#[derive(Debug)]
struct Sent {
    at: Timestamp,
    /// The revision of each allocation in it.
    revisions: BTreeMap<AllocId, u64>,
}

impl Outbox {
    /// Nothing is under way without contact.
    pub(crate) fn on_link_down(&mut self) {
        self.in_flight.clear();
    }

    /// The newest revision of `id` that is under way.
    fn sent(&self, id: AllocId) -> u64 {
        self.in_flight
            .values()
            .filter_map(|sent| sent.revisions.get(&id))
            .copied()
            .max()
            .unwrap_or(0)
    }

    /// When the coordinator owes an answer for too long.
    pub(crate) fn timeout(&self) -> Option<Timestamp> {
        self.in_flight
            .first_key_value()
            .map(|(_, sent)| sent.at + ACK_TIMEOUT)
    }
}

impl Agent {
    /// Reports every allocation, as after every connect.
    pub(crate) fn report_all(&mut self) {
        self.outbox.in_flight.clear();
        self.send_report(true, self.alloc_ids());
    }

    /// Reports what the coordinator has not heard yet; everything, when it owes an answer for too long.
    pub(crate) fn publish_reports(&mut self) {
        if self.connection.session().is_none() || self.fingerprint.is_none() {
            return;
        }
        if self.outbox.timeout().is_some_and(|at| self.now.mono >= at) {
            self.report_all();
            return;
        }
        let news: Vec<AllocId> = self
            .allocs
            .iter()
            .filter(|(id, record)| record.revision > record.acknowledged.max(self.outbox.sent(**id)))
            .map(|(id, _)| *id)
            .collect();
        if !news.is_empty() {
            self.send_report(false, news);
        }
    }

    fn send_report(&mut self, full: bool, ids: Vec<AllocId>) {
        let Some(session) = self.connection.session() else {
            return;
        };
        self.outbox.seq += 1;
        let records = ids.iter().filter_map(|id| self.allocs.get(id));
        let revisions = records
            .clone()
            .map(|record| (record.assigned.id, record.revision))
            .collect();
        let orphans = self.orphans.iter().filter(|_| full).map(|id| orphan_report(*id));
        let allocs = records
            .map(|record| alloc_report(record, self.now.mono))
            .chain(orphans)
            .collect();
        self.outbox.in_flight.insert(
            self.outbox.seq,
            Sent {
                at: self.now.mono,
                revisions,
            },
        );
        let report = Report {
            session,
            seq: self.outbox.seq,
            full,
            held: self.held,
            allocs,
        };
        self.effect(Effect::Publish(FromAgent::Report(report)));
    }

    /// The coordinator has made one report durable; an earlier one may have been lost by the broker all the same. Not
    /// stored: a forgotten acknowledgement costs one report.
    pub(crate) fn on_ack(&mut self, session: u64, seq: u64) {
        if self.connection.session() != Some(session) {
            return;
        }
        let acknowledged = self.outbox.in_flight.remove(&seq).map(|sent| sent.revisions);
        for (id, revision) in acknowledged.into_iter().flatten() {
            if let Some(record) = self.allocs.get_mut(&id) {
                record.acknowledged = record.acknowledged.max(revision);
            }
        }
        self.forget_what_is_over();
    }
}

/// All that is known of an allocation whose record was lost: that it runs.
fn orphan_report(id: AllocId) -> AllocReport {
    AllocReport {
        id,
        client: ClientStatus::Running,
        description: "Runs, and the agent has lost its record".into(),
        healthy: None,
        address: String::new(),
        tasks: Vec::new(),
    }
}

fn alloc_report(record: &AllocRecord, now: Timestamp) -> AllocReport {
    let tasks = record.tasks.iter().map(|(name, task)| {
        let running = task.phase == TaskPhase::Running;
        let running_for = if running {
            now.since(task.running_since)
        } else {
            Duration::ZERO
        };
        TaskReport::of(name, &task.state, running_for)
    });
    AllocReport {
        id: record.assigned.id,
        client: record.client,
        description: record.description.clone(),
        healthy: record.healthy,
        address: record
            .tasks
            .values()
            .map(|task| task.address.clone())
            .find(|it| !it.is_empty())
            .unwrap_or_default(),
        tasks: tasks.collect(),
    }
}
