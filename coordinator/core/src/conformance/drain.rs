//! `drain.json`: which allocations move when, what the flags of an operator mean, and in which order a node empties.

use std::collections::BTreeSet;

use holdfast_shared::id::{AllocId, JobKey, NodeId};
use holdfast_shared::model::{
    AllocHealth, Allocation, ClientStatus, Eligibility, Job, JobType, Node, Task, TaskGroup,
};
use holdfast_shared::time::{Duration, Timestamp};
use serde_json::{Value, json};

use super::build::{self, Ids};
use super::check::Check;
use super::region::{BEGIN, DRIVER, Region};
use crate::drain::GroupTurn;
use crate::{Command, DrainSpec, NodeAction};

pub(super) fn run(kind: &str, input: &Value, expect: &Value) -> Option<Result<(), String>> {
    match kind {
        "group" => Some(run_group(input, expect)),
        "spec" => run_spec(input, expect),
        "order" => run_order(input, expect),
        _ => None,
    }
}

/// The node that drains.
const DRAINING: NodeId = NodeId(1);
/// Another one.
const OTHER: NodeId = NodeId(2);

/// What every node has of everything.
const SIZE: u64 = 10_000;

fn run_group(input: &Value, expect: &Value) -> Result<(), String> {
    let mut ids = Ids::default();
    let listed = input["allocs"].as_array().map(Vec::as_slice).unwrap_or_default();
    let allocs: Vec<Allocation> = listed
        .iter()
        .zip(1..)
        .map(|(it, number)| {
            let mut alloc = build::alloc(it, "web", BEGIN, &mut ids);
            alloc.id = AllocId(number);
            alloc.node = if it["node"] == "draining" { DRAINING } else { OTHER };
            alloc.transition.migrate = it["migrate_marked"] == true;
            alloc.health = (it["health_set"] == true).then_some(AllocHealth {
                healthy: true,
                time: BEGIN,
                modify_index: 1,
            });
            alloc
        })
        .collect();
    let turn = GroupTurn::of(allocs.iter(), &|node| node == DRAINING);
    let kind = JobType::parse(input["job_type"].as_str().unwrap_or_default());
    let count = usize::try_from(input["count"].as_u64().unwrap_or(0)).unwrap_or(0);
    let max_parallel = input["migrate_max_parallel"].as_i64().unwrap_or(1);
    let marked = turn.to_mark(kind.unwrap_or(JobType::Service), count, max_parallel);
    let mut check = Check::default();
    check.value(expect, "mark_for_migration", &json!(marked.len()));
    check.value(expect, "report_migrated", &json!(turn.left));
    check.value(expect, "group_done", &json!(turn.remaining == 0));
    check.verdict()
}

/// A node, and a job of one group on it.
fn node_with(kind: &str, count: i64) -> Region {
    let mut region = Region::new(true);
    region.connect(DRAINING, SIZE);
    if count > 0 {
        region.register(&job(kind, count)).expect("the job is valid");
    }
    region.until(region.now + Duration::from_secs(1));
    region
}

fn job(kind: &str, count: i64) -> Job {
    let task = Task {
        name: "main".into(),
        driver: DRIVER.into(),
        ..Task::default()
    };
    let group = TaskGroup {
        name: Some("g".into()),
        count: (kind != "system").then_some(count),
        tasks: Some(vec![task]),
        ..TaskGroup::default()
    };
    let mut job = Job {
        id: Some(kind.into()),
        kind: Some(kind.into()),
        task_groups: Some(vec![group].into()),
        ..Job::default()
    };
    job.canonicalize();
    job
}

fn drain(region: &mut Region, spec: Option<DrainSpec>, mark_eligible: bool) {
    let action = NodeAction::Drain {
        spec,
        mark_eligible,
        meta: [].into(),
    };
    region
        .command(Command::Node { id: DRAINING, action })
        .expect("the node is there");
}

fn for_secs(secs: i64) -> DrainSpec {
    DrainSpec {
        deadline: Duration::from_secs(secs),
        ignore_system_jobs: false,
    }
}

fn node(region: &Region) -> &Node {
    &region.state().nodes[&DRAINING]
}

