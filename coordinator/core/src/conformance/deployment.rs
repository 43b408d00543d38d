//! `deployment.json`: how deployments begin, go on and end, told to a whole coordinator; and what regions do together.

use std::collections::BTreeSet;

use holdfast_shared::id::{AllocId, DeploymentId, JobKey, NodeId};
use holdfast_shared::model::{
    Allocation, ClientStatus, Deployment, DeploymentGroup, Eligibility, Job, Multiregion, MultiregionRegion,
    MultiregionStrategy, Reschedule, Resources, Task, TaskGroup, Update,
};
use holdfast_shared::time::{Duration, Timestamp};
use serde_json::{Map, Value, json};

use super::build;
use super::check::Check;
use super::region::{DRIVER, Region};
use crate::deployment::text;
use crate::multiregion::{self, Regions};
use crate::{Command, DeploymentAction, DrainSpec, JobAction, NodeAction, Refusal, Response, Scale};

pub(super) fn run(kind: &str, input: &Value, expect: &Value) -> Option<Result<(), String>> {
    match kind {
        "sequence" => run_sequence(input, expect),
        "multiregion" => run_multiregion(input, expect),
        "multiregion_interpolation" => run_localize(input, expect),
        _ => None,
    }
}

/// What regions do together.
fn run_multiregion(input: &Value, expect: &Value) -> Option<Result<(), String>> {
    let names: Vec<&str> = input["regions"]
        .as_array()?
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let strategy = MultiregionStrategy {
        max_parallel: input["strategy"]["max_parallel"].as_i64(),
        on_failure: input["strategy"]["on_failure"].as_str().map(str::to_owned),
    };
    let mut regions = Regions::begin(&strategy, names.len());
    let mut check = Check::default();
    let events = input["events"].as_array()?;
    for (at, event) in events.iter().filter_map(Value::as_str).enumerate() {
        let named = |word: &str| names.iter().position(|name| *name == word);
        match event.split(' ').collect::<Vec<_>>().as_slice() {
            ["register", "v2"] => regions.supersede(),
            ["register", ..] => {}
            [name, "completes"] => regions.complete(named(name)?),
            [name, "fails"] => regions.fail(named(name)?, text::DEADLINE),
            ["unblock", name] => regions.unblock(named(name)?),
            _ => return None,
        }
        let expected = &expect["states"][at];
        for (name, (status, why)) in names.iter().zip(regions.states()) {
            let long = expected[name].as_str().is_some_and(|text| text.contains('|'));
            let status = status.as_str();
            let state = if long {
                format!("{status}|{why}")
            } else {
                status.to_owned()
            };
            check.value(expected, name, &json!(state));
        }
    }
    Some(check.verdict())
}

/// Each region's own copy of a job.
fn run_localize(input: &Value, expect: &Value) -> Option<Result<(), String>> {
    let block = |(name, it): (&String, &Value)| MultiregionRegion {
        name: name.clone(),
        count: it["count"].as_i64(),
        datacenters: serde_json::from_value(it["datacenters"].clone()).ok(),
        ..MultiregionRegion::default()
    };
    let group = |(name, count): (&String, &Value)| TaskGroup {
        name: Some(name.clone()),
        count: count.as_i64(),
        ..TaskGroup::default()
    };
    let job = Job {
        datacenters: serde_json::from_value(input["job_datacenters"].clone()).ok(),
        task_groups: input["groups"]
            .as_object()
            .map(|it| it.iter().map(group).collect()),
        multiregion: Some(Multiregion {
            strategy: None,
            regions: Some(input["regions"].as_object()?.iter().map(block).collect()),
        }),
        ..Job::default()
    };
    let mut check = Check::default();
    for region in input["regions"].as_object()?.keys() {
        let mut copy = job.clone();
        multiregion::localize(&mut copy, region);
        let counts = copy
            .groups()
            .iter()
            .map(|it| (it.name().to_owned(), json!(it.count)));
        let seen = if job.task_groups.is_some() {
            Value::Object(counts.collect())
        } else {
            json!(copy.datacenters)
        };
        check.value(expect, region, &seen);
    }
    Some(check.verdict())
}

/// What every node has of everything, but for one that only joins when the story needs it.
const SIZE: u64 = 20_000;

/// Nodes there are from the start.
const NODES: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];
/// A node that joins later.
const LATE: NodeId = NodeId(9);

fn run_sequence(input: &Value, expect: &Value) -> Option<Result<(), String>> {
    let mut story = Story::new(&input["setup"]);
    let events: Vec<&str> = input["events"]
        .as_array()?
        .iter()
        .filter_map(Value::as_str)
        .collect();
    if events.iter().any(|event| event.ends_with("first alloc placed")) {
        story.task_size = 2 * SIZE;
    }
    let mut states = Vec::new();
    for event in &events {
        story.happen(event)?;
        states.extend(story.state.take());
    }
    let mut check = Check::default();
    check.value(expect, "states", &json!(states));
    story.compare(expect, &mut check);
    Some(check.verdict())
}

