//! The broker inside this process.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use holdfast_broker::{Broker, BrokerConfig, Ending, Inbound, Inbox, Qos, StartError};
use holdfast_coordinator_core::Input;
use holdfast_shared::id::NodeId;
use holdfast_shared::topics::Topic;
use holdfast_shared::wire::{self, ToAgent};
use tokio::task::JoinHandle;
use tracing::{debug, info, warn};

use super::Translator;
use super::gate::NodeGate;
use super::noise::{Noise, Pace};
use crate::metrics::Metrics;
use crate::runtime::{Handle, Messenger};

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
        let gate = NodeGate::new(runtime.clone(), enrolment_token);
        let (broker, inbox) = Broker::start(config, Arc::<NodeGate>::clone(&gate))?;
        let broker = Arc::new(broker);
        gate.stands_before(&broker);
        metrics.broker_connected.store(true, Ordering::Relaxed);
        let listener = Listener {
            runtime,
            translator: Translator::new(Arc::clone(&metrics)),
            metrics,
            arrivals: Pace::default(),
            endings: Pace::default(),
            offences: Noise::default(),
        };
        let listener = tokio::spawn(listener.listen(inbox));
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

/// What becomes of what happens on the broker.
struct Listener {
    runtime: Handle,
    translator: Translator,
    metrics: Arc<Metrics>,
    arrivals: Pace,
    endings: Pace,
    /// Nodes whose connection was ended for what they did.
    offences: Noise,
}

impl Listener {
    async fn listen(self, mut inbox: Inbox) {
        while let Some(event) = inbox.recv().await {
            match event {
                Inbound::Message { topic, payload, .. } => {
                    let Some(input) = self.translator.input(&topic, &payload) else {
                        continue;
                    };
                    if !self.runtime.input(input, payload.len()).await {
                        return;
                    }
                }
                // The gate lets in nodes only, under their ids.
                Inbound::Alive { client_id } => {
                    let Ok(node) = client_id.parse() else { continue };
                    if !self.runtime.input(Input::Alive(node), 0).await {
                        return;
                    }
                }
                Inbound::Connected { client_id, peer, .. } => {
                    if self.arrivals.allows(&client_id, Instant::now()) {
                        info!(node = &*client_id, peer = %peer, "node connected");
                    }
                }
                Inbound::Disconnected { client_id, reason } => self.on_ending(&client_id, reason),
            }
        }
    }

    fn on_ending(&self, node: &str, reason: Ending) {
        match reason {
            Ending::Graceful | Ending::Shutdown => debug!(node, reason = ?reason, "node disconnected"),
            Ending::Closed | Ending::KeepAlive | Ending::Removed | Ending::TakenOver => {
                if !self.endings.allows(node, Instant::now()) {
                    return;
                }
                if reason == Ending::TakenOver {
                    warn!(node, reason = ?reason, "node connected again before its last connection ended");
                } else {
                    info!(node, reason = ?reason, "node disconnected");
                }
            }
            Ending::Protocol | Ending::NotPermitted | Ending::SlowReader | Ending::Overflow => {
                Metrics::count(&self.metrics.mqtt_offences);
                if let Some(count) = self.offences.notable(node) {
                    warn!(node, reason = ?reason, count, "node disconnected for what it did");
                }
            }
        }
    }
}
