//! The embedded MQTT 3.1.1 broker: a front door and a router of our own, around rumqttd's codec.
//!
//! It owns connections, sessions, subscriptions, retained messages and last wills, all in memory: a broker that starts
//! again knows nothing, and its clients must not mind. It does not know what the topics mean or who may use them; that
//! is the business of the [`Gate`]. Its owner takes part without a connection: it publishes with [`Broker::publish`]
//! and receives from its [`Inbox`].
//!
//! rumqttd's `Router` is not used, because one packet from one client can end its thread and with it the broker, and
//! because it loses acknowledged messages silently: `tests/broker/router.rs` shows both.
//!
//! What is offered: QoS 0 and 1, retained messages, wills, persistent sessions, keep-alive, plain TCP and TLS. What is
//! refused, each time only at the cost of the connection that asks: QoS 2, `$` topics, shared subscriptions.

mod accept;
mod codec;
mod config;
mod connection;
mod gate;
mod greeting;
mod hub;
mod inbox;
mod latch;
mod link;
mod mailbox;
mod message;
mod retained;
mod slots;
mod subscriptions;
mod tls;
mod topic;
mod will;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::task::JoinHandle;

pub use config::{BrokerConfig, Limits, Pem, Timeouts, TlsConfig};
pub use gate::{Connect, Gate, Permissions, Refusal, Session};
pub use hub::Stats;
pub use inbox::{Ending, Inbound, Inbox};
pub use message::Qos;
pub use tls::TlsError;

use greeting::House;
use hub::Hub;
use latch::Latch;
use message::Message;
use slots::Slots;

/// How often expired sessions are looked for, and how often refusals are told: one by one they would fill the log.
const SWEEP_EVERY: Duration = Duration::from_secs(10);
/// Largest payload that the owner may publish.
const MAX_PAYLOAD_BYTES: usize = 64 * 1024 * 1024;

/// Why the broker did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration names no listener.
    #[error("the broker has no address to listen on: set `listen`, `tls`, or both")]
    NoListener,
    /// An address could not be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The TLS identity could not be used.
    #[error("cannot set up TLS")]
    Tls(#[from] TlsError),
}

/// Why a message of the owner was not published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The topic is empty, too long, has a wildcard or a NUL, or starts with `$`.
    #[error("nobody may publish to topic {0:?}")]
    Topic(String),
    /// The payload is too large for any client.
    #[error("payload of {0} bytes is too large")]
    TooLarge(usize),
}

/// A running broker. Dropping it ends it abruptly; [`Broker::shutdown`] is the orderly way.
pub struct Broker {
    house: Arc<House>,
    slots: Arc<Slots>,
    tasks: Vec<JoinHandle<()>>,
    local_addr: Option<SocketAddr>,
    tls_addr: Option<SocketAddr>,
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broker")
            .field("local_addr", &self.local_addr)
            .field("tls_addr", &self.tls_addr)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl Broker {
    /// Opens the listeners and starts to serve. The process's soft limit on open files is raised, as far as the hard
    /// one allows, to what the configured connections need.
    ///
    /// # Errors
    /// No listener is configured, an address cannot be listened on, or the TLS identity cannot be used.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O and time enabled.
    pub fn start(config: BrokerConfig, gate: Arc<dyn Gate>) -> Result<(Self, Inbox), StartError> {
        let BrokerConfig {
            listen,
            tls,
            limits,
            timeouts,
        } = config;
        accept::raise_file_limit(limits.max_connections);
        let plain = listen.map(open).transpose()?;
        let tls = match tls {
            Some(tls) => Some((tls::acceptor(&tls)?, open(tls.listen)?)),
            None => None,
        };
        if plain.is_none() && tls.is_none() {
            return Err(StartError::NoListener);
        }
        let (sender, inbox) = Inbox::new(limits.inbox_capacity, limits.inbox_bytes);
        let slots = Slots::new(limits.max_connections, limits.max_connections_per_address);
        let house = Arc::new(House {
            hub: Hub::new(limits.clone()),
            gate,
            inbox: sender,
            limits,
            timeouts,
            anonymous: AtomicU64::new(1),
            closing: Latch::new(),
        });
        let mut broker = Self {
            house,
            slots,
            tasks: Vec::new(),
            local_addr: None,
            tls_addr: None,
        };
        if let Some((listener, address)) = plain {
            broker.local_addr = Some(address);
            broker.serve(listener, None);
        }
        if let Some((acceptor, (listener, address))) = tls {
            broker.tls_addr = Some(address);
            broker.serve(listener, Some(acceptor));
        }
        broker.tasks.push(tokio::spawn(sweep(Arc::clone(&broker.house))));
        Ok((broker, inbox))
    }

    fn serve(&mut self, listener: tokio::net::TcpListener, tls: Option<tokio_rustls::TlsAcceptor>) {
        let (slots, house) = (Arc::clone(&self.slots), Arc::clone(&self.house));
        self.tasks
            .push(tokio::spawn(accept::accept(listener, tls, slots, house)));
    }

    /// The address of the plain listener, with its real port.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.local_addr
    }

