//! The session of one client id: its subscriptions, and the messages that wait for it or for its acknowledgement.
//!
//! Bounded by the hub, which owns all mailboxes; knows neither sockets nor time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use crate::link::Link;
use crate::message::{Delivery, Message, Outgoing, Qos};
use crate::retained::Retained;

/// What one client subscribed to, and what is to be delivered to it.
#[derive(Debug)]
pub(crate) struct Mailbox {
    pub(crate) presence: Presence,
    pub(crate) filters: BTreeMap<Arc<str>, Qos>,
    /// Sent, or about to be sent again, and not acknowledged.
    window: VecDeque<(u16, Delivery)>,
    /// How many at the end of the window are still to be sent again on this connection.
    unsent: usize,
    queue: VecDeque<Delivery>,
    replays: VecDeque<Replay>,
    last_packet_id: u16,
    bytes: usize,
}

/// Whether the client is here.
#[derive(Debug)]
pub(crate) enum Presence {
    Here { link: Arc<Link>, clean_session: bool },
    Away { since: Instant },
}

/// Retained messages still to be delivered for one SUBSCRIBE. They are fetched when there is room for them, so that a
/// wildcard over all topics costs no memory.
#[derive(Debug)]
struct Replay {
    filter: Arc<str>,
    qos: Qos,
    after: Option<Arc<str>>,
}

impl Mailbox {
    pub(crate) fn new(link: Arc<Link>, clean_session: bool) -> Self {
        Self {
            presence: Presence::Here { link, clean_session },
            filters: BTreeMap::new(),
            window: VecDeque::new(),
            unsent: 0,
            queue: VecDeque::new(),
            replays: VecDeque::new(),
            last_packet_id: 0,
            bytes: 0,
        }
    }

    /// The link of the connection that the client is here with.
    pub(crate) fn link(&self) -> Option<&Arc<Link>> {
        match &self.presence {
            Presence::Here { link, .. } => Some(link),
            Presence::Away { .. } => None,
        }
    }

    /// Messages waiting to be sent for the first time.
    pub(crate) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Bytes of all messages held for the client.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The client is back: what it has not acknowledged is sent again, in order.
    pub(crate) fn attach(&mut self, link: Arc<Link>) {
        self.presence = Presence::Here {
            link,
            clean_session: false,
        };
        self.unsent = self.window.len();
    }

    /// The client left: QoS 0 messages are not kept for it.
    pub(crate) fn detach(&mut self, now: Instant) {
        self.presence = Presence::Away { since: now };
        self.queue.retain(|delivery| delivery.qos == Qos::AtLeastOnce);
        self.bytes = self
            .window
            .iter()
            .map(|(_, delivery)| delivery)
            .chain(&self.queue)
            .map(cost)
            .sum();
    }

    /// Appends a message.
    pub(crate) fn push(&mut self, message: &Arc<Message>, qos: Qos) {
        let delivery = Delivery {
            message: Arc::clone(message),
            qos,
            retained: false,
        };
        self.bytes += cost(&delivery);
        self.queue.push_back(delivery);
    }

    /// Has the retained messages of a filter delivered, from the first one.
    pub(crate) fn replay(&mut self, filter: &Arc<str>, qos: Qos) {
        self.stop_replay(filter);
        self.replays.push_back(Replay {
            filter: Arc::clone(filter),
            qos,
            after: None,
        });
    }

    /// Forgets the retained messages of a filter that are not delivered yet.
    pub(crate) fn stop_replay(&mut self, filter: &str) {
        self.replays.retain(|replay| &*replay.filter != filter);
    }

    /// The next message to send, if there is one and the client may be sent it now.
    ///
    /// Retained messages come last: fetched once everything queued is sent, they are never older than what the client
    /// has seen.
    pub(crate) fn next(&mut self, retained: &Retained, max_inflight: usize) -> Option<Outgoing> {
        if self.unsent > 0 {
            let (packet_id, delivery) = self.window[self.window.len() - self.unsent].clone();
            self.unsent -= 1;
            return Some(Outgoing {
                delivery,
                packet_id: Some(packet_id),
                duplicate: true,
            });
        }
        let is_full = self.window.len() >= max_inflight;
        if let Some(first) = self.queue.front() {
            if is_full && first.qos == Qos::AtLeastOnce {
                return None;
            }
            let delivery = self.queue.pop_front()?;
            release_if_empty(&mut self.queue);
            self.bytes -= cost(&delivery);
            return Some(self.send(delivery));
        }
        if is_full {
            return None;
        }
        let delivery = self.next_retained(retained)?;
        Some(self.send(delivery))
    }

    fn next_retained(&mut self, retained: &Retained) -> Option<Delivery> {
        while let Some(replay) = self.replays.front_mut() {
            match retained.next(&replay.filter, replay.after.as_deref()) {
                Some(message) => {
                    replay.after = Some(Arc::clone(&message.topic));
                    let qos = message.qos.min(replay.qos);
                    return Some(Delivery {
                        message: Arc::clone(message),
                        qos,
                        retained: true,
                    });
                }
                None => drop(self.replays.pop_front()),
            }
        }
        release_if_empty(&mut self.replays);
        None
    }

