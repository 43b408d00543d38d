//! `alloc …`.

use serde_json::{Value, json};

use crate::bodies::{evaluation, today};
use crate::case::{Case, run};
use crate::server::{Answer, Server};

/// An event of a task: time, type, text.
type Event<'a> = (&'a str, &'a str, &'a str);

const STARTED: [(&str, &str); 3] = [
    ("Received", "Task received by client"),
    ("Task Setup", "Building Task Directory"),
    ("Started", "Task started by client"),
];

fn events(list: &[Event<'_>]) -> Value {
    let event =
        |(time, kind, text): &Event<'_>| json!({"Time": today(time), "Type": kind, "DisplayMessage": text});
    Value::Array(list.iter().map(event).collect())
}

fn started(time: &str) -> Vec<Event<'_>> {
    STARTED.iter().map(|(kind, text)| (time, *kind, *text)).collect()
}

fn moment(time: &str) -> Value {
    if time.is_empty() {
        Value::Null
    } else {
        json!(format!("2026-11-21T{time}Z"))
    }
}

fn serve(server: &Server, allocation: &Value) {
    let id = allocation["ID"].as_str().unwrap();
    server
        .on("/v1/allocations", json!([{"ID": id, "Namespace": "default"}]))
        .on(&format!("/v1/allocation/{id}"), allocation.clone());
}

/// A service's allocation with one port, as it was placed.
fn with_port(id: &str, name: &str, [address, job]: [&str; 2], port: u16) -> Value {
    json!({
        "ID": id, "Name": name, "JobID": job, "TaskGroup": "app", "DesiredStatus": "run",
        "Job": {"ID": job, "Version": 0, "TaskGroups": [{"Name": "app", "Networks": [{"Mode": ""}]}]},
        "AllocatedResources": {
            "Tasks": {"server": {"Cpu": {"CpuShares": 50}, "Memory": {"MemoryMB": 32}}},
            "Shared": {
                "DiskMB": 300,
                "Networks": [{"IP": address, "DynamicPorts": [{"Label": "http", "Value": port}]}],
                "Ports": [{"Label": "http", "Value": port, "HostIP": address}],
            },
        },
    })
}

fn with(mut base: Value, fields: Value) -> Value {
    let Value::Object(fields) = fields else {
        panic!("fields are an object")
    };
    base.as_object_mut().unwrap().extend(fields);
    base
}

fn web() -> Value {
    let id = "633fcd79-95c3-5f43-8af3-00d6cdbcf739";
    let node = "e0b446e8-30c9-44de-ac05-e9613f949808";
    let fields = json!({
        "EvalID": "c2f5a318-bf68-0484-c564-f651e777260c", "NodeID": node, "NodeName": "box-2",
        "ClientStatus": "running", "ClientDescription": "Tasks are running",
        "CreateTime": today("07:54:47"), "ModifyTime": today("07:54:54"),
        "DeploymentID": "ae619428-fb94-23aa-65d1-5cb654abff41", "DeploymentStatus": {"Healthy": true},
        "TaskStates": {"server": {
            "State": "running", "StartedAt": moment("07:54:47"), "Events": events(&started("07:54:47")),
        }},
        "Metrics": {
            "NodesEvaluated": 1, "AllocationTime": 21329,
            "ScoreMetaData": [{"NodeID": node, "NormScore": -0.318_88, "Scores": {
                "binpack": 0.028_91, "job-anti-affinity": -0.666_667, "node-affinity": 0, "node-reschedule-penalty": 0,
            }}],
        },
    });
    with(with_port(id, "web.app[1]", ["127.0.0.1", "web"], 21859), fields)
}

#[test]
fn a_running_allocation_is_shown_as_recorded_short_verbose_and_with_stats() {
    for name in ["010", "011", "012"] {
        let Some(case) = Case::load(name) else { return };
        serve(&case.server, &web());
        let path = "/v1/client/allocation/633fcd79-95c3-5f43-8af3-00d6cdbcf739";
        case.server.on(
            &format!("{path}/stats"),
            crate::bodies::recorded("alloc_stats.json"),
        );
        case.server.on(
            &format!("{path}/checks"),
            crate::bodies::recorded("alloc_checks.json"),
        );
        case.check("2026-11-21T07:54:58Z");
    }
}

