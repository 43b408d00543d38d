//! Copying a container's spool into its log files, exactly once.
//!
//! A spool is what `conmon` writes (driver `k8s-file`): lines `<time> <stdout|stderr> <F|P> <text>`, P marking a piece
//! without line end. A checkpoint beside it says how far it was copied and how long the log files were then. What
//! was copied is punched out of the spool, so that it takes next to no room on disk although conmon may fill it to the
//! size of the log files while no agent runs.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FallocateFlags, FlockOperation};

use super::rotation::{LogFiles, LogWriter};
use crate::task::LogLimits;

const CHUNK: usize = 64 << 10;
/// Copied parts of a spool are given back to the file system in pieces of at least this size.
const PUNCH: u64 = 1 << 20;
/// More than conmon writes while the log thread gathers.
const BURST: u64 = 32 << 20;
/// How long the previous agent may take to let go of a spool.
const CLAIM: Duration = Duration::from_secs(2);
/// A checkpoint is rewritten in place, so all have one length.
const CHECKPOINT_LEN: usize = 128;

/// How large conmon may let a spool grow, in bytes: as large as what is kept of one stream, and large enough for any
/// burst between two looks at it.
pub(crate) fn spool_bytes(limits: &LogLimits) -> u64 {
    let kept = (limits.max_file_size_mb.max(1) << 20) * u64::from(limits.max_files.max(1));
    kept.max(BURST)
}

/// Where the container's runtime writes its output.
pub(crate) fn spool_path(dir: &Path, task: &str) -> PathBuf {
    dir.join(format!(".{task}.spool"))
}

/// Opens that file as the runtime does, and makes it when it is missing.
pub(crate) fn make_spool(dir: &Path, task: &str) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(spool_path(dir, task))
}

fn checkpoint_path(dir: &Path, task: &str) -> PathBuf {
    dir.join(format!(".{task}.spool.at"))
}

/// One container's spool being copied.
#[derive(Debug)]
pub(crate) struct SpoolCopy {
    path: PathBuf,
    spool: File,
    inode: u64,
    offset: u64,
    punched: u64,
    checkpoint: File,
    stdout: LogWriter,
    stderr: LogWriter,
}

