//! The supervisor of one raw_exec task: a process of its own, so that an agent that restarts, crashes or is upgraded
//! neither takes the task with it nor misses its exit code.
//!
//! The agent's binary exposes [`main`] as a hidden subcommand. It reads one order from its standard input, starts
//! the task in a process group of its own with its output going straight to the log files, answers one line,
//! and then only waits. The exit status is written to the record file before the supervisor ends; so whoever
//! sees the supervisor gone finds the status there. Alternatives that were weighed: without a supervisor a re-adopted
//! task's exit code is lost (only a parent may read it) and with it the difference between a batch job that succeeded
//! and one that failed; a shell wrapper costs as much memory and re-parses arguments.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitOptions, WaitStatus};
use serde::{Deserialize, Serialize};

use crate::driver::wall_clock_ms;
use crate::process::{ProcessId, boot_id};
use crate::record::{Record, RecordFile, Status};
use crate::signal::Signal;
use crate::task::TaskId;

/// How long the supervisor waits for killed leftovers of its task to disappear.
const REAP: Duration = Duration::from_secs(2);

/// What a supervisor is asked to run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) record: RecordFile,
    pub(crate) task: TaskId,
    pub(crate) job: String,
    pub(crate) spec_hash: String,
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<String>,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) work_dir: PathBuf,
    /// Numeric user and group to become.
    pub(crate) user: Option<(u32, u32)>,
    /// `None` discards the output.
    pub(crate) logs: Option<[PathBuf; 2]>,
    pub(crate) oom_score_adj: Option<i64>,
}

/// The supervisor's one line to the agent.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    Started {
        record: Record,
        /// Why the task's output is dropped, if it is.
        dropped: Option<String>,
    },
    Failed(String),
}

/// Runs as the supervisor of the task that standard input describes. Does not return before the task has ended.
pub fn main() -> ExitCode {
    match start() {
        Ok((record, file, dropped)) => {
            answer(&Answer::Started {
                record: record.clone(),
                dropped,
            });
            detach_output();
            finish(record, &file);
            ExitCode::SUCCESS
        }
        Err(problem) => {
            answer(&Answer::Failed(problem));
            ExitCode::FAILURE
        }
    }
}

fn answer(answer: &Answer) {
    let line = serde_json::to_string(answer).expect("plain data always serialises");
    // An agent that died meanwhile finds the record.
    let _ = writeln!(io::stdout(), "{line}");
}

fn start() -> Result<(Record, RecordFile, Option<String>), String> {
    let mut text = String::new();
    io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| format!("cannot read the order: {error}"))?;
    let order: Order =
        serde_json::from_str(&text).map_err(|error| format!("cannot read the order: {error}"))?;
    // A session of its own: no terminal and no signal of the agent's reaches it.
    rustix::process::setsid().map_err(|error| format!("cannot start a session: {error}"))?;
    // Processes that leave the task's group still end up here and are killed with it.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .map_err(|error| format!("cannot adopt orphans: {error}"))?;
    let (main, dropped) = spawn(&order)?;
    let me = rustix::process::getpid().as_raw_nonzero().get();
    let record = Record {
        task: order.task,
        job: order.job,
        spec_hash: order.spec_hash,
        log_dir: order
            .logs
            .and_then(|[stdout, _]| Some(stdout.parent()?.to_owned())),
        boot: boot_id(),
        supervisor: ProcessId::of(me).ok_or("cannot read /proc")?,
        main,
        exit: None,
    };
    order.record.write(&record).map_err(|error| {
        let _ = main.signal_group(Signal::KILL);
        format!("cannot write the task's record: {error}")
    })?;
    Ok((record, order.record, dropped))
}

