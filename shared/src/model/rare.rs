//! Lists that are nearly always empty.

use std::ops::Deref;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A list that is nearly always empty and takes one word as long as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::box_collection, reason = "the point of it: one word instead of three")]
pub struct Rare<T>(Option<Box<Vec<T>>>);

impl<T> Rare<T> {
    /// Appends a thing.
    pub fn push(&mut self, thing: T) {
        self.0.get_or_insert_default().push(thing);
    }
}

impl<T> Default for Rare<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Deref for Rare<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.0.as_deref().map_or(&[], Vec::as_slice)
    }
}

impl<T> From<Vec<T>> for Rare<T> {
    fn from(things: Vec<T>) -> Self {
        Self((!things.is_empty()).then(|| Box::new(things)))
    }
}

impl<T> FromIterator<T> for Rare<T> {
    fn from_iter<I: IntoIterator<Item = T>>(things: I) -> Self {
        Vec::from_iter(things).into()
    }
}

impl<'a, T> IntoIterator for &'a Rare<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T: Serialize> Serialize for Rare<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Rare<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_written_as_any_list_and_costs_a_word_while_it_is_empty() {
        assert_eq!(size_of::<Rare<[u64; 4]>>(), size_of::<usize>());
        let mut list = Rare::default();
        assert_eq!(serde_json::to_string(&list).unwrap(), "[]");
        list.push(1);
        list.push(2);
        assert_eq!((list.len(), list.iter().sum::<i32>()), (2, 3));
        let json = serde_json::to_string(&list).unwrap();
        assert_eq!(
            (json.as_str(), serde_json::from_str(&json).unwrap()),
            ("[1,2]", list)
        );
    }

    #[test]
    fn an_empty_list_equals_an_empty_list_however_it_was_made() {
        assert_eq!(Rare::from(Vec::<u8>::new()), Rare::default());
    }
}
