//! Stores that are damaged, or whose agent was killed: an agent starts all the same.

use std::fs;
use std::path::{Path, PathBuf};

use holdfast_agent_core::LocalState;
use holdfast_shared::chunks;
use holdfast_shared::id::{AllocId, IdGenerator};
use holdfast_shared::wire::Held;

use super::super::{Opened, open::copy_dir};
use super::{alloc, deltas, filled, open, spec};

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        if entry.path().is_dir() {
            found.extend(files(&entry.path()))
        } else {
            found.push(entry.path())
        }
    }
    found.sort();
    found
}

#[test]
fn a_stray_snapshot_loses_nothing() {
    for (name, content) in [
        ("snap.00000000000000FF.generating", &b"half"[..]),
        ("snap.00000000000000FF", b""),
        ("snap.00000000000000FF", &[0; 64]),
        (
            "snap.00000000000000FF",
            b"nonsense that is longer than a header and passes no checksum",
        ),
        ("snap.zzz", b"nonsense"),
        ("snap.7FFFFFFFFFFFFFFF", b""),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let state = recycled(dir.path());
        fs::write(dir.path().join("data/state").join(name), content).unwrap();
        let (_store, loaded) = open(dir.path());
        assert_eq!(loaded.state, state, "{name}");
        assert!(
            matches!(
                loaded.opened,
                Opened::Repaired { lost_records: 0 } | Opened::Clean
            ),
            "{name}"
        );
    }
}

#[test]
fn a_large_record_that_is_there_in_part_is_lost_and_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let (mut store, _) = open(dir.path());
    let specs = [2, 3, 4].map(|version| spec(version, 20_000));
    store.commit(&specs).unwrap();
    drop(store);
    let db = sled::open(dir.path().join("data/state")).unwrap();
    let heads: Vec<_> = db.scan_prefix("spec/").flatten().collect();
    let heads: Vec<_> = heads.iter().filter(|(_, value)| chunks::is_head(value)).collect();
    assert_eq!(heads.len(), 3);
    let chunks: Vec<_> = db.scan_prefix("chunk/").keys().flatten().collect();
    // One lacks a chunk, one has a wrong one, and one has lost its head.
    db.remove(&chunks[0]).unwrap();
    db.insert(&chunks[6], b"of another time").unwrap();
    db.remove(&heads[2].0).unwrap();
    drop(db);
    let (store, loaded) = open(dir.path());
    assert!(
        matches!(loaded.opened, Opened::Repaired { .. }),
        "{:?}",
        loaded.opened
    );
    assert_eq!(
        (loaded.state.held, loaded.state.specs.len()),
        (Held::default(), 1)
    );
    drop(store);
    let (mut store, _) = open(dir.path());
    store.commit(&specs).unwrap();
    drop(store);
    let (_store, loaded) = open(dir.path());
    assert_eq!((loaded.opened, loaded.state.specs.len()), (Opened::Clean, 4));
}

/// One way to damage a file.
type Damage = fn(&mut Vec<u8>);

#[test]
fn an_agent_starts_whatever_happened_to_any_file_of_its_store() {
    let damages: &[(&str, Damage)] = &[
        ("emptied", Vec::clear),
        ("cut to 1 byte", |bytes| bytes.truncate(1)),
        ("cut in half", |bytes| bytes.truncate(bytes.len() / 2)),
        ("zeroed", |bytes| bytes.fill(0)),
        ("all ones", |bytes| bytes.fill(0xff)),
        ("first bytes flipped", |bytes| {
            bytes.iter_mut().take(16).for_each(|byte| *byte ^= 0x55)
        }),
        ("a bit flipped every 97 bytes", |bytes| {
            bytes.iter_mut().step_by(97).for_each(|byte| *byte ^= 4)
        }),
        ("the tail zeroed", |bytes| {
            let half = bytes.len() / 2;
            bytes[half..].fill(0);
        }),
    ];
    let template = tempfile::tempdir().unwrap();
    filled(template.path());
    let state = template.path().join("data/state");
    for file in files(&state) {
        let name = file.strip_prefix(&state).unwrap();
        for (what, damage) in damages {
            let dir = tempfile::tempdir().unwrap();
            copy_dir(&state, &dir.path().join("data/state")).unwrap();
            let target = dir.path().join("data/state").join(name);
            let mut bytes = fs::read(&target).unwrap();
            damage(&mut bytes);
            fs::write(&target, &bytes).unwrap();
            let (mut store, _) = open(dir.path());
            store
                .commit(&[alloc(99)])
                .unwrap_or_else(|error| panic!("{name:?} {what}: {error}"));
            drop(store);
            let (_store, loaded) = open(dir.path());
            assert!(loaded.state.allocs.contains_key(&AllocId(99)), "{name:?} {what}");
        }
    }
}

