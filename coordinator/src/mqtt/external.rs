//! A broker that runs elsewhere, by rumqttc.
//!
//! rumqttc's traps, and what is done about them: it connects again at once and for ever, so this waits in between, ever
//! longer and never exactly as long; it forgets subscriptions when the broker does, so this subscribes at each ConnAck;
//! it deadlocks when the task that polls it also publishes, so another task does; and it forgets what it could not
//! deliver, which does no harm here, because the core says everything again.
//!
//! Who may connect to such a broker is for its own configuration to say: nothing here checks the secrets of nodes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use holdfast_coordinator_core::Input;
use holdfast_shared::id::NodeId;
use holdfast_shared::topics::{Role, Topic, subscriptions};
use holdfast_shared::wire::{self, PAYLOAD_BYTES_MAX, ToAgent};
use rumqttc::{AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, MqttOptions, Packet, QoS};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::Translator;
use super::url::BrokerUrl;
use crate::error::chain;
use crate::metrics::Metrics;
use crate::runtime::{Handle, Messenger};

/// Messages that wait for the broker; further ones are dropped.
const QUEUE: usize = 8192;
/// Messages that rumqttc takes before it lets the writer wait.
const REQUESTS: usize = 64;
/// How often the broker hears from us at least, and we from it. Well below the windows of nodes: a broker that hangs must
/// be noticed before they are missed.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// Pause before the second attempt to connect; doubled with each further one.
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// The longest pause. Short, since a whole fleet waits for the coordinator, and it is but one that knocks at the broker.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Certificates of authorities, as Debian and most others keep them.
const SYSTEM_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";
/// How long an attempt to connect may take, in seconds.
const CONNECT_SECONDS: u64 = 10;

/// A broker that runs elsewhere.
#[derive(Debug, Clone)]
pub struct Remote {
    /// Where it is, and who we are there.
    pub url: BrokerUrl,
    /// Authorities of its certificate; `None` for those of the system.
    pub ca_file: Option<PathBuf>,
}

/// Why the connection cannot even be tried.
#[derive(Debug, thiserror::Error)]
pub enum ExternalError {
    /// The certificates of authorities cannot be read.
    #[error("cannot read certificates of authorities from {path}")]
    Authorities {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls_pki_types::pem::Error,
    },
    /// TLS cannot be set up.
    #[error("cannot set up tls")]
    Tls(#[from] rustls::Error),
}

/// The connection to the broker: a task that reads, and one that writes.
pub struct External {
    queue: mpsc::Sender<(String, Vec<u8>)>,
    tasks: [JoinHandle<()>; 2],
}

impl External {
    /// Connects, now or as soon as the broker can be reached. `client_id` must be the coordinator's alone.
    ///
    /// # Errors
    /// When TLS is asked for and cannot be set up.
    pub fn start(
        remote: &Remote,
        client_id: &str,
        runtime: Handle,
        metrics: Arc<Metrics>,
    ) -> Result<Self, ExternalError> {
        let url = &remote.url;
        let mut options = MqttOptions::new(client_id, url.host.clone(), url.port);
        options.set_keep_alive(KEEP_ALIVE).set_clean_session(false);
        options.set_max_packet_size(PAYLOAD_BYTES_MAX, PAYLOAD_BYTES_MAX);
        if let Some((user, password)) = &url.login {
            options.set_credentials(user.clone(), password.clone());
        }
        if url.tls {
            options.set_transport(rumqttc::Transport::tls_with_config(
                tls(remote.ca_file.as_deref())?.into(),
            ));
        }
        let (client, mut events) = AsyncClient::new(options, REQUESTS);
        let mut network = events.network_options();
        network.set_tcp_nodelay(true);
        network.set_connection_timeout(CONNECT_SECONDS);
        events.set_network_options(network);
        let (queue, waiting) = mpsc::channel(QUEUE);
        let writer = tokio::spawn(write(client.clone(), waiting));
        let reader = Reader {
            client,
            broker: url.to_string(),
            runtime,
            metrics: Arc::clone(&metrics),
            translator: Translator::new(metrics),
            connected: true,
        };
        Ok(Self {
            queue,
            tasks: [tokio::spawn(reader.run(events)), writer],
        })
    }

