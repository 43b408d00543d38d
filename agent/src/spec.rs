//! From a task of a job to what its driver is told: everything interpolated, every path a host path.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use holdfast_drivers::{LogLimits, Mount, NetworkMode, Port, Resources, TaskId, TaskSpec};
use holdfast_shared::model::{self, Task, TaskGroup, VolumeMount};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::fingerprint;
use crate::taskdir::TaskDir;
use crate::taskenv::{Paths, Subject, TaskEnv};
use crate::templates;

/// Why a task cannot be described to its driver. Trying again does not help.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// A volume that the task mounts is not among the group's.
    #[error("the group has no volume {0:?}: add a volume block with that name")]
    NoVolume(String),
    /// The node has no such volume.
    #[error(
        "this node has no host volume {0:?}: configure it with host_volume, or constrain the job to nodes that have it"
    )]
    NoHostVolume(String),
    /// A device that was assigned is not there any more.
    #[error("this node has no device {0} any more: plug it in, or reschedule the allocation")]
    NoDevice(String),
    /// A kind of volume that there is not.
    #[error("volume {name:?} is of type {kind:?}; only host volumes are supported")]
    VolumeKind {
        /// The volume.
        name: String,
        /// Its type.
        kind: String,
    },
    /// Something in the task that this agent cannot do yet.
    #[error("{0} is not supported yet: remove it from the task")]
    Unsupported(&'static str),
    /// The variables that templates rendered cannot be read.
    #[error("template {destination:?} does not hold environment variables: {reason}")]
    EnvFile {
        /// Where it was written.
        destination: String,
        /// What is wrong.
        reason: String,
    },
}

/// What the driver of `subject`'s task is told.
///
/// # Errors
/// When the task asks for something that this node does not have.
pub fn task_spec(subject: Subject<'_>, dir: &TaskDir) -> Result<TaskSpec, SpecError> {
    let Subject {
        record,
        job,
        group,
        task,
        node,
    } = subject;
    refuse(task)?;
    let devices = devices(subject)?;
    let mut env = TaskEnv::build(
        subject,
        &Paths::inside(task, dir),
        templates::rendered_env(subject, dir)?,
    );
    if !is_contained(task) {
        env.add_host_env(std::env::vars());
    }
    let mut config: Map<String, Value> = task
        .config
        .iter()
        .flatten()
        .map(|(key, value)| (key.clone(), env.interpolate_json(value)))
        .collect();
    if is_contained(task) {
        hand_over(&mut config, devices);
    }
    let resources = task.resources();
    let mut spec = TaskSpec {
        id: TaskId {
            alloc: record.assigned.id.to_string(),
            task: task.name.clone(),
        },
        job: job.id().to_owned(),
        group: group.name().to_owned(),
        driver: task.driver.clone(),
        config,
        user: Some(env.interpolate(&task.user).into_owned()).filter(|user| !user.is_empty()),
        resources: Resources {
            cpu_mhz: resources.cpu_mhz(),
            cpu_total_mhz: node.fingerprint.resources.cpu_mhz,
            cores: Vec::new(),
            memory_mb: resources.memory_mb(),
            memory_max_mb: memory_max(&resources, node.fingerprint.resources.memory_mb),
        },
        task_dir: dir.path(),
        alloc_dir: dir.alloc.shared(),
        secrets_dir: dir.secrets(),
        log_dir: dir.alloc.logs(),
        logs: logs(task),
        ports: ports(subject),
        network: network(group),
        mounts: mounts(subject, &env)?,
        kill_signal: Some(task.kill_signal.clone()).filter(|signal| !signal.is_empty()),
        kill_timeout: task.kill_timeout().to_std(),
        env: env.vars,
        spec_hash: String::new(),
    };
    spec.spec_hash = hash(&spec, &record.assigned.ports);
    Ok(spec)
}

/// Whether the task has a file system of its own.
pub fn is_contained(task: &Task) -> bool {
    holdfast_drivers::kind(&task.driver).is_some_and(|kind| kind.own_filesystem)
}

