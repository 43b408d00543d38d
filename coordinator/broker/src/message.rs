//! A published message and its quality of service, shared by everybody it is delivered to.

use std::sync::Arc;

use bytes::Bytes;

/// How surely a message is delivered. QoS 2 is not offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Qos {
    /// QoS 0: at most once; lost with the connection.
    AtMostOnce,
    /// QoS 1: at least once; sent again until it is acknowledged.
    AtLeastOnce,
}

/// A message as it was published.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) topic: Arc<str>,
    pub(crate) payload: Bytes,
    pub(crate) qos: Qos,
    /// Whether it replaces (or, when empty, removes) the retained message of its topic.
    pub(crate) retain: bool,
}

impl Message {
    /// Bytes that count against limits: topic, payload, and about what it takes to keep them.
    pub(crate) fn cost(&self) -> usize {
        self.topic.len() + self.payload.len() + 64
    }
}

/// A message on its way to one client.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) message: Arc<Message>,
    /// The lower of what it was published and what it was subscribed with.
    pub(crate) qos: Qos,
    /// Whether it is sent because it is retained, not because it was published just now.
    pub(crate) retained: bool,
}

/// A delivery with what its PUBLISH packet needs besides.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    pub(crate) delivery: Delivery,
    /// Set for QoS 1.
    pub(crate) packet_id: Option<u16>,
    /// Whether it may have been sent before.
    pub(crate) duplicate: bool,
}
