//! Control groups of one machine, so that its containers see a hierarchy of their own.

use std::path::{Path, PathBuf};
use std::{fs, io};

use anyhow::Context as _;

/// Where every Linux distribution mounts them.
const ROOT: &str = "/sys/fs/cgroup";

/// The folders that make up one machine's control groups: one per hierarchy with version 1, one with version 2.
#[derive(Debug)]
pub(crate) struct Cgroups {
    dirs: Vec<PathBuf>,
    unified: bool,
}

impl Cgroups {
    /// Makes the groups called `name`; the fleet's janitor removes them.
    pub(crate) fn create(name: &str) -> anyhow::Result<Self> {
        let root = Path::new(ROOT);
        let unified = root.join("cgroup.controllers").exists();
        let hierarchies = if unified {
            vec![root.to_owned()]
        } else {
            version_1_hierarchies(root)?
        };
        let mut dirs = Vec::new();
        for hierarchy in hierarchies {
            let dir = hierarchy.join(name);
            fs::create_dir(&dir).with_context(|| format!("cannot make control group {}", dir.display()))?;
            inherit_cpuset(&hierarchy, &dir)?;
            dirs.push(dir);
        }
        Ok(Self { dirs, unified })
    }

    /// Folders a process enters before it becomes part of the machine.
    pub(crate) fn entrances(&self) -> Vec<PathBuf> {
        let leaf = |dir: &PathBuf| dir.join("init");
        self.dirs
            .iter()
            .map(|dir| {
                if leaf(dir).exists() {
                    leaf(dir)
                } else {
                    dir.clone()
                }
            })
            .collect()
    }

    /// Version 2 allows no processes in a group that hands out controllers, so the machine's own move one level down.
    pub(crate) fn settle(&self) -> anyhow::Result<()> {
        if !self.unified {
            return Ok(());
        }
        for dir in &self.dirs {
            let leaf = dir.join("init");
            fs::create_dir_all(&leaf)?;
            for pid in fs::read_to_string(dir.join("cgroup.procs"))?.lines() {
                fs::write(leaf.join("cgroup.procs"), pid)
                    .with_context(|| format!("cannot move process {pid}"))?;
            }
        }
        Ok(())
    }
}

fn version_1_hierarchies(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut dirs = Vec::new();
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        // Symbolic links are second names of joint hierarchies (`cpu` of `cpu,cpuacct`).
        if entry.file_type()?.is_dir() && entry.path().join("cgroup.procs").exists() {
            dirs.push(entry.path());
        }
    }
    Ok(dirs)
}

/// A version 1 cpuset accepts no process until it has processors and memory nodes.
fn inherit_cpuset(parent: &Path, dir: &Path) -> io::Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        // Version 2 inherits by itself: there an empty file is right.
        if parent.join(file).exists() && parent.join("cpuset.effective_cpus").exists() {
            fs::write(dir.join(file), fs::read(parent.join(file))?)?;
        }
    }
    Ok(())
}
