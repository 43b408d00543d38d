//! Once the faults are over: every job gets a version that works, and somebody looks after what waits for a person.

use holdfast_coordinator_core::{Command, DeploymentAction};
use holdfast_shared::id::JobKey;
use holdfast_shared::model::{DeploymentStatus, Eligibility};
use holdfast_shared::time::Duration;

use crate::jobs::{self, JOBS};
use crate::operator::register;
use crate::world::{Event, World};

/// How often the operator looks after things.
const ROUND: Duration = Duration::from_secs(60);

impl World {
    /// One round.
    pub(crate) fn make_peace(&mut self, round: u64) {
        if self.now + ROUND < self.end {
            self.at(ROUND, Event::Peace(round + 1));
        }
        if self.is_fenced() {
            self.tell_of("operator", || {
                "declares the coordinator's state to be the truth".into()
            });
            self.command(Command::AdoptState);
        }
        if round == 1 {
            self.register_what_works();
        }
        self.take_boxes_back();
        if self.host.state().jobs.contains_key(&jobs::key(jobs::RIVAL)) {
            self.send_rival_away();
        }
        self.go_on_with_deployments();
    }

    fn register_what_works(&mut self) {
        for number in 0..JOBS as usize {
            let key = jobs::key(number);
            let known = self.host.state().jobs.get(&key);
            if known.is_none_or(|job| !job.is_stopped()) {
                let count = known.and_then(|job| Some(job.groups().first()?.count()));
                let size = count.map_or(number as u64, |count| count as u64 - 1);
                self.command(register(number, jobs::well(size)));
            }
        }
    }

    fn take_boxes_back(&mut self) {
        let state = self.host.state();
        let takes = |number: &usize| {
            let node = state.nodes.get(&self.devices[*number].id);
            node.is_none_or(|node| node.drain.is_none() && node.eligibility == Eligibility::Eligible)
        };
        let shut: Vec<usize> = (0..self.boxes).filter(|number| !takes(number)).collect();
        for number in shut {
            self.take_back(number);
        }
    }

    fn go_on_with_deployments(&mut self) {
        let state = self.host.state();
        let newest = state.jobs.keys().filter_map(|key| state.latest_deployment(key));
        let open: Vec<(JobKey, DeploymentStatus, bool)> = newest
            .filter(|it| it.status.is_active())
            .map(|it| {
                let mut groups = it.groups.values();
                let waits = groups.any(|group| group.desired_canaries > 0 && !group.promoted);
                (it.job.clone(), it.status, waits)
            })
            .collect();
        for (key, status, waits) in open {
            if status == DeploymentStatus::Paused {
                self.act(&key, DeploymentAction::Resume);
            } else if waits {
                self.act(&key, DeploymentAction::Promote { groups: None });
            }
        }
    }

    /// Whether some box holds something newer than the coordinator knows, which only happens to a restored one.
    fn is_fenced(&self) -> bool {
        let state = self.host.state();
        self.devices.iter().filter(|device| device.is_up()).any(|device| {
            let node = state.nodes.get(&device.id);
            node.is_some_and(|node| state.lineage.is_foreign(device.store.held, node.sent_generation))
        })
    }
}
