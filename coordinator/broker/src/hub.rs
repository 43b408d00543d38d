//! The routing between clients: all sessions, subscriptions and retained messages, behind one lock.
//!
//! Every call is short, never waits and is bounded by the limits. Sockets, permissions for publishing and the inbox are
//! the connections' business.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::config::Limits;
use crate::gate::Permissions;
use crate::inbox::Ending;
use crate::link::Link;
use crate::mailbox::{Mailbox, Presence};
use crate::message::{Message, Outgoing, Qos};
use crate::retained::Retained;
use crate::subscriptions::Subscriptions;

/// What the broker holds and what it had to give up, for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Clients that are connected.
    pub connected: usize,
    /// Sessions kept for clients that are away.
    pub sessions_away: usize,
    /// Subscriptions of all sessions.
    pub subscriptions: usize,
    /// Retained messages.
    pub retained_messages: usize,
    /// Bytes of retained messages.
    pub retained_bytes: usize,
    /// Bytes waiting for clients or for their acknowledgement.
    pub queued_bytes: usize,
    /// Clients that were not let in, for whatever reason, since the start.
    pub refused_total: u64,
    /// Messages published since the start.
    pub published_total: u64,
    /// QoS 0 messages dropped because their client had too much waiting, since the start.
    pub dropped_total: u64,
    /// Sessions ended because a QoS 1 message found no room, since the start.
    pub overflowed_total: u64,
    /// Retained messages that found no room, since the start.
    pub not_retained_total: u64,
}

/// The hub that all connections share.
#[derive(Debug)]
pub(crate) struct Hub {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    limits: Limits,
    /// The newest connection of each client id, from before it is let in until it has ended.
    claims: HashMap<Arc<str>, Arc<Link>>,
    mailboxes: HashMap<Arc<str>, Mailbox>,
    subscriptions: Subscriptions,
    retained: Retained,
    queued_bytes: usize,
    is_closing: bool,
    /// Only the totals in here are kept; the rest is counted when asked for.
    totals: Stats,
}

