//! Opening a store in whatever state its directory is.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::thread;
use std::time::Duration;

use holdfast_shared::wire::Held;

use super::record::{self, Contents, Records};
use super::{Engine, Place, log_file};

/// Upper bound of sled's cache; what an agent keeps is far smaller.
const CACHE_BYTES: u64 = 4 * 1024 * 1024;

/// How often, and after which pause, it is tried again to open a database that somebody holds.
const LOOKS: u32 = 100;
const LOOK: Duration = Duration::from_millis(20);

/// So many openings in a row that ended in a panic put the store aside. A service manager that gives up on a crashing
/// program does so later.
const PANICS_MAX: usize = 3;

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
    /// The disk cannot be written: changes wait in memory.
    Volatile,
}

/// What opening a store has come to.
pub(super) struct Found {
    /// The database; `None` when it can only be read.
    pub(super) engine: Option<Engine>,
    /// What it holds.
    pub(super) contents: Contents,
    /// How the opening went.
    pub(super) opened: Opened,
    /// Something may be missing, and must come back: a node that holds nothing is sent the whole set.
    pub(super) asks_for_everything: bool,
}

/// Opens the store at `place`: step by step with less, at last with nothing.
pub(super) fn open(place: &Place) -> Found {
    place.finish_exchange();
    let path = place.path();
    let marker = Marker::set(place.data_dir.join("opening"));
    let mut repaired = remove_unfinished_snapshots(&path);
    // Where a panic ends the process, only the next start can do something about its reason.
    repaired |= marker.panics > 0 && remove_newest_snapshot(&path);
    // sled's log is not complete without its snapshot once it has used a part of it again.
    let mut bare = marker.panics > 0 && snapshots(&path).is_empty();
    let mut outcome = if marker.panics >= PANICS_MAX {
        Err(Failure::Damaged)
    } else {
        attempt(&path)
    };
    while matches!(outcome, Err(Failure::Damaged))
        && marker.panics < PANICS_MAX
        && remove_newest_snapshot(&path)
    {
        (repaired, bare) = (true, snapshots(&path).is_empty());
        outcome = attempt(&path);
    }
    let (engine, records, fallback) = match outcome {
        Ok((engine, records)) => (Some(engine), records, None),
        Err(Failure::Damaged) => {
            let (engine, aside) = start_empty(place, &path);
            (engine, Records::new(), Some(Opened::Quarantined(aside)))
        }
        Err(Failure::Disk) => (None, read_copy(place, &path), Some(Opened::Volatile)),
    };
    marker.clear();
    let mut records = records;
    for (key, value) in place.waiting() {
        match value {
            Some(value) => drop(records.insert(key, value)),
            None => drop(records.remove(&key)),
        }
    }
    let mut contents = Contents::of(records);
    let lost_records = contents.damaged.len();
    let asks_for_everything = bare || lost_records > 0;
    if asks_for_everything {
        contents.state.held = Held::default();
    }
    let opened = match fallback {
        Some(opened) => opened,
        None if repaired || lost_records > 0 => Opened::Repaired { lost_records },
        None => Opened::Clean,
    };
    Found {
        engine,
        contents,
        opened,
        asks_for_everything,
    }
}

/// Opens the database in `path` again, after a failure.
pub(super) fn reopen(path: &Path) -> Option<(Engine, Records)> {
    attempt(path).ok()
}

enum Failure {
    /// What is there cannot be understood.
    Damaged,
    /// The disk does not do what it should; what is there may be well.
    Disk,
}

fn attempt(path: &Path) -> Result<(Engine, Records), Failure> {
    let open = || -> Result<_, sled::Error> {
        let config = sled::Config::default()
            .path(path)
            .mode(sled::Mode::LowSpace)
            .cache_capacity(CACHE_BYTES)
            // Every commit flushes; a thread that does it again only wears the card.
            .flush_every_ms(None);
        let db = unlocked(&config)?;
        let records = record::load(&db)?;
        let log = File::options().write(true).open(log_file(path))?;
        let path = path.to_owned();
        Ok((Engine { path, db, log }, records))
    };
    // sled panics on some damage. Where panics abort, the marker tells the next start.
    match catch_unwind(AssertUnwindSafe(open)) {
        Ok(Ok(opened)) => Ok(opened),
        Ok(Err(sled::Error::Io(error))) if is_disk(&error) => Err(Failure::Disk),
        Ok(Err(_)) | Err(_) => Err(Failure::Damaged),
    }
}

