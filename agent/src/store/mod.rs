//! What must survive a power cut, in sled, behind a wrapper that always opens.
//!
//! Owns: keys, the encoding of records, durability, and what happens to a damaged or full disk. Deliberately does not
//! know what the records mean. The promise is that **an agent always starts**:
//!
//! 1. sled refuses a directory with a damaged snapshot: without it the log may not be complete, so whatever it still
//!    holds is taken up, and the coordinator is asked for everything;
//! 2. a log that cannot be read, or that brings sled down, is put aside as a whole and the store starts empty;
//! 3. a disk that cannot be written is copied to memory, and changes wait there until it can be written again.

mod open;
mod record;
mod writer;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use holdfast_agent_core::{LocalDelta, LocalState};

pub use open::Opened;
pub use writer::Writer;

/// The store of one agent.
#[derive(Debug)]
pub struct Store {
    place: Place,
    engine: Option<Engine>,
    /// Changes that are not on disk yet, by key; `None` removes. Empty while the disk is well.
    backlog: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
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
    /// The database does not take them.
    #[error("the store in {path:?} does not take changes")]
    Write {
        /// The store.
        path: PathBuf,
        /// Why.
        #[source]
        source: sled::Error,
    },
    /// The disk does not confirm them.
    #[error("the disk under {path:?} does not confirm changes")]
    Sync {
        /// The store.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is no database: it could not be opened.
    #[error("the store in {path:?} cannot be written")]
    Closed {
        /// The store.
        path: PathBuf,
    },
}

/// An open database, and a handle of our own on its log.
#[derive(Debug)]
struct Engine {
    db: sled::Db,
    log: File,
    /// Whether it lies where it should, and not in memory.
    durable: bool,
}

impl Store {
    /// Opens the store at `place`, whatever its state, and loads it.
    pub fn open(place: Place) -> (Self, Loaded) {
        let (engine, loaded) = open::open(&place);
        (
            Self {
                place,
                engine,
                backlog: BTreeMap::new(),
            },
            loaded,
        )
    }

    /// Makes changes durable, all or none, in one go.
    ///
    /// # Errors
    /// When the disk does not take them; they are kept for [`Store::retry`].
    pub fn commit(&mut self, deltas: &[LocalDelta]) -> Result<(), StoreError> {
        self.write(deltas.iter().map(record::encode).collect())
    }

    /// Notes during which boot the records were written.
    ///
    /// # Errors
    /// As of [`Store::commit`].
    pub fn set_boot_id(&mut self, boot_id: &str) -> Result<(), StoreError> {
        self.write(vec![(record::BOOT.to_vec(), Some(boot_id.as_bytes().to_vec()))])
    }

    /// Whether changes wait for the disk.
    pub fn is_behind(&self) -> bool {
        !self.backlog.is_empty() || !self.engine.as_ref().is_some_and(|engine| engine.durable)
    }

    /// Tries again to bring the disk up to date, with a newly opened database: sled does not recover from a failed write.
    ///
    /// # Errors
    /// When the disk still does not take changes.
    pub fn retry(&mut self) -> Result<(), StoreError> {
        if !self.is_behind() {
            return Ok(());
        }
        // A copy in memory holds changes that the disk has not seen. A durable database is closed first: it has a lock.
        let copy = self.engine.take().filter(|engine| !engine.durable);
        let mut changes = copy
            .as_ref()
            .map(|engine| record::dump(&engine.db))
            .unwrap_or_default();
        changes.append(&mut self.backlog);
        let Some(engine) = open::reopen(&self.place.path()) else {
            self.engine = copy;
            return Err(self.keep(changes, Problem::Closed));
        };
        let written = engine.write(&changes);
        self.engine = Some(engine);
        written.map_err(|problem| self.keep(changes, problem))
    }

    fn write(&mut self, changes: Vec<(Vec<u8>, Option<Vec<u8>>)>) -> Result<(), StoreError> {
        // What waits goes first, in the same batch: a later change must never overtake an earlier one.
        let mut all = std::mem::take(&mut self.backlog);
        let waiting = !all.is_empty();
        all.extend(changes);
        let problem = match &self.engine {
            // Once something waits, only `retry` may clear it: the engine has failed.
            Some(engine) if !waiting => match engine.write(&all) {
                Ok(()) => return Ok(()),
                Err(problem) => problem,
            },
            _ => Problem::Closed,
        };
        Err(self.keep(all, problem))
    }

    fn keep(&mut self, changes: BTreeMap<Vec<u8>, Option<Vec<u8>>>, problem: Problem) -> StoreError {
        self.backlog = changes;
        let path = self.place.path();
        match problem {
            Problem::Write(source) => StoreError::Write { path, source },
            Problem::Sync(source) => StoreError::Sync { path, source },
            Problem::Closed => StoreError::Closed { path },
        }
    }
}

impl Place {
    /// Where the database lies.
    fn path(&self) -> PathBuf {
        self.data_dir.join("state")
    }
}

enum Problem {
    Write(sled::Error),
    Sync(io::Error),
    Closed,
}

impl Engine {
    fn write(&self, changes: &BTreeMap<Vec<u8>, Option<Vec<u8>>>) -> Result<(), Problem> {
        let mut batch = sled::Batch::default();
        for (key, value) in changes {
            match value {
                Some(value) => batch.insert(key.as_slice(), value.as_slice()),
                None => batch.remove(key.as_slice()),
            }
        }
        self.db.apply_batch(batch).map_err(Problem::Write)?;
        self.db.flush().map_err(Problem::Write)?;
        // sled's flush leaves the bytes in the disk's cache (sync_file_range); a power cut would take them.
        self.log.sync_data().map_err(Problem::Sync)
    }
}

/// The log of the database in `path`, which sled appends every change to.
fn log_file(path: &Path) -> PathBuf {
    path.join("db")
}

#[cfg(test)]
mod tests;
