//! The least of an agent: a real MQTT client that speaks the real wire.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use holdfast_shared::id::{AllocId, IdGenerator, NodeId};
use holdfast_shared::model::{
    ClientStatus, DriverState, Fingerprint, HostNetwork, NodeResources, TaskRunState,
};
use holdfast_shared::time::{Duration as GoDuration, Timestamp};
use holdfast_shared::topics::{Topic, subscriptions};
use holdfast_shared::wire::{
    self, AllocReport, Assigned, FromAgent, Held, Presence, Register, Report, TaskReport, ToAgent,
};
use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, LastWill, MqttOptions, Packet, QoS,
    Transport,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::PATIENCE;

/// A node's id, the same for the same number.
pub(crate) fn node_id(number: u64) -> NodeId {
    NodeId::generate(&mut IdGenerator::from_seed(number.into()))
}

/// A connected agent.
pub(crate) struct Agent {
    pub(crate) node: NodeId,
    pub(crate) client: AsyncClient,
    messages: mpsc::UnboundedReceiver<ToAgent>,
    connection: JoinHandle<()>,
    session: u64,
    seq: u64,
    held: Held,
}

/// How an agent connects.
pub(crate) struct Login {
    pub(crate) node: NodeId,
    pub(crate) client_id: String,
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) session: u64,
    pub(crate) transport: Transport,
}

impl Login {
    pub(crate) fn new(node: NodeId, password: &str) -> Self {
        let id = node.to_string();
        Self {
            node,
            client_id: id.clone(),
            user: id,
            password: password.to_owned(),
            session: 1,
            transport: Transport::Tcp,
        }
    }
}

impl Agent {
    /// Connects and registers a node that has 1000 MHz, 1000 MB and the `raw_exec` driver.
    pub(crate) async fn join(broker: SocketAddr, login: Login) -> Result<Self, ConnectReturnCode> {
        let mut agent = Self::connect(broker, login).await?;
        agent.register().await;
        Ok(agent)
    }

    /// Connects and subscribes.
    pub(crate) async fn connect(broker: SocketAddr, login: Login) -> Result<Self, ConnectReturnCode> {
        let Login {
            node,
            client_id,
            user,
            password,
            session,
            transport,
        } = login;
        let mut options = MqttOptions::new(client_id, broker.ip().to_string(), broker.port());
        options
            .set_credentials(user, password)
            .set_keep_alive(Duration::from_secs(5))
            .set_clean_session(true);
        options.set_max_packet_size(wire::PAYLOAD_BYTES_MAX, wire::PAYLOAD_BYTES_MAX);
        let gone = wire::encode(&Presence {
            session,
            online: false,
        });
        options.set_transport(transport);
        options.set_last_will(LastWill::new(
            Topic::Presence(node).to_string(),
            gone,
            QoS::AtLeastOnce,
            false,
        ));
        let (client, mut events) = AsyncClient::new(options, 64);
        loop {
            match tokio::time::timeout(PATIENCE, events.poll())
                .await
                .expect("the broker answers")
            {
                Ok(Event::Incoming(Packet::ConnAck(_))) => break,
                Ok(_) => {}
                Err(ConnectionError::ConnectionRefused(code)) => return Err(code),
                Err(error) => panic!("{error}"),
            }
        }
        let (sender, messages) = mpsc::unbounded_channel();
        let connection = tokio::spawn(receive(events, sender));
        for filter in subscriptions(holdfast_shared::topics::Role::Node(node)) {
            client.subscribe(filter, QoS::AtLeastOnce).await.unwrap();
        }
        Ok(Self {
            node,
            client,
            messages,
            connection,
            session,
            seq: 0,
            held: Held::default(),
        })
    }

    async fn register(&mut self) {
        let online = Presence {
            session: self.session,
            online: true,
        };
        let topic = Topic::Presence(self.node).to_string();
        self.client
            .publish(topic, QoS::AtLeastOnce, false, wire::encode(&online))
            .await
            .unwrap();
        let fingerprint = serde_json::to_vec(&fingerprint(self.node)).unwrap();
        let register = Register {
            session: self.session,
            held: self.held,
            fingerprint,
        };
        self.say(&FromAgent::Register(register)).await;
        self.report(Vec::new(), true).await;
    }

    /// Publishes a message.
    pub(crate) async fn say(&self, message: &FromAgent) {
        self.say_bytes(wire::encode(message)).await;
    }

    /// Publishes what it says of its presence.
    pub(crate) async fn is_present(&self, presence: &Presence) {
        let topic = Topic::Presence(self.node).to_string();
        let payload = wire::encode(presence);
        self.client
            .publish(topic, QoS::AtLeastOnce, false, payload)
            .await
            .unwrap();
    }

    pub(crate) const fn session(&self) -> u64 {
        self.session
    }

    pub(crate) const fn held(&self) -> Held {
        self.held
    }

