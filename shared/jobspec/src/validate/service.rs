//! Services and checks.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_shared::model::{Check, Service, Task, TaskGroup};
use holdfast_shared::time::Duration;

use super::errors::Errors;

/// Services of the group, and how they go together with those of its tasks.
pub(super) fn of_group(group: &TaskGroup) -> Errors {
    let mut errors = Errors::default();
    let mut known = BTreeSet::new();
    let tasks: BTreeSet<&str> = group.tasks().iter().map(|task| task.name.as_str()).collect();
    for service in group.tasks().iter().flat_map(Task::services) {
        known.insert((service.name.as_str(), service.port_label.as_str()));
    }
    for (index, service) in group.services().iter().enumerate() {
        let found = one(service);
        if !found.is_empty() {
            errors.nest(format_args!("Service[{index}] {}", service.name), found);
            continue;
        }
        let is_new = known.insert((service.name.as_str(), service.port_label.as_str()));
        errors.push_if(!is_new, format_args!("Service {} is duplicate", service.name));
        for check in service.checks() {
            let task = [&check.task_name, &service.task_name]
                .into_iter()
                .find(|it| !it.is_empty());
            if let Some(task) = task.filter(|task| !tasks.contains(task.as_str())) {
                let name = check_name(service, check);
                errors.push(format!(
                    "Check {name} invalid: refers to non-existent task {task}"
                ));
            }
        }
    }
    errors
}

/// Script checks of group services must say in which task they run.
pub(super) fn script_checks(group: &TaskGroup) -> Errors {
    let mut errors = Errors::default();
    for service in group
        .services()
        .iter()
        .filter(|service| service.task_name.is_empty())
    {
        for check in service
            .checks()
            .iter()
            .filter(|it| it.kind == "script" && it.task_name.is_empty())
        {
            errors.push(format!(
                "Service [{}]->{} or Check {} must specify task parameter",
                group.name(),
                service.name,
                check.name
            ));
        }
    }
    errors
}

/// Services of a task, and the ports they name.
pub(super) fn of_task(task: &Task, group: &TaskGroup) -> Errors {
    let mut errors = Errors::default();
    let mut known = BTreeSet::new();
    let mut users: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (index, service) in task.services().iter().enumerate() {
        errors.nest(format_args!("service[{index}] {:?}", service.name), one(service));
        let is_new = known.insert((service.name.as_str(), service.port_label.as_str()));
        errors.push_if(!is_new, format_args!("service {:?} is duplicate", service.name));
        let is_number = service.port_label.parse::<i64>().is_ok();
        let is_free = service.port_label.is_empty() || service.address_mode == "driver" && is_number;
        if !is_free {
            users
                .entry(&service.port_label)
                .or_default()
                .insert(&service.name);
        }
        for check in service.checks() {
            if let Some(port) = check_port(service, check, &mut errors) {
                users.entry(port).or_default().insert(&service.name);
            }
        }
    }
    let own = task.resources.iter().flat_map(|it| it.networks.iter().flatten());
    let networks = own.chain(group.networks());
    let labels: BTreeSet<&str> = networks
        .flat_map(|network| network.reserved_ports().iter().chain(network.dynamic_ports()))
        .map(|port| port.label.as_str())
        .collect();
    for (label, services) in users.iter().filter(|(label, _)| !labels.contains(*label)) {
        let names: Vec<&str> = services.iter().copied().collect();
        errors.push(format!(
            "port label {label:?} referenced by services {} does not exist",
            names.join(", ")
        ));
    }
    errors
}

/// The port label that a check needs to exist.
fn check_port<'s>(service: &'s Service, check: &'s Check, errors: &mut Errors) -> Option<&'s str> {
    if check.kind == "script" {
        return None;
    }
    let port = if check.port_label.is_empty() {
        &service.port_label
    } else {
        &check.port_label
    };
    if port.is_empty() {
        errors.push(format!("check {:?} is missing a port", check.name));
        return None;
    }
    let Ok(number) = port.parse::<i64>() else {
        return Some(port);
    };
    if check.address_mode != "driver" {
        errors.push(format!(
            "check {:?} cannot use a numeric port {number} without setting address_mode=\"driver\"",
            check.name
        ));
    } else if number <= 0 {
        errors.push(format!(
            "check {:?} has invalid numeric port {number}",
            check.name
        ));
    }
    None
}

