//! What must hold after every step, and what must have come true in the end (ARCHITECTURE section 6 of the design).

use std::collections::{BTreeMap, BTreeSet};

use holdfast_agent_core::TaskRef;
use holdfast_coordinator_core::State;
use holdfast_shared::id::{AllocId, NodeId};
use holdfast_shared::model::{ClientStatus, DesiredStatus};
use holdfast_shared::time::{Duration, Timestamp};
use holdfast_shared::wire::Held;

use crate::host::Host;
use crate::world::World;

/// How long a fleet without faults may take to converge: restarts that were delayed to their cap come to an end.
pub(crate) const CONVERGENCE: Duration = Duration::from_secs(3 * 3600);

/// A broken invariant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Its name: `S1` to `S11`.
    pub name: &'static str,
    /// When it broke, since the beginning of the story.
    pub at: Timestamp,
    /// What is wrong.
    pub text: String,
}

/// What has to be remembered to judge the next step.
#[derive(Debug, Default)]
pub(crate) struct Invariants {
    held: BTreeMap<NodeId, Held>,
    generations: BTreeMap<NodeId, u64>,
    found: Vec<(&'static str, String)>,
}

impl Invariants {
    /// S1: no task stops without cause. The only cause in these stories is that the coordinator does not want the
    /// allocation (any more), durably.
    pub(crate) fn on_stop(&mut self, state: &State, durable: &State, task: &TaskRef) {
        let wanted = |state: &State| {
            state
                .allocs
                .get(&task.alloc)
                .is_some_and(|alloc| alloc.desired == DesiredStatus::Run)
        };
        if wanted(state) && wanted(durable) {
            let client = durable.allocs[&task.alloc].client;
            self.found.push((
                "S1",
                format!("{task} is stopped although it should run (client status {client})"),
            ));
        }
    }

    /// S1 again: nothing is destroyed that should run.
    pub(crate) fn destroyed(&mut self, host: &Host, id: AllocId) {
        let alloc = host.durable.allocs.get(&id);
        if alloc.is_some_and(|alloc| alloc.desired == DesiredStatus::Run && !alloc.client.is_terminal()) {
            self.found.push((
                "S1",
                format!("alloc {} is destroyed although it should run", id.short()),
            ));
        }
    }
}

impl World {
    pub(crate) fn check_invariants(&mut self) {
        let mut found = std::mem::take(&mut self.invariants.found);
        self.generations_never_go_back(&mut found);
        if self.outcome.events.is_multiple_of(16) {
            self.nodes_are_never_overcommitted(&mut found);
        }
        let at = self.now;
        self.outcome
            .violations
            .extend(found.into_iter().map(|(name, text)| Violation { name, at, text }));
    }

