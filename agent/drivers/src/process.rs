//! Processes of the host that are not necessarily our children: identity across pid reuse, waiting, killing.

use std::fs;
use std::io;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags};
use serde::{Deserialize, Serialize};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::signal::Signal;

/// A process for as long as the box stays up: its pid together with its start time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessId {
    pub(crate) pid: i32,
    /// Clock ticks after boot at which it started, from `/proc/PID/stat`.
    pub(crate) start_ticks: u64,
}

/// What `/proc/PID/stat` says.
struct Stat {
    state: char,
    group: i32,
    session: i32,
    cpu_ticks: u64,
    start_ticks: u64,
    resident_pages: u64,
}

impl Stat {
    fn read(pid: i32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The second field is the program's name in brackets and may itself contain brackets and blanks.
    fn parse(line: &str) -> Option<Self> {
        let rest = &line[line.rfind(')')? + 1..];
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // Field numbers as in proc(5), of which 1 and 2 are cut off.
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        Some(Self {
            state: fields.first()?.chars().next()?,
            group: fields.get(2)?.parse().ok()?,
            session: fields.get(3)?.parse().ok()?,
            cpu_ticks: number(14)? + number(15)?,
            start_ticks: number(22)?,
            resident_pages: number(24)?,
        })
    }
}

impl ProcessId {
    /// The process that has this pid now.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        Some(Self {
            pid,
            start_ticks: Stat::read(pid)?.start_ticks,
        })
    }

    /// The process that leads this one's session, while it lives.
    pub(crate) fn session_leader(self) -> Option<Self> {
        Self::of(Stat::read(self.pid)?.session)
    }

    /// It runs, zombies excluded.
    pub(crate) fn is_alive(self) -> bool {
        Stat::read(self.pid)
            .is_some_and(|stat| stat.start_ticks == self.start_ticks && !matches!(stat.state, 'Z' | 'X'))
    }

    /// Resolves when the process has exited, at once when it is gone already.
    pub(crate) async fn exited(self) {
        let Some(pid) = Pid::from_raw(self.pid) else {
            return;
        };
        let Ok(fd) = rustix::process::pidfd_open(pid, PidfdFlags::NONBLOCK) else {
            // Kernels before 5.3 have no pidfds: look twice a second.
            while self.is_alive() {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            return;
        };
        // The pid may have been taken over between the record and the open.
        if !self.is_alive() {
            return;
        }
        #[expect(
            deprecated,
            reason = "its replacement is unsafe; an OwnedFd keeps the promise that is asked for"
        )]
        let registered = AsyncFd::with_interest(fd, Interest::READABLE);
        match registered {
            Ok(fd) => drop(fd.readable().await),
            Err(error) => tracing::warn!(%error, "cannot wait for a process"),
        }
    }

    /// Signals the process alone.
    pub(crate) fn signal(self, signal: Signal) -> io::Result<()> {
        self.guarded(|pid| rustix::process::kill_process(pid, signal.raw()))
    }

    /// Signals the process group that it leads.
    pub(crate) fn signal_group(self, signal: Signal) -> io::Result<()> {
        self.guarded(|pid| rustix::process::kill_process_group(pid, signal.raw()))
    }

    fn guarded(self, send: impl FnOnce(Pid) -> rustix::io::Result<()>) -> io::Result<()> {
        let gone = || io::Error::from(rustix::io::Errno::SRCH);
        let pid = Pid::from_raw(self.pid)
            .filter(|_| self.is_alive())
            .ok_or_else(gone)?;
        Ok(send(pid)?)
    }
}

/// Identifies this boot: pids of another one mean nothing.
pub(crate) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// Processor time (ticks) and memory (pages) of a process group and of whatever left it within its session.
pub(crate) fn session_usage(leader: i32, session: i32) -> (u64, u64) {
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let stats = pids.filter(|pid| *pid != session).filter_map(Stat::read);
    let ours = stats.filter(|stat| stat.group == leader || stat.session == session);
    ours.fold((0, 0), |sum, stat| {
        (sum.0 + stat.cpu_ticks, sum.1 + stat.resident_pages)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_blanks_does_not_shift_the_fields() {
        let line = "42 (a) b (c)) S 1 42 40 0 -1 4194560 1 0 0 0 7 3 0 0 20 0 1 0 12345 1000 25 18446744073709551615";
        let stat = Stat::parse(line).unwrap();
        assert_eq!((stat.state, stat.group, stat.session), ('S', 42, 40));
        assert_eq!(
            (stat.cpu_ticks, stat.start_ticks, stat.resident_pages),
            (10, 12345, 25)
        );
    }

    #[test]
    fn another_start_time_is_another_process() {
        let me = ProcessId::of(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(me.is_alive());
        let imposter = ProcessId {
            start_ticks: me.start_ticks + 1,
            ..me
        };
        assert!(!imposter.is_alive());
        assert!(
            imposter.signal(Signal::TERM).is_err(),
            "must not signal a stranger"
        );
    }
}
