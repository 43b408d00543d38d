//! What the box is like: attributes under Nomad's names, resources, networks, drivers.
//!
//! One file per subject; each adds what it finds and leaves out what it cannot find. Nothing here fails, and nothing
//! waits: a box without a default route, without podman or without `/sys` has fewer attributes, that is all.

mod cpu;
mod devices;
mod drivers;
mod kernel;
mod memory;
mod network;
mod observer;
mod storage;

use std::collections::BTreeMap;
use std::net::IpAddr;

use holdfast_drivers::DriverInfo;
use holdfast_shared::model::{Fingerprint, NodeResources};

use crate::config::Config;

pub use observer::Observer;

/// The version of Nomad whose behaviour jobs may count on.
const NOMAD_VERSION: &str = "2.0.6";

/// What the probes have found so far.
#[derive(Debug, Default)]
struct Findings {
    attributes: BTreeMap<String, String>,
    resources: NodeResources,
}

impl Findings {
    /// Adds an attribute, unless there is nothing to say.
    fn set(&mut self, name: &str, value: impl Into<String>) {
        let value = value.into();
        if !value.is_empty() {
            self.attributes.insert(name.to_owned(), value);
        }
    }
}

/// What does not change while the agent runs; networks, drivers and devices come and go.
fn probe(config: &Config) -> Fingerprint {
    let mut found = Findings::default();
    cpu::probe(&mut found);
    memory::probe(&mut found);
    storage::probe(&mut found, &config.data_dir);
    kernel::probe(&mut found);
    found.set("nomad.version", NOMAD_VERSION);
    found.set("nomad.service_discovery", "true");
    found.set("holdfast.version", env!("CARGO_PKG_VERSION"));
    let Findings {
        mut attributes,
        mut resources,
    } = found;
    let host_name = attributes
        .get("unique.hostname")
        .cloned()
        .unwrap_or_else(|| "localhost".to_owned());
    attributes.extend(config.attributes.clone());
    let reserved = &config.reserved;
    resources.reserved_cpu_mhz = reserved.cpu_mhz;
    resources.reserved_memory_mb = reserved.memory_mb;
    resources.reserved_disk_mb = reserved.disk_mb;
    resources.reserved_ports.clone_from(&reserved.ports);
    let usable = resources.cpu_mhz.saturating_sub(reserved.cpu_mhz);
    attributes
        .entry("cpu.usablecompute".to_owned())
        .or_insert_with(|| usable.to_string());
    Fingerprint {
        name: if config.name.is_empty() {
            host_name
        } else {
            config.name.clone()
        },
        datacenter: config.datacenter.clone(),
        node_pool: config.node_pool.clone(),
        node_class: config.node_class.clone(),
        attributes,
        meta: config.meta.clone(),
        resources,
        host_volumes: config.host_volumes.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        keep_alive: config.keep_alive.into(),
        ..Fingerprint::default()
    }
}

/// `fixed` with the networks, drivers and devices as they are now.
fn refresh(fixed: &Fingerprint, config: &Config, infos: &[DriverInfo]) -> Fingerprint {
    let mut fingerprint = fixed.clone();
    network::probe(&mut fingerprint, &config.host_networks);
    drivers::probe(&mut fingerprint, infos);
    fingerprint.devices = devices::probe();
    // What the operator says wins over what comes and goes, too.
    fingerprint.attributes.extend(config.attributes.clone());
    fingerprint
}

/// Whether the box has this address now: one that was assigned may be gone with the uplink.
pub fn has_address(ip: IpAddr) -> bool {
    network::has_address(ip)
}

/// The first line of `text` that begins with `name` and a colon, behind it.
fn field<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.lines()
        .find_map(|line| line.split_once(':').filter(|(key, _)| key.trim() == name))
        .map(|(_, rest)| rest.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let args = [
            "--data-dir=/tmp",
            "--attributes=kernel.name=plan9",
            "--reserved-memory=64",
            "--name=box",
        ];
        Config::load(args, []).unwrap()
    }

    #[test]
    fn this_box_has_everything_that_jobs_ask_for() {
        let config = config();
        let found = refresh(&probe(&config), &config, &[]);
        for name in [
            "cpu.arch",
            "cpu.numcores",
            "cpu.frequency",
            "cpu.totalcompute",
            "kernel.arch",
            "kernel.version",
            "memory.totalbytes",
            "nomad.version",
            "os.name",
            "os.signals",
            "unique.hostname",
            "unique.network.ip-address",
            "unique.storage.bytestotal",
            "unique.storage.bytesfree",
            "unique.storage.volume",
        ] {
            assert!(
                found.attributes.contains_key(name),
                "{name} is missing in {:#?}",
                found.attributes
            );
        }
        assert_eq!(
            (found.name.as_str(), found.attributes["kernel.name"].as_str()),
            ("box", "plan9")
        );
        let resources = &found.resources;
        assert!(
            resources.cpu_mhz > 0 && resources.cores > 0 && resources.memory_mb > 0 && resources.disk_mb > 0
        );
        assert_eq!(resources.reserved_memory_mb, 64);
        assert!(found.host_networks.contains_key("default"));
    }

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let text = "MemTotalX:  1 kB\nMemTotal:   24103 kB\n";
        assert_eq!(field(text, "MemTotal"), Some("24103 kB"));
        assert_eq!(field(text, "Mem"), None);
    }
}
