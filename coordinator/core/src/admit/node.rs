//! Nodes: credentials.

use holdfast_shared::id::NodeId;

use crate::effect::{Refusal, Response};
use crate::ledger::Ledger;
use crate::state::Delta;

/// Accepts a node's credential. The first one stays: whoever has another one is somebody else.
pub(super) fn enroll(ledger: &mut Ledger, node: NodeId, secret_hash: [u8; 32]) -> Result<Response, Refusal> {
    match ledger.state.credentials.get(&node) {
        Some(known) if *known != secret_hash => return Err(Refusal::WrongSecret(node)),
        Some(_) => {}
        None => ledger.record(Delta::Credential(node, secret_hash)),
    }
    Ok(Response {
        index: ledger.state.index,
        ..Response::default()
    })
}
