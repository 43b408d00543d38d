//! Contact with the coordinator over MQTT: one connection after the other, each with a session number and a last will
//! of its own.
//!
//! Owns: connecting, TLS, credentials, back-off, subscribing, and the hand-over of payloads. Deliberately does not know
//! what the messages mean, and keeps nothing for later: while there is no contact, what is published is dropped, because
//! the core reports everything again once there is. For the same reason every session is a clean one: whatever a
//! broker could keep for this node would be older than what the coordinator sends after the first report.

mod connect;
mod connection;
mod url;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use holdfast_shared::id::NodeId;
use holdfast_shared::topics::Topic;
use holdfast_shared::wire::{self, FromAgent, ToAgent};
use rumqttc::{AsyncClient, QoS};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::identity::Sessions;
use crate::tls::TlsError;
pub use url::{Url, UrlError};

/// How many packets may wait for the connection. A link that does not take them is as good as dead.
const QUEUE: usize = 1024;

/// How long a farewell may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// What is needed to reach a coordinator.
#[derive(Debug, Clone)]
pub struct MqttConfig {
    /// The node, which is also the client id and the user name.
    pub node: NodeId,
    /// What proves that it is this node.
    pub secret: String,
    /// Shown at the first contact.
    pub enrolment_token: Option<String>,
    /// Brokers, tried in turn.
    pub coordinators: Vec<Url>,
    /// MQTT keep-alive.
    pub keep_alive: Duration,
    /// Authority of the brokers' certificates; the system's unless given.
    pub ca_file: Option<PathBuf>,
}

/// What happens to the contact.
#[derive(Debug)]
pub enum MqttEvent {
    /// There is contact: subscribed, with a last will for `session`.
    Up {
        /// The connection's number.
        session: u64,
        /// Whom it leads to.
        coordinator: String,
    },
    /// It is over.
    Down,
    /// The coordinator says something.
    Message(Box<ToAgent>),
}

/// The agent's end of the contact.
#[derive(Debug)]
pub struct Mqtt {
    node: NodeId,
    line: Line,
    stop: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<()>>,
}

/// Where to publish while there is contact.
#[derive(Debug, Clone, Default)]
pub(crate) struct Line(Arc<Mutex<Option<AsyncClient>>>);

impl Mqtt {
    /// Begins to seek contact, in a task of its own, and never gives up. Without a coordinator it only waits to be stopped.
    ///
    /// # Errors
    /// When the authority for TLS cannot be read.
    pub fn start(
        config: MqttConfig,
        sessions: Sessions,
        events: mpsc::Sender<MqttEvent>,
    ) -> Result<Self, TlsError> {
        let (stop, stopped) = oneshot::channel();
        let (node, line) = (config.node, Line::default());
        let connector = connect::Connector::new(config)?;
        let work = connection::run(connector, sessions, line.clone(), events, stopped);
        Ok(Self {
            node,
            line,
            stop: Some(stop),
            task: Some(tokio::spawn(work)),
        })
    }

    /// Hands a message to the connection; drops it when there is none.
    pub fn publish(&self, message: &FromAgent) {
        let topic = Topic::Report(self.node).to_string();
        if self.line.publish(topic, wire::encode(message)).is_err() {
            // The core reports everything anew with the next connection, which is the only way to catch up.
            tracing::warn!("the link takes no more; it is given up");
            self.line.hang_up();
        }
    }

    /// Says good-bye, so that nobody takes the silence for a failure, and ends the contact.
    pub async fn close(mut self) {
        drop(self.stop.take());
        if let Some(task) = self.task.take() {
            // Longer than the farewell itself may take.
            let _ = tokio::time::timeout(FAREWELL * 2, task).await;
        }
    }
}

/// The connection's queue is full.
#[derive(Debug)]
pub(crate) struct QueueFull;

impl Line {
    fn with<T>(&self, act: impl FnOnce(&mut Option<AsyncClient>) -> T) -> T {
        // Nothing is left half-done in here by a panic.
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn hang_up(&self) {
        self.with(|client| *client = None);
    }

    pub(crate) fn is_open(&self) -> bool {
        self.with(|client| client.is_some())
    }

    pub(crate) fn open(&self, client: AsyncClient) {
        self.with(|slot| *slot = Some(client));
    }

    pub(crate) fn publish(&self, topic: String, payload: Vec<u8>) -> Result<(), QueueFull> {
        self.with(|client| match client {
            Some(client) => client
                .try_publish(topic, QoS::AtLeastOnce, false, payload)
                .map_err(|_| QueueFull),
            None => Ok(()),
        })
    }
}
