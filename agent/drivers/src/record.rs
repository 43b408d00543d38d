//! What is written down about a raw_exec task: on the disk, where it survives a reboot, or in memory while the disk takes
//! nothing. A task must not depend on room for a few hundred bytes.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::process::ProcessId;
use crate::task::TaskId;

/// What is written down about a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) task: TaskId,
    pub(crate) job: String,
    pub(crate) spec_hash: String,
    pub(crate) log_dir: Option<PathBuf>,
    pub(crate) boot: String,
    pub(crate) supervisor: ProcessId,
    pub(crate) main: ProcessId,
    pub(crate) exit: Option<Status>,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Status {
    /// Exit code, 128 + signal when killed by one.
    pub(crate) code: i32,
    pub(crate) signal: i32,
    pub(crate) time_ms: u64,
}

/// Where the records of a driver lie.
#[derive(Clone, Debug)]
pub(crate) struct Records {
    /// A directory that survives a reboot.
    pub(crate) lasting: PathBuf,
    /// A directory in memory. What is there is newer.
    pub(crate) volatile: PathBuf,
}

/// Where the record of one task lies.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RecordFile {
    lasting: PathBuf,
    volatile: PathBuf,
}

impl Records {
    pub(crate) fn of(&self, task: &TaskId) -> RecordFile {
        let name = format!("{}.json", file_name(task));
        RecordFile {
            lasting: self.lasting.join(&name),
            volatile: self.volatile.join(name),
        }
    }

    /// All of them.
    pub(crate) fn list(&self) -> Vec<Record> {
        let mut files = BTreeMap::new();
        for dir in [&self.lasting, &self.volatile] {
            let entries = fs::read_dir(dir).into_iter().flatten().flatten();
            let paths = entries.map(|entry| entry.path());
            for path in paths.filter(|path| path.extension() == Some("json".as_ref())) {
                files.insert(path.file_name().map(ToOwned::to_owned), read(&path));
            }
        }
        files.into_values().flatten().collect()
    }
}

impl RecordFile {
    /// The record; `None` when there is none, or none that makes sense.
    pub(crate) fn read(&self) -> Option<Record> {
        let newest = if self.volatile.exists() {
            &self.volatile
        } else {
            &self.lasting
        };
        read(newest)
    }

    /// Replaces the record in one step.
    pub(crate) fn write(&self, record: &Record) -> io::Result<()> {
        let bytes = serde_json::to_vec(record).expect("plain data always serialises");
        if replace(&self.lasting, &bytes).is_err() {
            return replace(&self.volatile, &bytes);
        }
        absent(fs::remove_file(&self.volatile))
    }

    /// Removes the record.
    pub(crate) fn remove(&self) -> io::Result<()> {
        if absent(fs::remove_file(&self.lasting)).is_err() {
            // It is hidden behind an empty one as long as the box is up. Afterwards it names another boot.
            return replace(&self.volatile, b"");
        }
        absent(fs::remove_file(&self.volatile))
    }
}

fn read(path: &Path) -> Option<Record> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    let scratch = path.with_extension("new");
    let written = File::create(&scratch)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| fs::rename(&scratch, path));
    if written.is_err() {
        let _ = fs::remove_file(&scratch);
    }
    written
}

/// That there was nothing to remove is no error.
fn absent(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// A task's id as a file name: what is not plain is written as `%XX`.
fn file_name(task: &TaskId) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let escape = |byte: u8| {
        if plain(byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    task.to_string().bytes().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(task: &TaskId, pid: i32) -> Record {
        let process = ProcessId { pid, start_ticks: 1 };
        Record {
            task: task.clone(),
            job: "web".into(),
            spec_hash: "1".into(),
            log_dir: None,
            boot: "boot".into(),
            supervisor: process,
            main: process,
            exit: None,
        }
    }

    #[test]
    fn a_record_lies_in_memory_while_the_disk_takes_nothing_and_the_newest_counts() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records {
            lasting: dir.path().join("disk"),
            volatile: dir.path().join("run"),
        };
        let task = TaskId {
            alloc: "a/..".into(),
            task: "t".into(),
        };
        let file = records.of(&task);
        assert_eq!(file.read(), None);
        file.write(&record(&task, 1)).unwrap();
        // Root may write everything, but not into a file as if it were a directory.
        let (disk, away) = (&records.lasting, dir.path().join("away"));
        fs::rename(disk, &away).unwrap();
        fs::write(disk, b"").unwrap();
        file.write(&record(&task, 2)).unwrap();
        fs::remove_file(disk).unwrap();
        fs::rename(&away, disk).unwrap();
        assert_eq!(file.read(), Some(record(&task, 2)));
        assert_eq!(records.list(), [record(&task, 2)]);
        file.write(&record(&task, 3)).unwrap();
        assert_eq!(records.list(), [record(&task, 3)]);
        // A directory in its place cannot be removed like a file.
        fs::remove_file(&file.lasting).unwrap();
        fs::create_dir(&file.lasting).unwrap();
        file.remove().unwrap();
        assert_eq!((file.read(), records.list()), (None, vec![]));
        fs::remove_dir(&file.lasting).unwrap();
        file.remove().unwrap();
        assert!(!file.volatile.exists());
    }
}
