//! The coordinator's settings: one table behind file, environment and flags.

use std::net::SocketAddr;
use std::path::PathBuf;

use holdfast_broker::{Pem, TlsConfig};
use holdfast_coordinator_core::Options;
use holdfast_settings::{Kind, Setting, Settings, Values};

use crate::mqtt::external::Remote;
use crate::mqtt::url::BrokerUrlError;

/// Every setting.
pub const TABLE: &[Setting] = &[
    Setting::new("data_dir", Kind::String, "folder that holds the database")
        .default("/var/lib/holdfast/coordinator")
        .value("PATH"),
    Setting::new(
        "http_addr",
        Kind::String,
        "address of the HTTP API; port 0 takes a free one",
    )
    .default("127.0.0.1:4646")
    .value("ADDRESS"),
    Setting::new(
        "mqtt_addr",
        Kind::String,
        "address of the embedded broker; empty for TLS only",
    )
    .default("0.0.0.0:1883")
    .value("ADDRESS"),
    Setting::new(
        "mqtt_tls_addr",
        Kind::String,
        "address of the embedded broker for TLS",
    )
    .value("ADDRESS"),
    Setting::new(
        "mqtt_tls_cert",
        Kind::String,
        "certificate chain of the embedded broker, PEM",
    )
    .value("PATH"),
    Setting::new(
        "mqtt_tls_key",
        Kind::String,
        "private key of the embedded broker, PEM",
    )
    .value("PATH"),
    Setting::new(
        "mqtt_max_connections",
        Kind::Integer,
        "connections that the embedded broker serves at once",
    )
    .default("12000")
    .value("COUNT"),
    Setting::new(
        "mqtt_max_connections_per_address",
        Kind::Integer,
        "connections from one IPv4 address or IPv6 /64 network; a fleet behind one gateway shares one",
    )
    .default("12000")
    .value("COUNT"),
    Setting::new(
        "broker",
        Kind::String,
        "broker to use instead of the embedded one: mqtt://user:password@host:port",
    )
    .value("URL"),
    Setting::new(
        "broker_ca_file",
        Kind::String,
        "authorities of the other broker's certificate, PEM; the system's unless given",
    )
    .value("PATH"),
    Setting::new(
        "enrolment_token",
        Kind::String,
        "what a node must show at its first contact",
    )
    .value("TOKEN"),
    Setting::new("region", Kind::String, "the region that is coordinated").default("global"),
    Setting::new("datacenter", Kind::String, "where the coordinator itself stands").default("dc1"),
    Setting::new(
        "name",
        Kind::String,
        "the coordinator's name; the host's name unless given",
    ),
    Setting::new(
        "heartbeat_grace",
        Kind::Duration,
        "how late a node, or its next session after one has ended, may be before the node counts as gone",
    )
    .default("4s"),
    Setting::new(
        "report_wait",
        Kind::Duration,
        "how long a returning node may take to report",
    )
    .default("30s"),
    Setting::new("log_level", Kind::String, "error, warn, info, debug or trace").default("info"),
];

/// The program's settings with what `--help` says.
pub const SETTINGS: Settings = Settings {
    program: "holdfast-coordinator",
    version: env!("CARGO_PKG_VERSION"),
    about: "Decides for one region what runs where, and serves Nomad's HTTP API and the MQTT broker of its nodes.",
    table: TABLE,
};

/// The environment. Variables that are no text cannot be meant for us.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| name.into_string().ok().zip(value.into_string().ok()))
}

/// How nodes reach the coordinator.
#[derive(Debug, Clone)]
pub enum BrokerChoice {
    /// Through the broker in this process.
    Embedded {
        /// Address for plain MQTT.
        plain: Option<SocketAddr>,
        /// Address and identity for TLS.
        tls: Option<TlsConfig>,
        /// Connections at once.
        max_connections: usize,
        /// Connections at once from one address.
        max_connections_per_address: usize,
    },
    /// Through one that runs elsewhere.
    External(Remote),
}

/// What an operator chose.
#[derive(Debug, Clone)]
pub struct Config {
    /// Folder that holds the database.
    pub data_dir: PathBuf,
    /// Address of the HTTP API.
    pub http_addr: SocketAddr,
    /// How nodes reach the coordinator.
    pub broker: BrokerChoice,
    /// What a node must show at its first contact; `None` lets every node in.
    pub enrolment_token: Option<String>,
    /// Where the coordinator itself stands.
    pub datacenter: String,
    /// The coordinator's name.
    pub name: String,
    /// Settings of the core.
    pub options: Options,
    /// The least important lines that are logged.
    pub log_level: tracing::Level,
}

/// A setting that makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It is no address.
    #[error("{name} ({origin}): `{text}` is not an address like 127.0.0.1:4646")]
    Address {
        /// The setting.
        name: &'static str,
        /// Where it came from.
        origin: String,
        /// What it was.
        text: String,
    },
    /// The external broker's address makes no sense.
    #[error("broker ({origin})")]
    Broker {
        /// Where it came from.
        origin: String,
        /// Why.
        #[source]
        source: BrokerUrlError,
    },
    /// TLS lacks a part.
    #[error("mqtt_tls_addr needs mqtt_tls_cert and mqtt_tls_key")]
    TlsIdentity,
    /// There would be no way in for nodes.
    #[error("mqtt_addr and mqtt_tls_addr are both empty: nodes could not connect")]
    NoListener,
    /// It is no number of connections.
    #[error("{name} ({origin}): {count} is less than 1")]
    Count {
        /// The setting.
        name: &'static str,
        /// Where it came from.
        origin: String,
        /// What it was.
        count: i64,
    },
    /// It is no log level.
    #[error("log_level ({origin}): `{text}` is none of error, warn, info, debug, trace")]
    LogLevel {
        /// Where it came from.
        origin: String,
        /// What it was.
        text: String,
    },
}

