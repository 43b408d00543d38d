//! What must have come true once the faults are over: S11, and S10 for the last time.

use holdfast_shared::model::{ClientStatus, DesiredStatus, NodeStatus};
use holdfast_shared::time::Duration;
use holdfast_shared::wire::KEEP_ALIVES_PER_HEARTBEAT;

use crate::broker::KEEP_ALIVE;
use crate::world::World;

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
                        let agent = self
                            .devices
                            .iter()
                            .find(|it| it.id == alloc.node)
                            .and_then(|it| it.agent());
                        let record = agent.and_then(|agent| agent.alloc(alloc.id));
                        let phases: Option<Vec<_>> =
                            record.map(|it| it.tasks.values().map(|task| task.phase).collect());
                        let (name, on) = (&alloc.name, self.name_of(alloc.node));
                        format!(
                            "{name} v{} on {on} {} (tasks {phases:?})",
                            alloc.job_version, alloc.client
                        )
                    })
                    .collect();
                let deployment = state
                    .latest_deployment(key)
                    .map(|it| format!("{} {}", it.status.as_str(), it.status_description));
                let (version, count) = (job.version(), running.len());
                found.push(format!(
                    "{} v{version} runs {count} of {wanted}: {all:?}; deployment {deployment:?}",
                    key.id
                ));
            } else if let Some(old) = running.iter().find(|alloc| alloc.job_version != job.version()) {
                let (version, newest) = (old.job_version, job.version());
                found.push(format!("{} still runs version {version} of {newest}", old.name));
            }
        }
        for text in found {
            self.invariants.find("S11", || text);
        }
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
        if up > each * self.boxes as u64 || down > 0 {
            self.invariants.find("S11", || {
                format!("{up} messages from and {down} to boxes in quiet times")
            });
        }
    }
}
