//! What must hold of everything that leaves the coordinator: S9, S10, and the orders that S1 rests on.

use std::sync::Arc;

use holdfast_coordinator_core::Input;
use holdfast_shared::id::NodeId;
use holdfast_shared::model::{Allocation, ClientStatus, DesiredStatus};
use holdfast_shared::time::Timestamp;
use holdfast_shared::topics::{Role, Topic, may_subscribe};
use holdfast_shared::wire::{Assigned, Assignments, Catalog, FromAgent, ToAgent};

use super::Contact;
use crate::jobs;
use crate::operator::Promise;
use crate::world::World;

impl World {
    /// The coordinator's process hears something, at `now` by its own clock.
    pub(crate) fn on_heard(&mut self, now: Timestamp, input: &Input) {
        let (node, session, ended) = match input {
            Input::Agent(node, message) => {
                self.remember(*node, message);
                let session = match message {
                    FromAgent::Register(register) => register.session,
                    FromAgent::Report(report) => report.session,
                    FromAgent::Heartbeat { session, .. } => *session,
                    FromAgent::Interest(interest) => interest.session,
                    FromAgent::Answer(answer) => answer.session,
                };
                (*node, session, false)
            }
            Input::Presence(node, presence) => (*node, presence.session, !presence.online),
            Input::Hearing(_) | Input::Lapse => {
                // Silence meant nothing until now.
                self.invariants
                    .contacts
                    .values_mut()
                    .for_each(|contact| contact.at = now);
                return;
            }
            Input::Alive(node) => {
                if let Some(contact) = self.invariants.contacts.get_mut(node) {
                    contact.at = now;
                }
                return;
            }
            _ => return,
        };
        let contact = self.invariants.contacts.entry(node).or_default();
        if session < contact.session {
            return;
        }
        let newer = session > contact.session;
        *contact = Contact {
            session,
            at: if ended { contact.at } else { now },
            has_ended: ended || (contact.has_ended && !newer),
        };
    }

    fn remember(&mut self, node: NodeId, message: &FromAgent) {
        match message {
            FromAgent::Report(report) => {
                let ids = report.allocs.iter().map(|it| it.id).collect();
                let key = (node, report.session, report.seq);
                self.invariants.reports.insert(key, ids);
            }
            FromAgent::Interest(interest) => {
                // What was decided before the newest one may still be on its way.
                let all = self.invariants.interests.entry(node).or_default();
                all.services.extend(interest.services.iter().cloned());
                all.namespaces.extend(interest.namespaces.iter().cloned());
            }
            _ => {}
        }
    }

    /// The coordinator starts: S10, nothing that was promised is lost; and every node has one full window.
    pub(crate) fn on_coordinator_start(&mut self) {
        let now = self.host.clock.forward(self.now);
        self.invariants.reports.clear();
        // What was decided and not stored was never so.
        self.invariants.statuses.clear();
        self.invariants.contacts = self
            .host
            .durable
            .nodes
            .values()
            .map(|node| {
                let contact = Contact {
                    session: node.session,
                    at: now,
                    has_ended: false,
                };
                (node.id, contact)
            })
            .collect();
        self.check_promises();
    }

    /// S10: what the coordinator has acknowledged to the operator is there.
    pub(crate) fn check_promises(&mut self) {
        let mut broken = Vec::new();
        for (key, promise) in &self.operator.promised {
            if self.operator.unanswered.contains_key(key) {
                continue;
            }
            let job = self.host.durable.jobs.get(key);
            let kept = match (promise, job) {
                (Promise::Forgotten, found) => found.is_none(),
                (
                    Promise::Version {
                        create_index,
                        version,
                    },
                    Some(job),
                ) => job.create_index() == *create_index && job.version() >= *version,
                // A job that is over is collected in the end.
                (Promise::Version { .. }, None) => self.operator.stopped.contains(key) || jobs::ends(key),
            };
            if !kept {
                let found = job.map(|job| (job.create_index(), job.version()));
                broken.push(format!("{key} was acknowledged as {promise:?} and is {found:?}"));
            }
        }
        for text in broken {
            self.invariants.find("S10", || text);
        }
    }

    /// S10: a command is answered only when its change is durable.
    pub(crate) fn check_reply(&mut self, index: u64) {
        let durable = self.host.durable.index;
        if index > durable {
            self.invariants.find("S10", || {
                format!("index {index} is promised, and {durable} is durable")
            });
        }
    }

