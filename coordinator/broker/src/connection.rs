//! The exchange of messages with one client that was let in, until one side ends it.
//!
//! One task reads, writes and keeps the time, and never waits for anything but the next event: a client that reads
//! nothing can still be timed out, and one that waits for the inbox still gets its messages.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until};

use crate::codec::{self, Packet, PublishPacket};
use crate::gate::Permissions;
use crate::greeting::House;
use crate::inbox::{Ending, Inbound, Unsent};
use crate::link::Link;
use crate::message::{Message, Qos};
use crate::topic;
use crate::wire::{Progress, Wire};

/// Encoded bytes kept ready for writing; messages wait in the mailbox, where they are shared.
const READY_BYTES: usize = 32 * 1024;
/// Encoded bytes, acknowledgements included, beyond which nothing more is read from the client.
const MAX_READY_BYTES: usize = 2 * READY_BYTES;

/// A client's connection.
pub(crate) struct Connection<'a, S> {
    pub(crate) wire: Wire<S>,
    pub(crate) client: &'a Arc<str>,
    pub(crate) link: &'a Arc<Link>,
    pub(crate) permissions: &'a dyn Permissions,
    /// How long the client may say nothing.
    pub(crate) silence: Duration,
    pub(crate) house: &'a House,
    /// What the inbox has no room for. Until it has, nothing is read from the client.
    pub(crate) stalled: Option<Stalled>,
    /// Whether the client is being read from.
    pub(crate) is_listening: bool,
}

/// On its way to the inbox.
pub(crate) enum Stalled {
    /// A message, and the packet id to acknowledge it with (0: none).
    Message(Arc<Message>, u16),
    /// A ping.
    Ping,
}