#[test]
fn a_record_that_cannot_be_read_costs_only_itself_and_asks_for_the_whole_set() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let (store, _) = open(dir.path());
    let db = &store.engine.as_ref().unwrap().db;
    let (key, mut value) = db.scan_prefix(b"alloc/").next().unwrap().unwrap();
    value[0] = 200;
    db.insert(key, value).unwrap();
    drop(store);
    let (_store, loaded) = open(dir.path());
    assert_eq!(loaded.opened, Opened::Repaired { lost_records: 1 });
    assert_eq!(
        (loaded.state.allocs.len(), loaded.state.held),
        (19, Held::default())
    );
}

/// A store whose log has used its parts again: from then on sled needs its snapshot.
fn recycled(dir: &Path) -> LocalState {
    let state = filled(dir);
    for _ in 0..4 {
        let (mut store, loaded) = open(dir);
        assert_eq!(loaded.state, state);
        for _ in 0..40 {
            store.commit(&deltas()).unwrap();
        }
    }
    state
}

#[test]
fn an_agent_killed_while_it_opens_its_store_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let state = recycled(dir.path());
    // Copied while it is open, as a kill leaves it.
    let (_store, _) = open(dir.path());
    for kills in 0..4 {
        let copy = tempfile::tempdir().unwrap();
        let to = copy.path().join("data/state");
        copy_dir(&dir.path().join("data/state"), &to).unwrap();
        for _ in 0..kills {
            // What a kill in the middle of a snapshot leaves.
            fs::write(to.join("snap.0000000000FFFFFF.generating"), b"half").unwrap();
        }
        let (_store, loaded) = open(copy.path());
        assert_eq!(loaded.state, state, "{kills} kills");
    }
}

#[test]
fn a_damaged_snapshot_is_never_taken_for_a_store_that_is_up_to_date() {
    let dir = tempfile::tempdir().unwrap();
    let state = recycled(dir.path());
    let path = dir.path().join("data/state");
    let newest = files(&path)
        .into_iter()
        .filter(|file| file.file_name().unwrap().to_string_lossy().starts_with("snap."))
        .max()
        .unwrap();
    fs::write(newest, b"nonsense").unwrap();
    let (_store, loaded) = open(dir.path());
    assert!(
        matches!(loaded.opened, Opened::Repaired { .. }),
        "{:?}",
        loaded.opened
    );
    assert_ne!(state.held, Held::default());
    assert_eq!(loaded.state.held, Held::default(), "the whole set is asked for");
}

#[test]
fn openings_that_end_in_a_panic_put_the_store_aside_in_the_end() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    fs::write(dir.path().join("data/opening"), b"x").unwrap();
    let (store, loaded) = open(dir.path());
    assert_eq!(loaded.state.allocs.len(), 20);
    drop(store);
    fs::write(dir.path().join("data/opening"), b"xxx").unwrap();
    let (_store, loaded) = open(dir.path());
    assert!(matches!(loaded.opened, Opened::Quarantined(_)));
    assert!(!dir.path().join("data/opening").exists());
}

#[test]
fn an_agent_starts_whatever_bytes_of_its_store_are_damaged() {
    let template = tempfile::tempdir().unwrap();
    filled(template.path());
    let state = template.path().join("data/state");
    let log = fs::read(state.join("db")).unwrap();
    let mut random = IdGenerator::from_seed(7);
    let mut below = |bound: usize| usize::try_from(random.next_u64() % bound as u64).unwrap();
    for round in 0..150 {
        let dir = tempfile::tempdir().unwrap();
        copy_dir(&state, &dir.path().join("data/state")).unwrap();
        let mut bytes = log.clone();
        match round % 3 {
            0 => bytes.truncate(below(log.len())),
            1 => (0..=below(8)).for_each(|_| bytes[below(log.len())] ^= 1 << below(8)),
            _ => {
                let at = below(log.len());
                let end = log.len().min(at + 512);
                bytes[at..end].fill(0);
            }
        }
        fs::write(dir.path().join("data/state/db"), bytes).unwrap();
        let (mut store, _) = open(dir.path());
        store
            .commit(&[alloc(99)])
            .unwrap_or_else(|error| panic!("round {round}: {error}"));
    }
}
