//! State as readers see it: immutable, durable, replaced as a whole after each batch of changes.

use std::sync::Arc;

use arc_swap::ArcSwap;
use holdfast_coordinator_core::State;
use tokio::sync::watch;

/// The newest snapshot, for many readers and one writer.
#[derive(Debug)]
pub struct Snapshots {
    current: ArcSwap<State>,
    index: watch::Sender<u64>,
}

impl Snapshots {
    /// Begins with `state`.
    pub fn new(state: State) -> Self {
        Self {
            index: watch::Sender::new(state.index),
            current: ArcSwap::from_pointee(state),
        }
    }

    /// The newest snapshot.
    pub fn load(&self) -> Arc<State> {
        self.current.load_full()
    }

    /// Tells of each new index; ends when the coordinator does.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.index.subscribe()
    }

    /// Replaces the snapshot and wakes whoever waits for a newer one.
    pub(crate) fn publish(&self, state: &State) {
        let index = state.index;
        self.current.store(Arc::new(state.clone()));
        self.index.send_replace(index);
    }
}
