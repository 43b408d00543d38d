//! Groups.

use std::collections::BTreeMap;

use holdfast_shared::model::{Job, JobType, Network, Port, TaskGroup};
use holdfast_shared::time::Duration;

use super::errors::Errors;
use super::{constraint, policy, service, task};

pub(super) fn errors(job: &Job, group: &TaskGroup) -> Errors {
    let mut errors = Errors::default();
    let kind = job.job_type();
    errors.push_if(group.name().is_empty(), "Missing task group name");
    errors.push_if(
        group.name().contains('\0'),
        "Task group name contains null character",
    );
    errors.push_if(
        group.count.is_some_and(|count| count < 0),
        "Task group count can't be negative",
    );
    // The tasks of a gateway are made by the mesh.
    let is_gateway = group
        .services()
        .iter()
        .any(|it| it.connect.as_ref().is_some_and(|it| !it["Gateway"].is_null()));
    errors.push_if(
        group.tasks().is_empty() && !is_gateway,
        "Missing tasks for task group",
    );
    let negative = |duration: Option<Duration>| duration.is_some_and(|it| it < Duration::ZERO);
    errors.push_if(
        negative(group.max_client_disconnect),
        "max_client_disconnect cannot be negative",
    );
    errors.push_if(
        negative(group.shutdown_delay),
        "ShutdownDelay must be a positive value",
    );
    errors.push_if(
        group.stop_after_client_disconnect.is_some() && kind.is_system(),
        "stop_after_client_disconnect can only be set in batch and service jobs",
    );
    policies(group, kind, &mut errors);
    task_names(group, &mut errors);
    volumes(group, &mut errors);
    nest(&mut errors, "Task group network", networks(group));
    nest(&mut errors, "Task group service", service::of_group(group));
    nest(
        &mut errors,
        "Task group service check",
        service::script_checks(group),
    );
    nest(&mut errors, "Task group scaling policy", scaling(group));
    for task in group.tasks() {
        for (index, mount) in task.volume_mounts.iter().flatten().enumerate() {
            let volume = mount.volume.as_deref().unwrap_or_default();
            let is_known = group
                .volumes
                .as_ref()
                .is_some_and(|volumes| volumes.contains_key(volume));
            if volume.is_empty() {
                errors.push(format!(
                    "Task {} has a volume mount ({index}) referencing an empty volume",
                    task.name
                ));
            } else if !is_known {
                errors.push(format!(
                    "Task {} has a volume mount ({index}) referencing undefined volume {volume}",
                    task.name
                ));
            }
        }
        errors.nest(
            format_args!("Task {}", task.name),
            task::errors(task, group, kind),
        );
    }
    errors
}

fn nest(errors: &mut Errors, name: &str, part: Errors) {
    errors.nest(name, part);
}

fn policies(group: &TaskGroup, kind: JobType, errors: &mut Errors) {
    constraint::constraints(group.constraints.as_deref(), errors);
    constraint::affinities(group.affinities.as_deref(), kind, errors);
    if let Some(restart) = &group.restart_policy {
        errors.extend(policy::restart(restart));
    }
    constraint::spreads(group.spreads.as_deref(), kind, errors);
    match &group.reschedule_policy {
        Some(_) if kind.is_system() => errors.push("System jobs should not have a reschedule policy"),
        Some(reschedule) => errors.extend(policy::reschedule(reschedule)),
        None => {}
    }
    if let Some(size) = group.ephemeral_disk.as_ref().and_then(|disk| disk.size_mb) {
        errors.push_if(size < 10, format_args!("minimum DiskMB value is 10; got {size}"));
    }
    if let Some(update) = &group.update {
        let name = kind.as_str();
        errors.push_if(
            kind.is_batch(),
            format_args!("Job type {name:?} does not allow update block"),
        );
        errors.inline(policy::update(update));
    }
    if let Some(migrate) = &group.migrate {
        let name = kind.as_str();
        errors.push_if(
            kind != JobType::Service,
            format_args!("Job type {name:?} does not allow migrate block"),
        );
        errors.extend(policy::migrate(migrate));
    }
    if let Some(disconnect) = &group.disconnect {
        errors.extend(policy::disconnect(disconnect, kind));
        let is_old = group.max_client_disconnect.is_some()
            || group.stop_after_client_disconnect.is_some()
            || group.prevent_reschedule_on_lost.is_some();
        errors.push_if(
            is_old,
            "disconnect block cannot be used together with max_client_disconnect, stop_after_client_disconnect or \
             prevent_reschedule_on_lost",
        );
    }
}

