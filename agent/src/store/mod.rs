//! What must survive a power cut, in sled, behind a wrapper that always opens.
//!
//! Owns: keys, the encoding of records, durability, and what happens to a damaged or full disk. Deliberately does not
//! know what the records mean. The promise is that **an agent always starts**:
//!
//! 1. sled refuses a directory with a damaged snapshot: without it the log may not be complete, so whatever it still
//!    holds is taken up, and the coordinator is asked for everything;
//! 2. a log that cannot be read, or that brings sled down, is put aside as a whole and the store starts empty;
//! 3. a disk that is full or cannot be written is read, if need be from a copy in memory, and changes wait until it can be
//!    written again: in a file in memory, so that only a power cut takes them.

mod open;
mod record;
mod writer;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use holdfast_agent_core::{LocalDelta, LocalState};
use holdfast_shared::chunks;
use rustix::fs::{FallocateFlags, StatVfsMountFlags};
use rustix::io::Errno;

pub use open::Opened;
use record::Records;
pub use writer::Writer;

/// Room that sled needs on the disk beside the records themselves: a segment of its log, and its snapshot.
const ROOM: u64 = 1024 * 1024;

/// Bytes of a segment of sled's log: its default.
const SEGMENT: u64 = 512 * 1024;

/// Databases that may be given up before only a restart helps: each takes up memory until the process ends.
const GIVEN_UP_MAX: usize = 16;

/// The store of one agent.
#[derive(Debug)]
pub struct Store {
    place: Place,
    /// `None` while the disk does not take anything.
    engine: Option<Engine>,
    /// Everything that should be on the disk.
    records: Records,
    /// Keys of what is not there yet. Empty while the disk is well.
    waiting: BTreeSet<Vec<u8>>,
    /// Databases that failed. sled remembers its first failure for ever: another one has to take their place.
    given_up: usize,
}

/// Where a store lies.
#[derive(Debug, Clone)]
pub struct Place {
    /// Directory of the agent; the store is a directory inside.
    pub data_dir: PathBuf,
    /// A directory in memory, for when that one cannot be written.
    pub volatile_dir: PathBuf,
}

/// What a store holds when it is opened.
#[derive(Debug)]
pub struct Loaded {
    /// The records.
    pub state: LocalState,
    /// The boot during which they were written; empty when unknown.
    pub boot_id: String,
    /// How the opening went.
    pub opened: Opened,
}

/// Why changes are not durable. The agent goes on; the store keeps them and tries again.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no room for them.
    #[error("the disk under {path:?} is full: {left} KiB are left and {needed} KiB are needed")]
    Full {
        /// The agent's directory.
        path: PathBuf,
        /// What is left, in KiB.
        left: u64,
        /// What a change needs, in KiB.
        needed: u64,
    },
    /// The file system takes no changes at all.
    #[error("the disk under {path:?} is read-only")]
    ReadOnly {
        /// The agent's directory.
        path: PathBuf,
    },
    /// The database does not take them.
    #[error("the store in {path:?} does not take changes: {source}")]
    Write {
        /// The store.
        path: PathBuf,
        /// Why.
        source: sled::Error,
    },
    /// The disk does not confirm them, or a file cannot be made or moved.
    #[error("the disk under {path:?} does not take changes: {source}")]
    Disk {
        /// What was written.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no database: it could not be opened.
    #[error("the store in {path:?} cannot be opened for writing")]
    Closed {
        /// The store.
        path: PathBuf,
    },
    /// The disk has failed too often.
    #[error("the store in {path:?} has failed {GIVEN_UP_MAX} times: repair the disk and restart the agent")]
    GivenUp {
        /// The store.
        path: PathBuf,
    },
}

/// An open database, and a handle of our own on its log.
#[derive(Debug)]
struct Engine {
    path: PathBuf,
    db: sled::Db,
    log: File,
}

impl Store {
    /// Opens the store at `place`, whatever its state, and loads it.
    pub fn open(place: Place) -> (Self, Loaded) {
        let found = open::open(&place);
        let contents = found.contents;
        let waiting = place.waiting().into_keys().chain(contents.damaged).collect();
        let mut store = Self {
            place,
            engine: found.engine,
            records: contents.records,
            waiting,
            given_up: 0,
        };
        if found.asks_for_everything {
            // As long as it has not come, the next start must not take what is here for everything.
            store.put(record::HELD.to_vec(), None);
        }
        let loaded = Loaded {
            state: contents.state,
            boot_id: contents.boot_id,
            opened: found.opened,
        };
        (store, loaded)
    }

    /// Makes changes durable, all or none, in one go.
    ///
    /// # Errors
    /// When the disk does not take them; they are kept for [`Store::retry`].
    pub fn commit(&mut self, deltas: &[LocalDelta]) -> Result<(), StoreError> {
        for (key, value) in deltas.iter().map(record::encode) {
            self.put(key, value);
        }
        self.save()
    }

    /// Notes during which boot the records were written.
    ///
    /// # Errors
    /// As of [`Store::commit`].
    pub fn set_boot_id(&mut self, boot_id: &str) -> Result<(), StoreError> {
        self.put(record::BOOT.to_vec(), Some(boot_id.as_bytes().to_vec()));
        self.save()
    }

