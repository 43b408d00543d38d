//! A coordinator with its nodes, and what an operator does with them.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::edgectl::{Printed, Row, table};
use crate::{Agent, AgentPlan, Coordinator, CoordinatorPlan, Fleet, Image, STAND_IN_IMAGES, wait_for};
use anyhow::{Context as _, anyhow, ensure};

/// Longest wait for anything that the fleet does by itself.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// How soon a node that is cut off has to be noticed: one and a half keep-alives of a second, a second of grace, and
/// what a busy computer adds.
pub const DETECTION: Duration = Duration::from_secs(6);

/// The image of our own job files.
pub const HELLO: &[Image] = STAND_IN_IMAGES.last_chunk::<1>().expect("there is one");

/// A coordinator and its nodes on one fleet.
pub struct Site {
    // Dropped before the coordinator that they talk to.
    /// The nodes, in the order of their plans.
    pub agents: Vec<Agent>,
    /// Where they belong.
    pub coordinator: Coordinator,
}

impl Site {
    /// Starts a coordinator and, side by side, an agent for each plan; waits until all nodes are ready.
    pub fn start(fleet: &Fleet, plans: Vec<AgentPlan>) -> anyhow::Result<Self> {
        Self::start_with(fleet, CoordinatorPlan::default(), plans)
    }

