//! The journal in front of the database: commits as they came, each durable with one write and one flush.
//!
//! A file is a run of frames: length, checksum, number, changes. Numbers count commits up by one, from file to file.
//! Where a frame is not whole, a file ends: a power cut tears only the last one, which nobody was told of.

use std::fs::{self, File};
use std::io::{self, BufReader, Read as _, Seek as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::files::is_at;

/// What the names of journal files begin with; the number of the first commit follows.
const PREFIX: &str = "journal-";

/// A file grows by so many zeros at once: to write over them is a flush of data alone.
const PIECE: u64 = 1024 * 1024;

/// Bytes before the changes of a frame: length of the changes, checksum of the rest, number.
const HEADER: usize = 16;

/// Stands for the length of a record that is removed.
const REMOVED: u32 = u32::MAX;

/// A commit on its way into the journal.
pub(super) struct Frame(Vec<u8>);

impl Frame {
    /// A commit without changes.
    pub(super) fn new() -> Self {
        Self(vec![0; HEADER])
    }

    /// Adds a record, which `write` appends.
    pub(super) fn put(&mut self, key: &str, write: impl FnOnce(&mut Vec<u8>)) {
        self.key(key);
        let at = self.0.len();
        self.0.extend([0; 4]);
        write(&mut self.0);
        let length = length(self.0.len() - at - 4);
        self.0[at..at + 4].copy_from_slice(&length);
    }

    /// Adds a removal.
    pub(super) fn remove(&mut self, key: &str) {
        self.key(key);
        self.0.extend(REMOVED.to_le_bytes());
    }

    /// Bytes that it takes up.
    pub(super) fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn key(&mut self, key: &str) {
        self.0.extend(length(key.len()));
        self.0.extend(key.as_bytes());
    }

    fn seal(&mut self, number: u64) {
        let changes = length(self.0.len() - HEADER);
        self.0[..4].copy_from_slice(&changes);
        self.0[8..HEADER].copy_from_slice(&number.to_le_bytes());
        let checksum = crc32fast::hash(&self.0[8..]);
        self.0[4..8].copy_from_slice(&checksum.to_le_bytes());
    }
}

fn length(bytes: usize) -> [u8; 4] {
    let length = u32::try_from(bytes).ok().filter(|it| *it != REMOVED);
    length.expect("no commit has 4 GB").to_le_bytes()
}

/// A commit out of the journal.
pub(super) struct Commit {
    /// Its number.
    pub(super) number: u64,
    /// Where in its file the changes begin.
    start: u64,
    changes: Vec<u8>,
}

/// Where in its file a record lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    start: u64,
    length: u32,
}

impl Place {
    /// How many bytes it has.
    pub(super) fn len(self) -> usize {
        self.length as usize
    }

    /// The record itself.
    pub(super) fn read(self, file: &File) -> io::Result<Vec<u8>> {
        let mut record = vec![0; self.len()];
        file.read_exact_at(&mut record, self.start)?;
        Ok(record)
    }
}

impl Commit {
    /// Keys, with what is to be stored under them, or nothing.
    pub(super) fn changes(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        let mut rest = &self.changes[..];
        std::iter::from_fn(move || {
            let length = take_length(&mut rest)?;
            let key = take(&mut rest, length)?;
            let record = match take_length(&mut rest)? {
                REMOVED => None,
                length => Some(take(&mut rest, length)?),
            };
            Some((key, record))
        })
    }

    /// Keys, with where lies what is to be stored under them, or nothing.
    pub(super) fn places(&self) -> impl Iterator<Item = (&[u8], Option<Place>)> {
        let mut at = self.start;
        self.changes().map(move |(key, record)| {
            let start = at + 8 + key.len() as u64;
            let length = record.map_or(0, |record| record.len() as u32);
            at = start + u64::from(length);
            (key, record.map(|_| Place { start, length }))
        })
    }

    /// Bytes that it takes up.
    pub(super) fn len(&self) -> usize {
        self.changes.len()
    }
}

fn take<'a>(rest: &mut &'a [u8], length: u32) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length as usize)?;
    *rest = left;
    Some(taken)
}