/// A task that would run without something it counts on is not started at all.
fn refuse(task: &Task) -> Result<(), SpecError> {
    if task.artifacts.as_ref().is_some_and(|list| !list.is_empty()) {
        return Err(SpecError::Unsupported("an artifact block"));
    }
    Ok(())
}

fn logs(task: &Task) -> LogLimits {
    let default = LogLimits::default();
    let Some(config) = &task.log_config else {
        return default;
    };
    LogLimits {
        max_files: config
            .max_files
            .and_then(|it| u32::try_from(it).ok())
            .unwrap_or(default.max_files),
        max_file_size_mb: config
            .max_file_size_mb
            .and_then(|it| u64::try_from(it).ok())
            .unwrap_or(default.max_file_size_mb),
        disabled: config.disabled.unwrap_or_else(|| config.enabled == Some(false)),
    }
}

/// Megabytes that a task may use at most; 0 is what it reserves. With -1 it may use all that its box has.
fn memory_max(resources: &model::Resources, all: u64) -> u64 {
    match resources.memory_max_mb {
        Some(-1) => all,
        _ => resources.memory_max_mb(),
    }
}

/// The nodes in `/dev` of the devices that the task was assigned.
fn devices(subject: Subject<'_>) -> Result<Vec<String>, SpecError> {
    let assigned = subject.record.assigned.devices.iter();
    let of_task = assigned.filter(|it| it.task == subject.task.name);
    let mut paths = Vec::new();
    for (name, id) in of_task.flat_map(|it| it.ids.iter().map(|id| (&it.name, id))) {
        let known = subject
            .node
            .fingerprint
            .devices
            .iter()
            .filter(|it| it.id() == *name);
        let instance = known.flat_map(|it| &it.instances).find(|it| it.id == *id);
        let instance = instance.ok_or_else(|| SpecError::NoDevice(format!("{name} {id}")))?;
        paths.push(instance.path.clone());
    }
    Ok(paths)
}

/// Adds devices to those that the task's `config` names, written as those are.
fn hand_over(config: &mut Map<String, Value>, devices: Vec<String>) {
    if devices.is_empty() {
        return;
    }
    let listed = config
        .entry("devices")
        .or_insert_with(|| Value::Array(Vec::new()));
    let Some(listed) = listed.as_array_mut() else {
        return;
    };
    let as_blocks = listed.first().is_some_and(Value::is_object);
    listed.extend(devices.into_iter().map(|path| {
        if as_blocks {
            serde_json::json!({ "host_path": path })
        } else {
            path.into()
        }
    }));
}

fn ports(subject: Subject<'_>) -> Vec<Port> {
    let port = |port: &holdfast_shared::wire::Port| Port {
        label: port.label.clone(),
        // A box that lost its address with the uplink still starts its tasks: they listen on whatever it has, and are
        // reached at the address when that comes back.
        host_ip: port
            .host_ip
            .parse()
            .ok()
            .filter(|ip| fingerprint::has_address(*ip)),
        host_port: port.value,
        to: port.to,
    };
    subject.record.assigned.ports.iter().map(port).collect()
}

fn network(group: &TaskGroup) -> NetworkMode {
    let mode = group.networks().first().map_or("host", |network| network.mode());
    match mode {
        "bridge" => NetworkMode::Bridge,
        "none" => NetworkMode::None,
        other => match other.strip_prefix("cni/") {
            Some(name) => NetworkMode::Cni(name.to_owned()),
            None => NetworkMode::Host,
        },
    }
}

fn mounts(subject: Subject<'_>, env: &TaskEnv) -> Result<Vec<Mount>, SpecError> {
    let mounts = subject.task.volume_mounts.as_deref().unwrap_or_default();
    mounts
        .iter()
        .map(|mount| self::mount(subject, env, mount))
        .collect()
}

