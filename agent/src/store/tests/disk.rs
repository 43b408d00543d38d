//! Disks that are full, read-only or taken, and what a change asks of one that is well.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use holdfast_agent_core::LocalDelta;
use holdfast_shared::id::AllocId;

use super::super::{Loaded, Opened, Place, SEGMENT, Store};
use super::{alloc, filled, open, place};

#[test]
fn the_room_of_a_log_is_set_aside_before_it_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let mut lengths = std::collections::BTreeSet::new();
    for _ in 0..2 {
        let (mut store, _) = open(dir.path());
        for revision in 0..1500 {
            let LocalDelta::Alloc(mut record) = alloc(1) else {
                unreachable!("it is one")
            };
            record.revision = revision;
            store.commit(&[LocalDelta::Alloc(record)]).unwrap();
            let log = fs::metadata(dir.path().join("data/state/db")).unwrap();
            assert_eq!(log.len() % SEGMENT, 0);
            assert!(log.blocks() * 512 >= log.len(), "{log:?}");
            lengths.insert(log.len());
        }
    }
    assert!(lengths.len() > 1, "it never grew");
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

    /// Where a store is that has its volatile part in `run`.
    fn place(&self, run: &Path) -> Place {
        Place {
            data_dir: self.0.path().to_owned(),
            volatile_dir: run.to_owned(),
        }
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
    let place = disk.place(run.path());
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
    let place = disk.place(run.path());
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