/// What the flags of `node drain` ask for (that they ask for it is tested there), and what becomes of that.
fn run_spec(input: &Value, expect: &Value) -> Option<Result<(), String>> {
    let mut region = node_with("batch", 1);
    let mut check = Check::default();
    if input["first"].is_string() {
        let begin = region.now;
        drain(&mut region, Some(for_secs(3600)), false);
        region.until(begin + Duration::from_secs(600));
        drain(&mut region, Some(for_secs(600)), false);
        let strategy = node(&region).drain.as_ref()?;
        let since = |at: Timestamp| json!(at.since(begin).as_secs());
        check.value(expect, "started_at_s", &since(strategy.started_at));
        check.value(expect, "force_deadline_at_s", &since(strategy.force_deadline));
        return Some(check.verdict());
    }
    let flags: BTreeSet<&str> = input["flags"]
        .as_array()?
        .iter()
        .filter_map(Value::as_str)
        .collect();
    if flags.contains("-disable") {
        drain(&mut region, Some(for_secs(3600)), false);
        drain(&mut region, None, !flags.contains("-keep-ineligible"));
        check.value(
            expect,
            "drain",
            &json!(node(&region).drain.is_some().then_some(true)),
        );
    } else {
        let deadline = if flags.contains("-force") {
            Duration(-1)
        } else if flags.contains("-no-deadline") {
            Duration::ZERO
        } else {
            Duration::from_secs(3600)
        };
        let spec = DrainSpec {
            deadline,
            ignore_system_jobs: false,
        };
        drain(&mut region, Some(spec), false);
        let forced = node(&region).drain.is_none();
        region.until(region.now + Duration::from_secs(24 * 3600));
        let infinite = node(&region).drain.is_some();
        check.value(expect, "force_now", &json!(forced));
        check.value(expect, "infinite", &json!(infinite));
        check.value(expect, "deadline_s", &json!(deadline.as_secs()));
        if expect["deadline"] == "negative" && deadline >= Duration::ZERO {
            check.fail(format!("the deadline is {deadline}"));
        }
    }
    let eligible = node(&region).eligibility == Eligibility::Eligible;
    let eligibility = if eligible { "eligible" } else { "ineligible" };
    check.value(expect, "eligibility", &json!(eligibility));
    Some(check.verdict())
}

fn run_order(input: &Value, expect: &Value) -> Option<Result<(), String>> {
    let kinds: Vec<&str> = input["allocs"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    Some(match (input["event"].as_str(), kinds.as_slice()) {
        (None, []) if input["migrate"].is_null() && input["job_type"] == "service" => {
            migrate_defaults(expect)
        }
        (None, []) => empty_node(expect),
        (None, kinds) => phases(kinds, input["ignore_system"] == true, expect),
        (Some("deadline"), _) => deadline(expect),
        (Some("no other eligible node"), _) => nowhere_to_go(expect),
        (Some("job stop (no purge) during drain"), _) => stopped_job(expect),
        _ => return None,
    })
}

/// The allocations of one type of job on the draining node.
fn on_node<'a>(region: &'a Region, kind: &str) -> Vec<&'a Allocation> {
    let allocs = region.allocs().into_iter();
    allocs
        .filter(|alloc| alloc.node == DRAINING && *alloc.job.id == *kind)
        .collect()
}

fn is_marked(region: &Region, kind: &str) -> bool {
    on_node(region, kind).iter().any(|alloc| alloc.transition.migrate)
}

fn still_runs(region: &Region, kind: &str) -> bool {
    on_node(region, kind).iter().any(|alloc| !alloc.is_terminal())
}

/// A node with an allocation of every kind, and another one to go to.
fn mixed(kinds: &[&str]) -> Region {
    let mut region = Region::new(true);
    region.connect(DRAINING, SIZE);
    for kind in kinds {
        region.register(&job(kind, 1)).expect("the job is valid");
    }
    region.until(region.now + Duration::from_secs(1));
    region.connect(OTHER, SIZE);
    region.until(region.now + Duration::from_secs(1));
    region
}

fn phases(kinds: &[&str], ignore_system_jobs: bool, expect: &Value) -> Result<(), String> {
    let mut region = mixed(kinds);
    let mut phases = Vec::new();
    let spec = DrainSpec {
        ignore_system_jobs,
        ..for_secs(3600)
    };
    drain(&mut region, Some(spec), false);
    region.until(region.now + Duration::from_secs(60));
    if !still_runs(&region, "service") && region.allocs().iter().any(|it| it.node == OTHER) {
        phases.push("service migrates per migrate block");
    }
    if kinds.contains(&"batch") {
        if still_runs(&region, "batch") && !is_marked(&region, "system") && node(&region).drain.is_some() {
            phases.push("batch runs on until done or deadline");
        }
        let batch = on_node(&region, "batch")[0].id;
        region.says(batch, ClientStatus::Complete, None);
        region.settle();
    }
    if is_marked(&region, "system") {
        phases.push("system stops last, after no service/batch is left");
    }
    if is_complete(&region) {
        phases.push("node drain complete");
    }
    let mut check = Check::default();
    check.value(expect, "phases", &json!(phases));
    let left: Vec<&str> = kinds
        .iter()
        .copied()
        .filter(|kind| still_runs(&region, kind))
        .collect();
    check.value(expect, "left_running", &json!(left));
    check.verdict()
}

