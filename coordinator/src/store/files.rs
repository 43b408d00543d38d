//! What a store is made of: the database, and the journal in front of it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use holdfast_shared::chunks;
use rustix::fs::{AtFlags, CWD, Statx, StatxFlags, statx};
use sled::Db;
use tracing::error;

use super::StoreError;
use super::carry_over::{self, CarryOver, Changes, Work};
use super::journal::{Backlog, Journal, Reader};
use super::open::{self, Condition, Opened};

/// File beside the database that holds the index of the newest commit. It is written without waiting for the disk: it
/// may be older than the database, and when it is newer, the database has lost something that it should not have.
pub(super) const MARK: &str = "newest-index";

/// sled's log in the database's folder.
pub(super) const LOG: &str = "db";

/// Room that sled needs on the disk beside the records themselves: segments, and its snapshot.
const ROOM: u64 = 2 * 1024 * 1024;

/// So many bytes in the journal are carried over into the database.
const JOURNAL_BYTES: u64 = 64 * 1024 * 1024;

/// The journal takes up no more than this part of what is left of the disk before that.
const JOURNAL_SHARE: u64 = 8;

/// An open store.
pub(super) struct Files {
    /// The database's folder, or the one beside it where it is filled before it takes its place.
    pub(super) folder: PathBuf,
    /// The database, from the start to the first commit. It takes 7 MB as long as it is open, and is needed only to be read
    /// at the start, and to take over what is in the journal.
    pub(super) db: Option<Db>,
    /// sled's flush does not reach the disk by itself: it starts the writing and does not wait for it.
    pub(super) log: File,
    pub(super) mark: File,
    pub(super) journal: Journal,
    /// Journal files that are full and not being carried over, and how many bytes of commits are in them.
    behind: Vec<PathBuf>,
    bytes_behind: u64,
    carry_over: Option<CarryOver>,
    /// How the database was, which also depends on what it has in part.
    pub(super) condition: Condition,
    /// Keys of records that are lost, and are removed with the next commit.
    pub(super) lost: Vec<String>,
}

impl Files {
    /// Goes on in `folder`, whose database was opened.
    pub(super) fn open(folder: &Path, opened: Opened) -> Result<Self, StoreError> {
        let Opened {
            db,
            mut condition,
            lost,
        } = opened;
        let path = folder.join(LOG);
        let sync = |source| StoreError::Flush {
            path: path.clone(),
            source,
        };
        let log = File::options().read(true).write(true).open(&path);
        let log = log.map_err(sync)?;
        open::keep_room(&log);
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
        let mark = options.map_err(|source| failed_at(&mark, source))?;
        let backlog = Backlog::find(folder, carry_over::position(&db)?);
        let backlog = backlog.map_err(|source| failed_at(folder, source))?;
        put_aside(folder, &backlog.severed)?;
        remove_files(&backlog.done)?;
        if carry_over::until(&db)? > backlog.last {
            condition = condition.max(Condition::Repaired);
            error!(path = %folder.display(), "the database has a part of commits whose rest is lost with the journal");
        }
        let mut files = Self {
            condition,
            lost: Vec::new(),
            journal: Journal::new(folder, backlog.last + 1),
            folder: folder.to_owned(),
            db: Some(db),
            log,
            mark,
            behind: backlog.files,
            bytes_behind: backlog.bytes,
            carry_over: None,
        };
        if !lost.is_empty() {
            files.condition = condition.max(Condition::Repaired);
            let newer = files.in_journal(&files.database()?)?;
            let is_lost = |key: &String| !newer.contains_key(key.as_bytes());
            files.lost = lost.into_iter().filter(is_lost).collect();
            error!(path = %folder.display(), lost = ?files.lost, "the database has records of different times");
        }
        Ok(files)
    }

    /// The database, when it is at rest.
    pub(super) fn database(&self) -> Result<Db, StoreError> {
        match &self.db {
            Some(db) => Ok(db.clone()),
            None if self.carry_over.is_some() => Err(StoreError::Closed),
            None => open::reopen(&self.folder),
        }
    }