    /// Whether changes wait for the disk, or would have to.
    pub fn is_behind(&self) -> bool {
        !self.waiting.is_empty() || self.engine.is_none()
    }

    /// Tries again to bring the disk up to date.
    ///
    /// # Errors
    /// When the disk still does not take changes.
    pub fn retry(&mut self) -> Result<(), StoreError> {
        if !self.is_behind() {
            return Ok(());
        }
        if self.engine.is_none() {
            self.place.has_room(self.records.values().map(Vec::len).sum())?;
            self.place.is_writable()?;
            if self.given_up > 0 {
                self.replace()?;
            } else {
                self.reopen()?;
            }
        }
        self.write_waiting()
    }

    fn put(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        match value {
            Some(value) => drop(self.records.insert(key.clone(), value)),
            None => drop(self.records.remove(&key)),
        }
        self.waiting.insert(key);
    }

    /// Writes what waits; where the disk does not take it, to memory, from where the next agent takes it.
    fn save(&mut self) -> Result<(), StoreError> {
        let written = self.write_waiting();
        if written.is_err() {
            self.place.keep(&self.changes());
        }
        written
    }

    fn changes(&self) -> Changes<'_> {
        let change = |key| (key, self.records.get(key).map(Vec::as_slice));
        self.waiting.iter().map(Vec::as_slice).map(change).collect()
    }

    fn write_waiting(&mut self) -> Result<(), StoreError> {
        let changes = self.changes();
        // sled must not find out by itself: it does not recover from a write that failed.
        self.place.has_room(bytes(&changes))?;
        let Some(engine) = &self.engine else {
            return Err(StoreError::Closed {
                path: self.place.path(),
            });
        };
        let written = engine.write(&changes);
        match &written {
            Ok(()) => self.is_up_to_date(),
            Err(_) => self.give_up(),
        }
        written
    }

    fn is_up_to_date(&mut self) {
        if !std::mem::take(&mut self.waiting).is_empty() {
            self.place.forget();
        }
    }

    /// Lets go of a database that failed. It is not closed: sled's destructor may wait for ever for a write that failed.
    fn give_up(&mut self) {
        if let Some(engine) = self.engine.take() {
            std::mem::forget(engine.db);
            self.given_up += 1;
        }
    }

    /// Opens the database that could not be opened before, and had its records read from a copy if at all.
    fn reopen(&mut self) -> Result<(), StoreError> {
        let path = self.place.path();
        let (engine, records) = open::reopen(&path).ok_or(StoreError::Closed { path })?;
        for (key, value) in records {
            if !self.waiting.contains(&key) {
                self.records.entry(key).or_insert(value);
            }
        }
        self.engine = Some(engine);
        Ok(())
    }

    /// Has another database take the place of one that failed. It is filled beside it first.
    fn replace(&mut self) -> Result<(), StoreError> {
        let (path, new) = (self.place.path(), self.place.beside("new"));
        if self.given_up > GIVEN_UP_MAX {
            return Err(StoreError::GivenUp { path });
        }
        remove(&new)?;
        let (engine, _) = open::reopen(&new).ok_or_else(|| StoreError::Closed { path: new.clone() })?;
        let all = self
            .records
            .iter()
            .map(|(key, value)| (key.as_slice(), Some(value.as_slice())))
            .collect();
        self.engine = Some(engine);
        let written = self.engine.as_ref().map_or(Ok(()), |engine| engine.write(&all));
        if written.is_err() {
            self.give_up();
            return written;
        }
        // sled goes by the name of its folder. This one is sound, and closes at once.
        self.engine = None;
        self.place.exchange()?;
        let (engine, _) = open::reopen(&path).ok_or(StoreError::Closed { path })?;
        self.engine = Some(engine);
        self.is_up_to_date();
        Ok(())
    }
}

impl Place {
    /// Where the database lies.
    fn path(&self) -> PathBuf {
        self.data_dir.join("state")
    }

    /// The directory that has this purpose beside the database.
    fn beside(&self, purpose: &str) -> PathBuf {
        self.path().with_extension(purpose)
    }

    /// Where changes lie that the disk does not take, for as long as the box is up.
    fn waiting_file(&self) -> PathBuf {
        self.volatile_dir.join("waiting")
    }

    /// Those changes.
    fn waiting(&self) -> BTreeMap<Vec<u8>, Option<Vec<u8>>> {
        record::decode_changes(&fs::read(self.waiting_file()).unwrap_or_default())
    }

    /// Replaces them. It is a second chance: what fails is not worth more than this try.
    fn keep(&self, changes: &Changes<'_>) {
        let (path, new) = (self.waiting_file(), self.volatile_dir.join("waiting.new"));
        let _ = fs::create_dir_all(&self.volatile_dir)
            .and_then(|()| fs::write(&new, record::encode_changes(changes)))
            .and_then(|()| fs::rename(&new, &path));
    }

    /// They are on the disk now.
    fn forget(&self) {
        let _ = fs::remove_file(self.waiting_file());
    }

