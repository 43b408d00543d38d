//! What a node has room for, and who gives way when it has none: as slow and obvious as the rest of the reference.

use holdfast_shared::id::AllocId;
use holdfast_shared::model::{
    Allocation, AssignedDevice, AssignedPort, Constraint, Node, NodeDevice, Port, RequestedDevice, TaskGroup,
};

use super::reference::Reference;
use crate::scheduler::ports;

/// An allocation that may have to give way.
struct Victim {
    id: AllocId,
    priority: i64,
    /// Memory, cpu, disk.
    has: [i64; 3],
    /// The price of losing more of its group than may be moved at a time.
    penalty: f64,
}

impl Reference<'_> {
    /// What is on a node once these have gone.
    fn stays<'s>(&'s self, node: &'s Node, gone: &'s [AllocId]) -> impl Iterator<Item = &'s Allocation> {
        self.proposed()
            .filter(move |alloc| alloc.node == node.id && !gone.contains(&alloc.id))
    }

    /// The first thing of which there is too little for one more of the group.
    pub(super) fn lacks(&self, group: &TaskGroup, node: &Node, gone: &[AllocId]) -> Option<String> {
        if let Some(name) = self.is_beyond(group, node, gone) {
            return Some(name.into());
        }
        if let Err(why) = self.ports(group, node, gone) {
            return Some(why);
        }
        let devices = devices(group, node, &self.taken_devices(node));
        devices
            .is_none()
            .then(|| "devices: no devices match request".into())
    }

    fn is_beyond(&self, group: &TaskGroup, node: &Node, gone: &[AllocId]) -> Option<&'static str> {
        let (cpu, memory, disk) = self.used(group, node, gone);
        let has = &node.fingerprint.resources;
        [
            ("cpu", cpu, has.cpu_mhz - has.reserved_cpu_mhz),
            ("memory", memory, has.memory_mb - has.reserved_memory_mb),
            ("disk", disk, has.disk_mb - has.reserved_disk_mb),
        ]
        .into_iter()
        .find_map(|(name, used, capacity)| (used > capacity).then_some(name))
    }

    /// What is taken of the node, with one more allocation of the group.
    pub(super) fn used(&self, group: &TaskGroup, node: &Node, gone: &[AllocId]) -> (u64, u64, u64) {
        let ask = group.tasks()[0].resources();
        let mut used = (ask.cpu_mhz(), ask.memory_mb(), group.disk_mb());
        for alloc in self.stays(node, gone) {
            used.0 += alloc.resources.cpu_mhz();
            used.1 += alloc.resources.memory_mb();
            used.2 += alloc.resources.disk_mb;
        }
        used
    }

    /// The ports that the group gets.
    pub(super) fn ports(
        &self,
        group: &TaskGroup,
        node: &Node,
        gone: &[AllocId],
    ) -> Result<Vec<AssignedPort>, String> {
        let taken: Vec<&AssignedPort> = self.stays(node, gone).flat_map(|it| &it.ports).collect();
        let reserved = &node.fingerprint.resources.reserved_ports;
        let is_free = |value: u16, ip: &str, own: &[AssignedPort]| {
            let own = own.iter().any(|it| it.value == value && it.host_ip == ip);
            !own && !reserved.contains(&value) && !taken.iter().any(|it| holds(it, node, value, ip))
        };
        let mut got: Vec<AssignedPort> = Vec::new();
        for port in fixed(group) {
            let (value, ip) = (u16::try_from(port.value).unwrap(), ip(node, port));
            let shared = port.ignore_collision && got.iter().any(|it| it.value == value && it.host_ip == ip);
            if !shared && !is_free(value, ip, &got) {
                return Err(format!("network: reserved port collision {}={value}", port.label));
            }
            got.push(assigned(port, value, ip, false));
        }
        let (first, last) = node.fingerprint.resources.dynamic_ports();
        let span = u32::from(last - first) + 1;
        let start = ports::first_offset(taken.len() + got.len(), node);
        for port in group.networks().iter().flat_map(|it| it.dynamic_ports()) {
            let ip = ip(node, port);
            let mut numbers = (0..span).map(|step| first + ((start % span + step) % span) as u16);
            let value = numbers
                .find(|value| is_free(*value, ip, &got))
                .ok_or("network: dynamic port selection failed")?;
            got.push(assigned(port, value, ip, true));
        }
        Ok(got)
    }

    /// Devices that are taken: nobody gives way for one.
    pub(super) fn taken_devices<'s>(&'s self, node: &Node) -> Vec<(&'s str, &'s str)> {
        let here = self.proposed().filter(|alloc| alloc.node == node.id);
        let devices = here.flat_map(|alloc| &alloc.resources.devices);
        devices
            .flat_map(|it| it.ids.iter().map(|id| (it.name.as_str(), id.as_str())))
            .collect()
    }

    /// Who gives way so that one more of the group has room; nobody when that is of no use.
    pub(super) fn make_room(&self, group: &TaskGroup, node: &Node) -> Option<Vec<AllocId>> {
        let mut candidates: Vec<Victim> = Vec::new();
        let mut gone: Vec<AllocId> = Vec::new();
        let mut all: Vec<&Allocation> = self.stays(node, &[]).collect();
        all.sort_by_key(|alloc| alloc.id);
        for alloc in all {
            let victim = self.victim(alloc);
            let blocks = fixed(group).any(|port| {
                let holds = |it: &AssignedPort| holds(it, node, port.value as u16, ip(node, port));
                alloc.ports.iter().any(holds)
            });
            match victim {
                Some(victim) if blocks => gone.push(victim.id),
                Some(victim) => candidates.push(victim),
                None if blocks => return None,
                None => {}
            }
        }
        let blocking = gone.clone();
        let ask = group.tasks()[0].resources();
        let ask = [ask.memory_mb(), ask.cpu_mhz(), group.disk_mb()].map(|it| it as i64);
        let (mut missing, mut chosen) = (ask, Vec::new());
        while self.is_beyond(group, node, &gone).is_some() {
            let lowest = candidates.iter().map(|it| it.priority).min()?;
            let price = |it: &Victim| distance(missing, it.has) + it.penalty;
            let level = (0..candidates.len()).filter(|at| candidates[*at].priority == lowest);
            let nearest = level.min_by(|a, b| price(&candidates[*a]).total_cmp(&price(&candidates[*b])));
            let victim = candidates.remove(nearest.unwrap());
            (0..3).for_each(|at| missing[at] -= victim.has[at]);
            gone.push(victim.id);
            chosen.push(victim);
        }
        // Those that fit worst go first, and when there is room the rest may stay.
        chosen.sort_by(|a, b| distance(ask, b.has).total_cmp(&distance(ask, a.has)));
        gone = blocking;
        for victim in chosen {
            if self.is_beyond(group, node, &gone).is_some() {
                gone.push(victim.id);
            }
        }
        (!gone.is_empty() && self.lacks(group, node, &gone).is_none()).then_some(gone)
    }

    /// What an allocation is as a victim, when it may be one.
    fn victim(&self, alloc: &Allocation) -> Option<Victim> {
        let job = self.others.iter().find(|job| job.key() == alloc.job)?;
        if job.priority() > self.job.priority() - 10 {
            return None;
        }
        let group = job.group(&alloc.group).unwrap();
        let parallel = group.migrate.as_ref().map_or(0, |it| it.max_parallel.unwrap());
        let same = |it: &&&Allocation| (&it.job, &it.group) == (&alloc.job, &alloc.group);
        let evicted = self.stored.iter().filter(|it| self.evicted.contains(&it.id));
        let lost = evicted.filter(same).count() as i64;
        let has = &alloc.resources;
        Some(Victim {
            id: alloc.id,
            priority: job.priority(),
            has: [has.memory_mb(), has.cpu_mhz(), has.disk_mb].map(|it| it as i64),
            penalty: if parallel > 0 && lost >= parallel {
                (lost + 1 - parallel) as f64 * 50.0
            } else {
                0.0
            },
        })
    }

    /// The score for making these give way.
    pub(super) fn preemption(&self, gone: &[AllocId]) -> f64 {
        let of = |id: &AllocId| {
            let alloc = self.stored.iter().find(|it| it.id == *id).unwrap();
            let job = self.others.iter().find(|job| job.key() == alloc.job);
            job.unwrap().priority()
        };
        let priorities: Vec<i64> = gone.iter().map(of).collect();
        let greatest = *priorities.iter().max().unwrap() as f64;
        let net = greatest + priorities.iter().sum::<i64>() as f64 / greatest;
        1.0 / (1.0 + (0.0048 * (net - 2048.0)).exp())
    }
}