struct Story<'a> {
    region: Region,
    setup: &'a Value,
    begin: Timestamp,
    /// What one task takes of everything.
    task_size: u64,
    /// The job as it was registered last.
    job: Job,
    /// The deployment that is looked at.
    focus: Option<DeploymentId>,
    /// How many deployments there were before the story began.
    deployments_before: usize,
    /// How many canaries there were before a node drained.
    canaries_before: usize,
    state: Option<Value>,
    refusal: Option<String>,
    /// The version that the last event returned to by itself.
    reverted: Option<u64>,
}

impl<'a> Story<'a> {
    /// Three nodes, and every version of the job before the one that the story is about.
    fn new(setup: &'a Value) -> Self {
        let mut region = Region::new(false);
        for node in NODES {
            region.connect(node, SIZE);
        }
        let mut story = Self {
            begin: region.now,
            region,
            setup,
            task_size: 10,
            job: Job::default(),
            focus: None,
            deployments_before: 0,
            canaries_before: 0,
            state: None,
            refusal: None,
            reverted: None,
        };
        if setup["previous_stable_version"].is_u64() {
            story.register(0, 50);
            story.all_healthy();
            for version in 1..setup["job_version"].as_u64().unwrap_or(0) {
                story.register(version, 50);
            }
        }
        story.begin = story.region.now;
        story.deployments_before = story.region.state().deployments.len();
        story
    }

    fn job_with(&self, content: u64, priority: i64) -> Job {
        let groups = self.setup["groups"].as_object().into_iter().flatten();
        let groups = groups.map(|(name, group)| {
            let size = self.task_size as i64;
            let task = Task {
                name: "main".into(),
                driver: DRIVER.into(),
                env: Some([("VERSION".to_owned(), content.to_string())].into()),
                resources: Some(Resources {
                    cpu: Some(size),
                    ..Resources::default()
                }),
                ..Task::default()
            };
            let exhausted = group["reschedule_attempts_left"] == 0;
            TaskGroup {
                name: Some(name.clone()),
                count: group["count"].as_i64(),
                tasks: Some(vec![task]),
                reschedule_policy: exhausted.then(|| Reschedule {
                    attempts: Some(0),
                    unlimited: Some(false),
                    ..Reschedule::default()
                }),
                update: Some(Update {
                    max_parallel: group["max_parallel"].as_i64(),
                    canary: group["canary"].as_i64(),
                    auto_promote: group["auto_promote"].as_bool(),
                    auto_revert: group["auto_revert"].as_bool(),
                    progress_deadline: build::span(&group["progress_deadline_s"]),
                    healthy_deadline: build::span(&group["healthy_deadline_s"]),
                    ..Update::default()
                }),
                ..TaskGroup::default()
            }
        });
        let mut job = Job {
            id: Some("job".into()),
            priority: Some(priority),
            task_groups: Some(groups.collect()),
            ..Job::default()
        };
        job.canonicalize();
        job
    }

    fn key(&self) -> JobKey {
        self.job.key()
    }

    fn register(&mut self, content: u64, priority: i64) {
        self.job = self.job_with(content, priority);
        self.region.register(&self.job).expect("the job is valid");
        self.region.settle();
    }

    /// The content of the version that the story is about.
    fn content(&self, version: u64) -> u64 {
        if self.setup["spec_differs_from_stable"] == false {
            0
        } else {
            version
        }
    }

    /// Makes happen what the words say; `None` when they are unknown.
    fn happen(&mut self, event: &str) -> Option<()> {
        let timed = event.strip_prefix("t=").and_then(|rest| rest.split_once(' '));
        let (secs, what) = timed.map_or((None, event), |(secs, what)| (secs.parse().ok(), what));
        if let Some(secs) = secs {
            self.region.until(self.begin + Duration::from_secs(secs));
        }
        let versions = self.region.state().versions.len();
        if what.contains("register") {
            self.on_register(what);
        } else {
            self.on_event(what)?;
            // Whatever the operator asks for is seen before it has consequences.
            if what.contains("promote") {
                self.look();
            }
        }
        self.region.settle();
        if !what.contains("promote") {
            self.look();
        }
        let reverted = !what.contains("register") && self.region.state().versions.len() > versions;
        self.reverted = reverted.then(|| self.content_of_current()).flatten();
        Some(())
    }

