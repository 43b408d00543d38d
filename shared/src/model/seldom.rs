//! Things that are nearly always missing.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A thing that is nearly always missing and takes one word as long as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seldom<T>(Option<Box<T>>);

impl<T> Seldom<T> {
    /// Whether it is there.
    pub fn is_some(&self) -> bool {
        self.0.is_some()
    }

    /// Whether it is missing.
    pub fn is_none(&self) -> bool {
        self.0.is_none()
    }
}

impl<T: Copy> Seldom<T> {
    /// The thing, if it is there.
    pub fn get(&self) -> Option<T> {
        self.0.as_deref().copied()
    }

    /// Takes it out.
    pub fn take(&mut self) -> Option<T> {
        self.0.take().map(|it| *it)
    }
}

impl<T> Default for Seldom<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> From<Option<T>> for Seldom<T> {
    fn from(thing: Option<T>) -> Self {
        Self(thing.map(Box::new))
    }
}

impl<T> From<T> for Seldom<T> {
    fn from(thing: T) -> Self {
        Some(thing).into()
    }
}

impl<T: Serialize> Serialize for Seldom<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Seldom<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_as_what_may_be_missing_and_costs_a_word() {
        assert_eq!(size_of::<Seldom<[u64; 4]>>(), size_of::<usize>());
        for (thing, json) in [(Seldom::default(), "null"), (Seldom::from(7), "7")] {
            assert_eq!(serde_json::to_string(&thing).unwrap(), json);
            assert_eq!(serde_json::from_str::<Seldom<i32>>(json).unwrap(), thing);
        }
        let mut thing = Seldom::from(7);
        assert_eq!((thing.get(), thing.take(), thing.get()), (Some(7), Some(7), None));
    }
}
