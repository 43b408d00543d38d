//! What an operator may choose about the broker: addresses, TLS, limits and time-outs.
//!
//! The defaults are sized for 10,000 nodes on a machine with two cores. This module does not know how any limit
//! is enforced.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Where the broker listens and how much it lets clients take.
#[derive(Debug, Clone, Default)]
pub struct BrokerConfig {
    /// Address for plain MQTT over TCP; port 0 takes a free one. `None` for a broker that speaks TLS only.
    pub listen: Option<SocketAddr>,
    /// The TLS listener, beside or instead of the plain one.
    pub tls: Option<TlsConfig>,
    /// Bounds on clients, packets and memory.
    pub limits: Limits,
    /// How long the broker waits for whom.
    pub timeouts: Timeouts,
}

impl BrokerConfig {
    /// A broker that listens for plain MQTT on `address`, with the default limits.
    #[must_use]
    pub fn plain(address: SocketAddr) -> Self {
        Self {
            listen: Some(address),
            ..Self::default()
        }
    }
}

/// The TLS listener: its address and the identity that it shows.
#[derive(Debug, Clone)]
pub struct TlsConfig {
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The certificate chain, leaf first.
    pub certificates: Pem,
    /// The private key of the leaf certificate.
    pub key: Pem,
}

/// PEM text, or the file that holds it.
#[derive(Clone)]
pub enum Pem {
    /// A file, read once when the broker starts.
    Path(PathBuf),
    /// The text itself.
    Bytes(Vec<u8>),
}

impl std::fmt::Debug for Pem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Path(path) => f.debug_tuple("Path").field(path).finish(),
            // May be a private key.
            Self::Bytes(_) => f.write_str("Bytes(..)"),
        }
    }
}

/// Bounds on what clients, alone and together, may take from the broker.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at the same time; further ones are answered with CONNACK 3.
    pub max_connections: usize,
    /// Connections at the same time from one IPv4 address or one IPv6 network of 64 bits; further ones are answered
    /// with CONNACK 3. Not lower than `max_connections` by default, because a whole fleet may come through one gateway.
    pub max_connections_per_address: usize,
    /// Largest packet accepted, in bytes after the fixed header; a larger one closes its connection. A CONNECT
    /// may have no more than 16 KiB, last will included, and no packet but a PUBLISH more than 64 KiB.
    pub max_packet_bytes: usize,
    /// Longest client id, in bytes; a longer one is answered with CONNACK 2.
    pub max_client_id_bytes: usize,
    /// Subscriptions one client may hold; a further one gets 0x80 in its SUBACK.
    pub max_subscriptions: usize,
    /// QoS 1 messages on their way to one client that it has not acknowledged yet.
    pub max_inflight: usize,
    /// Messages waiting for one client. A QoS 1 message beyond ends the session, a QoS 0 message is dropped.
    pub max_queued_messages: usize,
    /// Bytes waiting for one client, as `max_queued_messages`.
    pub max_queued_bytes: usize,
    /// Bytes waiting for all clients together. A QoS 1 message beyond ends the session of the client for which the most
    /// is waiting, a QoS 0 message is dropped.
    pub max_queued_bytes_total: usize,
    /// Sessions kept for clients that are away; the longest absent one makes room for the next.
    pub max_sessions_away: usize,
    /// Retained messages; a further topic is delivered but not retained.
    pub max_retained_messages: usize,
    /// Bytes of retained messages, as `max_retained_messages`.
    pub max_retained_bytes: usize,
    /// Messages and events waiting for the owner of the broker. When it is full, publishing clients are not
    /// acknowledged and not read from until there is room.
    pub inbox_capacity: usize,
    /// Bytes of messages waiting for the owner of the broker, as `inbox_capacity`.
    pub inbox_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 12_000,
            max_connections_per_address: 12_000,
            max_packet_bytes: 1024 * 1024,
            max_client_id_bytes: 128,
            max_subscriptions: 64,
            max_inflight: 64,
            max_queued_messages: 50_000,
            max_queued_bytes: 32 * 1024 * 1024,
            max_queued_bytes_total: 256 * 1024 * 1024,
            max_sessions_away: 20_000,
            max_retained_messages: 500_000,
            max_retained_bytes: 256 * 1024 * 1024,
            inbox_capacity: 1024,
            inbox_bytes: 64 * 1024 * 1024,
        }
    }
}

/// How long the broker waits for a client.
#[derive(Debug, Clone)]
pub struct Timeouts {
    /// From TCP accept to a complete CONNECT, the TLS handshake included.
    pub connect: Duration,
    /// How long a client may take nothing of what is written to it before its connection is closed.
    pub write: Duration,
    /// Shortest keep-alive that is enforced; a shorter one is raised to it.
    pub min_keep_alive: Duration,
    /// Longest keep-alive that is enforced; a longer one, or none at all, is lowered to it.
    pub max_keep_alive: Duration,
    /// How long the session of an absent client (clean_session = false) is kept.
    pub session_expiry: Duration,
    /// How long a shutdown waits for connections to end.
    pub shutdown: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            write: Duration::from_secs(15),
            min_keep_alive: Duration::from_secs(1),
            max_keep_alive: Duration::from_secs(20 * 60),
            session_expiry: Duration::from_secs(7 * 24 * 3600),
            shutdown: Duration::from_secs(5),
        }
    }
}
