//! Which index a new allocation's name gets: the lowest that is free.

use std::collections::BTreeSet;

/// The indexes that are taken in a group.
#[derive(Debug, Clone)]
pub(super) struct Names {
    prefix: String,
    taken: BTreeSet<usize>,
    /// Every index below this is taken.
    full_below: usize,
}

impl Names {
    /// Names like `job.group[0]`.
    pub(super) fn new(job: &str, group: &str, taken: impl IntoIterator<Item = usize>) -> Self {
        Self {
            prefix: format!("{job}.{group}"),
            taken: taken.into_iter().collect(),
            full_below: 0,
        }
    }

    /// The lowest free name, which is taken from now on.
    pub(super) fn next(&mut self) -> String {
        while self.taken.contains(&self.full_below) {
            self.full_below += 1;
        }
        let index = self.full_below;
        self.full_below += 1;
        self.name(index)
    }

    /// Whether nobody has this index.
    pub(super) fn is_free(&self, index: usize) -> bool {
        index >= self.full_below && !self.taken.contains(&index)
    }

    /// Marks an index as taken.
    pub(super) fn reserve(&mut self, index: usize) {
        self.taken.insert(index);
    }

    /// The name with this index, which is taken from now on.
    pub(super) fn take(&mut self, index: usize) -> String {
        self.taken.insert(index);
        self.name(index)
    }

    fn name(&self, index: usize) -> String {
        format!("{}[{index}]", self.prefix)
    }
}
