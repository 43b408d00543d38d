//! Random numbers of one story: one stream for each who draws, so that one fault less does not change all others.

use holdfast_shared::id::IdGenerator;
use holdfast_shared::time::Duration;

/// A source of random numbers with a seed.
#[derive(Debug, Clone)]
pub(crate) struct Random(IdGenerator);

impl Random {
    /// The stream of one who draws in the story of `seed`.
    pub(crate) fn stream(seed: u64, name: &str, number: usize) -> Self {
        let name = name.bytes().fold(number as u64, |sum, byte| {
            (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(IdGenerator::from_seed(u128::from(seed) | u128::from(name) << 64))
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
        percent > 0 && self.below(100) < percent
    }

    /// From `from` to `to`, both included.
    pub(crate) fn between(&mut self, (from, to): (u64, u64)) -> u64 {
        from + self.below(to - from + 1)
    }

    /// Between two durations, both in milliseconds.
    pub(crate) fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(self.between((from, to)) as i64)
    }
}
