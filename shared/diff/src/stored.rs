//! A job as the coordinator of the original stores it: what a difference compares.
//!
//! The API form has gaps; the stored form has defaults in their place, and the constraints that follow from what a job
//! uses. Gaps that mean something stay `null` and are left out, so that plain equality of two trees is equality of two
//! jobs.

mod constraints;

use std::sync::Arc;

use holdfast_shared::model::{Check, Job, Network, Resources, Scaling, Service, Task};
use serde_json::{Value, json};

/// Fields whose empty object is not the same as none.
const EMPTY_MATTERS: &[&str] = &[
    "Policy",
    "SidecarService",
    "Gateway",
    "Ingress",
    "Terminating",
    "Mesh",
    "TransparentProxy",
];

/// Fields whose content belongs to the job's author and is kept as it is.
const FREE_FORM: &[&str] = &["Config", "Policy", "Env", "Meta", "CanaryMeta", "Header"];

/// The stored form of `job`.
pub(crate) fn stored(job: &Job) -> Value {
    let mut job = job.clone();
    job.canonicalize();
    let namespace = job.namespace().to_owned();
    let pool = job.node_pool().to_owned();
    job.node_pool = Some(pool);
    if job.datacenters.as_ref().is_none_or(Vec::is_empty) {
        job.datacenters = Some(vec!["*".into()]);
    }
    let name = job.name().to_owned();
    for group in job.task_groups.iter_mut().flatten() {
        let of_group = constraints::implied(group);
        group.constraints.get_or_insert_default().extend(of_group);
        let group_name = group.name().to_owned();
        let names = Names {
            job: &name,
            group: &group_name,
            task: None,
        };
        group.prevent_reschedule_on_lost.get_or_insert(false);
        group.networks.iter_mut().flatten().for_each(settle_network);
        for service in group.services.iter_mut().flatten() {
            settle_service(service, names);
        }
        if let Some(scaling) = &mut group.scaling {
            settle_scaling(scaling);
        }
        for task in group.tasks.iter_mut().flatten() {
            settle_task(task, names);
        }
    }
    // A job of strings, numbers and maps with string keys can always be written.
    let mut value = serde_json::to_value(&job).unwrap_or_default();
    for service in services(&mut value) {
        service["Namespace"] = json!(namespace);
        let addresses = service.pointer_mut("/Connect/Gateway/Proxy/EnvoyGatewayBindAddresses");
        addresses
            .and_then(Value::as_object_mut)
            .into_iter()
            .flatten()
            .for_each(|(_, it)| *it = host_and_port(it));
    }
    drop_gaps(&mut value);
    value
}

fn settle_network(network: &mut Network) {
    let ports = network
        .reserved_ports
        .iter_mut()
        .chain(&mut network.dynamic_ports);
    for port in ports.flatten().filter(|it| it.host_network.is_empty()) {
        port.host_network = "default".into();
    }
    network.mbits.get_or_insert(0);
}

/// Where a service belongs; its name may refer to it.
#[derive(Clone, Copy)]
struct Names<'a> {
    job: &'a str,
    group: &'a str,
    task: Option<&'a str>,
}

impl Names<'_> {
    fn filled_into(self, text: &str) -> String {
        if !text.contains("${") {
            return text.to_owned();
        }
        let base: Vec<&str> = [self.job, self.group].into_iter().chain(self.task).collect();
        let text = text
            .replace("${JOB}", self.job)
            .replace("${TASKGROUP}", self.group);
        let text = text.replace("${BASE}", &base.join("-"));
        self.task
            .map_or_else(|| text.clone(), |task| text.replace("${TASK}", task))
    }
}

fn settle_service(service: &mut Service, names: Names<'_>) {
    service.name = names.filled_into(&service.name);
    for check in service.checks.iter_mut().flatten() {
        settle_check(check, &service.name);
    }
}

/// What the coordinator writes into a scaling block is no change of the job.
fn settle_scaling(scaling: &mut Scaling) {
    for key in ["Job", "Group", "Namespace"] {
        scaling.target.as_mut().and_then(|target| target.remove(key));
    }
    for field in [&mut scaling.id, &mut scaling.namespace, &mut scaling.kind] {
        field.clear();
    }
    (scaling.create_index, scaling.modify_index) = (0, 0);
}

