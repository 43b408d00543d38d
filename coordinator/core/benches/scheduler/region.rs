//! The regions and jobs that are evaluated.

use holdfast_coordinator_core::{Command, Coordinator, Effect, Input, Options, RequestId, State};
use holdfast_shared::id::{JobKey, NodeId};
use holdfast_shared::model::{DriverState, Fingerprint, HostNetwork, Job, NodeResources};
use holdfast_shared::time::{Duration, Timestamp};
use holdfast_shared::wire::{FromAgent, Held, Presence, Register, Report};
use serde_json::json;

/// The time at which everything happens.
pub(super) const NOW: Timestamp = Timestamp::from_secs(1_000_000);

/// What kind of job is placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The original's service benchmark: two allocations fill a node, half of the racks will do.
    Service {
        /// Whether allocations are spread over the racks.
        spread: bool,
    },
    /// The original's example: the same, spread, in a region of its own size.
    Example,
    /// The original's stack benchmark: a small job with ports, for one in 64 values of a property.
    Stack {
        /// Whether the property is one that makes every node a class of its own.
        unique: bool,
    },
}

/// One case.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) nodes: u32,
    pub(super) racks: u32,
    pub(super) allocs: u32,
    pub(super) kind: Kind,
}

impl Shape {
    pub(super) fn name(&self) -> String {
        let Self {
            nodes,
            racks,
            allocs,
            kind,
        } = self;
        match kind {
            Kind::Service { spread } => {
                let spread = if *spread { "spread" } else { "no spread" };
                format!("{nodes} nodes {racks} racks {allocs} allocs {spread}")
            }
            Kind::Example => format!("example: {nodes} nodes {racks} racks {allocs} allocs spread"),
            Kind::Stack { unique: false } => format!("stack: {nodes} nodes, one placement by class"),
            Kind::Stack { unique: true } => format!("stack: {nodes} nodes, one placement without classes"),
        }
    }

    pub(super) fn job(&self) -> Job {
        let mut job: Job = match self.kind {
            Kind::Service { spread } => service(self, spread),
            Kind::Example => service(self, true),
            Kind::Stack { unique } => stack(self, unique),
        };
        job.canonicalize();
        job
    }

    fn fingerprint(&self, at: u32) -> Fingerprint {
        let driver = DriverState {
            detected: true,
            healthy: true,
            ..DriverState::default()
        };
        let network = HostNetwork {
            address: "192.168.0.100".into(),
            interface: "eth0".into(),
        };
        let texts = |pairs: &[(&str, String)]| {
            pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), value.clone()))
                .collect()
        };
        let racks = self.racks.max(1);
        Fingerprint {
            name: format!("node-{at}"),
            datacenter: format!("dc-{}", at % 2 + 1),
            node_pool: "default".into(),
            node_class: "linux-medium-pci".into(),
            attributes: texts(&[
                ("kernel.name", "linux".into()),
                ("arch", "x86".into()),
                ("consul.version", "1.11.4".into()),
                (
                    "unique.advertise.address",
                    format!("192.168.{}.{}", at % 10, at % 120),
                ),
            ]),
            meta: texts(&[
                ("rack", format!("r{}", at % racks)),
                ("key", (at % 64).to_string()),
                ("unique.key", (at % 64).to_string()),
            ]),
            resources: NodeResources {
                cpu_mhz: 14_000,
                cores: 4,
                memory_mb: 32_000,
                disk_mb: 102_400,
                reserved_cpu_mhz: 100,
                reserved_memory_mb: 256,
                reserved_disk_mb: 4_096,
                reserved_ports: vec![22],
                ..NodeResources::default()
            },
            drivers: ["exec", "mock_driver"]
                .map(|name| (name.to_owned(), driver.clone()))
                .into_iter()
                .collect::<std::collections::BTreeMap<_, _>>()
                .into(),
            host_networks: [("default".to_owned(), network)].into(),
            keep_alive: Duration::from_secs(3600),
            ..Fingerprint::default()
        }
    }

    /// The region with its nodes, and the job registered and not yet evaluated.
    pub(super) fn region(&self) -> (State, JobKey) {
        let mut core = Coordinator::new(Options::default(), State::default(), 7);
        core.start(NOW);
        for at in 0..self.nodes {
            join(&mut core, NodeId(u128::from(at) + 1), &self.fingerprint(at));
        }
        let job = self.job();
        let key = job.key();
        let effects = core.handle(
            NOW,
            Input::Command(
                RequestId(1),
                Command::RegisterJob {
                    job: Box::new(job),
                    check_index: None,
                    preserve_counts: false,
                    eval_priority: None,
                    submission: None,
                },
            ),
        );
        let registered = effects.iter().any(|it| matches!(it, Effect::Reply(_, Ok(_))));
        assert!(registered, "the job is refused: {effects:?}");
        (core.state().clone(), key)
    }
}

