//! Stories in several steps, told to a whole coordinator: nodes that come and go, and what becomes of allocations.
//!
//! The agents here do what they are told at once. Allocations are called `a`, `b`, `c` in the order in which they were
//! placed, nodes `n1`, `n2`, `n3`.

use holdfast_shared::id::{AllocId, NodeId};
use holdfast_shared::model::{Job, Task, TaskGroup};
use holdfast_shared::time::Duration;
use serde_json::{Value, json};

use super::build;
use super::check::Check;
use super::region::{BEGIN, DRIVER, Region};

/// What every node has of everything.
const SIZE: u64 = 4000;

pub(super) fn run(input: &Value, expect: &Value) -> Option<Result<(), String>> {
    let mut story = Story::new(input);
    let mut check = Check::default();
    for step in expect["steps"].as_array()? {
        story.region.until(BEGIN + build::span(&step["at_s"])?);
        let event = step["event"].as_str()?;
        if !story.happen(event) {
            return None;
        }
        story.compare(step, event, &mut check);
    }
    Some(check.verdict())
}

struct Story {
    region: Region,
    job: Job,
}

const FIRST: NodeId = NodeId(1);

impl Story {
    /// Three nodes of equal rank. The first one is alone until the first allocation is placed.
    fn new(input: &Value) -> Self {
        let group = TaskGroup {
            name: Some("web".into()),
            count: input["count"].as_i64(),
            disconnect: build::disconnect_block(&input["disconnect"]),
            reschedule_policy: build::reschedule_block(&input["reschedule"]),
            services: Some(vec![holdfast_shared::model::Service {
                name: "edge".into(),
                ..Default::default()
            }]),
            tasks: Some(vec![Task {
                name: "main".into(),
                driver: DRIVER.into(),
                ..Task::default()
            }]),
            ..TaskGroup::default()
        };
        let mut job = Job {
            id: Some("edge".into()),
            task_groups: Some(vec![group].into()),
            ..Job::default()
        };
        job.canonicalize();
        let mut region = Region::new(true);
        region.connect(FIRST, SIZE);
        let mut story = Self { region, job };
        story.register();
        story.region.settle();
        story.region.connect(NodeId(2), SIZE);
        story.region.settle();
        story
    }

    /// Makes happen what the step says; `false` when the words are unknown.
    fn happen(&mut self, event: &str) -> bool {
        match event {
            "deploy" | "reschedule follow-up eval" | "replacement" | "b starts" => {}
            "heartbeat missed" | "n1 misses its heartbeat" => self.region.disconnect(FIRST),
            "n1 heartbeats again" | "n1 returns" => self.region.connect(FIRST, SIZE),
            _ if event.starts_with("job v1 registered") => {
                let group = &mut self
                    .job
                    .task_groups
                    .iter_mut()
                    .flatten()
                    .next()
                    .expect("it has one group");
                let task = &mut group.tasks.iter_mut().flatten().next().expect("it has one task");
                task.env = Some([("VERSION".to_owned(), "1".to_owned())].into());
                self.register();
            }
            _ => return false,
        }
        // What agents answer takes no time here.
        self.region.until(self.region.now + Duration::from_secs(1));
        true
    }

    fn compare(&self, step: &Value, event: &str, check: &mut Check) {
        let state = self.region.state();
        let allocs = self.region.allocs();
        let name = |id: AllocId| {
            let at = allocs.iter().position(|alloc| alloc.id == id).unwrap_or(0);
            char::from(b'a' + at as u8).to_string()
        };
        for alloc in &allocs {
            let Some(expected) = step["allocs"][name(alloc.id)].as_str() else {
                continue;
            };
            let mut actual = format!("n{}:{}/{}", { alloc.node.0 }, alloc.desired, alloc.client);
            if expected.contains(" v") {
                actual += &format!(" v{}", alloc.job_version);
            }
            // Agents here start what they are told before anybody can look.
            let started = expected.replace("/pending", "/running");
            if expected != actual && started != actual {
                check.fail(format!(
                    "{event}: {} is {actual} instead of {expected}",
                    name(alloc.id)
                ));
            }
        }
        for (node, expected) in step["node"].as_object().into_iter().flatten() {
            let id = node.trim_start_matches('n').parse().map(NodeId).unwrap_or(FIRST);
            let actual = state.nodes.get(&id).map_or("gone", |node| node.status.as_str());
            if !expected
                .as_str()
                .is_some_and(|expected| expected.ends_with(actual))
            {
                check.fail(format!("{event}: {node} is {actual} instead of {expected}"));
            }
        }
        let listed = state
            .services
            .values()
            .map(|service| json!(name(service.alloc)))
            .collect();
        let wanted = json!({ "services": step.get("services_listed") });
        check.set(&wanted, "services", listed);
        for (alloc, kind) in step["task_events_appended_on"].as_object().into_iter().flatten() {
            let appended = self.region.reconnected.iter().any(|id| name(*id) == *alloc);
            if kind != "Reconnected" || !appended {
                check.fail(format!("{event}: {alloc} was not told that it has reconnected"));
            }
        }
    }

    fn register(&mut self) {
        self.region.register(&self.job).expect("the job is valid");
    }
}
