//! The default store: one sled database in the data folder, behind a journal.
//!
//! A commit is durable once it is in the journal; from time to time a thread carries over into the database what has
//! gathered there. What the database has not taken over yet is read from the journal.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use holdfast_coordinator_core::{Delta, State};
use tracing::{error, warn};

use super::batch::Batch;
use super::files::{Files, MARK, failed_at, is_at};
use super::fingerprints::Fingerprints;
use super::journal::Frame;
use super::open::{self, Condition};
use super::record::Record;
use super::{Store, StoreError, record};

/// Beside the database: a new one that is being filled, and an old one whose place was taken.
const NEW: &str = "new";
const OLD: &str = "old";

/// Databases that may be given up before only a restart helps.
const GIVEN_UP_MAX: u32 = 16;

/// What the keys of fingerprints begin with. It is no table.
const FINGERPRINTS: &str = "fingerprints";

/// Separates table and key; no table has it in its name.
const SEPARATOR: char = '/';

/// State in a sled database of its own.
pub struct SledStore {
    path: PathBuf,
    /// Keeps other coordinators out: the database itself is closed most of the time.
    lock: File,
    /// `None` after a failure, until it is opened anew.
    files: Option<Files>,
    /// Whether a database failed: it keeps its lock for as long as this process lives, and another one has to take its
    /// place.
    has_failed: bool,
    /// Databases that were given up and take up memory until the process ends.
    given_up: u32,
    /// Whether what lies in its place is not ours.
    is_foreign: bool,
    fingerprints: Fingerprints,
}

impl SledStore {
    /// Opens the database in folder `path`, which is made when it is missing, and says in which condition it was.
    ///
    /// # Errors
    /// When the folder cannot be used, or another process uses it.
    pub fn open(path: &Path) -> Result<(Self, Condition), StoreError> {
        let mut store = Self {
            path: path.to_owned(),
            lock: open::lock(path)?,
            files: None,
            has_failed: false,
            given_up: 0,
            is_foreign: false,
            fingerprints: Fingerprints::default(),
        };
        store.finish_exchange()?;
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

    /// The folder that has this purpose beside the database.
    fn beside(&self, purpose: &str) -> PathBuf {
        self.path.with_extension(purpose)
    }

    /// Gives up a database that failed. sled remembers its first failure for ever; and its destructor waits for ever for
    /// a write that failed before it was logged, with a lock in its hands that every database of the process needs.
    fn give_up(&mut self) {
        if let Some(files) = self.files.take() {
            files.give_up();
            self.fingerprints = Fingerprints::default();
            self.has_failed = true;
            self.given_up += 1;
        }
    }

    /// A database that was filled beside the old one takes its place. The old one goes when the new one is there.
    fn take_place(&mut self) -> Result<(), StoreError> {
        let new = self.beside(NEW);
        let old = if self.is_foreign {
            open::aside(&self.path)
        } else {
            self.beside(OLD)
        };
        // sled goes by the name of its folder. This one is sound.
        if let Some(mut files) = self.files.take() {
            files.await_carry_over()?;
        }
        if self.path.exists() {
            remove(&self.beside(OLD))?;
        }
        match fs::rename(&self.path, &old) {
            Err(source) if source.kind() != ErrorKind::NotFound => return Err(failed_at(&self.path, source)),
            _ => {}
        }
        fs::rename(&new, &self.path).map_err(|source| failed_at(&new, source))?;
        self.files = Some(Files::open(&self.path, open::open(&self.path)?)?);
        (self.has_failed, self.is_foreign) = (false, false);
        remove(&self.beside(OLD))
    }

    /// What a crash while one database took another one's place has left. Both are whole; one is filled in one step.
    fn finish_exchange(&self) -> Result<(), StoreError> {
        for other in [OLD, NEW].map(|purpose| self.beside(purpose)) {
            if self.path.exists() {
                remove(&other)?;
            } else if other.exists() {
                fs::rename(&other, &self.path).map_err(|source| failed_at(&other, source))?;
            }
        }
        Ok(())
    }

    fn files(&self) -> Result<&Files, StoreError> {
        self.files.as_ref().ok_or(StoreError::Closed)
    }

    fn write(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let files = self.files.as_mut().ok_or(StoreError::Closed)?;
        files.is_in_place()?;
        if let Some(db) = files.db.take() {
            open::close(db, &files.log);
        }
        files.look_after_carry_over()?;
        let (mut frame, mut newest) = (Frame::new(), None);
        // In front of all others: what is stored anew is not lost.
        files.lost.iter().for_each(|key| frame.remove(key));
        for (table, key, delta) in batch.iter() {
            let fingerprint = || format!("{FINGERPRINTS}{SEPARATOR}{key}");
            match delta {
                Delta::Meta { index, .. } => newest = Some(*index),
                Delta::Node(node) if !self.fingerprints.has(node) => {
                    frame.put(&fingerprint(), |bytes| record::encode_fingerprint(node, bytes));
                }
                Delta::RemoveNode(_) => frame.remove(&fingerprint()),
                _ => {}
            }
            let key = format!("{}{SEPARATOR}{key}", table.as_str());
            if delta.is_removal() {
                frame.remove(&key);
            } else {
                frame.put(&key, |bytes| record::encode(delta, bytes));
            }
        }
        let left = files.make_room(frame.len())?;
        let failed = |path: PathBuf, source| StoreError::Flush { path, source };
        let appended = files.journal.append(frame);
        appended.map_err(|source| failed(files.journal.path(), source))?;
        files.lost = Vec::new();
        if let Some(index) = newest {
            let marked = files.mark.write_all_at(&index.to_le_bytes(), 0);
            marked.map_err(|source| failed(files.folder.join(MARK), source))?;
        }
        batch
            .iter()
            .for_each(|(_, _, delta)| self.fingerprints.note(delta));
        files.keep_up(left)
    }
}

impl Store for SledStore {
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        let mut outcome = self.write(batch);
        if outcome.is_ok() && self.files()?.folder != self.path {
            outcome = self.take_place();
        }
        match &outcome {
            // It was not touched.
            Ok(()) | Err(StoreError::Full { .. }) => {}
            Err(error) => {
                self.is_foreign |= matches!(error, StoreError::Gone { .. });
                self.give_up();
            }
        }
        outcome
    }

