//! The agent's settings: the table behind flags, environment and file, and what it comes to.
//!
//! Owns: names, defaults and the check of every value. Deliberately does not know what the box is like
//! (`fingerprint`) nor who the node is (`identity`).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use holdfast_settings::{Kind, Setting, Settings, SettingsError, Values};
use holdfast_shared::id::NodeId;
use holdfast_shared::model::HostVolume;

use crate::mqtt::Url;

/// Every setting of the agent.
pub const SETTINGS: Settings = Settings {
    program: "holdfast-agent",
    version: env!("CARGO_PKG_VERSION"),
    about: "Runs this box's allocations, with or without contact to a coordinator.",
    table: TABLE,
};

const TABLE: &[Setting] = &[
    Setting::new("data_dir", Kind::String, "where everything durable lives")
        .default("/var/lib/holdfast")
        .value("PATH"),
    Setting::new(
        "coordinator",
        Kind::List,
        "where a coordinator's broker listens; several are tried in turn",
    )
    .value("mqtt[s]://HOST[:PORT]"),
    Setting::new(
        "name",
        Kind::String,
        "name of the node; its host name unless given",
    ),
    Setting::new(
        "node_id",
        Kind::String,
        "id of the node; made up at the first start unless given",
    )
    .value("UUID"),
    Setting::new("datacenter", Kind::String, "datacenter that the node is in").default("dc1"),
    Setting::new("region", Kind::String, "region that the node is in").default("global"),
    Setting::new("node_pool", Kind::String, "node pool that the node is in").default("default"),
    Setting::new("node_class", Kind::String, "class of nodes that jobs may ask for").default(""),
    Setting::new("meta", Kind::Map, "metadata that jobs may ask for"),
    Setting::new(
        "attributes",
        Kind::Map,
        "attributes beside the detected ones; these win",
    ),
    Setting::new("reserved.cpu", Kind::Integer, "megahertz kept for the box itself").default("0"),
    Setting::new(
        "reserved.memory",
        Kind::Integer,
        "megabytes of memory kept for the box itself",
    )
    .default("0"),
    Setting::new(
        "reserved.disk",
        Kind::Integer,
        "megabytes of disk kept for the box itself",
    )
    .default("0"),
    Setting::new(
        "reserved.ports",
        Kind::List,
        "ports that no job gets, like 22 or 8000-8010",
    ),
    Setting::new(
        "host_volume",
        Kind::Map,
        "directories that jobs may mount by name; :ro makes one read-only",
    )
    .value("NAME=PATH[:ro]"),
    Setting::new(
        "host_network",
        Kind::Map,
        "networks that jobs may ask for by name",
    )
    .value("NAME=ADDRESS|INTERFACE"),
    Setting::new(
        "keep_alive",
        Kind::Duration,
        "how long the agent may be silent before it counts as gone",
    )
    .default("120s"),
    Setting::new(
        "enrolment_token",
        Kind::String,
        "shown to the coordinator at the first contact",
    )
    .value("TOKEN"),
    Setting::new(
        "ca_file",
        Kind::String,
        "PEM file with the authority of the broker's certificate",
    )
    .value("PATH"),
    Setting::new("podman_socket", Kind::String, "where podman's service listens")
        .default("/run/podman/podman.sock")
        .value("PATH"),
    Setting::new("socket", Kind::String, "where edgectl local reaches the agent")
        .default("/run/holdfast/agent.sock")
        .value("PATH"),
    Setting::new("drivers", Kind::List, "drivers that jobs may use").default("podman,raw_exec"),
    Setting::new("log_level", Kind::String, "error, warn, info, debug or trace").default("info"),
];

/// What an agent is told when it starts.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where everything durable lives.
    pub data_dir: PathBuf,
    /// Where a coordinator's broker listens; none: the agent runs what it has.
    pub coordinators: Vec<Url>,
    /// Name of the node; its host name when empty.
    pub name: String,
    /// Id of the node, when the operator chose one.
    pub node_id: Option<NodeId>,
    /// The datacenter.
    pub datacenter: String,
    /// The region.
    pub region: String,
    /// The node pool.
    pub node_pool: String,
    /// The class.
    pub node_class: String,
    /// Metadata.
    pub meta: BTreeMap<String, String>,
    /// Attributes that win over detected ones.
    pub attributes: BTreeMap<String, String>,
    /// What is kept for the box itself.
    pub reserved: Reserved,
    /// Directories by name.
    pub host_volumes: BTreeMap<String, HostVolume>,
    /// Address or interface by network name.
    pub host_networks: BTreeMap<String, NetworkChoice>,
    /// The MQTT keep-alive; whole seconds, at least one.
    pub keep_alive: Duration,
    /// Shown to the coordinator at the first contact.
    pub enrolment_token: Option<String>,
    /// Authority of the broker's certificate.
    pub ca_file: Option<PathBuf>,
    /// Podman's service.
    pub podman_socket: PathBuf,
    /// Our own local socket.
    pub socket: PathBuf,
    /// Drivers that jobs may use.
    pub drivers: Vec<String>,
    /// What is logged.
    pub log_level: tracing::Level,
}

