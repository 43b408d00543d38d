//! Changes on their way to the store, the newest of each key only.

use std::collections::BTreeMap;

use holdfast_coordinator_core::Delta;
use holdfast_coordinator_core::state::Table;

/// Changes that are committed together. A later change of a key replaces an earlier one, so that a batch that waits for
/// a disk to recover never grows beyond the state itself.
#[derive(Debug, Default)]
pub struct Batch {
    changes: BTreeMap<(Table, String), Delta>,
}

impl Batch {
    /// Adds a change behind all others.
    pub fn push(&mut self, delta: Delta) {
        self.changes.insert((delta.table(), delta.key()), delta);
    }

    /// Whether there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// How many keys change.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// The changes with their table and key.
    pub fn iter(&self) -> impl Iterator<Item = (Table, &str, &Delta)> {
        self.changes
            .iter()
            .map(|((table, key), delta)| (*table, key.as_str(), delta))
    }

    /// Forgets everything: it is durable.
    pub fn clear(&mut self) {
        self.changes.clear();
    }
}

impl FromIterator<Delta> for Batch {
    fn from_iter<I: IntoIterator<Item = Delta>>(deltas: I) -> Self {
        let mut batch = Self::default();
        deltas.into_iter().for_each(|delta| batch.push(delta));
        batch
    }
}
