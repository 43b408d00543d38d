//! Keys and values: every record is a version byte and postcard, under a key that names it.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use holdfast_agent_core::{LocalDelta, LocalState, record::SpecKey};
use holdfast_shared::chunks;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Changes;

/// Version of the records' format.
const VERSION: u8 = 1;

/// The boot during which the store was last written.
pub(super) const BOOT: &[u8] = b"boot";
pub(super) const HELD: &[u8] = b"held";
const CATALOG: &[u8] = b"catalog";
const META: &[u8] = b"meta";
const ANEW: &[u8] = b"anew";
const ALLOC: &[u8] = b"alloc/";
const SPEC: &[u8] = b"spec/";

/// Key and value of a change; `None` removes.
pub(super) fn encode(delta: &LocalDelta) -> (Vec<u8>, Option<Vec<u8>>) {
    match delta {
        LocalDelta::Held(held) => (HELD.to_vec(), Some(bytes(held))),
        LocalDelta::Catalog(catalog) => (CATALOG.to_vec(), Some(bytes(catalog))),
        LocalDelta::Meta(meta) => (META.to_vec(), Some(bytes(meta))),
        LocalDelta::BeginningAnew(allocs) => {
            let some = (!allocs.is_empty()).then(|| bytes(allocs));
            (ANEW.to_vec(), some)
        }
        LocalDelta::Alloc(record) => (alloc_key(record.assigned.id.0), Some(bytes(record))),
        LocalDelta::RemoveAlloc(id) => (alloc_key(id.0), None),
        LocalDelta::Spec(spec) => (
            spec_key(&holdfast_agent_core::record::spec_key(spec)),
            Some(bytes(spec)),
        ),
        LocalDelta::RemoveSpec(key) => (spec_key(key), None),
    }
}

/// Adds a record to `state`; `None` when it cannot be read.
pub(super) fn decode(key: &[u8], value: &[u8], state: &mut LocalState) -> Option<()> {
    let delta = if key == HELD {
        LocalDelta::Held(read(value)?)
    } else if key == CATALOG {
        LocalDelta::Catalog(read(value)?)
    } else if key == META {
        LocalDelta::Meta(read(value)?)
    } else if key == ANEW {
        LocalDelta::BeginningAnew(read(value)?)
    } else if key.starts_with(ALLOC) {
        LocalDelta::Alloc(read(value)?)
    } else if key.starts_with(SPEC) {
        LocalDelta::Spec(read(value)?)
    } else {
        return None;
    };
    // A record that reads well but belongs to another key is damaged, too.
    (encode(&delta).0 == key).then(|| state.apply(delta))
}

/// Records as they lie on the disk, by key.
pub(super) type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// What records come to.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// Their meaning.
    pub(super) state: LocalState,
    /// The boot during which they were written.
    pub(super) boot_id: String,
    /// Those that can be read.
    pub(super) records: Records,
    /// Keys of those that cannot.
    pub(super) damaged: BTreeSet<Vec<u8>>,
}

/// Reads everything in `db`. Chunks that nothing leads to, and heads whose chunks are not there, stay what they are: no
/// record that could be read.
pub(super) fn load(db: &sled::Db) -> Result<Records, sled::Error> {
    let entries = db.iter();
    let entries = entries.map(|entry| entry.map(|(key, value)| (key.to_vec(), value.to_vec())));
    let mut records = entries.collect::<Result<Records, _>>()?;
    let is_head = |(key, value): &(&Vec<u8>, &Vec<u8>)| chunks::is_head(value) && !chunks::is_chunk(key);
    let heads = records.iter().filter(is_head);
    let heads: Vec<_> = heads.map(|(key, head)| (key.clone(), head.clone())).collect();
    for (key, head) in heads {
        let whole = chunks::read(&key, &head, |chunk| Ok::<_, Infallible>(records.remove(chunk)));
        if let Ok(Some(whole)) = whole {
            records.insert(key, whole.into_owned());
        }
    }
    Ok(records)
}

impl Contents {
    /// Finds out what `records` mean.
    pub(super) fn of(records: Records) -> Self {
        let mut contents = Self::default();
        for (key, value) in records {
            if *key == *BOOT {
                contents.boot_id = String::from_utf8_lossy(&value).into_owned();
            } else if decode(&key, &value, &mut contents.state).is_none() {
                contents.damaged.insert(key);
                continue;
            }
            contents.records.insert(key, value);
        }
        contents
    }
}

/// Changes as one text, for a file of their own.
pub(super) fn encode_changes(changes: &Changes<'_>) -> Vec<u8> {
    bytes(changes)
}

/// The changes in such a text; none when it makes no sense.
pub(super) fn decode_changes(text: &[u8]) -> BTreeMap<Vec<u8>, Option<Vec<u8>>> {
    read(text).unwrap_or_default()
}

fn alloc_key(id: u128) -> Vec<u8> {
    [ALLOC, &id.to_be_bytes()].concat()
}

fn spec_key(key: &SpecKey) -> Vec<u8> {
    [
        SPEC,
        &postcard::to_stdvec(key).expect("keys always serialize into memory"),
    ]
    .concat()
}

fn bytes<T: Serialize>(record: &T) -> Vec<u8> {
    postcard::to_extend(record, vec![VERSION]).expect("records always serialize into memory")
}

fn read<T: DeserializeOwned>(value: &[u8]) -> Option<T> {
    match value.split_first()? {
        (&VERSION, rest) => postcard::take_from_bytes(rest)
            .ok()
            .filter(|(_, rest)| rest.is_empty())
            .map(|it| it.0),
        _ => None,
    }
}
