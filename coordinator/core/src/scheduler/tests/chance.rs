//! Random fleets, with allocations of several jobs on them, and random jobs to place there.

use std::collections::BTreeMap;
use std::sync::Arc;

use holdfast_shared::id::IdGenerator;
use holdfast_shared::model::{
    Allocation, AssignedDevice, AssignedPort, DeviceInstance, DriverState, Fingerprint, HostNetwork,
    HostVolume, Job, Node, NodeDevice, NodeResources,
};
use serde_json::{Value, json};

use super::{alloc, job, node, takes};
use crate::state::{Delta, State};

/// Chance with a seed.
pub(super) struct Dice(IdGenerator);

impl Dice {
    pub(super) fn from_seed(seed: u64) -> Self {
        Self(IdGenerator::from_seed(u128::from(seed)))
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0.next_u64() % limit
    }

    pub(super) fn one_in(&mut self, number: u64) -> bool {
        self.below(number) == 0
    }

    pub(super) fn pick<T: Clone>(&mut self, list: &[T]) -> T {
        list[self.below(list.len() as u64) as usize].clone()
    }
}

/// Every node has a network, and most have another one.
fn networks(dice: &mut Dice, id: u128) -> BTreeMap<String, HostNetwork> {
    let network = |address: String| HostNetwork {
        address,
        interface: "eth0".into(),
    };
    let mut networks = BTreeMap::from([("default".to_owned(), network(format!("192.0.2.{id}")))]);
    if !dice.one_in(4) {
        // Some are two names of one address.
        let address = dice.pick(&[format!("203.0.113.{id}"), format!("192.0.2.{id}")]);
        networks.insert("lan".into(), network(address));
    }
    networks
}

fn devices(dice: &mut Dice) -> Vec<NodeDevice> {
    let mut devices = Vec::new();
    for (vendor, name) in [("acme", "old"), ("acme", "new"), ("other", "new")] {
        if dice.one_in(2) {
            continue;
        }
        let instances = (0..1 + dice.below(3)).map(|number| DeviceInstance {
            id: format!("{vendor}-{name}-{number}"),
            healthy: !dice.one_in(6),
            path: String::new(),
        });
        devices.push(NodeDevice {
            kind: "gpu".into(),
            vendor: vendor.into(),
            name: name.into(),
            instances: instances.collect(),
            attributes: [("memory".to_owned(), dice.pick(&["512 MiB", "4 GiB"]).to_owned())].into(),
        });
    }
    devices
}

fn host_volumes(dice: &mut Dice) -> BTreeMap<String, HostVolume> {
    let mut volumes = BTreeMap::new();
    for name in ["data", "media"] {
        if !dice.one_in(4) {
            let (path, read_only) = (format!("/srv/{name}"), dice.one_in(3));
            volumes.insert(name.to_owned(), HostVolume { path, read_only });
        }
    }
    volumes
}

fn random_node(dice: &mut Dice, id: u128) -> Node {
    let driver = DriverState {
        detected: true,
        healthy: !dice.one_in(10),
        ..DriverState::default()
    };
    // Short ranges of dynamic ports run out.
    let (dynamic_port_min, dynamic_port_max) = dice.pick(&[(0, 0), (8080, 8083)]);
    let mut print = Fingerprint {
        datacenter: dice.pick(&["dc1", "dc2", "elsewhere"]).into(),
        node_pool: "default".into(),
        node_class: dice.pick(&["", "small", "large"]).into(),
        resources: NodeResources {
            cpu_mhz: 1000 + 500 * dice.below(6),
            memory_mb: 1024 + 512 * dice.below(6),
            disk_mb: 4000 + 1000 * dice.below(3),
            reserved_cpu_mhz: 100 * dice.below(3),
            reserved_memory_mb: 128,
            reserved_ports: vec![22],
            dynamic_port_min,
            dynamic_port_max,
            ..NodeResources::default()
        },
        drivers: Arc::new([("docker".to_owned(), driver)].into()),
        host_networks: networks(dice, id),
        devices: devices(dice),
        host_volumes: host_volumes(dice),
        ..Fingerprint::default()
    };
    print.meta.insert("unique.number".into(), id.to_string());
    if !dice.one_in(8) {
        print.meta.insert("rack".into(), format!("r{}", dice.below(4)));
    }
    if dice.one_in(2) {
        print
            .attributes
            .insert("os.version".into(), format!("1.{}", dice.below(4)));
    }
    node(id, print)
}

