//! Records in chunks, which is how a database keeps them well.
//!
//! sled writes a page of more than 128 KB into a file of its own, and a dozen records of 10 KB are such a page. It never
//! flushes those files, so that a power cut takes the page without a word, and it forgets to remove some of them, so that
//! they fill the disk (sled 0.34.7, `pagecache/blob_io.rs` and `segment.rs`). No page has more than 17 records: as long as
//! none is larger than [`CHUNK`], no page comes near that size.
//!
//! A record that is not larger is stored as it is. Of any other, its key has only a head (a zero, the number of chunks, the
//! checksum of the record), and every chunk has a key of its own. They change together; but a database that was damaged may
//! hold a head and chunks of different times, which the checksum tells.

use std::borrow::Cow;

/// Bytes of a chunk at most.
pub const CHUNK: usize = 4 * 1024;

/// What keys of chunks begin with, and no other key.
const PREFIX: &[u8] = b"chunk/";

/// What is stored under the key of a record that is in chunks.
struct Head {
    chunks: u16,
    checksum: u32,
}

impl Head {
    /// The first byte of a head; a record that begins with it is stored in chunks, whatever its size.
    const MARK: u8 = 0;
    const LEN: usize = 7;

    /// None when the record is stored as it is.
    fn of(record: &[u8]) -> Option<Self> {
        let is_whole = record.len() <= CHUNK && record.first() != Some(&Self::MARK);
        let chunks = record.len().div_ceil(CHUNK);
        (!is_whole).then(|| Self {
            chunks: u16::try_from(chunks).expect("no record has 256 MB"),
            checksum: crc32fast::hash(record),
        })
    }

    fn read(value: &[u8]) -> Option<Self> {
        let value: &[u8; Self::LEN] = value.try_into().ok()?;
        let [Self::MARK, a, b, checksum @ ..] = *value else {
            return None;
        };
        Some(Self {
            chunks: u16::from_le_bytes([a, b]),
            checksum: u32::from_le_bytes(checksum),
        })
    }

    fn bytes(&self) -> [u8; Self::LEN] {
        let ([a, b], [c, d, e, f]) = (self.chunks.to_le_bytes(), self.checksum.to_le_bytes());
        [Self::MARK, a, b, c, d, e, f]
    }
}

/// Whether `key` is that of a chunk: what it has is part of a record.
#[must_use]
pub fn is_chunk(key: &[u8]) -> bool {
    key.starts_with(PREFIX)
}

/// Whether `value` is the head of a record in chunks.
#[must_use]
pub fn is_head(value: &[u8]) -> bool {
    Head::read(value).is_some()
}

/// Has `put` change everything that stands for the record of `key`, which is `record` afterwards, or nothing, and has been
/// `old`, the value of that key. All of it has to change at once.
pub fn write(
    key: &[u8],
    old: Option<&[u8]>,
    record: Option<&[u8]>,
    mut put: impl FnMut(&[u8], Option<&[u8]>),
) {
    let head = record.and_then(Head::of);
    match (&head, record) {
        (Some(head), Some(record)) => {
            put(key, Some(&head.bytes()));
            for (number, chunk) in (0..).zip(record.chunks(CHUNK)) {
                put(&chunk_key(key, number), Some(chunk));
            }
        }
        _ => put(key, record),
    }
    let [chunks, before] = [head, old.and_then(Head::read)].map(|head| head.map_or(0, |head| head.chunks));
    (chunks..before).for_each(|number| put(&chunk_key(key, number), None));
}

/// The record of `key`, whose value is `value`; `get` answers what other keys have. None when its chunks are missing, or
/// are not those of its head.
///
/// # Errors
/// Those of `get`.
pub fn read<'v, V: AsRef<[u8]>, E>(
    key: &[u8],
    value: &'v [u8],
    mut get: impl FnMut(&[u8]) -> Result<Option<V>, E>,
) -> Result<Option<Cow<'v, [u8]>>, E> {
    let Some(head) = Head::read(value) else {
        return Ok(Some(value.into()));
    };
    let mut record = Vec::with_capacity(usize::from(head.chunks) * CHUNK);
    for number in 0..head.chunks {
        match get(&chunk_key(key, number))? {
            Some(chunk) => record.extend_from_slice(chunk.as_ref()),
            None => return Ok(None),
        }
    }
    let is_whole = crc32fast::hash(&record) == head.checksum;
    Ok(is_whole.then_some(record.into()))
}

