//! Opening a sled database that may have been damaged by a power cut.
//!
//! sled refuses a database whose snapshot is damaged, although the log behind it holds nearly everything: only parts that
//! were used again need the snapshot. So snapshots are put aside before the database is given up; and a database that is
//! given up is put aside as well, never deleted.

use std::fs::{self, File};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use holdfast_shared::chunks;
use rustix::fs::{FallocateFlags, FlockOperation};
use rustix::io::Errno;
use sled::{Config, Db, Mode};
use tracing::{debug, error, warn};

use super::StoreError;

/// Memory for cached pages. State is in memory anyway: the database is written, and read only at the start.
const CACHE_BYTES: u64 = 2 * 1024 * 1024;

/// Bytes of a segment of sled's log.
pub(super) const SEGMENT: u64 = 512 * 1024;

/// How often, and after which pause, it is tried again to have what somebody holds.
const LOOKS: u32 = 1000;
const LOOK: Duration = Duration::from_millis(2);

/// Each frees up to 512 things that nobody has any more.
const COLLECTIONS: usize = 128;

/// How a database was when it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// Nothing was wrong with it.
    Sound,
    /// Damaged snapshots were put aside, or some of it is older than the rest. What a reused part of the log held may be
    /// missing: nodes that hold more are fenced.
    Repaired,
    /// It was beyond repair and put aside; this one is empty.
    Replaced,
}

/// A database that was opened and read.
pub(super) struct Opened {
    pub(super) db: Db,
    /// As far as sled knows.
    pub(super) condition: Condition,
    /// Keys of records of which only a part is there.
    pub(super) lost: Vec<String>,
}

/// Opens the database in `path`, reads all of it once, and repairs or replaces it where that is needed.
pub(super) fn open(path: &Path) -> Result<Opened, StoreError> {
    fs::create_dir_all(path).map_err(|source| folder(path, source))?;
    // Left behind by a crash in the middle of writing one; sled would take it for a snapshot.
    for stray in snapshots(path)?.into_iter().filter(|file| is_generating(file)) {
        warn!(file = %stray.display(), "unfinished snapshot removed");
        fs::remove_file(&stray).map_err(|source| folder(&stray, source))?;
    }
    match attempt(path) {
        Err(Attempt::Damaged(reason)) => repair(path, &reason),
        Err(Attempt::Refused(source)) => Err(refused(path, source)),
        Ok(opened) => Ok(opened),
    }
}

fn repair(path: &Path, reason: &str) -> Result<Opened, StoreError> {
    let aside = aside(path);
    let damaged = snapshots(path)?;
    if !damaged.is_empty() {
        error!(path = %path.display(), reason, aside = %aside.display(), "database damaged, snapshots put aside");
        fs::create_dir_all(&aside).map_err(|source| folder(&aside, source))?;
        for file in damaged {
            let target = aside.join(file.file_name().unwrap_or_default());
            fs::rename(&file, target).map_err(|source| folder(&file, source))?;
        }
        match attempt(path) {
            Ok(opened) => {
                let condition = Condition::Repaired;
                return Ok(Opened { condition, ..opened });
            }
            Err(Attempt::Refused(source)) => return Err(refused(path, source)),
            Err(Attempt::Damaged(_)) => {}
        }
    }
    error!(path = %path.display(), reason, aside = %aside.display(), "database beyond repair, put aside; starting empty");
    let target = aside.join("database");
    fs::create_dir_all(&aside).map_err(|source| folder(&aside, source))?;
    fs::rename(path, target).map_err(|source| folder(path, source))?;
    match attempt(path) {
        Ok(opened) => {
            let condition = Condition::Replaced;
            Ok(Opened { condition, ..opened })
        }
        Err(Attempt::Refused(source)) => Err(refused(path, source)),
        Err(Attempt::Damaged(_)) => Err(StoreError::Closed),
    }
}

fn refused(path: &Path, source: sled::Error) -> StoreError {
    let path = path.to_owned();
    if is_locked(&source) {
        StoreError::Locked { path }
    } else {
        StoreError::Open { path, source }
    }
}

/// Opens the database in `path` that was sound and closed a moment ago.
pub(super) fn reopen(path: &Path) -> Result<Db, StoreError> {
    unlocked(path).map_err(|source| refused(path, source))
}

/// Closes a database with this log, and keeps room for its next opening. What it has replaced it leaves to whoever uses a
/// database next, and that may be never.
pub(super) fn close(db: Db, log: &File) {
    drop(db);
    await_release(log);
    keep_room(log);
    for _ in 0..COLLECTIONS {
        crossbeam_epoch::pin().flush();
    }
}

/// The file whose lock says that the database in `path` is in use.
pub(super) fn lock_of(path: &Path) -> PathBuf {
    path.with_extension("lock")
}

/// Takes the lock of the database in `path`; it is held for as long as the file is open.
pub(super) fn lock(path: &Path) -> Result<File, StoreError> {
    let (file, data) = (lock_of(path), path.parent().unwrap_or(path));
    fs::create_dir_all(data).map_err(|source| folder(data, source))?;
    let options = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&file);
    let held = options.map_err(|source| folder(&file, source))?;
    match wait_for_lock(&held) {
        Ok(()) => Ok(held),
        Err(Errno::WOULDBLOCK) => {
            let path = path.to_owned();
            Err(StoreError::Locked { path })
        }
        Err(source) => Err(folder(&file, source.into())),
    }
}