    fn on_register(&mut self, what: &str) {
        let version = self.setup["job_version"].as_u64().unwrap_or(0);
        let named = what
            .strip_prefix("register v")
            .and_then(|rest| rest.get(..1)?.parse().ok());
        if what.starts_with("re-register") {
            self.all_healthy();
            let job = self.job_with(self.content(version), 50);
            self.job = job;
            self.region.register(&self.job).expect("the job is valid");
            self.region.settle();
            self.all_healthy();
            self.deployments_before = self.region.state().deployments.len();
            self.region.register(&self.job).expect("the job is valid");
        } else if what.contains("placed on one node") {
            self.region.connect(LATE, SIZE);
            self.let_take(&NODES, Eligibility::Ineligible);
            self.register(version, 50);
            self.let_take(&NODES, Eligibility::Eligible);
        } else if what.contains("in-place") {
            self.register(0, 70);
        } else {
            let version = named.unwrap_or(version);
            self.register(self.content(version), 50);
        }
        self.region.settle();
        if self.focus.is_none() && !what.starts_with("re-register") {
            self.focus = self.region.state().latest_deployment(&self.key()).map(|it| it.id);
        }
    }

    fn let_take(&mut self, nodes: &[NodeId], eligibility: Eligibility) {
        for id in nodes {
            let action = NodeAction::SetEligibility(eligibility);
            let command = Command::Node { id: *id, action };
            self.region.command(command).expect("the node is there");
        }
    }

    fn on_event(&mut self, what: &str) -> Option<()> {
        match what {
            "canaries placed" | "nothing else yet" => {}
            "first alloc placed" => self.region.connect(LATE, 4 * SIZE),
            "canary healthy" => self.healthy(1, true),
            "canary healthy, then promote --all" => {
                self.healthy(1, true);
                self.region.settle();
                self.promote();
            }
            "alloc 1 healthy" => self.healthy(1, false),
            "5 canaries healthy" => self.healthy(5, true),
            "promote" | "promote --all" => self.promote(),
            "pause" => self.act(DeploymentAction::Pause),
            "resume" => self.act(DeploymentAction::Resume),
            "progress deadline passes" | "600s without any alloc becoming healthy" => {
                self.region.until(self.region.now + Duration::from_secs(601));
            }
            "1 alloc unhealthy" => {
                let id = self.members().first()?.id;
                self.region.says(id, ClientStatus::Failed, Some(false));
            }
            "set alloc health: 1 unhealthy" => {
                let unhealthy = vec![self.members().first()?.id];
                let healthy = Vec::new();
                self.act(DeploymentAction::SetHealth { healthy, unhealthy });
            }
            "job stop" => {
                let command = Command::DeregisterJob {
                    key: self.key(),
                    purge: false,
                    no_shutdown_delay: false,
                };
                let answer = self.region.command(command);
                self.note(answer);
            }
            "job scale web 5" => {
                let scale = Scale {
                    group: "web".into(),
                    count: Some(5),
                    ..Scale::default()
                };
                let command = Command::Job(self.key(), JobAction::Scale(scale));
                let answer = self.region.command(command);
                self.note(answer);
            }
            "that node drains" => self.drain(),
            _ if what.starts_with("deployment fail") => self.act(DeploymentAction::Fail),
            _ if what.starts_with("fail the deployment of v") => {
                self.focus = self.region.state().latest_deployment(&self.key()).map(|it| it.id);
                self.act(DeploymentAction::Fail);
            }
            _ if what.starts_with("1 of 2") => self.healthy(1, true),
            _ if what.ends_with("healthy") => self.all_healthy(),
            _ => return None,
        }
        Some(())
    }

    fn act(&mut self, action: DeploymentAction) {
        if let Some(id) = self.focus {
            let answer = self.region.command(Command::Deployment { id, action });
            self.note(answer);
        }
    }

    fn note(&mut self, answer: Result<Response, Refusal>) {
        self.refusal = answer.err().map(|refusal| refusal.to_string());
    }

    fn promote(&mut self) {
        self.act(DeploymentAction::Promote { groups: None });
    }

    fn drain(&mut self) {
        self.canaries_before = self.canaries().len();
        let action = NodeAction::Drain {
            spec: Some(DrainSpec {
                deadline: Duration::from_secs(3600),
                ignore_system_jobs: false,
            }),
            mark_eligible: false,
            meta: [].into(),
        };
        let command = Command::Node { id: LATE, action };
        self.region.command(command).expect("the node is there");
    }

    /// The allocations of the deployment that are not over, oldest first.
    fn members(&self) -> Vec<&Allocation> {
        let focus = self.focus.or_else(|| {
            let key = self.key();
            self.region.state().latest_deployment(&key).map(|it| it.id)
        });
        let mut allocs = self.region.allocs();
        allocs.retain(|alloc| alloc.deployment == focus && !alloc.is_terminal());
        allocs
    }