/// How far what a victim has is from what is missing, each part by how much of it is missing.
fn distance(missing: [i64; 3], has: [i64; 3]) -> f64 {
    let mut sum = 0.0;
    for at in 0..3 {
        if missing[at] > 0 {
            sum += ((missing[at] - has[at]) as f64 / missing[at] as f64).powi(2);
        }
    }
    sum.sqrt()
}

fn fixed(group: &TaskGroup) -> impl Iterator<Item = &Port> {
    group.networks().iter().flat_map(|it| it.reserved_ports())
}

/// The address of a port's host network.
fn ip<'n>(node: &'n Node, port: &Port) -> &'n str {
    &node.fingerprint.host_networks[network(port)].address
}

fn network(port: &Port) -> &str {
    if port.host_network.is_empty() {
        "default"
    } else {
        &port.host_network
    }
}

fn assigned(port: &Port, value: u16, ip: &str, dynamic: bool) -> AssignedPort {
    AssignedPort {
        label: port.label.clone(),
        value,
        to: if port.to == -1 { value } else { port.to as u16 },
        host_ip: ip.to_owned(),
        host_network: network(port).to_owned(),
        dynamic,
    }
}

/// Whether whoever has `port` has this number on this address: also when its own address is none of the node's.
fn holds(port: &AssignedPort, node: &Node, value: u16, ip: &str) -> bool {
    let mut addresses = node.fingerprint.host_networks.values();
    let former = addresses.all(|network| network.address != port.host_ip);
    port.value == value && (port.host_ip == ip || former)
}

