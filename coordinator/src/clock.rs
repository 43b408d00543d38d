//! The coordinator's clock: starts at the wall's time and from there on only goes forward, at the pace of a second a
//! second.
//!
//! A step of the wall clock, as on a box that boots in 1970 and finds a time server later, would otherwise end every
//! node's heartbeat at once, or stop them all from ever ending.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use holdfast_shared::time::{Duration, Timestamp};

/// A clock that never steps.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Timestamp,
    started: Instant,
}

impl Clock {
    /// A clock that starts at the wall's time, or at `newest` when that is later: no record lies in the future then.
    pub fn start(newest: Timestamp) -> Self {
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map(Duration::from)
            .unwrap_or_default();
        Self {
            origin: newest.max(Timestamp(wall.0)),
            started: Instant::now(),
        }
    }

    /// What time it is.
    pub fn now(&self) -> Timestamp {
        self.origin + Duration::from(self.started.elapsed())
    }

    /// When `at` is, for timers; now when it has passed.
    pub fn instant(&self, at: Timestamp) -> tokio::time::Instant {
        tokio::time::Instant::now() + at.since(self.now()).to_std()
    }
}