const CONSTRAINTS: [(&str, &str, &str); 9] = [
    ("${meta.rack}", "set_contains_any", "r0,r1,r2"),
    ("${meta.rack}", "!=", "r3"),
    ("${attr.os.version}", "version", ">= 1.1"),
    ("${meta.unique.number}", ">=", "5"),
    ("${node.class}", "is_set", ""),
    ("", "distinct_hosts", ""),
    ("", "distinct_hosts", "false"),
    ("${meta.rack}", "distinct_property", "2"),
    ("${node.datacenter}", "distinct_property", "3"),
];

fn constraints(dice: &mut Dice) -> Value {
    let mut list = Vec::new();
    while dice.one_in(2) {
        let (left, operand, right) = dice.pick(&CONSTRAINTS);
        list.push(json!({"LTarget": left, "Operand": operand, "RTarget": right}));
    }
    json!(list)
}

fn affinities(dice: &mut Dice) -> Value {
    let mut list = Vec::new();
    while dice.one_in(4) {
        let (left, operand, right) = dice.pick(&CONSTRAINTS[..5]);
        let weight = dice.pick(&[-100, -20, 50, 80]);
        list.push(json!({"LTarget": left, "Operand": operand, "RTarget": right, "Weight": weight}));
    }
    json!(list)
}

fn spreads(dice: &mut Dice) -> Value {
    let mut list = Vec::new();
    while dice.one_in(4) {
        let attribute = dice.pick(&["${meta.rack}", "${node.datacenter}"]);
        let targets = dice.pick(&[
            json!(null),
            json!([{"Value": "r0", "Percent": 60}, {"Value": "r1", "Percent": 20}]),
            json!([{"Value": "dc1", "Percent": 100}, {"Value": "dc2", "Percent": 0}]),
            json!([{"Value": "r2", "Percent": 0}]),
        ]);
        let weight = dice.pick(&[30, 50, 100]);
        list.push(json!({"Attribute": attribute, "Weight": weight, "SpreadTarget": targets}));
    }
    json!(list)
}

fn network(dice: &mut Dice) -> Value {
    let (mut fixed, mut open) = (Vec::new(), Vec::new());
    while dice.one_in(3) {
        let value = dice.pick(&[22, 8080, 8080, 8081]);
        let shared = dice.one_in(2);
        fixed.push(
            json!({"Label": format!("fixed-{}", fixed.len()), "Value": value, "To": dice.pick(&[0, -1, 80]),
            "HostNetwork": dice.pick(&["", "", "lan"]), "IgnoreCollision": shared}),
        );
    }
    while dice.one_in(3) {
        open.push(
            json!({"Label": format!("open-{}", open.len()), "To": dice.pick(&[0, -1, 80]),
            "HostNetwork": dice.pick(&["", "", "lan"])}),
        );
    }
    json!([{"ReservedPorts": fixed, "DynamicPorts": open}])
}

fn requests(dice: &mut Dice) -> Value {
    let mut requests = Vec::new();
    while dice.one_in(5) {
        let enough = json!([{"LTarget": "${device.attr.memory}", "Operand": ">=", "RTarget": "2 GiB"}]);
        let vendor = json!({"LTarget": "${device.vendor}", "Operand": "=", "RTarget": "other", "Weight": dice.pick(&[70, -30])});
        let memory =
            json!({"LTarget": "${device.attr.memory}", "Operand": ">=", "RTarget": "1024 MiB", "Weight": 50});
        requests.push(json!({
            "Name": dice.pick(&["gpu", "acme/gpu", "acme/gpu/new", "other/gpu"]), "Count": 1 + dice.below(2),
            "Constraints": dice.pick(&[json!(null), json!(null), enough]),
            "Affinities": dice.pick(&[json!(null), json!([vendor]), json!([vendor, memory])]),
        }));
    }
    json!(requests)
}