    /// Publishes whatever.
    pub(crate) async fn say_bytes(&self, payload: Vec<u8>) {
        let topic = Topic::Report(self.node).to_string();
        self.client
            .publish(topic, QoS::AtLeastOnce, false, payload)
            .await
            .unwrap();
    }

    /// The next message.
    pub(crate) async fn hear(&mut self) -> ToAgent {
        let message = tokio::time::timeout(PATIENCE, self.messages.recv())
            .await
            .expect("the coordinator says something");
        let message = message.expect("the connection lasts");
        if let ToAgent::Assignments(set) = &message {
            self.held = Held {
                epoch: set.epoch,
                generation: set.generation,
            };
        }
        message
    }

    /// The first allocation that should run.
    pub(crate) async fn assignment(&mut self) -> Assigned {
        loop {
            if let ToAgent::Assignments(set) = self.hear().await
                && let Some(alloc) = set.allocs.into_iter().find(|alloc| alloc.run)
            {
                return alloc;
            }
        }
    }

    /// Reports allocations, and waits until the coordinator says that this is durable.
    pub(crate) async fn report(&mut self, allocs: Vec<AllocReport>, full: bool) {
        self.seq += 1;
        let report = Report {
            session: self.session,
            seq: self.seq,
            full,
            held: self.held,
            allocs,
        };
        self.say(&FromAgent::Report(report)).await;
        loop {
            if let ToAgent::Ack { seq, .. } = self.hear().await
                && seq >= self.seq
            {
                return;
            }
        }
    }

    /// Reports that an allocation runs and is healthy.
    pub(crate) async fn runs(&mut self, id: AllocId) {
        self.report(vec![alloc_report(id, ClientStatus::Running)], false)
            .await;
    }

    /// Ends as a power cut does: the last will is published.
    pub(crate) fn vanish(self) {
        self.connection.abort();
    }

    /// Waits until the broker has ended the connection.
    pub(crate) async fn ended(mut self) {
        let closed = async { while self.messages.recv().await.is_some() {} };
        tokio::time::timeout(PATIENCE, closed)
            .await
            .expect("the broker ends the connection");
    }
}

async fn receive(mut events: EventLoop, sender: mpsc::UnboundedSender<ToAgent>) {
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Packet::Publish(message))) => {
                let message = wire::decode(&message.payload).expect("the coordinator speaks the wire");
                if sender.send(message).is_err() {
                    return;
                }
            }
            Ok(_) => {}
            Err(_) => return,
        }
    }
}

fn fingerprint(node: NodeId) -> Fingerprint {
    let attributes = [
        ("kernel.name", "linux"),
        ("nomad.version", "2.0.6"),
        ("nomad.service_discovery", "true"),
        ("driver.raw_exec", "1"),
    ];
    let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let driver = DriverState {
        detected: true,
        healthy: true,
        description: "Healthy".into(),
        attributes: BTreeMap::from([("driver.raw_exec".into(), "true".into())]),
    };
    let network = HostNetwork {
        address: "10.0.0.7".into(),
        interface: "eth0".into(),
    };
    Fingerprint {
        name: format!("box-{}", node.short()),
        datacenter: "dc1".into(),
        node_pool: "default".into(),
        node_class: "small".into(),
        attributes: attributes.into_iter().collect(),
        meta: BTreeMap::from([("rack".into(), "r1".into())]),
        resources: NodeResources {
            cpu_mhz: 1000,
            cores: 2,
            memory_mb: 1000,
            disk_mb: 10_000,
            ..NodeResources::default()
        },
        drivers: BTreeMap::from([("raw_exec".into(), driver)]).into(),
        host_networks: BTreeMap::from([("default".into(), network)]),
        version: "0.1.0".into(),
        keep_alive: GoDuration::from_secs(5),
        ..Fingerprint::default()
    }
}

/// A report of an allocation with one task called `server`.
pub(crate) fn alloc_report(id: AllocId, client: ClientStatus) -> AllocReport {
    let event = |kind: &str, message: &str, seconds: i64| wire::v1::TaskEvent {
        kind: kind.into(),
        time: Timestamp::from_secs(1_795_247_886 + seconds),
        message: message.into(),
        exit_code: 0,
        signal: 0,
        fails_task: false,
        details: vec![("message".into(), message.into())],
    };
    let task = TaskReport {
        name: "server".into(),
        state: TaskRunState::Running,
        failed: false,
        restarts: 1,
        last_restart: Timestamp::from_secs(1_795_247_888),
        started_at: Timestamp::from_secs(1_795_247_887),
        finished_at: Timestamp::from_secs(1_795_247_889),
        running_for: GoDuration::from_secs(1),
        events: vec![
            event("Received", "Task received by client", 0),
            event("Task Setup", "Building Task Directory", 1),
            event("Started", "Task started by client", 2),
        ],
    };
    AllocReport {
        id,
        client,
        description: "Tasks are running".into(),
        healthy: Some(true),
        address: String::new(),
        tasks: vec![task],
    }
}
