//! What a task is told: its environment, and what `${…}` means in its specification.
//!
//! Owns the names and values of `operator-surface.md` 2.1. Deliberately does not know how a task is started.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use holdfast_agent_core::AllocRecord;
use holdfast_shared::id::NodeId;
use holdfast_shared::interpolate;
use holdfast_shared::model::{Fingerprint, Job, Task, TaskGroup};
use serde_json::Value;

use crate::taskdir::TaskDir;

/// Variables of the agent that tasks on the box itself must not see (names as prefixes).
const PRIVATE: &[&str] = &[
    "HOLDFAST_",
    "NOMAD_",
    "CONSUL_TOKEN",
    "CONSUL_HTTP_TOKEN",
    "VAULT_TOKEN",
    "AWS_",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "NOTIFY_SOCKET",
    "INVOCATION_ID",
    "LISTEN_",
];

/// The node, as tasks see it.
#[derive(Debug, Clone)]
pub struct NodeView {
    /// The node.
    pub id: NodeId,
    /// The region it is in.
    pub region: String,
    /// What its box is like.
    pub fingerprint: Arc<Fingerprint>,
}

/// One task of one allocation, with everything that its environment is made of.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The allocation.
    pub record: &'a AllocRecord,
    /// Its job.
    pub job: &'a Job,
    /// Its group.
    pub group: &'a TaskGroup,
    /// The task.
    pub task: &'a Task,
    /// The node.
    pub node: &'a NodeView,
}

/// Where a task finds its directories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// What the group shares.
    pub alloc: String,
    /// The task's files.
    pub task: String,
    /// The task's secrets.
    pub secrets: String,
}

/// The environment of a task.
#[derive(Debug, Clone)]
pub struct TaskEnv {
    /// The variables.
    pub vars: BTreeMap<String, String>,
    /// The same before names were made fit for an environment: `NOMAD_PORT_product-api`.
    raw: BTreeMap<String, String>,
    node: NodeView,
}

impl Paths {
    /// What a process inside the task sees.
    pub fn inside(task: &Task, dir: &TaskDir) -> Self {
        if holdfast_drivers::kind(&task.driver).is_some_and(|kind| kind.own_filesystem) {
            Self {
                alloc: "/alloc".into(),
                task: "/local".into(),
                secrets: "/secrets".into(),
            }
        } else {
            Self::on_host(dir)
        }
    }

    /// Where the same directories lie on the box.
    pub fn on_host(dir: &TaskDir) -> Self {
        let text = |path: std::path::PathBuf| path.to_string_lossy().into_owned();
        Self {
            alloc: text(dir.alloc.shared()),
            task: text(dir.local()),
            secrets: text(dir.secrets()),
        }
    }
}

impl TaskEnv {
    /// The environment of `subject`. `rendered` holds the variables of templates with `env = true`; they win.
    pub fn build(subject: Subject<'_>, paths: &Paths, rendered: BTreeMap<String, String>) -> Self {
        let mut raw = BTreeMap::new();
        identity(subject, &mut raw);
        limits(subject.task, &mut raw);
        meta(subject, &mut raw);
        ports(subject, &mut raw);
        for (name, value) in [
            ("NOMAD_ALLOC_DIR", &paths.alloc),
            ("NOMAD_TASK_DIR", &paths.task),
            ("NOMAD_SECRETS_DIR", &paths.secrets),
        ] {
            raw.insert(name.into(), value.clone());
        }
        let vars = raw
            .iter()
            .map(|(name, value)| (clean(name), value.clone()))
            .collect();
        let mut env = Self {
            vars,
            raw,
            node: subject.node.clone(),
        };
        let own: Vec<(String, String)> = subject
            .task
            .env
            .iter()
            .flatten()
            .map(|(name, value)| {
                (
                    env.interpolate(name).into_owned(),
                    env.interpolate(value).into_owned(),
                )
            })
            .collect();
        env.vars.extend(own);
        env.vars.extend(rendered);
        env
    }

    /// Adds what the agent itself was given, for tasks that run on the box itself; the task's own variables win.
    pub fn add_host_env(&mut self, host: impl Iterator<Item = (String, String)>) {
        for (name, value) in host.filter(|(name, _)| !PRIVATE.iter().any(|private| name.starts_with(private)))
        {
            self.vars.entry(name).or_insert(value);
        }
    }