#[test]
fn an_ended_batch_allocation_is_shown_as_recorded() {
    let Some(case) = Case::load("047") else { return };
    let mut list = started("07:56:17");
    list.push(("07:56:18", "Terminated", "Exit Code: 0"));
    let id = "d8b9b828-cf92-14af-00af-c4d3a8a4fd6f";
    let allocation = json!({
        "ID": id, "EvalID": "e0ef6287", "Name": "once.g[0]", "NodeID": "6ece896c", "NodeName": "box-1", "JobID": "once",
        "ClientStatus": "complete", "ClientDescription": "All tasks have completed", "DesiredStatus": "run",
        "CreateTime": today("07:56:17"), "ModifyTime": today("07:56:18"),
        "AllocatedResources": {
            "Tasks": {"t": {"Cpu": {"CpuShares": 20}, "Memory": {"MemoryMB": 16}}}, "Shared": {"DiskMB": 300},
        },
        "TaskStates": {"t": {
            "State": "dead", "StartedAt": moment("07:56:17"), "FinishedAt": moment("07:56:18"), "Events": events(&list),
        }},
    });
    serve(&case.server, &allocation);
    let usage =
        json!({"Tasks": {"t": {"ResourceUsage": {"CpuStats": {}, "MemoryStats": {"RSS": 1_468_006}}}}});
    case.server
        .on(&format!("/v1/client/allocation/{id}/stats"), usage);
    case.check("2026-11-21T07:56:21Z");
}

#[test]
fn a_failed_allocation_names_its_replacement() {
    let Some(case) = Case::load("049") else { return };
    let id = "204069fa-dd42-7add-d28d-595bf57b1b5f";
    let exceeded = "Exceeded allowed attempts 1 in interval 30s and mode is \"fail\"";
    let list = [
        ("07:56:21", "Received", "Task received by client"),
        ("07:56:21", "Task Setup", "Building Task Directory"),
        ("07:56:21", "Started", "Task started by client"),
        ("07:56:21", "Terminated", "Exit Code: 3"),
        ("07:56:21", "Restarting", "Task restarting in 1.018124666s"),
        ("07:56:22", "Started", "Task started by client"),
        ("07:56:22", "Terminated", "Exit Code: 3"),
        ("07:56:22", "Not Restarting", exceeded),
        ("07:56:22", "Alloc Unhealthy", "Unhealthy because of failed task"),
    ];
    let allocation = json!({
        "ID": id, "EvalID": "b360f957", "Name": "crash.g[0]", "NodeID": "6ece896c", "NodeName": "box-1",
        "JobID": "crash", "ClientStatus": "failed", "ClientDescription": "Failed tasks", "DesiredStatus": "stop",
        "CreateTime": today("07:56:21"), "ModifyTime": today("07:56:28"), "DeploymentID": "81a29cf4",
        "DeploymentStatus": {"Healthy": false}, "NextAllocation": "24c699af-ae0e-fdad-d132-80165ea45bff",
        "AllocatedResources": {
            "Tasks": {"t": {"Cpu": {"CpuShares": 20}, "Memory": {"MemoryMB": 16}}}, "Shared": {"DiskMB": 300},
        },
        "TaskStates": {"t": {
            "State": "dead", "Failed": true, "Restarts": 1, "StartedAt": moment("07:56:22"),
            "FinishedAt": moment("07:56:22"), "LastRestart": moment("07:56:21"), "Events": events(&list),
        }},
    });
    serve(&case.server, &allocation);
    let usage = json!({"Tasks": {"t": {"ResourceUsage": {"CpuStats": {}, "MemoryStats": {}}}}});
    case.server
        .on(&format!("/v1/client/allocation/{id}/stats"), usage);
    case.check("2026-11-21T07:56:41Z");
}

fn original(fields: Value) -> Value {
    let base = with_port(
        "8bf3cb0b-ecc8-2abf-4071-d181ad91ce1d",
        "edge.app[0]",
        ["192.0.2.3", "edge"],
        28955,
    );
    let common = json!({
        "EvalID": "7710d712", "NodeID": "ee3181d3", "NodeName": "edge-2", "CreateTime": today("08:03:00"),
        "DeploymentID": "e8f4b0d6", "DeploymentStatus": {"Healthy": true}, "NextAllocation": "3efff223",
    });
    with(with(base, common), fields)
}

fn replacement(fields: Value) -> Value {
    let base = with_port(
        "3efff223-07b5-4da5-5850-01a27a5d0c54",
        "edge.app[0]",
        ["192.0.2.2", "edge"],
        24394,
    );
    let common = json!({
        "EvalID": "a8f42bbd", "NodeID": "b3c31143", "NodeName": "edge-1", "CreateTime": today("08:04:03"),
        "ModifyTime": today("08:04:03"),
    });
    with(with(base, common), fields)
}