    /// The address of the TLS listener, with its real port.
    #[must_use]
    pub fn tls_addr(&self) -> Option<SocketAddr> {
        self.tls_addr
    }

    /// Publishes as the owner; returns how many clients subscribed to the topic, here or away. Never waits: a client
    /// that has too much waiting loses its session instead (see [`Limits::max_queued_messages`]).
    ///
    /// The message is delivered with `qos` or what the subscriber asked for, whichever is lower. With `retain` it
    /// replaces the retained message of the topic, or removes it if the payload is empty.
    ///
    /// # Errors
    /// The topic is not one to publish to, or the payload is larger than 64 MB.
    pub fn publish(
        &self,
        topic: &str,
        payload: impl Into<Bytes>,
        retain: bool,
        qos: Qos,
    ) -> Result<usize, PublishError> {
        let payload = payload.into();
        if !topic::is_publishable(topic) {
            return Err(PublishError::Topic(topic.to_owned()));
        }
        if payload.len() > MAX_PAYLOAD_BYTES {
            return Err(PublishError::TooLarge(payload.len()));
        }
        Ok(self.house.hub.publish(&Arc::new(Message {
            topic: topic.into(),
            payload,
            qos,
            retain,
        })))
    }

    /// Ends the connection of a client, whose will is published; its session stays. False if it is not connected.
    pub fn disconnect(&self, client_id: &str) -> bool {
        self.house.hub.close(client_id, Ending::Removed)
    }

    /// The ids of all clients that are connected now, in no particular order.
    #[must_use]
    pub fn connected(&self) -> Vec<Arc<str>> {
        self.house.hub.connected()
    }

    /// What the broker holds and what it had to give up.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.house.hub.stats()
    }

    /// Closes the listeners and all connections, without publishing wills, and waits for them to end, at most
    /// [`Timeouts::shutdown`]. The inbox then ends after what is in it.
    pub async fn shutdown(self) {
        self.close();
        let deadline = self.house.timeouts.shutdown;
        if tokio::time::timeout(deadline, self.slots.all_free())
            .await
            .is_err()
        {
            tracing::warn!("some connections have not ended in time");
        }
    }

    fn close(&self) {
        for task in &self.tasks {
            task.abort();
        }
        self.house.closing.open();
        self.house.hub.close_all();
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.close();
    }
}

fn open(address: SocketAddr) -> Result<(tokio::net::TcpListener, SocketAddr), StartError> {
    let fail = |source| StartError::Listen { address, source };
    let listener = accept::listen(address).map_err(fail)?;
    let local = listener.local_addr().map_err(fail)?;
    Ok((listener, local))
}

async fn sweep(house: Arc<House>) {
    let mut interval = tokio::time::interval(SWEEP_EVERY);
    let mut told = 0;
    loop {
        interval.tick().await;
        let refused = house.hub.stats().refused_total;
        if refused > told {
            tracing::info!(count = refused - told, "clients were refused");
            told = refused;
        }
        house.hub.sweep(Instant::now(), house.timeouts.session_expiry);
    }
}
