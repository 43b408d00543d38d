//! The control group of a task: why it was killed and what it uses. Reads version 1 and 2 hierarchies.

use std::fs;
use std::path::{Path, PathBuf};

use crate::driver::Stats;

/// The directories of one process's control group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cgroup {
    memory: PathBuf,
    cpu: PathBuf,
}

impl Cgroup {
    /// The group of a running process.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        let table = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        Self::parse(&table, Path::new("/sys/fs/cgroup"))
    }

    fn parse(table: &str, root: &Path) -> Option<Self> {
        let path_of = |controller: &str| {
            table.lines().find_map(|line| {
                let mut fields = line.splitn(3, ':');
                let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
                controllers
                    .split(',')
                    .any(|one| one == controller)
                    .then(|| path.trim_start_matches('/'))
            })
        };
        match (path_of("memory"), path_of("cpuacct")) {
            (Some(memory), Some(cpu)) => Some(Self {
                memory: root.join("memory").join(memory),
                cpu: root.join("cpuacct").join(cpu),
            }),
            _ => {
                let unified = root.join(path_of("")?);
                Some(Self {
                    memory: unified.clone(),
                    cpu: unified,
                })
            }
        }
    }

    /// How many processes of the group the kernel killed for memory; `None` once the group is gone.
    pub(crate) fn oom_kills(&self) -> Option<u64> {
        ["memory.events", "memory.oom_control"]
            .iter()
            .find_map(|file| field(&self.memory.join(file), "oom_kill"))
    }

    /// What the group uses.
    pub(crate) fn stats(&self) -> Option<Stats> {
        let microseconds = field(&self.cpu.join("cpu.stat"), "usage_usec");
        let cpu_total_ns = microseconds
            .map(|us| us * 1000)
            .or_else(|| number(&self.cpu.join("cpuacct.usage")))?;
        let memory_bytes = number(&self.memory.join("memory.current"))
            .or_else(|| number(&self.memory.join("memory.usage_in_bytes")))?;
        Some(Stats {
            cpu_total_ns,
            memory_bytes,
        })
    }
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn field(path: &Path, name: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.find(|(key, _)| *key == name)?.1.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_of_the_hierarchy_are_read() {
        let root = Path::new("/sys/fs/cgroup");
        let v1 = Cgroup::parse("5:memory:/a/b\n3:cpu,cpuacct:/a/c\n0::/\n", root).unwrap();
        assert_eq!(v1.memory, Path::new("/sys/fs/cgroup/memory/a/b"));
        assert_eq!(v1.cpu, Path::new("/sys/fs/cgroup/cpuacct/a/c"));
        let v2 = Cgroup::parse("0::/a/b\n", root).unwrap();
        assert_eq!(v2.memory, Path::new("/sys/fs/cgroup/a/b"));
        assert_eq!(Cgroup::parse("", root), None);
    }
}