fn take_length(rest: &mut &[u8]) -> Option<u32> {
    let (length, left) = rest.split_first_chunk()?;
    *rest = left;
    Some(u32::from_le_bytes(*length))
}

/// Reads one file from its start.
pub(super) struct Reader {
    file: BufReader<File>,
    length: u64,
    left: u64,
}

impl Reader {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let length = file.seek(io::SeekFrom::End(0))?;
        file.rewind()?;
        Ok(Self {
            file: BufReader::with_capacity(256 * 1024, file),
            length,
            left: length,
        })
    }

    /// The next commit; none where the file ends, or a frame is not whole.
    pub(super) fn next(&mut self) -> io::Result<Option<Commit>> {
        let mut header = [0; HEADER];
        let Some(left) = self.left.checked_sub(HEADER as u64) else {
            return Ok(None);
        };
        self.file.read_exact(&mut header)?;
        let [length, checksum] = [0, 4].map(|at| {
            let bytes = header[at..at + 4].try_into().expect("four bytes");
            u32::from_le_bytes(bytes)
        });
        let start = self.length - left;
        let Some(left) = left.checked_sub(length.into()) else {
            return Ok(None);
        };
        self.left = left;
        let mut changes = vec![0; length as usize];
        self.file.read_exact(&mut changes)?;
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&header[8..]);
        hasher.update(&changes);
        let number = u64::from_le_bytes(header[8..].try_into().expect("eight bytes"));
        Ok((hasher.finalize() == checksum).then_some(Commit {
            number,
            start,
            changes,
        }))
    }
}

/// The file that commits are appended to. It is made with the first one.
pub(super) struct Journal {
    folder: PathBuf,
    file: Option<File>,
    /// Number of the first commit in it, and of the next one.
    first: u64,
    next: u64,
    /// Bytes of frames, and of the file.
    length: u64,
    room: u64,
}

impl Journal {
    /// Goes on with commit `next`, in a new file.
    pub(super) fn new(folder: &Path, next: u64) -> Self {
        Self {
            folder: folder.to_owned(),
            file: None,
            first: next,
            next,
            length: 0,
            room: 0,
        }
    }

    /// Makes a commit durable.
    pub(super) fn append(&mut self, mut frame: Frame) -> io::Result<()> {
        if self.file.is_none() {
            self.file = Some(self.create()?);
        }
        let file = self.file.as_ref().expect("it was made above");
        frame.seal(self.next);
        let end = self.length + frame.len();
        if end > self.room {
            let room = end.next_multiple_of(PIECE);
            let zeros = vec![0; (room - end) as usize];
            // Where there is no room for that, the frame may still fit.
            let grown = file.write_all_at(&zeros, end);
            self.room = if grown.is_ok() { room } else { end };
        }
        file.write_all_at(&frame.0, self.length)?;
        file.sync_data()?;
        (self.length, self.next) = (end, self.next + 1);
        Ok(())
    }

    fn create(&self) -> io::Result<File> {
        let mut options = File::options();
        let file = options.read(true).write(true).create(true).truncate(true);
        let file = file.open(self.path())?;
        // Its name must survive a power cut as well.
        File::open(&self.folder)?.sync_all()?;
        Ok(file)
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.join(format!("{PREFIX}{:016x}", self.first))
    }

    /// Number of the next commit.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Bytes of commits in it.
    pub(super) fn len(&self) -> u64 {
        self.length
    }

    /// Whether it is still the file that lies in the folder.
    pub(super) fn is_in_place(&self) -> bool {
        self.file.as_ref().is_none_or(|file| is_at(file, &self.path()))
    }
}

/// Journal files that hold what the database does not.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// In the order of their commits.
    pub(super) files: Vec<PathBuf>,
    /// Files that hold nothing new.
    pub(super) done: Vec<PathBuf>,
    /// Files whose commits rest on some that are lost.
    pub(super) severed: Vec<PathBuf>,
    /// Number of the last commit.
    pub(super) last: u64,
    /// Bytes of all commits.
    pub(super) bytes: u64,
}

