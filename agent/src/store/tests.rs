use std::fs;
use std::path::{Path, PathBuf};

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
            super::open::copy_dir(&state, &dir.path().join("data/state")).unwrap();
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
        super::open::copy_dir(&dir.path().join("data/state"), &to).unwrap();
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
fn a_disk_that_cannot_be_written_keeps_its_records_and_takes_the_changes_later() {
    let dir = tempfile::tempdir().unwrap();
    let state = filled(dir.path());
    // Root may write everything, so a lock of somebody else stands in for the read-only disk: sled sees an IO error.
    let blocker = sled::open(dir.path().join("data/state")).unwrap();
    let (mut store, loaded) = open(dir.path());
    assert_eq!(loaded.opened, Opened::Volatile);
    assert_eq!(loaded.state, state);
    store.commit(&[alloc(99)]).unwrap_err();
    assert!(store.is_behind());
    store.retry().unwrap_err();
    drop(blocker);
    store.retry().unwrap();
    assert!(!store.is_behind());
    drop(store);
    let (_store, loaded) = open(dir.path());
    assert_eq!((loaded.opened, loaded.state.allocs.len()), (Opened::Clean, 21));
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

/// A file system of its own that is as small as a test needs it.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new(kilobytes: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let size = format!("size={kilobytes}k");
        let options = std::ffi::CString::new(size).unwrap();
        let flags = rustix::mount::MountFlags::empty();
        rustix::mount::mount("tmpfs", dir.path(), "tmpfs", flags, options.as_c_str()).unwrap();
        Self(dir)
    }

    fn set_read_only(&self, read_only: bool) {
        let flags = rustix::mount::MountFlags::RDONLY;
        let flags = if read_only {
            flags
        } else {
            rustix::mount::MountFlags::empty()
        };
        // Busy while sled's threads of a store that has just gone still hold the file.
        until(|| rustix::mount::mount_remount(self.0.path(), flags, c"").is_ok());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(self.0.path(), rustix::mount::UnmountFlags::DETACH);
    }
}

#[test]
fn a_full_disk_is_survived_and_what_waited_is_written_when_there_is_room_again() {
    let disk = SmallDisk::new(4096);
    let run = tempfile::tempdir().unwrap();
    let place = Place {
        data_dir: disk.0.path().to_owned(),
        volatile_dir: run.path().to_owned(),
    };
    let (mut store, _) = Store::open(place.clone());
    store.commit(&[alloc(1)]).unwrap();
    let ballast = disk.0.path().join("ballast");
    fs::write(&ballast, vec![1; 8 << 20]).unwrap_err();
    let mut refused = 0;
    for number in 2..400 {
        refused += usize::from(store.commit(&[alloc(number)]).is_err());
    }
    assert!(refused > 0 && store.is_behind());
    store.retry().unwrap_err();
    fs::remove_file(ballast).unwrap();
    store.retry().unwrap();
    store.commit(&[alloc(400)]).unwrap();
    drop(store);
    let loaded = reopened(&place);
    assert_eq!((loaded.opened, loaded.state.allocs.len()), (Opened::Clean, 400));
}

/// Waits until something has come true, for a while.
fn until(mut is_so: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !is_so() {
        assert!(
            std::time::Instant::now() < deadline,
            "it did not come true in time"
        );
        std::thread::yield_now();
    }
}

/// Opens a store whose last user has just gone: sled's threads let go of the file a little later.
fn reopened(place: &Place) -> Loaded {
    let mut loaded = None;
    until(|| loaded.insert(Store::open(place.clone()).1).opened != Opened::Volatile);
    loaded.expect("it was opened")
}

#[test]
fn a_read_only_disk_gives_its_records_and_takes_changes_when_it_can_be_written_again() {
    let disk = SmallDisk::new(16 * 1024);
    let run = tempfile::tempdir().unwrap();
    let place = Place {
        data_dir: disk.0.path().to_owned(),
        volatile_dir: run.path().to_owned(),
    };
    let (mut store, _) = Store::open(place.clone());
    store.commit(&[alloc(1)]).unwrap();
    drop(store);
    disk.set_read_only(true);
    let (mut store, loaded) = Store::open(place.clone());
    assert_eq!((loaded.opened, loaded.state.allocs.len()), (Opened::Volatile, 1));
    store.commit(&[alloc(2)]).unwrap_err();
    store.retry().unwrap_err();
    // An agent that is killed and started again meanwhile has lost nothing.
    drop(store);
    let (mut store, loaded) = Store::open(place.clone());
    assert_eq!((loaded.opened, loaded.state.allocs.len()), (Opened::Volatile, 2));
    store
        .commit(&[LocalDelta::RemoveAlloc(AllocId(1)), alloc(3)])
        .unwrap_err();
    disk.set_read_only(false);
    store.retry().unwrap();
    drop(store);
    assert!(place.waiting().is_empty());
    let loaded = reopened(&place);
    assert_eq!((loaded.opened, loaded.state.allocs.len()), (Opened::Clean, 2));
}

#[test]
fn a_database_that_failed_is_replaced_by_a_new_one_with_everything_in_it() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let (mut store, _) = open(dir.path());
    store.give_up();
    store
        .commit(&[LocalDelta::RemoveAlloc(AllocId(3)), alloc(99)])
        .unwrap_err();
    assert!(store.is_behind());
    store.retry().unwrap();
    assert!(!store.is_behind());
    store.commit(&[alloc(100)]).unwrap();
    drop(store);
    let place = place(dir.path());
    let loaded = reopened(&place);
    assert_eq!((loaded.opened, loaded.state.allocs.len()), (Opened::Clean, 21));
    // A crash in the middle of the exchange.
    for state in ["old", "new"] {
        fs::rename(place.path(), place.beside(state)).unwrap();
        assert_eq!(reopened(&place).state.allocs.len(), 21, "{state}");
    }
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
        super::open::copy_dir(&state, &dir.path().join("data/state")).unwrap();
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