    /// A database that was filled beside the old one takes its place. The old one goes when the new one is there.
    fn exchange(&self) -> Result<(), StoreError> {
        let (path, old) = (self.path(), self.beside("old"));
        remove(&old)?;
        match fs::rename(&path, &old) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&path, error)),
            _ => {}
        }
        fs::rename(self.beside("new"), &path).map_err(|error| failed(&path, error))?;
        remove(&old)
    }

    /// What a crash while one database took another one's place has left. Both are whole: one is filled in one step.
    fn finish_exchange(&self) {
        let path = self.path();
        for other in ["old", "new"].map(|purpose| self.beside(purpose)) {
            // Where the disk does not let this happen, what is there is read all the same.
            if path.exists() {
                let _ = fs::remove_dir_all(&other);
            } else {
                let _ = fs::rename(&other, &path);
            }
        }
    }

    /// An error when not even an empty file can be made: sled would not say why.
    fn is_writable(&self) -> Result<(), StoreError> {
        let probe = self.beside("probe");
        File::create(&probe)
            .and_then(|file| file.sync_all())
            .and_then(|()| fs::remove_file(&probe))
            .map_err(|error| failed(&self.data_dir, error))
    }

    /// An error when the disk has no room for this many bytes, or takes none at all.
    fn has_room(&self, bytes: usize) -> Result<(), StoreError> {
        let path = &self.data_dir;
        let disk = rustix::fs::statvfs(path).map_err(|error| failed(path, error.into()))?;
        if disk.f_flag.contains(StatVfsMountFlags::RDONLY) {
            return Err(StoreError::ReadOnly { path: path.clone() });
        }
        // An agent is root: what is kept for root is for it.
        let (left, needed) = (
            disk.f_bfree.saturating_mul(disk.f_frsize),
            ROOM + 2 * bytes as u64,
        );
        if left >= needed {
            return Ok(());
        }
        Err(StoreError::Full {
            path: path.clone(),
            left: left / 1024,
            needed: needed / 1024,
        })
    }
}

/// Changes by key; `None` removes.
type Changes<'a> = BTreeMap<&'a [u8], Option<&'a [u8]>>;

fn bytes(changes: &Changes<'_>) -> usize {
    let one = |(key, value): (&&[u8], &Option<&[u8]>)| key.len() + value.map_or(0, <[u8]>::len);
    changes.iter().map(one).sum()
}

impl Engine {
    fn write(&self, changes: &Changes<'_>) -> Result<(), StoreError> {
        self.apply(changes).map_err(|error| match error {
            sled::Error::Io(error) => failed(&self.path, error),
            source => StoreError::Write {
                path: self.path.clone(),
                source,
            },
        })?;
        self.round_up().map_err(|error| failed(&self.path, error))?;
        // sled's flush leaves the bytes in the disk's cache (sync_file_range); a power cut would take them.
        self.log.sync_data().map_err(|error| failed(&self.path, error))
    }

    /// Makes the log as long as its last segment will be, and has the disk set the room aside: a flush writes the length as
    /// well while a file grows, and the file system's account of its room with every block that it finds only then. What
    /// follows the last change reads as zeros, with which sled itself fills up the segment when it opens.
    fn round_up(&self) -> io::Result<()> {
        let length = self.log.metadata()?.len();
        let rounded = length.next_multiple_of(SEGMENT);
        if length == rounded {
            return Ok(());
        }
        match rustix::fs::fallocate(&self.log, FallocateFlags::empty(), length, rounded - length) {
            // Some file systems cannot promise room.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => self.log.set_len(rounded),
            promised => promised.map_err(io::Error::from),
        }
    }

    fn apply(&self, changes: &Changes<'_>) -> Result<(), sled::Error> {
        let (mut batch, mut writes) = (sled::Batch::default(), 0);
        for (key, value) in changes {
            let old = self.db.get(key)?;
            chunks::write(key, old.as_deref(), *value, |key, value| {
                writes += 1;
                match value {
                    Some(value) => batch.insert(key, value),
                    None => batch.remove(key),
                }
            });
        }
        match (writes, changes.first_key_value()) {
            // A batch of one is written in two steps, and wears the disk twice as much.
            (1, Some((key, Some(value)))) => drop(self.db.insert(key, *value)?),
            (1, Some((key, None))) => drop(self.db.remove(key)?),
            _ => self.db.apply_batch(batch)?,
        }
        self.db.flush()?;
        Ok(())
    }
}

/// Removes a directory with everything in it, if it is there.
fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(path, error)),
        _ => Ok(()),
    }
}

fn failed(path: &Path, source: io::Error) -> StoreError {
    let path = path.to_owned();
    // Not every kernel says so of a file system that it has given up.
    if source.kind() == io::ErrorKind::ReadOnlyFilesystem {
        StoreError::ReadOnly { path }
    } else {
        StoreError::Disk { path, source }
    }
}

/// The log of the database in `path`, which sled appends every change to.
fn log_file(path: &Path) -> PathBuf {
    path.join("db")
}

#[cfg(test)]
mod tests;
