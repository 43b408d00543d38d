//! A program on a machine: how it is watched and ended from outside.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::wait::wait_for;

/// How long a command may take to enter its machine.
const EXEC: Duration = Duration::from_secs(5);

/// How long a program may take to end after a signal.
const END: Duration = Duration::from_secs(20);

/// A program that was started on a machine.
#[derive(Debug)]
pub struct Program {
    /// The command that entered the machine and waits outside.
    outer: Child,
    /// The program itself, as the host sees it.
    pid: u32,
    label: String,
    log: PathBuf,
}

impl Program {
    /// Starts a command that leads into a machine, and waits until it has become the program it was asked to be.
    pub(crate) fn start(mut command: Command, label: String, log: PathBuf) -> anyhow::Result<Self> {
        let outer = command.spawn().with_context(|| format!("cannot start {label}"))?;
        let mut program = Self {
            outer,
            pid: 0,
            label,
            log,
        };
        program.pid = wait_for(&format!("{} to start", program.label), EXEC, || {
            program.inner_pid()
        })?;
        Ok(program)
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> anyhow::Result<ExitStatus> {
        Ok(self.outer.wait()?)
    }

    /// Program id of the program on the host.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// File with everything it printed.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.outer.try_wait(), Ok(None))
    }

    /// Sends a signal and goes on.
    ///
    /// # Errors
    /// When the program had ended before.
    pub fn signal(&mut self, signal: Signal) -> anyhow::Result<()> {
        ensure!(
            self.is_running(),
            "{} had ended before it was signalled",
            self.label
        );
        let pid = i32::try_from(self.pid)
            .ok()
            .and_then(Pid::from_raw)
            .context("no such process id")?;
        kill_process(pid, signal)?;
        if signal != Signal::STOP {
            // The command outside stops along with the program, and would never see its end.
            let outer = i32::try_from(self.outer.id()).ok().and_then(Pid::from_raw);
            kill_process(outer.context("no such process id")?, Signal::CONT)?;
        }
        Ok(())
    }

    /// Sends a signal and waits until the program has ended.
    ///
    /// # Errors
    /// When it had ended before, or does not end.
    pub fn kill(&mut self, signal: Signal) -> anyhow::Result<()> {
        self.signal(signal)?;
        wait_for(&format!("{} to end", self.label), END, || {
            ensure!(!self.is_running(), "it still runs");
            Ok(())
        })
    }

    /// The program's own process: the only child of the command that entered the machine.
    fn inner_pid(&mut self) -> anyhow::Result<u32> {
        if let Some(status) = self.outer.try_wait()? {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            anyhow::bail!("it ended at once with {status}: {}", log.trim());
        }
        let outer = self.outer.id();
        let children = fs::read_to_string(format!("/proc/{outer}/task/{outer}/children"))?;
        let child = children
            .split_whitespace()
            .next()
            .context("it has not entered the machine yet")?;
        Ok(child.parse()?)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // The program may end by itself in between; either way there is nobody to tell.
        if self.is_running() {
            drop(self.signal(Signal::KILL));
        }
        drop(self.outer.wait());
    }
}
