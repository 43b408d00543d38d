//! Every reason why a node takes no more of a group: in the report of a placement, and in the explanation of each node.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use holdfast_shared::model::{
    AssignedDevice, AssignedPort, DeviceInstance, DriverState, Fingerprint, HostNetwork, Job, NodeDevice,
    NodeResources, PlacementReport,
};
use serde_json::{Value, json};

use super::{alloc, job, node, takes};
use crate::scheduler::explain::{Verdict, explain};
use crate::scheduler::fleet::Fleet;
use crate::scheduler::{Rules, Scheduler, Wanted};
use crate::state::{Delta, State};

/// One small node with one allocation of the job that is going to be placed, which has its device and a port of it.
fn region() -> State {
    let driver = DriverState {
        detected: true,
        healthy: true,
        ..DriverState::default()
    };
    let network = HostNetwork {
        address: "192.0.2.1".into(),
        interface: "eth0".into(),
    };
    let device = NodeDevice {
        kind: "gpu".into(),
        vendor: "acme".into(),
        name: "x".into(),
        instances: vec![DeviceInstance {
            id: "d0".into(),
            healthy: true,
            path: String::new(),
        }],
        ..NodeDevice::default()
    };
    let print = Fingerprint {
        datacenter: "dc1".into(),
        node_class: "small".into(),
        resources: NodeResources {
            cpu_mhz: 1000,
            memory_mb: 1000,
            disk_mb: 10_000,
            dynamic_port_min: 20_000,
            dynamic_port_max: 20_000,
            ..NodeResources::default()
        },
        drivers: Arc::new([("docker".to_owned(), driver)].into()),
        host_networks: [("default".to_owned(), network)].into(),
        devices: vec![device],
        ..Fingerprint::default()
    };
    let mut resources = takes(600, 100, 300);
    resources.devices.push(AssignedDevice {
        task: "main".into(),
        name: "acme/gpu/x".into(),
        ids: vec!["d0".into()],
    });
    let port = AssignedPort {
        label: "http".into(),
        value: 8080,
        to: 0,
        host_ip: "192.0.2.1".into(),
        host_network: "default".into(),
        dynamic: false,
    };
    let mut state = State::default();
    state.apply(&Delta::Node(Arc::new(node(1, print))));
    let first = alloc(7, ("web", "app"), 1, (resources, vec![port]));
    state.apply(&Delta::Allocation(Arc::new(first)));
    state
}

/// A job that would fit, but for what `of_job`, `of_group` and `of_task` ask for.
fn asking(of_job: &Value, of_group: &Value, of_task: &Value) -> Job {
    let with = |mut base: Value, more: &Value| {
        let more = more.as_object().unwrap().clone();
        base.as_object_mut().unwrap().extend(more);
        base
    };
    let task = json!({"Name": "main", "Driver": "docker", "Resources": {"CPU": 100, "MemoryMB": 100}});
    let group = json!({"Name": "app", "Tasks": [with(task, of_task)]});
    let base = json!({"ID": "web", "Datacenters": ["*"], "TaskGroups": [with(group, of_group)]});
    job(with(base, of_job))
}

/// Why the job's group finds no place, and what is said of the one node.
fn refused(state: &State, job: &Job) -> (PlacementReport, Verdict) {
    let mut fleet = Fleet::of(state);
    let mut scheduler = Scheduler::new(state, Rules::of(state, job, 100), 1);
    let wanted = Wanted {
        job,
        group: &job.groups()[0],
        penalized: &BTreeSet::new(),
        only: None,
    };
    let report = scheduler.place(&mut fleet, state, &wanted).unwrap_err();
    let verdict = explain(state, job, 100)[0].1[0].1.clone();
    (*report, verdict)
}

fn once(text: &str) -> BTreeMap<String, u64> {
    [(text.to_owned(), 1)].into()
}

