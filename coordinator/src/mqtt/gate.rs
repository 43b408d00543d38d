//! Who may come in to the embedded broker: nodes, each with a secret of its own that it chose at its first contact.
//!
//! User name and client id are the node's id; the password is `<node secret>`, or `<enrolment token>:<node secret>` for
//! a node that is not known yet. Only the secret's hash is kept. What a node may then read and write is decided by the
//! topic table alone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use holdfast_broker::{Broker, Connect, Gate, Permissions, Refusal, Session};
use holdfast_coordinator_core::Command;
use holdfast_shared::id::NodeId;
use holdfast_shared::topics::{self, Role, Topic};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tracing::warn;

use super::noise::Noise;
use crate::runtime::Handle;

/// The shortest secret that a node may choose, in bytes.
const SECRET_BYTES_MIN: usize = 8;

type Hash = [u8; 32];

/// Checks the credentials of nodes.
pub struct NodeGate {
    runtime: Handle,
    enrolment_token: Option<String>,
    refusals: Noise,
    /// Nodes that were let in and are not enrolled durably yet: the first secret counts.
    enrolling: Mutex<BTreeMap<NodeId, Hash>>,
    /// The gate itself, for the tasks that enrol.
    this: Weak<Self>,
    /// To show out whoever could not be enrolled after all.
    broker: OnceLock<Weak<Broker>>,
}

/// Why a client is turned away; for the log only, a client learns the CONNACK code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Reason {
    #[error("the user name is not a node id")]
    NotANode,
    #[error("the client id is not the user name")]
    ForeignClientId,
    #[error("there is no password")]
    NoPassword,
    #[error("the secret is too short")]
    ShortSecret,
    #[error("the node is enrolled with another secret: is its identity in use twice?")]
    WrongSecret,
    #[error("the node is not enrolled and shows no enrolment token")]
    NoToken,
    #[error("the node is not enrolled and shows a wrong enrolment token")]
    WrongToken,
}

impl Reason {
    const fn refusal(self) -> Refusal {
        match self {
            Self::ForeignClientId => Refusal::BadClientId,
            Self::NotANode | Self::NoPassword | Self::ShortSecret | Self::WrongSecret => {
                Refusal::BadCredentials
            }
            Self::NoToken | Self::WrongToken => Refusal::NotAuthorized,
        }
    }
}

impl NodeGate {
    /// A gate that enrols unknown nodes which show `enrolment_token`; without one it enrols every node.
    pub fn new(runtime: Handle, enrolment_token: Option<String>) -> Arc<Self> {
        if enrolment_token.is_none() {
            warn!("enrolment is open to every node: set enrolment_token to ask for proof");
        }
        Arc::new_cyclic(|this| Self {
            runtime,
            enrolment_token,
            refusals: Noise::default(),
            enrolling: Mutex::default(),
            this: this.clone(),
            broker: OnceLock::new(),
        })
    }

    /// Tells the gate which broker it stands in front of.
    pub fn stands_before(&self, broker: &Arc<Broker>) {
        // It stands before one broker only.
        let _ = self.broker.set(Arc::downgrade(broker));
    }

    fn admit(&self, connect: &Connect<'_>) -> Result<NodeId, Reason> {
        let node: NodeId = connect
            .username
            .and_then(|name| name.parse().ok())
            .ok_or(Reason::NotANode)?;
        if connect.client_id != node.to_string() {
            return Err(Reason::ForeignClientId);
        }
        let password = connect.password.ok_or(Reason::NoPassword)?;
        let (token, secret) = match password.rsplit_once(':') {
            Some((token, secret)) => (Some(token), secret),
            None => (None, password),
        };
        if secret.len() < SECRET_BYTES_MIN {
            return Err(Reason::ShortSecret);
        }
        let hash: Hash = Sha256::digest(secret).into();
        match self.known_hash(node) {
            Some(known) if bool::from(known.ct_eq(&hash)) => Ok(node),
            Some(_) => Err(Reason::WrongSecret),
            None => {
                self.check_token(token)?;
                self.enrol(node, hash)?;
                Ok(node)
            }
        }
    }

    fn known_hash(&self, node: NodeId) -> Option<Hash> {
        self.runtime.snapshots.load().credentials.get(&node).copied()
    }

    fn check_token(&self, shown: Option<&str>) -> Result<(), Reason> {
        let Some(expected) = &self.enrolment_token else {
            return Ok(());
        };
        let shown = shown.ok_or(Reason::NoToken)?;
        if bool::from(expected.as_bytes().ct_eq(shown.as_bytes())) {
            Ok(())
        } else {
            Err(Reason::WrongToken)
        }
    }

    /// Lets a new node in and has its secret's hash stored; of two that come at once, only one gets in.
    fn enrol(&self, node: NodeId, hash: Hash) -> Result<(), Reason> {
        let mut enrolling = self.enrolling.lock().unwrap_or_else(PoisonError::into_inner);
        let first = enrolling.entry(node).or_insert(hash);
        if !bool::from(first.ct_eq(&hash)) {
            return Err(Reason::WrongSecret);
        }
        drop(enrolling);
        let Some(gate) = self.this.upgrade() else {
            return Ok(());
        };
        tokio::spawn(async move {
            let outcome = gate
                .runtime
                .command(Command::Enroll {
                    node,
                    secret_hash: hash,
                })
                .await;
            gate.enrolling
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&node);
            match outcome {
                Ok(_) => {}
                Err(error) => {
                    warn!(node = %node, error = %error, "node could not be enrolled, it has to come again");
                    if let Some(broker) = gate.broker.get().and_then(Weak::upgrade) {
                        broker.disconnect(&node.to_string());
                    }
                }
            }
        });
        Ok(())
    }
}

impl Gate for NodeGate {
    fn authenticate(&self, connect: &Connect<'_>) -> Result<Session, Refusal> {
        self.admit(connect)
            .map(|node| Session::new(NodePermissions(node)))
            .map_err(|reason| {
                let (client, peer) = (connect.client_id, connect.peer);
                // By address: whoever is refused may call itself something else each time.
                if let Some(count) = self.refusals.notable(&peer.ip().to_string()) {
                    warn!(node = client, peer = %peer, reason = %reason, count, "client refused");
                }
                reason.refusal()
            })
    }
}

/// The topics of one node.
struct NodePermissions(NodeId);

impl Permissions for NodePermissions {
    fn may_publish(&self, topic: &str) -> bool {
        Topic::parse(topic).is_ok_and(|topic| topic.may_publish(Role::Node(self.0)))
    }

    fn may_subscribe(&self, filter: &str) -> bool {
        topics::may_subscribe(Role::Node(self.0), filter)
    }

    fn is_for_coordinator(&self, topic: &str) -> bool {
        Topic::parse(topic).is_ok_and(Topic::is_for_coordinator)
    }
}