fn is_complete(region: &Region) -> bool {
    let node = node(region);
    let is_last = |text: &str| node.events.last().is_some_and(|event| event.message == text);
    node.drain.is_none() && is_last("Node drain complete")
}

/// What the last event of the node says in addition.
fn event_detail(region: &Region) -> String {
    let Some(event) = node(region).events.last() else {
        return String::new();
    };
    if event.details.is_empty() {
        return format!("{}, no deadline_reached", event.message);
    }
    let details = event
        .details
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    format!(
        "{}, detail {}",
        event.message,
        details.collect::<Vec<_>>().join(" ")
    )
}

fn deadline(expect: &Value) -> Result<(), String> {
    let kinds = ["service", "batch", "system"];
    let mut region = Region::new(false);
    region.connect(DRAINING, SIZE);
    for kind in kinds {
        region.register(&job(kind, 1)).expect("the job is valid");
    }
    region.until(region.now + Duration::from_secs(1));
    // Nobody knows how the service is, so that it does not move by itself.
    let mut loose = job("service", 2);
    loose.priority = Some(60);
    region.register(&loose).expect("the job is valid");
    region.settle();
    drain(&mut region, Some(for_secs(60)), false);
    let early: Vec<&str> = kinds
        .into_iter()
        .filter(|kind| is_marked(&region, kind))
        .collect();
    region.until(region.now + Duration::from_secs(60));
    let marked: Vec<&str> = kinds
        .into_iter()
        .filter(|kind| is_marked(&region, kind))
        .collect();
    let mut check = Check::default();
    if !early.is_empty() {
        check.fail(format!("{early:?} were marked before the deadline"));
    }
    check.value(expect, "marked", &json!(marked));
    let complete = if is_complete(&region) {
        "complete"
    } else {
        "goes on"
    };
    check.value(expect, "drain", &json!(complete));
    check.value(expect, "event_detail", &json!(event_detail(&region)));
    check.verdict()
}

fn empty_node(expect: &Value) -> Result<(), String> {
    let mut region = node_with("service", 0);
    drain(&mut region, Some(for_secs(3600)), false);
    let complete = if is_complete(&region) {
        "complete immediately"
    } else {
        "goes on"
    };
    let mut check = Check::default();
    check.value(expect, "drain", &json!(complete));
    check.verdict()
}

fn migrate_defaults(expect: &Value) -> Result<(), String> {
    let job = job("service", 1);
    let policy = job.groups()[0].migrate.clone().unwrap_or_default().policy();
    let defaults = json!({
        "max_parallel": policy.max_parallel,
        "health_check": policy.health.check,
        "min_healthy_time_s": policy.health.min_healthy_time.as_secs(),
        "healthy_deadline_s": policy.health.healthy_deadline.as_secs(),
    });
    let mut check = Check::default();
    check.value(expect, "migrate", &defaults);
    check.verdict()
}

fn nowhere_to_go(expect: &Value) -> Result<(), String> {
    let mut region = node_with("service", 3);
    drain(&mut region, Some(for_secs(3600)), false);
    region.until(region.now + Duration::from_secs(1800));
    let allocs = on_node(&region, "service");
    let stopped = allocs.iter().filter(|alloc| alloc.is_terminal()).count();
    let mut check = Check::default();
    check.value(expect, "stopped", &json!(stopped));
    check.value(expect, "replaced", &json!(region.allocs().len() - 3));
    check.value(expect, "still_running", &json!(allocs.len() - stopped));
    let goes_on = node(&region).drain.is_some();
    region.until(region.now + Duration::from_secs(1801));
    let drain = if goes_on && is_complete(&region) {
        "stays on until the deadline"
    } else {
        "does not"
    };
    check.value(expect, "drain", &json!(drain));
    check.verdict()
}

fn stopped_job(expect: &Value) -> Result<(), String> {
    let mut region = node_with("batch", 1);
    drain(&mut region, Some(for_secs(3600)), false);
    region.until(region.now + Duration::from_secs(60));
    let goes_on = node(&region).drain.is_some();
    let stop = Command::DeregisterJob {
        key: JobKey::new("default", "batch"),
        purge: false,
        no_shutdown_delay: false,
    };
    region.command(stop).expect("the job is there");
    region.settle();
    let drain = if goes_on && is_complete(&region) {
        "complete at once when the alloc has ended"
    } else {
        "goes on"
    };
    let mut check = Check::default();
    check.value(expect, "drain", &json!(drain));
    check.value(expect, "event_detail", &json!(event_detail(&region)));
    check.verdict()
}
