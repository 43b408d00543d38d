//! Tasks.

use std::collections::BTreeMap;

use holdfast_shared::model::{Artifact, JobType, Resources, Task, TaskGroup, Template};
use holdfast_shared::time::Duration;
use serde_json::Value;

use super::errors::Errors;
use super::{constraint, service};

pub(super) fn errors(task: &Task, group: &TaskGroup, kind: JobType) -> Errors {
    let mut errors = Errors::default();
    errors.push_if(task.name.is_empty(), "Missing task name");
    errors.push_if(
        task.name.contains(['/', '\\']),
        "Task name cannot include slashes",
    );
    errors.push_if(
        task.name.contains('\0'),
        "Task name cannot include null characters",
    );
    errors.push_if(task.driver.is_empty(), "Missing task driver");
    errors.push_if(
        task.kill_timeout() < Duration::ZERO,
        "KillTimeout must be a positive value",
    );
    errors.push_if(
        task.shutdown_delay < Duration::ZERO,
        "ShutdownDelay must be a positive value",
    );
    errors.inline(resources(&task.resources()));
    errors.inline(logs(task));
    constraint::constraints(task.constraints.as_deref(), &mut errors);
    for (index, constraint) in task.constraints.iter().flatten().enumerate() {
        let operand = constraint.operand.as_str();
        errors.push_if(
            matches!(operand, "distinct_hosts" | "distinct_property"),
            format_args!(
                "Constraint {} has disallowed Operand at task level: {operand}",
                index + 1
            ),
        );
    }
    constraint::affinities(task.affinities.as_deref(), kind, &mut errors);
    errors.inline(service::of_task(task, group));
    let kept = kept_log_mb(task);
    let disk = i64::try_from(group.disk_mb()).unwrap_or(i64::MAX);
    errors.push_if(
        disk <= kept,
        format_args!("log storage ({kept} MB) must be less than requested disk capacity ({disk} MB)"),
    );
    for (index, artifact) in task.artifacts.iter().flatten().enumerate() {
        errors.nest(format_args!("Artifact {}", index + 1), artifact_errors(artifact));
    }
    templates(task, &mut errors);
    if let Some(payload) = &task.dispatch_payload {
        errors.push_if(
            escapes(&payload.file),
            "Dispatch Payload validation failed: destination escapes allocation directory",
        );
    }
    if let Some(lifecycle) = &task.lifecycle {
        let problem = match lifecycle.hook.as_str() {
            "prestart" | "poststart" | "poststop" => None,
            "" => Some("no lifecycle hook provided".to_owned()),
            other => Some(format!("invalid hook: {other}")),
        };
        if let Some(problem) = problem {
            errors.push(format!("Lifecycle validation failed: {problem}"));
        }
    }
    if let Some(given) = &task.identity {
        let found = identity(given);
        if !found.is_empty() {
            errors.push(format!("Identity \"default\" is invalid: {}", found.text()));
        }
    }
    mounts(task, &mut errors);
    errors
}

fn mounts(task: &Task, errors: &mut Errors) {
    for (index, mount) in task.volume_mounts.iter().flatten().enumerate() {
        let mode = mount.propagation_mode.as_deref().unwrap_or("private");
        errors.push_if(
            !matches!(mode, "" | "private" | "host-to-task" | "bidirectional"),
            format_args!("Volume Mount ({index}) has an invalid propagation mode: {mode:?}"),
        );
    }
}

fn resources(resources: &Resources) -> Errors {
    let mut errors = Errors::default();
    let (cpu, cores) = (resources.cpu.unwrap_or(100), resources.cores.unwrap_or(0));
    errors.push_if(
        cores > 0 && cpu > 0 && resources.cpu.is_some(),
        "Task can only ask for 'cpu' or 'cores' resource, not both.",
    );
    errors.push_if(
        cores == 0 && cpu < 1,
        format_args!("minimum CPU value is 1; got {cpu}"),
    );
    let memory = resources.memory_mb.unwrap_or(300);
    errors.push_if(
        memory < 10,
        format_args!("minimum MemoryMB value is 10; got {memory}"),
    );
    if let Some(max) = resources.memory_max_mb.filter(|max| !matches!(*max, 0 | -1)) {
        errors.push_if(
            max < memory,
            format_args!("MemoryMaxMB value ({max}) should be larger than MemoryMB value ({memory})"),
        );
    }
    errors
}

fn logs(task: &Task) -> Errors {
    let mut errors = Errors::default();
    let Some(logs) = task
        .log_config
        .as_ref()
        .filter(|logs| logs.disabled != Some(true))
    else {
        return errors;
    };
    let (files, size) = (logs.max_files.unwrap_or(10), logs.max_file_size_mb.unwrap_or(10));
    errors.push_if(
        files < 1,
        format_args!("minimum number of files is 1; got {files}"),
    );
    errors.push_if(size < 1, format_args!("minimum file size is 1MB; got {size}"));
    errors
}

