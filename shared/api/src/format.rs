//! How Go writes what Rust has no word for: times that may be absent, collections that are `null` when empty.

use std::fmt;

use holdfast_shared::time::Timestamp;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time as Go's JSON writes it: RFC 3339 with nanoseconds, `null` for never.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct GoTime(pub Timestamp);

impl GoTime {
    /// Whether it stands for "never".
    pub const fn is_never(&self) -> bool {
        !self.0.is_set()
    }
}

impl From<Timestamp> for GoTime {
    fn from(it: Timestamp) -> Self {
        Self(it)
    }
}

impl fmt::Display for GoTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Every i64 of nanoseconds lies between the years 1677 and 2262.
        let time =
            jiff::Timestamp::from_nanosecond(i128::from(self.0.0)).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        write!(f, "{time}")
    }
}

impl Serialize for GoTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.is_never() {
            serializer.serialize_none()
        } else {
            serializer.collect_str(self)
        }
    }
}

impl<'de> Deserialize<'de> for GoTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else {
            return Ok(Self::default());
        };
        let time: jiff::Timestamp = text.parse().map_err(D::Error::custom)?;
        // Go's zero time, the year 1, is out of range and means "never" as well.
        Ok(Self(Timestamp(i64::try_from(time.as_nanosecond()).unwrap_or(0))))
    }
}

/// For fields that are left out while they hold their default.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// For collections that are never written as `null`, and may be read as such.
pub(crate) fn null_is_default<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Deserialize<'de> + Default,
    D: Deserializer<'de>,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// For collections that are `null` when they are empty.
pub(crate) mod nullable {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<T, S>(value: &T, serializer: S) -> Result<S::Ok, S::Error>
    where
        T: Serialize + Default + PartialEq,
        S: Serializer,
    {
        if super::is_default(value) {
            serializer.serialize_none()
        } else {
            value.serialize(serializer)
        }
    }

    pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: Deserialize<'de> + Default,
        D: Deserializer<'de>,
    {
        super::null_is_default(deserializer)
    }
}

/// An id as text; empty when there is none.
pub(crate) fn or_empty(id: Option<impl fmt::Display>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_go_writes_them_and_never_is_null() {
        for (nanos, json) in [
            (0, "null"),
            (1_795_247_892_931_178_600, "\"2026-11-21T07:58:12.9311786Z\""),
            (1_000_000_000, "\"1970-01-01T00:00:01Z\""),
        ] {
            let time = GoTime(Timestamp(nanos));
            assert_eq!(serde_json::to_string(&time).unwrap(), json);
            assert_eq!(serde_json::from_str::<GoTime>(json).unwrap(), time);
        }
        assert!(
            serde_json::from_str::<GoTime>("\"0001-01-01T00:00:00Z\"")
                .unwrap()
                .is_never()
        );
    }
}
