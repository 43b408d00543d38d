//! Random numbers of one story.

use holdfast_shared::id::IdGenerator;
use holdfast_shared::time::Duration;

/// A source of random numbers with a seed.
#[derive(Debug, Clone)]
pub(crate) struct Random(IdGenerator);

impl Random {
    pub(crate) fn from_seed(seed: u64) -> Self {
        Self(IdGenerator::from_seed(u128::from(seed)))
    }

    /// A seed for somebody else.
    pub(crate) fn seed(&mut self) -> u128 {
        self.0.next_u128()
    }

    /// Less than `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        (self.0.next_u64() >> 11) % bound
    }

    /// Whether something with this chance happens.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// Between two durations, both in milliseconds.
    pub(crate) fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis((from + self.below(to - from + 1)) as i64)
    }

    /// One of several.
    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }
}