    /// Everything that must hold of a message to a node.
    pub(crate) fn check_message(&mut self, node: NodeId, message: &ToAgent) {
        let topic = Topic::Assignments(node);
        let readable = may_subscribe(Role::Node(node), &topic.to_string());
        if !topic.may_publish(Role::Coordinator) || !readable {
            self.invariants
                .find("S9", || format!("{topic} is not for its node"));
        }
        match message {
            ToAgent::Assignments(set) => self.check_assignments(node, set),
            ToAgent::Catalog(catalog) => self.check_catalog(node, catalog),
            ToAgent::Ack { session, seq } => self.check_ack(node, *session, *seq),
            ToAgent::ReportAll | ToAgent::Order(_) => {}
        }
    }

    fn check_assignments(&mut self, node: NodeId, set: &Assignments) {
        let durable = &self.host.durable;
        let mut found = Vec::new();
        let stored = durable.nodes.get(&node).map(|it| (durable.epoch, it.generation));
        if stored.is_none_or(|stored| (set.epoch, set.generation) > stored) {
            found.push((
                "S10",
                format!(
                    "a set is sent as generation {} and {stored:?} is stored",
                    set.generation
                ),
            ));
        }
        for assigned in &set.allocs {
            let alloc = durable.allocs.get(&assigned.id);
            if alloc.is_none_or(|alloc| alloc.node != node) {
                found.push((
                    "S9",
                    format!("{} is none of the node's allocations", assigned.name),
                ));
            }
            let wanted = alloc.is_some_and(|alloc| alloc.desired == DesiredStatus::Run);
            if !assigned.run {
                self.invariants.orders.insert((node, assigned.id));
                if wanted {
                    found.push(("S1", format!("{} is told to end and should run", assigned.name)));
                }
            }
        }
        for id in &set.stop {
            self.invariants.orders.insert((node, *id));
            let is_over = |alloc: &Allocation| {
                alloc.desired != DesiredStatus::Run
                    && matches!(alloc.client, ClientStatus::Complete | ClientStatus::Failed)
            };
            if durable
                .allocs
                .get(id)
                .is_some_and(|alloc| alloc.node == node && !is_over(alloc))
            {
                found.push((
                    "S1",
                    format!("{} is known and told to end as if it were not", id.short()),
                ));
            }
        }
        for spec in &set.jobs {
            // What is stored may be newer than a message that waited for the disk.
            let is_of_it = |it: &Assigned| {
                (it.namespace.as_str(), it.job.as_str(), it.job_version)
                    == (spec.namespace.as_str(), spec.job.as_str(), spec.version)
            };
            if !set.allocs.iter().any(is_of_it) {
                found.push((
                    "S9",
                    format!(
                        "version {} of {} is of nothing in the set",
                        spec.version, spec.job
                    ),
                ));
            }
        }
        self.invariants.found.extend(found);
    }

    fn check_catalog(&mut self, node: NodeId, catalog: &Catalog) {
        let interest = self.invariants.interests.get(&node);
        for service in &catalog.services {
            let wanted = interest.is_some_and(|interest| {
                let key = (service.namespace.clone(), service.name.clone());
                interest.services.contains(&key) || interest.namespaces.contains(&service.namespace)
            });
            if !wanted {
                self.invariants.found.push((
                    "S9",
                    format!("a node is told of {} and never asked", service.name),
                ));
            }
        }
    }

    /// S10: a report is acknowledged only when what it says is durable.
    fn check_ack(&mut self, node: NodeId, session: u64, seq: u64) {
        let ids = self
            .invariants
            .reports
            .remove(&(node, session, seq))
            .unwrap_or_default();
        let (state, durable) = (self.host.state(), &self.host.durable);
        let lost: Vec<String> = ids
            .iter()
            .filter(|id| match (state.allocs.get(*id), durable.allocs.get(*id)) {
                (Some(known), Some(stored)) => !Arc::ptr_eq(known, stored),
                (known, stored) => known.is_some() != stored.is_some(),
            })
            .map(|id| id.short())
            .collect();
        for id in lost {
            self.invariants.find("S10", || {
                format!("a report about {id} is acknowledged and not stored")
            });
        }
    }
}
