//! Files inside a directory that tasks can write to: no path leads out of it, not even through a link a task has left.
//!
//! Every step is taken with a directory handle and `O_NOFOLLOW`, so nothing can be swapped between check and use.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, Uid};

/// The longest file that is read.
const READ_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A directory that paths must stay in.
#[derive(Debug, Clone)]
pub struct Sandbox {
    root: PathBuf,
}

/// How a file is written.
#[derive(Debug, Clone, Copy)]
pub struct FileOptions {
    /// Permission bits.
    pub mode: u32,
    /// Owner and group; unchanged where `None`.
    pub owner: (Option<u32>, Option<u32>),
}

/// Why a file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The path leads out.
    #[error("{path:?} leads out of {root:?}")]
    Outside {
        /// The path.
        path: PathBuf,
        /// Where it must stay.
        root: PathBuf,
    },
    /// A part of the path is a link, or a file where a directory is needed.
    #[error("{part:?} of {path:?} is a link or no directory; links are not followed")]
    Link {
        /// The part.
        part: OsString,
        /// The path.
        path: PathBuf,
    },
    /// The operating system refuses.
    #[error("cannot {operation} {path:?}: {source}")]
    Io {
        /// What was attempted.
        operation: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

impl Sandbox {
    /// The directory `root`, which must be there when files are read or written.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Where `path` lies relative to the root. Relative paths start at `base` inside the root; absolute ones may name a
    /// place inside the root by its host path, and start at `base` otherwise, as `/local/x` does.
    ///
    /// # Errors
    /// When the path leads out of the root.
    pub fn resolve(&self, base: &Path, path: &Path) -> Result<PathBuf, SandboxError> {
        let outside = || SandboxError::Outside {
            path: path.to_owned(),
            root: self.root.clone(),
        };
        let start = match path.strip_prefix(&self.root) {
            Ok(inside) => inside.to_owned(),
            Err(_) => base.join(path.strip_prefix("/").unwrap_or(path)),
        };
        let mut resolved = PathBuf::new();
        for component in start.components() {
            match component {
                Component::Normal(part) => resolved.push(part),
                Component::CurDir => {}
                Component::ParentDir if resolved.pop() => {}
                _ => return Err(outside()),
            }
        }
        Ok(resolved)
    }

    /// The content of the file at `path`, a resolved path; `None` when it is not there.
    ///
    /// # Errors
    /// When a link is in the way, or the operating system refuses.
    pub fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, SandboxError> {
        let Some((dir, name)) = self.open_parent(path, false)? else {
            return Ok(None);
        };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = match rustix::fs::openat(&dir, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(error) => return Err(self.refused("read", path, name, error)),
        };
        let mut bytes = Vec::new();
        file.take(READ_BYTES_MAX)
            .read_to_end(&mut bytes)
            .map_err(|error| self.io("read", path, error))?;
        Ok(Some(bytes))
    }

    /// Replaces the file at `path`, a resolved path, atomically; makes the directories to it.
    ///
    /// # Errors
    /// When a link is in the way, or the operating system refuses.
    pub fn write(&self, path: &Path, content: &[u8], options: FileOptions) -> Result<(), SandboxError> {
        let parent = self.open_parent(path, true)?;
        let (dir, name) = parent.ok_or_else(|| self.io("write", path, io::ErrorKind::InvalidInput.into()))?;
        let mut temporary = OsString::from(".");
        temporary.push(name);
        temporary.push(".new");
        let written = self.write_in(&dir, &temporary, content, options);
        let renamed = written.and_then(|()| Ok(rustix::fs::renameat(&dir, &temporary, &dir, name)?));
        renamed.map_err(|error| {
            let _ = rustix::fs::unlinkat(&dir, &temporary, AtFlags::empty());
            self.io("write", path, error)
        })
    }

    fn write_in(&self, dir: &OwnedFd, name: &OsStr, content: &[u8], options: FileOptions) -> io::Result<()> {
        // Whatever a task may have put at this name is not opened but replaced.
        let _ = rustix::fs::unlinkat(dir, name, AtFlags::empty());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::openat(dir, name, flags, Mode::from_raw_mode(0o600))?);
        file.write_all(content)?;
        let (user, group) = options.owner;
        if user.is_some() || group.is_some() {
            rustix::fs::fchown(&file, user.map(Uid::from_raw), group.map(Gid::from_raw))?;
        }
        rustix::fs::fchmod(&file, Mode::from_raw_mode(options.mode))?;
        // A power cut must not leave an empty file where a rendered one was.
        file.sync_data()
    }

    /// The directory of `path` and the name in it; `None` when the directory is not there.
    fn open_parent<'p>(
        &self,
        path: &'p Path,
        make: bool,
    ) -> Result<Option<(OwnedFd, &'p OsStr)>, SandboxError> {
        let name = path
            .file_name()
            .ok_or_else(|| self.io("open", path, io::ErrorKind::InvalidInput.into()))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::openat(CWD, &self.root, flags, Mode::empty());
        let mut dir = root.map_err(|error| self.io("open", path, error.into()))?;
        for part in path.parent().into_iter().flat_map(Path::components) {
            let part = part.as_os_str();
            if make {
                match rustix::fs::mkdirat(&dir, part, Mode::from_raw_mode(0o755)) {
                    Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                    Err(error) => return Err(self.io("make a directory for", path, error.into())),
                }
            }
            dir = match rustix::fs::openat(&dir, part, flags | OFlags::NOFOLLOW, Mode::empty()) {
                Ok(next) => next,
                Err(rustix::io::Errno::NOENT) => return Ok(None),
                Err(error) => return Err(self.refused("open", path, part, error)),
            };
        }
        Ok(Some((dir, name)))
    }

    fn refused(
        &self,
        operation: &'static str,
        path: &Path,
        part: &OsStr,
        error: rustix::io::Errno,
    ) -> SandboxError {
        match error {
            rustix::io::Errno::LOOP | rustix::io::Errno::NOTDIR => SandboxError::Link {
                part: part.to_owned(),
                path: path.to_owned(),
            },
            error => self.io(operation, path, error.into()),
        }
    }

    fn io(&self, operation: &'static str, path: &Path, source: io::Error) -> SandboxError {
        SandboxError::Io {
            operation,
            path: self.root.join(path),
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    const PLAIN: FileOptions = FileOptions {
        mode: 0o640,
        owner: (None, None),
    };

    #[test]
    fn paths_stay_inside_however_they_are_written() {
        let sandbox = Sandbox::new("/data/alloc/a1");
        for (path, resolved) in [
            ("local/x", Some("web/local/x")),
            ("/local/x", Some("web/local/x")),
            ("./secrets/../local/x", Some("web/local/x")),
            ("../alloc/data/x", Some("alloc/data/x")),
            ("/data/alloc/a1/web/local/x", Some("web/local/x")),
            ("../../a2/web/local/x", None),
            ("/data/alloc/a1/../a2/x", None),
            ("../../../../etc/passwd", None),
            ("/etc/passwd", Some("web/etc/passwd")),
        ] {
            let found = sandbox.resolve(Path::new("web"), Path::new(path)).ok();
            assert_eq!(found.as_deref(), resolved.map(Path::new), "{path}");
        }
    }

    #[test]
    fn files_are_replaced_whole_with_their_mode() {
        let dir = tempfile::tempdir().unwrap();
        let sandbox = Sandbox::new(dir.path());
        let path = Path::new("a/b/file");
        assert_eq!(sandbox.read(path).unwrap(), None);
        for content in [&b"one"[..], b"another"] {
            sandbox.write(path, content, PLAIN).unwrap();
            assert_eq!(sandbox.read(path).unwrap().as_deref(), Some(content));
        }
        let mode = fs::metadata(dir.path().join(path)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
    }

    #[test]
    fn links_are_neither_followed_nor_written_through() {
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let sandbox = Sandbox::new(dir.path());
        fs::write(outside.path().join("secret"), b"keep").unwrap();
        symlink(outside.path(), dir.path().join("linked")).unwrap();
        symlink(outside.path().join("secret"), dir.path().join("file")).unwrap();
        for path in ["linked/secret", "linked/new"] {
            assert!(
                matches!(
                    sandbox.write(Path::new(path), b"x", PLAIN),
                    Err(SandboxError::Link { .. })
                ),
                "{path}"
            );
            assert!(
                matches!(sandbox.read(Path::new(path)), Err(SandboxError::Link { .. })),
                "{path}"
            );
        }
        assert!(sandbox.read(Path::new("file")).is_err());
        // A link at the very end is replaced, not written through.
        sandbox.write(Path::new("file"), b"mine", PLAIN).unwrap();
        assert_eq!(fs::read(outside.path().join("secret")).unwrap(), b"keep");
        assert_eq!(fs::read(dir.path().join("file")).unwrap(), b"mine");
    }
}
