//! What nodes are like is stored beside their records: these change with every word of a node, it hardly ever does.

use std::collections::BTreeMap;
use std::sync::Arc;

use holdfast_coordinator_core::Delta;
use holdfast_shared::id::NodeId;
use holdfast_shared::model::{Fingerprint, Node};

/// The fingerprints that are in the store, as far as they were written since it was opened.
#[derive(Default)]
pub(super) struct Fingerprints(BTreeMap<NodeId, Arc<Fingerprint>>);

impl Fingerprints {
    /// Whether the store has the fingerprint of this node.
    pub(super) fn has(&self, node: &Node) -> bool {
        let stored = self.0.get(&node.id);
        stored.is_some_and(|it| Arc::ptr_eq(it, &node.fingerprint) || *it == node.fingerprint)
    }

    /// What `delta` says of a node is in the store.
    pub(super) fn note(&mut self, delta: &Delta) {
        match delta {
            Delta::Node(node) => {
                self.0.insert(node.id, Arc::clone(&node.fingerprint));
            }
            Delta::RemoveNode(id) => {
                self.0.remove(id);
            }
            _ => {}
        }
    }
}

/// The node with nothing said of what it is like.
pub(super) fn without(node: &Node) -> Node {
    Node {
        fingerprint: Arc::default(),
        ..node.clone()
    }
}