    fn send(&mut self, delivery: Delivery) -> Outgoing {
        let packet_id = (delivery.qos == Qos::AtLeastOnce).then(|| {
            let packet_id = self.free_packet_id();
            self.bytes += cost(&delivery);
            self.window.push_back((packet_id, delivery.clone()));
            packet_id
        });
        Outgoing {
            delivery,
            packet_id,
            duplicate: false,
        }
    }

    fn free_packet_id(&mut self) -> u16 {
        loop {
            self.last_packet_id = self.last_packet_id.checked_add(1).unwrap_or(1);
            if self.window.iter().all(|(taken, _)| *taken != self.last_packet_id) {
                return self.last_packet_id;
            }
        }
    }

    /// Forgets an acknowledged message; acknowledgements may come in any order, and more than once.
    pub(crate) fn acknowledge(&mut self, packet_id: u16) {
        let Some(index) = self.window.iter().position(|(sent, _)| *sent == packet_id) else {
            return;
        };
        // One that is still to be sent again has been received after all.
        if index >= self.window.len() - self.unsent {
            self.unsent -= 1;
        }
        if let Some((_, delivery)) = self.window.remove(index) {
            self.bytes -= cost(&delivery);
        }
        release_if_empty(&mut self.window);
    }
}

/// Most clients have nothing waiting, nearly always: they need no room for it.
fn release_if_empty<T>(queue: &mut VecDeque<T>) {
    if queue.is_empty() {
        *queue = VecDeque::new();
    }
}

fn cost(delivery: &Delivery) -> usize {
    delivery.message.cost()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn message(topic: &str, retain: bool) -> Arc<Message> {
        Arc::new(Message {
            topic: topic.into(),
            payload: Bytes::from("x"),
            qos: Qos::AtLeastOnce,
            retain,
        })
    }

    fn sent(mailbox: &mut Mailbox, retained: &Retained) -> Vec<(String, Option<u16>, bool)> {
        std::iter::from_fn(|| mailbox.next(retained, 3))
            .map(|out| {
                (
                    out.delivery.message.topic.to_string(),
                    out.packet_id,
                    out.duplicate,
                )
            })
            .collect()
    }

    fn row(topic: &str, packet_id: u16, duplicate: bool) -> (String, Option<u16>, bool) {
        (topic.to_owned(), (packet_id > 0).then_some(packet_id), duplicate)
    }

    #[test]
    fn the_window_bounds_what_is_sent_and_what_is_unacknowledged_is_sent_again() {
        let (retained, link) = (Retained::new(0, 0), Link::new().0);
        let mut mailbox = Mailbox::new(Arc::clone(&link), false);
        for topic in ["a", "b", "c", "d"] {
            mailbox.push(&message(topic, false), Qos::AtLeastOnce);
        }
        mailbox.push(&message("e", false), Qos::AtMostOnce);
        let first = sent(&mut mailbox, &retained);
        assert_eq!(
            first,
            [row("a", 1, false), row("b", 2, false), row("c", 3, false)]
        );
        mailbox.acknowledge(2);
        mailbox.acknowledge(2);
        assert_eq!(
            sent(&mut mailbox, &retained),
            [row("d", 4, false), row("e", 0, false)]
        );
        mailbox.detach(Instant::now());
        mailbox.attach(link);
        mailbox.acknowledge(3);
        assert_eq!(
            sent(&mut mailbox, &retained),
            [row("a", 1, true), row("d", 4, true)]
        );
        mailbox.acknowledge(1);
        mailbox.acknowledge(4);
        assert_eq!(mailbox.bytes(), 0);
    }

    #[test]
    fn packet_ids_skip_those_in_flight_and_never_are_zero() {
        let mut mailbox = Mailbox::new(Link::new().0, true);
        let retained = Retained::new(0, 0);
        mailbox.push(&message("a", false), Qos::AtLeastOnce);
        assert_eq!(sent(&mut mailbox, &retained), [row("a", 1, false)]);
        mailbox.last_packet_id = u16::MAX;
        mailbox.push(&message("b", false), Qos::AtLeastOnce);
        assert_eq!(sent(&mut mailbox, &retained), [row("b", 2, false)]);
    }

    #[test]
    fn retained_messages_wait_for_the_queue_and_for_the_window() {
        let mut retained = Retained::new(10, 10_000);
        for topic in ["r/1", "r/2", "r/3"] {
            retained.store(&message(topic, true)).unwrap();
        }
        let mut mailbox = Mailbox::new(Link::new().0, true);
        mailbox.replay(&"r/#".into(), Qos::AtLeastOnce);
        mailbox.push(&message("a", false), Qos::AtLeastOnce);
        assert_eq!(
            sent(&mut mailbox, &retained),
            [row("a", 1, false), row("r/1", 2, false), row("r/2", 3, false)]
        );
        mailbox.acknowledge(1);
        assert_eq!(sent(&mut mailbox, &retained), [row("r/3", 4, false)]);
    }

    #[test]
    fn a_client_that_is_away_keeps_no_qos_0() {
        let mut mailbox = Mailbox::new(Link::new().0, false);
        mailbox.push(&message("a", false), Qos::AtMostOnce);
        mailbox.push(&message("b", false), Qos::AtLeastOnce);
        mailbox.detach(Instant::now());
        assert_eq!(
            (mailbox.queued(), mailbox.bytes()),
            (1, message("b", false).cost())
        );
    }
}
