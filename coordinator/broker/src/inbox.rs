//! What clients say to the owner of the broker, in the order in which each client said it.
//!
//! Nothing in here is dropped: while the inbox is full, clients that publish or ping wait for their answer.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;

/// One thing that happened on the broker.
///
/// Of one client id: `Connected`, any number of `Message` and `Alive`, `Disconnected`, and so on, never interleaved with those of
/// a connection that took over. The last will is a `Message` before the `Disconnected`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inbound {
    /// A client was let in; its subscriptions of an earlier session, if any, are in force again.
    Connected {
        /// Who.
        client_id: Arc<str>,
        /// Whether it asked for a clean session.
        clean_session: bool,
        /// Whether it was told that its earlier session is still there.
        session_present: bool,
        /// Where it connects from.
        peer: SocketAddr,
    },
    /// A client published to a topic for which [`is_for_coordinator`](crate::Permissions::is_for_coordinator) holds.
    Message {
        /// Who.
        client_id: Arc<str>,
        /// Where to.
        topic: Arc<str>,
        /// What.
        payload: Bytes,
    },
    /// A client had nothing to say and pinged.
    Alive {
        /// Who.
        client_id: Arc<str>,
    },
    /// A connection ended.
    Disconnected {
        /// Who.
        client_id: Arc<str>,
        /// Why.
        reason: Ending,
    },
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The client said DISCONNECT. The only ending that discards the last will, beside [`Ending::Shutdown`].
    Graceful,
    /// The client or the network closed the connection without DISCONNECT.
    Closed,
    /// Nothing was heard for one and a half keep-alives.
    KeepAlive,
    /// The client broke the protocol, or used a part of it that is not supported (QoS 2).
    Protocol,
    /// The client published where it may not.
    NotPermitted,
    /// The client took nothing of what was written to it for [`Timeouts::write`](crate::Timeouts::write).
    SlowReader,
    /// More messages were waiting for the client than [`Limits`](crate::Limits) allow.
    Overflow,
    /// The client id connected again.
    TakenOver,
    /// [`Broker::disconnect`](crate::Broker::disconnect) was called.
    Removed,
    /// The broker shuts down.
    Shutdown,
}

impl Ending {
    /// Whether the client said goodbye.
    #[must_use]
    pub fn is_graceful(self) -> bool {
        self == Self::Graceful
    }

    /// Whether this ending publishes the last will (MQTT 3.1.1, 3.1.2.5). A broker that shuts down does not: those
    /// who would be told lose their connection as well.
    pub(crate) fn publishes_will(self) -> bool {
        !matches!(self, Self::Graceful | Self::Shutdown)
    }
}

/// The receiving end, held by the owner of the broker.
#[derive(Debug)]
pub struct Inbox {
    receiver: mpsc::Receiver<Inbound>,
}

impl Inbox {
    pub(crate) fn with_capacity(capacity: usize) -> (mpsc::Sender<Inbound>, Self) {
        let (sender, receiver) = mpsc::channel(capacity.max(1));
        (sender, Self { receiver })
    }

    /// The next event; `None` once the broker is gone and everything has been received. Cancel safe.
    pub async fn recv(&mut self) -> Option<Inbound> {
        self.receiver.recv().await
    }

    /// Waits for at least one event and appends up to `limit` of them to `batch`; returns how many, 0 once the broker
    /// is gone. Cancel safe.
    pub async fn recv_many(&mut self, batch: &mut Vec<Inbound>, limit: usize) -> usize {
        self.receiver.recv_many(batch, limit).await
    }

    /// The next event if there is one now.
    pub fn try_recv(&mut self) -> Option<Inbound> {
        self.receiver.try_recv().ok()
    }
}
