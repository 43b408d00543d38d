//! What follows the end of a task on its own node (`scheduling-semantics.md` 3.5). Pure, so that the agent and the
//! conformance vectors use the very same decision.

use super::policy::RestartPolicy;
use crate::time::{Duration, Timestamp};

/// Restarts counted in the current window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RestartWindow {
    /// When the window began.
    pub start: Timestamp,
    /// Restarts that the window has used up.
    pub restarts: i64,
}

/// What follows the end of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartDecision {
    /// It is started again after this pause (jitter not included).
    Restart(Duration),
    /// It has used up its attempts and is started again when the window is over, after this pause.
    Wait(Duration),
    /// It has used up its attempts and fails.
    Fail,
}

impl RestartPolicy {
    /// Decides about a task that ended at `now` and is not done, and counts the decision in `window`.
    pub fn decide(&self, window: &mut RestartWindow, now: Timestamp) -> RestartDecision {
        if now >= window.start + self.interval {
            *window = RestartWindow {
                start: now,
                restarts: 0,
            };
        }
        window.restarts += 1;
        if window.restarts <= self.attempts {
            RestartDecision::Restart(self.delay)
        } else if self.fails || self.attempts == 0 {
            RestartDecision::Fail
        } else {
            RestartDecision::Wait((window.start + self.interval).since(now))
        }
    }

    /// The longest jitter that is added to a restart's pause: a quarter of the delay.
    pub fn jitter_max(&self) -> Duration {
        Duration(self.delay.0 / 4)
    }
}
