//! From an accepted stream to a client that is let in, and from there to its end: everything around the exchange of
//! messages, in the order that the inbox promises.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};

use crate::codec::{self, ConnectPacket, DecodeError, Packet};
use crate::config::{Limits, Timeouts};
use crate::connection::Connection;
use crate::gate::{Connect, Gate, Refusal, Session};
use crate::hub::Hub;
use crate::inbox::{Ending, Inbound, InboxSender, Room};
use crate::latch::Latch;
use crate::link::Link;
use crate::message::Message;
use crate::slots::Slot;
use crate::will;
use crate::wire::Wire;

/// Largest CONNECT: until it is checked, nobody gets more memory than this.
const MAX_CONNECT_BYTES: usize = 16 * 1024;

/// What all connections share.
pub(crate) struct House {
    pub(crate) hub: Hub,
    pub(crate) gate: Arc<dyn Gate>,
    pub(crate) inbox: InboxSender,
    pub(crate) limits: Limits,
    pub(crate) timeouts: Timeouts,
    /// Client ids given to those who brought none.
    pub(crate) anonymous: AtomicU64,
    /// Opened when the broker shuts down.
    pub(crate) closing: Latch,
}

impl House {
    /// Puts an event into the inbox, however long that takes; except when the broker shuts down, where nobody may be
    /// listening any more.
    async fn tell(&self, event: Inbound, bytes: usize) {
        tokio::select! {
            biased;
            // None means that the inbox is gone, and with it everybody who would want to know.
            room = self.inbox.reserve(bytes) => drop(room.map(|room| room.send(event))),
            () = self.closing.wait() => {}
        }
    }

    /// Waits for a part of the greeting, but neither beyond the client's deadline nor into the shutdown.
    pub(crate) async fn in_time<T>(&self, deadline: Instant, part: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            outcome = timeout_at(deadline, part) => outcome.ok(),
            () = self.closing.wait() => None,
        }
    }
}

/// A connection that was accepted.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) peer: SocketAddr,
    pub(crate) tls: bool,
    pub(crate) slot: Slot,
    /// When the client must have sent its CONNECT.
    pub(crate) deadline: Instant,
}

/// A client that the gate let in.
struct Guest {
    client: Arc<str>,
    session: Session,
    clean_session: bool,
    silence: Duration,
    will: Option<Arc<Message>>,
}

/// Serves one connection from its first byte to its last event in the inbox.
pub(crate) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(stream: S, arrival: Arrival, house: &House) {
    let mut wire = Wire::new(stream, house.limits.max_packet_bytes.min(MAX_CONNECT_BYTES));
    let connect = match house.in_time(arrival.deadline, wire.next_packet()).await {
        Some(Ok(Some(Packet::Connect(connect)))) => connect,
        Some(Err(DecodeError::ProtocolLevel(level))) => {
            tracing::debug!(peer = %arrival.peer, level, "protocol level not supported");
            codec::encode_bad_protocol(&mut wire.output);
            return wire.finish().await;
        }
        outcome => {
            tracing::debug!(peer = %arrival.peer, ?outcome, "no connect packet");
            return;
        }
    };
    match admit(connect, &arrival, house) {
        Ok(guest) => host(wire, guest, &arrival, house).await,
        Err(refusal) => refuse(wire, refusal, house).await,
    }
}

async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(mut wire: Wire<S>, refusal: Refusal, house: &House) {
    house.hub.refused();
    codec::encode_refusal(refusal, &mut wire.output);
    wire.finish().await;
}

/// Checks everything that a CONNECT asks for.
#[expect(
    clippy::boxed_local,
    reason = "what is left of the box must not lie about as long as the connection lasts"
)]
fn admit(connect: Box<ConnectPacket>, arrival: &Arrival, house: &House) -> Result<Guest, Refusal> {
    let decision = decide(*connect, arrival, house);
    if let Err((client_id, refusal)) = &decision {
        tracing::debug!(client_id, peer = %arrival.peer, %refusal, "client refused");
    }
    decision.map_err(|(_, refusal)| refusal)
}

fn decide(connect: ConnectPacket, arrival: &Arrival, house: &House) -> Result<Guest, (String, Refusal)> {
    let Some(client_id) = client_id(&connect, house) else {
        return Err((connect.client_id, Refusal::BadClientId));
    };
    let application = Connect {
        client_id: &client_id,
        username: connect.username.as_deref(),
        password: connect.password.as_deref(),
        peer: arrival.peer,
        tls: arrival.tls,
    };
    let admission = if arrival.slot.is_surplus {
        Err(Refusal::Unavailable)
    } else {
        house.gate.authenticate(&application).and_then(|session| {
            let will = connect
                .will
                .map(|will| will::check(will, &*session.permissions))
                .transpose()?;
            Ok((session, will))
        })
    };
    match admission {
        Ok((session, will)) => Ok(Guest {
            client: client_id.into(),
            session,
            clean_session: connect.clean_session,
            silence: silence(connect.keep_alive_seconds, &house.timeouts),
            will,
        }),
        Err(refusal) => Err((client_id, refusal)),
    }
}

