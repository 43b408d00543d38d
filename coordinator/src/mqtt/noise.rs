//! Repeated complaints, thinned out: one broken device must not fill the log.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

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
}
