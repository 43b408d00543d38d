//! How a box numbers its connections, as the agent's shell does (`agent/src/identity.rs`).

use holdfast_shared::time::{Duration, Timestamp};

/// Sessions count starts in their upper bits.
const CONNECTION_BITS: u32 = 20;

/// A connection that lasted this long was a good one.
const GOOD: Duration = Duration::from_secs(10);

/// The numbers of one disk's connections.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sessions {
    starts: u64,
    connections: u64,
    /// Whether the running process may still find that it was not started last.
    may_rise: bool,
    since: Timestamp,
}

impl Sessions {
    /// A process starts. The clock is a floor: the count may have been lost with the disk, or copied with it.
    pub(crate) fn start(&mut self, wall: Timestamp) {
        *self = Self {
            starts: (self.starts + 1).max(wall.as_secs() as u64),
            may_rise: true,
            ..Self::default()
        };
    }

    /// Each number is greater than every one before, across restarts.
    pub(crate) fn next(&mut self, now: Timestamp) -> u64 {
        self.connections += 1;
        self.since = now;
        (self.starts << CONNECTION_BITS) + self.connections
    }

    /// A connection has ended that nobody refused.
    pub(crate) fn ended(&mut self, now: Timestamp) {
        self.may_rise &= now.since(self.since) < GOOD;
    }

    /// Another agent with this identity has had the session `newer`.
    pub(crate) fn refused(&mut self, newer: u64) {
        if std::mem::take(&mut self.may_rise) {
            (self.starts, self.connections) = ((newer >> CONNECTION_BITS) + 1, 0);
        }
    }
}

/// A session as people read it.
pub(crate) fn short(session: u64) -> String {
    format!(
        "{}.{}",
        session >> CONNECTION_BITS,
        session & ((1 << CONNECTION_BITS) - 1)
    )
}
