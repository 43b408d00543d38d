//! Port numbers: the ones a job fixes, and the ones it leaves to the scheduler. A number is taken on one address of its
//! node; on another one it is still free.

use std::collections::BTreeMap;

use holdfast_shared::model::{AssignedPort, HostNetwork, Network, Node, Port, TaskGroup};

/// The ports that a group asks for.
#[derive(Debug, Default)]
pub(crate) struct PortAsk<'a> {
    fixed: Vec<&'a Port>,
    open: Vec<&'a Port>,
}

impl<'a> PortAsk<'a> {
    /// What `group` and its tasks ask for.
    pub(crate) fn of(group: &'a TaskGroup) -> Self {
        let of_tasks = group
            .tasks()
            .iter()
            .flat_map(|task| task.resources.iter().flat_map(|it| it.networks.iter().flatten()));
        let networks: Vec<&Network> = group.networks().iter().chain(of_tasks).collect();
        let reserved = || networks.iter().flat_map(|network| network.reserved_ports());
        let dynamic = networks.iter().flat_map(|network| network.dynamic_ports());
        Self {
            fixed: reserved().filter(|port| port.value > 0).collect(),
            open: dynamic.chain(reserved().filter(|port| port.value <= 0)).collect(),
        }
    }

    /// Whether it asks for none.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether one of these ports is asked for by its number.
    pub(crate) fn collides(&self, node: &Node, ports: &[AssignedPort]) -> bool {
        self.fixed.iter().any(|asked| {
            let here = lane(node, address(node, asked));
            let same = |port: &AssignedPort| {
                i64::from(port.value) == asked.value && [here, FORMER].contains(&lane(node, &port.host_ip))
            };
            ports.iter().any(same)
        })
    }

    fn len(&self) -> usize {
        self.fixed.len() + self.open.len()
    }
}

/// The ports of a node that its allocations have: number and address, in order, each as often as it is taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TakenPorts(Vec<(u16, u8)>);

impl TakenPorts {
    /// An allocation has these ports.
    pub(crate) fn add(&mut self, node: &Node, ports: &[AssignedPort]) {
        for port in ports {
            let entry = (port.value, lane(node, &port.host_ip));
            let at = self.0.partition_point(|it| *it < entry);
            self.0.insert(at, entry);
        }
    }

    /// An allocation gives these ports back.
    pub(crate) fn remove(&mut self, node: &Node, ports: &[AssignedPort]) {
        for port in ports {
            let entry = (port.value, lane(node, &port.host_ip));
            if let Ok(at) = self.0.binary_search(&entry) {
                self.0.remove(at);
            }
        }
    }

    fn has(&self, value: u16, lane: u8) -> bool {
        [lane, FORMER]
            .iter()
            .any(|lane| self.0.binary_search(&(value, *lane)).is_ok())
    }
}

/// The lane of an address that the node no longer has: whoever was given a port there has it on every address, as what
/// listens on all of them does.
const FORMER: u8 = u8::MAX;

/// A number for an address of a node: networks that share an address share its ports.
fn lane(node: &Node, address: &str) -> u8 {
    let networks: &BTreeMap<String, HostNetwork> = &node.fingerprint.host_networks;
    let at = networks.values().position(|network| network.address == address);
    at.and_then(|at| u8::try_from(at).ok()).unwrap_or(FORMER)
}

/// Whether every port that is asked for can be had.
///
/// # Errors
/// The dimension that is exhausted, as people read it.
pub(crate) fn fit(ask: &PortAsk<'_>, node: &Node, taken: &TakenPorts) -> Result<(), String> {
    let resources = &node.fingerprint.resources;
    let (first, last) = resources.dynamic_ports();
    let span = usize::from(last.saturating_sub(first)) + 1;
    let roomy = ask.len() + taken.0.len() + resources.reserved_ports.len() <= span;
    if ask.fixed.is_empty() && roomy {
        return Ok(());
    }
    assign(ask, node, taken).map(drop)
}

/// Assigns every port that is asked for, given what the allocations on the node have.
///
/// # Errors
/// The dimension that is exhausted, as people read it.
pub(crate) fn assign(
    ask: &PortAsk<'_>,
    node: &Node,
    taken: &TakenPorts,
) -> Result<Vec<AssignedPort>, String> {
    if ask.is_empty() {
        return Ok(Vec::new());
    }
    let resources = &node.fingerprint.resources;
    let mut assigned: Vec<AssignedPort> = Vec::with_capacity(ask.len());
    let is_free = |value: u16, address: &str, assigned: &[AssignedPort]| {
        let mine = |port: &AssignedPort| port.value == value && port.host_ip == address;
        !resources.reserved_ports.contains(&value)
            && !taken.has(value, lane(node, address))
            && !assigned.iter().any(mine)
    };
    for port in &ask.fixed {
        let collision = || format!("network: reserved port collision {}={}", port.label, port.value);
        let value = u16::try_from(port.value).map_err(|_| collision())?;
        let published = published(port, value, false, node);
        let same = |it: &AssignedPort| (it.value, &it.host_ip) == (value, &published.host_ip);
        let shared = port.ignore_collision && assigned.iter().any(same);
        if !shared && !is_free(value, &published.host_ip, &assigned) {
            return Err(collision());
        }
        assigned.push(published);
    }
    let (first, last) = resources.dynamic_ports();
    // Numbers begin at a place of the node's own, so that a number is not given to the next allocation at once.
    let span = u32::from(last.saturating_sub(first)) + 1;
    let offset = first_offset(taken.0.len() + assigned.len(), node) % span;
    let numbers = (0..span).map(|step| first.saturating_add(((offset + step) % span) as u16));
    for port in &ask.open {
        let mut published = published(port, 0, true, node);
        // What is taken on one address may be free on the next one's.
        published.value = numbers
            .clone()
            .find(|value| is_free(*value, &published.host_ip, &assigned))
            .ok_or_else(|| "network: dynamic port selection failed".to_owned())?;
        if port.to == -1 {
            published.to = published.value;
        }
        assigned.push(published);
    }
    Ok(assigned)
}

