//! The jobs of a story. Each number is another way of living with disconnects, or another type of job; the size chooses
//! the version.

use holdfast_shared::id::JobKey;
use holdfast_shared::model::Job;
use holdfast_shared::time::Duration;
use serde_json::{Value, json};

/// The variable that makes the containers of a version end soon, and badly.
pub(crate) const BAD: &str = "BAD";

/// The variable that makes containers end after a while, and well.
pub(crate) const ENDS: &str = "ENDS";

/// The variable that makes containers end soon, and well.
pub(crate) const BRIEF: &str = "BRIEF";

/// The task that does the work of a group, and the one that comes before it where there is one.
pub(crate) const TASK: &str = "t";
pub(crate) const INIT: &str = "init";

/// Jobs of a story.
pub(crate) const JOBS: u64 = 11;

/// The job that is launched by the clock, and the one that the operator launches.
pub(crate) const PERIODIC: usize = 9;
pub(crate) const PARAMETERIZED: usize = 10;

/// A job that comes and goes: it wants the first one's port on every box, and may push that one out.
pub(crate) const RIVAL: usize = 11;

/// What a job is for.
const TYPES: [&str; 12] = [
    "service", "service", "service", "service", "service", "service", "batch", "system", "sysbatch", "batch",
    "batch", "system",
];

/// The service that the first job offers and the fourth one's template asks for.
pub(crate) const SERVICE: &str = "web";

/// The key of a job.
pub(crate) fn key(number: usize) -> JobKey {
    JobKey::new("default", format!("job-{number}"))
}

/// Whether a job comes to its end by itself.
pub(crate) fn ends(key: &JobKey) -> bool {
    (0..TYPES.len()).any(|number| *key == self::key(number) && TYPES[number].ends_with("batch"))
}

/// A version without fault, with the same count.
pub(crate) const fn well(size: u64) -> u64 {
    size | 0b1_1100
}

/// A version of a job: count in the lowest two bits, then three that make it a bad one when all are 0, then one for the
/// priority, which changes in place, and the rest for what needs new containers.
pub(crate) fn job(number: usize, size: u64) -> Job {
    let (count, bad) = (1 + (size & 3), size >> 2 & 7 == 0 && number < PERIODIC);
    let priority = match number {
        RIVAL => 90,
        _ if size >> 5 & 1 == 0 => 50,
        _ => 60,
    };
    let mut env = json!({ "VERSION": (size >> 6).to_string() });
    if bad {
        env[BAD] = json!("yes");
    }
    let kind = TYPES[number];
    let (is_service, is_everywhere) = (kind == "service", kind.starts_with("sys"));
    if kind.ends_with("batch") {
        env[ENDS] = json!("yes");
    }
    let reserved = if number == 0 || number == RIVAL {
        json!([{ "Label": "http", "Value": 8080 }])
    } else {
        json!(null)
    };
    let services = if number == 0 {
        json!([{ "Name": SERVICE, "PortLabel": "dyn", "Provider": "nomad" }])
    } else {
        json!(null)
    };
    let mut group = json!({
        "Name": "g",
        "Count": if is_everywhere { 1 } else { count },
        "Networks": [{ "ReservedPorts": reserved, "DynamicPorts": [{ "Label": "dyn" }] }],
        "Services": services,
        "RestartPolicy": { "Attempts": 2, "Interval": minutes(5), "Delay": 2_000_000_000_i64,
            "Mode": if number == 0 { "delay" } else { "fail" } },
        "ReschedulePolicy": { "Delay": 5_000_000_000_i64, "DelayFunction": "exponential", "MaxDelay": minutes(5),
            "Unlimited": true },
        "Tasks": tasks(number, &env),
    });
    if is_service {
        group["Update"] = update(number);
    }
    if is_everywhere {
        group["ReschedulePolicy"] = json!(null);
    }
    if let (Some(group), Some(more)) = (group.as_object_mut(), disconnect(number).as_object()) {
        group.extend(more.clone());
    }
    let mut job = json!({ "ID": format!("job-{number}"), "Type": kind, "Priority": priority,
        "Datacenters": ["dc1"], "TaskGroups": [group] });
    match number {
        PERIODIC => job["Periodic"] = json!({ "Spec": "15 * * * *", "ProhibitOverlap": true }),
        PARAMETERIZED => job["ParameterizedJob"] = json!({ "Payload": "optional" }),
        _ => {}
    }
    let mut job: Job = serde_json::from_value(job).expect("the operator writes valid jobs");
    job.canonicalize();
    job
}

/// What a group consists of.
fn tasks(number: usize, env: &Value) -> Vec<Value> {
    let mut task = json!({
        "Name": TASK,
        "Driver": "podman",
        "Config": { "image": "busybox" },
        "Env": env,
        "KillTimeout": Duration::from_secs(5).0,
        "Resources": if TYPES[number].starts_with("sys") { json!({ "CPU": 10, "MemoryMB": 16 }) } else { json!({ "CPU": 100, "MemoryMB": 64 }) },
    });
    if number == 3 {
        task["Templates"] = json!([{ "EmbeddedTmpl": "{{ range service \"web\" }}{{ .Address }}{{ end }}",
            "DestPath": "local/web", "ChangeMode": "noop" }]);
    }
    let mut tasks = vec![task];
    if number == 1 {
        tasks.push(json!({
            "Name": INIT,
            "Driver": "podman",
            "Config": { "image": "busybox" },
            "Env": { BRIEF: "yes" },
            "Lifecycle": { "Hook": "prestart" },
            "Resources": { "CPU": 10, "MemoryMB": 16 },
        }));
    }
    tasks
}

const fn minutes(number: i64) -> i64 {
    Duration::from_secs(60 * number).0
}

fn disconnect(number: usize) -> Value {
    match number {
        0 => json!({ "MaxClientDisconnect": minutes(60) }),
        1 => json!({ "Disconnect": { "LostAfter": minutes(30) } }),
        2 => json!({}),
        3 => json!({ "Disconnect": { "LostAfter": minutes(60), "Reconcile": "keep_original" } }),
        4 => json!({ "Disconnect": { "LostAfter": minutes(20), "StopOnClientAfter": minutes(5) } }),
        6 => json!({ "Disconnect": { "LostAfter": minutes(30) } }),
        7 => json!({ "MaxClientDisconnect": minutes(60) }),
        8 => json!({}),
        _ => json!({ "Disconnect": { "LostAfter": minutes(60), "Reconcile": "longest_running" } }),
    }
}

fn update(number: usize) -> Value {
    let parallel = match number {
        0 => 0,
        2 => 2,
        _ => 1,
    };
    let mut update = json!({
        "MinHealthyTime": 5_000_000_000_i64,
        "HealthyDeadline": minutes(2),
        "ProgressDeadline": minutes(10),
        "HealthCheck": "task_states",
        "MaxParallel": parallel,
    });
    match number {
        2 => update["AutoRevert"] = json!(true),
        3 => update["Canary"] = json!(1),
        5 => {
            update["Canary"] = json!(1);
            update["AutoPromote"] = json!(true);
            update["AutoRevert"] = json!(true);
        }
        _ => {}
    }
    update
}
