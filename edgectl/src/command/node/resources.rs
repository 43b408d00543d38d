//! What a node has, and what is used of it.

use holdfast_api::{Allocation, Node};

use super::section;
use crate::command::stats::{self, HostUsage};
use crate::output::{Labels, Table, size};
use crate::session::Session;

/// What a node has for its allocations.
struct Capacity {
    mhz: u64,
    memory: u64,
    disk: u64,
}

impl Capacity {
    fn of(node: &Node) -> Self {
        let (all, kept) = (&node.node_resources, &node.reserved_resources);
        Self {
            mhz: all.cpu.cpu_shares.saturating_sub(kept.cpu.cpu_shares),
            memory: mebibytes(all.memory.memory_mb.saturating_sub(kept.memory.memory_mb)),
            disk: mebibytes(all.disk.disk_mb.saturating_sub(kept.disk.disk_mb)),
        }
    }
}

const fn mebibytes(count: u64) -> u64 {
    count.saturating_mul(1024 * 1024)
}

fn of(used: u64, all: u64) -> String {
    format!("{}/{}", size::bytes(used), size::bytes(all))
}

fn is_running(it: &&Allocation) -> bool {
    it.client_status == "running"
}

/// What its running allocations may use.
pub(super) fn allocated(node: &Node, found: &[Allocation]) -> Table {
    let capacity = Capacity::of(node);
    let (mut mhz, mut memory, mut disk, mut count) = (0, 0, 0, 0);
    for resources in found
        .iter()
        .filter(is_running)
        .filter_map(|it| it.allocated_resources.as_ref())
    {
        mhz += resources
            .tasks
            .values()
            .map(|task| task.cpu.cpu_shares)
            .sum::<u64>();
        memory += resources
            .tasks
            .values()
            .map(|task| task.memory.memory_mb)
            .sum::<u64>();
        disk += resources.shared.disk_mb;
        count += 1;
    }
    Table::new(["CPU", "Memory", "Disk", "Alloc Count"]).rows([[
        format!("{mhz}/{} MHz", capacity.mhz),
        of(mebibytes(memory), capacity.memory),
        of(mebibytes(disk), capacity.disk),
        count.to_string(),
    ]])
}

/// What its running allocations use.
pub(super) fn used_by_allocations(session: &Session<'_>, node: &Node, found: &[Allocation]) -> Table {
    let capacity = Capacity::of(node);
    let (mut mhz, mut memory) = (0.0, 0);
    for it in found.iter().filter(is_running) {
        // One that ends while we ask uses nothing.
        let usage = stats::of_allocation(&session.client, &it.id).ok().flatten();
        let Some(usage) = usage.and_then(|usage| usage.resource_usage) else {
            continue;
        };
        mhz += usage.cpu_stats.map_or(0.0, |cpu| cpu.total_ticks);
        memory += usage.memory_stats.map_or(0, |memory| memory.bytes());
    }
    Table::new(["CPU", "Memory"]).rows([[
        format!("{mhz:.0}/{} MHz", capacity.mhz),
        of(memory, capacity.memory),
    ]])
}

/// What everything on it uses.
pub(super) fn used_by_host(node: &Node, host: &HostUsage) -> Table {
    let memory = host.memory.as_ref().map_or(0, |memory| memory.used);
    let disk = host
        .alloc_dir_stats
        .as_ref()
        .map_or((0, 0), |disk| (disk.used, disk.size));
    let total = host.memory.as_ref().map_or(0, |memory| memory.total);
    Table::new(["CPU", "Memory", "Disk"]).rows([[
        format!(
            "{:.0}/{} MHz",
            host.cpu_ticks_consumed.floor(),
            node.node_resources.cpu.cpu_shares
        ),
        of(memory, total),
        of(disk.0, disk.1),
    ]])
}

/// Each core, memory and each disk.
pub(super) fn host_in_detail(session: &mut Session<'_>, host: &HostUsage) {
    let cores = host.cpu.iter().flatten().map(|core| {
        Labels::new()
            .with("CPU", &core.name)
            .with("User", format_args!("{:.2}%", core.user).to_string())
            .with("System", format_args!("{:.2}%", core.system).to_string())
            .with("Idle", format_args!("{:.2}%", core.idle).to_string())
            .to_string()
    });
    section(session, "CPU Stats", cores.collect::<Vec<_>>().join("\n\n"));
    if let Some(memory) = &host.memory {
        let labels = Labels::new()
            .with("Total", size::bytes(memory.total))
            .with("Available", size::bytes(memory.available))
            .with("Used", size::bytes(memory.used))
            .with("Free", size::bytes(memory.free));
        section(session, "Memory Stats", labels);
    }
    let disks = host.disk_stats.iter().flatten().map(|disk| {
        Labels::new()
            .with("Device", &disk.device)
            .with("MountPoint", &disk.mountpoint)
            .with("Size", size::bytes(disk.size))
            .with("Used", size::bytes(disk.used))
            .with("Available", size::bytes(disk.available))
            .with("Used Percent", format!("{:.2}%", disk.used_percent))
            .with("Inodes Percent", format!("{:.2}%", disk.inodes_used_percent))
            .to_string()
    });
    section(session, "Disk Stats", disks.collect::<Vec<_>>().join("\n\n"));
}
