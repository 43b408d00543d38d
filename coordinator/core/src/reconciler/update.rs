//! What a change of a job means for a running allocation: it goes on, or it is replaced
//! (`scheduling-semantics.md` section 7).
//!
//! Every field that matters to a running task is compared here; a field that is not named can change in place.

use std::collections::BTreeMap;

use holdfast_shared::model::{Job, Network, Port, Resources, Service, Task, TaskGroup};
use serde_json::Value;

/// Whether the tasks of the group have to be replaced to get from one version to the other.
pub fn is_destructive(old: &Job, new: &Job, group: &str) -> bool {
    let Some((old_group, new_group)) = old.group(group).zip(new.group(group)) else {
        return true;
    };
    let (before, after) = (old_group.tasks(), new_group.tasks());
    before.len() != after.len()
        || group_differs(old_group, new_group)
        || after.iter().any(|task| {
            old_group.task(&task.name).is_none_or(|before| {
                task_differs(before, task)
                    || meta(old, old_group, before) != meta(new, new_group, task)
                    || renders_templates(old_group, before) != renders_templates(new_group, task)
            })
        })
}

fn group_differs(old: &TaskGroup, new: &TaskGroup) -> bool {
    let disk = |group: &TaskGroup| group.ephemeral_disk.clone().unwrap_or_default();
    let volumes = |group: &TaskGroup| group.volumes.clone().unwrap_or_default();
    disk(old) != disk(new)
        || volumes(old) != volumes(new)
        || networks_differ(old.networks(), new.networks())
        || connect_differs(old.services(), new.services())
}

fn task_differs(old: &Task, new: &Task) -> bool {
    let logs_off = |task: &Task| {
        task.log_config
            .as_ref()
            .and_then(|logs| logs.disabled)
            .unwrap_or(false)
    };
    old.driver != new.driver
        || old.user != new.user
        || old.config.clone().unwrap_or_default() != new.config.clone().unwrap_or_default()
        || old.env.clone().unwrap_or_default() != new.env.clone().unwrap_or_default()
        || old.artifacts.clone().unwrap_or_default() != new.artifacts.clone().unwrap_or_default()
        || old.templates() != new.templates()
        || old.volume_mounts.clone().unwrap_or_default() != new.volume_mounts.clone().unwrap_or_default()
        || old.vault != new.vault
        || old.secrets != new.secrets
        || consul_differs(old.consul.as_ref(), new.consul.as_ref())
        || old.csi_plugin_config != new.csi_plugin_config
        || old.identity != new.identity
        || old.identities.clone().unwrap_or_default() != new.identities.clone().unwrap_or_default()
        || logs_off(old) != logs_off(new)
        || resources_differ(&old.resources(), &new.resources())
        || connect_differs(old.services(), new.services())
}

fn resources_differ(old: &Resources, new: &Resources) -> bool {
    let devices = |it: &Resources| it.devices.clone().unwrap_or_default();
    let networks = |it: &Resources| it.networks.clone().unwrap_or_default();
    old.cpu_mhz() != new.cpu_mhz()
        || old.cores.unwrap_or(0) != new.cores.unwrap_or(0)
        || old.memory_mb() != new.memory_mb()
        || old.memory_max_mb() != new.memory_max_mb()
        || old.secrets_mb.unwrap_or(0) != new.secrets_mb.unwrap_or(0)
        || old.numa != new.numa
        || devices(old) != devices(new)
        || networks_differ(&networks(old), &networks(new))
}

fn networks_differ(old: &[Network], new: &[Network]) -> bool {
    old.len() != new.len() || old.iter().zip(new).any(|(old, new)| network_differs(old, new))
}

fn network_differs(old: &Network, new: &Network) -> bool {
    // A number that the scheduler chose is no part of the wish.
    let dynamic = |network: &Network| {
        let ports = network.dynamic_ports().iter();
        ports
            .map(|port| Port {
                value: 0,
                ..port.clone()
            })
            .collect::<Vec<_>>()
    };
    old.mode() != new.mode()
        || old.mbits.unwrap_or(0) != new.mbits.unwrap_or(0)
        || old.hostname != new.hostname
        || old.dns != new.dns
        || old.cni != new.cni
        || old.reserved_ports() != new.reserved_ports()
        || dynamic(old) != dynamic(new)
}

/// A namespace may change in place; so may the whole block come and go.
fn consul_differs(old: Option<&Value>, new: Option<&Value>) -> bool {
    let Some((old, new)) = old.zip(new) else {
        return false;
    };
    ["Cluster", "Partition"]
        .iter()
        .any(|key| old.get(key) != new.get(key))
}

/// Only services with `connect` in the new version are looked at.
fn connect_differs(old: &[Service], new: &[Service]) -> bool {
    new.iter()
        .filter(|service| service.connect.as_ref().is_some_and(|it| !it.is_null()))
        .any(|service| {
            let Some(before) = old.iter().find(|it| it.name == service.name) else {
                return !is_native(service);
            };
            let parts = |service: &Service| {
                let part = |key: &str| {
                    let connect = service.connect.as_ref()?;
                    connect.get(key).filter(|it| !it.is_null()).cloned()
                };
                (
                    is_native(service),
                    part("SidecarTask"),
                    part("Gateway"),
                    part("SidecarService").is_some(),
                )
            };
            parts(before) != parts(service) || before.port_label != service.port_label
        })
}

fn is_native(service: &Service) -> bool {
    service
        .connect
        .as_ref()
        .is_some_and(|connect| connect["Native"] == true)
}

/// What a task sees of the meta of job, group and task.
fn meta<'a>(job: &'a Job, group: &'a TaskGroup, task: &'a Task) -> BTreeMap<&'a str, &'a str> {
    let layers = [job.meta.as_ref(), group.meta.as_ref(), task.meta.as_ref()];
    layers
        .into_iter()
        .flatten()
        .flatten()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect()
}

fn renders_templates(group: &TaskGroup, task: &Task) -> bool {
    let of_group = group.restart_policy.as_ref().and_then(|it| it.render_templates);
    task.restart_policy
        .as_ref()
        .and_then(|it| it.render_templates)
        .or(of_group)
        .unwrap_or(false)
}
