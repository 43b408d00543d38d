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

#[cfg(test)]
mod tests {
    use holdfast_shared::id::NodeId;
    use holdfast_shared::model::{Eligibility, Fingerprint, HostNetwork, Network, NodeResources, NodeStatus};
    use holdfast_shared::time::Timestamp;

    use super::*;

    fn node(dynamic: (u16, u16)) -> Node {
        let network = |address: &str| HostNetwork {
            address: address.into(),
            interface: String::new(),
        };
        let fingerprint = Fingerprint {
            resources: NodeResources {
                reserved_ports: vec![22],
                dynamic_port_min: dynamic.0,
                dynamic_port_max: dynamic.1,
                ..NodeResources::default()
            },
            host_networks: [
                ("default".to_owned(), network("192.0.2.1")),
                ("public".to_owned(), network("198.51.100.1")),
            ]
            .into(),
            ..Fingerprint::default()
        };
        Node {
            id: NodeId(7),
            fingerprint,
            status: NodeStatus::Ready,
            status_description: String::new(),
            status_since: Timestamp::ZERO,
            eligibility: Eligibility::Eligible,
            drain: None,
            last_drain: None,
            last_heard: Timestamp::ZERO,
            session: 1,
            generation: 0,
            sent_generation: 0,
            events: Vec::new(),
            create_index: 1,
            modify_index: 1,
            missed_heartbeat_index: 0,
            alloc_update_index: 0,
        }
    }

    fn group(fixed: &[(&str, i64, &str)], dynamic: &[&str]) -> TaskGroup {
        let port = |label: &str, value, network: &str| Port {
            label: label.into(),
            value,
            to: -1,
            host_network: network.into(),
            ..Port::default()
        };
        let network = Network {
            reserved_ports: Some(
                fixed
                    .iter()
                    .map(|(label, value, name)| port(label, *value, name))
                    .collect(),
            ),
            dynamic_ports: Some(dynamic.iter().map(|label| port(label, 0, "")).collect()),
            ..Network::default()
        };
        TaskGroup {
            networks: Some(vec![network]),
            ..TaskGroup::default()
        }
    }

    #[test]
    fn fixed_and_chosen_ports_are_published_on_the_address_of_their_network() {
        let wanted = group(&[("web", 8080, "public")], &["a", "b"]);
        let ports = assign(&wanted, &node((20_000, 20_001)), std::iter::empty()).unwrap();
        assert_eq!(
            (ports[0].value, ports[0].host_ip.as_str(), ports[0].to),
            (8080, "198.51.100.1", 8080)
        );
        let mut chosen: Vec<u16> = ports[1..].iter().map(|port| port.value).collect();
        chosen.sort_unstable();
        assert_eq!(chosen, [20_000, 20_001]);
        assert!(ports[1].dynamic && ports[1].host_ip == "192.0.2.1");
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (wanted, text) in [
            (
                group(&[("ssh", 22, "")], &[]),
                "network: reserved port collision ssh=22",
            ),
            (
                group(&[("a", 80, ""), ("b", 80, "")], &[]),
                "network: reserved port collision b=80",
            ),
            (
                group(&[("a", 70_000, "")], &[]),
                "network: reserved port collision a=70000",
            ),
            (
                group(&[], &["a", "b", "c"]),
                "network: dynamic port selection failed",
            ),
        ] {
            assert_eq!(
                assign(&wanted, &node((20_000, 20_001)), std::iter::empty()).unwrap_err(),
                text
            );
        }
    }
}