    /// As [`Site::start`], with a coordinator that is told more.
    pub fn start_with(fleet: &Fleet, plan: CoordinatorPlan, plans: Vec<AgentPlan>) -> anyhow::Result<Self> {
        let mut site = Self {
            agents: Vec::new(),
            coordinator: Coordinator::start(fleet, plan)?,
        };
        let coordinator = &site.coordinator;
        let started: Vec<anyhow::Result<Agent>> = std::thread::scope(|scope| {
            let start = |plan| scope.spawn(move || Agent::start(fleet, coordinator, plan));
            let threads: Vec<_> = plans.into_iter().map(start).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|_| Err(anyhow!("panicked"))))
                .collect()
        });
        site.agents = started.into_iter().collect::<anyhow::Result<_>>()?;
        for agent in &site.agents {
            agent.await_status(&site.coordinator, "ready", PATIENCE)?;
        }
        Ok(site)
    }

    /// Runs `edgectl` beside the coordinator; it has to succeed.
    pub fn edgectl(&self, args: &[&str]) -> anyhow::Result<String> {
        self.coordinator.edgectl()?.run(args)
    }

    /// Runs `edgectl` beside the coordinator, however it ends.
    pub fn try_edgectl(&self, args: &[&str]) -> anyhow::Result<Printed> {
        self.coordinator.edgectl()?.try_run(args)
    }

    /// Registers a job from text and waits for the end of its deployment.
    pub fn run_job(&self, text: &str) -> anyhow::Result<String> {
        let file = self.write_job(text)?;
        self.edgectl(&["job", "run", &file.to_string_lossy()])
    }

    /// Registers a job from text without waiting for anything.
    pub fn submit_job(&self, text: &str) -> anyhow::Result<String> {
        let file = self.write_job(text)?;
        self.edgectl(&["job", "run", "-detach", &file.to_string_lossy()])
    }

    /// Writes a job file to the coordinator's machine.
    pub fn write_job(&self, text: &str) -> anyhow::Result<PathBuf> {
        let file = self.coordinator.machine.dir().join("job.nomad.hcl");
        fs::write(&file, text)?;
        Ok(file)
    }

    /// The allocations of a job, newest first, as `job status` shows them.
    pub fn allocations(&self, job: &str) -> anyhow::Result<Vec<Row>> {
        table(&self.edgectl(&["job", "status", job])?, "ID")
    }

    /// Waits until the allocations of a job satisfy `check`, and returns them.
    pub fn await_allocations(
        &self,
        job: &str,
        what: &str,
        check: impl Fn(&[Row]) -> bool,
    ) -> anyhow::Result<Vec<Row>> {
        wait_for(what, PATIENCE, || {
            let rows = self.allocations(job)?;
            ensure!(check(&rows), "{}", shown(&rows));
            Ok(rows)
        })
    }

    /// The only allocation of a job, once it runs.
    pub fn await_only_running(&self, job: &str) -> anyhow::Result<Row> {
        let mut rows = self.await_allocations(job, "one running allocation", |rows| {
            rows.len() == 1 && rows[0]["Status"] == "running"
        })?;
        Ok(rows.remove(0))
    }

    /// The allocation `id` as it is now.
    pub fn allocation(&self, job: &str, id: &str) -> anyhow::Result<Row> {
        let rows = self.allocations(job)?;
        rows.iter()
            .find(|row| row["ID"] == id)
            .cloned()
            .with_context(|| format!("{id} is not in {}", shown(&rows)))
    }

    /// Waits until allocation `id` has this status, and returns it.
    pub fn await_status(&self, job: &str, id: &str, status: &str) -> anyhow::Result<Row> {
        wait_for(&format!("allocation {id} to be {status}"), PATIENCE, || {
            let row = self.allocation(job, id)?;
            ensure!(row["Status"] == status, "it is {}", row["Status"]);
            Ok(row)
        })
    }

    /// `alloc status` of an allocation.
    pub fn alloc_status(&self, id: &str) -> anyhow::Result<String> {
        self.edgectl(&["alloc", "status", id])
    }

    /// Where the instances of a service answer, as `service info` shows them.
    pub fn services(&self, name: &str) -> anyhow::Result<Vec<Row>> {
        table(&self.edgectl(&["service", "info", name])?, "Job ID")
    }

    /// What the server at `address` answers to somebody beside the coordinator.
    pub fn ask(&self, address: &str) -> anyhow::Result<String> {
        let address: SocketAddr = address.parse()?;
        wait_for(&format!("an answer of {address}"), PATIENCE, || {
            let answer = self.coordinator.machine.http_get(address, "/")?;
            ensure!(answer.status == 200, "status {}", answer.status);
            Ok(answer.body)
        })
    }

    /// Index of the agent that runs an allocation.
    pub fn index_of(&self, allocation: &Row) -> anyhow::Result<usize> {
        let nodes = table(&self.edgectl(&["node", "status"])?, "ID")?;
        let node = nodes.iter().find(|node| node["ID"] == allocation["Node ID"]);
        let name = &node.with_context(|| format!("no node {}", allocation["Node ID"]))?["Name"];
        self.agents
            .iter()
            .position(|agent| agent.name() == name)
            .with_context(|| format!("no agent {name}"))
    }

    /// Drops every packet from the coordinator to an agent's machine.
    pub fn cut(&self, index: usize) -> anyhow::Result<()> {
        self.agents[index].machine.cut(&self.coordinator.machine)
    }

    /// Lets packets through again.
    pub fn heal(&self, index: usize) -> anyhow::Result<()> {
        self.agents[index].machine.heal(&self.coordinator.machine)
    }

    /// Cuts off the node of a job's only allocation and waits until that is unknown and a replacement runs; returns
    /// the index of the node's agent and the replacement.
    pub fn cut_off(&self, job: &str, original: &Row) -> anyhow::Result<(usize, Row)> {
        let index = self.index_of(original)?;
        self.cut(index)?;
        let rows =
            self.await_allocations(job, "an unknown allocation and a running replacement", |rows| {
                let status = |id: &str| {
                    rows.iter()
                        .find(|row| row["ID"] == id)
                        .map(|row| row["Status"].as_str())
                };
                status(&original["ID"]) == Some("unknown")
                    && rows.iter().any(|row| row["Status"] == "running")
            })?;
        let replacement = rows.into_iter().find(|row| row["Status"] == "running");
        Ok((index, replacement.context("it was there above")?))
    }
}

/// The allocations in one line each, for messages.
pub fn shown(rows: &[Row]) -> String {
    let one = |row: &Row| {
        format!(
            "{} on {} v{} {}/{}",
            row["ID"], row["Node ID"], row["Version"], row["Desired"], row["Status"]
        )
    };
    rows.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Address of an agent's machine as a text with port.
pub fn address(agent: &Agent, port: u16) -> String {
    SocketAddr::from((agent.address(), port)).to_string()
}

/// The job files of the edge-services document, which lie beside the repository or where `HOLDFAST_SHARED` says.
pub fn document_job(name: &str) -> PathBuf {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let shared = std::env::var_os("HOLDFAST_SHARED").map_or(beside, PathBuf::from);
    shared
        .join("jobspecs/files/hashicorp+learn-nomad-edge/jobs")
        .join(name)
}
