//! Repeated complaints, thinned out: one broken device must not fill the log.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Subjects that are told apart; beyond that, counting begins anew.
const SUBJECTS: usize = 1024;

/// Counts complaints by subject.
#[derive(Debug, Default)]
pub(super) struct Noise {
    counts: Mutex<BTreeMap<String, u64>>,
}

impl Noise {
    /// Counts one more about `subject`; answers the count when it is worth a line in the log: 1, 2, 4, 8, …
    pub(super) fn notable(&self, subject: &str) -> Option<u64> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= SUBJECTS && !counts.contains_key(subject) {
            counts.clear();
        }
        let count = counts.entry(subject.to_owned()).or_default();
        *count += 1;
        count.is_power_of_two().then_some(*count)
    }
}

/// Events of a subject that are worth a line each, in [`PACE_WINDOW`].
const PACE_LINES: u32 = 4;
const PACE_WINDOW: Duration = Duration::from_secs(60);

/// Lets events through to the log unless they come thick and fast: a node that connects over and over.
#[derive(Debug, Default)]
pub(super) struct Pace {
    windows: Mutex<BTreeMap<String, (Instant, u32)>>,
}

impl Pace {
    /// Whether one more event of `subject` is worth a line.
    pub(super) fn allows(&self, subject: &str, now: Instant) -> bool {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.len() >= SUBJECTS && !windows.contains_key(subject) {
            windows.clear();
        }
        let (began, lines) = windows.entry(subject.to_owned()).or_insert((now, 0));
        if now.saturating_duration_since(*began) >= PACE_WINDOW {
            (*began, *lines) = (now, 0);
        }
        *lines += 1;
        *lines <= PACE_LINES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ever_fewer_complaints_about_a_subject_are_notable() {
        let noise = Noise::default();
        let told: Vec<u64> = (0..100).filter_map(|_| noise.notable("box-1")).collect();
        assert_eq!(told, [1, 2, 4, 8, 16, 32, 64]);
        assert_eq!(noise.notable("box-2"), Some(1));
    }

    #[test]
    fn a_subject_gets_a_few_lines_a_minute() {
        let (pace, start) = (Pace::default(), Instant::now());
        let allowed = |count, now| (0..count).filter(|_| pace.allows("box-1", now)).count();
        assert_eq!(allowed(100, start), 4);
        assert!(pace.allows("box-2", start));
        assert_eq!(allowed(100, start + Duration::from_secs(59)), 0);
        assert_eq!(allowed(100, start + Duration::from_secs(60)), 4);
    }
}
