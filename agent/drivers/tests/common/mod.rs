//! One agent's drivers over private directories, with its events collected.

#![allow(dead_code, reason = "each test program uses its own part")]
#![allow(
    clippy::unwrap_used,
    reason = "clippy takes only the test functions themselves for tests"
)]

pub(crate) mod edge;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast_drivers::{
    Driver, DriverEvent, Drivers, Exit, LogLimits, NetworkMode, Resources, Settings, TaskId, TaskSpec,
};
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::time::timeout;

/// Longest wait for anything in a test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The directories of one node; they outlive its agents.
pub(crate) struct Node {
    pub(crate) dir: TempDir,
    pub(crate) options: Map<String, Value>,
    pub(crate) driver: &'static str,
}

/// What an agent holds of one driver.
pub(crate) struct Agent {
    pub(crate) driver: Arc<dyn Driver>,
    pub(crate) events: UnboundedReceiver<DriverEvent>,
}

impl Node {
    pub(crate) fn new(driver: &'static str, options: Value) -> Self {
        let options = options.as_object().unwrap().clone();
        Self {
            dir: tempfile::tempdir().unwrap(),
            options,
            driver,
        }
    }

    /// Starts an agent's driver; dropping it is what a restart of the agent looks like from inside.
    pub(crate) fn agent(&self) -> Agent {
        let (sender, events) = mpsc::unbounded_channel();
        let settings = Settings {
            node: "node-1".into(),
            state_dir: self.dir.path().join("state"),
            volatile_dir: self.dir.path().join("run"),
            supervisor: vec![env!("CARGO_BIN_EXE_holdfast-supervise").into()],
            options: [(self.driver.to_owned(), self.options.clone())].into(),
        };
        let drivers = Drivers::build(&settings, &sender).unwrap();
        Agent {
            driver: drivers.find(self.driver).unwrap().clone(),
            events,
        }
    }

    /// A spec of a task with its directories made.
    pub(crate) fn spec(&self, task: &str, config: Value) -> TaskSpec {
        let alloc = self.dir.path().join("alloc-1");
        let spec = TaskSpec {
            id: TaskId {
                alloc: "5f1c9a2e-0000-4000-8000-000000000001".into(),
                task: task.into(),
            },
            job: "web".into(),
            group: "group".into(),
            driver: self.driver.into(),
            config: config.as_object().unwrap().clone(),
            env: [("GREETING".to_owned(), "hello there".to_owned())].into(),
            user: None,
            resources: Resources {
                cpu_mhz: 100,
                cpu_total_mhz: 4000,
                memory_mb: 64,
                ..Resources::default()
            },
            task_dir: alloc.join(task),
            alloc_dir: alloc.join("alloc"),
            secrets_dir: alloc.join(task).join("secrets"),
            log_dir: alloc.join("alloc/logs"),
            logs: LogLimits {
                max_files: 3,
                max_file_size_mb: 1,
                disabled: false,
            },
            ports: vec![],
            network: NetworkMode::Host,
            mounts: vec![],
            kill_signal: None,
            kill_timeout: Duration::from_secs(5),
            spec_hash: "spec-1".into(),
        };
        for dir in [&spec.task_dir.join("local"), &spec.secrets_dir, &spec.log_dir] {
            std::fs::create_dir_all(dir).unwrap();
        }
        spec
    }

    pub(crate) fn sh(&self, task: &str, script: &str) -> TaskSpec {
        self.spec(task, json!({"command": "/bin/sh", "args": ["-c", script]}))
    }
}

impl Agent {
    /// The next exit; other events are skipped.
    pub(crate) async fn exit(&mut self) -> Exit {
        let exit = async {
            loop {
                if let DriverEvent::Exited(exit) = self.events.recv().await.expect("the driver lives") {
                    return exit;
                }
            }
        };
        timeout(PATIENCE, exit).await.expect("no exit was reported")
    }

    /// Waits until the driver reports this health.
    pub(crate) async fn healthy(&self, wanted: bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let info = self.driver.fingerprint().await;
            if info.healthy == wanted {
                return;
            }
            assert!(Instant::now() < deadline, "{info:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The exits that have been reported so far.
    pub(crate) fn exits_so_far(&mut self) -> Vec<Exit> {
        let mut exits = Vec::new();
        while let Ok(event) = self.events.try_recv() {
            if let DriverEvent::Exited(exit) = event {
                exits.push(exit);
            }
        }
        exits
    }
}

/// Waits until a predicate holds.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A task's stream over all its files, oldest first.
pub(crate) fn log(spec: &TaskSpec, stream: &str) -> String {
    let name = |index: u32| spec.log_dir.join(format!("{}.{stream}.{index}", spec.id.task));
    let indexes = (0..1000).filter(|index| name(*index).exists());
    indexes
        .map(|index| std::fs::read_to_string(name(index)).unwrap())
        .collect()
}

/// Whether a process runs.
pub(crate) fn is_alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')')
        .next()
        .is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with('Z'))
}

/// A number that a task wrote into a file.
pub(crate) async fn number_in(path: &Path) -> i32 {
    let read = || std::fs::read_to_string(path).ok()?.trim().parse().ok();
    eventually("a task writes its pid", || read().is_some()).await;
    read().unwrap()
}

/// A path inside a task's directory.
pub(crate) fn inside(spec: &TaskSpec, name: &str) -> PathBuf {
    spec.task_dir.join(name)
}