    fn load(&self) -> Result<State, StoreError> {
        let mut state = State::default();
        let (mut deltas, mut jobs, mut fingerprints) = (Vec::new(), Vec::new(), BTreeMap::new());
        self.files()?.records(|key, bytes| {
            let record = record::decode(bytes).map_err(|source| StoreError::Record {
                key: String::from_utf8_lossy(key).replace('\u{0}', " "),
                source,
            })?;
            match record {
                // The index comes first: tables remember at which one they last changed.
                Record::Delta(delta @ Delta::Meta { .. }) => state.apply(&delta),
                Record::Delta(delta) => deltas.push(delta),
                Record::Current(job, version) => jobs.push((job, version)),
                Record::Fingerprint(node, fingerprint) => drop(fingerprints.insert(node, fingerprint)),
            }
            Ok(())
        })?;
        for delta in &mut deltas {
            if let Delta::Node(node) = delta
                && let Some(fingerprint) = fingerprints.remove(&node.id)
            {
                Arc::make_mut(node).fingerprint = fingerprint;
            }
            state.apply(delta);
        }
        for version in jobs {
            match state.versions.get(&version).cloned() {
                Some(job) => state.apply(&Delta::Job(job)),
                None => {
                    error!(job = %version.0, version = version.1, "the job's newest version is lost, and with it the job")
                }
            }
        }
        Ok(state)
    }

    fn reopen(&mut self) -> Result<Condition, StoreError> {
        if self.files.is_some() {
            // Nothing was wrong with it but a lack of room.
            return Ok(Condition::Sound);
        }
        if !is_at(&self.lock, &open::lock_of(&self.path)) {
            self.lock = open::lock(&self.path)?;
        }
        if self.has_failed {
            if self.given_up > GIVEN_UP_MAX {
                return Err(StoreError::GivenUp);
            }
            let folder = self.beside(NEW);
            remove(&folder)?;
            self.files = Some(Files::open(&folder, open::open(&folder)?)?);
            return Ok(Condition::Replaced);
        }
        let files = Files::open(&self.path, open::open(&self.path)?)?;
        Ok(self.files.insert(files).condition)
    }
}

impl Drop for SledStore {
    /// What is in the journal is carried over: a database that was closed in order is complete by itself.
    fn drop(&mut self) {
        let Some(files) = &mut self.files else { return };
        if let Err(error) = files.carry_over_all() {
            // Nothing is lost: the next start reads it from the journal.
            warn!(
                error = crate::error::chain(&error),
                "the journal was not carried over"
            );
            self.give_up();
        }
    }
}

/// Removes a folder with everything in it, if it is there.
fn remove(folder: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(folder) {
        Err(source) if source.kind() != ErrorKind::NotFound => Err(failed_at(folder, source)),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "tests/mod.rs"]
mod tests;
