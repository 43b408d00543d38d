//! Carrying commits over from the journal into the database, on a thread of its own.
//!
//! The database is open only for that, and is closed and opened again and again meanwhile: whatever its cache is told, it
//! keeps in memory what it has touched.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::{self, JoinHandle};

use holdfast_shared::chunks;
use sled::Db;

use super::journal::{Commit, Place, Reader};
use super::{StoreError, files, open};
use crate::memory;

/// The record that holds the number of the last commit that was carried over. No table's records are called so.
pub(super) const POSITION: &str = "journal";

/// The record that is there as long as the database has a part of a piece only: the number of the piece's last commit.
pub(super) const UNTIL: &str = "journal-until";

/// So many keys are a piece: they are in memory meanwhile.
const KEYS: usize = 16 * 1024;

/// The database takes over so many bytes in one step. It frees nothing of what it replaces within one.
const STEP_BYTES: usize = 256 * 1024;

/// It is closed and opened again after so many bytes.
const TOUCHED_BYTES: usize = 4 * 1024 * 1024;

/// Keys, with what is stored under them, or nothing.
pub(super) type Changes = BTreeMap<Box<[u8]>, Option<Box<[u8]>>>;

/// The number of the last commit that was carried over.
pub(super) fn position(db: &Db) -> Result<u64, StoreError> {
    number(db, POSITION)
}

/// The number of the last commit of a piece that was carried over in part; 0 when there is none.
pub(super) fn until(db: &Db) -> Result<u64, StoreError> {
    number(db, UNTIL)
}

fn number(db: &Db, key: &str) -> Result<u64, StoreError> {
    let record = db.get(key)?;
    let number = record.and_then(|it| Some(u64::from_le_bytes(it.as_ref().try_into().ok()?)));
    Ok(number.unwrap_or(0))
}

/// Journal files on their way into the database.
pub(super) struct CarryOver {
    /// The files; they are of no use afterwards.
    pub(super) files: Vec<PathBuf>,
    /// Bytes of commits in them.
    pub(super) bytes: u64,
    claim: Arc<Claim>,
    thread: JoinHandle<Result<(), StoreError>>,
}

/// Whether the database is still the one that is carried over into. sled opens and closes it by its path, where another
/// one may have taken its place meanwhile.
#[derive(Default)]
pub(super) struct Claim {
    is_given_up: AtomicBool,
    /// Held by whoever is about to use the path.
    at_path: Mutex<()>,
}

impl Claim {
    /// Keeps the path as it is for as long as the answer is held; none when it is not to be used any more.
    fn hold(&self) -> Option<MutexGuard<'_, ()>> {
        let held = self.at_path.lock().unwrap_or_else(PoisonError::into_inner);
        (!self.is_given_up.load(Ordering::SeqCst)).then_some(held)
    }

    /// Has the path not be used any more, and waits until it is not; for a time, as a database that has failed may use it
    /// for ever.
    fn give_up(&self) {
        self.is_given_up.store(true, Ordering::SeqCst);
        open::patiently(
            || matches!(self.at_path.try_lock(), Err(TryLockError::WouldBlock)),
            |is_used| *is_used,
        );
    }
}

impl CarryOver {
    /// Begins to carry over commits up to `last`.
    pub(super) fn start(work: Work, files: Vec<PathBuf>, bytes: u64) -> Result<Self, StoreError> {
        let (paths, folder, claim) = (files.clone(), work.folder.clone(), Arc::clone(&work.claim));
        let thread = thread::Builder::new()
            .name("carry-over".into())
            .spawn(move || work.run(&paths))
            .map_err(|source| StoreError::Folder { path: folder, source })?;
        Ok(Self {
            files,
            bytes,
            claim,
            thread,
        })
    }

    /// Lets go of it: another database is to take the place of the one that is carried over into. What is under way ends by
    /// itself, or never.
    pub(super) fn give_up(self) {
        self.claim.give_up();
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
    /// Whether its folder is to be used.
    pub(super) claim: Arc<Claim>,
}

impl Work {
    fn run(mut self, files: &[PathBuf]) -> Result<(), StoreError> {
        let done = self.carry_over(files).and_then(|()| self.make_durable());
        let outcome = done.and_then(|()| self.close());
        // After a failure its destructor may wait for ever.
        std::mem::forget(self.db);
        outcome
    }

    /// Piece by piece: of each key only what it has at the end of a piece, in the order of the keys, so that the database
    /// takes up a page once and not for every change of what is on it. Until a piece is whole the database is as it never
    /// was; the journal holds all of the piece until then, and whoever opens both reads the piece from there.
    fn carry_over(&mut self, files: &[PathBuf]) -> Result<(), StoreError> {
        self.open()?;
        let mut commits = Commits::after(position(self.db()?)?, files);
        while commits.position < self.last {
            let before = commits.position;
            let piece = Piece::next(&mut commits)?;
            if piece.last == before {
                let path = self.folder.clone();
                return Err(StoreError::Gone { path });
            }
            self.take(piece, files)?;
        }
        Ok(())
    }

