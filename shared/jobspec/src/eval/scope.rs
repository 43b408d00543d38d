//! Names that expressions may use.

use std::collections::BTreeMap;

use crate::value::Value;

/// Names of one level, and those around it.
#[derive(Debug, Default)]
pub(crate) struct Scope<'a> {
    names: BTreeMap<String, Value>,
    around: Option<&'a Self>,
}

impl<'a> Scope<'a> {
    /// The outermost level.
    pub(crate) fn new(names: impl IntoIterator<Item = (String, Value)>) -> Self {
        Self {
            names: names.into_iter().collect(),
            around: None,
        }
    }

    /// A level inside this one.
    pub(crate) fn with(&'a self, names: impl IntoIterator<Item = (String, Value)>) -> Self {
        Self {
            names: names.into_iter().collect(),
            around: Some(self),
        }
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Value> {
        self.names
            .get(name)
            .or_else(|| self.around.and_then(|scope| scope.find(name)))
    }

    /// Defines or replaces a name of this level.
    pub(crate) fn define(&mut self, name: &str, value: Value) {
        self.names.insert(name.to_owned(), value);
    }
}