fn settle_check(check: &mut Check, service: &str) {
    if check.name.is_empty() {
        check.name = format!("service: {service:?} check");
    }
    // The API still has it; nothing reads it.
    check.advertise.clear();
}

fn settle_task(task: &mut Task, names: Names<'_>) {
    let name = task.name.clone();
    let names = Names {
        task: Some(&name),
        ..names
    };
    task.services
        .iter_mut()
        .flatten()
        .for_each(|it| settle_service(it, names));
    settle_resources(task.resources.get_or_insert_default());
    if let Some(logs) = &mut task.log_config {
        logs.enabled = None;
    }
    let cron = task.schedule.as_mut().and_then(|it| it.get_mut("Cron"));
    if let Some(cron) = cron.map(Value::take) {
        task.schedule = Some(cron);
    }
    settle_identity(Arc::make_mut(
        task.identity.get_or_insert_with(|| Arc::new(json!({}))),
    ));
    for template in task.templates.iter_mut().flatten() {
        if let Some(signal) = &mut template.change_signal {
            *signal = signal.to_uppercase();
        }
    }
}

fn settle_resources(resources: &mut Resources) {
    for field in [
        &mut resources.cores,
        &mut resources.memory_max_mb,
        &mut resources.disk_mb,
        &mut resources.secrets_mb,
        &mut resources.iops,
    ] {
        field.get_or_insert(0);
    }
    resources.networks.iter_mut().flatten().for_each(settle_network);
}

/// Every task has the default identity, whether it names it or not.
fn settle_identity(identity: &mut Value) {
    let defaults = json!({
        "Audience": ["nomadproject.io"], "ChangeMode": "", "ChangeSignal": "", "Env": false, "File": false,
        "Filepath": "", "Name": "default", "ServiceName": "", "TTL": 0,
    });
    let (Value::Object(fields), Value::Object(defaults)) = (identity, defaults) else {
        return;
    };
    for (name, default) in defaults {
        let field = fields.entry(name).or_insert(Value::Null);
        if field.is_null() || *field == json!("") || *field == json!([]) {
            *field = default;
        }
    }
}

/// The services of all groups and tasks.
fn services(job: &mut Value) -> impl Iterator<Item = &mut Value> {
    let groups = job["TaskGroups"].as_array_mut().into_iter().flatten();
    groups.flat_map(|group| {
        let (mut of_group, mut of_tasks) = (Vec::new(), Vec::new());
        for (name, field) in group.as_object_mut().into_iter().flatten() {
            match name.as_str() {
                "Services" => of_group.extend(field.as_array_mut().into_iter().flatten()),
                "Tasks" => of_tasks.extend(field.as_array_mut().into_iter().flatten()),
                _ => {}
            }
        }
        let of_tasks = of_tasks.into_iter().filter_map(|task| task.get_mut("Services"));
        let of_tasks = of_tasks.filter_map(Value::as_array_mut).flatten();
        of_group.into_iter().chain(of_tasks).collect::<Vec<_>>()
    })
}

fn host_and_port(address: &Value) -> Value {
    let host = address["Address"].as_str().unwrap_or_default();
    let port = address["Port"].as_i64().unwrap_or_default();
    if host.contains(':') {
        json!(format!("[{host}]:{port}"))
    } else {
        json!(format!("{host}:{port}"))
    }
}

/// Leaves out what is `null` or empty.
fn drop_gaps(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (_, field) in fields
                .iter_mut()
                .filter(|(name, _)| !FREE_FORM.contains(&name.as_str()))
            {
                drop_gaps(field);
            }
            fields.retain(|name, field| !is_gap(name, field));
        }
        Value::Array(list) => list.iter_mut().for_each(drop_gaps),
        _ => {}
    }
}

fn is_gap(name: &str, field: &Value) -> bool {
    match field {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => fields.is_empty() && !EMPTY_MATTERS.contains(&name),
        _ => false,
    }
}