/// What is kept for the box itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reserved {
    /// Megahertz.
    pub cpu_mhz: u64,
    /// Megabytes of memory.
    pub memory_mb: u64,
    /// Megabytes of disk.
    pub disk_mb: u64,
    /// Ports.
    pub ports: Vec<u16>,
}

/// Which of the box's addresses a named network means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkChoice {
    /// This one.
    Address(IpAddr),
    /// The first of this interface.
    Interface(String),
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The layers could not be read; or `--help` was asked for.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A value is of the right kind and makes no sense.
    #[error("{origin}: {name}: {reason}")]
    Value {
        /// Where the value came from.
        origin: String,
        /// The setting.
        name: &'static str,
        /// What is wrong, and what would be right.
        reason: String,
    },
}

impl Config {
    /// Reads flags (without the program's name), environment and files.
    ///
    /// # Errors
    /// When a layer cannot be read, or a value makes no sense; the error names the place.
    pub fn load<A>(args: A, env: impl IntoIterator<Item = (String, String)>) -> Result<Self, ConfigError>
    where
        A: IntoIterator,
        A::Item: Into<OsString>,
    {
        let values = SETTINGS.load(args, env)?;
        Reader(&values).config()
    }
}

struct Reader<'a>(&'a Values);

impl Reader<'_> {
    fn config(&self) -> Result<Config, ConfigError> {
        let text = |name| self.0.string(name).to_owned();
        let optional = |name| {
            self.0
                .optional_string(name)
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        Ok(Config {
            data_dir: text("data_dir").into(),
            coordinators: self.each("coordinator", |text| {
                text.parse::<Url>().map_err(|e| e.to_string())
            })?,
            name: optional("name").unwrap_or_default(),
            node_id: self.node_id(optional("node_id"))?,
            datacenter: text("datacenter"),
            region: text("region"),
            node_pool: text("node_pool"),
            node_class: text("node_class"),
            meta: self.0.map("meta").clone(),
            attributes: self.0.map("attributes").clone(),
            reserved: Reserved {
                cpu_mhz: self.amount("reserved.cpu")?,
                memory_mb: self.amount("reserved.memory")?,
                disk_mb: self.amount("reserved.disk")?,
                ports: self.each("reserved.ports", ports)?.concat(),
            },
            host_volumes: self
                .0
                .map("host_volume")
                .iter()
                .map(|(name, path)| (name.clone(), volume(path)))
                .collect(),
            host_networks: self
                .0
                .map("host_network")
                .iter()
                .map(|(name, at)| (name.clone(), network(at)))
                .collect(),
            keep_alive: self.keep_alive()?,
            enrolment_token: optional("enrolment_token"),
            ca_file: optional("ca_file").map(PathBuf::from),
            podman_socket: text("podman_socket").into(),
            socket: text("socket").into(),
            drivers: self.each("drivers", driver)?,
            log_level: self.each_of("log_level", &text("log_level"), |text| {
                text.parse()
                    .map_err(|_| format!("{text:?} is none of error, warn, info, debug and trace"))
            })?,
        })
    }

    fn wrong(&self, name: &'static str, reason: String) -> ConfigError {
        ConfigError::Value {
            origin: self.0.origin(name).to_string(),
            name,
            reason,
        }
    }

    fn each_of<T>(
        &self,
        name: &'static str,
        text: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        parse(text).map_err(|reason| self.wrong(name, reason))
    }

    fn each<T>(
        &self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, ConfigError> {
        self.0
            .list(name)
            .iter()
            .map(|text| self.each_of(name, text, &parse))
            .collect()
    }

    fn amount(&self, name: &'static str) -> Result<u64, ConfigError> {
        let number = self.0.integer(name);
        u64::try_from(number).map_err(|_| self.wrong(name, format!("{number} is less than nothing")))
    }

    fn node_id(&self, text: Option<String>) -> Result<Option<NodeId>, ConfigError> {
        text.map(|text| self.each_of("node_id", &text, |text| text.parse().map_err(|e| format!("{e}"))))
            .transpose()
    }

    fn keep_alive(&self) -> Result<Duration, ConfigError> {
        let duration = self.0.duration("keep_alive");
        // MQTT counts whole seconds in 16 bits; 0 would switch the detection of dead links off.
        if duration.subsec_nanos() != 0 || !(1..=3600).contains(&duration.as_secs()) {
            let reason = "whole seconds from 1s to 1h are expected".to_owned();
            return Err(self.wrong("keep_alive", reason));
        }
        Ok(duration)
    }
}

fn driver(name: &str) -> Result<String, String> {
    match name {
        "podman" | "raw_exec" => Ok(name.to_owned()),
        "docker" => {
            Err("docker is not a driver of its own: name podman, which runs docker's tasks".to_owned())
        }
        _ => Err(format!(
            "there is no driver {name:?}; there are podman and raw_exec"
        )),
    }
}

/// `22` or `8000-8010`.
fn ports(text: &str) -> Result<Vec<u16>, String> {
    let wrong = || format!("{text:?} is neither a port like 22 nor a range like 8000-8010");
    let port = |text: &str| text.trim().parse::<u16>().map_err(|_| wrong());
    let (first, last) = match text.split_once('-') {
        None => (port(text)?, port(text)?),
        Some((first, last)) => (port(first)?, port(last)?),
    };
    if first > last {
        Err(wrong())
    } else {
        Ok((first..=last).collect())
    }
}

fn volume(text: &str) -> HostVolume {
    match text.strip_suffix(":ro") {
        Some(path) => HostVolume {
            path: path.to_owned(),
            read_only: true,
        },
        None => HostVolume {
            path: text.to_owned(),
            read_only: false,
        },
    }
}

fn network(text: &str) -> NetworkChoice {
    match text.parse() {
        Ok(address) => NetworkChoice::Address(address),
        Err(_) => NetworkChoice::Interface(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(args: &[&str]) -> Result<Config, String> {
        Config::load(args, []).map_err(|error| error.to_string())
    }

    #[test]
    fn an_agent_needs_no_setting_at_all() {
        let config = load(&[]).unwrap();
        assert_eq!(config.data_dir, PathBuf::from("/var/lib/holdfast"));
        assert_eq!(
            (config.datacenter.as_str(), config.keep_alive.as_secs()),
            ("dc1", 120)
        );
        assert_eq!(config.drivers, ["podman", "raw_exec"]);
        assert!(config.coordinators.is_empty());
    }

    #[test]
    fn what_is_set_arrives() {
        let config = load(&[
            "-coordinator=mqtt://10.0.0.1,mqtts://hub.example:9999"
                .split(',')
                .next()
                .unwrap(),
            "--coordinator=mqtts://hub.example:9999",
            "--reserved-ports=22",
            "--reserved-ports=8000-8002",
            "--host-volume=data=/srv/data:ro",
            "--host-network=lan=eth0",
            "--host-network=wan=192.0.2.1",
            "--meta=rack=r1",
            "--node-id=6a5ac2ba-8ebb-68e1-2cd5-9b9e3c01721c",
        ])
        .unwrap();
        let urls: Vec<String> = config.coordinators.iter().map(ToString::to_string).collect();
        assert_eq!(urls, ["mqtt://10.0.0.1:1883", "mqtts://hub.example:9999"]);
        assert_eq!(config.reserved.ports, [22, 8000, 8001, 8002]);
        assert!(config.host_volumes["data"].read_only);
        assert_eq!(
            config.host_networks["lan"],
            NetworkChoice::Interface("eth0".to_owned())
        );
        assert_eq!(
            config.host_networks["wan"],
            NetworkChoice::Address("192.0.2.1".parse().unwrap())
        );
        assert_eq!(config.meta["rack"], "r1");
        assert!(config.node_id.is_some());
    }

    #[test]
    fn a_value_that_makes_no_sense_is_named_with_its_place() {
        for (arg, error) in [
            (
                "--coordinator=http://x",
                "flag --coordinator: coordinator: \"http://x\" is not",
            ),
            (
                "--keep-alive=100ms",
                "flag --keep-alive: keep_alive: whole seconds",
            ),
            (
                "--reserved-ports=9-1",
                "flag --reserved-ports: reserved.ports: \"9-1\" is neither",
            ),
            (
                "--reserved-cpu=-1",
                "flag --reserved-cpu: reserved.cpu: -1 is less",
            ),
            (
                "--drivers=docker",
                "flag --drivers: drivers: docker is not a driver",
            ),
            (
                "--log-level=loud",
                "flag --log-level: log_level: \"loud\" is none",
            ),
            ("--node-id=x", "flag --node-id: node_id: `x` is not an id"),
        ] {
            let message = load(&[arg]).unwrap_err();
            assert!(message.starts_with(error), "{message}");
        }
    }
}
