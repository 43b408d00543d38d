//! The networks: which addresses the box has, and at which of them others reach it.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;

use holdfast_shared::model::{Fingerprint, HostNetwork};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use crate::config::NetworkChoice;

/// An address of the box.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Address {
    interface: String,
    ip: IpAddr,
    /// Whether it means something beyond its own link.
    global: bool,
}

/// Adds the named networks. `default` is where others reach the box: on the interface of the default route, else on
/// the first that is not loopback, else on loopback.
pub(super) fn probe(fingerprint: &mut Fingerprint, choices: &BTreeMap<String, NetworkChoice>) {
    let addresses = addresses().unwrap_or_default();
    let routes = fs::read_to_string("/proc/net/route").unwrap_or_default();
    if let Some(address) = default_address(&addresses, default_interface(&routes)) {
        fingerprint
            .host_networks
            .insert("default".to_owned(), network(address));
    }
    for (name, choice) in choices {
        let chosen = addresses.iter().find(|address| match choice {
            NetworkChoice::Address(ip) => address.ip == *ip,
            NetworkChoice::Interface(interface) => address.interface == *interface && address.global,
        });
        // A network whose interface is not there (yet) is one that jobs cannot have (yet).
        match chosen {
            Some(address) => fingerprint.host_networks.insert(name.clone(), network(address)),
            None => fingerprint.host_networks.remove(name),
        };
    }
    if let Some(default) = fingerprint.host_networks.get("default") {
        fingerprint
            .attributes
            .insert("unique.network.ip-address".to_owned(), default.address.clone());
    }
}

/// Whether the box has this address now. When the kernel does not say, it has.
pub(super) fn has_address(ip: IpAddr) -> bool {
    ip.is_unspecified() || addresses().map_or(true, |all| all.iter().any(|address| address.ip == ip))
}

fn network(address: &Address) -> HostNetwork {
    HostNetwork {
        address: address.ip.to_string(),
        interface: address.interface.clone(),
    }
}

fn default_address<'a>(addresses: &'a [Address], route: Option<&str>) -> Option<&'a Address> {
    let rank = |address: &&Address| {
        let on_route = route == Some(address.interface.as_str());
        // Bridges of container runtimes are addresses, too, but nobody else reaches them.
        let inner = ["cni-", "podman", "docker", "virbr", "br-"]
            .iter()
            .any(|it| address.interface.starts_with(it));
        (
            address.ip.is_loopback(),
            !address.global,
            !on_route,
            inner,
            address.ip.is_ipv6(),
        )
    };
    // The first of equals: the kernel lists interfaces in the order they came.
    addresses.iter().min_by_key(rank)
}

/// The interface of the default route with the lowest metric, from `/proc/net/route`.
fn default_interface(routes: &str) -> Option<&str> {
    let route = |line: &'_ str| -> Option<u32> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_default = fields.get(1) == Some(&"00000000") && fields.get(7) == Some(&"00000000");
        let is_up = u32::from_str_radix(fields.get(3)?, 16).ok()? & 1 == 1;
        (is_default && is_up).then(|| fields[6].parse().ok()).flatten()
    };
    let routes = routes
        .lines()
        .skip(1)
        .filter_map(|line| Some((route(line)?, line.split_whitespace().next()?)));
    routes
        .min_by_key(|(metric, _)| *metric)
        .map(|(_, interface)| interface)
}

/// Every address, asked from the kernel over netlink: `/sys/class/net` may show another network namespace's.
fn addresses() -> std::io::Result<Vec<Address>> {
    let socket = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        None,
    )?;
    let names = rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    rustix::net::send(&socket, &dump_addresses(), SendFlags::empty())?;
    let mut found = Vec::new();
    let mut buffer = vec![0; 32 * 1024];
    loop {
        let (length, _) = rustix::net::recv(&socket, &mut buffer[..], RecvFlags::empty())?;
        let mut rest = &buffer[..length];
        while let Some((kind, body, next)) = message(rest) {
            match kind {
                NLMSG_DONE | NLMSG_ERROR => return Ok(found),
                RTM_NEWADDR => found.extend(address(body, &names)),
                _ => {}
            }
            rest = next;
        }
    }
}

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
/// `NLM_F_REQUEST | NLM_F_DUMP`
const DUMP: u16 = 0x301;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;

