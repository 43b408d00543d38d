//! What one connection is made from: options, credentials, last will, TLS.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use holdfast_shared::topics::Topic;
use holdfast_shared::wire::{self, Presence};
use rumqttc::{
    AsyncClient, ConnectionError, EventLoop, LastWill, MqttOptions, QoS, StateError, TlsConfiguration,
    Transport,
};
use rustls::ClientConfig;

use super::{MqttConfig, QUEUE, Url};
use crate::tls::{self, TlsError};

/// How long it may take until a broker has accepted a connection, TLS included.
const CONNECT_SECONDS: u64 = 5;

/// Makes connections.
pub(super) struct Connector {
    config: MqttConfig,
    tls: Option<Arc<ClientConfig>>,
}

impl Connector {
    pub(super) fn new(config: MqttConfig) -> Result<Self, TlsError> {
        let wanted = config.coordinators.iter().any(|url| url.tls);
        let tls = wanted
            .then(|| tls::verified(config.ca_file.as_deref()))
            .transpose()?;
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

/// Why a connection ended, in words that help.
pub(super) fn explain(error: &ConnectionError) -> String {
    use rumqttc::ConnectReturnCode::{BadUserNamePassword, NotAuthorized};
    let words = match error {
        ConnectionError::ConnectionRefused(BadUserNamePassword | NotAuthorized) => {
            "the coordinator refuses this node's credentials: enrol it with a valid enrolment_token"
        }
        ConnectionError::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            "nothing listens there"
        }
        ConnectionError::NetworkTimeout | ConnectionError::FlushTimeout => "no answer in time",
        ConnectionError::MqttState(StateError::AwaitPingResp) => "the coordinator answers no ping",
        ConnectionError::MqttState(StateError::ConnectionAborted) => "the coordinator closed the connection",
        other => return other.to_string(),
    };
    words.to_owned()
}