impl Hub {
    pub(crate) fn new(limits: Limits) -> Self {
        let retained = Retained::new(limits.max_retained_messages, limits.max_retained_bytes);
        Self {
            state: Mutex::new(State {
                limits,
                claims: HashMap::new(),
                mailboxes: HashMap::new(),
                subscriptions: Subscriptions::default(),
                retained,
                queued_bytes: 0,
                is_closing: false,
                totals: Stats::default(),
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic in one connection's task must not end the others; every change below keeps the state usable.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes `link` the newest connection of the client id and closes the former one, which the caller has to wait for.
    pub(crate) fn claim(&self, client: &Arc<str>, link: &Arc<Link>) -> Option<Arc<Link>> {
        let mut state = self.state();
        if state.is_closing {
            link.close(Ending::Shutdown);
        }
        let former = state.claims.insert(Arc::clone(client), Arc::clone(link));
        if let Some(former) = &former {
            former.close(Ending::TakenOver);
        }
        former
    }

    /// Ends the claim of a connection that has ended, unless a newer one has taken it over.
    pub(crate) fn release(&self, client: &str, link: &Arc<Link>) {
        let mut state = self.state();
        if state
            .claims
            .get(client)
            .is_some_and(|claimed| Arc::ptr_eq(claimed, link))
        {
            state.claims.remove(client);
        }
    }

    /// Starts or resumes the session of a client; returns whether it was resumed. Subscriptions that the client may not
    /// have any more are dropped.
    pub(crate) fn attach(
        &self,
        client: &Arc<str>,
        link: &Arc<Link>,
        clean_session: bool,
        permissions: &dyn Permissions,
    ) -> bool {
        let state = &mut *self.state();
        let can_resume = |mailbox: &&mut Mailbox| {
            !clean_session
                && !matches!(
                    mailbox.presence,
                    Presence::Here {
                        clean_session: true,
                        ..
                    }
                )
        };
        if let Some(mailbox) = state.mailboxes.get_mut(client).filter(can_resume) {
            mailbox.filters.retain(|filter, _| {
                let may_stay = permissions.may_subscribe(filter);
                if !may_stay {
                    state.subscriptions.remove(filter, client);
                }
                may_stay
            });
            mailbox.attach(Arc::clone(link));
            return true;
        }
        state.end_session(client);
        state
            .mailboxes
            .insert(Arc::clone(client), Mailbox::new(Arc::clone(link), clean_session));
        false
    }

    /// The client left: a clean session ends, any other waits for it.
    pub(crate) fn detach(&self, client: &str, link: &Arc<Link>, now: Instant) {
        let mut state = self.state();
        let Some(mailbox) = state.own_mailbox(client, link) else {
            return;
        };
        if matches!(
            mailbox.presence,
            Presence::Here {
                clean_session: true,
                ..
            }
        ) {
            state.end_session(client);
        } else {
            state.change(client, |mailbox, _| mailbox.detach(now));
        }
    }

    /// Subscribes the client and has it sent the filter's retained messages, at every SUBSCRIBE. False if it has too
    /// many subscriptions.
    pub(crate) fn subscribe(&self, client: &Arc<str>, link: &Arc<Link>, filter: &str, qos: Qos) -> bool {
        let state = &mut *self.state();
        let max_subscriptions = state.limits.max_subscriptions;
        let Some(mailbox) = state.own_mailbox(client, link) else {
            return false;
        };
        if mailbox.filters.len() >= max_subscriptions && !mailbox.filters.contains_key(filter) {
            return false;
        }
        let filter: Arc<str> = Arc::from(filter);
        mailbox.replay(&filter, qos);
        mailbox.filters.insert(Arc::clone(&filter), qos);
        state.subscriptions.insert(&filter, client, qos);
        true
    }

    /// Removes a subscription, if there is one.
    pub(crate) fn unsubscribe(&self, client: &str, link: &Arc<Link>, filter: &str) {
        let state = &mut *self.state();
        let Some(mailbox) = state.own_mailbox(client, link) else {
            return;
        };
        mailbox.stop_replay(filter);
        if mailbox.filters.remove(filter).is_some() {
            state.subscriptions.remove(filter, client);
        }
    }

    /// Retains the message if it says so, and delivers it to every subscriber; returns how many there are.
    pub(crate) fn publish(&self, message: &Arc<Message>) -> usize {
        let state = &mut *self.state();
        state.totals.published_total += 1;
        if state.retained.store(message).is_err() {
            state.totals.not_retained_total += 1;
            tracing::debug!(topic = %message.topic, "no room to retain a message");
        }
        let subscribers = state.subscriptions.of(&message.topic);
        for (client, granted) in &subscribers {
            state.deliver(client, message, message.qos.min(*granted));
        }
        subscribers.len()
    }

    /// The client has received a QoS 1 message.
    pub(crate) fn acknowledge(&self, client: &str, link: &Arc<Link>, packet_id: u16) {
        let mut state = self.state();
        if state.own_mailbox(client, link).is_some() {
            state.change(client, |mailbox, _| mailbox.acknowledge(packet_id));
        }
    }

    /// What to send to the client next: packets of together about `budget` bytes.
    pub(crate) fn outgoing(&self, client: &str, link: &Arc<Link>, mut budget: usize) -> Vec<Outgoing> {
        let mut state = self.state();
        let max_inflight = state.limits.max_inflight;
        let mut batch = Vec::new();
        if state.own_mailbox(client, link).is_some() {
            state.change(client, |mailbox, retained| {
                while budget > 0
                    && let Some(outgoing) = mailbox.next(retained, max_inflight)
                {
                    budget = budget.saturating_sub(outgoing.delivery.message.cost());
                    batch.push(outgoing);
                }
            });
        }
        batch
    }

    /// A client is not let in.
    pub(crate) fn refused(&self) {
        self.state().totals.refused_total += 1;
    }

    /// Asks the connection of a client id to end; false if there is none.
    pub(crate) fn close(&self, client: &str, reason: Ending) -> bool {
        let state = self.state();
        let link = state.claims.get(client);
        link.inspect(|link| link.close(reason)).is_some()
    }

    /// Asks all connections to end, now and from now on.
    pub(crate) fn close_all(&self) {
        let mut state = self.state();
        state.is_closing = true;
        for link in state.claims.values() {
            link.close(Ending::Shutdown);
        }
    }

    /// Forgets the sessions of clients that are away for too long, and the longest absent ones beyond the limit.
    pub(crate) fn sweep(&self, now: Instant, expiry: Duration) {
        let mut state = self.state();
        let mut away: Vec<(Instant, Arc<str>)> = state
            .mailboxes
            .iter()
            .filter_map(|(client, mailbox)| match mailbox.presence {
                Presence::Away { since } => Some((since, Arc::clone(client))),
                Presence::Here { .. } => None,
            })
            .collect();
        away.sort_unstable();
        let excess = away.len().saturating_sub(state.limits.max_sessions_away);
        for (index, (since, client)) in away.iter().enumerate() {
            if index < excess || now.saturating_duration_since(*since) >= expiry {
                state.end_session(client);
            }
        }
    }

    /// The ids of all clients that are connected.
    pub(crate) fn connected(&self) -> Vec<Arc<str>> {
        let state = self.state();
        let here = state
            .mailboxes
            .iter()
            .filter(|(_, mailbox)| mailbox.link().is_some());
        here.map(|(client, _)| Arc::clone(client)).collect()
    }

    pub(crate) fn stats(&self) -> Stats {
        let state = self.state();
        let connected = state
            .mailboxes
            .values()
            .filter(|mailbox| mailbox.link().is_some())
            .count();
        Stats {
            connected,
            sessions_away: state.mailboxes.len() - connected,
            subscriptions: state
                .mailboxes
                .values()
                .map(|mailbox| mailbox.filters.len())
                .sum(),
            retained_messages: state.retained.len(),
            retained_bytes: state.retained.bytes(),
            queued_bytes: state.queued_bytes,
            ..state.totals
        }
    }
}

impl State {
    /// The client's mailbox if `link` is the connection it is here with.
    fn own_mailbox(&mut self, client: &str, link: &Arc<Link>) -> Option<&mut Mailbox> {
        let mailbox = self.mailboxes.get_mut(client)?;
        mailbox
            .link()
            .is_some_and(|own| Arc::ptr_eq(own, link))
            .then_some(mailbox)
    }

    /// Changes what waits in a mailbox and keeps the sum over all of them right.
    fn change(&mut self, client: &str, change: impl FnOnce(&mut Mailbox, &Retained)) {
        let Some(mailbox) = self.mailboxes.get_mut(client) else {
            return;
        };
        let before = mailbox.bytes();
        change(mailbox, &self.retained);
        self.queued_bytes = self.queued_bytes - before + mailbox.bytes();
    }

    /// Puts a message into a mailbox. If it is QoS 1 and there is no room, the session ends rather than lose it: a
    /// client that is told `session_present = 0` knows that it has to start afresh, one that misses a message does not.
    fn deliver(&mut self, client: &Arc<str>, message: &Arc<Message>, qos: Qos) {
        let Some(mailbox) = self.mailboxes.get(client) else {
            return;
        };
        if mailbox.link().is_none() && qos == Qos::AtMostOnce {
            return;
        }
        let has_room = mailbox.queued() < self.limits.max_queued_messages
            && mailbox.bytes() + message.cost() <= self.limits.max_queued_bytes;
        match qos {
            Qos::AtMostOnce if !has_room || !self.fits(message) => self.totals.dropped_total += 1,
            Qos::AtLeastOnce if !has_room => self.overflow(client),
            Qos::AtMostOnce | Qos::AtLeastOnce => {
                self.make_room(message);
                self.change(client, |mailbox, _| mailbox.push(message, qos));
                if let Some(link) = self.mailboxes.get(client).and_then(Mailbox::link) {
                    link.wake();
                }
            }
        }
    }

    /// Whether all mailboxes together have room for the message.
    fn fits(&self, message: &Message) -> bool {
        self.queued_bytes + message.cost() <= self.limits.max_queued_bytes_total
    }

    /// Ends the sessions that hold the most, whoever the message is for, until it fits: who does not read must not cost
    /// those their sessions who do.
    fn make_room(&mut self, message: &Message) {
        while self.queued_bytes > 0 && !self.fits(message) {
            let largest = self.mailboxes.iter().max_by_key(|(_, mailbox)| mailbox.bytes());
            let Some(client) = largest.map(|(client, _)| Arc::clone(client)) else {
                return;
            };
            self.overflow(&client);
        }
    }

    /// Ends a session for which too much is waiting.
    fn overflow(&mut self, client: &Arc<str>) {
        self.totals.overflowed_total += 1;
        tracing::debug!(client_id = %client, "too much is waiting for a client, its session ends");
        let link = self.mailboxes.get(client).and_then(Mailbox::link).cloned();
        self.end_session(client);
        if let Some(link) = link {
            link.close(Ending::Overflow);
        }
    }

    fn end_session(&mut self, client: &str) {
        if let Some(mailbox) = self.mailboxes.remove(client) {
            self.queued_bytes -= mailbox.bytes();
            for filter in mailbox.filters.keys() {
                self.subscriptions.remove(filter, client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    struct Anything;

    impl Permissions for Anything {
        fn may_publish(&self, _: &str) -> bool {
            true
        }
        fn may_subscribe(&self, filter: &str) -> bool {
            filter != "revoked"
        }
        fn is_for_coordinator(&self, _: &str) -> bool {
            false
        }
    }

    fn hub() -> Hub {
        Hub::new(Limits {
            max_queued_messages: 3,
            max_subscriptions: 2,
            max_sessions_away: 2,
            ..Limits::default()
        })
    }

    fn enter(hub: &Hub, client: &str, clean_session: bool) -> (Arc<str>, Arc<Link>, bool) {
        let (client, link): (Arc<str>, _) = (client.into(), Link::new().0);
        hub.claim(&client, &link);
        let is_resumed = hub.attach(&client, &link, clean_session, &Anything);
        (client, link, is_resumed)
    }

    fn publish(hub: &Hub, topic: &str, qos: Qos) -> usize {
        hub.publish(&Arc::new(Message {
            topic: topic.into(),
            payload: Bytes::from("x"),
            qos,
            retain: false,
        }))
    }

    #[test]
    fn a_qos_1_message_without_room_ends_the_session_and_a_qos_0_message_is_dropped() {
        let hub = hub();
        let (client, link, _) = enter(&hub, "c", false);
        hub.subscribe(&client, &link, "t", Qos::AtLeastOnce);
        for _ in 0..4 {
            publish(&hub, "t", Qos::AtMostOnce);
        }
        assert_eq!((hub.stats().dropped_total, link.verdict()), (1, None));
        publish(&hub, "t", Qos::AtLeastOnce);
        assert_eq!(link.verdict(), Some(Ending::Overflow));
        let stats = hub.stats();
        assert_eq!(
            (stats.queued_bytes, stats.subscriptions, stats.overflowed_total),
            (0, 0, 1)
        );
        hub.detach(&client, &link, Instant::now());
        assert!(!enter(&hub, "c", false).2, "the session is gone");
    }

    #[test]
    fn a_session_survives_absence_without_the_subscriptions_that_were_revoked() {
        let hub = hub();
        let (client, link, _) = enter(&hub, "c", false);
        for (filter, expected) in [("t", true), ("revoked", true), ("t", true), ("third", false)] {
            assert_eq!(
                hub.subscribe(&client, &link, filter, Qos::AtLeastOnce),
                expected,
                "{filter}"
            );
        }
        hub.detach(&client, &link, Instant::now());
        assert_eq!(publish(&hub, "t", Qos::AtLeastOnce), 1);
        let (client, link, is_resumed) = enter(&hub, "c", false);
        assert!(is_resumed);
        assert_eq!(publish(&hub, "revoked", Qos::AtLeastOnce), 0);
        assert_eq!(hub.outgoing(&client, &link, 1000).len(), 1);
        assert!(!enter(&hub, "c", true).2, "a clean session starts afresh");
        assert_eq!(hub.stats().subscriptions, 0);
    }

    #[test]
    fn sessions_of_absent_clients_expire_and_the_oldest_make_room() {
        let (hub, start) = (hub(), Instant::now());
        for (index, client) in ["a", "b", "c"].into_iter().enumerate() {
            let (client, link, _) = enter(&hub, client, false);
            hub.detach(&client, &link, start + Duration::from_secs(index as u64));
        }
        hub.sweep(start, Duration::from_secs(60));
        assert_eq!(hub.stats().sessions_away, 2);
        hub.sweep(start + Duration::from_secs(61), Duration::from_secs(60));
        assert_eq!(hub.stats().sessions_away, 1);
        assert!(enter(&hub, "c", false).2);
    }

    #[test]
    fn the_newest_connection_closes_the_former_and_keeps_the_claim() {
        let hub = hub();
        let (client, first, second) = (Arc::from("c"), Link::new().0, Link::new().0);
        assert!(hub.claim(&client, &first).is_none());
        assert!(hub.claim(&client, &second).is_some());
        assert_eq!(first.verdict(), Some(Ending::TakenOver));
        hub.release(&client, &first);
        assert!(hub.close("c", Ending::Removed));
        assert_eq!(second.verdict(), Some(Ending::Removed));
        hub.release(&client, &second);
        assert!(!hub.close("c", Ending::Removed));
    }
}
