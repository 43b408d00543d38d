//! The directories of allocations and their tasks.
//!
//! ```text
//! <data_dir>/alloc/<allocation>/alloc/{data,logs,tmp}                 shared by the group
//! <data_dir>/alloc/<allocation>/<task>/{local,secrets,tmp,private}    the task's own
//! ```

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use holdfast_shared::id::AllocId;
use holdfast_shared::model::TaskGroup;

use crate::sandbox::Sandbox;

/// Where the directories of all allocations lie.
#[derive(Debug, Clone)]
pub struct AllocDirs {
    root: PathBuf,
}

/// The directories of one allocation.
#[derive(Debug, Clone)]
pub struct AllocDir {
    root: PathBuf,
}

/// The directories of one task.
#[derive(Debug, Clone)]
pub struct TaskDir {
    /// The allocation's.
    pub alloc: AllocDir,
    /// The task's name.
    pub task: String,
}

/// The directories of an allocation cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum DirError {
    /// The operating system refuses one.
    #[error("cannot make the directory {path:?}: {source}")]
    Make {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A task is called what no directory can be called.
    #[error("a task cannot be called {0:?}: its directory would lie elsewhere")]
    Name(String),
}

impl AllocDirs {
    /// Directories inside the agent's `data_dir`.
    pub fn new(data_dir: &Path) -> Self {
        Self {
            root: data_dir.join("alloc"),
        }
    }

    /// The directories of `id`.
    pub fn of(&self, id: AllocId) -> AllocDir {
        AllocDir {
            root: self.root.join(id.to_string()),
        }
    }
}

impl AllocDir {
    /// What the tasks of the group share.
    pub fn shared(&self) -> PathBuf {
        self.root.join("alloc")
    }

    /// The tasks' log files.
    pub fn logs(&self) -> PathBuf {
        self.shared().join("logs")
    }

    /// The directories of the task called `name`.
    pub fn task(&self, name: &str) -> TaskDir {
        TaskDir {
            alloc: self.clone(),
            task: name.to_owned(),
        }
    }

    /// Makes what `group` needs, or what is missing of it.
    ///
    /// # Errors
    /// When a directory cannot be made.
    pub fn prepare(&self, group: &TaskGroup) -> Result<(), DirError> {
        // Names inside are for the box's own users only as far as a task of theirs has to pass through.
        make(self.root.parent().unwrap_or(&self.root), 0o711)?;
        make(&self.root, 0o711)?;
        make(&self.shared(), 0o755)?;
        make(&self.shared().join("data"), 0o777)?;
        make(&self.logs(), 0o755)?;
        make(&self.shared().join("tmp"), 0o1777)?;
        for task in group.tasks() {
            let contained = holdfast_drivers::kind(&task.driver).is_some_and(|kind| kind.own_filesystem);
            if !is_name(&task.name) {
                return Err(DirError::Name(task.name.clone()));
            }
            self.task(&task.name).prepare(contained, &task.user)?;
        }
        Ok(())
    }

    /// Deletes everything.
    ///
    /// # Errors
    /// When something cannot be deleted.
    pub fn destroy(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.root) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl TaskDir {
    /// The task's directory.
    pub fn path(&self) -> PathBuf {
        self.alloc.root.join(&self.task)
    }

    /// The task's files: `/local`.
    pub fn local(&self) -> PathBuf {
        self.path().join("local")
    }

    /// The task's secrets: `/secrets`.
    pub fn secrets(&self) -> PathBuf {
        self.path().join("secrets")
    }

    /// Where templates of this task may be read and written: its own directory and the shared one.
    pub fn sandbox(&self) -> Sandbox {
        Sandbox::new(&self.alloc.root)
    }

    /// Whether a path inside [`TaskDir::sandbox`] is this task's own or shared, and not another task's.
    pub fn may_use(&self, resolved: &Path) -> bool {
        resolved.starts_with(&self.task) || resolved.starts_with("alloc")
    }

    fn prepare(&self, contained: bool, user: &str) -> Result<(), DirError> {
        // A container sees its directories by mounts, whatever user it runs as; nobody else has to pass through. A
        // process on the box itself has to, and there the secrets are closed instead, and belong to its user.
        make(&self.path(), if contained { 0o700 } else { 0o755 })?;
        make(&self.local(), 0o777)?;
        make(&self.secrets(), if contained { 0o777 } else { 0o700 })?;
        if !contained && let Some(uid) = user_id(user) {
            let path = self.secrets();
            let give = |found: fs::Metadata| {
                if found.uid() == uid {
                    return Ok(());
                }
                std::os::unix::fs::chown(&path, Some(uid), None)
            };
            fs::metadata(&path)
                .and_then(give)
                .map_err(|source| DirError::Make {
                    path: path.clone(),
                    source,
                })?;
        }
        if contained {
            // Its other directories are the container's own; each one more here is a block of flash.
            return Ok(());
        }
        make(&self.path().join("private"), 0o700)?;
        make(&self.path().join("tmp"), 0o1777)
    }
}

/// The number of a user of this box; `None` when there is no such user, which the driver complains about.
fn user_id(user: &str) -> Option<u32> {
    let name = user.split(':').next().filter(|name| !name.is_empty())?;
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let entry = users
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields[0] == name);
    name.parse().ok().or_else(|| entry?.get(2)?.parse().ok())
}

