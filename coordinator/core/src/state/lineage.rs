//! Which epochs are this state's own: how a copy from a backup is told from what became of the original.
//!
//! Every start of a coordinator begins an epoch, a random step above the last one, and stores it before any node hears of
//! it. Whoever starts with a copy of the state, and whoever goes on with the original, are so told apart by every node
//! that has heard one of them: what they told it carries an epoch that is in the one's list and not in the other's.

use holdfast_shared::wire::Held;
use imbl::OrdSet;

/// The epochs in which this state has decided since it was last declared to be the truth.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lineage(OrdSet<u64>);

impl Lineage {
    /// Whether a node was told something that is no part of this state, which was then restored from a backup: what the
    /// node holds is of an epoch that others began, or of a generation that this state has `sent` nobody yet. Whatever is
    /// older than the first epoch here was overruled by the operator who began that one.
    pub fn is_foreign(&self, held: Held, sent: u64) -> bool {
        !self.is_overruled(held) && (!self.is_own(held) || held.generation > sent)
    }

    /// Whether a node holds what this state has told it.
    pub fn is_own(&self, held: Held) -> bool {
        self.0.contains(&held.epoch)
    }

    /// Whether a node holds nothing, or what an operator has declared not to be the truth, or what is of so long ago that
    /// nobody can say who told it.
    pub fn is_overruled(&self, held: Held) -> bool {
        self.0.get_min().is_none_or(|first| held.epoch < *first)
    }

    /// The epochs, in order.
    pub fn epochs(&self) -> impl Iterator<Item = u64> {
        self.0.iter().copied()
    }

    /// How many epochs there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none, as in a state that was never saved, or by a coordinator that kept none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn insert(&mut self, epoch: u64) {
        self.0.insert(epoch);
    }

    pub(super) fn remove(&mut self, epoch: u64) {
        self.0.remove(&epoch);
    }
}
