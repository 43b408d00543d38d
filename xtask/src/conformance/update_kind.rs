//! `update_kind.json`: what a change of one field means for allocations that run. The cases describe their change in words;
//! the table here makes it.

use holdfast_coordinator_core::conformance::change;
use holdfast_coordinator_core::reconciler::Change;
use holdfast_diff::{annotate, diff};
use holdfast_shared::model::{
    ByName, DeviceInstance, DriverState, Fingerprint, HostNetwork, Job, NodeDevice,
};
use serde_json::{Value, json};

use super::Verdict;

/// The job before the change.
fn base() -> Value {
    json!({
        "ID": "web", "Type": "service", "Datacenters": ["dc1"], "Meta": { "owner": "ops" }, "Priority": 50,
        "TaskGroups": [{
            "Name": "app", "Count": 3,
            "Networks": [{
                "Mode": "host", "Hostname": "a", "CNI": { "Args": { "a": "1" } },
                "DynamicPorts": [{ "Label": "http", "HostNetwork": "default" }],
            }],
            "EphemeralDisk": { "Sticky": false, "Migrate": false },
            "RestartPolicy": { "Attempts": 2 },
            "Update": { "MaxParallel": 1 }, "Migrate": { "MaxParallel": 1 },
            "Services": [
                { "Name": "plain", "Provider": "nomad", "PortLabel": "http", "Tags": ["a"] },
                {
                    "Name": "meshed", "Provider": "consul", "PortLabel": "http",
                    "Connect": { "SidecarService": { "Proxy": { "Upstreams": [] } } },
                },
                { "Name": "native", "Provider": "consul", "PortLabel": "http", "Connect": { "Native": true } },
            ],
            "Tasks": [task("web"), task("side")],
        }],
    })
}

fn task(name: &str) -> Value {
    json!({
        "Name": name, "Driver": "exec", "User": "nobody", "Config": { "command": "/bin/date" },
        "Env": { "A": "1" }, "Meta": { "kind": "web" }, "KillTimeout": 5_000_000_000_i64,
        "Resources": {
            "CPU": 500, "MemoryMB": 256, "SecretsMB": 1, "NUMA": { "Affinity": "none" },
            "Devices": [{ "Name": "usb", "Count": 1 }],
        },
        "Templates": [{ "EmbeddedTmpl": "x", "DestPath": "local/x", "Wait": { "Min": 5_000_000_000_i64, "Max": 5_000_000_000_i64 } }],
        "VolumeMounts": [{ "Volume": "data", "Destination": "/data", "SELinuxLabel": "" }],
        "Services": [{ "Name": format!("{name}-task"), "Provider": "nomad", "PortLabel": "http" }],
        "CSIPluginConfig": { "ID": "disk", "Type": "node" },
        "Consul": { "Namespace": "a", "Cluster": "default", "Partition": "p" },
        "LogConfig": { "MaxFiles": 10, "MaxFileSizeMB": 10, "Disabled": false },
        "Lifecycle": { "Hook": "prestart", "Sidecar": true },
    })
}

const TASK: &str = "/TaskGroups/0/Tasks/0";
const GROUP: &str = "/TaskGroups/0";