/// Whether a task's name is one plain step of a path, and not the step that leads to the shared directory.
fn is_name(name: &str) -> bool {
    !matches!(name, "" | "." | ".." | "alloc") && !name.contains(['/', '\0'])
}

/// Makes a directory, or what is wrong with it right: on a disk that cannot be written, one that is as it should be is
/// good enough.
fn make(path: &Path, mode: u32) -> Result<(), DirError> {
    let set = |found: fs::Metadata| {
        if found.mode() & 0o7777 == mode {
            return Ok(());
        }
        fs::set_permissions(path, Permissions::from_mode(mode))
    };
    fs::create_dir_all(path)
        .and_then(|()| fs::metadata(path))
        .and_then(set)
        .map_err(|source| DirError::Make {
            path: path.to_owned(),
            source,
        })
}

#[cfg(test)]
mod tests {
    use holdfast_shared::model::Task;

    use super::*;

    fn group() -> TaskGroup {
        let task = |name: &str, driver: &str| Task {
            name: name.into(),
            driver: driver.into(),
            ..Task::default()
        };
        TaskGroup {
            tasks: Some(vec![task("web", "docker"), task("tool", "raw_exec")]),
            ..TaskGroup::default()
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn the_layout_is_there_with_its_permissions_and_can_be_made_twice() {
        let data = tempfile::tempdir().unwrap();
        let dir = AllocDirs::new(data.path()).of(AllocId(1));
        for _ in 0..2 {
            dir.prepare(&group()).unwrap();
            fs::write(dir.task("web").local().join("kept"), b"x").unwrap();
        }
        assert!(dir.task("web").local().join("kept").exists());
        for (path, expected) in [
            ("alloc/data", 0o777),
            ("alloc/logs", 0o755),
            ("alloc/tmp", 0o1777),
            ("web", 0o700),
            ("web/secrets", 0o777),
            ("tool", 0o755),
            ("tool/secrets", 0o700),
            ("tool/private", 0o700),
            ("tool/tmp", 0o1777),
        ] {
            assert_eq!(mode(&dir.root.join(path)), expected, "{path}");
        }
        dir.destroy().unwrap();
        dir.destroy().unwrap();
    }

    #[test]
    fn users_are_found_by_name_and_number() {
        for (user, id) in [
            ("root", Some(0)),
            ("root:root", Some(0)),
            ("1234", Some(1234)),
            ("nobody-here", None),
            ("", None),
        ] {
            assert_eq!(user_id(user), id, "{user}");
        }
    }

    #[test]
    fn a_task_name_cannot_lead_elsewhere() {
        let data = tempfile::tempdir().unwrap();
        for name in ["..", "a/b", "alloc", ""] {
            let task = Task {
                name: name.into(),
                ..Task::default()
            };
            let group = TaskGroup {
                tasks: Some(vec![task]),
                ..TaskGroup::default()
            };
            let error = AllocDirs::new(data.path())
                .of(AllocId(1))
                .prepare(&group)
                .unwrap_err();
            assert!(matches!(error, DirError::Name(_)), "{name}");
        }
    }
}
