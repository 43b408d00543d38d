//! A broker of the test's own, and a coordinator that says what the test wants and remembers what it hears.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use holdfast_shared::id::NodeId;
use holdfast_shared::topics::{self, Role, Topic};
use holdfast_shared::wire::{self, FromAgent, Presence, ToAgent};
use rumqttc::{AsyncClient, Event, Incoming, MqttOptions, QoS, SubscribeFilter};
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// How long anything may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// mosquitto on a port of its own.
pub(crate) struct Broker {
    dir: TempDir,
    pub(crate) port: u16,
    child: Option<Child>,
}

impl Broker {
    /// One that lets everybody in.
    pub(crate) fn start() -> Self {
        Self::configured(|_| "allow_anonymous true\n".to_owned())
    }

    /// One with a configuration of its own, besides the listener; `write` may put files into its directory.
    pub(crate) fn configured(write: impl FnOnce(&Path) -> String) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let dir = tempfile::tempdir().unwrap();
        let conf = format!("listener {port} 127.0.0.1\n{}", write(dir.path()));
        fs::write(dir.path().join("conf"), conf).unwrap();
        let mut broker = Self {
            dir,
            port,
            child: None,
        };
        broker.restart();
        broker
    }

    /// A new process that knows nothing of the old one.
    pub(crate) fn restart(&mut self) {
        self.stop();
        let conf = self.dir.path().join("conf");
        let mut command = Command::new("mosquitto");
        command
            .arg("-c")
            .arg(&conf)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.child = Some(command.spawn().expect("mosquitto is installed"));
    }

    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// A file in its directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Something a node said.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Heard {
    Presence(Presence),
    Message(FromAgent),
}

pub(crate) struct Coordinator {
    client: AsyncClient,
    heard: UnboundedReceiver<(NodeId, Heard)>,
}

impl Coordinator {
    /// Listens at `port`, and again whenever the broker comes back.
    pub(crate) async fn connect(port: u16) -> Self {
        let mut options = MqttOptions::new("coordinator", "127.0.0.1", port);
        options
            .set_max_packet_size(1 << 20, 1 << 20)
            .set_keep_alive(Duration::from_secs(5));
        let (client, mut network) = AsyncClient::new(options, 100);
        let (sender, heard) = unbounded_channel();
        let (ready, mut subscribed) = unbounded_channel();
        let subscriber = client.clone();
        tokio::spawn(async move {
            loop {
                match network.poll().await {
                    Ok(Event::Incoming(Incoming::ConnAck(_))) => {
                        let filters = topics::subscriptions(Role::Coordinator).into_iter();
                        let filters = filters.map(|path| SubscribeFilter {
                            path,
                            qos: QoS::AtLeastOnce,
                        });
                        subscriber.try_subscribe_many(filters).unwrap();
                    }
                    Ok(Event::Incoming(Incoming::SubAck(_))) => drop(ready.send(())),
                    Ok(Event::Incoming(Incoming::Publish(publish))) => {
                        let topic = Topic::parse(&publish.topic).unwrap();
                        let heard = match topic {
                            Topic::Presence(_) => Heard::Presence(wire::decode(&publish.payload).unwrap()),
                            _ => Heard::Message(wire::decode(&publish.payload).unwrap()),
                        };
                        if sender.send((topic.node(), heard)).is_err() {
                            return;
                        }
                    }
                    Ok(_) => {}
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        });
        tokio::time::timeout(DEADLINE, subscribed.recv())
            .await
            .expect("the broker listens");
        Self { client, heard }
    }

    /// The next thing that `pick` wants; everything else is passed over.
    pub(crate) async fn hear<T>(
        &mut self,
        what: &str,
        mut pick: impl FnMut(NodeId, &Heard) -> Option<T>,
    ) -> T {
        let search = async {
            loop {
                let (node, heard) = self.heard.recv().await.expect("the coordinator listens");
                if let Some(found) = pick(node, &heard) {
                    return found;
                }
            }
        };
        tokio::time::timeout(DEADLINE, search)
            .await
            .unwrap_or_else(|_| panic!("never heard: {what}"))
    }

    pub(crate) async fn say(&self, node: NodeId, message: &ToAgent) {
        let topic = Topic::Assignments(node).to_string();
        self.client
            .publish(topic, QoS::AtLeastOnce, false, wire::encode(message))
            .await
            .unwrap();
    }
}
