//! One record: a version, then the delta that wrote it, as JSON.
//!
//! JSON because the model grows from month to month: fields that a record lacks get their default, and fields that the
//! model no longer has are skipped. The version changes only when that is not enough.
//!
//! A job is stored once, with its newest version: the record of the job only names that. (Earlier programs wrote it out a
//! second time, which is read as well.) What a node is like is a record of its own, too; earlier programs wrote it into the
//! record of the node.

use std::sync::Arc;

use holdfast_coordinator_core::Delta;
use holdfast_shared::id::{JobKey, NodeId};
use holdfast_shared::model::{Fingerprint, Node};
use serde::{Deserialize, Serialize};

use super::fingerprints;

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

/// What is in a record.
pub(super) enum Record {
    /// A delta.
    Delta(Delta),
    /// Which version of a job is the current one.
    Current(JobKey, u64),
    /// What a node is like.
    Fingerprint(NodeId, Arc<Fingerprint>),
}

/// The record of a job.
#[derive(Serialize, Deserialize)]
struct Current {
    #[serde(rename = "CurrentVersion")]
    version: (JobKey, u64),
}

/// What the record of a job begins with, and no delta.
const CURRENT: &[u8] = br#"{"CurrentVersion":"#;

/// The record of what a node is like.
#[derive(Serialize, Deserialize)]
struct Described {
    #[serde(rename = "Fingerprint")]
    node: (NodeId, Arc<Fingerprint>),
}

/// What such a record begins with, and no delta.
const DESCRIBED: &[u8] = br#"{"Fingerprint":"#;

/// Appends the record of `delta` to `bytes`. That of a node goes without its fingerprint.
pub(super) fn encode(delta: &Delta, bytes: &mut Vec<u8>) {
    match delta {
        Delta::Job(job) => {
            let version = (job.key(), job.version());
            write(&Current { version }, bytes);
        }
        Delta::Node(node) => write(&Delta::Node(Arc::new(fingerprints::without(node))), bytes),
        other => write(other, bytes),
    }
}

/// Appends the record of what `node` is like to `bytes`.
pub(super) fn encode_fingerprint(node: &Node, bytes: &mut Vec<u8>) {
    let node = (node.id, Arc::clone(&node.fingerprint));
    write(&Described { node }, bytes);
}

fn write(record: &impl Serialize, bytes: &mut Vec<u8>) {
    bytes.push(VERSION);
    serde_json::to_writer(bytes, record).expect("records always serialize into memory");
}

pub(super) fn decode(bytes: &[u8]) -> Result<Record, RecordError> {
    match bytes.split_first() {
        None => Err(RecordError::Empty),
        Some((&VERSION, json)) if json.starts_with(CURRENT) => {
            let Current {
                version: (job, version),
            } = serde_json::from_slice(json)?;
            Ok(Record::Current(job, version))
        }
        Some((&VERSION, json)) if json.starts_with(DESCRIBED) => {
            let Described {
                node: (node, fingerprint),
            } = serde_json::from_slice(json)?;
            Ok(Record::Fingerprint(node, fingerprint))
        }
        Some((&VERSION, json)) => Ok(Record::Delta(serde_json::from_slice(json)?)),
        Some((&version, _)) => Err(RecordError::Version(version)),
    }
}