impl Config {
    /// Makes sense of the values.
    ///
    /// # Errors
    /// The first one that makes none.
    pub fn from_values(values: &Values) -> Result<Self, ConfigError> {
        let text = |name: &'static str| values.optional_string(name).filter(|it| !it.is_empty());
        let level = values.string("log_level");
        let bad_level = |_| ConfigError::LogLevel {
            origin: values.origin("log_level").to_string(),
            text: level.to_owned(),
        };
        let broker = broker(values)?;
        let options = Options {
            hears_pings: matches!(broker, BrokerChoice::Embedded { .. }),
            region: values.string("region").to_owned(),
            heartbeat_grace: values.duration("heartbeat_grace").into(),
            session_grace: values.duration("heartbeat_grace").into(),
            report_wait: values.duration("report_wait").into(),
            calendar: holdfast_cron::next_launch,
            ..Options::default()
        };
        Ok(Self {
            data_dir: values.string("data_dir").into(),
            http_addr: address(values, "http_addr")?.ok_or_else(|| bad_address(values, "http_addr"))?,
            broker,
            enrolment_token: text("enrolment_token").map(str::to_owned),
            datacenter: values.string("datacenter").to_owned(),
            name: text("name").map_or_else(host_name, str::to_owned),
            options,
            log_level: level.parse().map_err(bad_level)?,
        })
    }
}

fn broker(values: &Values) -> Result<BrokerChoice, ConfigError> {
    if let Some(url) = values.optional_string("broker").filter(|it| !it.is_empty()) {
        let fail = |source| ConfigError::Broker {
            origin: values.origin("broker").to_string(),
            source,
        };
        let ca_file = values
            .optional_string("broker_ca_file")
            .filter(|it| !it.is_empty())
            .map(PathBuf::from);
        return Ok(BrokerChoice::External(Remote {
            url: url.parse().map_err(fail)?,
            ca_file,
        }));
    }
    let plain = address(values, "mqtt_addr")?;
    let tls = match address(values, "mqtt_tls_addr")? {
        None => None,
        Some(listen) => {
            let file = |name| {
                values
                    .optional_string(name)
                    .filter(|it| !it.is_empty())
                    .map(|it| Pem::Path(it.into()))
            };
            let (certificates, key) = file("mqtt_tls_cert")
                .zip(file("mqtt_tls_key"))
                .ok_or(ConfigError::TlsIdentity)?;
            Some(TlsConfig {
                listen,
                certificates,
                key,
            })
        }
    };
    if plain.is_none() && tls.is_none() {
        return Err(ConfigError::NoListener);
    }
    Ok(BrokerChoice::Embedded {
        plain,
        tls,
        max_connections: count(values, "mqtt_max_connections")?,
        max_connections_per_address: count(values, "mqtt_max_connections_per_address")?,
    })
}

fn count(values: &Values, name: &'static str) -> Result<usize, ConfigError> {
    let count = values.integer(name);
    let bad = || ConfigError::Count {
        name,
        origin: values.origin(name).to_string(),
        count,
    };
    usize::try_from(count).ok().filter(|it| *it > 0).ok_or_else(bad)
}

fn address(values: &Values, name: &'static str) -> Result<Option<SocketAddr>, ConfigError> {
    let Some(text) = values.optional_string(name).filter(|it| !it.is_empty()) else {
        return Ok(None);
    };
    text.parse().map(Some).map_err(|_| bad_address(values, name))
}

fn bad_address(values: &Values, name: &'static str) -> ConfigError {
    let text = values.optional_string(name).unwrap_or_default().to_owned();
    ConfigError::Address {
        name,
        origin: values.origin(name).to_string(),
        text,
    }
}

fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "coordinator".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(args: &[&str]) -> Result<Config, String> {
        let args = args.iter().map(|arg| (*arg).to_owned());
        let values = SETTINGS
            .load(args, Vec::<(String, String)>::new())
            .map_err(|error| error.to_string())?;
        Config::from_values(&values).map_err(|error| crate::error::chain(&error))
    }

    #[test]
    fn the_defaults_make_sense() {
        let config = config(&[]).unwrap();
        assert_eq!(config.http_addr.to_string(), "127.0.0.1:4646");
        assert!(matches!(
            config.broker,
            BrokerChoice::Embedded {
                plain: Some(_),
                tls: None,
                max_connections: 12_000,
                max_connections_per_address: 12_000,
            }
        ));
        assert!(!config.name.is_empty());
    }

    #[test]
    fn a_bad_value_is_named_with_its_place() {
        for (args, expected) in [
            (
                &["--http-addr", "here"][..],
                "http_addr (flag --http-addr): `here` is not an address like 127.0.0.1:4646",
            ),
            (
                &["--broker", "tcp://x"],
                "broker (flag --broker): a broker's address begins with mqtt:// or mqtts://",
            ),
            (
                &["--mqtt-addr", ""],
                "mqtt_addr and mqtt_tls_addr are both empty: nodes could not connect",
            ),
            (
                &["--mqtt-tls-addr", "[::]:8883"],
                "mqtt_tls_addr needs mqtt_tls_cert and mqtt_tls_key",
            ),
            (
                &["--mqtt-max-connections-per-address", "0"],
                "mqtt_max_connections_per_address (flag --mqtt-max-connections-per-address): 0 is less than 1",
            ),
            (
                &["--log-level", "loud"],
                "log_level (flag --log-level): `loud` is none of error, warn, info, debug, trace",
            ),
        ] {
            assert_eq!(config(args).unwrap_err(), expected);
        }
    }
}