fn task_names(group: &TaskGroup, errors: &mut Errors) {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, task) in group.tasks().iter().enumerate() {
        let number = index + 1;
        match (task.name.as_str(), seen.get(task.name.as_str())) {
            ("", _) => errors.push(format!("Task {number} missing name")),
            (name, Some(first)) => errors.push(format!("Task {number} redefines '{name}' from task {first}")),
            (name, None) => {
                seen.insert(name, number);
            }
        }
    }
    let leaders = group.tasks().iter().filter(|task| task.leader).count();
    errors.push_if(leaders > 1, "Only one task may be marked as leader");
    errors.push_if(
        !group.tasks().is_empty() && group.main_tasks().next().is_none(),
        format_args!("Task group {} must have at least one main task", group.name()),
    );
}

fn volumes(group: &TaskGroup, errors: &mut Errors) {
    for (name, volume) in group.volumes.iter().flatten() {
        if !matches!(volume.kind.as_str(), "host" | "csi") {
            errors.push(format!("Volume {name} has unrecognized type {}", volume.kind));
            continue;
        }
        errors.push_if(
            volume.source.is_empty(),
            format_args!("Volume {name} has an empty source"),
        );
    }
}

fn networks(group: &TaskGroup) -> Errors {
    let mut errors = Errors::default();
    let mut labels: BTreeMap<String, String> = BTreeMap::new();
    // A static port may be taken once on each host network.
    let mut numbers: BTreeMap<(String, i64), String> = BTreeMap::new();
    for network in group.networks() {
        ports(
            network,
            "taskgroup network",
            (&mut labels, &mut numbers),
            &mut errors,
        );
    }
    for task in group.tasks() {
        // Labels of a task's own network, the older form, are the task's own.
        let mut labels = labels.clone();
        for network in task.resources.iter().flat_map(|it| it.networks.iter().flatten()) {
            ports(network, &task.name, (&mut labels, &mut numbers), &mut errors);
        }
    }
    errors.push_if(
        group.networks().len() > 1 && errors.is_empty(),
        "only one network block is allowed",
    );
    errors
}

type Taken<'a> = (
    &'a mut BTreeMap<String, String>,
    &'a mut BTreeMap<(String, i64), String>,
);

fn ports(network: &Network, owner: &str, (labels, numbers): Taken<'_>, errors: &mut Errors) {
    for port in network.reserved_ports().iter().chain(network.dynamic_ports()) {
        let Port { label, value, to, .. } = port;
        if let Some(other) = labels.get(label) {
            errors.push(format!("Port label {label} already in use by {other}"));
        } else {
            labels.insert(label.clone(), owner.to_owned());
        }
        if *value != 0 {
            let key = (port.host_network.clone(), *value);
            match numbers.get(&key) {
                Some(other) if !port.ignore_collision => {
                    errors.push(format!("Static port {value} already reserved by {other}"));
                }
                _ if *value > 65_535 => {
                    errors.push(format!("Port {label} ({value}) cannot be greater than 65535"));
                }
                _ => {
                    numbers.insert(key, format!("{owner}:{label}"));
                }
            }
        }
        errors.push_if(
            *to < -1,
            format_args!("Port {label:?} cannot be mapped to negative value {to}"),
        );
        errors.push_if(
            *to > 65_535,
            format_args!("Port {label:?} cannot be mapped to a port ({to}) greater than 65535"),
        );
    }
}

fn scaling(group: &TaskGroup) -> Errors {
    let mut errors = Errors::default();
    let Some(scaling) = &group.scaling else {
        return errors;
    };
    let count = group.count.unwrap_or(1);
    let Some(max) = scaling.max else {
        errors.push("Scaling policy invalid: maximum count must be specified");
        return errors;
    };
    let min = scaling.min.unwrap_or(count);
    errors.push_if(
        min > max,
        "Scaling policy invalid: maximum count must not be less than minimum count",
    );
    errors.push_if(
        max < count,
        "Scaling policy invalid: task group count must not be greater than maximum count in scaling policy",
    );
    errors.push_if(
        count < min,
        "Scaling policy invalid: task group count must not be less than minimum count in scaling policy",
    );
    errors
}
