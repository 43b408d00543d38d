//! What is committed is read again; its parts test what may happen to a store, and to the disk under it.

mod damage;
mod disk;

use std::fs;
use std::path::Path;

use holdfast_agent_core::record::spec_key;
use holdfast_agent_core::{AllocRecord, LocalDelta, LocalState, TaskRecord};
use holdfast_shared::id::{AllocId, IdGenerator};
use holdfast_shared::model::ClientStatus;
use holdfast_shared::wire::{Assigned, Catalog, Held, JobSpec, WatchHealth};

use super::{Loaded, Opened, Place, Store, record};

fn place(dir: &Path) -> Place {
    Place {
        data_dir: dir.join("data"),
        volatile_dir: dir.join("run"),
    }
}

fn open(dir: &Path) -> (Store, Loaded) {
    fs::create_dir_all(dir.join("data")).unwrap();
    Store::open(place(dir))
}

fn alloc(number: u128) -> LocalDelta {
    let assigned = Assigned {
        id: AllocId(number),
        name: format!("web.app[{number}]"),
        namespace: "default".into(),
        job: "web".into(),
        job_version: 1,
        job_create_index: 7,
        group: "app".into(),
        run: true,
        no_shutdown_delay: false,
        unknown: false,
        watch_health: WatchHealth::Nobody,
        canary: false,
        previous: None,
        ports: Vec::new(),
        devices: Vec::new(),
        alloc_modify_index: 3,
    };
    LocalDelta::Alloc(Box::new(AllocRecord {
        assigned,
        stopping: false,
        stop_reason: String::new(),
        kill_at: Default::default(),
        prepared: true,
        tasks: [(
            "t".to_owned(),
            TaskRecord {
                handle: vec![7; 300],
                ..TaskRecord::default()
            },
        )]
        .into(),
        client: ClientStatus::Running,
        description: "Tasks are running".into(),
        healthy: Some(true),
        revision: 4,
        acknowledged: 2,
    }))
}

fn deltas() -> Vec<LocalDelta> {
    let spec = JobSpec {
        namespace: "default".into(),
        job: "web".into(),
        version: 1,
        create_index: 7,
        compressed: false,
        bytes: b"{}".to_vec(),
    };
    let mut all = vec![
        LocalDelta::Held(Held {
            epoch: 1,
            generation: 9,
        }),
        LocalDelta::Spec(spec),
        LocalDelta::Catalog(Catalog {
            revision: 5,
            services: Vec::new(),
        }),
    ];
    all.push(LocalDelta::BeginningAnew([AllocId(2)].into()));
    all.extend((0..20).map(alloc));
    all
}

fn filled(dir: &Path) -> LocalState {
    let (mut store, loaded) = open(dir);
    assert_eq!(loaded.opened, Opened::Clean);
    store.set_boot_id("boot").unwrap();
    let mut state = LocalState::default();
    // Several commits, and some records written over, so that the log has a history.
    for _ in 0..4 {
        store.commit(&deltas()).unwrap();
    }
    deltas().into_iter().for_each(|delta| state.apply(delta));
    state
}

#[test]
fn what_was_committed_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let state = filled(dir.path());
    let (mut store, loaded) = open(dir.path());
    assert_eq!((loaded.opened, loaded.boot_id.as_str()), (Opened::Clean, "boot"));
    assert_eq!(loaded.state, state);
    store.commit(&[LocalDelta::RemoveAlloc(AllocId(3))]).unwrap();
    drop(store);
    let (_store, loaded) = open(dir.path());
    assert_eq!(loaded.state.allocs.len(), 19);
}

fn spec(version: u64, bytes: usize) -> LocalDelta {
    LocalDelta::Spec(JobSpec {
        namespace: "default".into(),
        job: "web".into(),
        version,
        create_index: 7,
        compressed: false,
        bytes: (0..bytes).map(|at| (at as u64 * version) as u8).collect(),
    })
}

