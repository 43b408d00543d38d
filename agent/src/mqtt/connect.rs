//! What one connection is made from: options, credentials, last will, TLS.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use holdfast_shared::topics::Topic;
use holdfast_shared::wire::{self, Presence};
use rumqttc::{AsyncClient, EventLoop, LastWill, MqttOptions, QoS, TlsConfiguration, Transport};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::{MqttConfig, QUEUE, Url};

/// Where systems keep the authorities they trust, unless `ca_file` names another file.
const SYSTEM_CA: &str = "/etc/ssl/certs/ca-certificates.crt";

/// How long it may take until a broker has accepted a connection, TLS included.
const CONNECT_SECONDS: u64 = 5;

/// Why TLS cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The authorities cannot be read.
    #[error("cannot read the certificate authorities in {path:?}; name a PEM file with ca_file")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls_pki_types::pem::Error,
    },
    /// There are none.
    #[error("there is no certificate in {0:?}; a PEM file with one is expected for ca_file")]
    Empty(PathBuf),
    /// The configuration is refused.
    #[error("TLS cannot be configured")]
    Config(#[from] rustls::Error),
}

/// Makes connections.
pub(super) struct Connector {
    config: MqttConfig,
    tls: Option<Arc<ClientConfig>>,
}

impl Connector {
    pub(super) fn new(config: MqttConfig) -> Result<Self, TlsError> {
        let wanted = config.coordinators.iter().any(|url| url.tls);
        let tls = wanted.then(|| tls(config.ca_file.as_deref())).transpose()?;
        Ok(Self { config, tls })
    }

    /// The broker to try at the `attempt`th time.
    pub(super) fn url(&self, attempt: usize) -> Option<&Url> {
        let all = &self.config.coordinators;
        (!all.is_empty()).then(|| &all[attempt % all.len()])
    }

    pub(super) const fn keep_alive(&self) -> Duration {
        self.config.keep_alive
    }

    pub(super) const fn node(&self) -> holdfast_shared::id::NodeId {
        self.config.node
    }

    /// A client that will connect to `url` as `session`. rumqttc fixes the will when the client is made, and the will
    /// carries the session: so every connection gets a client of its own.
    pub(super) fn client(&self, url: &Url, session: u64) -> (AsyncClient, EventLoop) {
        let node = self.config.node.to_string();
        let mut options = MqttOptions::new(node.clone(), url.host.clone(), url.port);
        let secret = &self.config.secret;
        let password = match &self.config.enrolment_token {
            Some(token) => format!("{token}:{secret}"),
            None => secret.clone(),
        };
        let gone = wire::encode(&Presence {
            session,
            online: false,
        });
        let will = LastWill::new(
            Topic::Presence(self.config.node).to_string(),
            gone,
            QoS::AtLeastOnce,
            false,
        );
        options
            .set_credentials(node, password)
            .set_keep_alive(self.config.keep_alive)
            .set_clean_session(true)
            .set_max_packet_size(wire::PAYLOAD_BYTES_MAX, wire::PAYLOAD_BYTES_MAX)
            .set_last_will(will);
        if let Some(tls) = self.tls.as_ref().filter(|_| url.tls) {
            options.set_transport(Transport::Tls(TlsConfiguration::Rustls(Arc::clone(tls))));
        }
        let (client, mut events) = AsyncClient::new(options, QUEUE);
        let mut network = events.network_options();
        network.set_tcp_nodelay(true);
        network.set_connection_timeout(CONNECT_SECONDS);
        events.set_network_options(network);
        (client, events)
    }
}

fn tls(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, TlsError> {
    let path = ca_file.unwrap_or_else(|| Path::new(SYSTEM_CA));
    let mut roots = RootCertStore::empty();
    let read = |source| TlsError::Read {
        path: path.to_owned(),
        source,
    };
    for certificate in CertificateDer::pem_file_iter(path).map_err(read)? {
        // One authority of many that rustls does not like is no reason to trust none.
        let _ = roots.add(certificate.map_err(read)?);
    }
    if roots.is_empty() {
        return Err(TlsError::Empty(path.to_owned()));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Why a connection ended, in words that help.
pub(super) fn explain(error: &rumqttc::ConnectionError) -> String {
    use rumqttc::ConnectReturnCode::{BadUserNamePassword, NotAuthorized};
    match error {
        rumqttc::ConnectionError::ConnectionRefused(BadUserNamePassword | NotAuthorized) => {
            "the coordinator refuses this node's credentials: enrol it with a valid enrolment_token"
                .to_owned()
        }
        rumqttc::ConnectionError::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            "nothing listens there".to_owned()
        }
        rumqttc::ConnectionError::NetworkTimeout => "no answer in time".to_owned(),
        other => other.to_string(),
    }
}
