//! Who may come in and what they may do: the trait that the owner of the broker implements.
//!
//! The broker knows no user, no credential and no topic of its own; every such question goes through here.

use std::net::SocketAddr;
use std::sync::Arc;

/// What a client says about itself when it connects.
#[derive(Clone, Copy)]
pub struct Connect<'a> {
    /// The client id: checked for length and characters, and never empty. A client that left it empty gets one
    /// that starts with `$anonymous-`, which no client can choose.
    pub client_id: &'a str,
    /// The user name; `None` when absent or empty.
    pub username: Option<&'a str>,
    /// The password; `None` when absent or empty. Compare it in constant time.
    pub password: Option<&'a str>,
    /// Where the client connects from.
    pub peer: SocketAddr,
    /// Whether the connection is encrypted.
    pub tls: bool,
}

impl std::fmt::Debug for Connect<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connect")
            .field("client_id", &self.client_id)
            .field("username", &self.username)
            .field("password", &self.password.map(|_| ".."))
            .field("peer", &self.peer)
            .field("tls", &self.tls)
            .finish()
    }
}

/// Why a client is not let in, with the CONNACK code that tells it so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// CONNACK 2: the client id is not acceptable.
    #[error("client id not acceptable")]
    BadClientId,
    /// CONNACK 3: not now, for example because of a limit.
    #[error("service unavailable")]
    Unavailable,
    /// CONNACK 4: wrong user name or password.
    #[error("wrong user name or password")]
    BadCredentials,
    /// CONNACK 5: known, but not allowed.
    #[error("not authorised")]
    NotAuthorized,
}

/// What a client that was let in may do, for as long as its connection lasts.
#[derive(Clone)]
pub struct Session {
    /// Asked for every topic and filter that the client names.
    pub permissions: Arc<dyn Permissions>,
}

impl Session {
    /// A session with these permissions.
    pub fn new(permissions: impl Permissions + 'static) -> Self {
        Self {
            permissions: Arc::new(permissions),
        }
    }
}

/// The topics of one client. Asked only about well-formed topics and filters without a leading `$`.
pub trait Permissions: Send + Sync {
    /// Whether the client may publish to `topic`, by itself or as its last will. If not, its connection is closed.
    fn may_publish(&self, topic: &str) -> bool;

    /// Whether the client may subscribe to `filter`, every topic it matches included. If not, its SUBACK says 0x80.
    fn may_subscribe(&self, filter: &str) -> bool;

    /// Whether messages to `topic` go to the [`Inbox`](crate::Inbox), beside any subscriber: they are
    /// acknowledged to the client only once they are in it.
    fn is_for_coordinator(&self, topic: &str) -> bool;
}

/// Decides about each client that connects.
///
/// A session outlives its connection and belongs to a client id, so an implementation must not let one identity use
/// the client id of another.
pub trait Gate: Send + Sync {
    /// Lets a client in, or says why not. Called from the connection's own task: it may compute but not block.
    ///
    /// # Errors
    /// The refusal that the client is answered with.
    fn authenticate(&self, connect: &Connect<'_>) -> Result<Session, Refusal>;
}