/// Starts the task. Also answers why its output is dropped, if it is: that is no reason not to run it.
fn spawn(order: &Order) -> Result<(ProcessId, Option<String>), String> {
    let opened = order
        .logs
        .as_ref()
        .map(|[stdout, stderr]| append(stdout).and_then(|stdout| Ok([stdout, append(stderr)?])));
    let (opened, dropped) = match opened {
        Some(Ok(opened)) => (Some(opened), None),
        Some(Err(problem)) => (None, Some(problem)),
        None => (None, None),
    };
    let [stdout, stderr] = opened.unwrap_or_else(|| [Stdio::null(), Stdio::null()]);
    let mut command = Command::new(&order.program);
    command
        .args(&order.args)
        .env_clear()
        .envs(&order.env)
        .current_dir(&order.work_dir)
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(stderr)
        .process_group(0);
    if let Some((uid, gid)) = order.user {
        command.gid(gid).uid(uid);
    }
    // The task inherits the value: set it before, and take it back after.
    if let Some(score) = order.oom_score_adj {
        fs::write("/proc/self/oom_score_adj", score.to_string())
            .map_err(|error| format!("cannot set oom_score_adj to {score}: {error}"))?;
    }
    let child = command.spawn().map_err(|error| {
        format!(
            "cannot run {} in {}: {error}",
            order.program.display(),
            order.work_dir.display()
        )
    })?;
    if order.oom_score_adj.is_some() {
        let _ = fs::write("/proc/self/oom_score_adj", "0");
    }
    let pid = i32::try_from(child.id()).expect("Linux pids are positive i32");
    // Not reaped before `finish`, so its /proc entry is there even when it has exited already.
    let main = ProcessId::of(pid).ok_or("cannot read /proc")?;
    Ok((main, dropped))
}

fn append(path: &Path) -> Result<Stdio, String> {
    let file = OpenOptions::new().append(true).create(true).open(path);
    file.map(Stdio::from)
        .map_err(|error| format!("cannot open {}: {error}", path.display()))
}

/// Lets the agent's pipe close and holds none of its descriptors.
fn detach_output() {
    if let Ok(null) = OpenOptions::new().read(true).write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdin(&null);
        let _ = rustix::stdio::dup2_stdout(&null);
        let _ = rustix::stdio::dup2_stderr(&null);
    }
}

fn finish(mut record: Record, file: &RecordFile) {
    let status = loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid.as_raw_nonzero().get() == record.main.pid => break status,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            // Only possible when somebody else reaped the task: then nobody knows how it ended.
            Err(_) => return,
        }
    };
    kill_leftovers(record.main.pid);
    record.exit = Some(Status::of(status));
    // A full disk must not make a batch task run twice: keep trying for a while.
    let deadline = Instant::now() + Duration::from_secs(600);
    while file.write(&record).is_err() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_secs(1));
    }
}

impl Status {
    fn of(status: WaitStatus) -> Self {
        let signal = status.terminating_signal().unwrap_or(0);
        let code = status.exit_status().unwrap_or(128 + signal);
        Self {
            code,
            signal,
            time_ms: wall_clock_ms(),
        }
    }
}

/// Kills what the task left behind: its process group, and whoever left that and was orphaned to us.
fn kill_leftovers(group: i32) {
    if let Some(group) = Pid::from_raw(group) {
        let _ = rustix::process::kill_process_group(group, Signal::KILL.raw());
    }
    let deadline = Instant::now() + REAP;
    while Instant::now() < deadline {
        for pid in children() {
            let _ = rustix::process::kill_process(pid, Signal::KILL.raw());
        }
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some(_)) => {}
            Ok(None) => std::thread::sleep(Duration::from_millis(5)),
            Err(_) => return,
        }
    }
}

fn children() -> Vec<Pid> {
    let me = rustix::process::getpid().as_raw_nonzero();
    let text = fs::read_to_string(format!("/proc/self/task/{me}/children")).unwrap_or_default();
    text.split_ascii_whitespace()
        .filter_map(|pid| Pid::from_raw(pid.parse().ok()?))
        .collect()
}