fn kept_log_mb(task: &Task) -> i64 {
    let Some(logs) = task
        .log_config
        .as_ref()
        .filter(|logs| logs.disabled != Some(true))
    else {
        return 0;
    };
    logs.max_files
        .unwrap_or(10)
        .saturating_mul(logs.max_file_size_mb.unwrap_or(10))
}

fn templates(task: &Task, errors: &mut Errors) {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, template) in task.templates().iter().enumerate() {
        let number = index + 1;
        errors.nest(format_args!("Template {number}"), template_errors(template));
        let destination = template.dest_path.as_deref().unwrap_or_default();
        if let Some(first) = seen.get(destination) {
            errors.push(format!("Template {number} has same destination as {first}"));
        } else {
            seen.insert(destination, number);
        }
    }
}

fn template_errors(template: &Template) -> Errors {
    let mut errors = Errors::default();
    let is_empty = |text: &Option<String>| text.as_deref().unwrap_or_default().is_empty();
    errors.push_if(
        is_empty(&template.source_path) && is_empty(&template.embedded_tmpl),
        "Must specify a source path or have an embedded template",
    );
    errors.push_if(
        is_empty(&template.dest_path),
        "Must specify a destination for the template",
    );
    errors.push_if(
        escapes(template.dest_path.as_deref().unwrap_or_default()),
        "destination escapes allocation directory",
    );
    match template.change_mode.as_deref().unwrap_or("restart") {
        "noop" | "restart" => {}
        "signal" => {
            errors.push_if(
                is_empty(&template.change_signal),
                "Must specify signal value when change mode is signal",
            );
            errors.push_if(
                template.envvars == Some(true),
                "cannot use signals with env var templates",
            );
        }
        "script" => {
            let command = template
                .change_script
                .as_ref()
                .and_then(|script| script.command.as_deref());
            errors.push_if(
                command.unwrap_or_default().is_empty(),
                "must specify script path value when change mode is script",
            );
        }
        _ => errors.push("Invalid change mode. Must be one of the following: noop, signal, script, restart"),
    }
    errors.push_if(
        template.splay.is_some_and(|it| it < Duration::ZERO),
        "Must specify positive splay value",
    );
    if let Some(perms) = template.perms.as_deref().filter(|perms| !perms.is_empty()) {
        let is_number = perms.chars().all(|c| c.is_digit(8));
        let why = if is_number {
            "value out of range"
        } else {
            "invalid syntax"
        };
        errors.push_if(
            !u16::from_str_radix(perms, 8).is_ok_and(|mode| mode < 1 << 12),
            format_args!("Failed to parse {perms:?} as octal: strconv.ParseUint: parsing {perms:?}: {why}"),
        );
    }
    if let Some(wait) = &template.wait
        && let (Some(min), Some(max)) = (wait.min, wait.max)
    {
        errors.push_if(min > max, "Template wait: min must be less than or equal to max");
    }
    errors
}

fn artifact_errors(artifact: &Artifact) -> Errors {
    let mut errors = Errors::default();
    let source = artifact.getter_source.as_deref().unwrap_or_default();
    errors.push_if(source.is_empty(), "source must be specified");
    let mode = artifact.getter_mode.as_deref().unwrap_or("any");
    errors.push_if(
        !matches!(mode, "" | "any" | "file" | "dir"),
        format_args!("invalid artifact mode {mode:?}; must be one of: any, file, dir"),
    );
    errors.push_if(
        escapes(artifact.relative_dest.as_deref().unwrap_or_default()),
        "destination escapes allocation directory",
    );
    errors
}

/// The identity that every task has, where it says more of it.
fn identity(identity: &Value) -> Errors {
    let mut errors = Errors::default();
    let text = |key: &str| identity[key].as_str().unwrap_or_default();
    let mode = text("ChangeMode");
    errors.push_if(
        !matches!(mode, "" | "noop" | "restart" | "signal"),
        format_args!("invalid change_mode: {mode}"),
    );
    let signal = text("ChangeSignal").to_uppercase();
    errors.push_if(
        !signal.is_empty() && mode != "signal",
        format_args!("can only use change_signal={signal:?} with change_mode=\"signal\""),
    );
    errors.push_if(
        !text("Filepath").is_empty() && identity["File"] != true,
        "file parameter must be true in order to specify filepath",
    );
    let is_default = matches!(text("Name"), "" | "default");
    errors.push_if(
        is_default && identity["TTL"].as_i64().unwrap_or(0) > 0,
        "ttl for default identity not yet supported",
    );
    errors
}

/// Whether a path leads out of the allocation's directory, which is one above the task's.
fn escapes(path: &str) -> bool {
    let mut depth = 1_i32;
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => depth -= 1,
            _ => depth += 1,
        }
        if depth < 0 {
            return true;
        }
    }
    false
}
