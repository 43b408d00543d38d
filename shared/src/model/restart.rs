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
            RestartDecision::Restart(self.pause(window.restarts))
        } else if self.fails || self.attempts == 0 {
            RestartDecision::Fail
        } else {
            RestartDecision::Wait((window.start + self.interval).since(now))
        }
    }

    /// The pause before the restart of this number in a window, from 1.
    fn pause(&self, number: i64) -> Duration {
        let Some(longest) = self.max_delay else {
            return self.delay;
        };
        let doublings = u32::try_from(number - 1).unwrap_or(0).min(62);
        Duration(
            self.delay
                .0
                .saturating_mul(1 << doublings)
                .min(longest.0.max(self.delay.0)),
        )
    }

    /// The longest jitter that is added to a restart's pause: a quarter of the delay.
    pub fn jitter_max(&self) -> Duration {
        Duration(self.delay.0 / 4)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{JobType, Restart};
    use super::*;

    #[test]
    fn pauses_double_within_a_window_only_when_a_longest_one_is_given() {
        for (max_delay, expected) in [
            (None, [2, 2, 2, 2]),
            (Some(9), [2, 4, 8, 9]),
            (Some(1), [2, 2, 2, 2]),
        ] {
            let block = Restart {
                attempts: Some(4),
                delay: Some(Duration::from_secs(2)),
                max_delay: max_delay.map(Duration::from_secs),
                ..Restart::default()
            };
            let (policy, mut window) = (block.policy(JobType::Service), RestartWindow::default());
            let now = Timestamp::from_secs(1_000_000);
            for seconds in expected {
                let pause = Duration::from_secs(seconds);
                assert_eq!(
                    policy.decide(&mut window, now),
                    RestartDecision::Restart(pause),
                    "{max_delay:?}"
                );
            }
            assert_eq!(policy.decide(&mut window, now), RestartDecision::Fail);
        }
    }
}
