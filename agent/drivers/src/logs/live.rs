//! Rotating a log file that a task holds open and keeps appending to.
//!
//! File N is full: its content is copied to a new file, the live file is renamed to N+1, the copy takes the name N, and
//! the copied part is cut off the front of the live file. On ext4, xfs and f2fs the cut is `FALLOC_FL_COLLAPSE_RANGE`,
//! which loses nothing that is written meanwhile; elsewhere the file is truncated, and what a task writes between
//! the last copy and the truncation, microseconds later, is lost.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use rustix::fs::FallocateFlags;

use super::rotation::LogFiles;

/// A stream that its task writes itself.
#[derive(Debug)]
pub(crate) struct LiveLog {
    files: LogFiles,
    index: u64,
}

impl LiveLog {
    pub(crate) fn new(files: LogFiles) -> Self {
        let index = files.newest();
        Self { files, index }
    }

    /// The file that the task writes now.
    pub(crate) fn path(&self) -> PathBuf {
        self.files.path(self.index)
    }

    /// Rotates when the file is full.
    pub(crate) fn rotate_if_full(&mut self) -> io::Result<()> {
        let path = self.path();
        let length = match fs::metadata(&path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        if length < self.files.max_bytes {
            return Ok(());
        }
        let live = OpenOptions::new().read(true).write(true).open(&path)?;
        let block = live.metadata()?.blksize().max(1);
        // The kernel collapses whole blocks only, and never the last one.
        let aligned = (length - 1) / block * block;
        let scratch = self.files.scratch();
        let mut copy = File::create(&scratch)?;
        io::copy(&mut (&live).take(aligned), &mut copy)?;

        fs::rename(&path, self.files.path(self.index + 1))?;
        fs::rename(&scratch, &path)?;
        self.index += 1;
        if rustix::fs::fallocate(&live, FallocateFlags::COLLAPSE_RANGE, 0, aligned).is_err() {
            // The rest is copied up to the very end, and the file emptied at once after.
            io::copy(&mut &live, &mut copy)?;
            live.set_len(0)?;
        }
        self.files.prune(self.index);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::task::LogLimits;

    #[test]
    fn rotation_keeps_every_line_of_a_writer_that_never_reopens() {
        let dir = tempfile::tempdir().unwrap();
        let limits = LogLimits {
            max_files: 4,
            max_file_size_mb: 1,
            disabled: false,
        };
        let files = LogFiles::new(dir.path(), "job", "stdout", &limits);
        let mut live = LiveLog::new(files.clone());
        let mut task = OpenOptions::new()
            .append(true)
            .create(true)
            .open(live.path())
            .unwrap();
        let mut written = String::new();
        for line in 0..300_000 {
            let line = format!("line {line}\n");
            task.write_all(line.as_bytes()).unwrap();
            written.push_str(&line);
            if written.len() % 4096 < 12 {
                live.rotate_if_full().unwrap();
            }
        }
        assert_eq!(files.indexes(), [0, 1, 2, 3]);
        let read: String = (0..4)
            .map(|index| fs::read_to_string(files.path(index)).unwrap())
            .collect();
        assert!(
            read == written,
            "{} bytes read, {} written",
            read.len(),
            written.len()
        );
    }
}
