//! What is kept for people and hardly ever looked at, in as few bytes as it travels in.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes that suffice for most values, so that there is no need to make more room again and again.
const ROOM: usize = 512;

/// A value as postcard writes it. It is opened when somebody looks, and is stored and sent as the value itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Packed<T> {
    bytes: Arc<[u8]>,
    value: PhantomData<fn() -> T>,
}

impl<T: Serialize + DeserializeOwned> Packed<T> {
    /// Packs a value.
    ///
    /// # Panics
    /// When the value has something postcard cannot write: a sequence of a length that is not known beforehand.
    pub fn of(value: &T) -> Self {
        let room = Vec::with_capacity(ROOM);
        let bytes = postcard::to_extend(value, room).expect("the model serializes into memory");
        let value = PhantomData;
        Self {
            bytes: bytes.into(),
            value,
        }
    }

    /// The value.
    ///
    /// # Panics
    /// Never: what was packed can be opened.
    pub fn open(&self) -> T {
        postcard::from_bytes(&self.bytes).expect("it was packed by us")
    }
}

impl<T: Default + Serialize + DeserializeOwned> Default for Packed<T> {
    fn default() -> Self {
        Self::of(&T::default())
    }
}

impl<T: fmt::Debug + Serialize + DeserializeOwned> fmt::Debug for Packed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.open().fmt(f)
    }
}

impl<T: Serialize + DeserializeOwned> Serialize for Packed<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.open().serialize(serializer)
    }
}

impl<'de, T: Serialize + DeserializeOwned> Deserialize<'de> for Packed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(|value| Self::of(&value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_value_is_written_and_read_as_the_value_itself() {
        let value = vec![("a".to_owned(), 1_u64), ("b".to_owned(), 300)];
        let packed = Packed::of(&value);
        assert_eq!(packed.open(), value);
        let json = serde_json::to_string(&packed).unwrap();
        assert_eq!(json, serde_json::to_string(&value).unwrap());
        assert_eq!(
            serde_json::from_str::<Packed<Vec<(String, u64)>>>(&json).unwrap(),
            packed
        );
        // Agents have records of such values, written before they were packed.
        let written = postcard::to_extend(&packed, Vec::new()).unwrap();
        assert_eq!(written, postcard::to_extend(&value, Vec::new()).unwrap());
        assert_eq!(format!("{packed:?}"), format!("{value:?}"));
    }
}