/// The client id to use; `None` if the client's own is not acceptable.
fn client_id(connect: &ConnectPacket, house: &House) -> Option<String> {
    let client_id = &connect.client_id;
    if client_id.is_empty() {
        let number = house.anonymous.fetch_add(1, Ordering::Relaxed);
        return connect.clean_session.then(|| format!("$anonymous-{number}"));
    }
    let is_acceptable = client_id.len() <= house.limits.max_client_id_bytes
        && !client_id.chars().any(|c| c.is_control() || "+#$/".contains(c));
    is_acceptable.then(|| client_id.clone())
}

/// How long a client may say nothing: one and a half times its keep-alive, within bounds.
fn silence(keep_alive_seconds: u16, timeouts: &Timeouts) -> Duration {
    let wanted = match keep_alive_seconds {
        0 => timeouts.max_keep_alive,
        seconds => Duration::from_secs(seconds.into()),
    };
    wanted.min(timeouts.max_keep_alive).max(timeouts.min_keep_alive) * 3 / 2
}

/// Waits until the guest's former connection is gone, lets the guest in, and sees it off.
async fn host<S: AsyncRead + AsyncWrite + Unpin>(
    wire: Wire<S>,
    guest: Guest,
    arrival: &Arrival,
    house: &House,
) {
    let (link, link_end) = Link::new();
    let former = house.hub.claim(&guest.client, &link);
    let is_free = async {
        if let Some(former) = &former {
            former.ended().await;
        }
        tokio::select! {
            room = house.inbox.reserve(0) => room,
            _ = link.closed() => None,
        }
    };
    match timeout_at(arrival.deadline, is_free).await {
        // Taken over in turn, or shutting down.
        Ok(_) if link.verdict().is_some() => {}
        Ok(Some(room)) => welcome(wire, &guest, &link, (arrival, room), house).await,
        Ok(None) | Err(_) => {
            tracing::warn!(client_id = %guest.client, "client refused: the inbox is not emptied");
            refuse(wire, Refusal::Unavailable, house).await;
            // Whoever comes next waits for this connection, which therefore must not end before its predecessor.
            if let Some(former) = &former {
                former.ended().await;
            }
        }
    }
    house.hub.release(&guest.client, &link);
    drop(link_end);
}

async fn welcome<S: AsyncRead + AsyncWrite + Unpin>(
    mut wire: Wire<S>,
    guest: &Guest,
    link: &Arc<Link>,
    (arrival, room): (&Arrival, Room<'_>),
    house: &House,
) {
    let Guest {
        client,
        session,
        clean_session,
        ..
    } = guest;
    let session_present = house
        .hub
        .attach(client, link, *clean_session, &*session.permissions);
    room.send(Inbound::Connected {
        client_id: Arc::clone(client),
        clean_session: *clean_session,
        session_present,
        peer: arrival.peer,
    });
    tracing::debug!(client_id = %client, peer = %arrival.peer, tls = arrival.tls, session_present, "client connected");
    codec::encode_welcome(session_present, &mut wire.output);
    wire.heard_at = Instant::now();
    wire.max_packet_bytes = house.limits.max_packet_bytes;
    let permissions = &*session.permissions;
    let mut connection = Connection {
        wire,
        client,
        link,
        permissions,
        silence: guest.silence,
        house,
        stalled: None,
        is_listening: true,
    };
    let ending = connection.run().await;
    drop(connection);
    house.hub.detach(client, link, std::time::Instant::now());
    tracing::debug!(client_id = %client, ?ending, "client disconnected");
    see_off(guest, ending, house).await;
}

/// Publishes the will if the ending calls for it, and reports the end.
async fn see_off(guest: &Guest, ending: Ending, house: &House) {
    let client_id = Arc::clone(&guest.client);
    if let Some(will) = guest.will.as_ref().filter(|_| ending.publishes_will()) {
        if guest.session.permissions.is_for_coordinator(&will.topic) {
            let (topic, payload) = (Arc::clone(&will.topic), will.payload.clone());
            let message = Inbound::Message {
                client_id: Arc::clone(&client_id),
                topic,
                payload,
            };
            house.tell(message, will.cost()).await;
        }
        house.hub.publish(will);
    }
    let reason = ending;
    house.tell(Inbound::Disconnected { client_id, reason }, 0).await;
}