#[test]
fn a_node_that_does_not_qualify_is_filtered_for_a_reason_and_by_class() {
    let state = region();
    let none = json!({});
    let asks = |left: &str, operand: &str, right: &str| json!({"Constraints": [{"LTarget": left, "Operand": operand, "RTarget": right}]});
    let rack = asks("${meta.rack}", "=", "r9");
    for (job, reason) in [
        (asking(&rack, &none, &none), "${meta.rack} = r9"),
        (asking(&none, &rack, &none), "${meta.rack} = r9"),
        (asking(&none, &none, &rack), "${meta.rack} = r9"),
        (
            asking(&none, &asks("${attr.os.version}", "is_set", ""), &none),
            "${attr.os.version} is_set",
        ),
        (
            asking(&none, &none, &json!({"Driver": "exec"})),
            "missing drivers",
        ),
        (
            asking(
                &none,
                &none,
                &json!({"Resources": {"Devices": [{"Name": "usb"}]}}),
            ),
            "missing devices",
        ),
        (
            asking(
                &none,
                &json!({"Networks": [{"DynamicPorts": [{"Label": "http", "HostNetwork": "lan"}]}]}),
                &none,
            ),
            "missing host network \"lan\" for port \"http\"",
        ),
        (
            asking(
                &none,
                &json!({"Volumes": {"data": {"Name": "data", "Type": "host", "Source": "data"}}}),
                &none,
            ),
            "missing compatible host volumes",
        ),
        (
            asking(&asks("", "distinct_hosts", ""), &none, &none),
            "distinct_hosts",
        ),
        (
            asking(
                &none,
                &asks("${node.datacenter}", "distinct_property", "1"),
                &none,
            ),
            "distinct_property: ${node.datacenter}=dc1 used by 1 allocs",
        ),
    ] {
        let (report, verdict) = refused(&state, &job);
        assert_eq!(report.constraint_filtered.to_map(), once(reason));
        assert_eq!(report.class_filtered.to_map(), once("small"), "{reason}");
        assert_eq!(
            (report.nodes_filtered, report.nodes_exhausted),
            (1, 0),
            "{reason}"
        );
        assert_eq!(verdict, Verdict::Filtered(reason.into()));
    }
}

#[test]
fn a_node_without_room_is_exhausted_in_a_dimension_and_by_class() {
    let state = region();
    let none = json!({});
    let ports = |network: Value| json!({"Networks": [network]});
    for (job, dimension) in [
        (asking(&none, &none, &json!({"Resources": {"CPU": 500}})), "cpu"),
        (
            asking(&none, &none, &json!({"Resources": {"CPU": 100, "MemoryMB": 950}})),
            "memory",
        ),
        (
            asking(&none, &json!({"EphemeralDisk": {"SizeMB": 9800}}), &none),
            "disk",
        ),
        (
            asking(
                &none,
                &ports(json!({"ReservedPorts": [{"Label": "http", "Value": 8080}]})),
                &none,
            ),
            "network: reserved port collision http=8080",
        ),
        (
            asking(
                &none,
                &ports(json!({"DynamicPorts": [{"Label": "a"}, {"Label": "b"}]})),
                &none,
            ),
            "network: dynamic port selection failed",
        ),
        (
            asking(
                &none,
                &none,
                &json!({"Resources": {"CPU": 100, "MemoryMB": 100, "Devices": [{"Name": "gpu"}]}}),
            ),
            "devices: no devices match request",
        ),
    ] {
        let (report, verdict) = refused(&state, &job);
        assert_eq!(report.dimension_exhausted.to_map(), once(dimension));
        assert_eq!(report.class_exhausted.to_map(), once("small"), "{dimension}");
        assert_eq!(
            (report.nodes_filtered, report.nodes_exhausted),
            (0, 1),
            "{dimension}"
        );
        assert_eq!(verdict, Verdict::Exhausted(dimension.into()));
    }
}

#[test]
fn a_node_that_is_not_looked_at_is_not_counted_and_why_is_told() {
    let state = region();
    let none = json!({});
    let (report, verdict) = refused(
        &state,
        &asking(&json!({"Datacenters": ["dc9", "x*"]}), &none, &none),
    );
    assert_eq!((report.nodes_evaluated, report.nodes_in_pool), (0, 1));
    assert_eq!(
        report.nodes_available.to_map(),
        BTreeMap::from([("dc9".into(), 0)])
    );
    assert_eq!(
        verdict,
        Verdict::Unavailable("datacenter \"dc1\" is not among the job's".into())
    );
    let (report, verdict) = refused(&state, &asking(&json!({"NodePool": "ships"}), &none, &none));
    assert_eq!((report.nodes_evaluated, report.nodes_in_pool), (0, 0));
    assert_eq!(
        verdict,
        Verdict::Unavailable("node is not in pool \"ships\"".into())
    );
}
