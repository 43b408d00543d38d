//! What podman is asked to create for a task: libpod's container spec, as JSON.
//!
//! Pure but for one look at the file system: a bind mount's source must exist, because podman's own message for it names
//! neither the key nor the task.

use std::path::{Component, Path, PathBuf};

use serde_json::{Map, Value, json};

use super::config::{MountConfig, MountKind, PodmanConfig};
use super::passthrough::namespace;
use crate::error::{ConfigError, StartError};
use crate::logs::{spool_bytes, spool_path};
use crate::task::{NetworkMode, Port, Resources, TaskSpec};

/// Labels by which containers are found again.
pub(crate) mod label {
    pub(crate) const NODE: &str = "holdfast.node";
    /// Of pods, so that their own containers do not look like tasks.
    pub(crate) const POD: &str = "holdfast.pod";
    pub(crate) const ALLOC: &str = "holdfast.alloc";
    pub(crate) const TASK: &str = "holdfast.task";
    pub(crate) const JOB: &str = "holdfast.job";
    pub(crate) const SPEC: &str = "holdfast.spec";
}

/// Docker's and podman's default period for hard CPU limits, microseconds.
const CFS_PERIOD: i64 = 100_000;

/// The container spec of a task.
pub(crate) fn container(
    spec: &TaskSpec,
    config: &PodmanConfig,
    image: &str,
    node: &str,
) -> Result<Value, StartError> {
    let mut container = config.plain.clone();
    let mut set = |key: &str, value: Value| drop(container.insert(key.to_owned(), value));
    set("name", spec.id.to_string().into());
    set("image", image.into());
    set("env", json!(spec.env));
    set("labels", labels(spec, config, node));
    set("log_configuration", log_configuration(spec, config));
    set("resource_limits", resource_limits(&spec.resources, config));
    set("mounts", mounts(spec, config)?.into());
    set("volumes", volumes(config));
    // Health checks run from the agent; podman's would need systemd timers.
    set("healthconfig", json!({ "Test": ["NONE"] }));
    set("httpproxy", false.into());
    if !config.command.is_empty() {
        set("command", json!(config.command));
    }
    if !config.entrypoint.is_empty() {
        set("entrypoint", json!(config.entrypoint));
    }
    for (key, value) in [
        ("work_dir", &config.work_dir),
        ("hostname", &config.hostname),
        ("user", &spec.user),
    ] {
        if let Some(value) = value {
            set(key, value.as_str().into());
        }
    }
    if !config.devices.is_empty() {
        set(
            "devices",
            config
                .devices
                .iter()
                .map(|path| json!({ "path": path }))
                .collect(),
        );
    }
    if !config.limits.ulimits.is_empty() {
        let limit =
            |(name, soft, hard): &(String, i64, i64)| json!({"type": name, "soft": soft, "hard": hard});
        set("r_limits", config.limits.ulimits.iter().map(limit).collect());
    }
    if let Some(signal) = spec.stop_signal()? {
        set("stop_signal", signal.number().into());
    }
    set("stop_timeout", spec.kill_timeout.as_secs().into());
    if shares_network(spec, config) {
        set("pod", pod_name(&spec.id.alloc).into());
    } else {
        container.extend(network(spec, config)?);
    }
    Ok(Value::Object(container))
}

fn labels(spec: &TaskSpec, config: &PodmanConfig, node: &str) -> Value {
    let mut labels = config.labels.clone();
    let id = &spec.id;
    let nomad = [
        ("job_id", &spec.job),
        ("job_name", &spec.job),
        ("task_group_name", &spec.group),
        ("task_name", &id.task),
    ];
    for (name, value) in nomad {
        let wanted = |pattern: &String| {
            pattern
                .strip_suffix('*')
                .map_or(pattern == name, |p| name.starts_with(p))
        };
        if config.extra_labels.iter().any(wanted) {
            labels.insert(format!("com.hashicorp.nomad.{name}"), value.clone());
        }
    }
    labels.insert("com.hashicorp.nomad.alloc_id".to_owned(), id.alloc.clone());
    let ours = [
        (label::NODE, node),
        (label::ALLOC, &id.alloc),
        (label::TASK, &id.task),
        (label::JOB, &spec.job),
        (label::SPEC, &spec.spec_hash),
    ];
    labels.extend(ours.map(|(name, value)| (name.to_owned(), value.to_owned())));
    json!(labels)
}

/// The task lives in the network of its group, which has a pod of its own.
pub(crate) fn shares_network(spec: &TaskSpec, config: &PodmanConfig) -> bool {
    spec.network == NetworkMode::Bridge && config.network_mode.is_none()
}

/// The pod of an allocation.
pub(crate) fn pod_name(alloc: &str) -> String {
    format!("holdfast-{alloc}")
}

