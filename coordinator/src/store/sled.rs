//! The default store: one sled database in the data folder.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use holdfast_coordinator_core::{Delta, State};
use sled::Db;

use super::batch::Batch;
use super::open::{self, Condition};
use super::{Store, StoreError, record};

/// File beside the database that holds the index of the newest commit. It is written without waiting for the disk: it
/// may be older than the database, and when it is newer, the database has lost something that it should not have.
const MARK: &str = "newest-index";

/// Separates table and key; no table has it in its name.
const SEPARATOR: char = '/';

/// State in a sled database of its own.
pub struct SledStore {
    path: PathBuf,
    /// `None` after a failure, until it is opened anew.
    files: Option<Files>,
}

struct Files {
    db: Db,
    /// sled's flush does not reach the disk by itself: it starts the writing and does not wait for it.
    log: File,
    mark: File,
}

impl SledStore {
    /// Opens the database in folder `path`, which is made when it is missing, and says in which condition it was.
    ///
    /// # Errors
    /// When the folder cannot be used, or another process uses it.
    pub fn open(path: &Path) -> Result<(Self, Condition), StoreError> {
        let mut store = Self {
            path: path.to_owned(),
            files: None,
        };
        let condition = store.reopen()?;
        Ok((store, condition))
    }

    /// The newest index that was ever committed, when the database has only come to `index`: a log ends where it is
    /// damaged, and what was behind is lost.
    ///
    /// # Errors
    /// When the store is closed.
    pub fn newer_than(&self, index: u64) -> Result<Option<u64>, StoreError> {
        let mut bytes = [0; 8];
        // In a new store there is nothing to read.
        let newest = self
            .files()?
            .mark
            .read_exact_at(&mut bytes, 0)
            .map_or(0, |()| u64::from_le_bytes(bytes));
        Ok((newest > index).then_some(newest))
    }

    fn files(&self) -> Result<&Files, StoreError> {
        self.files.as_ref().ok_or(StoreError::Closed)
    }

    fn write(&self, batch: &Batch) -> Result<(), StoreError> {
        let Files { db, log, mark } = self.files()?;
        let mut writes = sled::Batch::default();
        let mut newest = None;
        for (table, key, delta) in batch.iter() {
            if let Delta::Meta { index, .. } = delta {
                newest = Some(*index);
            }
            let key = format!("{}{SEPARATOR}{key}", table.as_str());
            if delta.is_removal() {
                writes.remove(key.as_bytes());
            } else {
                writes.insert(key.as_bytes(), record::encode(delta));
            }
        }
        db.apply_batch(writes)?;
        db.flush()?;
        let failed = |file: &str, source| StoreError::Flush {
            path: self.path.join(file),
            source,
        };
        log.sync_data().map_err(|source| failed("db", source))?;
        match newest {
            Some(index) => mark
                .write_all_at(&index.to_le_bytes(), 0)
                .map_err(|source| failed(MARK, source)),
            None => Ok(()),
        }
    }
}

impl Store for SledStore {
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        let outcome = self.write(batch);
        if outcome.is_err() {
            // sled remembers its first failure for ever; only a new one forgets it.
            self.files = None;
        }
        outcome
    }

    fn load(&self) -> Result<State, StoreError> {
        let mut state = State::default();
        let mut deltas = Vec::new();
        for entry in self.files()?.db.iter() {
            let (key, bytes) = entry?;
            let delta = record::decode(&bytes).map_err(|source| StoreError::Record {
                key: String::from_utf8_lossy(&key).replace('\u{0}', " "),
                source,
            })?;
            // The index comes first: tables remember at which one they last changed.
            if matches!(delta, Delta::Meta { .. }) {
                state.apply(&delta);
            } else {
                deltas.push(delta);
            }
        }
        deltas.iter().for_each(|delta| state.apply(delta));
        Ok(state)
    }

    fn reopen(&mut self) -> Result<Condition, StoreError> {
        self.files = None;
        let (db, condition) = open::open(&self.path)?;
        let log = self.path.join("db");
        let sync = |source| StoreError::Flush {
            path: log.clone(),
            source,
        };
        let file = File::open(&log).map_err(sync)?;
        // The names of new files must survive a power cut as well.
        for folder in [Some(self.path.as_path()), self.path.parent()]
            .into_iter()
            .flatten()
        {
            File::open(folder)
                .and_then(|folder| folder.sync_all())
                .map_err(sync)?;
        }
        let mark = self.path.join(MARK);
        let options = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&mark);
        let mark = options.map_err(|source| StoreError::Folder { path: mark, source })?;
        self.files = Some(Files { db, log: file, mark });
        Ok(condition)
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
