//! `distinct_hosts` and `distinct_property`: how many of a job's allocations may share a node, or a property of nodes.

use std::collections::BTreeMap;

/// Whether a `distinct_hosts` with this value is in force: everything but a clear no is a yes.
pub fn hosts_apart(value: &str) -> bool {
    !matches!(value, "false" | "False" | "FALSE" | "f" | "F" | "0")
}

/// How often one value of a property is used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Uses {
    /// By allocations that were there before this evaluation.
    pub existing: BTreeMap<String, usize>,
    /// By allocations that this evaluation places.
    pub planned: BTreeMap<String, usize>,
    /// By allocations that this evaluation stops; they are among the existing ones.
    pub stopped: BTreeMap<String, usize>,
}

impl Uses {
    /// How many allocations use `value`, as `distinct_property` counts: a stop makes room, but of several stops one is
    /// used up by the placements on the same value.
    fn distinct(&self, value: &str) -> usize {
        let of = |map: &BTreeMap<String, usize>| map.get(value).copied().unwrap_or(0);
        let (existing, planned, stopped) = (of(&self.existing), of(&self.planned), of(&self.stopped));
        let freed = stopped.saturating_sub(usize::from(planned > 0));
        (existing + planned).saturating_sub(freed)
    }

    /// How many allocations use each value, as spreads count; values that nobody uses are left out.
    pub fn totals(&self) -> BTreeMap<String, usize> {
        let mut totals = self.existing.clone();
        for (value, number) in &self.planned {
            *totals.entry(value.clone()).or_default() += number;
        }
        for (value, number) in &self.stopped {
            if let Some(total) = totals.get_mut(value) {
                *total = total.saturating_sub(*number);
            }
        }
        totals.retain(|_, number| *number > 0);
        totals
    }
}

/// Whether `distinct_property` with this limit allows one more allocation on a node with this value. No value, or a
/// limit that is no number or 0, allows none.
pub fn property_allows(limit: &str, value: Option<&str>, uses: &Uses) -> bool {
    let limit = if limit.is_empty() {
        Some(1)
    } else {
        limit.parse::<usize>().ok()
    };
    value
        .zip(limit)
        .is_some_and(|(value, limit)| uses.distinct(value) < limit)
}
