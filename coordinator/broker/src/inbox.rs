//! What clients say to the owner of the broker, in the order in which each client said it.
//!
//! Nothing in here is dropped: while the inbox is full, be it of events or of bytes, clients that publish to the owner or
//! ping wait for their answer, and are served in turn.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

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

/// An event with the bytes that it takes up, which are free again when it is received.
#[derive(Debug)]
struct Waiting {
    event: Inbound,
    _room: Option<OwnedSemaphorePermit>,
}

/// The sending end, shared by all connections.
#[derive(Debug)]
pub(crate) struct InboxSender {
    events: mpsc::Sender<Waiting>,
    room: Arc<Semaphore>,
    max_bytes: usize,
}

/// Room in the inbox for one event.
#[derive(Debug)]
pub(crate) struct Room<'a> {
    event: mpsc::Permit<'a, Waiting>,
    bytes: Option<OwnedSemaphorePermit>,
}

impl InboxSender {
    /// Puts a message of so many bytes in, if there is room now.
    pub(crate) fn try_send(&self, event: Inbound, bytes: usize) -> Result<(), Unsent> {
        let room = Arc::clone(&self.room).try_acquire_many_owned(self.count(bytes));
        let Ok(room) = room else {
            return Err(Unsent::Full);
        };
        let waiting = Waiting {
            event,
            _room: Some(room),
        };
        self.events.try_send(waiting).map_err(|error| match error {
            TrySendError::Full(_) => Unsent::Full,
            TrySendError::Closed(_) => Unsent::Closed,
        })
    }

    /// Waits for room for an event of so many bytes; `None` when the inbox is gone. Cancel safe.
    pub(crate) async fn reserve(&self, bytes: usize) -> Option<Room<'_>> {
        let bytes = match self.count(bytes) {
            0 => None,
            count => Some(Arc::clone(&self.room).acquire_many_owned(count).await.ok()?),
        };
        let event = self.events.reserve().await.ok()?;
        Some(Room { event, bytes })
    }

    /// A message that is larger than the whole inbox takes all of it.
    fn count(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.min(self.max_bytes)).unwrap_or(u32::MAX)
    }
}

impl Room<'_> {
    pub(crate) fn send(self, event: Inbound) {
        self.event.send(Waiting {
            event,
            _room: self.bytes,
        });
    }
}

/// Why an event is not in the inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsent {
    /// There is no room now.
    Full,
    /// The inbox is gone.
    Closed,
}

/// The receiving end, held by the owner of the broker.
#[derive(Debug)]
pub struct Inbox {
    receiver: mpsc::Receiver<Waiting>,
}

impl Inbox {
    pub(crate) fn new(capacity: usize, max_bytes: usize) -> (InboxSender, Self) {
        let (events, receiver) = mpsc::channel(capacity.max(1));
        let max_bytes = max_bytes.clamp(1, u32::MAX as usize);
        let sender = InboxSender {
            events,
            room: Arc::new(Semaphore::new(max_bytes)),
            max_bytes,
        };
        (sender, Self { receiver })
    }

    /// The next event; `None` once the broker is gone and everything has been received. Cancel safe.
    pub async fn recv(&mut self) -> Option<Inbound> {
        self.receiver.recv().await.map(|waiting| waiting.event)
    }

    /// The next event if there is one now.
    pub fn try_recv(&mut self) -> Option<Inbound> {
        self.receiver.try_recv().ok().map(|waiting| waiting.event)
    }
}
