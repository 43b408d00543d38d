//! Chance that can be repeated: a generator with a seed that a failed test has printed.

use std::time::{SystemTime, UNIX_EPOCH};

/// Names the seed of a run that is to be repeated.
const SEED: &str = "HOLDFAST_FAULT_SEED";

/// A generator of random numbers (splitmix64).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Begins where `seed` says.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Begins where the environment says, or else somewhere; prints where, which a test shows when it fails.
    pub fn from_environment() -> Self {
        let given = std::env::var(SEED).ok().and_then(|text| text.parse().ok());
        let seed = given.unwrap_or_else(|| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            u64::from(now.subsec_nanos())
        });
        println!("{SEED}={seed} repeats this run's chances");
        Self(seed)
    }

    /// A number from `low` up to, and without, `high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low).max(1)
    }

    /// True with this probability.
    pub fn hits(&mut self, probability: f64) -> bool {
        // 53 bits are what a float holds.
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64 <= probability && probability > 0.0
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_chances_and_they_are_fair() {
        let throws = |seed| {
            let mut dice = Dice::new(seed);
            (0..1000).map(move |_| dice.hits(0.2)).collect::<Vec<bool>>()
        };
        assert_eq!(throws(7), throws(7));
        assert_ne!(throws(7), throws(8));
        let hits = throws(7).into_iter().filter(|hit| *hit).count();
        assert!((150..250).contains(&hits), "{hits}");
        assert!((0..100).all(|_| (10..300).contains(&Dice::new(1).between(10, 300))));
    }
}