    /// Has the database take over a piece, in steps.
    pub(super) fn take(&mut self, piece: Piece, files: &[PathBuf]) -> Result<(), StoreError> {
        let opened = |path: &PathBuf| File::open(path).map_err(|source| unreadable(path, source));
        let opened: Vec<File> = files.iter().map(opened).collect::<Result<_, _>>()?;
        let mut step = sled::Batch::default();
        step.insert(UNTIL, &piece.last.to_le_bytes());
        let (mut bytes, mut touched) = (0, 0);
        for (key, place) in piece.changes {
            let read = |(file, place): (usize, Place)| {
                let record = place.read(&opened[file]);
                record.map_err(|source| unreadable(&files[file], source))
            };
            let (old, record) = (self.db()?.get(&key)?, place.map(read).transpose()?);
            bytes += key.len() + record.as_ref().map_or(0, Vec::len);
            chunks::write(
                &key,
                old.as_deref(),
                record.as_deref(),
                |key, value| match value {
                    Some(value) => step.insert(key, value),
                    None => step.remove(key),
                },
            );
            if bytes >= STEP_BYTES {
                self.db()?.apply_batch(std::mem::take(&mut step))?;
                touched += std::mem::take(&mut bytes);
            }
            if touched >= TOUCHED_BYTES {
                touched = 0;
                self.close()?;
                self.open()?;
            }
        }
        step.insert(POSITION, &piece.last.to_le_bytes());
        step.remove(UNTIL);
        self.db()?.apply_batch(step)?;
        Ok(())
    }

    /// Opens the database, unless it is open, or somebody has put something else in its place.
    fn open(&mut self) -> Result<(), StoreError> {
        let claim = Arc::clone(&self.claim);
        let _held = self.hold(&claim)?;
        if self.db.is_none() {
            self.db = Some(open::reopen(&self.folder)?);
        }
        Ok(())
    }

    /// An error when something else lies in the database's place, or is about to.
    fn hold<'c>(&self, claim: &'c Claim) -> Result<MutexGuard<'c, ()>, StoreError> {
        let path = self.folder.join(files::LOG);
        let held = claim.hold().filter(|_| files::is_at(&self.log, &path));
        held.ok_or(StoreError::Gone { path })
    }

    /// What it needed goes back to the system before a thread of the database, which may start with the next opening, takes
    /// it for a little of its own and keeps all of it.
    fn close(&mut self) -> Result<(), StoreError> {
        let claim = Arc::clone(&self.claim);
        let _held = self.hold(&claim)?;
        if let Some(db) = self.db.take() {
            open::close(db, &self.log);
            memory::give_back();
        }
        Ok(())
    }

    fn make_durable(&self) -> Result<(), StoreError> {
        self.db()?.flush()?;
        self.log
            .sync_data()
            .map_err(|source| unreadable(&self.folder, source))
    }

    pub(super) fn db(&self) -> Result<&Db, StoreError> {
        self.db.as_ref().ok_or(StoreError::Closed)
    }
}

fn unreadable(path: &Path, source: std::io::Error) -> StoreError {
    let path = path.to_owned();
    StoreError::Flush { path, source }
}

/// Commits of journal files, in order.
pub(super) struct Commits<'f> {
    files: &'f [PathBuf],
    /// The number of the last commit that was read or need not be.
    pub(super) position: u64,
    reader: Option<Reader>,
    /// How many files were opened.
    opened: usize,
}

impl<'f> Commits<'f> {
    /// Those that follow commit `position` without a gap.
    pub(super) fn after(position: u64, files: &'f [PathBuf]) -> Self {
        Self {
            files,
            position,
            reader: None,
            opened: 0,
        }
    }

    /// The next one, and the number of its file.
    fn next(&mut self) -> Result<Option<(usize, Commit)>, StoreError> {
        loop {
            if let Some(reader) = &mut self.reader {
                let file = self.opened - 1;
                let failed = |source| unreadable(&self.files[file], source);
                while let Some(commit) = reader.next().map_err(failed)? {
                    if commit.number == self.position + 1 {
                        self.position = commit.number;
                        return Ok(Some((file, commit)));
                    }
                }
            }
            let Some(path) = self.files.get(self.opened) else {
                return Ok(None);
            };
            self.reader = Some(Reader::open(path).map_err(|source| unreadable(path, source))?);
            self.opened += 1;
        }
    }
}

/// What some commits that follow each other come to.
pub(super) struct Piece {
    /// Number of the last one.
    last: u64,
    /// Keys, with the number of the file and the place in it where what they have at the end lies, or nothing.
    changes: BTreeMap<Box<[u8]>, Option<(usize, Place)>>,
}

impl Piece {
    /// The next commits, up to about [`KEYS`] keys.
    pub(super) fn next(commits: &mut Commits<'_>) -> Result<Self, StoreError> {
        let mut changes = BTreeMap::new();
        while changes.len() < KEYS
            && let Some((file, commit)) = commits.next()?
        {
            let places = commit.places();
            changes.extend(places.map(|(key, place)| (key.into(), place.map(|place| (file, place)))));
        }
        let last = commits.position;
        Ok(Self { last, changes })
    }
}