fn volumes(dice: &mut Dice) -> Value {
    let mut volumes = serde_json::Map::new();
    while dice.one_in(5) {
        let name = format!("volume-{}", volumes.len());
        let volume = json!({"Name": name, "Type": if dice.one_in(8) { "csi" } else { "host" },
            "Source": dice.pick(&["data", "media"]), "ReadOnly": dice.one_in(2)});
        volumes.insert(name, volume);
    }
    Value::Object(volumes)
}

pub(super) fn random_job(dice: &mut Dice) -> Job {
    let mut groups = Vec::new();
    for name in ["web", "db"] {
        groups.push(json!({
            "Name": name, "Count": 1 + dice.below(5), "Constraints": constraints(dice),
            "Affinities": affinities(dice), "Spreads": spreads(dice),
            "Networks": network(dice), "EphemeralDisk": {"SizeMB": 300}, "Volumes": volumes(dice),
            "Tasks": [{"Name": "main", "Driver": "docker", "Constraints": constraints(dice), "Affinities": affinities(dice),
                "Resources": {"CPU": 200 + 300 * dice.below(3), "MemoryMB": 256 + 256 * dice.below(2),
                    "Devices": requests(dice)}}],
        }));
    }
    let groups = groups.split_off(dice.below(2) as usize);
    job(json!({
        "ID": "mine", "Priority": dice.pick(&[35, 50, 80]), "Type": dice.pick(&["service", "batch"]), "Datacenters": dice.pick(&[json!(["*"]), json!(["dc1", "dc2"])]),
        "Constraints": constraints(dice), "Affinities": affinities(dice), "Spreads": spreads(dice), "TaskGroups": groups,
    }))
}

/// The jobs of others, more and less important ones.
fn others(dice: &mut Dice) -> [Job; 3] {
    ["low", "middle", "high"].map(|id| {
        let groups = ["web", "db"].map(|name| {
            let parallel = dice.below(3);
            json!({"Name": name, "Migrate": {"MaxParallel": parallel}, "Tasks": [{"Name": "main", "Driver": "docker"}]})
        });
        let priority = match id {
            "low" => 20 + dice.below(2),
            "middle" => 25 + dice.below(20),
            _ => 70,
        };
        job(json!({"ID": id, "Type": "service", "Priority": priority, "TaskGroups": groups}))
    })
}

pub(super) fn random_state(dice: &mut Dice) -> State {
    let mut state = State::default();
    for job in others(dice) {
        state.apply(&Delta::JobVersion(Arc::new(job)));
    }
    let most = dice.pick(&[3, 12]);
    for id in 0..1 + u128::from(dice.below(40)) {
        let node = random_node(dice, id + 1);
        let used = dice.below(most);
        state.apply(&Delta::Node(Arc::new(node.clone())));
        let mut taken = Vec::new();
        for number in 0..used {
            let alloc = random_alloc(dice, 1000 * (id + 1) + u128::from(number), &node, &mut taken);
            state.apply(&Delta::Allocation(Arc::new(alloc)));
        }
    }
    state
}

fn random_alloc(dice: &mut Dice, id: u128, node: &Node, taken: &mut Vec<String>) -> Allocation {
    let job = dice.pick(&[
        ("mine", "web"),
        ("mine", "db"),
        ("low", "web"),
        ("low", "db"),
        ("middle", "web"),
        ("high", "web"),
        ("unknown", "web"),
    ]);
    let addresses: Vec<String> = node
        .fingerprint
        .host_networks
        .values()
        .map(|it| it.address.clone())
        .collect();
    let port = AssignedPort {
        label: "http".into(),
        value: dice.pick(&[8080, 8081, 9090, 7070, 6060]),
        to: 0,
        host_ip: if dice.one_in(6) {
            "198.51.100.1".into()
        } else {
            dice.pick(&addresses)
        },
        host_network: "default".into(),
        dynamic: false,
    };
    let mut resources = takes(100 * dice.below(8), 128 * dice.below(5), 300);
    if let Some(device) = node.fingerprint.devices.first().filter(|_| dice.one_in(4)) {
        let free = device.instances.iter().find(|it| !taken.contains(&it.id));
        let ids: Vec<String> = free.map(|it| it.id.clone()).into_iter().collect();
        taken.extend(ids.iter().cloned());
        let (task, name) = ("main".to_owned(), device.id());
        resources.devices.push(AssignedDevice { task, name, ids });
    }
    alloc(id, job, node.id.0, (resources, vec![port]))
}