    /// `text` with every `${…}` that is known replaced; unknown ones stay as they are written.
    pub fn interpolate<'t>(&self, text: &'t str) -> Cow<'t, str> {
        interpolate::replace(text, |name| self.lookup(name))
    }

    /// `value` with every text in it interpolated.
    pub fn interpolate_json(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.interpolate(text).into_owned()),
            Value::Array(items) => items.iter().map(|item| self.interpolate_json(item)).collect(),
            Value::Object(map) => map
                .iter()
                .map(|(key, value)| (self.interpolate(key).into_owned(), self.interpolate_json(value)))
                .collect(),
            other => other.clone(),
        }
    }

    fn lookup(&self, name: &str) -> Option<String> {
        if let Some(variable) = name
            .strip_prefix("env[\"")
            .and_then(|rest| rest.strip_suffix("\"]"))
        {
            return self
                .vars
                .get(variable)
                .or_else(|| self.raw.get(variable))
                .cloned();
        }
        let node = &*self.node.fingerprint;
        match name {
            "node.unique.id" => Some(self.node.id.to_string()),
            "node.unique.name" => Some(node.name.clone()),
            "node.datacenter" => Some(node.datacenter.clone()),
            "node.region" => Some(self.node.region.clone()),
            "node.class" => Some(node.node_class.clone()),
            "node.pool" => Some(node.node_pool.clone()),
            _ => {
                if let Some(key) = name.strip_prefix("attr.") {
                    node.attributes.get(key).cloned()
                } else if let Some(key) = name.strip_prefix("meta.") {
                    node.meta.get(key).cloned()
                } else {
                    self.raw.get(name).or_else(|| self.vars.get(name)).cloned()
                }
            }
        }
    }
}

fn identity(subject: Subject<'_>, raw: &mut BTreeMap<String, String>) {
    let Subject {
        record, job, node, ..
    } = subject;
    let id = record.assigned.id;
    let index = record
        .assigned
        .name
        .rsplit_once('[')
        .and_then(|(_, rest)| rest.strip_suffix(']'))
        .unwrap_or("0");
    for (name, value) in [
        ("ALLOC_ID", id.to_string().as_str()),
        ("SHORT_ALLOC_ID", &id.short()),
        ("ALLOC_NAME", &record.assigned.name),
        ("ALLOC_INDEX", index),
        ("TASK_NAME", &subject.task.name),
        ("GROUP_NAME", subject.group.name()),
        ("JOB_ID", job.id()),
        ("JOB_NAME", job.name()),
        ("JOB_PARENT_ID", job.parent_id.as_deref().unwrap_or_default()),
        ("DC", &node.fingerprint.datacenter),
        ("NAMESPACE", job.namespace()),
        ("REGION", job.region()),
        ("PARENT_CGROUP", "holdfast.slice"),
    ] {
        if !value.is_empty() {
            raw.insert(format!("NOMAD_{name}"), value.to_owned());
        }
    }
}

fn limits(task: &Task, raw: &mut BTreeMap<String, String>) {
    let resources = task.resources();
    for (name, value) in [
        ("CPU_LIMIT", resources.cpu_mhz()),
        ("MEMORY_LIMIT", resources.memory_mb()),
        ("MEMORY_MAX_LIMIT", resources.memory_max_mb()),
    ] {
        if value > 0 {
            raw.insert(format!("NOMAD_{name}"), value.to_string());
        }
    }
}

/// The job's metadata, overlaid by the group's and the task's, each under its name and under the name in capitals.
fn meta(subject: Subject<'_>, raw: &mut BTreeMap<String, String>) {
    for level in [&subject.job.meta, &subject.group.meta, &subject.task.meta] {
        for (key, value) in level.iter().flatten() {
            raw.insert(format!("NOMAD_META_{key}"), value.clone());
            raw.insert(format!("NOMAD_META_{}", key.to_uppercase()), value.clone());
        }
    }
}

