//! Every byte that travels between coordinator and agents: a format version, then postcard.
//!
//! The shapes live in one file per version ([`v1`]) and are frozen once released; golden bytes are tested. They know
//! nothing of the model: `convert` translates. The part of a job that grows from month to month travels as JSON bytes
//! inside ([`v1::JobSpec`]), because postcard can neither skip unknown fields nor default missing ones.

mod convert;
mod jobspec;
pub mod v1;

pub use v1::{
    AllocReport, Answer, Assigned, Assignments, Catalog, CatalogService, Deed, FromAgent, Held, Interest,
    JobSpec, Order, Port, Presence, Register, Report, RestartTasks, ServiceInstance, TaskReport, ToAgent,
    WatchHealth,
};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The newest format version; the first byte of every payload.
pub const VERSION: u8 = 1;

/// The longest payload that is looked at; longer ones are refused unread.
pub const PAYLOAD_BYTES_MAX: usize = 8 * 1024 * 1024;

/// An agent sends a heartbeat every so many keep-alives. MQTT's own pings, which are smaller, tell in between that it is
/// there; the heartbeat also tells what it holds, should a broker have lost a message.
pub const KEEP_ALIVES_PER_HEARTBEAT: i64 = 10;

/// A payload that cannot be understood. It hurts nobody but its sender.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// There is nothing in it.
    #[error("the payload is empty")]
    Empty,
    /// It is longer than [`PAYLOAD_BYTES_MAX`].
    #[error("the payload has {0} bytes; at most {PAYLOAD_BYTES_MAX} are accepted")]
    TooLong(usize),
    /// It was written by somebody newer or by something else.
    #[error("the payload has format version {0}; this program understands version {VERSION}")]
    Version(u8),
    /// It does not decode.
    #[error("the payload does not decode")]
    Postcard(#[from] postcard::Error),
    /// Bytes are left over.
    #[error("{0} bytes are left over behind the message")]
    Trailing(usize),
    /// A job specification in it does not decompress.
    #[error("the job specification does not decompress")]
    Compression,
    /// A job specification or fingerprint in it is no valid JSON.
    #[error("the payload holds invalid JSON")]
    Json(#[from] serde_json::Error),
}

/// The bytes of `message`.
pub fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    postcard::to_extend(message, vec![VERSION]).expect("wire types always serialize into memory")
}

/// The message in `payload`.
///
/// # Errors
/// When the payload is empty, too long, of another version, or not exactly one message.
pub fn decode<T: DeserializeOwned>(payload: &[u8]) -> Result<T, WireError> {
    if payload.len() > PAYLOAD_BYTES_MAX {
        return Err(WireError::TooLong(payload.len()));
    }
    match payload.split_first() {
        None => Err(WireError::Empty),
        Some((&VERSION, rest)) => {
            let (message, rest) = postcard::take_from_bytes(rest)?;
            if rest.is_empty() {
                Ok(message)
            } else {
                Err(WireError::Trailing(rest.len()))
            }
        }
        Some((&version, _)) => Err(WireError::Version(version)),
    }
}

#[cfg(test)]
mod tests;