fn one(service: &Service) -> Errors {
    let mut errors = Errors::default();
    let name = without_interpolations(&service.name);
    errors.push_if(
        !is_service_name(&name),
        format_args!(
            "Service name must be valid per RFC 1123 and can contain only alphanumeric characters or dashes: {:?}",
            service.name
        ),
    );
    errors.push_if(
        !matches!(
            service.address_mode.as_str(),
            "" | "auto" | "host" | "alloc" | "alloc_ipv6" | "driver"
        ),
        format_args!(
            "Service address_mode must be \"auto\", \"alloc\", \"host\", or \"driver\"; not {:?}",
            service.address_mode
        ),
    );
    errors.push_if(
        !matches!(service.provider.as_str(), "" | "consul" | "nomad"),
        format_args!(
            "Service provider must be \"consul\", or \"nomad\"; not {:?}",
            service.provider
        ),
    );
    errors.push_if(
        !matches!(
            service.on_update.as_str(),
            "" | "require_healthy" | "ignore_warnings" | "ignore"
        ),
        format_args!(
            "Service on_update must be \"require_healthy\", \"ignore_warnings\", or \"ignore\"; not {:?}",
            service.on_update
        ),
    );
    for check in service.checks() {
        errors.nest(format_args!("Check {}", check.name), check_errors(check));
        if let Some(problem) = misplaced(check).filter(|_| service.provider == "nomad") {
            errors.push(problem);
        }
    }
    errors
}

/// What a check is called, unless it has a name of its own.
fn check_name(service: &Service, check: &Check) -> String {
    if check.name.is_empty() {
        format!("service: {:?} check", service.name)
    } else {
        check.name.clone()
    }
}

/// The first thing in a check that the built-in catalog has no use for.
fn misplaced(check: &Check) -> Option<String> {
    let (mode, status) = (check.address_mode.as_str(), check.initial_status.as_str());
    if !matches!(status, "" | "passing" | "warning" | "critical") {
        let known = "\"passing\", \"warning\", \"critical\"";
        return Some(format!(
            "invalid initial check state ({status}), must be one of {known} or empty"
        ));
    }
    if !matches!(mode, "" | "auto" | "host" | "alloc" | "alloc_ipv6" | "driver") {
        return Some(format!("invalid address_mode {mode:?}"));
    }
    let warns = check.check_restart.as_ref().is_some_and(|it| it.ignore_warnings);
    if warns {
        return Some("ignore_warnings on check_restart only supported for Consul service checks".to_owned());
    }
    let given = [
        ("expose", check.expose),
        ("success_before_passing", check.success_before_passing != 0),
        ("failures_before_warning", check.failures_before_warning != 0),
        ("tls_server_name", !check.tls_server_name.is_empty()),
    ];
    let first = given.into_iter().find(|(_, is_given)| *is_given);
    first.map(|(name, _)| format!("{name} may only be set for Consul service checks"))
}

/// Checks that are exposed through a proxy need a network for it.
pub(super) fn exposed_checks(group: &TaskGroup) -> Option<String> {
    let tasks = group.tasks().iter().flat_map(Task::services);
    let mut checks = group.services().iter().chain(tasks).flat_map(Service::checks);
    let mode = group.networks().first().map_or("host", |network| network.mode());
    let has_proxy = mode == "bridge" || mode.starts_with("cni/");
    (!has_proxy && checks.any(|check| check.expose)).then(|| {
        format!(
            "connect expose check: invalid network mode for Consul Connect: group {:?} uses network mode {mode:?}; must be \
             \"bridge\" or \"cni/*\"",
            group.name()
        )
    })
}

/// Replaces what a node fills in by something that is valid anywhere.
fn without_interpolations(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(before);
        out.push('x');
        rest = after.split_once('}').map_or("", |(_, after)| after);
    }
    out + rest
}

fn is_service_name(name: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphanumeric();
    !name.is_empty()
        && name.len() <= 63
        && name.chars().all(|c| is_letter(c) || c == '-')
        && name.ends_with(is_letter)
}

fn check_errors(check: &Check) -> Errors {
    let mut errors = Errors::default();
    match check.kind.as_str() {
        "http" | "tcp" | "grpc" => {}
        "script" => errors.push_if(
            check.command.is_empty(),
            "script type must have a valid script path",
        ),
        "" => errors.push("missing check type: one of http, tcp or script"),
        other => errors.push(format!(
            "invalid check type (\"{other}\"), must be one of tcp, http"
        )),
    }
    if check.kind == "http" && check.path.is_empty() {
        errors.push("http type must have http path");
    }
    errors.push_if(
        check.kind == "http" && check.path.contains("://"),
        "relative http path expected",
    );
    let least = Duration::from_secs(1);
    for (name, duration) in [("interval", check.interval), ("timeout", check.timeout)] {
        if duration == Duration::ZERO {
            errors.push(format!(
                "missing required value {name}. {name} cannot be less than {}",
                least
            ));
        } else if duration < least {
            errors.push(format!("{name} ({}) cannot be lower than {}", duration, least));
        }
    }
    if let Some(restart) = &check.check_restart {
        errors.push_if(
            restart.limit < 0,
            format_args!(
                "limit must be greater than or equal to 0 but found {}",
                restart.limit
            ),
        );
    }
    errors
}
