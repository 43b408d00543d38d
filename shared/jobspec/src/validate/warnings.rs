//! What is valid but doubtful, in the original's words and order.

use holdfast_shared::model::{Job, JobType, Service, Task, TaskGroup};
use holdfast_shared::time::Duration;

use super::Surroundings;
use super::errors::Errors;

pub(super) fn of(job: &Job, surroundings: &Surroundings) -> Vec<String> {
    let mut warnings = Vec::new();
    for group in job.groups() {
        let found = group_warnings(job, group);
        if !found.is_empty() {
            let text = format!("Group {:?} has warnings: {}", group.name(), found.text());
            warnings.push(text.trim_end().to_owned());
        }
    }
    let updates = || job.groups().iter().filter_map(|group| group.update.as_ref());
    let promotes = updates().any(|update| update.auto_promote == Some(true));
    let all = updates().all(|update| update.canary.unwrap_or(0) == 0 || update.auto_promote == Some(true));
    if promotes && !all {
        warnings.push("auto_promote must be true for all groups to enable automatic promotion".to_owned());
    }
    if job
        .periodic
        .as_ref()
        .is_some_and(|it| it.spec.as_deref().is_some_and(|spec| !spec.is_empty()))
    {
        warnings
            .push("cron is deprecated and may be removed in a future release. Use crons instead".to_owned());
    }
    for group in job.groups() {
        warnings.extend(shutdown_delays(group));
    }
    if !surroundings.memory_oversubscription {
        warnings.extend(job.groups().iter().flat_map(memory_limits));
    }
    warnings
}

fn group_warnings(job: &Job, group: &TaskGroup) -> Errors {
    let mut warnings = Errors::default();
    let parallel = group
        .update
        .as_ref()
        .and_then(|update| update.max_parallel)
        .unwrap_or(0);
    let count = group.count.unwrap_or(1);
    let is_spread_over_regions = job.multiregion.is_some() && count == 0;
    if job.job_type() == JobType::Service && parallel > count && !is_spread_over_regions {
        warnings.push(format!(
            "Update max parallel count is greater than task group count ({parallel} > {count}). A destructive change \
             would result in the simultaneous replacement of all allocations."
        ));
    }
    for task in group.tasks() {
        let found = task_warnings(task);
        if !found.is_empty() {
            warnings.push(format!("Task {:?} has warnings: {}", task.name, found.text()));
        }
    }
    warnings
}

fn task_warnings(task: &Task) -> Errors {
    let mut warnings = Errors::default();
    let resources = task.resources();
    warnings.push_if(
        resources.iops.unwrap_or(0) != 0,
        "IOPS has been deprecated as of Nomad 0.9.0. Please remove IOPS from resource block.",
    );
    warnings.push_if(
        resources.networks.is_some_and(|networks| !networks.is_empty()),
        "task network resources have been deprecated as of Nomad 0.12.0. Please configure networking via group \
         network block.",
    );
    for (index, template) in task.templates().iter().enumerate() {
        warnings.push_if(
            template.vault_grace.is_some_and(|grace| grace != Duration::ZERO),
            format_args!(
                "Template[{index}] VaultGrace has been deprecated as of Nomad 0.11 and ignored since Vault 0.5. Please \
                 remove VaultGrace / vault_grace from template block."
            ),
        );
    }
    warnings
}

/// Services whose tasks stop at once are still looked up for a moment.
fn shutdown_delays(group: &TaskGroup) -> Vec<String> {
    let mut warnings = Vec::new();
    let name = group.name();
    if group.shutdown_delay.is_none() {
        // Proxies, which the mesh adds, take their time.
        let has_proxy = group
            .services()
            .iter()
            .any(|it| has_part(it, "SidecarService") || has_part(it, "Gateway"));
        let any_delay = has_proxy
            || group
                .tasks()
                .iter()
                .any(|task| task.shutdown_delay > Duration::ZERO);
        for service in group.services() {
            let warning = match referenced_task(service, group) {
                Some(task) if task.shutdown_delay == Duration::ZERO => format!(
                    "group {name:?} references task {:?} in a service definition, but the task has no shutdown_delay set",
                    task.name
                ),
                None if !any_delay => format!(
                    "group {name:?} defines services, but neither the group nor any of its tasks have shutdown_delay set"
                ),
                _ => continue,
            };
            if !warnings.contains(&warning) {
                warnings.push(warning);
            }
        }
    }
    for task in group.tasks() {
        if !task.services().is_empty() && task.shutdown_delay == Duration::ZERO {
            warnings.push(format!(
                "task {:?} in group {name:?} defines services, but has no shutdown_delay set",
                task.name
            ));
        }
    }
    warnings
}

/// The task that a group's service belongs to: the one it names, or the only one when it speaks the mesh itself.
fn referenced_task<'g>(service: &Service, group: &'g TaskGroup) -> Option<&'g Task> {
    if !service.task_name.is_empty() {
        return group.task(&service.task_name);
    }
    let is_native = service
        .connect
        .as_ref()
        .is_some_and(|connect| connect["Native"] == true);
    group
        .tasks()
        .first()
        .filter(|_| is_native && group.tasks().len() == 1)
}

fn has_part(service: &Service, part: &str) -> bool {
    service
        .connect
        .as_ref()
        .is_some_and(|connect| !connect[part].is_null())
}

fn memory_limits(group: &TaskGroup) -> impl Iterator<Item = String> {
    let limited = group
        .tasks()
        .iter()
        .filter(|task| task.resources().memory_max_mb.unwrap_or(0) != 0);
    limited.map(|task| {
        format!(
            "Memory oversubscription is not enabled; Task \"{}.{}\" memory_max value will be ignored. Update the \
             Scheduler Configuration to allow oversubscription.",
            group.name(),
            task.name
        )
    })
}
