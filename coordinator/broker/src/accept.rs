//! The listeners: accept, and never stop accepting. Everything that depends on a client happens in its own task.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{Instant, sleep};
use tokio_rustls::TlsAcceptor;

use crate::greeting::{self, Arrival, House};
use crate::slots::Slots;

/// A fleet that reconnects at once arrives faster than it is accepted.
const BACKLOG: u32 = 8192;
/// How long to wait for resources when accepting fails, usually because of too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Files that the process needs besides one per connection.
const SPARE_FILES: u64 = 512;

/// Opens a listening socket.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Raises the soft limit on open files towards what `max_connections` need. The hard limit stays.
pub(crate) fn raise_file_limit(max_connections: usize) {
    let wanted = u64::try_from(max_connections)
        .unwrap_or(u64::MAX)
        .saturating_add(SPARE_FILES);
    let limit = getrlimit(Resource::Nofile);
    let Some(current) = limit.current.filter(|current| *current < wanted) else {
        return;
    };
    let raised = limit.maximum.map_or(wanted, |maximum| wanted.min(maximum));
    let outcome = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(raised),
            maximum: limit.maximum,
        },
    );
    if outcome.is_err() || raised < wanted {
        tracing::warn!(
            current,
            raised,
            wanted,
            "the limit on open files allows fewer connections than configured: raise it (ulimit -Hn, LimitNOFILE=)"
        );
    }
}

/// Accepts connections for ever.
pub(crate) async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    slots: Arc<Slots>,
    house: Arc<House>,
) {
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(slot) = slots.take(peer.ip()) else {
            house.hub.refused();
            tracing::debug!(%peer, "connection closed at once: far too many");
            continue;
        };
        let deadline = Instant::now() + house.timeouts.connect;
        let arrival = Arrival {
            peer,
            tls: tls.is_some(),
            slot,
            deadline,
        };
        tokio::spawn(enter(stream, arrival, tls.clone(), Arc::clone(&house)));
    }
}

async fn enter(stream: TcpStream, arrival: Arrival, tls: Option<TlsAcceptor>, house: Arc<House>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(peer = %arrival.peer, %error, "connection lost before it began");
        return;
    }
    match tls {
        None => greeting::serve(stream, arrival, &house).await,
        // Boxed, so that tasks without TLS need not have room for it.
        Some(tls) => Box::pin(enter_secured(stream, arrival, tls, &house)).await,
    }
}

async fn enter_secured(stream: TcpStream, arrival: Arrival, tls: TlsAcceptor, house: &House) {
    match house.in_time(arrival.deadline, tls.accept(stream)).await {
        Some(Ok(stream)) => greeting::serve(stream, arrival, house).await,
        Some(Err(error)) => tracing::debug!(peer = %arrival.peer, %error, "TLS handshake failed"),
        None => tracing::debug!(peer = %arrival.peer, "TLS handshake took too long"),
    }
}