impl Backlog {
    /// Looks for what follows commit `last` in the files of `folder`.
    pub(super) fn find(folder: &Path, last: u64) -> io::Result<Self> {
        let mut paths: Vec<PathBuf> = fs::read_dir(folder)?
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX))
            .map(|entry| entry.path())
            .collect();
        // Their names are as long as each other.
        paths.sort();
        let mut backlog = Self {
            last,
            ..Self::default()
        };
        for path in paths {
            backlog.add(path)?;
        }
        Ok(backlog)
    }

    fn add(&mut self, path: PathBuf) -> io::Result<()> {
        let (mut reader, before) = (Reader::open(&path)?, self.last);
        while let Some(commit) = reader.next()? {
            if commit.number > self.last + 1 {
                self.severed.push(path);
                return Ok(());
            }
            if commit.number == self.last + 1 {
                self.last = commit.number;
                self.bytes += commit.len() as u64;
            }
        }
        if self.last > before {
            self.files.push(path);
        } else {
            self.done.push(path);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(changes: &[(&str, Option<&str>)]) -> Frame {
        let mut frame = Frame::new();
        for (key, record) in changes {
            match record {
                Some(record) => frame.put(key, |bytes| bytes.extend(record.as_bytes())),
                None => frame.remove(key),
            }
        }
        frame
    }

    /// Commits with these numbers in a file of their own.
    fn write(folder: &Path, numbers: std::ops::RangeInclusive<u64>) -> PathBuf {
        let mut journal = Journal::new(folder, *numbers.start());
        for number in numbers {
            let record = format!("{number}").repeat(50);
            let changes = [("a", Some(record.as_str())), ("b", None)];
            journal.append(frame(&changes)).unwrap();
        }
        journal.path()
    }

    fn numbers(path: &Path) -> Vec<u64> {
        let mut reader = Reader::open(path).unwrap();
        std::iter::from_fn(|| reader.next().unwrap())
            .map(|commit| commit.number)
            .collect()
    }

    #[test]
    fn what_was_appended_is_read_again_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = write(folder.path(), 7..=9);
        let mut reader = Reader::open(&path).unwrap();
        for number in 7..=9u64 {
            let commit = reader.next().unwrap().unwrap();
            let record = format!("{number}").repeat(50);
            let changes: Vec<_> = commit.changes().collect();
            assert_eq!(commit.number, number);
            assert_eq!(changes, [(&b"a"[..], Some(record.as_bytes())), (b"b", None)]);
        }
        assert!(reader.next().unwrap().is_none());
    }

    #[test]
    fn a_torn_or_damaged_frame_ends_the_file_wherever_it_is_hit() {
        let folder = tempfile::tempdir().unwrap();
        let path = write(folder.path(), 1..=20);
        let sound = fs::read(&path).unwrap();
        let frame = HEADER + 4 + 1 + 4 + 50 + 4 + 1 + 4;
        for at in (0..9 * frame).step_by(7) {
            let whole: Vec<u64> = (1..=(at / frame) as u64).collect();
            fs::write(&path, &sound[..at]).unwrap();
            assert_eq!(numbers(&path), whole, "cut at {at}");
            let mut bytes = sound.clone();
            bytes[at..].fill(0);
            fs::write(&path, bytes).unwrap();
            let found = numbers(&path);
            // The cut may be behind the last byte that is not zero.
            assert!(
                found == whole || found.len() == whole.len() + 1,
                "zeros from {at}"
            );
            let mut bytes = sound.clone();
            bytes[at] ^= 0x10;
            fs::write(&path, bytes).unwrap();
            assert_eq!(numbers(&path), whole, "flipped at {at}");
        }
    }

    #[test]
    fn a_backlog_is_what_the_database_lacks_as_far_as_nothing_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let ranges = [1..=3, 4..=5, 6..=9];
        let [first, second, third] = ranges.map(|range| write(folder.path(), range));
        let find = |last| Backlog::find(folder.path(), last).unwrap();
        let all = find(0);
        assert_eq!((all.last, all.files.len(), all.done.len()), (9, 3, 0));
        let some = find(4);
        assert_eq!(some.files, [second.clone(), third.clone()]);
        assert_eq!((some.last, some.done), (9, vec![first.clone()]));
        fs::remove_file(second).unwrap();
        let torn = find(0);
        assert_eq!(
            (torn.last, torn.files, torn.severed),
            (3, vec![first], vec![third])
        );
        assert_eq!(find(9).last, 9);
    }
}
