//! A clock that may run fast or slow, and be wrong.

use holdfast_shared::time::{Duration, Timestamp};

/// A clock of one machine: one that only goes forward, and one on the wall.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    /// The true time at which the pace last changed.
    base: Timestamp,
    /// What both showed then.
    forward: Timestamp,
    wall: Timestamp,
    /// By how many parts per million it is too fast.
    pace: i64,
    /// Whether the wall clock is in 1970.
    pub(crate) is_in_1970: bool,
}

impl Clock {
    /// A clock that is right about the wall's time, and that shows `forward` now.
    pub(crate) const fn new(now: Timestamp, forward: Timestamp) -> Self {
        Self {
            base: now,
            forward,
            wall: now,
            pace: 0,
            is_in_1970: false,
        }
    }

    /// What the clock that only goes forward shows at the true time `now`.
    pub(crate) fn forward(&self, now: Timestamp) -> Timestamp {
        self.forward + scaled(now.since(self.base), self.pace)
    }

    /// What the wall clock shows; it drifts the other way.
    pub(crate) fn wall(&self, now: Timestamp) -> Timestamp {
        let passed = scaled(now.since(self.base), -self.pace);
        if self.is_in_1970 {
            Timestamp::from_secs(100) + passed
        } else {
            self.wall + passed
        }
    }

    /// Runs too fast by so many parts per million from now on; 0 also sets the wall clock right.
    pub(crate) fn set_pace(&mut self, now: Timestamp, pace: i64) {
        let (forward, wall) = (self.forward(now), self.wall(now));
        *self = Self {
            base: now,
            forward,
            wall: if pace == 0 || self.is_in_1970 { now } else { wall },
            pace,
            is_in_1970: self.is_in_1970,
        };
    }

    /// The machine starts: the clock that only goes forward shows `forward`.
    pub(crate) fn restart(&mut self, now: Timestamp, forward: Timestamp) {
        let wall = self.wall(now);
        (self.base, self.forward) = (now, forward);
        self.wall = if self.is_in_1970 { now } else { wall };
    }

    /// How long, by the true time, until the clock that only goes forward shows `at`.
    pub(crate) fn until(&self, now: Timestamp, at: Timestamp) -> Duration {
        let left = at.since(self.forward(now)).0;
        // One millisecond more: rounding must not wake anybody too early, again and again.
        let slower = (i128::from(left) * 1_000_000 / i128::from(1_000_000 + self.pace)) as i64;
        Duration(slower) + Duration::from_millis(1)
    }
}

fn scaled(passed: Duration, pace: i64) -> Duration {
    Duration(passed.0 + (i128::from(passed.0) * i128::from(pace) / 1_000_000) as i64)
}
