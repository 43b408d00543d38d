//! The tasks of an allocation: what each has, what it uses, and what happened to it.

use std::collections::BTreeMap;

use holdfast_api::{AllocatedTask, Allocation, TaskState};
use holdfast_shared::model::Lifecycle;
use holdfast_shared::time::Timestamp;

use super::Status;
use crate::command::stats::{AllocUsage, TaskUsage};
use crate::output::{Labels, Table, size, time};
use crate::session::Session;

/// Each task in a line.
pub(super) fn in_short(it: &Allocation) -> Table {
    Table::new(["Name", "State", "Last Event", "Time", "Lifecycle"]).rows(ordered(it).into_iter().map(
        |(name, state)| {
            let last = state.events.last();
            [
                name.to_owned(),
                state.state.clone(),
                last.map(|event| event.kind.clone()).unwrap_or_default(),
                last.map(|event| time::stamp(Timestamp(event.time)))
                    .unwrap_or_default(),
                lifecycle(it, name).map_or_else(|| "main".to_owned(), describe),
            ]
        },
    ))
}

/// Its tasks in the order in which they run, each with its state.
fn ordered(it: &Allocation) -> Vec<(&str, &TaskState)> {
    let mut tasks: Vec<(&str, &TaskState)> = it
        .task_states
        .iter()
        .map(|(name, state)| (name.as_str(), state))
        .collect();
    let turn =
        |name: &str| match lifecycle(it, name).map(|it| (it.hook.as_str(), it.sidecar.unwrap_or(false))) {
            Some(("prestart", false)) => 0,
            Some(("prestart", true)) => 1,
            None => 2,
            Some(("poststart", _)) => 3,
            Some(_) => 4,
        };
    tasks.sort_by_key(|(name, _)| (turn(name), *name));
    tasks
}

fn lifecycle<'a>(it: &'a Allocation, task: &str) -> Option<&'a Lifecycle> {
    it.allocated_resources
        .as_ref()?
        .task_lifecycles
        .get(task)?
        .as_ref()
}

fn describe(it: &Lifecycle) -> String {
    let sidecar = if it.sidecar.unwrap_or(false) {
        " sidecar"
    } else {
        ""
    };
    format!("{}{sidecar}", it.hook)
}

/// Each task with its resources, and what happened to it.
pub(super) fn show(session: &mut Session<'_>, args: &Status, it: &Allocation, usage: Option<&AllocUsage>) {
    let none = BTreeMap::new();
    let sizes = it.allocated_resources.as_ref().map_or(&none, |all| &all.tasks);
    let measured = usage.and_then(|usage| usage.tasks.as_ref());
    for (name, state) in ordered(it) {
        let hook = lifecycle(it, name)
            .map(|it| format!(" ({})", describe(it)))
            .unwrap_or_default();
        let title = session
            .console
            .bold(&format!("Task {name:?}{hook} is {:?}", state.state));
        session.console.line(format_args!("\n{title}"));
        let usage = measured.and_then(|tasks| tasks.get(name));
        if let Some(size) = sizes.get(name) {
            session
                .console
                .line(format_args!("Task Resources:\n{}", resources(it, size, usage)));
        }
        if let Some(usage) = usage.filter(|_| args.stats) {
            usage_in_detail(session, usage);
        }
        session
            .console
            .line(format_args!("\nTask Events:\n{}", times(state)));
        session
            .console
            .line(format_args!("\nRecent Events:\n{}", events(state)));
    }
}

fn resources(it: &Allocation, size: &AllocatedTask, usage: Option<&TaskUsage>) -> Table {
    let usage = usage.and_then(|usage| usage.resource_usage.as_ref());
    let cpu = usage
        .and_then(|it| it.cpu_stats.as_ref())
        .map(|it| format!("{:.0}/", it.total_ticks));
    let memory = usage
        .and_then(|it| it.memory_stats.as_ref())
        .map(|it| format!("{}/", size::bytes(it.bytes())));
    let limit = match size.memory.memory_max_mb {
        0 => String::new(),
        max => format!(
            " (max {})",
            size::mebibytes(i64::try_from(max).unwrap_or(i64::MAX))
        ),
    };
    let mebibytes = |count: u64| size::mebibytes(i64::try_from(count).unwrap_or(i64::MAX));
    let disk = it
        .allocated_resources
        .as_ref()
        .map_or(0, |all| all.shared.disk_mb);
    let ports = size.networks.iter().flat_map(|network| {
        let all = network.dynamic_ports.iter().chain(&network.reserved_ports);
        all.map(|port| format!("{}: {}:{}", port.label, network.ip, port.value))
            .collect::<Vec<_>>()
    });
    let mut ports = ports.collect::<Vec<_>>().into_iter();
    let mut table = Table::new(["CPU", "Memory", "Disk", "Addresses"]).with_blanks();
    table.push([
        format!("{}{} MHz", cpu.unwrap_or_default(), size.cpu.cpu_shares),
        format!(
            "{}{}{limit}",
            memory.unwrap_or_default(),
            mebibytes(size.memory.memory_mb)
        ),
        mebibytes(disk),
        ports.next().unwrap_or_default(),
    ]);
    for port in ports {
        table.push([String::new(), String::new(), String::new(), port]);
    }
    table
}

fn usage_in_detail(session: &mut Session<'_>, usage: &TaskUsage) {
    let Some(usage) = &usage.resource_usage else {
        return;
    };
    if let Some(memory) = &usage.memory_stats {
        let cell = |name: &str| match name {
            "RSS" => Some(memory.rss),
            "Cache" => Some(memory.cache),
            "Swap" => Some(memory.swap),
            "Usage" => Some(memory.usage),
            "Max Usage" => Some(memory.max_usage),
            _ => None,
        };
        let measured = memory.measured.iter().flatten();
        let (names, cells): (Vec<_>, Vec<_>) = measured
            .filter_map(|name| Some((name.clone(), size::bytes(cell(name)?))))
            .unzip();
        session.console.line("");
        session
            .console
            .section("Memory Stats", Table::new(names).rows([cells]));
    }
    if let Some(cpu) = &usage.cpu_stats {
        let cell = |name: &str| match name {
            "Percent" => Some(cpu.percent),
            "System Mode" => Some(cpu.system_mode),
            "User Mode" => Some(cpu.user_mode),
            _ => None,
        };
        let mut measured: Vec<&String> = cpu.measured.iter().flatten().collect();
        measured.sort();
        let (names, cells): (Vec<_>, Vec<_>) = measured
            .into_iter()
            .filter_map(|name| Some((name.clone(), format!("{:.2}%", cell(name)?))))
            .unzip();
        session.console.line("");
        session
            .console
            .section("CPU Stats", Table::new(names).rows([cells]));
    }
}

fn times(state: &TaskState) -> Labels {
    Labels::new()
        .with("Started At", time::stamp(state.started_at.0))
        .with("Finished At", time::stamp(state.finished_at.0))
        .with("Total Restarts", state.restarts)
        .with("Last Restart", time::stamp(state.last_restart.0))
}

/// What happened to a task, newest first.
fn events(state: &TaskState) -> Table {
    Table::new(["Time", "Type", "Description"]).rows(state.events.iter().rev().map(|event| {
        let text = event.display_message.replace(['\n', '|'], " ");
        [
            time::stamp(Timestamp(event.time)),
            event.kind.clone(),
            text.trim().to_owned(),
        ]
    }))
}
