//! The last will of one connection: checked when it connects, published when it ends without saying goodbye.
//!
//! It belongs to the connection and not to the client id. A takeover is a connection that ends without DISCONNECT, so
//! the old one's will is published, before the new one is let in; the new one's will is untouched. This holds for
//! clean sessions and others alike (MQTT 3.1.1, 3.1.2.5 and MQTT-3.1.4-2).

use std::sync::Arc;

use crate::codec::PublishPacket;
use crate::gate::{Permissions, Refusal};
use crate::message::Message;
use crate::topic;

/// Checks a will against what the client may publish.
///
/// # Errors
/// Not authorised, also for a topic that nobody may publish to.
pub(crate) fn check(will: PublishPacket, permissions: &dyn Permissions) -> Result<Arc<Message>, Refusal> {
    if !topic::is_publishable(&will.topic) || !permissions.may_publish(&will.topic) {
        return Err(Refusal::NotAuthorized);
    }
    Ok(Arc::new(Message {
        topic: will.topic.into(),
        payload: will.payload,
        qos: will.qos,
        retain: will.retain,
    }))
}
