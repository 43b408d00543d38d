//! The shortest plan that still breaks the same invariant: delta debugging.

use crate::plan::{Entry, plan};
use crate::world::{Config, run_plan};

/// More attempts than this are not worth the time.
const ATTEMPTS_MAX: usize = 600;

/// Leaves out of the plan of `seed` whatever is not needed to break the invariant that the whole plan breaks first;
/// `None` when it breaks none.
pub fn shrink(seed: u64, config: Config) -> Option<Vec<Entry>> {
    let config = Config {
        trace: false,
        ..config
    };
    let mut entries = plan(seed, config);
    let first = run_plan(seed, config, entries.clone())
        .violations
        .into_iter()
        .next()?;
    let still_fails = |entries: &[Entry]| {
        let violations = run_plan(seed, config, entries.to_vec()).violations;
        violations.iter().any(|it| it.name == first.name)
    };
    // What comes after the failure cannot matter, unless it shows only at the end.
    let before: Vec<Entry> = entries
        .iter()
        .copied()
        .filter(|it| it.at.0 <= first.at.0)
        .collect();
    if before.len() < entries.len() && still_fails(&before) {
        entries = before;
    }
    let mut attempts = 0;
    let mut size = entries.len().div_ceil(2).max(1);
    loop {
        let mut from = 0;
        while from < entries.len() && attempts < ATTEMPTS_MAX {
            attempts += 1;
            let until = (from + size).min(entries.len());
            let without: Vec<Entry> = entries[..from].iter().chain(&entries[until..]).copied().collect();
            if still_fails(&without) {
                entries = without;
            } else {
                from = until;
            }
        }
        if size == 1 || attempts >= ATTEMPTS_MAX {
            return Some(entries);
        }
        size = size.div_ceil(2).min(entries.len().max(1));
    }
}