#[test]
fn the_copies_of_a_node_that_was_away_are_shown_as_recorded() {
    let state = |state: &str, from: &str, until: &str, list: &[Event<'_>]| json!({"server": {"State": state, "StartedAt": moment(from), "FinishedAt": moment(until), "Events": events(list)}});
    let first = started("08:03:01");
    let mut back = first.clone();
    back.push(("08:04:23", "Reconnected", "Client reconnected"));
    let second = started("08:04:03");
    let mut ended = second.clone();
    ended.extend([
        (
            "08:04:23",
            "Killing",
            "Sent interrupt. Waiting 5s before force killing",
        ),
        ("08:04:23", "Terminated", "Exit Code: 130, Signal: 2"),
        ("08:04:23", "Killed", "Task successfully killed"),
    ]);
    let unknown = original(json!({
        "ClientStatus": "unknown", "ClientDescription": "alloc is unknown since its node is disconnected",
        "ModifyTime": today("08:03:33"), "TaskStates": state("running", "08:03:01", "", &first),
    }));
    let running = replacement(json!({
        "ClientStatus": "running", "ClientDescription": "Tasks are running",
        "TaskStates": state("running", "08:04:03", "", &second),
    }));
    let reconnected = original(json!({
        "ClientStatus": "running", "ClientDescription": "Tasks are running", "ModifyTime": today("08:04:23"),
        "TaskStates": state("running", "08:03:01", "", &back),
    }));
    let stopped = replacement(json!({
        "ClientStatus": "complete", "ClientDescription": "All tasks have completed", "DesiredStatus": "stop",
        "DesiredDescription": "alloc not needed due to disconnected client reconnect", "ModifyTime": today("08:04:23"),
        "TaskStates": state("dead", "08:04:03", "08:04:23", &ended),
    }));
    let away = Answer::refusal(404, "No path to node");
    for (name, now, allocation, stats) in [
        ("406", "08:04:03", unknown, Some(away)),
        ("407", "08:04:03", running, None),
        ("409", "08:04:26", reconnected, None),
        ("410", "08:04:26", stopped, None),
    ] {
        let Some(case) = Case::load(name) else { return };
        let case = case.expecting("http://192.0.2.1:4646", "http://127.0.0.1:4646");
        serve(&case.server, &allocation);
        let path = format!(
            "/v1/client/allocation/{}/stats",
            allocation["ID"].as_str().unwrap()
        );
        case.server.on(&path, stats.unwrap_or_else(|| Value::Null.into()));
        case.check(&format!("2026-11-21T{now}Z"));
    }
}

#[test]
fn tasks_come_in_the_order_in_which_they_run() {
    let server = Server::start();
    let allocation = json!({
        "ID": "633fcd79-95c3-5f43-8af3-00d6cdbcf739",
        "TaskStates": {"a-main": {"State": "running"}, "b-after": {"State": "pending"}, "c-before": {"State": "dead"},
                       "d-beside": {"State": "running"}},
        "AllocatedResources": {"TaskLifecycles": {
            "a-main": null, "b-after": {"Hook": "poststop"}, "c-before": {"Hook": "prestart"},
            "d-beside": {"Hook": "prestart", "Sidecar": true},
        }},
    });
    serve(&server, &allocation);
    let (printed, _) = run(
        &server,
        &["edgectl", "alloc", "status", "633fcd79"],
        crate::bodies::at("2026-11-21T08:00:00Z"),
    );
    let titles: Vec<&str> = printed
        .lines()
        .filter(|line| line.starts_with("Task \""))
        .collect();
    assert_eq!(
        titles,
        [
            "Task \"c-before\" (prestart) is \"dead\"",
            "Task \"d-beside\" (prestart sidecar) is \"running\"",
            "Task \"a-main\" is \"running\"",
            "Task \"b-after\" (poststop) is \"pending\"",
        ]
    );
}

#[test]
fn an_allocation_that_waits_for_its_turn_says_until_when() {
    let server = Server::start();
    let follow_up = "a8f42bbd-0000-0000-0000-000000000000";
    let allocation = json!({
        "ID": "633fcd79-95c3-5f43-8af3-00d6cdbcf739", "FollowupEvalID": follow_up, "TaskGroup": "g",
        "Job": {"ID": "j", "TaskGroups": [{"Name": "g", "ReschedulePolicy": {"Attempts": 3, "Interval": 3_600_000_000_000_i64}}]},
        "RescheduleTracker": {"Events": [{"RescheduleTime": today("07:59:00")}, {"RescheduleTime": today("05:00:00")}]},
    });
    serve(&server, &allocation);
    let mut due = evaluation(follow_up, "j", "alloc-failure", "pending");
    due.wait_until = crate::bodies::at("2026-11-21T08:00:30Z").into();
    server.on(&format!("/v1/evaluation/{follow_up}"), crate::bodies::body(&due));
    let (printed, _) = run(
        &server,
        &["edgectl", "alloc", "status", "633fcd79"],
        crate::bodies::at("2026-11-21T08:00:00Z"),
    );
    assert!(printed.contains("Reschedule Attempts    = 1/3"), "{printed}");
    assert!(
        printed.contains("Reschedule Eligibility = 30s from now"),
        "{printed}"
    );
}