/// A node registers, and reports that it runs nothing.
fn join(core: &mut Coordinator, node: NodeId, fingerprint: &Fingerprint) {
    let held = Held::default();
    let fingerprint = serde_json::to_vec(fingerprint).expect("a fingerprint is JSON");
    let presence = Presence {
        session: 1,
        online: true,
    };
    core.handle(NOW, Input::Presence(node, presence));
    let register = Register {
        session: 1,
        held,
        fingerprint,
    };
    core.handle(NOW, Input::Agent(node, FromAgent::Register(register)));
    let report = Report {
        session: 1,
        seq: 1,
        full: true,
        held,
        allocs: Vec::new(),
    };
    core.handle(NOW, Input::Agent(node, FromAgent::Report(report)));
}

fn service(shape: &Shape, spread: bool) -> Job {
    let racks: Vec<String> = (0..shape.racks / 2).map(|rack| format!("r{rack}")).collect();
    let version = json!({"LTarget": "${attr.consul.version}", "Operand": "semver", "RTarget": ">= 1.8.0"});
    let mut job = json!({
        "ID": "bench", "Name": "bench", "Type": "service", "Priority": 50, "Datacenters": ["dc-1", "dc-2"],
        "Constraints": [{"LTarget": "${meta.rack}", "Operand": "set_contains_any", "RTarget": racks.join(",")}],
        "TaskGroups": [{
            "Name": "web", "Count": shape.allocs, "Constraints": [version],
            "EphemeralDisk": {"SizeMB": 150},
            "RestartPolicy": {"Attempts": 3, "Interval": 600_000_000_000_i64, "Delay": 60_000_000_000_i64, "Mode": "delay"},
            "ReschedulePolicy": {"Attempts": 2, "Interval": 600_000_000_000_i64, "Delay": 5_000_000_000_i64, "DelayFunction": "constant"},
            "Tasks": [{
                "Name": "web", "Driver": "exec", "Constraints": [version],
                "Config": {"command": "/bin/date"}, "Env": {"FOO": "bar"},
                "Services": [
                    {"Name": "web-frontend", "PortLabel": "http", "Tags": ["pci:x"]},
                    {"Name": "web-admin", "PortLabel": "admin"},
                ],
                "Resources": {"CPU": 6000, "MemoryMB": 6000},
                "Meta": {"foo": "bar"},
            }],
        }],
    });
    if spread {
        job["Spreads"] = json!([{"Attribute": "${meta.rack}"}]);
    }
    serde_json::from_value(job).expect("the job is one")
}

fn stack(shape: &Shape, unique: bool) -> Job {
    let key = if unique {
        "${meta.unique.key}"
    } else {
        "${meta.key}"
    };
    let job = json!({
        "ID": "bench", "Name": "bench", "Type": "service", "Priority": 50, "Datacenters": ["dc-1", "dc-2"],
        "Constraints": [
            {"LTarget": "${attr.kernel.name}", "Operand": "=", "RTarget": "linux"},
            {"LTarget": key, "Operand": "<", "RTarget": "1"},
        ],
        "TaskGroups": [{
            "Name": "web", "Count": shape.allocs, "EphemeralDisk": {"SizeMB": 150},
            "Networks": [{"Mode": "host", "DynamicPorts": [{"Label": "http"}, {"Label": "admin"}]}],
            "Tasks": [{"Name": "web", "Driver": "exec", "Resources": {"CPU": 500, "MemoryMB": 256}}],
        }],
    });
    serde_json::from_value(job).expect("the job is one")
}

/// Every case: the 120 shapes, the example, and single placements.
pub(super) fn shapes() -> Vec<Shape> {
    let mut shapes = Vec::new();
    for nodes in [500, 1000, 5000, 10_000] {
        for racks in [25, 50, 75] {
            for allocs in [50, 300, 600, 900, 1200] {
                for spread in [true, false] {
                    let kind = Kind::Service { spread };
                    shapes.push(Shape {
                        nodes,
                        racks,
                        allocs,
                        kind,
                    });
                }
            }
        }
    }
    let kind = Kind::Example;
    shapes.push(Shape {
        nodes: 5000,
        racks: 100,
        allocs: 600,
        kind,
    });
    for unique in [false, true] {
        let kind = Kind::Stack { unique };
        shapes.push(Shape {
            nodes: 5000,
            racks: 0,
            allocs: 1,
            kind,
        });
    }
    shapes
}
