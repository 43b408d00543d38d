//! What must hold of the coordinator's durable state, change by change: S2, S4, S6, S7, S8.

use std::collections::BTreeSet;
use std::sync::Arc;

use holdfast_coordinator_core::{Delta, Effect, State};
use holdfast_shared::model::{Allocation, ClientStatus, DesiredStatus, Node, NodeStatus};
use holdfast_shared::time::Duration;
use holdfast_shared::wire::KEEP_ALIVES_PER_HEARTBEAT;

use crate::broker::KEEP_ALIVE;
use crate::world::World;

/// Reasons as people read them in the records.
const UPDATED: &str = "alloc is being updated due to job update";
const RECONNECTED: &str = "alloc not needed due to disconnected client reconnect";

type Found = Vec<(&'static str, String)>;

impl World {
    /// One change is about to become durable.
    pub(crate) fn check_delta(&mut self, delta: &Delta) {
        let mut found = Found::new();
        match delta {
            Delta::Node(node) => self.generation_does_not_go_back(node, &mut found),
            Delta::Job(job) if !self.host.durable.jobs.contains_key(&job.key()) => {
                self.invariants.on_new_job(&self.host.durable, job);
            }
            Delta::Allocation(alloc) => {
                let old = self.host.durable.allocs.get(&alloc.id).cloned();
                match &old {
                    Some(old) => {
                        if old.preempted_by.is_none() && alloc.preempted_by.is_some() {
                            self.invariants.pushed_out.insert(alloc.id);
                        }
                        self.nothing_is_lost_too_early(old, alloc, &mut found);
                        newer_versions_live_on(&self.host.durable, old, alloc, &mut found);
                    }
                    None => {
                        only_one_version_is_placed(&self.host.durable, alloc, &mut found);
                        self.invariants.on_new_allocation(&self.host.durable, alloc);
                    }
                }
                self.invariants.touched_nodes.insert(alloc.node);
                self.invariants.touched_deployments.extend(alloc.deployment);
            }
            _ => {}
        }
        self.invariants.found.extend(found);
    }

    /// A commit is durable.
    pub(crate) fn check_commit(&mut self) {
        let mut found = Found::new();
        let state = &self.host.durable;
        for node in std::mem::take(&mut self.invariants.touched_nodes) {
            if let Some(node) = state.nodes.get(&node) {
                nodes_are_never_overcommitted(state, node, &mut found);
            }
        }
        for id in std::mem::take(&mut self.invariants.pushed_out) {
            if let Some(alloc) = state.allocs.get(&id) {
                self.invariants.on_pushed_out(state, alloc);
            }
        }
        for id in std::mem::take(&mut self.invariants.touched_deployments) {
            deployments_keep_their_pace(state, id, &mut found);
        }
        self.invariants.found.extend(found);
    }

    /// S2, on the coordinator's side.
    fn generation_does_not_go_back(&self, node: &Node, found: &mut Found) {
        let before = self
            .host
            .durable
            .nodes
            .get(&node.id)
            .map_or(0, |it| it.generation);
        if node.generation < before {
            let name = self.name_of(node.id);
            found.push((
                "S2",
                format!("generation of {name} goes from {before} to {}", node.generation),
            ));
        }
    }

    /// S4: only a node that is silent, or whose session has ended, is given up. Looked at when it is decided, which may be
    /// long before it is durable.
    pub(crate) fn check_decision(&mut self, effects: &[Effect]) {
        let deltas = effects.iter().filter_map(|effect| match effect {
            Effect::Persist(deltas) => Some(deltas),
            _ => None,
        });
        let mut found = Found::new();
        for delta in deltas.flatten() {
            if let Delta::Node(node) = delta {
                let before = self.invariants.statuses.insert(node.id, node.status);
                if before != Some(node.status) {
                    self.nodes_in_contact_stay(node, before, &mut found);
                }
            }
        }
        self.invariants.found.extend(found);
    }

    fn nodes_in_contact_stay(&self, node: &Node, before: Option<NodeStatus>, found: &mut Found) {
        let gone = |status| matches!(status, NodeStatus::Disconnected | NodeStatus::Down);
        if !gone(node.status) || before.is_none_or(gone) {
            return;
        }
        let now = self.host.clock.forward(self.now);
        let contact = self
            .invariants
            .contacts
            .get(&node.id)
            .copied()
            .unwrap_or_default();
        let silent = now.since(contact.at);
        let beat = if self.broker.is_external {
            KEEP_ALIVES_PER_HEARTBEAT
        } else {
            1
        };
        if !contact.has_ended && silent < Duration(KEEP_ALIVE.0 * beat * 3 / 2) {
            let name = self.name_of(node.id);
            let why = node.events.last().map_or("", |event| event.message.as_str());
            found.push((
                "S4",
                format!("{name} is {} and was heard {silent} ago: {why}", node.status),
            ));
        }
    }

    /// S4: what is out of contact is not lost before its time.
    fn nothing_is_lost_too_early(&self, old: &Allocation, new: &Allocation, found: &mut Found) {
        let state = &self.host.durable;
        let lost = new.client == ClientStatus::Lost && old.client == ClientStatus::Unknown;
        let Some(node) = state.nodes.get(&old.node).filter(|_| lost) else {
            return;
        };
        let group = |job: &Arc<holdfast_shared::model::Job>| {
            Some(job.group(&old.group)?.disconnect_policy().lost_after)
        };
        // The policy may have changed on the way: the shorter one excuses the loss.
        let (ran, current) = (
            state.job_of(old).and_then(group),
            state.jobs.get(&old.job).and_then(group),
        );
        let Some((ran, current)) = ran.zip(current) else {
            return;
        };
        let now = self.host.clock.forward(self.now);
        let since = old.last_unknown().map_or(Duration::ZERO, |(at, _)| now.since(at));
        if since < ran.min(current) && node.status != NodeStatus::Down {
            let text = format!("{} is lost {since} after its node was, and not {ran}", old.name);
            found.push(("S4", text));
        }
    }
}

/// S6: what is placed on a node fits, ports included.
fn nodes_are_never_overcommitted(state: &State, node: &Node, found: &mut Found) {
    let mut ports = BTreeSet::new();
    let (mut cpu, mut memory) = (0, 0);
    for alloc in state.allocs_of_node(node.id).filter(|alloc| !alloc.is_terminal()) {
        cpu += alloc.resources.cpu_mhz();
        memory += alloc.resources.memory_mb();
        for port in &alloc.ports {
            if !ports.insert(port.value) {
                found.push((
                    "S6",
                    format!("port {} of {} is given out twice", port.value, node.name()),
                ));
            }
        }
    }
    let has = &node.fingerprint.resources;
    if cpu > has.cpu_mhz || memory > has.memory_mb {
        found.push((
            "S6",
            format!("{} has to carry {cpu} MHz and {memory} MB", node.name()),
        ));
    }
}

/// S7: when one of two copies ends because of the other, the newer version lives on.
fn newer_versions_live_on(state: &State, old: &Allocation, new: &Allocation, found: &mut Found) {
    let ends = old.desired == DesiredStatus::Run && new.desired != DesiredStatus::Run;
    if !ends || *new.desired_description != *RECONNECTED {
        return;
    }
    let age = |alloc: &Allocation| (alloc.job_create_index, alloc.job_version);
    let survives = state
        .allocs_of_job(&new.job)
        .filter(|it| it.id != new.id && it.name == new.name && !it.is_terminal())
        .any(|it| age(it) >= age(new));
    if !survives {
        found.push((
            "S7",
            format!(
                "{} of version {} ends for an older one",
                new.name, new.job_version
            ),
        ));
    }
}

/// S7: only the current version is placed; while it is only tried, the one before it.
fn only_one_version_is_placed(state: &State, alloc: &Allocation, found: &mut Found) {
    let Some(job) = state.jobs.get(&alloc.job) else {
        return;
    };
    let key = job.key();
    let deployment = state
        .latest_deployment(&key)
        .filter(|it| (it.job_version, it.job_create_index) == (job.version(), job.create_index()));
    let tries = deployment
        .filter(|it| it.status.is_active())
        .and_then(|it| it.groups.get(&alloc.group))
        .is_some_and(|group| group.desired_canaries > 0 && !group.promoted);
    let current = (alloc.job_version, alloc.job_create_index) == (job.version(), job.create_index());
    if !current && !tries {
        let (version, newest) = (alloc.job_version, job.version());
        found.push((
            "S7",
            format!("{} is placed in version {version} of {newest}", alloc.name),
        ));
    }
}

/// S8: no more at a time than the policy says.
fn deployments_keep_their_pace(state: &State, id: holdfast_shared::id::DeploymentId, found: &mut Found) {
    let Some(deployment) = state.deployments.get(&id).filter(|it| it.status.is_active()) else {
        return;
    };
    let Some(job) = state
        .versions
        .get(&(deployment.job.clone(), deployment.job_version))
    else {
        return;
    };
    for (name, group) in &deployment.groups {
        let of_group = || {
            state
                .allocs_of_job(&deployment.job)
                .filter(|it| it.deployment == Some(id) && *it.group == *name && !it.is_terminal())
        };
        // One that is out of contact is replaced, and either may go when it is back.
        let canaries: Vec<_> = of_group()
            .filter(|it| it.canary && it.client != ClientStatus::Unknown)
            .collect();
        let is_new = canaries.iter().any(|it| it.create_index == state.index);
        if is_new && canaries.len() as u64 > group.desired_canaries {
            let (job, most) = (&deployment.job.id, group.desired_canaries);
            let names: Vec<String> = canaries
                .iter()
                .map(|it| format!("{} {}", it.name, it.id.short()))
                .collect();
            let text = format!("{job} has more canaries than {most}: {names:?}");
            found.push(("S8", text));
        }
        let replaces = |alloc: &&Arc<Allocation>| {
            let previous = alloc.previous.get().and_then(|id| state.allocs.get(&id));
            let for_this = alloc.create_index >= deployment.create_index;
            for_this
                && alloc.health.is_none()
                && previous.is_some_and(|it| *it.desired_description == *UPDATED)
        };
        let updating = of_group().filter(|it| !it.canary).filter(replaces).count() as i64;
        let policy = job
            .group(name)
            .and_then(|group| group.update_policy(job.job_type()));
        if let Some(policy) = policy.filter(|policy| updating > policy.max_parallel) {
            let (job, most) = (&deployment.job.id, policy.max_parallel);
            found.push((
                "S8",
                format!("{updating} allocations of {job} are updated at once, and not {most}"),
            ));
        }
    }
}