impl Stalled {
    /// Bytes that it takes up in the inbox.
    fn cost(&self) -> usize {
        match self {
            Self::Message(message, _) => message.cost(),
            Self::Ping => 0,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<'_, S> {
    /// Exchanges messages until the connection ends.
    pub(crate) async fn run(&mut self) -> Ending {
        let mut timer = pin!(sleep_until(self.deadline()));
        loop {
            if let Err(ending) = self.work() {
                return ending;
            }
            let may_read = self.listen();
            // Later deadlines are noticed when the timer fires: it need not be moved with every packet.
            let deadline = self.deadline();
            if deadline < timer.deadline() {
                timer.as_mut().reset(deadline);
            }
            let stalled = self.stalled.as_ref().map(Stalled::cost);
            tokio::select! {
                progress = self.wire.progress(may_read) => {
                    if !matches!(progress, Ok(Progress::Read | Progress::Wrote)) {
                        return Ending::Closed;
                    }
                }
                () = self.link.woken() => {}
                room = self.house.inbox.reserve(stalled.unwrap_or(0)), if stalled.is_some() => {
                    let Some(room) = room else { return Ending::Shutdown };
                    if let Some(stalled) = self.stalled.take() {
                        room.send(self.inbound(&stalled));
                        self.accept(&stalled);
                    }
                }
                () = &mut timer => {
                    if let Some(ending) = self.overdue() {
                        return ending;
                    }
                    timer.as_mut().reset(self.deadline());
                }
            }
        }
    }

    fn may_read(&self) -> bool {
        self.stalled.is_none() && self.wire.output.len() < MAX_READY_BYTES
    }

    /// Whether to read from the client. After a time when it was not read from, its silence starts afresh: what it said
    /// meanwhile is still to be read.
    fn listen(&mut self) -> bool {
        let may_read = self.may_read();
        if may_read && !self.is_listening {
            self.wire.heard_at = Instant::now();
        }
        self.is_listening = may_read;
        may_read
    }

    /// Handles what has arrived and makes ready what is to be sent.
    fn work(&mut self) -> Result<(), Ending> {
        if let Some(ending) = self.link.verdict() {
            return Err(ending);
        }
        if !self.wire.is_writing() {
            self.wire.moved_at = Instant::now();
        }
        while self.may_read() {
            match self.wire.packet() {
                Ok(Some(packet)) => self.on_packet(packet)?,
                Ok(None) => break,
                Err(error) => {
                    tracing::debug!(client_id = %self.client, %error, "client breaks the protocol");
                    return Err(Ending::Protocol);
                }
            }
        }
        let room = READY_BYTES.saturating_sub(self.wire.output.len());
        if room > 0 {
            for outgoing in self.house.hub.outgoing(self.client, self.link, room) {
                codec::encode_publish(&outgoing, &mut self.wire.output);
            }
        }
        Ok(())
    }

    fn on_packet(&mut self, packet: Packet) -> Result<(), Ending> {
        match packet {
            Packet::Publish(publish) => self.on_publish(publish)?,
            Packet::PubAck { packet_id } => self.house.hub.acknowledge(self.client, self.link, packet_id),
            Packet::Subscribe { packet_id, filters } => {
                let granted: Result<Vec<_>, Ending> = filters
                    .iter()
                    .map(|(filter, qos)| self.on_subscribe(filter, *qos))
                    .collect();
                let granted = granted?;
                let refused = granted.iter().filter(|qos| qos.is_none()).count();
                if let Some(first) = granted.iter().position(Option::is_none) {
                    let filter = &filters[first].0;
                    tracing::debug!(client_id = %self.client, filter, refused, "subscriptions refused");
                }
                codec::encode_suback(packet_id, &granted, &mut self.wire.output);
            }
            Packet::Unsubscribe { packet_id, filters } => {
                for filter in &filters {
                    self.house.hub.unsubscribe(self.client, self.link, filter);
                }
                codec::encode_unsuback(packet_id, &mut self.wire.output);
            }
            Packet::Ping => self.pass_on(Stalled::Ping)?,
            Packet::Disconnect => return Err(Ending::Graceful),
            Packet::Connect(_) => {
                tracing::debug!(client_id = %self.client, "client connects twice");
                return Err(Ending::Protocol);
            }
        }
        Ok(())
    }

    fn on_publish(&mut self, publish: PublishPacket) -> Result<(), Ending> {
        let PublishPacket {
            topic,
            payload,
            qos,
            retain,
            packet_id,
        } = publish;
        if !topic::is_publishable(&topic) {
            tracing::debug!(client_id = %self.client, topic, "client publishes to a topic that nobody may");
            return Err(Ending::Protocol);
        }
        if !self.permissions.may_publish(&topic) {
            tracing::debug!(client_id = %self.client, topic, "client publishes where it may not");
            return Err(Ending::NotPermitted);
        }
        let message = Arc::new(Message {
            topic: topic.into(),
            payload,
            qos,
            retain,
        });
        let is_for_coordinator = self.permissions.is_for_coordinator(&message.topic);
        let message = Stalled::Message(message, packet_id);
        if is_for_coordinator {
            return self.pass_on(message);
        }
        self.accept(&message);
        Ok(())
    }

    /// Tells the owner, as soon as the inbox has room, and answers the client.
    fn pass_on(&mut self, said: Stalled) -> Result<(), Ending> {
        match self.house.inbox.try_send(self.inbound(&said), said.cost()) {
            Ok(()) => self.accept(&said),
            Err(Unsent::Full) => self.stalled = Some(said),
            Err(Unsent::Closed) => return Err(Ending::Shutdown),
        }
        Ok(())
    }

    fn inbound(&self, said: &Stalled) -> Inbound {
        let client_id = Arc::clone(self.client);
        match said {
            Stalled::Message(message, _) => Inbound::Message {
                client_id,
                topic: Arc::clone(&message.topic),
                payload: message.payload.clone(),
            },
            Stalled::Ping => Inbound::Alive { client_id },
        }
    }

    /// Passes a message on, and answers the client.
    fn accept(&mut self, said: &Stalled) {
        match said {
            Stalled::Message(message, packet_id) => {
                self.house.hub.publish(message);
                if *packet_id > 0 {
                    codec::encode_puback(*packet_id, &mut self.wire.output);
                }
            }
            Stalled::Ping => codec::encode_pong(&mut self.wire.output),
        }
    }

    /// What the client is granted for a filter; `None` if it is refused.
    fn on_subscribe(&self, filter: &str, qos: Qos) -> Result<Option<Qos>, Ending> {
        if !topic::is_filter(filter) {
            tracing::debug!(client_id = %self.client, filter, "client subscribes to what is no filter");
            return Err(Ending::Protocol);
        }
        // `$share` and `$SYS` are not offered.
        let is_granted = !filter.starts_with('$')
            && self.permissions.may_subscribe(filter)
            && self.house.hub.subscribe(self.client, self.link, filter, qos);
        Ok(is_granted.then_some(qos))
    }

    /// When the connection ends unless something happens before.
    fn deadline(&self) -> Instant {
        let heard_by = self.wire.heard_at + self.silence;
        let moved_by = self.wire.moved_at + self.house.timeouts.write;
        match (self.may_read(), self.wire.is_writing()) {
            (true, true) => heard_by.min(moved_by),
            (true, false) => heard_by,
            (false, true) => moved_by,
            // Waiting for the inbox, with nothing to write: time is not the client's fault.
            (false, false) => Instant::now() + self.silence,
        }
    }

    fn overdue(&self) -> Option<Ending> {
        let now = Instant::now();
        if self.wire.is_writing() && now >= self.wire.moved_at + self.house.timeouts.write {
            tracing::debug!(client_id = %self.client, "client does not read");
            Some(Ending::SlowReader)
        } else if self.may_read() && now >= self.wire.heard_at + self.silence {
            tracing::debug!(client_id = %self.client, "client is silent");
            Some(Ending::KeepAlive)
        } else {
            None
        }
    }
}
