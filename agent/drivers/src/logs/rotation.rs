//! One stream's numbered log files: which there are, appending, and pruning the oldest.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{Dir, Mode, OFlags};

use crate::task::LogLimits;

/// A task's `stdout` or `stderr` as files on disk.
#[derive(Clone, Debug)]
pub(crate) struct LogFiles {
    dir: PathBuf,
    prefix: String,
    pub(crate) max_bytes: u64,
    max_files: u64,
}

impl LogFiles {
    pub(crate) fn new(dir: &Path, task: &str, stream: &str, limits: &LogLimits) -> Self {
        Self {
            dir: dir.to_owned(),
            prefix: format!("{task}.{stream}."),
            max_bytes: limits.max_file_size_mb.max(1) << 20,
            max_files: u64::from(limits.max_files.max(1)),
        }
    }

    pub(crate) fn path(&self, index: u64) -> PathBuf {
        self.dir.join(format!("{}{index}", self.prefix))
    }

    /// A name beside the log files that readers skip.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.dir.join(format!(".{}new", self.prefix))
    }

    /// The numbers in use, ascending.
    pub(crate) fn indexes(&self) -> Vec<u64> {
        let entries = list(&self.dir).into_iter().flatten().flatten();
        let number = |name: &str| name.strip_prefix(&self.prefix)?.parse().ok();
        let mut indexes: Vec<u64> = entries
            .filter_map(|entry| number(entry.file_name().to_str().ok()?))
            .collect();
        indexes.sort_unstable();
        indexes
    }

    /// The number being written.
    pub(crate) fn newest(&self) -> u64 {
        self.indexes().last().copied().unwrap_or(0)
    }

    /// Removes what is older than the limit allows when `newest` is being written.
    pub(crate) fn prune(&self, newest: u64) {
        let oldest = (newest + 1).saturating_sub(self.max_files);
        for index in self.indexes().into_iter().filter(|index| *index < oldest) {
            if let Err(error) = fs::remove_file(self.path(index)) {
                tracing::warn!(%error, path = %self.path(index).display(), "cannot remove an old log file");
            }
        }
    }
}

/// Lists a directory without leaving the time of that on the disk: a card would have to write a block for it.
fn list(dir: &Path) -> io::Result<Dir> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = |flags| rustix::fs::open(dir, flags, Mode::empty());
    // Only who owns a directory may ask for that.
    let folder = open(flags | OFlags::NOATIME).or_else(|_| open(flags))?;
    Ok(Dir::new(folder)?)
}

/// The file that a task's stream is being written to.
pub(crate) fn current_log(dir: &Path, task: &str, stream: &str) -> PathBuf {
    let files = LogFiles::new(dir, task, stream, &LogLimits::default());
    files.path(files.newest())
}

/// Appends to a stream's newest file and starts the next when it is full.
#[derive(Debug)]
pub(crate) struct LogWriter {
    files: LogFiles,
    pub(crate) index: u64,
    pub(crate) len: u64,
    file: File,
}

impl LogWriter {
    /// Continues at the end of the newest file.
    pub(crate) fn append(files: LogFiles) -> io::Result<Self> {
        let index = files.newest();
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(files.path(index))?;
        let len = file.metadata()?.len();
        Ok(Self {
            files,
            index,
            len,
            file,
        })
    }

    /// Continues where a checkpoint says: what was written after it is dropped, to be written again.
    pub(crate) fn resume(files: LogFiles, index: u64, len: u64) -> io::Result<Self> {
        for later in files.indexes().into_iter().filter(|later| *later > index) {
            fs::remove_file(files.path(later))?;
        }
        let mut writer = Self::append(files)?;
        if writer.index == index && writer.len > len {
            writer.file.set_len(len)?;
            writer.len = len;
        }
        Ok(writer)
    }

    /// Writes one piece whole into one file, or not at all.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let size = bytes.len() as u64;
        if self.len > 0 && self.len + size > self.files.max_bytes {
            let next = self.index + 1;
            self.file = OpenOptions::new()
                .append(true)
                .create(true)
                .open(self.files.path(next))?;
            (self.index, self.len) = (next, 0);
            self.files.prune(next);
        }
        self.file.write_all(bytes).inspect_err(|_| {
            // A disk that was full after half a line; all of it is written when there is room.
            let _ = self.file.set_len(self.len);
        })?;
        self.len += size;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(max_files: u32) -> LogLimits {
        LogLimits {
            max_files,
            max_file_size_mb: 1,
            disabled: false,
        }
    }

    #[test]
    fn a_full_file_is_followed_by_the_next_and_the_oldest_goes() {
        let dir = tempfile::tempdir().unwrap();
        let files = LogFiles::new(dir.path(), "web", "stdout", &limits(3));
        let mut writer = LogWriter::append(files.clone()).unwrap();
        let piece = vec![b'x'; 700 << 10];
        for _ in 0..5 {
            writer.write(&piece).unwrap();
        }
        assert_eq!(files.indexes(), [2, 3, 4]);
        assert_eq!(
            current_log(dir.path(), "web", "stdout"),
            dir.path().join("web.stdout.4")
        );
    }

    #[test]
    fn a_directory_that_is_listed_keeps_its_times() {
        let dir = tempfile::tempdir().unwrap();
        let files = LogFiles::new(dir.path(), "web", "stdout", &limits(3));
        fs::write(files.path(7), "").unwrap();
        // Long before its change: anybody else's look at it would be noted now.
        let long_ago = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1);
        let times = fs::FileTimes::new().set_accessed(long_ago);
        File::open(dir.path()).unwrap().set_times(times).unwrap();
        assert_eq!(files.indexes(), [7]);
        let accessed = fs::metadata(dir.path()).unwrap().accessed().unwrap();
        assert_eq!(accessed, long_ago);
    }

    #[test]
    fn resuming_drops_what_a_checkpoint_does_not_cover() {
        let dir = tempfile::tempdir().unwrap();
        let files = LogFiles::new(dir.path(), "web", "stderr", &limits(3));
        fs::write(files.path(4), "kept, and this not").unwrap();
        fs::write(files.path(5), "neither this").unwrap();
        let mut writer = LogWriter::resume(files.clone(), 4, 4).unwrap();
        writer.write(b"!").unwrap();
        assert_eq!(fs::read_to_string(files.path(4)).unwrap(), "kept!");
        assert_eq!(files.indexes(), [4]);
    }
}
