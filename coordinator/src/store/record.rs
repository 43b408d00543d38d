//! One record: a version, then the delta that wrote it, as JSON.
//!
//! JSON because the model grows from month to month: fields that a record lacks get their default, and fields that the
//! model no longer has are skipped. The version changes only when that is not enough.

use holdfast_coordinator_core::Delta;

/// The version that is written; older ones are read.
const VERSION: u8 = 1;

/// Why a record cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// There is nothing in it.
    #[error("the record is empty")]
    Empty,
    /// It was written by a newer program.
    #[error("the record has version {0}; this program understands version {VERSION}")]
    Version(u8),
    /// It is no delta.
    #[error("the record is not valid")]
    Json(#[from] serde_json::Error),
}

pub(super) fn encode(delta: &Delta) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    serde_json::to_writer(&mut bytes, delta).expect("deltas always serialize into memory");
    bytes
}

pub(super) fn decode(bytes: &[u8]) -> Result<Delta, RecordError> {
    match bytes.split_first() {
        None => Err(RecordError::Empty),
        Some((&VERSION, json)) => Ok(serde_json::from_slice(json)?),
        Some((&version, _)) => Err(RecordError::Version(version)),
    }
}