fn mount(subject: Subject<'_>, env: &TaskEnv, mount: &VolumeMount) -> Result<Mount, SpecError> {
    let name = mount.volume.as_deref().unwrap_or_default();
    let volumes = subject.group.volumes.as_ref();
    let volume = volumes
        .and_then(|all| all.get(name))
        .ok_or_else(|| SpecError::NoVolume(name.to_owned()))?;
    if volume.kind != "host" {
        return Err(SpecError::VolumeKind {
            name: name.to_owned(),
            kind: volume.kind.clone(),
        });
    }
    let mut source = env.interpolate(&volume.source).into_owned();
    if volume.per_alloc {
        let index = env.vars.get("NOMAD_ALLOC_INDEX").map_or("0", String::as_str);
        write!(source, "[{index}]").expect("memory takes text");
    }
    let host = subject.node.fingerprint.host_volumes.get(&source);
    let host = host.ok_or_else(|| SpecError::NoHostVolume(source.clone()))?;
    Ok(Mount {
        source: PathBuf::from(&host.path),
        target: Path::new("/").join(
            env.interpolate(mount.destination.as_deref().unwrap_or_default())
                .as_ref(),
        ),
        read_only: host.read_only || volume.read_only || mount.read_only.unwrap_or(false),
    })
}

/// What a running task is recognised by after a crash between its start and the note of it. Environment and metadata are
/// left out: templates may have changed them in the meantime, and the task runs all the same. Ports count as assigned,
/// whether or not the box has their address at the moment.
fn hash(spec: &TaskSpec, ports: &[holdfast_shared::wire::Port]) -> String {
    let parts: BTreeMap<&str, String> = [
        ("driver", spec.driver.clone()),
        ("config", Value::Object(spec.config.clone()).to_string()),
        ("user", spec.user.clone().unwrap_or_default()),
        ("resources", format!("{:?}", spec.resources)),
        ("ports", format!("{ports:?}")),
        ("mounts", format!("{:?}", spec.mounts)),
    ]
    .into();
    let digest = Sha256::digest(format!("{parts:?}"));
    digest.iter().take(16).fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("memory takes text");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::taskdir::AllocDirs;
    use crate::taskenv::tests::{job, node, record};
    use holdfast_shared::model::{HostVolume, Job};

    fn spec(job: &Job) -> Result<TaskSpec, String> {
        let mut node = node();
        let mut print = (*node.fingerprint).clone();
        print.host_volumes.insert(
            "disk".into(),
            HostVolume {
                path: "/srv".into(),
                read_only: true,
            },
        );
        node.fingerprint = std::sync::Arc::new(print);
        let (mut record, group) = (record(job), &job.groups()[0]);
        record.assigned.ports[1].host_ip = "127.0.0.1".into();
        let subject = Subject {
            record: &record,
            job,
            group,
            task: &group.tasks()[0],
            node: &node,
        };
        let dir = AllocDirs::new(Path::new("/d")).of(record.assigned.id).task("api");
        task_spec(subject, &dir).map_err(|error| error.to_string())
    }

    fn with(driver: &str, change: impl FnOnce(&mut TaskGroup)) -> Job {
        let mut job = job(driver);
        change(&mut job.task_groups.as_mut().unwrap()[0]);
        job
    }

    #[test]
    fn assigned_devices_are_handed_over_as_the_job_writes_its_own() {
        let paths = || vec!["/dev/ttyUSB0".to_owned()];
        for (config, wanted) in [
            (serde_json::json!({}), serde_json::json!(["/dev/ttyUSB0"])),
            (
                serde_json::json!({"devices": ["/dev/x"]}),
                serde_json::json!(["/dev/x", "/dev/ttyUSB0"]),
            ),
            (
                serde_json::json!({"devices": [{"host_path": "/dev/x"}]}),
                serde_json::json!([{"host_path": "/dev/x"}, {"host_path": "/dev/ttyUSB0"}]),
            ),
        ] {
            let mut config = config.as_object().unwrap().clone();
            hand_over(&mut config, paths());
            assert_eq!(config["devices"], wanted);
        }
    }

    #[test]
    fn a_task_without_a_limit_may_use_all_the_memory_of_its_box() {
        for (asked, told) in [(None, 0), (Some(0), 0), (Some(512), 512), (Some(-1), 2048)] {
            let resources = model::Resources {
                memory_max_mb: asked,
                ..model::Resources::default()
            };
            assert_eq!(memory_max(&resources, 2048), told, "{asked:?}");
        }
    }

    #[test]
    fn a_driver_is_told_everything_with_host_paths_and_no_reference_left() {
        let job = with("docker", |group| {
            let task = &mut group.tasks.as_mut().unwrap()[0];
            let config =
                serde_json::json!({"image": "app:${NOMAD_META_owner}", "args": ["${NOMAD_TASK_DIR}/x"]});
            task.config = serde_json::from_value(config).unwrap();
        });
        let spec = spec(&job).unwrap();
        assert_eq!(
            Value::Object(spec.config),
            serde_json::json!({"image": "app:job", "args": ["/local/x"]})
        );
        assert!(spec.task_dir.ends_with("api") && spec.log_dir.ends_with("alloc/logs"));
        assert_eq!(
            (spec.ports.len(), spec.ports[1].to, spec.resources.memory_mb),
            (2, 80, 256)
        );
        assert!(
            !spec.env.contains_key("PATH"),
            "a container does not see the variables of the box"
        );
    }

    #[test]
    fn a_port_is_published_everywhere_while_the_box_lacks_its_address() {
        let spec = spec(&job("docker")).unwrap();
        // 10.0.0.7 of the first port is nobody's here; loopback of the second always is.
        let published: Vec<Option<String>> = spec
            .ports
            .iter()
            .map(|port| port.host_ip.map(|ip| ip.to_string()))
            .collect();
        assert_eq!(published, [None, Some("127.0.0.1".to_owned())]);
    }

    #[test]
    fn the_hash_changes_with_what_the_container_is_made_from_and_not_with_its_environment() {
        let base = spec(&job("docker")).unwrap().spec_hash;
        let env = with("docker", |group| group.tasks.as_mut().unwrap()[0].env = None);
        assert_eq!(spec(&env).unwrap().spec_hash, base);
        let user = with("docker", |group| {
            group.tasks.as_mut().unwrap()[0].user = "nobody".into()
        });
        assert_ne!(spec(&user).unwrap().spec_hash, base);
    }

    #[test]
    fn volumes_are_found_on_the_node_and_stay_read_only_when_either_says_so() {
        let mounting = |volumes: Value, mount: Value| {
            with("docker", |group| {
                group.volumes = serde_json::from_value(volumes).unwrap();
                group.tasks.as_mut().unwrap()[0].volume_mounts = serde_json::from_value(mount).unwrap();
            })
        };
        let mount = serde_json::json!([{"Volume": "v", "Destination": "/data"}]);
        let ok = mounting(
            serde_json::json!({"v": {"Type": "host", "Source": "disk"}}),
            mount.clone(),
        );
        let expected = Mount {
            source: "/srv".into(),
            target: "/data".into(),
            read_only: true,
        };
        assert_eq!(spec(&ok).unwrap().mounts, [expected]);
        for (volumes, error) in [
            (serde_json::json!({}), "the group has no volume \"v\""),
            (
                serde_json::json!({"v": {"Type": "host", "Source": "x"}}),
                "this node has no host volume \"x\"",
            ),
            (
                serde_json::json!({"v": {"Type": "csi", "Source": "x"}}),
                "volume \"v\" is of type \"csi\"",
            ),
        ] {
            let message = spec(&mounting(volumes, mount.clone())).unwrap_err();
            assert!(message.starts_with(error), "{message}");
        }
    }

    #[test]
    fn what_cannot_be_done_yet_is_refused_by_name() {
        let artifact = with("docker", |group| {
            group.tasks.as_mut().unwrap()[0].artifacts = Some(vec![Default::default()]);
        });
        assert_eq!(
            spec(&artifact).unwrap_err(),
            "an artifact block is not supported yet: remove it from the task"
        );
    }
}
