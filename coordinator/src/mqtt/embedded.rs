//! The broker inside this process.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use holdfast_broker::{Broker, BrokerConfig, Ending, Inbound, Inbox, Qos, StartError};
use holdfast_coordinator_core::Input;
use holdfast_shared::id::NodeId;
use holdfast_shared::topics::Topic;
use holdfast_shared::wire::{self, ToAgent};
use tokio::task::JoinHandle;
use tracing::{debug, info, warn};

use super::Translator;
use super::gate::NodeGate;
use crate::metrics::Metrics;
use crate::runtime::{Handle, Messenger};

/// Events that are taken from the broker at once.
const GULP: usize = 256;

/// The running broker, and the task that listens to it.
pub struct Embedded {
    broker: Arc<Broker>,
    listener: JoinHandle<()>,
}

impl Embedded {
    /// Opens the listeners. Nodes may come in at once; what they say waits for the runtime.
    ///
    /// # Errors
    /// When an address cannot be listened on, or the TLS identity cannot be used.
    pub fn start(
        config: BrokerConfig,
        enrolment_token: Option<String>,
        runtime: Handle,
        metrics: Arc<Metrics>,
    ) -> Result<Self, StartError> {
        let gate = NodeGate::new(runtime.clone(), enrolment_token, Arc::clone(&metrics));
        let (broker, inbox) = Broker::start(config, Arc::<NodeGate>::clone(&gate))?;
        let broker = Arc::new(broker);
        gate.stands_before(&broker);
        metrics.broker_connected.store(true, Ordering::Relaxed);
        let listener = tokio::spawn(listen(inbox, runtime, Translator::new(metrics)));
        Ok(Self { broker, listener })
    }

    /// The broker, for addresses and figures.
    pub fn broker(&self) -> &Arc<Broker> {
        &self.broker
    }

    /// What the runtime sends with.
    pub fn messenger(&self, metrics: Arc<Metrics>) -> Box<dyn Messenger> {
        Box::new(Sender {
            broker: Arc::clone(&self.broker),
            metrics,
        })
    }

    /// Closes everything. Last wills are not published: nodes find out by themselves and come again.
    pub async fn stop(self) {
        self.listener.abort();
        // The runtime's sender is gone by now, unless it panicked; then the broker ends with the process.
        if let Some(broker) = Arc::into_inner(self.broker) {
            broker.shutdown().await;
        }
    }
}

struct Sender {
    broker: Arc<Broker>,
    metrics: Arc<Metrics>,
}

impl Messenger for Sender {
    fn send(&self, node: NodeId, message: &ToAgent) {
        let topic = Topic::Assignments(node).to_string();
        match self
            .broker
            .publish(&topic, wire::encode(message), false, Qos::AtLeastOnce)
        {
            // Nobody subscribes: the node is away, and is told when it comes back.
            Ok(0) => Metrics::count(&self.metrics.mqtt_dropped),
            Ok(_) => Metrics::count(&self.metrics.mqtt_sent),
            Err(error) => {
                warn!(node = %node, error = %error, "message not sent");
                Metrics::count(&self.metrics.mqtt_dropped)
            }
        };
    }
}

async fn listen(mut inbox: Inbox, runtime: Handle, translator: Translator) {
    let mut batch = Vec::with_capacity(GULP);
    while inbox.recv_many(&mut batch, GULP).await > 0 {
        for event in batch.drain(..) {
            match event {
                Inbound::Message { topic, payload, .. } => {
                    let Some(input) = translator.input(&topic, &payload) else {
                        continue;
                    };
                    if !runtime.input(input).await {
                        return;
                    }
                }
                // The gate lets in nodes only, under their ids.
                Inbound::Alive { client_id } => {
                    let Ok(node) = client_id.parse() else { continue };
                    if !runtime.input(Input::Alive(node)).await {
                        return;
                    }
                }
                Inbound::Connected { client_id, peer, .. } => {
                    info!(node = &*client_id, peer = %peer, "node connected");
                }
                Inbound::Disconnected { client_id, reason } => log_ending(&client_id, reason),
            }
        }
    }
}

fn log_ending(node: &str, reason: Ending) {
    match reason {
        Ending::Graceful | Ending::Shutdown => debug!(node, reason = ?reason, "node disconnected"),
        Ending::TakenOver => {
            warn!(node, reason = ?reason, "node connected again before its last connection ended");
        }
        _ => info!(node, reason = ?reason, "node disconnected"),
    }
}