    /// What the runtime sends with.
    pub fn messenger(&self, metrics: Arc<Metrics>) -> Box<dyn Messenger> {
        Box::new(Sender {
            queue: self.queue.clone(),
            metrics,
        })
    }

    /// Ends the connection.
    pub fn stop(self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

struct Sender {
    queue: mpsc::Sender<(String, Vec<u8>)>,
    metrics: Arc<Metrics>,
}

impl Messenger for Sender {
    fn send(&self, node: NodeId, message: &ToAgent) {
        let outcome = self
            .queue
            .try_send((Topic::Assignments(node).to_string(), wire::encode(message)));
        let counter = if outcome.is_ok() {
            &self.metrics.mqtt_sent
        } else {
            &self.metrics.mqtt_dropped
        };
        Metrics::count(counter);
    }
}

async fn write(client: AsyncClient, mut waiting: mpsc::Receiver<(String, Vec<u8>)>) {
    while let Some((topic, payload)) = waiting.recv().await {
        if client
            .publish(topic, QoS::AtLeastOnce, false, payload)
            .await
            .is_err()
        {
            return;
        }
    }
}

struct Reader {
    client: AsyncClient,
    broker: String,
    runtime: Handle,
    metrics: Arc<Metrics>,
    translator: Translator,
    connected: bool,
}

impl Reader {
    async fn run(mut self, mut events: EventLoop) {
        let mut pause = PAUSE_MIN;
        self.set_connected(false).await;
        loop {
            match events.poll().await {
                Ok(Event::Incoming(Packet::ConnAck(_))) => {
                    info!(broker = self.broker, "connected to the broker");
                    pause = PAUSE_MIN;
                    self.subscribe();
                }
                // Only now does the broker send us anything.
                Ok(Event::Incoming(Packet::SubAck(_))) => self.set_connected(true).await,
                Ok(Event::Incoming(Packet::Publish(message))) => {
                    let Some(input) = self.translator.input(&message.topic, &message.payload) else {
                        continue;
                    };
                    if !self.runtime.input(input, message.payload.len()).await {
                        return;
                    }
                }
                Ok(_) => {}
                Err(error) => {
                    self.set_connected(false).await;
                    let pause_now = jittered(pause);
                    let (reason, pause_ms) = (explain(&error), pause_now.as_millis());
                    warn!(
                        broker = self.broker,
                        error = reason,
                        pause_ms,
                        "no connection to the broker"
                    );
                    tokio::time::sleep(pause_now).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }

    /// While there is no connection, the silence of nodes means nothing.
    async fn set_connected(&mut self, connected: bool) {
        if std::mem::replace(&mut self.connected, connected) == connected {
            return;
        }
        self.metrics.broker_connected.store(connected, Ordering::Relaxed);
        // When the runtime has ended, nobody is missed any more.
        let _ = self.runtime.input(Input::Hearing(connected), 0).await;
    }

    /// In a task of its own: the queue may be full, and only polling empties it.
    fn subscribe(&self) {
        let client = self.client.clone();
        tokio::spawn(async move {
            for filter in subscriptions(Role::Coordinator) {
                if client.subscribe(filter, QoS::AtLeastOnce).await.is_err() {
                    return;
                }
            }
        });
    }
}

fn explain(error: &ConnectionError) -> String {
    match error {
        ConnectionError::ConnectionRefused(
            ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized,
        ) => "it refuses the user name or password of `broker`".to_owned(),
        other => chain(other),
    }
}

/// Between half of `pause` and all of it, so that many who lost the broker at once do not come back at once.
fn jittered(pause: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or(u32::MAX);
    pause.mul_f64(0.5 + 0.5 * f64::from(random) / f64::from(u32::MAX))
}

fn tls(ca_file: Option<&Path>) -> Result<rustls::ClientConfig, ExternalError> {
    use rustls_pki_types::pem::PemObject as _;
    let path = ca_file.unwrap_or_else(|| Path::new(SYSTEM_AUTHORITIES));
    let fail = |source| ExternalError::Authorities {
        path: path.to_owned(),
        source,
    };
    let mut roots = rustls::RootCertStore::empty();
    for certificate in rustls_pki_types::CertificateDer::pem_file_iter(path).map_err(fail)? {
        // One authority that rustls does not understand is no reason to trust none.
        let _ = roots.add(certificate.map_err(fail)?);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