/// `nlmsghdr` and an `ifaddrmsg` that asks for every family.
fn dump_addresses() -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(24_u32.to_ne_bytes());
    bytes.extend(RTM_GETADDR.to_ne_bytes());
    bytes.extend(DUMP.to_ne_bytes());
    bytes.extend([0; 16]);
    bytes
}

/// Kind and body of the first message in `bytes`, and what follows it.
fn message(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
    let body = bytes.get(16..length)?;
    Some((
        kind,
        body,
        bytes.get(length.next_multiple_of(4)..).unwrap_or_default(),
    ))
}

/// The address in an `ifaddrmsg` and its attributes.
fn address(body: &[u8], names: &OwnedFd) -> Option<Address> {
    let scope = *body.get(3)?;
    let index = u32::from_ne_bytes(body.get(4..8)?.try_into().ok()?);
    let (mut local, mut remote) = (None, None);
    let mut rest = body.get(8..)?;
    while let Some(length) = rest
        .get(..2)
        .map(|bytes| usize::from(u16::from_ne_bytes([bytes[0], bytes[1]])))
    {
        let kind = u16::from_ne_bytes(rest.get(2..4)?.try_into().ok()?);
        let value = rest.get(4..length)?;
        match kind {
            IFA_LOCAL => local = ip(value),
            IFA_ADDRESS => remote = ip(value),
            _ => {}
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    let interface = rustix::net::netdevice::index_to_name(names, index).ok()?;
    // On point-to-point links only the local attribute is the box's own address.
    Some(Address {
        interface,
        ip: local.or(remote)?,
        global: scope == 0,
    })
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into()),
        16 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(interface: &str, ip: &str) -> Address {
        let ip: IpAddr = ip.parse().unwrap();
        let global = !ip.is_loopback() && !ip.to_string().starts_with("fe80");
        Address {
            interface: interface.into(),
            ip,
            global,
        }
    }

    #[test]
    fn the_default_address_is_the_one_that_others_reach() {
        let lo = at("lo", "127.0.0.1");
        for (addresses, route, expected) in [
            (vec![lo.clone()], None, Some("127.0.0.1")),
            (vec![lo.clone(), at("eth0", "10.0.0.5")], None, Some("10.0.0.5")),
            (
                vec![lo.clone(), at("eth0", "10.0.0.5"), at("eth1", "10.1.0.5")],
                Some("eth1"),
                Some("10.1.0.5"),
            ),
            (
                vec![
                    lo.clone(),
                    at("cni-podman0", "10.88.0.1"),
                    at("veth7", "10.9.0.2"),
                ],
                None,
                Some("10.9.0.2"),
            ),
            (
                vec![lo.clone(), at("eth0", "fd00::2"), at("eth0", "192.0.2.2")],
                Some("eth0"),
                Some("192.0.2.2"),
            ),
            (
                vec![lo.clone(), at("eth0", "fe80::1"), at("eth0", "fd00::2")],
                Some("eth0"),
                Some("fd00::2"),
            ),
            (vec![], None, None),
        ] {
            let found = default_address(&addresses, route).map(|address| address.ip.to_string());
            assert_eq!(found.as_deref(), expected, "{addresses:?}");
        }
    }

    #[test]
    fn the_default_route_with_the_lowest_metric_counts() {
        let head = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n";
        let routes = "wlan0 00000000 010200C0 0003 0 0 600 00000000 0 0 0\neth0 00000000 010200C0 0003 0 0 100 00000000 0 0 0\n\
                      eth1 000200C0 00000000 0001 0 0 0 00FFFFFF 0 0 0\n";
        assert_eq!(default_interface(&format!("{head}{routes}")), Some("eth0"));
        assert_eq!(default_interface(head), None);
        assert_eq!(default_interface(""), None);
    }

    #[test]
    fn the_kernel_tells_the_addresses_of_this_box() {
        let found = addresses().unwrap();
        assert!(found.contains(&at("lo", "127.0.0.1")), "{found:?}");
    }
}
