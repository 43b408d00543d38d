//! The first process of a namespace: while it lives the namespace lives, and with it ends everything inside.

use std::io::{BufRead as _, BufReader};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context as _, ensure};
use rustix::process::{Pid, Signal, kill_process};

/// A running first process, and a pipe to its standard input that closes with this process at the latest.
#[derive(Debug)]
pub(crate) struct Init {
    /// The command that was started: outside of the namespace, and the one to wait for.
    outer: Child,
    /// Process id of the first process, as the host sees it.
    pub(crate) pid: u32,
}

impl Init {
    /// Starts `command`, whose first line of output must be the host's id of the new namespace's first process.
    pub(crate) fn start(command: &mut Command) -> anyhow::Result<Self> {
        let mut outer = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start `{}`", shown(command)))?;
        let mut line = String::new();
        let stdout = outer.stdout.take().expect("it was asked for above");
        BufReader::new(stdout).read_line(&mut line)?;
        match line.trim().parse() {
            Ok(pid) => Ok(Self { outer, pid }),
            Err(_) => {
                let output = outer.wait_with_output()?;
                let reason = String::from_utf8_lossy(&output.stderr);
                anyhow::bail!(
                    "a namespace could not be set up ({}): {}",
                    output.status,
                    reason.trim()
                )
            }
        }
    }

    /// Ends the namespace as a power cut does, at once and with every process in it, and waits until all is gone.
    pub(crate) fn kill(&mut self) -> anyhow::Result<ExitStatus> {
        if let Some(status) = self.outer.try_wait()? {
            return Ok(status);
        }
        let pid = i32::try_from(self.pid)
            .ok()
            .and_then(Pid::from_raw)
            .context("no such process id")?;
        kill_process(pid, Signal::KILL)?;
        Ok(self.outer.wait()?)
    }

    /// Takes the pipe out: whoever holds it now decides how long the namespace lives.
    pub(crate) fn hand_over(&mut self) -> Option<OwnedFd> {
        self.outer.stdin.take().map(OwnedFd::from)
    }

    /// Command that runs `script` with `args` in the network and mounts of this namespace.
    pub(crate) fn shell(&self, script: &str, args: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args([
            "--target",
            &self.pid.to_string(),
            "--net",
            "--mount",
            "--",
            "sh",
            "-c",
            script,
            "sh",
        ]);
        command.args(args);
        command
    }
}

impl Drop for Init {
    fn drop(&mut self) {
        // Errors have no taker here; `kill` is the way to see them.
        drop(self.kill());
    }
}

/// Runs `command` to its end; returns what it printed.
///
/// # Errors
/// Names the command and repeats what it wrote to standard error when it fails.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot start `{}`", shown(command)))?;
    ensure!(
        output.status.success(),
        "`{}` ended with {}: {}",
        shown(command),
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The command as somebody on its machine would type it: what stands before `--` only leads there.
fn shown(command: &Command) -> String {
    let words: Vec<_> = [command.get_program()]
        .into_iter()
        .chain(command.get_args())
        .collect();
    let start = words
        .iter()
        .rposition(|word| *word == "--")
        .map_or(0, |position| position + 1);
    words[start..]
        .iter()
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}