fn ports(subject: Subject<'_>, raw: &mut BTreeMap<String, String>) {
    for port in &subject.record.assigned.ports {
        let (label, value) = (&port.label, port.value);
        let ip = address_of(&port.host_ip, &subject.node.fingerprint);
        let address = if ip.contains(':') {
            format!("[{ip}]:{value}")
        } else {
            format!("{ip}:{value}")
        };
        let inside = if port.to == 0 { value } else { port.to };
        for (name, value) in [
            ("IP", ip.to_owned()),
            ("PORT", inside.to_string()),
            ("ADDR", address.clone()),
            ("HOST_IP", ip.to_owned()),
            ("HOST_PORT", value.to_string()),
            ("HOST_ADDR", address),
            ("ALLOC_PORT", inside.to_string()),
        ] {
            raw.insert(format!("NOMAD_{name}_{label}"), value);
        }
    }
}

/// The address that a port is published on: its own, the node's, or loopback on a box that has no other.
pub fn address_of<'a>(host_ip: &'a str, node: &'a Fingerprint) -> &'a str {
    let default = node
        .host_networks
        .get("default")
        .map_or("", |network| network.address.as_str());
    [host_ip, default]
        .into_iter()
        .find(|ip| !ip.is_empty())
        .unwrap_or("127.0.0.1")
}