/// Takes the lock of a file, as soon as whoever has it lets go.
fn wait_for_lock(file: &File) -> Result<(), Errno> {
    let lock = || rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive);
    patiently(lock, |outcome| *outcome == Err(Errno::WOULDBLOCK))
}

/// Tries something again and again, for a time, as long as its outcome says that somebody is in the way.
pub(super) fn patiently<T>(mut attempt: impl FnMut() -> T, is_held: impl Fn(&T) -> bool) -> T {
    for _ in 0..LOOKS {
        let outcome = attempt();
        if !is_held(&outcome) {
            return outcome;
        }
        thread::sleep(LOOK);
    }
    attempt()
}

/// Waits until the threads of a database that was closed have let go of its log: they may still write to it, or cut it.
fn await_release(log: &File) {
    // Whatever comes of it, whoever opens the database next waits for the same lock and says what is wrong.
    let _ = wait_for_lock(log);
    let _ = rustix::fs::flock(log, FlockOperation::Unlock);
}

/// Opens the database in `path` as soon as nobody holds it: threads of its own do so a little longer than whoever closed
/// it.
fn unlocked(path: &Path) -> sled::Result<Db> {
    let open = || config(path).open();
    patiently(open, |outcome| outcome.as_ref().err().is_some_and(is_locked))
}

/// Has the disk keep room for the whole of the log's last segment: sled fills it up when it opens, and a start must not
/// fail because the disk is full by then. Where that cannot be done, it is as it would be without.
pub(super) fn keep_room(log: &File) {
    let kept = log.metadata().and_then(|file| {
        let end = file.len().max(1).next_multiple_of(SEGMENT);
        Ok(rustix::fs::fallocate(log, FallocateFlags::empty(), 0, end)?)
    });
    if let Err(error) = kept {
        debug!(%error, "no room is kept for the end of the log");
    }
}

fn is_locked(error: &sled::Error) -> bool {
    // sled has no kind of its own for it.
    error.to_string().contains("could not acquire lock")
}

fn config(path: &Path) -> Config {
    Config::new()
        .path(path)
        .mode(Mode::LowSpace)
        .cache_capacity(CACHE_BYTES)
        .flush_every_ms(None)
}

/// Why one attempt failed.
enum Attempt {
    /// What is in the files makes no sense.
    Damaged(String),
    /// The files are not to be had: they are locked, or the disk fails.
    Refused(sled::Error),
}

impl From<sled::Error> for Attempt {
    fn from(it: sled::Error) -> Self {
        match it {
            sled::Error::Corruption { .. } | sled::Error::ReportableBug(_) => Self::Damaged(it.to_string()),
            other => Self::Refused(other),
        }
    }
}

/// Opens and reads everything once. sled panics on some damaged files.
fn attempt(path: &Path) -> Result<Opened, Attempt> {
    let read = || -> Result<_, Attempt> {
        let db = unlocked(path)?;
        let failure = match lost(&db) {
            Ok(lost) => {
                let condition = Condition::Sound;
                return Ok(Opened { db, condition, lost });
            }
            Err(error) => Attempt::from(error),
        };
        if let Attempt::Refused(_) = failure {
            // Its destructor may wait for ever once the disk has failed.
            std::mem::forget(db);
        }
        Err(failure)
    };
    catch_unwind(AssertUnwindSafe(read))
        .unwrap_or_else(|_| Err(Attempt::Damaged("the files make no sense".into())))
}

/// Reads all of `db`; answers the keys of records whose parts are missing, or of different times: then the database is not
/// of one time either.
fn lost(db: &Db) -> sled::Result<Vec<String>> {
    let mut lost = Vec::new();
    for entry in db.iter() {
        let (key, value) = entry?;
        if !chunks::is_chunk(&key) && chunks::read(&key, &value, |chunk| db.get(chunk))?.is_none() {
            lost.push(String::from_utf8_lossy(&key).into_owned());
        }
    }
    Ok(lost)
}

fn snapshots(path: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let entries = fs::read_dir(path).map_err(|source| folder(path, source))?;
    let is_snapshot = |file: &PathBuf| {
        file.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("snap."))
    };
    Ok(entries
        .flatten()
        .map(|entry| entry.path())
        .filter(is_snapshot)
        .collect())
}

fn is_generating(file: &Path) -> bool {
    file.extension()
        .is_some_and(|extension| extension == "generating")
}

/// A folder beside `path` that does not exist yet.
pub(super) fn aside(path: &Path) -> PathBuf {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let candidate = |count: u32| path.with_file_name(format!("{name}.damaged-{seconds}-{count}"));
    (0..)
        .map(candidate)
        .find(|folder| !folder.exists())
        .expect("some number is free")
}

fn folder(path: &Path, source: std::io::Error) -> StoreError {
    StoreError::Folder {
        path: path.to_owned(),
        source,
    }
}
