//! A whole coordinator: started, addressed, stopped.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};

use holdfast_broker::{Broker, BrokerConfig, Limits};
use holdfast_coordinator_core::{Coordinator, Delta, State};
use holdfast_shared::model::Node;
use holdfast_shared::wire::PAYLOAD_BYTES_MAX;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

use crate::clock::Clock;
use crate::config::{BrokerChoice, Config};
use crate::http::{self, App, Identity};
use crate::metrics::Metrics;
use crate::mqtt::embedded::Embedded;
use crate::mqtt::external::{External, ExternalError};
use crate::runtime::{self, Handle, Messenger, Parts, Running};
use crate::snapshots::Snapshots;
use crate::store::{Condition, SledStore, Store, StoreError};

/// Name of the database's folder in the data folder.
const DATABASE: &str = "state";
/// Where the real addresses are written, in the data folder.
const PORTS: &str = "ports.json";

/// Why a coordinator did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Its state is not to be had.
    #[error("cannot load the state")]
    Store(#[from] StoreError),
    /// The HTTP address cannot be listened on.
    #[error("cannot serve http on {address}")]
    Http {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The embedded broker does not start.
    #[error("cannot start the embedded broker")]
    Broker(#[from] holdfast_broker::StartError),
    /// The external broker cannot be tried.
    #[error("cannot use the external broker")]
    External(#[from] ExternalError),
    /// The operating system refuses something.
    #[error("cannot {action}")]
    System {
        /// What.
        action: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// What the store holds, and what is to be said about that.
fn stored(config: &Config) -> Result<(SledStore, State), ServerError> {
    let (mut store, condition) = SledStore::open(&config.data_dir.join(DATABASE))?;
    if condition == Condition::Replaced {
        warn!("the state was lost: the coordinator starts empty, see the data folder for what was put aside");
    }
    let mut state = store.load()?;
    if condition == Condition::Repaired {
        doubt(&mut store, &mut state)?;
    }
    if let Some(newest) = store.newer_than(state.index)? {
        let index = state.index;
        error!(
            index,
            newest, "the database is damaged: acknowledged changes are lost, restore a backup"
        );
    }
    info!(
        index = state.index,
        jobs = state.jobs.len(),
        nodes = state.nodes.len(),
        "state loaded"
    );
    Ok((store, state))
}

/// A log without its snapshot may lack something in its middle, and nothing shows it. So whatever a node holds counts as
/// newer than what is here, and nothing on it is changed until an operator adopts this state.
fn doubt(store: &mut SledStore, state: &mut State) -> Result<(), StoreError> {
    warn!("the database was repaired and may lack something: adopt its state when it is complete");
    let doubted = |node: &Arc<Node>| {
        Delta::Node(Arc::new(Node {
            sent_generation: 0,
            ..Node::clone(node)
        }))
    };
    let deltas: Vec<Delta> = state.nodes.values().map(doubted).collect();
    deltas.iter().for_each(|delta| state.apply(delta));
    // Also for the next start, which finds nothing wrong any more.
    store.commit(&deltas.into_iter().collect())
}

/// A running coordinator. Call [`Server::stop`] to end it in order.
pub struct Server {
    http: SocketAddr,
    link: Link,
    data_dir: PathBuf,
    running: Running,
    closing: watch::Sender<bool>,
    http_task: JoinHandle<std::io::Result<()>>,
}

impl Server {
    /// Opens the store, the broker and HTTP, and begins to decide.
    ///
    /// # Errors
    /// When one of them cannot be had. Nothing is left running then.
    pub async fn start(config: Config) -> Result<Self, ServerError> {
        let (store, state) = stored(&config)?;
        let listening = |source| ServerError::Http {
            address: config.http_addr,
            source,
        };
        let listener = TcpListener::bind(config.http_addr).await.map_err(listening)?;
        let http = listener.local_addr().map_err(listening)?;

        let metrics = Arc::new(Metrics::new());
        let (handle, seat) = runtime::seat(Snapshots::new(state.clone()));
        let link = Link::open(&config, &handle, &metrics)?;
        let clock = Clock::start(state.newest_time());
        let failing = Arc::new(AtomicBool::new(false));
        let parts = Parts {
            core: Coordinator::new(config.options.clone(), state, seed()?),
            store: Box::new(store),
            messenger: link.messenger(&metrics),
            metrics: Arc::clone(&metrics),
            clock,
        };
        let system = |source| ServerError::System {
            action: "start a thread",
            source,
        };
        let running = seat.run(parts, Arc::clone(&failing)).map_err(system)?;
        let (closing, closed) = watch::channel(false);
        let app = App {
            identity: identity(&config, http),
            runtime: handle,
            options: config.options.clone(),
            metrics,
            broker: link.broker(),
            failing,
            clock,
            closed: closed.clone(),
        };
        let http_task = tokio::spawn(http::serve(listener, app, closed));
        let server = Self {
            http,
            link,
            data_dir: config.data_dir,
            running,
            closing,
            http_task,
        };
        if let Err(error) = server.write_ports() {
            warn!(error = %error, "ports.json cannot be written into the data folder");
        }
        Ok(server)
    }

    /// Address of the HTTP API, with its real port.
    pub const fn http(&self) -> SocketAddr {
        self.http
    }

    /// Address of the embedded broker for plain MQTT, with its real port.
    pub fn mqtt(&self) -> Option<SocketAddr> {
        self.link
            .broker()
            .upgrade()
            .and_then(|broker| broker.local_addr())
    }

    /// One line that says where everything is.
    pub fn summary(&self) -> String {
        let (http, data) = (self.http, self.data_dir.display());
        format!(
            "holdfast-coordinator ready: http {http}, mqtt {}, data {data}",
            self.link.place()
        )
    }

    /// Waits for the coordinator to end without having been told to: a mistake in the program. Readers would go on
    /// reading what was so; better end, and be started again.
    pub async fn failed(&self) {
        self.running.failed().await;
    }

    /// Ends everything in order: requests, decisions, connections. What was acknowledged is durable.
    pub async fn stop(self) {
        // Nobody may be listening any more.
        let _ = self.closing.send(true);
        match self.http_task.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(error = %error, "http ended with an error"),
            Err(error) => warn!(error = %error, "http ended badly"),
        }
        self.running.stop().await;
        match self.link {
            Link::Embedded(embedded) => embedded.stop().await,
            Link::External(external, _) => external.stop(),
        }
    }

    /// Writes the real addresses where programs that asked for any port find them.
    fn write_ports(&self) -> std::io::Result<()> {
        let broker = self.link.broker().upgrade();
        let ports = serde_json::json!({
            "http": self.http,
            "mqtt": broker.as_ref().and_then(|broker| broker.local_addr()),
            "mqtt_tls": broker.as_ref().and_then(|broker| broker.tls_addr()),
        });
        std::fs::write(self.data_dir.join(PORTS), format!("{ports}\n"))
    }
}

/// The way to the nodes.
enum Link {
    Embedded(Embedded),
    External(External, String),
}

impl Link {
    fn open(config: &Config, handle: &Handle, metrics: &Arc<Metrics>) -> Result<Self, ServerError> {
        let (handle, metrics) = (handle.clone(), Arc::clone(metrics));
        match &config.broker {
            BrokerChoice::Embedded {
                plain,
                tls,
                max_connections,
                max_connections_per_address,
            } => {
                let limits = Limits {
                    max_connections: *max_connections,
                    max_connections_per_address: *max_connections_per_address,
                    max_packet_bytes: PAYLOAD_BYTES_MAX,
                    // Nothing of ours is retained: what is would be a node's, and for ever.
                    max_retained_messages: 0,
                    ..Limits::default()
                };
                let broker = BrokerConfig {
                    listen: *plain,
                    tls: tls.clone(),
                    limits,
                    ..BrokerConfig::default()
                };
                let token = config.enrolment_token.clone();
                Ok(Self::Embedded(Embedded::start(broker, token, handle, metrics)?))
            }
            BrokerChoice::External(remote) => {
                let client_id = format!("holdfast-coordinator-{}", config.options.region);
                Ok(Self::External(
                    External::start(remote, &client_id, handle, metrics)?,
                    remote.url.to_string(),
                ))
            }
        }
    }

    fn messenger(&self, metrics: &Arc<Metrics>) -> Box<dyn Messenger> {
        match self {
            Self::Embedded(embedded) => embedded.messenger(Arc::clone(metrics)),
            Self::External(external, _) => external.messenger(Arc::clone(metrics)),
        }
    }

    fn broker(&self) -> Weak<Broker> {
        match self {
            Self::Embedded(embedded) => Arc::downgrade(embedded.broker()),
            Self::External(..) => Weak::new(),
        }
    }

    fn place(&self) -> String {
        match self {
            Self::External(_, url) => url.clone(),
            Self::Embedded(embedded) => {
                let broker = embedded.broker();
                let plain = broker.local_addr().map(|address| address.to_string());
                let tls = broker.tls_addr().map(|address| format!("{address} (tls)"));
                plain.into_iter().chain(tls).collect::<Vec<_>>().join(" and ")
            }
        }
    }
}

fn identity(config: &Config, http: SocketAddr) -> Identity {
    // Others cannot use "any address"; the loopback address is at least true on this machine.
    let advertised = if http.ip().is_unspecified() {
        SocketAddr::new(Ipv4Addr::LOCALHOST.into(), http.port())
    } else {
        http
    };
    Identity {
        name: config.name.clone(),
        region: config.options.region.clone(),
        datacenter: config.datacenter.clone(),
        http: advertised,
        data_dir: config.data_dir.display().to_string(),
        log_level: config.log_level.to_string(),
    }
}

/// Where new ids come from.
fn seed() -> Result<u128, ServerError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| ServerError::System {
        action: "read random bytes",
        source: error.into(),
    })?;
    Ok(u128::from_be_bytes(bytes))
}
