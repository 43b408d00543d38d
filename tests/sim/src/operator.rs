//! The operator: registers jobs, changes and stops them, whatever else happens.

use std::collections::BTreeMap;

use holdfast_coordinator_core::{Command, Input, Refusal, RequestId, Response};
use holdfast_shared::id::JobKey;
use holdfast_shared::model::Job;
use holdfast_shared::time::Duration;
use serde_json::json;

use crate::world::{Event, World};

/// Jobs of a story.
const JOBS: usize = 4;

/// What the operator wants, and what was promised to them.
#[derive(Debug, Default)]
pub(crate) struct Operator {
    requests: u64,
    asked: BTreeMap<RequestId, Wish>,
    /// The newest wish per job that the coordinator acknowledged: it must never be lost.
    pub(crate) promised: BTreeMap<JobKey, Wish>,
    /// Wishes without an answer: they may or may not have come true.
    pub(crate) unanswered: BTreeMap<JobKey, u64>,
}

/// What the operator wants of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) key: JobKey,
    pub(crate) count: usize,
    pub(crate) stopped: bool,
    /// Distinguishes versions.
    pub(crate) mark: u64,
}

impl Operator {
    /// The coordinator died: what it had not answered is open.
    pub(crate) fn on_crash(&mut self) {
        for wish in std::mem::take(&mut self.asked).into_values() {
            *self.unanswered.entry(wish.key).or_default() += 1;
        }
    }
}

impl World {
    /// The operator acts, and will again.
    pub(crate) fn operate(&mut self) {
        if self.now < self.faults_end {
            let pause = self.random.millis(60_000, 3_600_000);
            self.at(pause, Event::Operate);
            if self.host.is_up() {
                self.wish();
            }
        }
    }

    fn wish(&mut self) {
        let number = self.random.below(JOBS as u64);
        let key = JobKey::new("default", format!("job-{number}"));
        self.operator.requests += 1;
        let mark = self.operator.requests;
        let known = self
            .host
            .state()
            .jobs
            .get(&key)
            .is_some_and(|job| !job.is_stopped());
        let stopped = known && self.random.chance(15);
        let count = 1 + self.random.below(3) as usize;
        let wish = Wish {
            key: key.clone(),
            count,
            stopped,
            mark,
        };
        let command = if stopped {
            Command::DeregisterJob {
                key,
                purge: false,
                no_shutdown_delay: false,
            }
        } else {
            let mut job = job(number, count, mark);
            job.canonicalize();
            Command::RegisterJob {
                job: Box::new(job),
                check_index: None,
                preserve_counts: false,
                eval_priority: None,
            }
        };
        self.tell(|| format!("operator wants {wish:?}"));
        let request = RequestId(mark);
        self.operator.asked.insert(request, wish);
        self.coordinator_input(Input::Command(request, command));
    }

    pub(crate) fn operator_hears(&mut self, request: RequestId, result: Result<Response, Refusal>) {
        if let Some(wish) = self.operator.asked.remove(&request) {
            match result {
                Ok(_) => {
                    self.operator.unanswered.remove(&wish.key);
                    self.operator.promised.insert(wish.key.clone(), wish);
                }
                Err(refusal) => self.tell(|| format!("refused: {refusal}")),
            }
        }
    }
}

/// Jobs differ in what a disconnect means to them.
fn job(number: u64, count: usize, mark: u64) -> Job {
    let hour = Duration::from_secs(3600).0;
    let disconnect = match number {
        0 => json!({ "MaxClientDisconnect": hour }),
        1 => json!({ "Disconnect": { "LostAfter": hour / 2 } }),
        2 => json!({}),
        _ => json!({ "Disconnect": { "LostAfter": hour, "Reconcile": "keep_original" } }),
    };
    let ports = if number == 0 {
        json!([{ "Label": "http", "Value": 8080 }])
    } else {
        json!(null)
    };
    let mut group = json!({
        "Name": "g",
        "Count": count,
        "Networks": [{ "ReservedPorts": ports, "DynamicPorts": [{ "Label": "dyn" }] }],
        "Update": { "MinHealthyTime": 1_000_000_000, "MaxParallel": number },
        "Tasks": [{
            "Name": "t",
            "Driver": "podman",
            "Config": { "image": "busybox" },
            "Env": { "MARK": mark.to_string() },
            "Resources": { "CPU": 100, "MemoryMB": 64 },
        }],
    });
    if let (Some(group), Some(more)) = (group.as_object_mut(), disconnect.as_object()) {
        group.extend(more.clone());
    }
    let job = json!({ "ID": format!("job-{number}"), "Type": "service", "Datacenters": ["dc1"], "TaskGroups": [group] });
    serde_json::from_value(job).expect("the operator writes valid jobs")
}
