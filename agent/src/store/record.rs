//! Keys and values: every record is a version byte and postcard, under a key that names it.

use std::collections::BTreeMap;

use holdfast_agent_core::{LocalDelta, LocalState, record::SpecKey};
use holdfast_shared::wire::Held;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Version of the records' format.
const VERSION: u8 = 1;

/// The boot during which the store was last written.
pub(super) const BOOT: &[u8] = b"boot";
const HELD: &[u8] = b"held";
const CATALOG: &[u8] = b"catalog";
const ALLOC: &[u8] = b"alloc/";
const SPEC: &[u8] = b"spec/";

/// Key and value of a change; `None` removes.
pub(super) fn encode(delta: &LocalDelta) -> (Vec<u8>, Option<Vec<u8>>) {
    match delta {
        LocalDelta::Held(held) => (HELD.to_vec(), Some(bytes(held))),
        LocalDelta::Catalog(catalog) => (CATALOG.to_vec(), Some(bytes(catalog))),
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

/// Everything in `db`, as changes.
pub(super) fn dump(db: &sled::Db) -> BTreeMap<Vec<u8>, Option<Vec<u8>>> {
    db.iter()
        .flatten()
        .map(|(key, value)| (key.to_vec(), Some(value.to_vec())))
        .collect()
}

/// The records of `db`, its boot, and how many records could not be read.
pub(super) fn load(db: &sled::Db) -> Result<(LocalState, String, usize), sled::Error> {
    let (mut state, mut boot, mut damaged) = (LocalState::default(), String::new(), 0);
    for entry in db.iter() {
        let (key, value) = entry?;
        if *key == *BOOT {
            boot = String::from_utf8_lossy(&value).into_owned();
        } else if decode(&key, &value, &mut state).is_none() {
            damaged += 1;
        }
    }
    if damaged > 0 {
        // What is missing must come back: a node that holds nothing is sent the whole set.
        state.held = Held::default();
    }
    Ok((state, boot, damaged))
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
