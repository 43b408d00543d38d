//! The load process as a test or a measurement holds it.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::LoadPlan;
use crate::machine::Machine;
use crate::process::binary;
use crate::wait::wait_for;

/// A running load process; it ends with this value, and its connections break off as in a power cut.
#[derive(Debug)]
pub struct Load {
    child: Child,
    latest: Arc<Mutex<Vec<Figures>>>,
    nodes: usize,
}

/// How far the nodes had come at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Time since the process began to connect.
    pub elapsed: Duration,
    /// Nodes with a connection now.
    pub connected: usize,
    /// Nodes of which the coordinator has confirmed a report.
    pub registered: usize,
    /// Nodes that were given an allocation.
    pub assigned: usize,
    /// Nodes whose first allocation has run.
    pub running: usize,
    /// Connections made so far, by all nodes together.
    pub connections: usize,
}

impl Load {
    /// Starts the process on this computer, for a broker on its loopback.
    ///
    /// # Errors
    /// When it has not been built.
    pub fn start(plan: &LoadPlan) -> anyhow::Result<Self> {
        Self::spawn(Command::new(binary("holdfast-load")?), plan)
    }

    /// Starts the process on a machine of a fleet.
    ///
    /// # Errors
    /// When it has not been built.
    pub fn start_on(machine: &Machine, plan: &LoadPlan) -> anyhow::Result<Self> {
        Self::spawn(machine.command(binary("holdfast-load")?), plan)
    }

    fn spawn(mut command: Command, plan: &LoadPlan) -> anyhow::Result<Self> {
        command
            .args([plan.broker.to_string(), plan.nodes.to_string()])
            .args([plan.keep_alive.as_secs().to_string(), plan.seed.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot start the load process")?;
        let output = child.stdout.take().expect("it was asked for above");
        let latest = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&latest);
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let figures = Figures::of(&line);
                let mut heard = heard.lock().expect("nobody panics while holding it");
                heard.extend(figures);
            }
        });
        Ok(Self {
            child,
            latest,
            nodes: plan.nodes,
        })
    }

    /// How far the nodes have come.
    ///
    /// # Panics
    /// Never: nobody panics while holding the lock.
    pub fn figures(&self) -> Figures {
        let heard = self.latest.lock().expect("nobody panics while holding it");
        heard.last().copied().unwrap_or_default()
    }

    /// Waits until `count` says that every node has come so far; answers after how long that was.
    ///
    /// # Errors
    /// With how far they had come after `deadline`.
    pub fn await_all(
        &self,
        what: &str,
        deadline: Duration,
        count: impl Fn(&Figures) -> usize,
    ) -> anyhow::Result<Duration> {
        wait_for(&format!("every node to be {what}"), deadline, || {
            let heard = self.latest.lock().expect("nobody panics while holding it");
            let first = heard.iter().find(|figures| count(figures) >= self.nodes);
            let last = heard.last();
            Ok(first
                .with_context(|| format!("of {} nodes: {last:?}", self.nodes))?
                .elapsed)
        })
    }

    /// Ends the process at once.
    ///
    /// # Errors
    /// When it had ended before.
    pub fn stop(mut self) -> anyhow::Result<()> {
        ensure!(
            self.child.try_wait()?.is_none(),
            "the load process had ended before"
        );
        Ok(())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // Its end is the closing of its standard input: it may be on another machine, out of a signal's reach.
        drop(self.child.stdin.take());
        drop(self.child.wait());
    }
}

impl Figures {
    fn of(line: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(line).ok()?;
        let of = |name: &str| value[name].as_u64().and_then(|it| usize::try_from(it).ok());
        Some(Self {
            elapsed: Duration::from_millis(value["ms"].as_u64()?),
            connected: of("connected")?,
            registered: of("registered")?,
            assigned: of("assigned")?,
            running: of("running")?,
            connections: of("connections")?,
        })
    }
}