/// Where the search for free numbers begins.
pub(super) fn first_offset(taken: usize, node: &Node) -> u32 {
    let mix = (node.id.0 as u64) ^ node.generation.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ taken as u64;
    (mix.wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40) as u32
}

fn network_name(port: &Port) -> &str {
    if port.host_network.is_empty() {
        "default"
    } else {
        &port.host_network
    }
}

/// The address that a port is published on.
fn address<'n>(node: &'n Node, port: &Port) -> &'n str {
    let network = node.fingerprint.host_networks.get(network_name(port));
    network.map_or("", |network| network.address.as_str())
}

fn published(port: &Port, value: u16, dynamic: bool, node: &Node) -> AssignedPort {
    let to = match port.to {
        -1 => value,
        to => u16::try_from(to).unwrap_or(0),
    };
    AssignedPort {
        label: port.label.clone(),
        value,
        to,
        host_ip: address(node, port).to_owned(),
        host_network: network_name(port).to_owned(),
        dynamic,
    }
}

#[cfg(test)]
mod tests {
    use holdfast_shared::model::{Fingerprint, HostNetwork, Network, NodeResources};

    use super::super::tests;
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
        tests::node(7, fingerprint)
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
    fn a_port_on_an_address_that_the_node_had_once_is_taken_on_every_address() {
        let node = node((20_000, 20_001));
        let before = AssignedPort {
            label: "web".into(),
            value: 8080,
            to: 8080,
            host_ip: "192.0.2.77".into(),
            host_network: "default".into(),
            dynamic: false,
        };
        let mut taken = TakenPorts::default();
        taken.add(&node, std::slice::from_ref(&before));
        for network in ["default", "public"] {
            let wanted = group(&[("web", 8080, network)], &[]);
            let ask = PortAsk::of(&wanted);
            assert!(assign(&ask, &node, &taken).is_err());
            assert!(ask.collides(&node, std::slice::from_ref(&before)));
        }
        taken.remove(&node, &[before]);
        let wanted = group(&[("web", 8080, "public")], &[]);
        assert!(assign(&PortAsk::of(&wanted), &node, &taken).is_ok());
    }

    #[test]
    fn fixed_and_chosen_ports_are_published_on_the_address_of_their_network() {
        let wanted = group(&[("web", 8080, "public")], &["a", "b"]);
        let ports = assign(
            &PortAsk::of(&wanted),
            &node((20_000, 20_001)),
            &TakenPorts::default(),
        )
        .unwrap();
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
    fn a_number_is_taken_on_one_address_only() {
        let node = node((20_000, 20_001));
        let mut taken = TakenPorts::default();
        let ask = |network: &str| group(&[("web", 8080, network)], &[]);
        let public = assign(&PortAsk::of(&ask("public")), &node, &taken).unwrap();
        taken.add(&node, &public);
        assert!(assign(&PortAsk::of(&ask("")), &node, &taken).is_ok());
        assert!(fit(&PortAsk::of(&ask("public")), &node, &taken).is_err());
        taken.remove(&node, &public);
        assert_eq!(taken, TakenPorts::default());
    }

    #[test]
    fn a_number_that_one_address_has_no_more_is_still_chosen_on_another() {
        let node = node((20_000, 20_000));
        let mut taken = TakenPorts::default();
        let mut wanted = group(&[], &["a", "b"]);
        let network = &mut wanted.networks.as_mut().unwrap()[0];
        network.dynamic_ports.as_mut().unwrap()[0].host_network = "public".into();
        let ports = assign(&PortAsk::of(&wanted), &node, &taken).unwrap();
        assert_eq!((ports[0].value, ports[1].value), (20_000, 20_000));
        taken.add(&node, &ports);
        assert!(assign(&PortAsk::of(&wanted), &node, &taken).is_err());
    }

    #[test]
    fn a_collision_is_ignored_within_the_group_only() {
        let node = node((20_000, 20_001));
        let mut wanted = group(&[("a", 8080, ""), ("b", 8080, ""), ("c", 8080, "public")], &[]);
        let network = &mut wanted.networks.as_mut().unwrap()[0];
        for port in network.reserved_ports.iter_mut().flatten() {
            port.ignore_collision = true;
        }
        let ask = PortAsk::of(&wanted);
        let mut taken = TakenPorts::default();
        assert!(assign(&ask, &node, &taken).is_ok());
        let other = group(&[("web", 8080, "public")], &[]);
        taken.add(&node, &assign(&PortAsk::of(&other), &node, &taken).unwrap());
        assert_eq!(
            assign(&ask, &node, &taken).unwrap_err(),
            "network: reserved port collision c=8080"
        );
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
                assign(
                    &PortAsk::of(&wanted),
                    &node((20_000, 20_001)),
                    &TakenPorts::default()
                )
                .unwrap_err(),
                text
            );
        }
    }
}