/// Opens a database as soon as nobody holds it: threads of its own do so a little longer than whoever closed it. (No
/// other agent does: there is a lock for the whole directory.)
fn unlocked(config: &sled::Config) -> sled::Result<sled::Db> {
    let mut patience = LOOKS;
    loop {
        match config.open() {
            Err(sled::Error::Io(error)) if is_locked(&error) && patience > 0 => {
                patience -= 1;
                thread::sleep(LOOK);
            }
            outcome => return outcome,
        }
    }
}

/// Whether an error speaks of the disk and not of what is on it.
fn is_disk(error: &io::Error) -> bool {
    use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let kinds = [PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull];
    kinds.contains(&error.kind()) || is_locked(error)
}

fn is_locked(error: &io::Error) -> bool {
    // sled has no kind of its own for it.
    error.to_string().contains("could not acquire lock")
}

/// Removes snapshots that were never finished; answers whether there were any.
fn remove_unfinished_snapshots(path: &Path) -> bool {
    let unfinished = snapshots(path)
        .into_iter()
        .filter(|snapshot| is_unfinished(snapshot));
    unfinished
        .filter(|snapshot| fs::remove_file(snapshot).is_ok())
        .count()
        > 0
}

/// Removes the snapshot that sled would read; answers whether there was one.
fn remove_newest_snapshot(path: &Path) -> bool {
    let newest = snapshots(path)
        .into_iter()
        .filter(|snapshot| !is_unfinished(snapshot))
        .max();
    newest.is_some_and(|snapshot| fs::remove_file(snapshot).is_ok())
}

/// The snapshots in `path`, whose names, all of one length, order them by age.
fn snapshots(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("snap."))
        .map(|entry| entry.path())
        .collect()
}

fn is_unfinished(snapshot: &Path) -> bool {
    snapshot
        .extension()
        .is_some_and(|extension| extension == "generating")
}

/// Puts a store aside, and opens an empty one in its place.
fn start_empty(place: &Place, path: &Path) -> (Option<Engine>, PathBuf) {
    // One damaged store is kept for whoever wants to look; more would fill the disk.
    let aside = place.data_dir.join("state.damaged");
    let _ = fs::remove_dir_all(&aside);
    if fs::rename(path, &aside).is_err() {
        let _ = fs::remove_dir_all(path);
    }
    (attempt(path).ok().map(|(engine, _)| engine), aside)
}

/// Reads a store on a disk that cannot be written from a copy in memory: sled writes when it opens one.
fn read_copy(place: &Place, path: &Path) -> Records {
    let copy = place.volatile_dir.join("state");
    let _ = fs::remove_dir_all(&copy);
    let records = copy_dir(path, &copy)
        .ok()
        .and_then(|()| reopen(&copy))
        .map(|(_, records)| records);
    let _ = fs::remove_dir_all(&copy);
    records.unwrap_or_default()
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

/// A file whose length counts the openings in a row that a panic has ended. A kill in the middle, a power cut included,
/// is no sign of damage, and leaves none.
struct Marker {
    path: PathBuf,
    panics: usize,
}

/// The markers of the openings that are under way.
static UNDER_WAY: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

impl Marker {
    fn set(path: PathBuf) -> Self {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let usual = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                under_way().iter().for_each(|path| count(path));
                usual(info);
            }));
        });
        let panics = fs::read(&path).map_or(0, |bytes| bytes.len());
        under_way().push(path.clone());
        Self { path, panics }
    }

    fn clear(self) {
        under_way().retain(|path| *path != self.path);
        let _ = fs::remove_file(self.path);
    }
}

fn under_way() -> MutexGuard<'static, Vec<PathBuf>> {
    UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner)
}

fn count(path: &Path) {
    let file = File::options().append(true).create(true).open(path);
    // A disk that cannot be written keeps no count; the store is then read from a copy.
    let _ = file.and_then(|mut file| file.write_all(b"x"));
}