impl SpoolCopy {
    /// Opens a task's spool, creating it empty, and continues from its checkpoint.
    pub(crate) fn open(dir: &Path, task: &str, limits: &LogLimits) -> io::Result<Self> {
        let path = spool_path(dir, task);
        let spool = make_spool(dir, task)?;
        let inode = spool.metadata()?.ino();
        let checkpoint_path = checkpoint_path(dir, task);
        let checkpoint = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&checkpoint_path)?;
        claim(&checkpoint)?;
        let saved = fs::read_to_string(&checkpoint_path)
            .ok()
            .and_then(|text| parse_checkpoint(&text));
        let [stdout, stderr] = ["stdout", "stderr"].map(|stream| LogFiles::new(dir, task, stream, limits));
        let (offset, stdout, stderr) = match saved {
            Some([ino, offset, out_index, out_len, err_index, err_len]) => (
                if ino == inode && offset <= spool.metadata()?.len() {
                    offset
                } else {
                    0
                },
                LogWriter::resume(stdout, out_index, out_len)?,
                LogWriter::resume(stderr, err_index, err_len)?,
            ),
            None => (0, LogWriter::append(stdout)?, LogWriter::append(stderr)?),
        };
        Ok(Self {
            path,
            spool,
            inode,
            offset,
            punched: 0,
            checkpoint,
            stdout,
            stderr,
        })
    }

    /// The spool as conmon names it.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Copies what is there. True when the spool was rotated away underneath and must be watched anew.
    pub(crate) fn drain(&mut self) -> io::Result<bool> {
        let mut rotated = false;
        let mut chunk = vec![0; CHUNK];
        loop {
            let read = self.spool.read_at(&mut chunk, self.offset)?;
            let copied = self.copy(&chunk[..read], read == CHUNK)?;
            if copied > 0 {
                self.offset += copied as u64;
                self.save()?;
                self.punch();
            } else if !self.follow()? {
                return Ok(rotated);
            } else {
                rotated = true;
            }
        }
    }

    /// Frees the disk space of what was copied. File systems that cannot keep it until conmon rotates the spool.
    fn punch(&mut self) {
        if self.offset - self.punched >= PUNCH {
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            let _ = rustix::fs::fallocate(&self.spool, flags, 0, self.offset);
            self.punched = self.offset;
        }
    }

    /// Copies the whole lines of a chunk and says how many bytes they had. An error means none.
    fn copy(&mut self, chunk: &[u8], full: bool) -> io::Result<usize> {
        let mut copied = 0;
        for line in chunk.split_inclusive(|byte| *byte == b'\n') {
            // A line that fills a whole chunk is not conmon's; it must not stop everything after it.
            if line.last() != Some(&b'\n') && !(full && copied == 0) {
                break;
            }
            if let Some((is_stdout, text)) = parse_line(line) {
                let writer = if is_stdout {
                    &mut self.stdout
                } else {
                    &mut self.stderr
                };
                match writer.write(text) {
                    // What was copied before must not be copied again.
                    Err(_) if copied > 0 => return Ok(copied),
                    written => written?,
                }
            }
            copied += line.len();
        }
        Ok(copied)
    }

    /// Turns to the new spool when conmon has put one in this one's place.
    fn follow(&mut self) -> io::Result<bool> {
        match fs::metadata(&self.path) {
            Ok(metadata) if metadata.ino() != self.inode => {
                self.spool = OpenOptions::new().read(true).write(true).open(&self.path)?;
                self.inode = self.spool.metadata()?.ino();
                (self.offset, self.punched) = (0, 0);
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn save(&self) -> io::Result<()> {
        let (out, err) = (&self.stdout, &self.stderr);
        let line = format!(
            "{} {} {} {} {} {}",
            self.inode, self.offset, out.index, out.len, err.index, err.len
        );
        self.checkpoint.write_all_at(
            format!("{line:<width$}\n", width = CHECKPOINT_LEN - 1).as_bytes(),
            0,
        )
    }

    /// Copies the rest and empties the spool. The files stay for the next run: making and removing them with every restart
    /// would cost a card more than everything else that a restart writes.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        let drained = self.drain();
        // Nothing was ever written, and nothing has to be: a file that is set to its own length costs a card a block.
        if self.spool.metadata()?.len() > 0 {
            self.spool.set_len(0)?;
        }
        self.offset = 0;
        if self.checkpoint.metadata()?.len() > 0 {
            self.save()?;
        }
        drained.map(drop)
    }
}

/// Waits until no other agent copies this spool: one that is being replaced may still have a hand on it.
fn claim(checkpoint: &File) -> io::Result<()> {
    let deadline = Instant::now() + CLAIM;
    while let Err(error) = rustix::fs::flock(checkpoint, FlockOperation::NonBlockingLockExclusive) {
        if Instant::now() > deadline {
            return Err(error.into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn parse_checkpoint(text: &str) -> Option<[u64; 6]> {
    let numbers: Vec<u64> = text
        .split_ascii_whitespace()
        .map_while(|word| word.parse().ok())
        .collect();
    numbers.try_into().ok()
}

/// Splits a spool line into "is it stdout" and its text, line end included unless the line is a piece.
fn parse_line(line: &[u8]) -> Option<(bool, &[u8])> {
    let mut fields = line.splitn(4, |byte| *byte == b' ');
    let (_, stream, tag, text) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let is_stdout = match stream {
        b"stdout" => true,
        b"stderr" => false,
        _ => return None,
    };
    let whole = tag.first() == Some(&b'F');
    Some((
        is_stdout,
        if whole {
            text
        } else {
            text.strip_suffix(b"\n").unwrap_or(text)
        },
    ))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn limits() -> LogLimits {
        LogLimits {
            max_files: 2,
            max_file_size_mb: 1,
            disabled: false,
        }
    }

    fn read(dir: &Path, name: &str) -> String {
        fs::read_to_string(dir.join(name)).unwrap()
    }

    #[test]
    fn lines_go_to_their_stream_and_pieces_are_joined() {
        let dir = tempfile::tempdir().unwrap();
        let mut copy = SpoolCopy::open(dir.path(), "web", &limits()).unwrap();
        let mut conmon = OpenOptions::new().append(true).open(copy.path()).unwrap();
        write!(
            conmon,
            "T stdout F one\nT stderr F oops\nT stdout P long \nT stdout F line\nT stdout F unfin"
        )
        .unwrap();
        copy.drain().unwrap();
        assert_eq!(read(dir.path(), "web.stdout.0"), "one\nlong line\n");
        assert_eq!(read(dir.path(), "web.stderr.0"), "oops\n");
        writeln!(conmon, "ished").unwrap();
        copy.drain().unwrap();
        assert_eq!(read(dir.path(), "web.stdout.0"), "one\nlong line\nunfinished\n");
    }

    #[test]
    fn an_agent_killed_between_copy_and_checkpoint_repeats_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut copy = SpoolCopy::open(dir.path(), "web", &limits()).unwrap();
        let mut conmon = OpenOptions::new().append(true).open(copy.path()).unwrap();
        writeln!(conmon, "T stdout F one").unwrap();
        copy.drain().unwrap();
        let before = fs::read(dir.path().join(".web.spool.at")).unwrap();
        writeln!(conmon, "T stdout F two").unwrap();
        copy.drain().unwrap();
        drop(copy);
        fs::write(dir.path().join(".web.spool.at"), before).unwrap();

        SpoolCopy::open(dir.path(), "web", &limits())
            .unwrap()
            .drain()
            .unwrap();
        assert_eq!(read(dir.path(), "web.stdout.0"), "one\ntwo\n");
    }

    #[test]
    fn what_was_copied_takes_no_room_on_disk() {
        let dir = tempfile::tempdir().unwrap();
        let mut copy = SpoolCopy::open(dir.path(), "web", &limits()).unwrap();
        let line = format!("T stdout F {}\n", "x".repeat(1000));
        fs::write(copy.path(), line.repeat(4000)).unwrap();
        copy.drain().unwrap();
        let spool = fs::metadata(copy.path()).unwrap();
        assert!(spool.len() > 4_000_000);
        assert!(spool.blocks() * 512 < 2_000_000, "{} blocks", spool.blocks());
    }

    #[test]
    fn a_spool_that_conmon_rotates_is_read_to_its_end_first() {
        let dir = tempfile::tempdir().unwrap();
        let mut copy = SpoolCopy::open(dir.path(), "web", &limits()).unwrap();
        fs::write(copy.path(), "T stdout F old\n").unwrap();
        fs::write(dir.path().join("next"), "T stdout F new\n").unwrap();
        fs::rename(dir.path().join("next"), copy.path()).unwrap();
        assert!(copy.drain().unwrap());
        assert_eq!(read(dir.path(), "web.stdout.0"), "old\nnew\n");
        copy.finish().unwrap();
        assert_eq!(read(dir.path(), ".web.spool"), "");
        // The next run goes on with the same files.
        let mut copy = SpoolCopy::open(dir.path(), "web", &limits()).unwrap();
        fs::write(copy.path(), "T stdout F next\n").unwrap();
        copy.drain().unwrap();
        assert_eq!(read(dir.path(), "web.stdout.0"), "old\nnew\nnext\n");
    }
}
