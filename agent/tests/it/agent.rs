//! The agent's program as a child process, with everything it needs in a directory of its own.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::coordinator::DEADLINE;

/// An agent and its box.
pub(crate) struct Agent {
    dir: TempDir,
    args: Vec<String>,
    /// The network namespace it runs in; the test's own unless given.
    network: Option<PathBuf>,
    child: Option<Child>,
}

impl Agent {
    /// Starts an agent; `args` beside the directories.
    pub(crate) fn start(args: &[String]) -> Self {
        Self::start_in(None, args)
    }

    /// Starts one inside the network namespace at this path.
    pub(crate) fn start_in(network: Option<PathBuf>, args: &[String]) -> Self {
        let mut agent = Self {
            dir: tempfile::tempdir().unwrap(),
            args: args.to_vec(),
            network,
            child: None,
        };
        agent.restart();
        agent
    }

    /// Starts it again, after it has ended.
    pub(crate) fn restart(&mut self) {
        assert!(self.child.is_none(), "it has to end first");
        let log = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.path("agent.log"))
            .unwrap();
        let program = env!("CARGO_BIN_EXE_holdfast-agent");
        let mut command = match &self.network {
            Some(path) => {
                let mut command = Command::new("nsenter");
                command.arg(format!("--net={}", path.display())).arg(program);
                command
            }
            None => Command::new(program),
        };
        command
            .arg(format!("--data-dir={}", self.path("data").display()))
            .arg(format!("--socket={}", self.path("agent.sock").display()))
            .arg("--keep-alive=1s")
            .args(&self.args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        self.child = Some(command.spawn().unwrap());
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path("agent.log")).unwrap_or_default()
    }

    /// Sends a signal and waits for the end.
    pub(crate) fn end(&mut self, signal: Signal) {
        if let Some(mut child) = self.child.take() {
            kill_process(Pid::from_child(&child), signal).unwrap();
            child.wait().unwrap();
        }
    }

    /// What `edgectl local status` would show.
    pub(crate) fn status(&self) -> Option<Value> {
        let mut stream = UnixStream::connect(self.path("agent.sock")).ok()?;
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.write_all(b"{\"command\":\"status\"}\n").ok()?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).ok()?;
        serde_json::from_str(&line).ok()
    }

    /// The status as soon as `wanted` holds of it.
    pub(crate) async fn wait_for(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let status = self.status();
            if let Some(status) = status.as_ref().filter(|status| wanted(status)) {
                return status.clone();
            }
            assert!(
                Instant::now() < deadline,
                "never came: {what}; last {status:#?}\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.end(Signal::KILL);
        // What it ran goes with it: supervisors' records name the processes.
        let records = std::fs::read_dir(self.path("data/drivers/raw_exec"))
            .into_iter()
            .flatten()
            .flatten();
        for record in records {
            let text = std::fs::read_to_string(record.path()).unwrap_or_default();
            let record: Value = serde_json::from_str(&text).unwrap_or_default();
            let pid = record["main"]["pid"]
                .as_i64()
                .and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
            if let Some(pid) = pid.filter(|_| record["exit"].is_null()) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }
}