/// Whether the node has every volume of the group, to write on where that is asked for.
pub(super) fn volumes(group: &TaskGroup, node: &Node) -> Result<(), String> {
    for volume in group.volumes.iter().flatten().map(|(_, volume)| volume) {
        let on_node = node.fingerprint.host_volumes.get(&volume.source);
        let suffices = match on_node {
            Some(on_node) if on_node.read_only => volume.read_only,
            Some(_) => true,
            None => false,
        };
        if volume.kind != "host" || !suffices {
            return Err("missing compatible host volumes".into());
        }
    }
    Ok(())
}

/// Whether the node has every host network that the group's ports name.
pub(super) fn networks(group: &TaskGroup, node: &Node) -> Result<(), String> {
    let ports = group.networks().iter();
    for port in ports.flat_map(|it| it.reserved_ports().iter().chain(it.dynamic_ports())) {
        if !node.fingerprint.host_networks.contains_key(network(port)) {
            let (name, label) = (&port.host_network, &port.label);
            return Err(format!("missing host network {name:?} for port {label:?}"));
        }
    }
    Ok(())
}

/// Devices for every request of the group, and how many of its wishes they meet.
pub(super) fn devices(
    group: &TaskGroup,
    node: &Node,
    taken: &[(&str, &str)],
) -> Option<(Vec<AssignedDevice>, Option<f64>)> {
    let (mut got, mut wishes) = (Vec::<AssignedDevice>::new(), Vec::new());
    for task in group.tasks() {
        for request in task.resources().devices.iter().flatten() {
            let mut best: Option<(f64, AssignedDevice, &NodeDevice)> = None;
            for device in node.fingerprint.devices.iter().filter(|it| suits(request, it)) {
                let name = device.id();
                let is_taken = |id: &String| {
                    taken.contains(&(name.as_str(), id.as_str()))
                        || got.iter().any(|it| it.name == name && it.ids.contains(id))
                };
                let free = device
                    .instances
                    .iter()
                    .filter(|it| it.healthy && !is_taken(&it.id));
                let ids: Vec<String> = free.map(|it| it.id.clone()).collect();
                let count = request.count.unwrap() as usize;
                let score = share(&met(request, device)).unwrap_or(0.0);
                if ids.len() >= count && best.as_ref().is_none_or(|(known, ..)| score > *known) {
                    let (task, ids) = (task.name.clone(), ids[..count].to_vec());
                    best = Some((score, AssignedDevice { task, name, ids }, device));
                }
            }
            let (_, device, kind) = best?;
            got.push(device);
            wishes.extend(met(request, kind));
        }
    }
    Some((got, share(&wishes)))
}

/// The wishes that are met, by weight.
fn share(wishes: &[(i64, bool)]) -> Option<f64> {
    let all: i64 = wishes.iter().map(|(weight, _)| weight.abs()).sum();
    let met = wishes.iter().filter(|(_, met)| *met);
    let sum: i64 = met.map(|(weight, _)| weight).sum();
    (!wishes.is_empty()).then(|| sum as f64 / all as f64)
}

fn met(request: &RequestedDevice, device: &NodeDevice) -> Vec<(i64, bool)> {
    let wishes = request.affinities.iter().flatten();
    wishes
        .map(|it| (it.weight.unwrap(), compares((&it.left, &it.right), device)))
        .collect()
}

fn suits(request: &RequestedDevice, device: &NodeDevice) -> bool {
    let names = [
        device.kind.clone(),
        format!("{}/{}", device.vendor, device.kind),
        device.id(),
    ];
    let check = |it: &Constraint| compares((&it.left, &it.right), device);
    names.contains(&request.name) && request.constraints.iter().flatten().all(check)
}

/// The comparisons of these tests: a vendor's name, or memory that is enough.
fn compares((left, right): (&str, &str), device: &NodeDevice) -> bool {
    let mebibytes = |text: &str| match text.split_once(' ').unwrap() {
        (number, "GiB") => 1024 * number.parse::<u64>().unwrap(),
        (number, _) => number.parse().unwrap(),
    };
    match left {
        "${device.vendor}" => device.vendor == right,
        _ => mebibytes(&device.attributes["memory"]) >= mebibytes(right),
    }
}