/// Chunks of a record follow each other.
fn chunk_key(key: &[u8], number: u16) -> Vec<u8> {
    [PREFIX, key, &number.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::convert::Infallible;

    use super::*;

    /// A database of keys and values.
    #[derive(Default, Clone)]
    struct Map(BTreeMap<Vec<u8>, Vec<u8>>);

    impl Map {
        fn set(&mut self, key: &[u8], record: Option<&[u8]>) {
            let old = self.0.get(key).cloned();
            write(key, old.as_deref(), record, |key, value| match value {
                Some(value) => drop(self.0.insert(key.to_vec(), value.to_vec())),
                None => drop(self.0.remove(key)),
            });
        }

        fn get(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
            let get = |key: &[u8]| Ok::<_, Infallible>(self.0.get(key));
            read(key, &self.0[key], get).unwrap()
        }
    }

    fn record(first: u8, bytes: usize) -> Vec<u8> {
        (0..bytes).map(|at| first.wrapping_add((at / 7) as u8)).collect()
    }

    #[test]
    fn a_record_of_any_size_is_read_as_it_was_written_and_leaves_nothing_behind() {
        let sizes = [
            0,
            1,
            7,
            CHUNK - 1,
            CHUNK,
            CHUNK + 1,
            3 * CHUNK,
            3 * CHUNK + 1,
            100_000,
        ];
        let mut map = Map::default();
        for (size, next) in sizes.iter().flat_map(|size| sizes.map(|next| (*size, next))) {
            for first in [0, 1] {
                // Keys that begin with each other.
                let written = [&b"a"[..], b"a\0", b"a\0\0"].map(|key| (key, record(first, size)));
                for (key, record) in &written {
                    map.set(key, Some(record));
                    assert!(map.0.values().all(|value| value.len() <= CHUNK));
                }
                let (last, others) = written.split_last().unwrap();
                map.set(last.0, Some(&record(1, next)));
                for (key, record) in others {
                    assert_eq!(map.get(key).as_deref(), Some(&record[..]), "{size} bytes");
                }
                assert_eq!(
                    map.get(last.0).as_deref(),
                    Some(&record(1, next)[..]),
                    "{next} bytes"
                );
                written.iter().for_each(|(key, _)| map.set(key, None));
                assert_eq!(map.0, BTreeMap::new(), "{size}, then {next} bytes");
            }
        }
    }

    #[test]
    fn a_record_in_one_chunk_is_stored_as_it_is_so_that_older_ones_are_read() {
        let mut map = Map::default();
        map.set(b"a", Some(&record(1, CHUNK)));
        assert_eq!(map.0, [(b"a".to_vec(), record(1, CHUNK))].into());
        let large = Map([(b"a".to_vec(), record(1, 2 * CHUNK))].into());
        assert_eq!(large.get(b"a").as_deref(), Some(&record(1, 2 * CHUNK)[..]));
    }

    #[test]
    fn chunks_that_are_missing_or_of_another_time_are_no_record() {
        let (mut map, mut before) = (Map::default(), Map::default());
        map.set(b"a", Some(&record(2, 3 * CHUNK)));
        before.set(b"a", Some(&record(1, 3 * CHUNK)));
        assert!(is_head(&map.0[&b"a"[..]]));
        for (key, old) in &before.0 {
            let mut mixed = map.clone();
            mixed.0.insert(key.clone(), old.clone());
            assert_eq!(mixed.get(b"a"), None, "{key:?} of another time");
            if is_chunk(key) {
                mixed.0.remove(key);
                assert_eq!(mixed.get(b"a"), None, "{key:?} is missing");
            }
        }
    }
}