    /// S2, on both sides.
    fn generations_never_go_back(&mut self, found: &mut Vec<(&'static str, String)>) {
        for (id, device) in &self.devices {
            let held = device.store.held;
            let before = self.invariants.held.insert(*id, held).unwrap_or_default();
            if held < before {
                found.push((
                    "S2",
                    format!("{} held {before:?} and now holds {held:?}", id.short()),
                ));
            }
        }
        for (id, node) in &self.host.durable.nodes {
            let before = self
                .invariants
                .generations
                .insert(*id, node.generation)
                .unwrap_or(0);
            if node.generation < before {
                found.push((
                    "S2",
                    format!(
                        "generation of {} went from {before} to {}",
                        id.short(),
                        node.generation
                    ),
                ));
            }
        }
    }

    /// S6: what is placed on a node fits, ports included.
    fn nodes_are_never_overcommitted(&self, found: &mut Vec<(&'static str, String)>) {
        let state = self.host.state();
        for (id, node) in &state.nodes {
            let live = state.allocs_of_node(*id).filter(|alloc| !alloc.is_terminal());
            let mut ports = BTreeSet::new();
            let (mut cpu, mut memory) = (0, 0);
            for alloc in live {
                cpu += alloc.resources.cpu_mhz();
                memory += alloc.resources.memory_mb();
                for port in &alloc.ports {
                    if !ports.insert(port.value) {
                        found.push((
                            "S6",
                            format!("port {} of {} is given out twice", port.value, id.short()),
                        ));
                    }
                }
            }
            let has = &node.fingerprint.resources;
            if cpu > has.cpu_mhz || memory > has.memory_mb {
                found.push((
                    "S6",
                    format!("{} is overcommitted: {cpu} MHz, {memory} MB", id.short()),
                ));
            }
        }
    }

    /// S10 and S11: what was promised is there, and the world is as the operator wants it.
    pub(crate) fn check_convergence(&mut self) {
        let mut found = Vec::new();
        self.promises_are_kept(&mut found);
        self.jobs_run_as_wanted(&mut found);
        self.boxes_run_what_is_wanted(&mut found);
        let at = self.now;
        self.outcome
            .violations
            .extend(found.into_iter().map(|(name, text)| Violation { name, at, text }));
    }

    fn promises_are_kept(&self, found: &mut Vec<(&'static str, String)>) {
        for wish in self.operator.promised.values() {
            if self.operator.unanswered.contains_key(&wish.key) {
                continue;
            }
            let Some(job) = self.host.durable.jobs.get(&wish.key) else {
                if wish.stopped {
                    // A stopped job is collected in the end.
                    continue;
                }
                found.push(("S10", format!("{} was acknowledged and is gone", wish.key)));
                continue;
            };
            let count = job.groups().first().map_or(0, |group| group.count());
            if job.is_stopped() != wish.stopped || (!wish.stopped && count != wish.count) {
                found.push((
                    "S10",
                    format!("{}: acknowledged {wish:?}, found count {count}", wish.key),
                ));
            }
        }
    }

    fn jobs_run_as_wanted(&self, found: &mut Vec<(&'static str, String)>) {
        let state = self.host.state();
        for (key, job) in &state.jobs {
            let running: Vec<_> = state
                .allocs_of_job(key)
                .filter(|alloc| alloc.desired == DesiredStatus::Run && alloc.client == ClientStatus::Running)
                .collect();
            let wanted = if job.is_stopped() {
                0
            } else {
                job.groups()[0].count()
            };
            if running.len() != wanted {
                let all: Vec<String> = state
                    .allocs_of_job(key)
                    .filter(|alloc| !alloc.is_terminal())
                    .map(|alloc| {
                        let agent = self.devices.get(&alloc.node).and_then(|device| device.agent());
                        let record = agent.and_then(|agent| agent.alloc(alloc.id));
                        let phases =
                            record.map(|it| it.tasks.values().map(|task| task.phase).collect::<Vec<_>>());
                        format!(
                            "{} {}/{} (tasks: {phases:?})",
                            alloc.name, alloc.desired, alloc.client
                        )
                    })
                    .collect();
                let text = format!(
                    "{key} v{} runs {} of {wanted}: {all:?}",
                    job.version(),
                    running.len()
                );
                found.push(("S11", text));
            }
            if let Some(old) = running.iter().find(|alloc| alloc.job_version != job.version()) {
                let text = format!(
                    "{} still runs version {} of {}",
                    old.name,
                    old.job_version,
                    job.version()
                );
                found.push(("S11", text));
            }
        }
        for (id, node) in &state.nodes {
            if node.status != holdfast_shared::model::NodeStatus::Ready {
                found.push(("S11", format!("node {} is {}", id.short(), node.status)));
            }
        }
    }

    /// What runs on the boxes is exactly what the coordinator believes, and everybody has heard everything.
    fn boxes_run_what_is_wanted(&self, found: &mut Vec<(&'static str, String)>) {
        let state = self.host.state();
        for (node, device) in &self.devices {
            for task in device.running() {
                let wanted = state.allocs.get(&task.alloc).is_some_and(|alloc| {
                    alloc.desired == DesiredStatus::Run && alloc.node == *node && !alloc.client.is_terminal()
                });
                if !wanted {
                    found.push((
                        "S11",
                        format!("{task} runs on {} and nobody wants it", node.short()),
                    ));
                }
            }
            let depth = device.agent().map_or(0, |agent| agent.outbox_depth());
            if depth > 0 {
                found.push((
                    "S11",
                    format!("{} has {depth} reports that nobody acknowledged", node.short()),
                ));
            }
        }
        for alloc in state
            .allocs
            .values()
            .filter(|it| it.client == ClientStatus::Running)
        {
            let runs = self
                .devices
                .get(&alloc.node)
                .is_some_and(|device| device.running().any(|task| task.alloc == alloc.id));
            if !runs {
                found.push((
                    "S11",
                    format!("{} is reported running and does not run", alloc.name),
                ));
            }
        }
    }
}