#[test]
fn large_records_are_there_after_a_restart_and_have_no_files_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path());
    let mut state = LocalState::default();
    let blobs = || fs::read_dir(dir.path().join("data/state/blobs")).unwrap().count();
    for round in 1..=4 {
        let sizes = [100, 5_000, 20_000, 300_000].map(|size| size / round);
        for (version, size) in (1..).zip(sizes.iter().cycle().take(16)) {
            let delta = spec(version, *size);
            state.apply(delta.clone());
            store.commit(&[delta]).unwrap();
        }
        // sled neither flushes nor, in some cases, removes them.
        assert_eq!(blobs(), 0);
        drop(store);
        let loaded;
        (store, loaded) = open(dir.path());
        assert_eq!(loaded.opened, Opened::Clean);
        assert!(loaded.state == state, "something is missing in round {round}");
    }
    let specs = state.specs.iter();
    let specs = specs.map(|spec| LocalDelta::RemoveSpec(spec_key(spec)));
    store.commit(&specs.collect::<Vec<_>>()).unwrap();
    drop(store);
    let db = sled::open(dir.path().join("data/state")).unwrap();
    assert_eq!(db.len(), 0);
}

#[test]
fn a_store_that_is_about_to_be_closed_is_opened_a_moment_later() {
    for _ in 0..10 {
        let dir = tempfile::tempdir().unwrap();
        let state = filled(dir.path());
        let (held, _) = open(dir.path());
        let closing = std::thread::spawn(move || drop(held));
        let (_store, loaded) = open(dir.path());
        closing.join().unwrap();
        assert_eq!(loaded.opened, Opened::Clean);
        assert!(loaded.state == state, "something is missing");
    }
}

#[test]
fn records_of_any_bytes_are_read_or_refused_and_read_only_under_their_key() {
    let records: Vec<(Vec<u8>, Vec<u8>)> = deltas()
        .iter()
        .map(record::encode)
        .filter_map(|(key, value)| Some((key, value?)))
        .collect();
    let mut random = IdGenerator::from_seed(1);
    let mut below = move |limit: usize| usize::try_from(random.next_u64() % limit as u64).unwrap();
    let mut state = LocalState::default();
    for (key, value) in &records {
        for cut in 0..value.len() {
            let outcome = record::decode(key, &value[..cut], &mut state);
            assert_eq!(outcome, None, "{key:?} cut to {cut} bytes");
        }
        assert_eq!(record::decode(key, &[value, &[0][..]].concat(), &mut state), None);
        // The others have one record each, which needs no name.
        let named = |other: &&(Vec<u8>, Vec<u8>)| other.0 != *key && other.0.contains(&b'/');
        for (other, _) in records.iter().filter(named) {
            assert_eq!(
                record::decode(other, value, &mut state),
                None,
                "{key:?} under {other:?}"
            );
        }
    }
    assert_eq!(state, LocalState::default());
    for _ in 0..20_000 {
        let (key, value) = &records[below(records.len())];
        let mut value = value.clone();
        for _ in 0..=below(3) {
            let at = below(value.len());
            match below(3) {
                0 => value[at] ^= u8::try_from(1 + below(255)).unwrap(),
                1 => drop(value.splice(at..=at, [0xff; 9])),
                _ => value.insert(at, u8::try_from(below(256)).unwrap()),
            }
        }
        // Either is right, as long as it comes to an end.
        let _ = record::decode(key, &value, &mut state);
    }
}

#[tokio::test]
async fn a_writer_is_done_when_the_disk_is_and_catches_up_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let writer = super::Writer::start(store).unwrap();
    writer.commit(vec![alloc(1)]).await;
    writer.set_boot_id("boot").await;
    assert!(!writer.is_behind());
    writer.close();

    // The records come from a copy in memory while somebody else has the disk; the last word goes to the disk again.
    let blocker = sled::open(dir.path().join("data/state")).unwrap();
    let (store, _) = open(dir.path());
    let writer = super::Writer::start(store).unwrap();
    writer.commit(vec![alloc(2)]).await;
    assert!(writer.is_behind());
    drop(blocker);
    writer.close();
    let (_store, loaded) = open(dir.path());
    assert_eq!((loaded.boot_id.as_str(), loaded.state.allocs.len()), ("boot", 2));
}
