//! What must have come true once the faults are over: S11, and S10 for the last time.

use std::collections::BTreeSet;
use std::sync::Arc;

use holdfast_coordinator_core::State;
use holdfast_shared::id::JobKey;
use holdfast_shared::model::{Allocation, ClientStatus, DesiredStatus, Job, JobType, NodeStatus};
use holdfast_shared::time::{Duration, Timestamp};
use holdfast_shared::wire::KEEP_ALIVES_PER_HEARTBEAT;

use crate::broker::KEEP_ALIVE;
use crate::world::World;

/// The periodic job is launched every hour; the clock may just have been put right.
const LAUNCH: Duration = Duration::from_secs(3600 + 300);

/// What an instance of it takes at most.
const LIFE: Duration = Duration::from_secs(900);

/// How long after the faults every box is in contact again.
const CONTACT: Duration = Duration::from_secs(300);

impl World {
    /// S11: some minutes after the faults, everybody is in contact.
    pub(super) fn check_contact(&mut self) {
        let since = self.now.since(self.faults_end);
        if since >= CONTACT && since < CONTACT + super::TICK {
            self.nodes_are_ready();
        }
    }

    /// The end begins: from now on only keep-alives travel.
    pub(crate) fn quiet(&mut self) {
        self.invariants.quiet = Some(self.messages);
    }

    /// S11 at the end of a story.
    pub(crate) fn check_convergence(&mut self) {
        self.check_promises();
        self.nodes_are_ready();
        self.jobs_run_as_wanted();
        self.boxes_run_what_is_wanted();
        self.meta_is_as_acknowledged();
        self.only_keep_alives_travel();
        self.finish_step();
    }

    fn nodes_are_ready(&mut self) {
        let state = self.host.state();
        let mut found = Vec::new();
        for device in &self.devices[..self.boxes] {
            let status = state.nodes.get(&device.id).map(|node| node.status);
            if status != Some(NodeStatus::Ready) {
                found.push(format!("box-{} is {status:?}", device.number));
            }
        }
        for text in found {
            self.invariants.find("S11", || text);
        }
    }

    fn jobs_run_as_wanted(&mut self) {
        let state = self.host.state();
        let mut found = Vec::new();
        for (key, job) in &state.jobs {
            let wrong = if job.is_stopped() {
                nothing_runs(state, key)
            } else if job.is_template() {
                self.was_launched(job)
            } else if job.parent_id.is_some() {
                nothing_hangs(state, key)
            } else if job.job_type().is_system() {
                self.runs_on_every_box(key, job)
            } else if job.job_type() == JobType::Batch {
                every_part_was_done(state, key, job)
            } else {
                as_many_run(state, key, job)
            };
            if let Some(wrong) = wrong {
                let (version, all) = (job.version(), self.describe_allocations(key));
                let deployment = state
                    .latest_deployment(key)
                    .map(|it| format!("{} {}", it.status.as_str(), it.status_description));
                found.push(format!(
                    "{} v{version} {wrong}: {all:?}; deployment {deployment:?}",
                    key.id
                ));
            }
        }
        for text in found {
            self.invariants.find("S11", || text);
        }
    }

    /// A job that waits for the clock was launched when that was due, and does nothing itself.
    fn was_launched(&self, job: &Job) -> Option<String> {
        let state = self.host.state();
        let key = job.key();
        let children: Vec<_> = state.children_of(&key).collect();
        // While an instance runs, none is launched beside it.
        let ends = children.iter().flat_map(|child| {
            let allocs = state.allocs_of_job(&child.key());
            allocs.map(|alloc| alloc.modify_time).collect::<Vec<_>>()
        });
        let launches = children.iter().filter_map(|it| it.submit_time).map(Timestamp);
        let newest = launches.chain(ends).max();
        let ago = newest.map(|at| self.host.clock.forward(self.now).since(at));
        let is_late = job.periodic.is_some() && ago.is_none_or(|ago| ago > LAUNCH);
        is_late.then(|| format!("was last launched, or done, {ago:?} ago"))
    }

    /// A job for every box is on every box that has room for it.
    fn runs_on_every_box(&self, key: &JobKey, job: &Job) -> Option<String> {
        let state = self.host.state();
        let task = &job.groups().first()?.tasks()[0];
        let (cpu, memory) = (task.resources().cpu_mhz(), task.resources().memory_mb());
        let without = self.devices[..self.boxes].iter().find(|device| {
            let has = state
                .nodes
                .get(&device.id)
                .map(|node| &node.fingerprint.resources);
            let Some(has) = has else { return false };
            let on_it = || {
                state
                    .allocs_of_node(device.id)
                    .filter(|alloc| !alloc.is_terminal())
            };
            let used_cpu: u64 = on_it().map(|alloc| alloc.resources.cpu_mhz()).sum();
            let used_memory: u64 = on_it().map(|alloc| alloc.resources.memory_mb()).sum();
            let has_room = used_cpu + cpu <= has.cpu_mhz && used_memory + memory <= has.memory_mb;
            let is_there = state
                .allocs_of_node(device.id)
                .filter(|alloc| alloc.job == *key)
                .any(|alloc| is_or_was_done(alloc, job));
            has_room && !is_there
        })?;
        Some(format!("is not on {}", self.name_of_box(without.number)))
    }

