//! Port numbers: the ones a job fixes, and the ones it leaves to the scheduler.

use std::collections::BTreeSet;

use holdfast_shared::model::{Allocation, AssignedPort, Node, Port, TaskGroup};

/// Assigns every port that the group asks for, given what the allocations on the node have.
///
/// # Errors
/// The dimension that is exhausted, as people read it.
pub(crate) fn assign<'a>(
    group: &TaskGroup,
    node: &Node,
    others: impl Iterator<Item = &'a Allocation>,
) -> Result<Vec<AssignedPort>, String> {
    let reserved = node.fingerprint.resources.reserved_ports.iter().copied();
    let mut taken: BTreeSet<u16> = reserved
        .chain(others.flat_map(|it| it.ports.iter().map(|port| port.value)))
        .collect();
    let mut assigned: Vec<AssignedPort> = Vec::new();
    let task_networks = group
        .tasks()
        .iter()
        .flat_map(|task| task.resources.iter().flat_map(|it| it.networks.iter().flatten()));
    let networks: Vec<_> = group.networks().iter().chain(task_networks).collect();
    let fixed = networks.iter().flat_map(|network| network.reserved_ports());
    for port in fixed.filter(|port| port.value > 0) {
        let collision = || format!("network: reserved port collision {}={}", port.label, port.value);
        let value = u16::try_from(port.value).map_err(|_| collision())?;
        let mine = port.ignore_collision && assigned.iter().any(|it| it.value == value);
        if !taken.insert(value) && !mine {
            return Err(collision());
        }
        assigned.push(published(port, value, false, node));
    }
    let (first, last) = node.fingerprint.resources.dynamic_ports();
    let open = networks
        .iter()
        .flat_map(|network| network.reserved_ports().iter().filter(|port| port.value <= 0));
    let dynamic: Vec<&Port> = networks
        .iter()
        .flat_map(|network| network.dynamic_ports())
        .chain(open)
        .collect();
    // Numbers begin at a place of the node's own, so that a number is not given to the next allocation at once.
    let span = u32::from(last.saturating_sub(first)) + 1;
    let offset = first_offset(&taken, node) % span;
    let mut candidates = (0..span).map(|step| first.saturating_add(((offset + step) % span) as u16));
    for port in dynamic {
        let value = candidates
            .find(|value| !taken.contains(value))
            .ok_or_else(|| "network: dynamic port selection failed".to_owned())?;
        taken.insert(value);
        assigned.push(published(port, value, true, node));
    }
    Ok(assigned)
}

/// Where the search for free numbers begins.
fn first_offset(taken: &BTreeSet<u16>, node: &Node) -> u32 {
    let mix = (node.id.0 as u64) ^ node.generation.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ taken.len() as u64;
    (mix.wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40) as u32
}

fn published(port: &Port, value: u16, dynamic: bool, node: &Node) -> AssignedPort {
    let name = if port.host_network.is_empty() {
        "default"
    } else {
        &port.host_network
    };
    let address = node
        .fingerprint
        .host_networks
        .get(name)
        .map_or("", |network| network.address.as_str());
    let to = match port.to {
        -1 => value,
        to => u16::try_from(to).unwrap_or(0),
    };
    AssignedPort {
        label: port.label.clone(),
        value,
        to,
        host_ip: address.to_owned(),
        host_network: name.to_owned(),
        dynamic,
    }
}
