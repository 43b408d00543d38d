//! The default store: one sled database in the data folder.

use std::fs::File;
use std::path::{Path, PathBuf};

use holdfast_coordinator_core::{Delta, State};
use sled::Db;

use super::batch::Batch;
use super::open::{self, Condition};
use super::{Store, StoreError, record};

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

    fn files(&self) -> Result<&Files, StoreError> {
        self.files.as_ref().ok_or(StoreError::Closed)
    }

    fn write(&self, batch: &Batch) -> Result<(), StoreError> {
        let Files { db, log } = self.files()?;
        let mut writes = sled::Batch::default();
        for (table, key, delta) in batch.iter() {
            let key = format!("{}{SEPARATOR}{key}", table.as_str());
            if delta.is_removal() {
                writes.remove(key.as_bytes());
            } else {
                writes.insert(key.as_bytes(), record::encode(delta));
            }
        }
        db.apply_batch(writes)?;
        db.flush()?;
        log.sync_data().map_err(|source| StoreError::Flush {
            path: self.path.join("db"),
            source,
        })
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
        self.files = Some(Files { db, log: file });
        Ok(condition)
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