/// The pod that holds a group's network: nothing is shared but that, and all ports are published.
pub(crate) fn pod(spec: &TaskSpec, node: &str) -> Value {
    json!({
        "name": pod_name(&spec.id.alloc),
        "labels": { label::POD: node },
        "shared_namespaces": ["net"],
        "netns": namespace("bridge"),
        "portmappings": spec.ports.iter().map(|port| mapping(port, port.to)).collect::<Value>(),
    })
}

/// Whether the task's output is copied into log files.
pub(crate) fn has_log_files(spec: &TaskSpec, config: &PodmanConfig) -> bool {
    !spec.logs.disabled && config.logging.is_none()
}

fn log_configuration(spec: &TaskSpec, config: &PodmanConfig) -> Value {
    match &config.logging {
        Some(driver) => json!({ "driver": driver }),
        None if spec.logs.disabled => json!({ "driver": "none" }),
        None => json!({
            "driver": "k8s-file",
            "path": spool_path(&spec.log_dir, &spec.id.task),
            "size": spool_bytes(&spec.logs),
        }),
    }
}

fn resource_limits(resources: &Resources, config: &PodmanConfig) -> Value {
    let limits = &config.limits;
    let mut cpu = Map::new();
    if resources.cpu_mhz > 0 {
        // The kernel takes shares from 2 to 262144.
        cpu.insert("shares".to_owned(), resources.cpu_mhz.clamp(2, 262_144).into());
    }
    if !resources.cores.is_empty() {
        let cores: Vec<String> = resources.cores.iter().map(u16::to_string).collect();
        cpu.insert("cpus".to_owned(), cores.join(",").into());
    }
    if limits.cpu_hard_limit && resources.cpu_total_mhz > 0 {
        let period = limits
            .cpu_cfs_period
            .filter(|period| *period > 0)
            .unwrap_or(CFS_PERIOD);
        let processors = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
        let quota = resources.cpu_mhz * processors * period.unsigned_abs() / resources.cpu_total_mhz;
        cpu.insert("period".to_owned(), period.into());
        // Less than a millisecond is refused by the kernel.
        cpu.insert("quota".to_owned(), quota.max(1000).into());
    }
    let megabytes = |mb: u64| i64::try_from(mb << 20).unwrap_or(i64::MAX);
    let hard = limits
        .memory_hard_limit_mb
        .map(i64::unsigned_abs)
        .unwrap_or(resources.memory_max_mb);
    let (limit, reserved) = match (resources.memory_mb, hard) {
        (memory, hard) if hard > memory => (megabytes(hard), Some(megabytes(memory)).filter(|_| memory > 0)),
        (memory, _) => (megabytes(memory), None),
    };
    let mut memory = Map::new();
    if limit > 0 {
        memory.insert("limit".to_owned(), limit.into());
        memory.insert("swap".to_owned(), limits.memory_swap.unwrap_or(limit).into());
    }
    if let Some(reservation) = limits.memory_reservation.or(reserved) {
        memory.insert("reservation".to_owned(), reservation.into());
    }
    if let Some(swappiness) = limits.memory_swappiness {
        memory.insert("swappiness".to_owned(), swappiness.into());
    }
    let mut all = json!({ "cpu": cpu, "memory": memory });
    if let Some(pids) = limits.pids {
        all["pids"] = json!({ "limit": pids });
    }
    all
}

fn mounts(spec: &TaskSpec, config: &PodmanConfig) -> Result<Vec<Value>, StartError> {
    let own = [
        (spec.alloc_dir.clone(), "/alloc"),
        (spec.task_dir.join("local"), "/local"),
        (spec.secrets_dir.clone(), "/secrets"),
    ];
    let named = |target: &str| spec.mounts.iter().any(|mount| mount.target == Path::new(target));
    let own = own.into_iter().filter(|(_, target)| !named(target));
    let mut mounts: Vec<Value> = own
        .map(|(source, target)| bind(&source, Path::new(target), vec!["rw".to_owned()]))
        .collect();
    for mount in &spec.mounts {
        let mode = if mount.read_only { "ro" } else { "rw" };
        mounts.push(bind(&mount.source, &mount.target, vec![mode.to_owned()]));
    }
    for mount in &config.mounts {
        match mount.kind {
            MountKind::Bind => {
                let source = host_path(spec, mount)?;
                mounts.push(bind(&source, Path::new(&mount.target), mount.options.clone()));
            }
            MountKind::Tmpfs => mounts.push(json!({
                "type": "tmpfs", "source": "tmpfs", "destination": mount.target, "options": mount.options,
            })),
            MountKind::Volume => {}
        }
    }
    for line in &config.tmpfs {
        let (target, options) = line.split_once(':').unwrap_or((line, ""));
        let options: Vec<&str> = options.split(',').filter(|option| !option.is_empty()).collect();
        mounts.push(json!({
            "type": "tmpfs", "source": "tmpfs", "destination": target, "options": options,
        }));
    }
    Ok(mounts)
}

