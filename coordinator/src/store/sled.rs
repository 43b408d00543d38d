//! The default store: one sled database in the data folder.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use holdfast_coordinator_core::{Delta, State};
use sled::Db;
use tracing::error;

use super::batch::Batch;
use super::open::{self, Condition};
use super::record::Record;
use super::{Store, StoreError, record};

/// File beside the database that holds the index of the newest commit. It is written without waiting for the disk: it
/// may be older than the database, and when it is newer, the database has lost something that it should not have.
const MARK: &str = "newest-index";

/// sled's log in the database's folder.
const LOG: &str = "db";

/// Beside the database: a new one that is being filled, and an old one whose place was taken.
const NEW: &str = "new";
const OLD: &str = "old";

/// Room that sled needs on the disk beside the records themselves: segments, and its snapshot.
const ROOM: u64 = 2 * 1024 * 1024;

/// Databases that may be given up before only a restart helps.
const GIVEN_UP_MAX: u32 = 16;

/// Separates table and key; no table has it in its name.
const SEPARATOR: char = '/';

/// State in a sled database of its own.
pub struct SledStore {
    path: PathBuf,
    /// `None` after a failure, until it is opened anew.
    files: Option<Files>,
    /// Whether a database failed: it keeps its lock for as long as this process lives, and another one has to take its
    /// place.
    has_failed: bool,
    /// Databases that were given up and take up memory until the process ends.
    given_up: u32,
    /// Whether what lies in its place is not ours.
    is_foreign: bool,
}

struct Files {
    /// The database's folder, or the one beside it where it is filled before it takes its place.
    folder: PathBuf,
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
            has_failed: false,
            given_up: 0,
            is_foreign: false,
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
            std::mem::forget(files.db);
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
        // sled goes by the name of its folder. This one is sound, and closes at once.
        self.files = None;
        if self.path.exists() {
            remove(&self.beside(OLD))?;
        }
        match fs::rename(&self.path, &old) {
            Err(source) if source.kind() != ErrorKind::NotFound => return Err(failed_at(&self.path, source)),
            _ => {}
        }
        fs::rename(&new, &self.path).map_err(|source| failed_at(&new, source))?;
        let (db, _) = open::open(&self.path)?;
        self.files = Some(Files::open(&self.path, db)?);
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

    /// An error when what is open is not what lies in the folder any more: nobody would ever find what is written.
    fn is_in_place(&self) -> Result<(), StoreError> {
        let path = self.files()?.folder.join(LOG);
        let identity = |file: fs::Metadata| (file.dev(), file.ino());
        let open = self.files()?.log.metadata().map(identity);
        match (fs::metadata(&path).map(identity), open) {
            (Ok(there), Ok(open)) if there == open => Ok(()),
            _ => Err(StoreError::Gone { path }),
        }
    }

    /// An error when the disk has no room for this many bytes. sled must not find out by itself.
    fn has_room(&self, bytes: u64) -> Result<(), StoreError> {
        let folder = &self.files()?.folder;
        let disk = rustix::fs::statvfs(folder).map_err(|source| failed_at(folder, source.into()))?;
        let (left, needed) = (disk.f_bavail.saturating_mul(disk.f_frsize), ROOM + 2 * bytes);
        if left >= needed {
            return Ok(());
        }
        Err(StoreError::Full {
            path: folder.clone(),
            left: left / 1024,
            needed: needed / 1024,
        })
    }

    fn write(&self, batch: &Batch) -> Result<(), StoreError> {
        self.is_in_place()?;
        let Files {
            folder,
            db,
            log,
            mark,
        } = self.files()?;
        let mut writes = sled::Batch::default();
        let (mut newest, mut bytes) = (None, 0);
        for (table, key, delta) in batch.iter() {
            if let Delta::Meta { index, .. } = delta {
                newest = Some(*index);
            }
            let key = format!("{}{SEPARATOR}{key}", table.as_str());
            if delta.is_removal() {
                writes.remove(key.as_bytes());
            } else {
                let record = record::encode(delta);
                bytes += (key.len() + record.len()) as u64;
                writes.insert(key.as_bytes(), record);
            }
        }
        self.has_room(bytes)?;
        db.apply_batch(writes)?;
        db.flush()?;
        let failed = |file: &str, source| StoreError::Flush {
            path: folder.join(file),
            source,
        };
        log.sync_data().map_err(|source| failed(LOG, source))?;
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
        let (mut deltas, mut jobs) = (Vec::new(), Vec::new());
        for entry in self.files()?.db.iter() {
            let (key, bytes) = entry?;
            let record = record::decode(&bytes).map_err(|source| StoreError::Record {
                key: String::from_utf8_lossy(&key).replace('\u{0}', " "),
                source,
            })?;
            match record {
                // The index comes first: tables remember at which one they last changed.
                Record::Delta(delta @ Delta::Meta { .. }) => state.apply(&delta),
                Record::Delta(delta) => deltas.push(delta),
                Record::Current(job, version) => jobs.push((job, version)),
            }
        }
        deltas.iter().for_each(|delta| state.apply(delta));
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
        if self.has_failed {
            if self.given_up > GIVEN_UP_MAX {
                return Err(StoreError::GivenUp);
            }
            let folder = self.beside(NEW);
            remove(&folder)?;
            self.files = Some(Files::open(&folder, open::open(&folder)?.0)?);
            return Ok(Condition::Replaced);
        }
        let (db, condition) = open::open(&self.path)?;
        self.files = Some(Files::open(&self.path, db)?);
        Ok(condition)
    }
}

impl Files {
    fn open(folder: &Path, db: Db) -> Result<Self, StoreError> {
        let path = folder.join(LOG);
        let sync = |source| StoreError::Flush {
            path: path.clone(),
            source,
        };
        let log = File::open(&path).map_err(sync)?;
        // The names of new files must survive a power cut as well.
        for folder in [Some(folder), folder.parent()].into_iter().flatten() {
            sync_folder(folder).map_err(sync)?;
        }
        let mark = folder.join(MARK);
        let options = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&mark);
        let mark = options.map_err(|source| StoreError::Folder { path: mark, source })?;
        Ok(Self {
            folder: folder.to_owned(),
            db,
            log,
            mark,
        })
    }
}

fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Removes a folder with everything in it, if it is there.
fn remove(folder: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(folder) {
        Err(source) if source.kind() != ErrorKind::NotFound => Err(failed_at(folder, source)),
        _ => Ok(()),
    }
}

fn failed_at(path: &Path, source: std::io::Error) -> StoreError {
    StoreError::Folder {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
