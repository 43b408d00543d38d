//! Values that many records have in common, in memory once.

use std::collections::BTreeSet;
use std::sync::Arc;

/// How many different values are remembered; a fleet has a few.
const KNOWN_MAX: usize = 64;

/// And how many different names.
const NAMES_MAX: usize = 1024;

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

/// Names that many records have in common.
#[derive(Debug, Default)]
pub(crate) struct Names(BTreeSet<Arc<str>>);

impl Names {
    /// The same name; the one that others have already, if there is one.
    pub(crate) fn share(&mut self, name: &Arc<str>) -> Arc<str> {
        if let Some(known) = self.0.get(name) {
            return Arc::clone(known);
        }
        if self.0.len() == NAMES_MAX {
            self.0.clear();
        }
        self.0.insert(Arc::clone(name));
        Arc::clone(name)
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

    #[test]
    fn equal_names_are_in_memory_once_and_only_so_many_are_remembered() {
        let mut names = Names::default();
        let first = names.share(&"app".into());
        assert!(Arc::ptr_eq(&first, &names.share(&"app".into())));
        for number in 0..3 * NAMES_MAX {
            names.share(&number.to_string().into());
        }
        assert!(names.0.len() <= NAMES_MAX);
    }
}