/// A name as an environment takes it: everything but letters, digits and `_` becomes `_`.
fn clean(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::Path;

    use holdfast_agent_core::AllocRecord;
    use holdfast_shared::id::AllocId;
    use holdfast_shared::model::{ClientStatus, HostNetwork};
    use holdfast_shared::time::Timestamp;
    use holdfast_shared::wire::{Assigned, Port, WatchHealth};

    use super::*;
    use crate::taskdir::AllocDirs;

    pub(crate) const ALLOC: &str = "6a5ac2ba-8ebb-68e1-2cd5-9b9e3c01721c";

    /// An allocation with two ports, of the first group of `job`.
    pub(crate) fn record(job: &Job) -> AllocRecord {
        let id: AllocId = ALLOC.parse().unwrap();
        let port = |label: &str, value, to| Port {
            label: label.into(),
            value,
            to,
            host_ip: "10.0.0.7".into(),
        };
        let group = job.groups()[0].name().to_owned();
        let assigned = Assigned {
            id,
            name: format!("{}.{group}[3]", job.id()),
            namespace: "default".into(),
            job: job.id().into(),
            job_version: 0,
            job_create_index: 1,
            group,
            run: true,
            no_shutdown_delay: false,
            unknown: false,
            watch_health: WatchHealth::Nobody,
            canary: false,
            previous: None,
            ports: vec![port("product-api", 9090, 0), port("web", 20001, 80)],
            devices: Vec::new(),
            alloc_modify_index: 1,
        };
        AllocRecord {
            assigned,
            stopping: false,
            stop_reason: String::new(),
            kill_at: Timestamp::ZERO,
            prepared: true,
            tasks: BTreeMap::new(),
            client: ClientStatus::Pending,
            description: String::new(),
            healthy: None,
            revision: 0,
            acknowledged: 0,
        }
    }

    pub(crate) fn node() -> NodeView {
        let mut fingerprint = Fingerprint {
            name: "box-1".into(),
            datacenter: "dc2".into(),
            node_class: "small".into(),
            ..Fingerprint::default()
        };
        fingerprint
            .attributes
            .insert("kernel.name".into(), "linux".into());
        fingerprint.meta.insert("rack".into(), "r1".into());
        let default = HostNetwork {
            address: "10.0.0.7".into(),
            interface: "eth0".into(),
        };
        fingerprint.host_networks.insert("default".into(), default);
        NodeView {
            id: NodeId(1),
            region: "global".into(),
            fingerprint: Arc::new(fingerprint),
        }
    }

    pub(crate) fn job(driver: &str) -> Job {
        serde_json::from_value(serde_json::json!({
            "ID": "hashicups", "Meta": {"owner": "job", "tier": "job"},
            "TaskGroups": [{"Name": "g", "Meta": {"tier": "group"}, "Tasks": [{
                "Name": "api", "Driver": driver, "Meta": {"x-y": "task"},
                "Resources": {"CPU": 500, "MemoryMB": 256, "MemoryMaxMB": 512},
                "Env": {
                    "BIND": "0.0.0.0:${NOMAD_PORT_product-api}", "WHERE": "${node.datacenter}/${meta.rack}",
                    "OS": "${attr.kernel.name}", "AGAIN": "${env[\"NOMAD_JOB_ID\"]}", "UNKNOWN": "${attr.no.such}",
                    "DB": "from env"
                }
            }]}]
        }))
        .unwrap()
    }

    fn env(driver: &str) -> TaskEnv {
        let (job, node) = (job(driver), node());
        let record = record(&job);
        let group = &job.groups()[0];
        let subject = Subject {
            record: &record,
            job: &job,
            group,
            task: &group.tasks()[0],
            node: &node,
        };
        let dir = AllocDirs::new(Path::new("/d")).of(record.assigned.id).task("api");
        let rendered = [("DB".to_owned(), "from template".to_owned())].into();
        TaskEnv::build(subject, &Paths::inside(subject.task, &dir), rendered)
    }

    #[test]
    fn a_task_gets_the_whole_table_of_variables() {
        let env = env("docker");
        let table: String = env
            .vars
            .iter()
            .map(|(name, value)| format!("{name}={value}\n"))
            .collect();
        let expected = "\
AGAIN=hashicups
BIND=0.0.0.0:9090
DB=from template
NOMAD_ADDR_product_api=10.0.0.7:9090
NOMAD_ADDR_web=10.0.0.7:20001
NOMAD_ALLOC_DIR=/alloc
NOMAD_ALLOC_ID=6a5ac2ba-8ebb-68e1-2cd5-9b9e3c01721c
NOMAD_ALLOC_INDEX=3
NOMAD_ALLOC_NAME=hashicups.g[3]
NOMAD_ALLOC_PORT_product_api=9090
NOMAD_ALLOC_PORT_web=80
NOMAD_CPU_LIMIT=500
NOMAD_DC=dc2
NOMAD_GROUP_NAME=g
NOMAD_HOST_ADDR_product_api=10.0.0.7:9090
NOMAD_HOST_ADDR_web=10.0.0.7:20001
NOMAD_HOST_IP_product_api=10.0.0.7
NOMAD_HOST_IP_web=10.0.0.7
NOMAD_HOST_PORT_product_api=9090
NOMAD_HOST_PORT_web=20001
NOMAD_IP_product_api=10.0.0.7
NOMAD_IP_web=10.0.0.7
NOMAD_JOB_ID=hashicups
NOMAD_JOB_NAME=hashicups
NOMAD_MEMORY_LIMIT=256
NOMAD_MEMORY_MAX_LIMIT=512
NOMAD_META_OWNER=job
NOMAD_META_TIER=group
NOMAD_META_X_Y=task
NOMAD_META_owner=job
NOMAD_META_tier=group
NOMAD_META_x_y=task
NOMAD_NAMESPACE=default
NOMAD_PARENT_CGROUP=holdfast.slice
NOMAD_PORT_product_api=9090
NOMAD_PORT_web=80
NOMAD_REGION=global
NOMAD_SECRETS_DIR=/secrets
NOMAD_SHORT_ALLOC_ID=6a5ac2ba
NOMAD_TASK_DIR=/local
NOMAD_TASK_NAME=api
OS=linux
UNKNOWN=${attr.no.such}
WHERE=dc2/r1
";
        assert_eq!(table, expected);
    }

    #[test]
    fn a_task_on_the_box_itself_sees_host_paths_and_no_secrets_of_the_agent() {
        let mut env = env("raw_exec");
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let host = [
            pair("PATH", "/bin"),
            pair("HOLDFAST_ENROLMENT_TOKEN", "x"),
            pair("AWS_SECRET_ACCESS_KEY", "x"),
            pair("DB", "host"),
        ];
        env.add_host_env(host.into_iter());
        assert_eq!(env.vars["NOMAD_TASK_DIR"], format!("/d/alloc/{ALLOC}/api/local"));
        assert_eq!(
            (env.vars["PATH"].as_str(), env.vars["DB"].as_str()),
            ("/bin", "from template")
        );
        assert!(
            !env.vars.contains_key("HOLDFAST_ENROLMENT_TOKEN")
                && !env.vars.contains_key("AWS_SECRET_ACCESS_KEY")
        );
    }

    #[test]
    fn references_are_replaced_wherever_texts_are_nested() {
        let value = serde_json::json!({"args": ["-p", "${NOMAD_PORT_web}"], "labels": {"${meta.rack}": "${NOMAD_META_x-y}"}, "n": 1});
        let expected = serde_json::json!({"args": ["-p", "80"], "labels": {"r1": "task"}, "n": 1});
        assert_eq!(env("docker").interpolate_json(&value), expected);
    }
}
