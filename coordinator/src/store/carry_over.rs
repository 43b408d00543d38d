//! Carrying commits over from the journal into the database, on a thread of its own.
//!
//! The database is open only for that, and is closed and opened again and again meanwhile: whatever its cache is told, it
//! keeps in memory what it has touched.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use sled::Db;

use super::journal::{Commit, Reader};
use super::{StoreError, files, open};
use crate::memory;

/// The record that holds the number of the last commit that was carried over. No table's records are called so.
pub(super) const POSITION: &str = "journal";

/// The database takes over so many bytes of commits in one step. It frees nothing of what it replaces within one.
const STEP_BYTES: usize = 256 * 1024;

/// It is closed and opened again after so many bytes of commits.
const TOUCHED_BYTES: usize = 4 * 1024 * 1024;

/// Keys, with what is stored under them, or nothing.
pub(super) type Changes = BTreeMap<Box<[u8]>, Option<Box<[u8]>>>;

/// The number of the last commit that was carried over.
pub(super) fn position(db: &Db) -> Result<u64, StoreError> {
    let record = db.get(POSITION)?;
    let number = record.and_then(|it| Some(u64::from_le_bytes(it.as_ref().try_into().ok()?)));
    Ok(number.unwrap_or(0))
}

/// Journal files on their way into the database.
pub(super) struct CarryOver {
    /// The files; they are of no use afterwards.
    pub(super) files: Vec<PathBuf>,
    /// Bytes of commits in them.
    pub(super) bytes: u64,
    thread: JoinHandle<Result<(), StoreError>>,
}

impl CarryOver {
    /// Begins to carry over commits up to `last`.
    pub(super) fn start(work: Work, files: Vec<PathBuf>, bytes: u64) -> Result<Self, StoreError> {
        let (paths, folder) = (files.clone(), work.folder.clone());
        let thread = thread::Builder::new()
            .name("carry-over".into())
            .spawn(move || work.run(&paths))
            .map_err(|source| StoreError::Folder { path: folder, source })?;
        Ok(Self { files, bytes, thread })
    }

    /// Whether it has ended.
    pub(super) fn is_over(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for its end; answers the files.
    pub(super) fn finish(self) -> Result<Vec<PathBuf>, StoreError> {
        let panicked = |_| sled::Error::ReportableBug("the database panicked".into());
        self.thread.join().map_err(panicked)??;
        Ok(self.files)
    }
}

/// What has to be done.
pub(super) struct Work {
    /// The database; `None` before it is opened.
    pub(super) db: Option<Db>,
    /// Its log, which a flush by sled does not make durable.
    pub(super) log: File,
    /// Its folder.
    pub(super) folder: PathBuf,
    /// Number of the last commit to carry over.
    pub(super) last: u64,
}

impl Work {
    fn run(mut self, files: &[PathBuf]) -> Result<(), StoreError> {
        let outcome = self.carry_over(files).and_then(|()| self.make_durable());
        if outcome.is_err() {
            // Its destructor may wait for ever once it has failed.
            std::mem::forget(self.db);
        } else {
            self.close();
        }
        memory::give_back();
        outcome
    }

    /// In steps that hold whole commits: whatever a crash leaves of it is how the state was after some commit.
    fn carry_over(&mut self, files: &[PathBuf]) -> Result<(), StoreError> {
        self.open()?;
        let mut step = Step {
            position: position(self.db()?)?,
            ..Step::default()
        };
        let mut touched = 0;
        for path in files {
            let failed = |source| unreadable(path, source);
            let mut reader = Reader::open(path).map_err(failed)?;
            while let Some(commit) = reader.next().map_err(failed)? {
                if commit.number != step.position + 1 {
                    continue;
                }
                step.add(&commit);
                if step.bytes < STEP_BYTES {
                    continue;
                }
                touched += step.bytes;
                step = step.take(self.db()?)?;
                if touched >= TOUCHED_BYTES {
                    touched = 0;
                    self.close();
                    self.open()?;
                }
            }
        }
        let step = step.take(self.db()?)?;
        if step.position == self.last {
            return Ok(());
        }
        let path = self.folder.clone();
        Err(StoreError::Gone { path })
    }

    /// Opens the database, unless it is open, or somebody has put something else in its place.
    fn open(&mut self) -> Result<(), StoreError> {
        let path = self.folder.join(files::LOG);
        if !files::is_at(&self.log, &path) {
            return Err(StoreError::Gone { path });
        }
        if self.db.is_none() {
            self.db = Some(open::reopen(&self.folder)?);
        }
        Ok(())
    }

    fn close(&mut self) {
        if let Some(db) = self.db.take() {
            open::close(db);
        }
    }

    fn make_durable(&self) -> Result<(), StoreError> {
        self.db()?.flush()?;
        open::keep_room(&self.log);
        self.log
            .sync_data()
            .map_err(|source| unreadable(&self.folder, source))
    }

    fn db(&self) -> Result<&Db, StoreError> {
        self.db.as_ref().ok_or(StoreError::Closed)
    }
}

fn unreadable(path: &Path, source: std::io::Error) -> StoreError {
    let path = path.to_owned();
    StoreError::Flush { path, source }
}

/// What the database takes over at once.
#[derive(Default)]
struct Step {
    /// Number of the last commit in it.
    position: u64,
    changes: Changes,
    bytes: usize,
}

impl Step {
    fn add(&mut self, commit: &Commit) {
        self.position = commit.number;
        self.bytes += commit.len();
        let changes = commit.changes();
        self.changes
            .extend(changes.map(|(key, record)| (key.into(), record.map(Into::into))));
    }

    fn take(self, db: &Db) -> Result<Self, StoreError> {
        let mut batch = sled::Batch::default();
        for (key, record) in self.changes {
            match record {
                Some(record) => batch.insert(key, record),
                None => batch.remove(key),
            }
        }
        batch.insert(POSITION, &self.position.to_le_bytes());
        db.apply_batch(batch)?;
        Ok(Self {
            position: self.position,
            ..Self::default()
        })
    }
}
