//! Typed ids. Every id of the kind UUID is one `u128` behind a type of its own, so that a node can never be
//! taken for an allocation; the registry at the end of this file is the whole list.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::de::{Deserializer, Error as _, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// Text that is not an id: not 32 hexadecimal digits in groups of 8-4-4-4-12.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an id: 36 characters like 6a5ac2ba-8ebb-68e1-2cd5-9b9e3c01721c are expected")]
pub struct ParseIdError(pub String);

/// Where new ids come from. Cores are handed one with a seed, so that the same inputs give the same ids;
/// shells seed it from the operating system.
#[derive(Debug, Clone)]
pub struct IdGenerator {
    state: [u64; 2],
}

impl IdGenerator {
    /// A generator that always yields the same sequence for the same seed (xoroshiro128+).
    pub fn from_seed(seed: u128) -> Self {
        let mix = |mut x: u64| {
            x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            x ^ (x >> 31)
        };
        let low = mix((seed as u64).wrapping_add(0x9e37_79b9_7f4a_7c15));
        let high = mix(((seed >> 64) as u64).wrapping_add(0x3c6e_f372_fe94_f82a));
        Self {
            state: [low | 1, high],
        }
    }

    /// The next 64 pseudo-random bits.
    pub fn next_u64(&mut self) -> u64 {
        let [s0, mut s1] = self.state;
        let result = s0.wrapping_add(s1);
        s1 ^= s0;
        self.state = [s0.rotate_left(24) ^ s1 ^ (s1 << 16), s1.rotate_left(37)];
        result
    }

    /// The next id, with the version bits of a random UUID.
    pub fn next_u128(&mut self) -> u128 {
        let raw = (u128::from(self.next_u64()) << 64) | u128::from(self.next_u64());
        (raw & !(0xf000_u128 << 64) & !(0xc000_u128 << 48)) | (0x4000_u128 << 64) | (0x8000_u128 << 48)
    }
}

fn parse_uuid(text: &str) -> Option<u128> {
    let bytes = text.as_bytes();
    if bytes.len() != 36 || [8, 13, 18, 23].iter().any(|&at| bytes[at] != b'-') {
        return None;
    }
    let mut value = 0u128;
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 8 | 13 | 18 | 23) {
            continue;
        }
        value = value << 4 | u128::from(char::from(*byte).to_digit(16)?);
    }
    Some(value)
}

fn write_uuid(value: u128, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let part = |shift: u32, mask: u128| value >> shift & mask;
    write!(
        f,
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        part(96, 0xffff_ffff),
        part(80, 0xffff),
        part(64, 0xffff),
        part(48, 0xffff),
        part(0, 0xffff_ffff_ffff)
    )
}

struct UuidVisitor;

impl Visitor<'_> for UuidVisitor {
    type Value = u128;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id of 36 characters")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<u128, E> {
        parse_uuid(text).ok_or_else(|| E::custom(ParseIdError(text.to_owned())))
    }
}

macro_rules! uuid_ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        // Aligned to eight: an id that may be missing takes 24 bytes instead of 32, and records have many.
        #[repr(Rust, packed(8))]
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u128);

        impl $name {
            /// A new id from `ids`.
            pub fn generate(ids: &mut IdGenerator) -> Self {
                Self(ids.next_u128())
            }

            /// The first eight characters, as people see it.
            pub fn short(self) -> String {
                format!("{:08x}", (self.0 >> 96) as u32)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_uuid(self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_uuid(self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                parse_uuid(text).map(Self).ok_or_else(|| ParseIdError(text.to_owned()))
            }
        }

        // Text where people read it, sixteen bytes where they do not.
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    self.0.to_be_bytes().serialize(serializer)
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    deserializer.deserialize_str(UuidVisitor).map(Self)
                } else {
                    <[u8; 16]>::deserialize(deserializer)
                        .map(|bytes| Self(u128::from_be_bytes(bytes)))
                        .map_err(D::Error::custom)
                }
            }
        }
    )*};
}

uuid_ids! {
    /// One placed copy of a group on one node.
    AllocId;
    /// One rollout of one job version.
    DeploymentId;
    /// One request to reconcile one job.
    EvalId;
    /// One box that runs the agent.
    NodeId;
}

/// What an operator calls a job, within a namespace. Many tables have it in their keys: copies share the text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct JobKey {
    /// The namespace, `default` unless the job names one.
    pub namespace: Arc<str>,
    /// The job's id.
    pub id: Arc<str>,
}

impl JobKey {
    /// The key of job `id` in `namespace`.
    pub fn new(namespace: impl Into<Arc<str>>, id: impl Into<Arc<str>>) -> Self {
        Self {
            namespace: namespace.into(),
            id: id.into(),
        }
    }
}

impl Ord for JobKey {
    /// Most keys that are compared share their text, and need not be read.
    fn cmp(&self, other: &Self) -> Ordering {
        let order = |a: &Arc<str>, b: &Arc<str>| {
            if Arc::ptr_eq(a, b) {
                Ordering::Equal
            } else {
                a.cmp(b)
            }
        };
        order(&self.namespace, &other.namespace).then_with(|| order(&self.id, &other.id))
    }
}

impl PartialOrd for JobKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for JobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.id, self.namespace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_prints_and_parses_as_the_same_text() {
        let text = "6a5ac2ba-8ebb-68e1-2cd5-9b9e3c01721c";
        let id: AllocId = text.parse().unwrap();
        assert_eq!(
            (id.to_string(), id.short()),
            (text.to_owned(), "6a5ac2ba".to_owned())
        );
        assert_eq!(
            serde_json::from_str::<AllocId>(&serde_json::to_string(&id).unwrap()).unwrap(),
            id
        );
    }

    #[test]
    fn text_that_is_no_id_is_refused() {
        for text in [
            "",
            "6a5ac2ba",
            "6a5ac2ba-8ebb-68e1-2cd5-9b9e3c01721",
            "6a5ac2bag8ebb-68e1-2cd5-9b9e3c01721c",
        ] {
            assert!(text.parse::<NodeId>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_ids_and_they_are_random_uuids() {
        let (mut a, mut b) = (IdGenerator::from_seed(7), IdGenerator::from_seed(7));
        let (first, second) = (EvalId::generate(&mut a), EvalId::generate(&mut a));
        assert_ne!(first, second);
        assert_eq!(first, EvalId::generate(&mut b));
        assert_eq!(first.to_string().as_bytes()[14], b'4');
    }

    #[test]
    fn keys_of_jobs_are_ordered_by_their_text_whether_or_not_they_share_it() {
        let names = ["", "a", "ab", "b"];
        let all: Vec<(&str, &str)> = names.iter().flat_map(|a| names.map(|b| (*a, b))).collect();
        let keys: Vec<JobKey> = all.iter().map(|(a, b)| JobKey::new(*a, *b)).collect();
        for (a, left) in all.iter().zip(&keys) {
            for (b, right) in all.iter().zip(&keys) {
                assert_eq!(left.cmp(right), a.cmp(b), "{a:?} {b:?}");
                let shared = JobKey {
                    namespace: left.namespace.clone(),
                    ..right.clone()
                };
                assert_eq!(left.cmp(&shared), a.1.cmp(b.1), "{a:?} {b:?}");
            }
        }
    }
}