    /// So many allocations that nobody has judged yet become healthy; only canaries, or any.
    fn healthy(&mut self, count: usize, canaries: bool) {
        let undecided = |alloc: &&&Allocation| alloc.health.is_none() && (alloc.canary || !canaries);
        let ids: Vec<AllocId> = self
            .members()
            .iter()
            .filter(undecided)
            .take(count)
            .map(|it| it.id)
            .collect();
        for id in ids {
            self.region.says(id, ClientStatus::Running, Some(true));
        }
    }

    /// Whatever is placed becomes healthy, one after the other, until nothing more is placed.
    fn all_healthy(&mut self) {
        self.region.settle();
        while self.members().iter().any(|alloc| alloc.health.is_none()) {
            self.healthy(1, false);
            self.region.settle();
        }
    }

    fn deployment(&self) -> Option<&Deployment> {
        let all = &self.region.state().deployments;
        all.get(&self.focus?).map(AsRef::as_ref)
    }

    fn look(&mut self) {
        let state = self
            .deployment()
            .map(|it| json!({ "status": it.status.as_str(), "description": it.status_description }));
        self.state = state;
    }

    /// The oldest version that is like the current one.
    fn content_of_current(&self) -> Option<u64> {
        let key = self.key();
        let current = self.region.state().jobs.get(&key)?;
        let mut versions = self.region.state().versions_of_job(&key);
        let like = versions.find(|job| job.specification() == current.specification())?;
        (like.version() != current.version()).then(|| like.version())
    }

    /// Every canary that was placed for the deployment.
    fn canaries(&self) -> Vec<&Allocation> {
        let groups = self.deployment().into_iter().flat_map(|it| it.groups.values());
        let placed: BTreeSet<AllocId> = groups.flat_map(|group| group.placed_canaries.clone()).collect();
        let mut allocs = self.region.allocs();
        allocs.retain(|alloc| placed.contains(&alloc.id));
        allocs
    }

    fn compare(&self, expect: &Value, check: &mut Check) {
        let state = self.region.state();
        let key = self.key();
        let current = state.jobs.get(&key).map_or(0, |job| job.version());
        let version = self.deployment().map_or(0, |it| it.job_version);
        let stable = |version: u64| {
            let job = state.versions.get(&(key.clone(), version));
            job.is_some_and(|job| job.stable == Some(true))
        };
        let allocs = self.region.allocs();
        let is_old = |it: &&&Allocation| it.job_version < version;
        let old = |stopped: bool| {
            let old = allocs.iter().filter(is_old);
            old.filter(|it| it.is_server_terminal() == stopped).count()
        };
        let canaries = self.canaries();
        let stopped = canaries.iter().filter(|it| it.is_server_terminal()).count();
        let stable_versions: Vec<u64> = (0..=current).filter(|it| stable(*it)).collect();
        let facts = json!({
            "version_stable": stable(version),
            "created": state.deployments.len() > self.deployments_before,
            "reverted_to": self.reverted,
            "new_job_version": current,
            "stopped_old": old(true),
            "left_old": old(false),
            "stopped_canaries": stopped,
            "canaries_stopped": stopped,
            "canaries_placed": canaries.len() - self.canaries_before,
            "stable_versions": stable_versions,
        });
        let groups = self.deployment().and_then(|it| it.groups.values().next());
        let facts = facts.as_object().cloned().unwrap_or_default();
        let facts: Map<String, Value> = facts.into_iter().chain(self.of_group(groups)).collect();
        for (fact, value) in &facts {
            check.value(expect, fact, value);
        }
        if let Some(text) = expect["error"].as_str() {
            let refusal = self.refusal.as_deref().unwrap_or("nothing was refused");
            if !refusal.contains(text) {
                check.fail(format!("error: expected {text:?}, got {refusal:?}"));
            }
        }
        let names = |stopped: bool| -> BTreeSet<&str> {
            let some = canaries.iter().filter(|it| it.is_server_terminal() == stopped);
            some.map(|it| &*it.name).collect()
        };
        if expect["canaries_placed"].is_u64() && names(true) != names(false) {
            check.fail("canaries were placed under other names");
        }
    }

    fn of_group(&self, group: Option<&DeploymentGroup>) -> Map<String, Value> {
        let by = group.map(|group| group.require_progress_by.since(self.begin).as_secs());
        let facts = json!({
            "require_progress_by_s": by,
            "promoted": group.map(|group| group.promoted),
            "desired_canaries": group.map(|group| group.desired_canaries),
        });
        facts.as_object().cloned().unwrap_or_default()
    }
}
