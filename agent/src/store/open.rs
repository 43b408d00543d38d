//! Opening a store in whatever state its directory is.

use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use holdfast_agent_core::LocalState;

use super::{Engine, Loaded, Place, log_file, record};

/// Upper bound of sled's cache; what an agent keeps is far smaller.
const CACHE_BYTES: u64 = 4 * 1024 * 1024;

/// So many openings in a row that the agent did not survive put the store aside; fewer may be power cuts. A service
/// manager that gives up on a crashing program does so later.
const CRASHES_MAX: usize = 3;

/// How the opening of a store went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// As it should.
    Clean,
    /// Something was damaged; everything that could be read was taken up.
    Repaired {
        /// Records that could not be read.
        lost_records: usize,
    },
    /// It was damaged beyond repair and lies at this place; the store is empty.
    Quarantined(PathBuf),
    /// The disk cannot be written: what was read lies in memory, and so do changes.
    Volatile,
}

/// Opens the store at `place`: step by step with less, at last with nothing.
pub(super) fn open(place: &Place) -> (Option<Engine>, Loaded) {
    let path = place.path();
    let marker = Marker::set(place.data_dir.join("opening"));
    // A crash while opening may come from a damaged snapshot that brings sled down without an error.
    let suspect = marker.crashes > 0;
    let stray = put_snapshots_aside(&path, suspect);
    let mut repaired = stray > 0;
    let mut outcome = if marker.crashes >= CRASHES_MAX {
        Err(Failure::Damaged)
    } else {
        attempt(&path, true)
    };
    if matches!(outcome, Err(Failure::Damaged)) && marker.crashes < CRASHES_MAX {
        repaired = true;
        put_snapshots_aside(&path, true);
        outcome = attempt(&path, true);
    }
    let (engine, loaded) = match outcome {
        Ok((engine, state, boot_id, lost_records)) => {
            let clean = !repaired && lost_records == 0;
            let opened = if clean {
                Opened::Clean
            } else {
                Opened::Repaired { lost_records }
            };
            (
                Some(engine),
                Loaded {
                    state,
                    boot_id,
                    opened,
                },
            )
        }
        Err(Failure::Damaged) => start_empty(place, &path),
        Err(Failure::Disk) => open_copy(place, &path),
    };
    marker.clear();
    (engine, loaded)
}

/// Opens the database in `path` again, after a failure.
pub(super) fn reopen(path: &Path) -> Option<Engine> {
    attempt(path, true).ok().map(|(engine, ..)| engine)
}

enum Failure {
    /// What is there cannot be understood.
    Damaged,
    /// The disk does not do what it should; what is there may be well.
    Disk,
}

fn attempt(path: &Path, durable: bool) -> Result<(Engine, LocalState, String, usize), Failure> {
    let open = || -> Result<_, sled::Error> {
        let db = sled::Config::default()
            .path(path)
            .mode(sled::Mode::LowSpace)
            .cache_capacity(CACHE_BYTES)
            // Every commit flushes; a thread that does it again only wears the card.
            .flush_every_ms(None)
            .open()?;
        let (state, boot_id, lost) = record::load(&db)?;
        let log = File::open(log_file(path))?;
        Ok((Engine { db, log, durable }, state, boot_id, lost))
    };
    // sled panics on some damage. Where panics abort, the marker finds that out at the next start.
    match catch_unwind(AssertUnwindSafe(open)) {
        Ok(Ok(opened)) => Ok(opened),
        Ok(Err(sled::Error::Io(error))) if is_disk(&error) => Err(Failure::Disk),
        Ok(Err(_)) | Err(_) => Err(Failure::Damaged),
    }
}

/// Whether an error speaks of the disk and not of what is on it.
fn is_disk(error: &io::Error) -> bool {
    use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    // sled's own lock has no kind of its own. Somebody else holds it for a moment: the agent has one for its directory.
    matches!(
        error.kind(),
        PermissionDenied | QuotaExceeded | ReadOnlyFilesystem | StorageFull
    ) || error.to_string().contains("could not acquire lock")
}

/// Removes snapshots that were never finished, and with `all` every snapshot: they only save time at the opening.
fn put_snapshots_aside(path: &Path, all: bool) -> usize {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let stray = entries.filter(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with("snap.") && (all || name.ends_with(".generating"))
    });
    stray
        .filter(|entry| fs::remove_file(entry.path()).is_ok())
        .count()
}

fn start_empty(place: &Place, path: &Path) -> (Option<Engine>, Loaded) {
    // One damaged store is kept for whoever wants to look; more would fill the disk.
    let aside = place.data_dir.join("state.damaged");
    let _ = fs::remove_dir_all(&aside);
    if fs::rename(path, &aside).is_err() {
        let _ = fs::remove_dir_all(path);
    }
    let engine = attempt(path, true).ok().map(|(engine, ..)| engine);
    let loaded = Loaded {
        state: LocalState::default(),
        boot_id: String::new(),
        opened: Opened::Quarantined(aside),
    };
    (engine, loaded)
}

/// Opens a copy in memory of a store on a disk that cannot be written.
fn open_copy(place: &Place, path: &Path) -> (Option<Engine>, Loaded) {
    let copy = place.volatile_dir.join("state");
    let _ = fs::remove_dir_all(&copy);
    let opened = copy_dir(path, &copy)
        .map_err(|_| Failure::Disk)
        .and_then(|()| attempt(&copy, false));
    match opened {
        Ok((engine, state, boot_id, _)) => (
            Some(engine),
            Loaded {
                state,
                boot_id,
                opened: Opened::Volatile,
            },
        ),
        Err(_) => {
            let (state, boot_id) = (LocalState::default(), String::new());
            (
                None,
                Loaded {
                    state,
                    boot_id,
                    opened: Opened::Volatile,
                },
            )
        }
    }
}

pub(super) fn copy_dir(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).into_iter().flatten() {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_dir(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// A file that is there while the store is being opened: its length counts openings that were not survived.
struct Marker {
    path: PathBuf,
    crashes: usize,
}

impl Marker {
    fn set(path: PathBuf) -> Self {
        let crashes = fs::read(&path).map_or(0, |bytes| bytes.len());
        // Not synced: after a power cut the marker is gone, and a power cut is not what it counts.
        let _ = fs::write(&path, vec![b'x'; crashes + 1]);
        Self { path, crashes }
    }

    fn clear(self) {
        let _ = fs::remove_file(self.path);
    }
}
