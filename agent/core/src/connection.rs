//! Contact with the coordinator: what an agent says when it begins, and what its absence means (nearly nothing).

use std::collections::VecDeque;

use holdfast_shared::model::Fingerprint;
use holdfast_shared::time::{Duration, Timestamp};
use holdfast_shared::wire::{FromAgent, KEEP_ALIVES_PER_HEARTBEAT, Register};

use crate::agent::{Agent, group_of};
use crate::effect::Effect;

/// The keep-alive when the fingerprint names none.
const KEEP_ALIVE_DEFAULT: Duration = Duration::from_secs(30);

/// How many orders of a session are known again.
const ORDERS_REMEMBERED: usize = 256;

/// Contact with the coordinator.
#[derive(Debug)]
pub(crate) struct Connection {
    session: Option<u64>,
    since: Timestamp,
    last_heard: Timestamp,
    heartbeat_at: Timestamp,
    /// The last orders of this session.
    orders: VecDeque<u64>,
}

impl Connection {
    /// No contact yet; the agent's start counts as the last one.
    pub(crate) const fn new(now: Timestamp) -> Self {
        Self {
            session: None,
            since: now,
            last_heard: now,
            heartbeat_at: now,
            orders: VecDeque::new(),
        }
    }

    /// Something arrived from the coordinator.
    pub(crate) fn heard(&mut self, now: Timestamp) {
        self.last_heard = now;
    }

    /// The session, while there is contact.
    pub(crate) const fn session(&self) -> Option<u64> {
        self.session
    }

    /// Whether an order was not heard of before: a broker may deliver it again.
    pub(crate) fn is_new(&mut self, order: u64) -> bool {
        if self.orders.contains(&order) {
            return false;
        }
        if self.orders.len() == ORDERS_REMEMBERED {
            self.orders.pop_front();
        }
        self.orders.push_back(order);
        true
    }

    pub(crate) const fn status(&self) -> (bool, Timestamp) {
        (self.session.is_some(), self.since)
    }
}

impl Agent {
    pub(crate) fn on_link_up(&mut self, session: u64) {
        self.connection.session = Some(session);
        self.connection.orders.clear();
        self.connection.since = self.now.mono;
        self.connection.heard(self.now.mono);
        self.register();
    }

    pub(crate) fn on_link_down(&mut self) {
        if self.connection.session.take().is_some() {
            self.connection.since = self.now.mono;
            self.connection.heard(self.now.mono);
        }
        self.outbox.on_link_down();
    }

    pub(crate) fn on_fingerprint(&mut self, mut fingerprint: Box<Fingerprint>) {
        fingerprint.change_meta(&self.meta);
        if self.fingerprint.as_ref() == Some(&fingerprint) {
            return;
        }
        self.fingerprint = Some(fingerprint);
        self.register();
    }

    /// Says who is there, what it holds and what became of everything; needs contact and a fingerprint.
    pub(crate) fn register(&mut self) {
        let (Some(session), Some(fingerprint)) = (self.connection.session, &self.fingerprint) else {
            return;
        };
        let fingerprint = serde_json::to_vec(fingerprint).expect("a fingerprint is plain data");
        let register = Register {
            session,
            held: self.held,
            fingerprint,
        };
        self.effect(Effect::Publish(FromAgent::Register(register)));
        self.report_all();
        self.publish_interest(true);
        self.connection.heartbeat_at = self.now.mono + self.heartbeat_pause();
    }

    fn heartbeat_pause(&self) -> Duration {
        let keep_alive = self.fingerprint.as_ref().map(|it| it.keep_alive);
        keep_alive
            .filter(|it| *it > Duration::ZERO)
            .unwrap_or(KEEP_ALIVE_DEFAULT)
            .times(KEEP_ALIVES_PER_HEARTBEAT)
    }

    pub(crate) fn on_heartbeat_time(&mut self) {
        if let Some(session) = self.connection.session
            && self.now.mono >= self.connection.heartbeat_at
        {
            self.heartbeat(session);
        }
    }

    /// Tells the coordinator what this agent holds, which also makes it send what is missing.
    pub(crate) fn heartbeat(&mut self, session: u64) {
        self.effect(Effect::Publish(FromAgent::Heartbeat {
            session,
            held: self.held,
        }));
        self.connection.heartbeat_at = self.now.mono + self.heartbeat_pause();
    }

    /// Ends what must not outlive the loss of contact for longer than its job says: the one and only case.
    pub(crate) fn on_stop_after_disconnect(&mut self) {
        for id in self.alloc_ids() {
            if self
                .stop_after_disconnect_at(id)
                .is_some_and(|at| self.now.mono >= at)
            {
                self.begin_stop(
                    id,
                    "stopped because its node was out of contact for longer than stop_on_client_after",
                );
            }
        }
    }

    fn stop_after_disconnect_at(&self, id: holdfast_shared::id::AllocId) -> Option<Timestamp> {
        if self.connection.session.is_some() {
            return None;
        }
        let record = self
            .allocs
            .get(&id)
            .filter(|record| !record.stopping && !record.client.is_terminal())?;
        let job = self.job(record)?;
        let after = group_of(job, record)?.disconnect_policy().stop_on_client_after?;
        Some(self.connection.last_heard + after)
    }

    pub(crate) fn connection_timeout(&self) -> Option<Timestamp> {
        if self.connection.session.is_some() {
            return Some(self.connection.heartbeat_at);
        }
        self.allocs
            .keys()
            .filter_map(|id| self.stop_after_disconnect_at(*id))
            .min()
    }
}
