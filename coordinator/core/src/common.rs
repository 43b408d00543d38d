//! Values that many records have in common, in memory once.

use std::sync::Arc;

/// How many different values are remembered; a fleet has a few.
const KNOWN_MAX: usize = 64;

/// The different values of one kind.
#[derive(Debug, Clone)]
pub(crate) struct Common<T> {
    known: Vec<Arc<T>>,
}

impl<T> Default for Common<T> {
    fn default() -> Self {
        Self { known: Vec::new() }
    }
}

impl<T: PartialEq> Common<T> {
    /// The same value; the one that others have already, if there is one.
    pub(crate) fn share(&mut self, value: &Arc<T>) -> Arc<T> {
        let is_same = |known: &&Arc<T>| Arc::ptr_eq(known, value) || ***known == **value;
        if let Some(known) = self.known.iter().find(is_same) {
            return Arc::clone(known);
        }
        if self.known.len() == KNOWN_MAX {
            self.known.clear();
        }
        self.known.push(Arc::clone(value));
        Arc::clone(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_are_in_memory_once_and_only_so_many_are_remembered() {
        let mut common = Common::default();
        let first = common.share(&Arc::new(vec![1]));
        assert!(Arc::ptr_eq(&first, &common.share(&Arc::new(vec![1]))));
        for number in 2..1000 {
            common.share(&Arc::new(vec![number]));
        }
        assert!(common.known.len() <= KNOWN_MAX);
        assert!(!Arc::ptr_eq(&first, &common.share(&Arc::new(vec![1]))));
    }
}