    /// An error when what is open is not what lies in the folder any more: nobody would ever find what is written.
    pub(super) fn is_in_place(&self) -> Result<(), StoreError> {
        let path = self.folder.join(LOG);
        if !is_at(&self.log, &path) {
            return Err(StoreError::Gone { path });
        }
        if self.journal.is_in_place() {
            return Ok(());
        }
        let path = self.journal.path();
        Err(StoreError::Gone { path })
    }

    /// Every record, those that are still in the journal included.
    pub(super) fn records(
        &self,
        mut each: impl FnMut(&[u8], &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let db = self.database()?;
        let newer = self.in_journal(&db)?;
        for entry in db.iter() {
            let (key, record) = entry?;
            if is_ours(&key) || newer.contains_key(&key[..]) {
                continue;
            }
            if let Some(record) = chunks::read(&key, &record, |chunk| db.get(chunk))? {
                each(&key, &record)?;
            }
        }
        let kept = newer
            .iter()
            .filter_map(|(key, record)| Some((key, record.as_ref()?)));
        kept.into_iter().try_for_each(|(key, record)| each(key, record))
    }

    /// What the journal has and the database has not.
    fn in_journal(&self, db: &Db) -> Result<Changes, StoreError> {
        let mut position = carry_over::position(db)?;
        let mut paths = self.behind.clone();
        if self.journal.len() > 0 {
            paths.push(self.journal.path());
        }
        let mut newer = Changes::new();
        for path in paths {
            let mut reader = Reader::open(&path).map_err(|source| failed_at(&path, source))?;
            while let Some(commit) = reader.next().map_err(|source| failed_at(&path, source))? {
                if commit.number == position + 1 {
                    position = commit.number;
                    let changes = commit.changes();
                    newer.extend(changes.map(|(key, record)| (key.into(), record.map(Into::into))));
                }
            }
        }
        Ok(newer)
    }

    /// Bytes of commits that the database has not taken over.
    fn in_front(&self) -> u64 {
        let under_way = self.carry_over.as_ref().map_or(0, |it| it.bytes);
        under_way + self.bytes_behind + self.journal.len()
    }

    /// Bytes that are left on the disk, and that have to be when so many more are stored. sled must not find out by
    /// itself.
    fn room(&self, bytes: u64) -> Result<(u64, u64), StoreError> {
        let folder = &self.folder;
        let disk = rustix::fs::statvfs(folder).map_err(|source| failed_at(folder, source.into()))?;
        let left = disk.f_bavail.saturating_mul(disk.f_frsize);
        Ok((left, ROOM + 2 * (self.in_front() + bytes)))
    }

    /// An error when the disk has no room for so many bytes, whatever is done. Answers how much is left.
    pub(super) fn make_room(&mut self, bytes: u64) -> Result<u64, StoreError> {
        let (mut left, mut needed) = self.room(bytes)?;
        if left < needed && self.in_front() > 0 {
            self.carry_over_all()?;
            (left, needed) = self.room(bytes)?;
        }
        if left >= needed {
            return Ok(left);
        }
        Err(StoreError::Full {
            path: self.folder.clone(),
            left: left / 1024,
            needed: needed / 1024,
        })
    }

    /// Begins to carry over what has gathered in the journal, when that is much, or was there at the start.
    pub(super) fn keep_up(&mut self, left: u64) -> Result<(), StoreError> {
        let most = JOURNAL_BYTES.min(left / JOURNAL_SHARE);
        if self.carry_over.is_some() {
            if self.journal.len() < 2 * most {
                return Ok(());
            }
            // The database cannot keep up, and whoever changes the state has to wait for it.
            self.await_carry_over()?;
        }
        if self.journal.len() >= most || !self.behind.is_empty() {
            self.start_carry_over()?;
        }
        Ok(())
    }

    fn start_carry_over(&mut self) -> Result<(), StoreError> {
        let last = self.journal.next() - 1;
        if self.journal.len() > 0 {
            let journal = std::mem::replace(&mut self.journal, Journal::new(&self.folder, last + 1));
            self.behind.push(journal.path());
            self.bytes_behind += journal.len();
        }
        if self.behind.is_empty() {
            return Ok(());
        }
        let log = self.log.try_clone();
        let work = Work {
            log: log.map_err(|source| failed_at(&self.folder, source))?,
            db: self.db.take(),
            folder: self.folder.clone(),
            last,
            claim: Arc::default(),
        };
        let (files, bytes) = (
            std::mem::take(&mut self.behind),
            std::mem::take(&mut self.bytes_behind),
        );
        self.carry_over = Some(CarryOver::start(work, files, bytes)?);
        Ok(())
    }

    /// Lets go of everything, so that another database can take the place of this one. It is not closed: see
    /// [`CarryOver::give_up`].
    pub(super) fn give_up(self) {
        std::mem::forget(self.db);
        if let Some(under_way) = self.carry_over {
            under_way.give_up();
        }
    }

    /// Learns of the end of what was under way, if it has ended.
    pub(super) fn look_after_carry_over(&mut self) -> Result<(), StoreError> {
        match &self.carry_over {
            Some(under_way) if under_way.is_over() => self.await_carry_over(),
            _ => Ok(()),
        }
    }

    /// Waits for what is under way.
    pub(super) fn await_carry_over(&mut self) -> Result<(), StoreError> {
        let Some(under_way) = self.carry_over.take() else {
            return Ok(());
        };
        remove_files(&under_way.finish()?)
    }

    /// Carries over everything that there is room for, and waits for that.
    pub(super) fn carry_over_all(&mut self) -> Result<(), StoreError> {
        self.await_carry_over()?;
        let (left, needed) = self.room(0)?;
        if left >= needed {
            self.start_carry_over()?;
            self.await_carry_over()?;
        }
        Ok(())
    }
}

/// Whether a key is none of the state's: it tells how far the database has come, or has a part of a record.
fn is_ours(key: &[u8]) -> bool {
    let positions = [carry_over::POSITION, carry_over::UNTIL].map(str::as_bytes);
    positions.contains(&key) || chunks::is_chunk(key)
}

/// Whether `file` is the one that lies at `path`. Their times are not asked for: once somebody has seen them, the next
/// write has to change them, and the flush after it to write them out as well.
pub(super) fn is_at(file: &File, path: &Path) -> bool {
    let identity = |file: Statx| (file.stx_dev_major, file.stx_dev_minor, file.stx_ino);
    let open = statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::INO);
    let there = statx(CWD, path, AtFlags::empty(), StatxFlags::INO);
    match (open, there) {
        (Ok(open), Ok(there)) => identity(open) == identity(there),
        _ => false,
    }
}

/// Keeps files that are of no use where somebody may look at them.
fn put_aside(folder: &Path, files: &[PathBuf]) -> Result<(), StoreError> {
    if files.is_empty() {
        return Ok(());
    }
    let aside = open::aside(folder);
    error!(path = %folder.display(), aside = %aside.display(), "journal put aside, commits in front of it are missing");
    fs::create_dir_all(&aside).map_err(|source| failed_at(&aside, source))?;
    for file in files {
        let target = aside.join(file.file_name().unwrap_or_default());
        fs::rename(file, target).map_err(|source| failed_at(file, source))?;
    }
    Ok(())
}

fn remove_files(files: &[PathBuf]) -> Result<(), StoreError> {
    files
        .iter()
        .try_for_each(|file| fs::remove_file(file).map_err(|source| failed_at(file, source)))
}

fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

pub(super) fn failed_at(path: &Path, source: std::io::Error) -> StoreError {
    StoreError::Folder {
        path: path.to_owned(),
        source,
    }
}