    fn describe_allocations(&self, key: &JobKey) -> Vec<String> {
        let open = self
            .host
            .state()
            .allocs_of_job(key)
            .filter(|alloc| !alloc.is_terminal());
        open.map(|alloc| {
            let device = self.devices.iter().find(|it| it.id == alloc.node);
            let record = device.and_then(|it| it.agent()?.alloc(alloc.id));
            let phases: Option<Vec<_>> = record.map(|it| it.tasks.values().map(|task| task.phase).collect());
            let (name, on) = (&alloc.name, self.name_of(alloc.node));
            format!(
                "{name} v{} on {on} {} (tasks {phases:?})",
                alloc.job_version, alloc.client
            )
        })
        .collect()
    }

    /// What runs on the boxes is exactly what the coordinator believes, and everybody has heard everything.
    fn boxes_run_what_is_wanted(&mut self) {
        let state = self.host.state();
        let mut found = Vec::new();
        for device in &self.devices {
            let name = self.name_of_box(device.number);
            for task in device.podman.running() {
                let wanted = state.allocs.get(&task.alloc).is_some_and(|alloc| {
                    alloc.desired == DesiredStatus::Run
                        && alloc.node == device.id
                        && !alloc.client.is_terminal()
                });
                if !wanted {
                    found.push(format!("{task} runs on {name} and nobody wants it"));
                }
            }
            let depth = device.agent().map_or(0, |agent| agent.outbox_depth());
            if depth > 0 {
                found.push(format!("{name} has {depth} reports that nobody acknowledged"));
            }
        }
        for alloc in state
            .allocs
            .values()
            .filter(|it| it.client == ClientStatus::Running)
        {
            let runs = self.devices[..self.boxes]
                .iter()
                .filter(|device| device.id == alloc.node)
                .any(|device| device.podman.running().any(|task| task.alloc == alloc.id));
            if !runs {
                found.push(format!("{} is reported running and does not run", alloc.name));
            }
        }
        for text in found {
            self.invariants.find("S11", || text);
        }
    }

    /// No message loops: each box is heard once each keep-alive, and nothing is sent to it.
    fn only_keep_alives_travel(&mut self) {
        let Some(before) = self.invariants.quiet else {
            return;
        };
        let (up, down) = (self.messages.up - before.up, self.messages.down - before.down);
        let beat = KEEP_ALIVE.times(KEEP_ALIVES_PER_HEARTBEAT);
        let each = (super::QUIET.as_secs() / beat.as_secs() + 1) as u64;
        // An instance that the clock launched late is no loop.
        let since = self.host.clock.forward(self.quiet_from()) - LIFE;
        let launched = |job: &Arc<Job>| job.parent_id.is_some() && job.submit_time > Some(since.0);
        if self.host.state().jobs.values().any(launched) {
            return;
        }
        if up > each * self.boxes as u64 || down > 0 {
            self.invariants.find("S11", || {
                format!("{up} messages from and {down} to boxes in quiet times")
            });
        }
    }
}

/// What should run and does.
fn running<'a>(state: &'a State, key: &'a JobKey) -> impl Iterator<Item = &'a Arc<Allocation>> {
    state
        .allocs_of_job(key)
        .filter(|alloc| alloc.desired == DesiredStatus::Run && alloc.client == ClientStatus::Running)
}

fn nothing_runs(state: &State, key: &JobKey) -> Option<String> {
    let count = running(state, key).count();
    (count > 0).then(|| format!("is stopped and runs {count}"))
}

/// An instance of another job ends in its own time, whatever became of its containers.
fn nothing_hangs(state: &State, key: &JobKey) -> Option<String> {
    let hangs = |alloc: &&Arc<Allocation>| !alloc.is_terminal() && alloc.client != ClientStatus::Running;
    let alloc = state.allocs_of_job(key).find(hangs)?;
    Some(format!("has an allocation that is {}", alloc.client))
}

/// A service has its count, in its newest version, and each of its parts once.
fn as_many_run(state: &State, key: &JobKey, job: &Job) -> Option<String> {
    let (count, wanted) = (running(state, key).count(), job.groups()[0].count());
    let old = running(state, key).find(|alloc| alloc.job_version != job.version());
    let mut names = BTreeSet::new();
    let twice = running(state, key).find(|alloc| !names.insert(&alloc.name));
    match old {
        _ if count != wanted => Some(format!("runs {count} of {wanted}")),
        None if twice.is_some() => twice.map(|alloc| format!("runs {} twice", alloc.name)),
        Some(old) => Some(format!("still runs version {} as {}", old.job_version, old.name)),
        None => None,
    }
}

/// Each part of a batch job runs or was done, in the newest version, and no older one runs.
fn every_part_was_done(state: &State, key: &JobKey, job: &Job) -> Option<String> {
    let old = running(state, key).find(|alloc| alloc.job_version != job.version());
    if let Some(old) = old {
        return Some(format!("still runs version {} as {}", old.job_version, old.name));
    }
    (0..job.groups()[0].count())
        .map(|index| format!("{}.g[{index}]", key.id))
        .find(|name| {
            let mut parts = state.allocs_of_job(key).filter(|alloc| *alloc.name == **name);
            !parts.any(|alloc| is_or_was_done(alloc, job))
        })
        .map(|name| format!("has not done {name}"))
}

/// Whether an allocation of the newest version does its work, or has done all of it.
fn is_or_was_done(alloc: &Allocation, job: &Job) -> bool {
    let ends = job.job_type().is_batch();
    alloc.desired == DesiredStatus::Run
        && alloc.job_version == job.version()
        && (alloc.client == ClientStatus::Running || (ends && alloc.client == ClientStatus::Complete))
}
