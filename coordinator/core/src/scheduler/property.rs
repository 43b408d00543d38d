//! Properties of nodes as columns: every value a number, so that what uses a value is counted without looking at text.

use std::collections::BTreeMap;
use std::sync::Arc;

use holdfast_shared::model::Node;

use super::distinct::Uses;
use super::feasible::Target;

/// The value of a property on every row of the fleet.
#[derive(Debug, Clone, Default)]
pub(crate) struct Column {
    of_row: Vec<u32>,
    values: Vec<Arc<str>>,
    numbers: BTreeMap<Arc<str>, u32>,
}

/// A node without the property.
const NONE: u32 = u32::MAX;

impl Column {
    /// The number of the row's value, unless the node lacks the property.
    pub(crate) fn of(&self, row: u32) -> Option<usize> {
        let number = self.of_row.get(row as usize).copied().unwrap_or(NONE);
        (number != NONE).then_some(number as usize)
    }

    /// Every value, by number.
    pub(crate) fn values(&self) -> &[Arc<str>] {
        &self.values
    }

    /// Notes what `attribute` is on the node of this row.
    pub(super) fn put(&mut self, row: u32, attribute: Target<'_>, node: &Node) {
        let row = row as usize;
        if self.of_row.len() <= row {
            self.of_row.resize(row + 1, NONE);
        }
        self.of_row[row] = attribute.on(node).map_or(NONE, |value| self.number(&value));
    }

    fn number(&mut self, value: &str) -> u32 {
        if let Some(number) = self.numbers.get(value) {
            return *number;
        }
        let (value, number): (Arc<str>, _) = (value.into(), self.values.len() as u32);
        self.values.push(Arc::clone(&value));
        self.numbers.insert(value, number);
        number
    }
}

/// How often each value of a property is used by a job, or by one group of it.
#[derive(Debug)]
pub(super) struct Property<'a> {
    pub(super) attribute: &'a str,
    /// The group; the whole job when `None`.
    pub(super) scope: Option<&'a str>,
    pub(super) column: Arc<Column>,
    uses: Vec<Uses>,
}

impl<'a> Property<'a> {
    pub(super) fn new(attribute: &'a str, scope: Option<&'a str>, column: Arc<Column>) -> Self {
        let uses = vec![Uses::default(); column.values().len()];
        Self {
            attribute,
            scope,
            column,
            uses,
        }
    }

    /// Counts a change of an allocation of `group` in this row.
    pub(super) fn count(&mut self, (row, group): (u32, &str), change: impl FnOnce(&mut Uses)) {
        if self.scope.is_none_or(|scope| scope == group)
            && let Some(value) = self.column.of(row)
        {
            change(&mut self.uses[value]);
        }
    }

    /// How often the row's value is used, unless the node lacks the property.
    pub(super) fn uses_in(&self, row: u32) -> Option<&Uses> {
        self.column.of(row).map(|value| &self.uses[value])
    }

    /// What is said of a node whose value so many have already, or that has none.
    pub(super) fn crowded(&self, value: Option<usize>, uses: usize) -> String {
        let attribute = self.attribute;
        match value {
            None => format!("missing property {attribute:?}"),
            Some(value) => {
                let value = &self.column.values()[value];
                format!("distinct_property: {attribute}={value} used by {uses} allocs")
            }
        }
    }

    /// How often each value is used, by number.
    pub(super) fn uses(&self) -> &[Uses] {
        &self.uses
    }
}
