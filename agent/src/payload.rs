//! The payload of a dispatch: written to where its tasks ask for it, once, before they start.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use holdfast_shared::model::{Job, TaskGroup};

use crate::sandbox::{FileOptions, SandboxError};
use crate::taskdir::{AllocDir, TaskDir};

/// Why the payload is not where it should be.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    /// It is not what a coordinator sends.
    #[error("the payload of the dispatch is not base64")]
    Encoding(#[from] base64::DecodeError),
    /// It cannot be written.
    #[error(transparent)]
    File(#[from] SandboxError),
}

/// Writes the payload of `job` for every task of `group` that wants it and does not have it yet.
///
/// # Errors
/// When it cannot be decoded or written.
pub fn write(dir: &AllocDir, job: &Job, group: &TaskGroup) -> Result<(), PayloadError> {
    let Some(payload) = job.payload.as_deref().filter(|payload| !payload.is_empty()) else {
        return Ok(());
    };
    let payload = STANDARD.decode(payload)?;
    for task in group.tasks() {
        let file = task.dispatch_payload.as_ref().map(|block| block.file.as_str());
        if let Some(file) = file.filter(|file| !file.is_empty()) {
            write_one(&dir.task(&task.name), file, &payload)?;
        }
    }
    Ok(())
}

fn write_one(dir: &TaskDir, file: &str, payload: &[u8]) -> Result<(), PayloadError> {
    let sandbox = dir.sandbox();
    let local = Path::new(&dir.task).join("local");
    let path = sandbox.resolve(&local, Path::new(file))?;
    if !path.starts_with(&local) {
        let (path, root) = (file.into(), dir.local());
        return Err(SandboxError::Outside { path, root }.into());
    }
    if sandbox.read(&path)?.is_none() {
        let options = FileOptions {
            mode: 0o644,
            owner: (None, None),
        };
        sandbox.write(&path, payload, options)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use holdfast_shared::id::AllocId;
    use holdfast_shared::model::{DispatchPayload, Task};

    use super::*;
    use crate::taskdir::AllocDirs;

    fn job(file: &str) -> Job {
        let task = Task {
            name: "main".to_owned(),
            driver: "raw_exec".to_owned(),
            dispatch_payload: Some(DispatchPayload {
                file: file.to_owned(),
            }),
            ..Task::default()
        };
        let group = TaskGroup {
            name: Some("g".to_owned()),
            tasks: Some(vec![task]),
            ..TaskGroup::default()
        };
        Job {
            payload: Some("aGVsbG8=".to_owned()),
            task_groups: Some(vec![group].into()),
            ..Job::default()
        }
    }

    #[test]
    fn a_payload_is_written_once_and_only_into_the_tasks_own_files() {
        let folder = tempfile::tempdir().unwrap();
        let dir = AllocDirs::new(folder.path()).of(AllocId(1));
        let write = |file: &str| {
            let job = job(file);
            dir.prepare(&job.groups()[0]).unwrap();
            write(&dir, &job, &job.groups()[0])
        };
        write("in/data.txt").unwrap();
        let path = dir.task("main").local().join("in/data.txt");
        assert_eq!(std::fs::read(&path).unwrap(), b"hello");
        // What the task made of it stays.
        std::fs::write(&path, "done").unwrap();
        write("in/data.txt").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"done");
        for outside in ["../secrets/x", "../../x", "../../../x"] {
            assert!(write(outside).is_err(), "{outside}");
        }
    }
}
