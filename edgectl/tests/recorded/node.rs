//! `node …` and `server …`.

use serde_json::{Value, json};

use crate::bodies::{at, recorded, today};
use crate::case::{Case, run};
use crate::server::{Answer, Server};

const ID: &str = "e0b446e8-30c9-44de-ac05-e9613f949808";

fn fleet(nodes: &[(&str, &str, &str, &str)]) -> Value {
    let node = |(id, name, class, status): &(&str, &str, &str, &str)| {
        json!({"ID": id, "NodePool": "default", "Datacenter": "dc2", "Name": name, "NodeClass": class, "Drain": false,
               "SchedulingEligibility": "eligible", "Status": status})
    };
    Value::Array(nodes.iter().map(node).collect())
}

/// Id, evaluation, group, version, desired, client, created, modified.
type Row = (
    &'static str,
    &'static str,
    &'static str,
    u64,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

/// Allocations of the node when it was recorded.
const ALLOCATIONS: [Row; 9] = [
    (
        "9c6d2268-9cb0-af51-b569-39e5d261a8f9",
        "661dc5ea-522e-ef0b-c9f4-106678c2400c",
        "g",
        0,
        "run",
        "running",
        "07:56:46",
        "07:56:57",
    ),
    (
        "ea5b8c2a-24f9-d776-dc88-3c7e803935e4",
        "026c47d5-84e3-b94a-f9de-8faa0e1e2ece",
        "g",
        0,
        "run",
        "complete",
        "07:56:44",
        "07:56:44",
    ),
    (
        "24c699af-ae0e-fdad-d132-80165ea45bff",
        "4bc39cdb-dde7-0bf8-789a-cd0d71724d9e",
        "g",
        0,
        "run",
        "failed",
        "07:56:27.6",
        "07:56:29",
    ),
    (
        "3dff24c1-a86b-e89e-915d-8a8daf9217ac",
        "29273a86-dfdf-d88b-a56a-dd93e8b4459e",
        "app",
        3,
        "run",
        "running",
        "07:55:56.6",
        "07:56:17",
    ),
    (
        "d4360ddf-e9a3-a865-61e3-306d7ce762bb",
        "f207958b-9a12-f649-603b-ecd06df44847",
        "app",
        1,
        "stop",
        "complete",
        "07:55:28.6",
        "07:56:04",
    ),
    (
        "62ea1a3b-09bf-abff-834a-e55748cbcb21",
        "b90541f5-207d-ec4d-0388-d234a4f3f2c2",
        "app",
        1,
        "stop",
        "complete",
        "07:55:21",
        "07:55:56.6",
    ),
    (
        "633fcd79-95c3-5f43-8af3-00d6cdbcf739",
        "c2f5a318-bf68-0484-c564-f651e777260c",
        "app",
        0,
        "stop",
        "complete",
        "07:54:47",
        "07:55:21",
    ),
    (
        "a1677e33-0a69-89be-e8fa-fc8ca4e6fff9",
        "c2f5a318-bf68-0484-c564-f651e777260c",
        "app",
        0,
        "stop",
        "complete",
        "07:54:47",
        "07:55:28.6",
    ),
    (
        "f8166cf7-65a7-898d-f8a4-3a782b533716",
        "c2f5a318-bf68-0484-c564-f651e777260c",
        "app",
        0,
        "stop",
        "complete",
        "07:54:47",
        "07:55:13.6",
    ),
];

fn allocations() -> Value {
    let all = ALLOCATIONS.iter().enumerate().map(|(at, (id, eval, group, version, desired, client, made, changed))| {
        let (mhz, memory) = if *group == "app" { (50, 32) } else { (20, 16) };
        // The three oldest were placed by one plan.
        let index = 100 - at.min(6);
        json!({
            "ID": id, "EvalID": eval, "NodeID": ID, "TaskGroup": group, "Job": {"Version": version}, "DesiredStatus": desired,
            "ClientStatus": client, "CreateTime": today(made), "ModifyTime": today(changed), "CreateIndex": index,
            "AllocatedResources": {
                "Tasks": {"t": {"Cpu": {"CpuShares": mhz}, "Memory": {"MemoryMB": memory}}},
                "Shared": {"DiskMB": 300},
            },
        })
    });
    Value::Array(all.collect())
}

#[test]
fn the_fleet_is_listed_as_recorded() {
    for name in ["065", "066", "067"] {
        let Some(case) = Case::load(name) else { return };
        let both =
            json!([{"ClientStatus": "running"}, {"ClientStatus": "running"}, {"ClientStatus": "complete"}]);
        case.server
            .on("/v1/nodes", recorded("nodes.json"))
            .on(&format!("/v1/node/{ID}/allocations"), both.clone())
            .on("/v1/node/6ece896c-9944-8f24-2bcc-e8174f4568ef/allocations", both);
        case.check("2026-11-21T07:57:00Z");
    }
}

#[test]
fn the_meta_of_a_node_is_shown_and_changed_as_recorded() {
    let Some(case) = Case::load("076") else { return };
    let configured = json!({
        "connect.gateway_image": "docker.io/envoyproxy/envoy:v${NOMAD_envoy_version}",
        "connect.log_level": "info", "connect.proxy_concurrency": "1",
        "connect.sidecar_image": "docker.io/envoyproxy/envoy:v${NOMAD_envoy_version}",
        "connect.transparent_proxy.default_outbound_port": "15001",
        "connect.transparent_proxy.default_uid": "101", "rack": "r2",
    });
    case.server.on("/v1/nodes", recorded("nodes.json")).on(
        "/v1/client/metadata",
        json!({"Meta": configured, "Dynamic": {}, "Static": configured}),
    );
    case.check("2026-11-21T07:57:00Z");

    let Some(case) = Case::load("077") else { return };
    case.server
        .on("/v1/nodes", recorded("nodes.json"))
        .on_method("PUT", "/v1/client/metadata", json!({}));
    let server = case.server.clone();
    case.check("2026-11-21T07:57:00Z");
    let sent = &server.sent("/v1/client/metadata")[0];
    assert_eq!(*sent, json!({"NodeID": ID, "Meta": {"color": "blue"}}));
}

#[test]
fn meta_that_was_taken_away_is_shown_and_taken_away() {
    let server = Server::start();
    server
        .on("/v1/nodes", recorded("nodes.json"))
        .on(
            "/v1/client/metadata",
            json!({"Meta": {"color": "blue"}, "Dynamic": {"color": "blue", "rack": null}, "Static": {"rack": "r2"}}),
        )
        .on_method("PUT", "/v1/client/metadata", json!({}));
    let now = at("2026-11-21T07:57:00Z");
    let (printed, exit) = run(
        &server,
        &["edgectl", "node", "meta", "read", "-node-id=e0b446e8"],
        now,
    );
    let expected =
        "All Meta\ncolor = blue\n\nDynamic Meta\ncolor = blue\nrack  = <unset>\n\nStatic Meta\nrack = r2\n";
    assert_eq!((printed.as_str(), exit), (expected, 0));
    let words = [
        "edgectl",
        "node",
        "meta",
        "apply",
        "-node-id",
        "e0b446e8",
        "-unset=rack,zone",
        "a=1",
    ];
    assert_eq!(run(&server, &words, now), (String::new(), 0));
    let sent = &server.sent("/v1/client/metadata")[0]["Meta"];
    assert_eq!(*sent, json!({"a": "1", "rack": null, "zone": null}));
    let (printed, exit) = run(&server, &words[..6], now);
    assert!(printed.contains("Must specify -unset or at least 1 key=value pair") && exit == 1);
}

#[test]
fn a_node_that_is_away_is_disconnected() {
    for (name, status) in [("402", "disconnected"), ("412", "ready")] {
        let Some(case) = Case::load(name) else { return };
        let case = case.expecting("http://192.0.2.1:4646", "http://127.0.0.1:4646");
        case.server.on(
            "/v1/nodes",
            fleet(&[
                ("ee3181d3-1", "edge-2", "", status),
                ("b3c31143-1", "edge-1", "", "ready"),
            ]),
        );
        case.check("2026-11-21T08:03:33Z");
    }
}

#[test]
fn a_region_without_nodes_says_so() {
    let Some(case) = Case::load("306") else { return };
    case.server.on("/v1/nodes", json!([]));
    case.check("2026-11-21T08:01:54Z");
}

#[test]
fn a_node_is_shown_as_recorded_short_with_stats_and_verbose() {
    for name in ["068", "069", "070"] {
        let Some(case) = Case::load(name) else { return };
        let mut node = recorded("node.json");
        // The body was recorded after the texts: what happened in between is taken back.
        node["Events"].as_array_mut().unwrap().truncate(1);
        node["Meta"].as_object_mut().unwrap().remove("color");
        let mut host = recorded("client_stats.json");
        host["Uptime"] = json!(5415);
        host["CPUTicksConsumed"] = json!(3234.4);
        host["Memory"] = json!({"Total": 25_274_793_984_u64, "Available": 18_253_611_008_u64, "Used": 6_871_947_674_u64,
                                "Free": 17_179_869_184_u64});
        for (core, user, system, idle) in [(0, 16.67, 15.63, 67.71), (1, 98.02, 1.98, 0.0)] {
            let core = &mut host["CPU"][core];
            (core["User"], core["System"], core["Idle"]) = (json!(user), json!(system), json!(idle));
        }
        for disk in host["DiskStats"].as_array_mut().unwrap() {
            disk["InodesUsedPercent"] = json!(3.08);
        }
        let usage =
            json!({"ResourceUsage": {"MemoryStats": {"RSS": 1_677_722}, "CpuStats": {"TotalTicks": 0.0}}});
        case.server
            .on("/v1/nodes", json!([{"ID": ID}]))
            .on(&format!("/v1/node/{ID}"), node)
            .on(&format!("/v1/node/{ID}/allocations"), allocations())
            .on("/v1/client/stats", host);
        for (id, ..) in ALLOCATIONS {
            case.server
                .on(&format!("/v1/client/allocation/{id}/stats"), usage.clone());
        }
        case.check("2026-11-21T07:56:59Z");
    }
}

#[test]
fn a_node_whose_agent_tells_nothing_is_shown_without_its_use() {
    let server = Server::start();
    let node = json!({"ID": ID, "Name": "box-2", "Status": "ready"});
    server
        .on("/v1/nodes", json!([{"ID": ID}]))
        .on(&format!("/v1/node/{ID}"), node)
        .on(&format!("/v1/node/{ID}/allocations"), json!([]))
        .on("/v1/client/stats", Answer::refusal(404, ""));
    let (printed, exit) = run(
        &server,
        &["edgectl", "node", "status", "e0b446e8"],
        at("2026-11-21T08:00:00Z"),
    );
    assert!(
        printed.contains("Allocated Resources") && printed.contains("No allocations placed"),
        "{printed}"
    );
    assert!(
        !printed.contains("Uptime") && !printed.contains("Utilization") && !printed.contains("rror"),
        "{printed}"
    );
    assert_eq!(exit, 0);
}

#[test]
fn coordinators_are_listed_as_recorded() {
    let Some(case) = Case::load("080") else { return };
    case.server
        .on("/v1/agent/members", recorded("agent_members.json"))
        .on("/v1/status/leader", json!("127.0.0.1:4647"));
    case.check("2026-11-21T07:57:01Z");
}

#[test]
fn coordinators_are_listed_with_their_tags() {
    let Some(case) = Case::load("081") else { return };
    let unordered = "vsn=1,dc=dc1,build=2.0.6-dev,port=4647,expect=1,raft_vsn=3,bootstrap=1,revision=,role=nomad,\
                     rpc_addr=127.0.0.1,region=global,id=bdbb6e62-3889-ec5c-3fe2-c379ca7cfa96";
    let ordered = "bootstrap=1,build=2.0.6-dev,dc=dc1,expect=1,id=bdbb6e62-3889-ec5c-3fe2-c379ca7cfa96,port=4647,\
                   raft_vsn=3,region=global,revision=,role=nomad,rpc_addr=127.0.0.1,vsn=1";
    let case = case.expecting(unordered, ordered);
    case.server
        .on("/v1/agent/members", recorded("agent_members.json"))
        .on("/v1/status/leader", json!("127.0.0.1:4647"));
    case.check("2026-11-21T07:57:01Z");
}

#[test]
fn a_region_without_a_leader_is_an_error_below_the_list() {
    let Some(case) = Case::load("312") else { return };
    let case = case.expecting("http://127.0.0.1:5646", "http://127.0.0.1:4646");
    let member = |name: &str, region: &str, port: u16| {
        let tags = json!({"region": region, "dc": format!("{region}-dc1"), "build": "2.0.6-dev", "raft_vsn": "3",
                          "rpc_addr": "127.0.0.1", "port": (port - 1).to_string()});
        json!({"Name": format!("{name}.{region}"), "Addr": "127.0.0.1", "Port": port, "Status": "alive", "Tags": tags})
    };
    case.server
        .on(
            "/v1/agent/members",
            json!({"Members": [member("west-1", "west", 6648), member("east-1", "east", 5648)]}),
        )
        .on("/v1/status/leader", json!("127.0.0.1:5647"))
        .on(
            "/v1/status/leader",
            Answer::refusal(500, "rpc error: stream closed"),
        );
    case.check("2026-11-21T08:02:10Z");
}
