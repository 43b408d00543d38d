//! `distinct_hosts` and `distinct_property`: how many of a job's allocations may share a node, or a property of nodes.

/// Whether a `distinct_hosts` with this value is in force: everything but a clear no is a yes.
pub fn hosts_apart(value: &str) -> bool {
    !matches!(value, "false" | "False" | "FALSE" | "f" | "F" | "0")
}

/// How often one value of a property is used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Uses {
    /// By allocations that were there before this evaluation.
    pub existing: usize,
    /// By allocations that this evaluation places.
    pub planned: usize,
    /// By allocations that this evaluation stops; they are among the existing ones.
    pub stopped: usize,
}

impl Uses {
    /// How many allocations use the value, as `distinct_property` counts: a stop makes room, but of several stops one is
    /// used up by the placements on the same value.
    pub(super) fn distinct(&self) -> usize {
        let freed = self.stopped.saturating_sub(usize::from(self.planned > 0));
        (self.existing + self.planned).saturating_sub(freed)
    }

    /// How many allocations use the value, as spreads count.
    pub fn total(&self) -> usize {
        (self.existing + self.planned).saturating_sub(self.stopped)
    }
}

/// How many allocations may share a value; `None` when the limit is no number: nothing is allowed then.
pub fn property_limit(limit: &str) -> Option<usize> {
    if limit.is_empty() {
        return Some(1);
    }
    limit.parse().ok()
}

/// Whether `distinct_property` with this limit allows one more allocation on a node whose value is used so often. No
/// value allows none.
pub fn property_allows(limit: Option<usize>, uses: Option<&Uses>) -> bool {
    uses.zip(limit)
        .is_some_and(|(uses, limit)| uses.distinct() < limit)
}