/// One change: where, and the new value; a `null` takes it out.
type Edit = (&'static str, Value);

/// The changes of a case, by its id. Several stand for several ways in which a field may change: each is tried alone.
fn edits(id: &str) -> Option<Vec<Edit>> {
    let of_task = |name: &'static str, value: Value| vec![(name, value)];
    let of_group = of_task;
    Some(match id {
        "update-001" => of_task("task/Config/command", json!("/bin/other")),
        "update-002" => of_task("task/Name", json!("foo")),
        "update-003" => of_task("task/Driver", json!("podman")),
        "update-004" => of_group("group/Tasks/+", task("more")),
        "update-005" => of_group("group/Networks/0/DynamicPorts/+", json!({ "Label": "https" })),
        "update-006" => of_task("task/Env/B", json!("2")),
        "update-008" => of_task(
            "task/Artifacts",
            json!([{ "GetterSource": "https://example.com/x" }]),
        ),
        "update-009" => of_task("task/Meta/new", json!("1")),
        "update-010" => of_task("task/Resources/CPU", json!(1337)),
        "update-011" => of_task("task/Resources/Devices/0/Count", json!(2)),
        "update-012" => of_group("group/Networks/0/DynamicPorts/0/Label", json!("foobar")),
        "update-014" => of_group("group/EphemeralDisk/Sticky", json!(true)),
        "update-016" => vec![("/Meta/new", json!("1"))],
        "update-017" => of_group("group/Networks/0/Mode", json!("bridge")),
        "update-020" => of_group(
            "group/Volumes",
            json!({ "data": { "Name": "data", "Type": "host", "Source": "data" } }),
        ),
        "update-022" => of_task("task/CSIPluginConfig/Type", json!("monolith")),
        "update-023" => of_task("task/Templates/0/ErrMissingKey", json!(true)),
        "update-024" => of_task("task/VolumeMounts", Value::Null),
        "update-025" => of_task("task/VolumeMounts/0/SELinuxLabel", json!("z")),
        "update-026" => of_task(
            "task/Secrets",
            json!([{ "Name": "s", "Provider": "nomad", "Path": "p" }]),
        ),
        "update-027" => of_task("task/Resources/MemoryMB", json!(512)),
        "update-029" => of_task("task/Resources/NUMA/Affinity", json!("require")),
        "update-030" => of_task("task/Resources/SecretsMB", json!(2)),
        "update-031" => of_task("task/Vault", json!({ "Role": "r" })),
        "update-032" => vec![
            ("task/Consul/Cluster", json!("other")),
            ("task/Consul/Partition", json!("other")),
        ],
        "update-034" => of_task("task/Templates/0/EmbeddedTmpl", json!("y")),
        "update-036" => of_task("task/LogConfig/Disabled", json!(true)),
        "update-038" => of_group("group/EphemeralDisk/Migrate", json!(true)),
        "update-040" => of_group("group/Networks/0/Hostname", json!("b")),
        "update-041" => of_group("group/Networks/0/CNI/Args/a", json!("2")),
        "update-043" => of_group("group/Networks/0/DynamicPorts/0/HostNetwork", json!("public")),
        "update-044" => vec![
            ("group/RestartPolicy/RenderTemplates", json!(true)),
            ("task/RestartPolicy", json!({ "RenderTemplates": true })),
        ],
        "update-046" => vec![
            (
                "group/Services/1/Connect/SidecarTask",
                json!({ "Driver": "docker" }),
            ),
            ("group/Services/1/Connect/Gateway", json!({ "Mesh": {} })),
            ("group/Services/1/Connect/Native", json!(true)),
            ("group/Services/0/Connect", json!({ "SidecarService": {} })),
        ],
        "update-047" => of_group("group/Services/1/PortLabel", json!("other")),
        "update-048" => vec![
            ("task/Services/0/Tags", json!(["b"])),
            ("task/Services/0/Name", json!("other")),
            ("task/Services/0/PortLabel", json!("other")),
            ("task/Services/0/Address", json!("192.0.2.1")),
            ("task/Services/0/Checks", json!([{ "Type": "tcp" }])),
        ],
        _ => return gentle_edits(id),
    })
}

/// The rest: what goes on in place, and what is told by the plan.
fn gentle_edits(id: &str) -> Option<Vec<Edit>> {
    Some(match id {
        "update-049" => vec![
            ("group/Services/0/Tags", json!(["b"])),
            ("group/Services/0/Checks", json!([{ "Type": "tcp" }])),
        ],
        "update-051" => vec![("task/KillSignal", json!("SIGINT"))],
        "update-053" => vec![("task/Leader", json!(true))],
        "update-054" => vec![("task/Lifecycle/Hook", json!("poststart"))],
        "update-056" => vec![("task/RestartPolicy", json!({ "Attempts": 5 }))],
        "update-057" => vec![
            ("group/RestartPolicy/Attempts", json!(5)),
            ("group/RestartPolicy/Delay", json!(1_000_000_000)),
            ("group/RestartPolicy/Interval", json!(60_000_000_000_i64)),
            ("group/RestartPolicy/Mode", json!("delay")),
        ],
        "update-060" => vec![("group/Update/MaxParallel", json!(2))],
        "update-061" => vec![("group/Migrate/MaxParallel", json!(2))],
        "update-064" => vec![("group/Spreads", json!([{ "Attribute": "${node.datacenter}" }]))],
        "update-065" => vec![("/Priority", json!(60))],
        "update-066" => vec![("group/Count", json!(5))],
        "update-068" => vec![("group/ShutdownDelay", json!(1_000_000_000))],
        "update-070" => vec![("/Datacenters", json!(["dc1", "dc2"]))],
        "update-071" => vec![("/Constraints", constraint("arm64"))],
        "update-072" => vec![("/Type", json!("batch"))],
        "update-073" => vec![("group/Constraints", constraint("amd64"))],
        "update-074" => vec![("/Datacenters", json!(["dc2"]))],
        "update-078" | "update-079" => vec![("/Priority", json!(50))],
        "update-081" => vec![("task/Templates/0/Wait/Min", json!(5_000_000_000_i64))],
        "update-082" => vec![
            ("/SubmitTime", json!(7)),
            ("/Version", json!(7)),
            ("/JobModifyIndex", json!(7)),
            ("/Stable", json!(true)),
        ],
        "update-083" => vec![("task/KillTimeout", json!(20_000_000_000_i64))],
        "update-084" => vec![("task/User", json!("root"))],
        "update-088" => vec![("group/Count", json!(1))],
        "update-090" => vec![(GROUP, Value::Null)],
        "update-091" => vec![("group/Tasks", json!([task("side"), task("web")]))],
        "update-092" => vec![("/Meta/owner", Value::Null)],
        "update-094" => vec![("task/LogConfig/MaxFiles", json!(5))],
        "update-095" => vec![("group/Constraints", constraint("amd64"))],
        _ => return None,
    })
}

fn constraint(architecture: &str) -> Value {
    json!([{ "LTarget": "${attr.cpu.arch}", "RTarget": architecture, "Operand": "=" }])
}

/// Changes that the original takes in place although their field is listed as destructive.
fn exceptions(id: &str) -> Vec<Edit> {
    match id {
        "update-032" => vec![
            ("task/Consul/Namespace", json!("b")),
            ("task/Consul", Value::Null),
        ],
        "update-046" => vec![
            ("group/Services/2/Connect", Value::Null),
            ("group/Services/2/Name", json!("renamed")),
            (
                "group/Services/1/Connect/SidecarService/Proxy/Upstreams",
                json!([{ "DestinationName": "x" }]),
            ),
            ("group/Services/1/Tags", json!(["t"])),
        ],
        _ => Vec::new(),
    }
}

/// Makes a change.
fn apply(job: &mut Value, (path, value): &Edit) -> Result<(), String> {
    let path = path.replacen("task/", &format!("{TASK}/"), 1);
    let path = path.replacen("group/", &format!("{GROUP}/"), 1);
    let (parent, last) = path.rsplit_once('/').ok_or("the path has no parent")?;
    let place = job
        .pointer_mut(parent)
        .ok_or_else(|| format!("the job has no {parent}"))?;
    match (place, last) {
        (Value::Array(list), "+") => list.push(value.clone()),
        (Value::Array(list), at) => {
            let at: usize = at.parse().map_err(|_| format!("{at} is no index"))?;
            if value.is_null() {
                list.remove(at);
            } else {
                list[at] = value.clone();
            }
        }
        (Value::Object(fields), name) if value.is_null() => drop(fields.remove(name)),
        (Value::Object(fields), name) => drop(fields.insert(name.to_owned(), value.clone())),
        _ => return Err(format!("{parent} holds nothing")),
    }
    Ok(())
}

/// What a case is run with beside its change.
struct Scene {
    base: Value,
    node: Option<Fingerprint>,
}

impl Scene {
    fn of(id: &str) -> Self {
        let mut base = base();
        if id == "update-090" {
            let mut other = base["TaskGroups"][0].clone();
            other["Name"] = json!("other");
            base["TaskGroups"] = json!([base["TaskGroups"][0], other]);
        }
        if id == "update-095" {
            base["Type"] = json!("batch");
            base["TaskGroups"][0]["MaxRunDuration"] = json!(60_000_000_000_i64);
        }
        let driver = DriverState {
            detected: true,
            healthy: true,
            ..DriverState::default()
        };
        let instance = |number: u8| DeviceInstance {
            id: number.to_string(),
            healthy: true,
            path: format!("/dev/ttyUSB{number}"),
        };
        let fingerprint = Fingerprint {
            devices: vec![NodeDevice {
                kind: "usb".into(),
                instances: (0..4).map(instance).collect(),
                ..NodeDevice::default()
            }],
            datacenter: "dc1".into(),
            node_pool: "default".into(),
            attributes: [
                ("cpu.arch".to_owned(), "arm64".to_owned()),
                ("nomad.service_discovery".to_owned(), "true".to_owned()),
            ]
            .into(),
            drivers: std::sync::Arc::new([("exec".to_owned(), driver)].into()),
            host_networks: [("default".to_owned(), HostNetwork::default())].into(),
            ..Fingerprint::default()
        };
        Self {
            base,
            node: (id != "update-078").then_some(fingerprint),
        }
    }

    /// What becomes of an allocation of the group when the job changes so, and what the plan would say.
    fn outcome(&self, edit: &Edit) -> Result<(&'static str, Vec<String>), String> {
        let parse = |value: Value| -> Result<Job, String> {
            let mut job: Job = serde_json::from_value(value).map_err(|error| error.to_string())?;
            job.canonicalize();
            Ok(job)
        };
        let mut changed = self.base.clone();
        apply(&mut changed, edit)?;
        if edit.0 == "/Meta/owner" {
            for at in 0..2 {
                changed["TaskGroups"][0]["Tasks"][at]["Meta"]["owner"] = json!("ops");
            }
        }
        let (old, new) = (parse(self.base.clone())?, parse(changed)?);
        let mut shown = diff(Some(&old), Some(&new), true);
        annotate(&mut shown, &ByName::default());
        let group = shown.task_groups.iter().find(|it| it.name == "app");
        let annotations = group.into_iter().flat_map(|group| {
            let counts = group.fields.iter().flat_map(|it| it.annotations.clone());
            let tasks = group.tasks.iter().flat_map(|it| it.annotations.clone());
            counts.chain(tasks).collect::<Vec<_>>()
        });
        let annotations: Vec<String> = annotations.collect();
        let kind = if old.job_type() != new.job_type() {
            "rejected"
        } else if self.node.is_some() && old.specification() == new.specification() {
            "none"
        } else {
            match change(&old, &new, "app", self.node.as_ref()) {
                None => "removed",
                Some(Change::Destructive) => "destructive",
                Some(Change::InPlace | Change::Ignore) => "in_place",
            }
        };
        Ok((kind, annotations))
    }
}

/// The outcome of every case; `None` when the file is another one.
pub(super) fn check(file: &str, content: &Value) -> Option<Vec<(String, Verdict)>> {
    if file != "update_kind" {
        return None;
    }
    let cases = content["cases"].as_array().into_iter().flatten();
    let verdict = |case: &Value| {
        let id = case["id"].as_str().unwrap_or("?");
        let verdict = match edits(id) {
            None => Verdict::Skipped,
            Some(edits) => run(case, &edits).map_or_else(Verdict::Failed, |()| Verdict::Passed),
        };
        (id.to_owned(), verdict)
    };
    Some(cases.map(verdict).collect())
}

fn run(case: &Value, edits: &[Edit]) -> Result<(), String> {
    let id = case["id"].as_str().unwrap_or("?");
    let scene = Scene::of(id);
    let expect = &case["expect"];
    let expected = expect["kind"].as_str().unwrap_or_default();
    for edit in edits {
        let (kind, annotations) = scene.outcome(edit)?;
        if kind != expected {
            return Err(format!("{}: {kind} instead of {expected}", edit.0));
        }
        if let Some(text) = expect["plan_annotation"].as_str()
            && !annotations.iter().any(|it| it == text)
        {
            return Err(format!("the plan says {annotations:?} instead of {text:?}"));
        }
    }
    let exceptions = exceptions(id);
    if exceptions.is_empty() != expect["exceptions"].is_null() {
        return Err("the exceptions are not those of the case".into());
    }
    for edit in &exceptions {
        let (kind, _) = scene.outcome(edit)?;
        if kind != "in_place" {
            return Err(format!("{}: {kind} instead of in_place", edit.0));
        }
    }
    Ok(())
}