fn bind(source: &Path, target: &Path, mut options: Vec<String>) -> Value {
    options.push("rbind".to_owned());
    json!({ "type": "bind", "source": source, "destination": target, "options": options })
}

/// The host path of a bind mount. Relative ones start in the task's directory and may not leave the allocation's.
fn host_path(spec: &TaskSpec, mount: &MountConfig) -> Result<PathBuf, StartError> {
    let source = Path::new(&mount.source);
    let path = normal(&spec.task_dir.join(source));
    let home = spec.task_dir.parent().unwrap_or(&spec.task_dir);
    if source.is_relative() && !path.starts_with(normal(home)) {
        let problem = format!(
            "{:?} leaves the allocation's directory; write an absolute path",
            mount.source
        );
        return Err(ConfigError::new(format!("{}.source", mount.key), problem).into());
    }
    if !path.exists() {
        // It may come: a disk not plugged in yet, a template not rendered yet.
        return Err(StartError::recoverable(format!(
            "config.{}: {} does not exist on this node (from {:?}); create it, or write it with a template",
            mount.key,
            path.display(),
            mount.source
        )));
    }
    Ok(path)
}

/// The path without `.` and `..`, by text alone.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => drop(normal.pop()),
            other => normal.push(other),
        }
    }
    normal
}

fn volumes(config: &PodmanConfig) -> Value {
    let volumes = config
        .mounts
        .iter()
        .filter(|mount| mount.kind == MountKind::Volume);
    volumes
        .map(|mount| json!({ "Name": mount.source, "Dest": mount.target, "Options": mount.options }))
        .collect()
}

/// The network namespace and the published ports.
fn network(spec: &TaskSpec, config: &PodmanConfig) -> Result<Map<String, Value>, StartError> {
    let mode = match (config.network_mode.as_deref(), &spec.network) {
        (Some(mode), _) => mode,
        (None, NetworkMode::None) => "none",
        (None, NetworkMode::Cni(name)) => {
            let advice = "use bridge or host, or make a podman network and name it in config.network_mode";
            return Err(StartError::permanent(format!(
                "network mode cni/{name} is not supported yet: {advice}"
            )));
        }
        // Nomad's drivers, too, give a task of a group in host mode a bridge of its own.
        (None, NetworkMode::Host | NetworkMode::Bridge) => "bridge",
    };
    let mut network = Map::new();
    let kind = mode.split_once(':').map_or(mode, |(kind, _)| kind);
    let publishes = match kind {
        "host" | "none" | "container" | "ns" => false,
        "bridge" | "private" | "default" | "slirp4netns" | "pasta" => true,
        named => {
            network.insert("netns".to_owned(), namespace("bridge"));
            network.insert("Networks".to_owned(), json!({ named: {} }));
            true
        }
    };
    network.entry("netns").or_insert_with(|| match mode {
        "default" => namespace("bridge"),
        mode => namespace(mode),
    });
    let ports = ports(spec, config)?;
    if publishes && !ports.is_empty() {
        network.insert("portmappings".to_owned(), ports.into());
    }
    Ok(network)
}

fn ports(spec: &TaskSpec, config: &PodmanConfig) -> Result<Vec<Value>, ConfigError> {
    let find = |key: &str, label: &String| {
        spec.ports
            .iter()
            .find(|port| port.label == *label)
            .ok_or_else(|| {
                let labels: Vec<&str> = spec.ports.iter().map(|port| port.label.as_str()).collect();
                let known = if labels.is_empty() {
                    "no ports".to_owned()
                } else {
                    labels.join(", ")
                };
                ConfigError::new(
                    key,
                    format!("no port is labelled {label:?}; the group's network has {known}"),
                )
            })
    };
    let mut published: Vec<(&Port, u16)> = Vec::new();
    for label in &config.ports {
        let port = find("ports", label)?;
        published.push((port, config.port_map.get(label).copied().unwrap_or(port.to)));
    }
    for (label, inside) in config
        .port_map
        .iter()
        .filter(|(label, _)| !config.ports.contains(label))
    {
        published.push((find("port_map", label)?, *inside));
    }
    Ok(published
        .into_iter()
        .map(|(port, inside)| mapping(port, inside))
        .collect())
}

/// Publishes a port of the node as `inside`, or as the same number when that is 0.
fn mapping(port: &Port, inside: u16) -> Value {
    let mut mapping = json!({
        "container_port": if inside == 0 { port.host_port } else { inside },
        "host_port": port.host_port,
        "protocol": "tcp,udp",
    });
    if let Some(address) = port.host_ip {
        mapping["host_ip"] = address.to_string().into();
    }
    mapping
}
