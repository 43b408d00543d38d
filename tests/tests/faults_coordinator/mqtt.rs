//! Somebody with an MQTT client: says what it likes, hears what it may.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use anyhow::{anyhow, ensure};
use holdfast_shared::wire::PAYLOAD_BYTES_MAX;
use holdfast_tests::{enter_network, wait_for};
use rumqttc::{Client, Connection, Event, Incoming, MqttOptions, Outgoing, QoS};

use holdfast_tests::site::PATIENCE;

/// Messages that wait for the connection.
const QUEUE: usize = 256;

/// A connected client. It connects again whenever it is thrown out.
pub(crate) struct Stranger {
    client: Client,
    heard: Arc<Mutex<Heard>>,
}

#[derive(Default)]
struct Heard {
    connected: u32,
    taken: usize,
    messages: Vec<(String, Vec<u8>)>,
}

/// Who a stranger says that it is.
pub(crate) struct Login {
    pub(crate) client_id: String,
    pub(crate) credentials: Option<(String, String)>,
}

impl Stranger {
    /// Connects to the broker at `address` from inside the network `netns`, and subscribes to `filter`.
    pub(crate) fn connect(
        netns: PathBuf,
        address: SocketAddr,
        login: Login,
        filter: Option<&str>,
    ) -> anyhow::Result<Self> {
        let mut options = MqttOptions::new(login.client_id, address.ip().to_string(), address.port());
        options
            .set_keep_alive(Duration::from_secs(30))
            .set_clean_session(true);
        options.set_max_packet_size(PAYLOAD_BYTES_MAX, 2 * PAYLOAD_BYTES_MAX);
        if let Some((user, password)) = login.credentials {
            options.set_credentials(user, password);
        }
        let heard: Arc<Mutex<Heard>> = Arc::default();
        let ears = Arc::clone(&heard);
        let (client, connection) = Client::new(options, QUEUE);
        let subscriber = client.clone();
        let filter = filter.map(str::to_owned);
        thread::spawn(move || -> anyhow::Result<()> {
            enter_network(&netns)?;
            listen(connection, &subscriber, filter.as_deref(), &ears);
            Ok(())
        });
        let stranger = Self { client, heard };
        wait_for("the client to be let in", PATIENCE, || {
            ensure!(stranger.with(|heard| heard.connected) > 0);
            Ok(())
        })?;
        Ok(stranger)
    }

    fn with<T>(&self, look: impl FnOnce(&mut Heard) -> T) -> T {
        look(&mut self.heard.lock().unwrap())
    }

    /// Publishes, and does not wait.
    pub(crate) fn say(&self, topic: &str, payload: &[u8], retain: bool) -> anyhow::Result<()> {
        let sent = self.client.publish(topic, QoS::AtLeastOnce, retain, payload);
        sent.map_err(|error| anyhow!("{error}"))
    }

    /// Waits until the broker has taken `count` messages in all.
    pub(crate) fn await_acknowledged(&self, count: usize) -> anyhow::Result<()> {
        wait_for("the broker to take everything", PATIENCE, || {
            let taken = self.with(|heard| heard.taken);
            ensure!(taken >= count, "{taken} of {count}");
            Ok(())
        })
    }

    /// How often it was let in.
    pub(crate) fn connections(&self) -> u32 {
        self.with(|heard| heard.connected)
    }

    /// Everything that it has heard so far.
    pub(crate) fn messages(&self) -> Vec<(String, Vec<u8>)> {
        self.with(|heard| heard.messages.clone())
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        drop(self.client.disconnect());
    }
}

fn listen(mut connection: Connection, client: &Client, filter: Option<&str>, heard: &Mutex<Heard>) {
    for event in connection.iter() {
        let mut heard = heard.lock().unwrap();
        match event {
            Ok(Event::Incoming(Incoming::ConnAck(_))) => {
                heard.connected += 1;
                if let Some(filter) = filter {
                    drop(client.try_subscribe(filter, QoS::AtLeastOnce));
                }
            }
            Ok(Event::Incoming(Incoming::PubAck(_))) => heard.taken += 1,
            Ok(Event::Outgoing(Outgoing::Disconnect)) => return,
            Ok(Event::Incoming(Incoming::Publish(it))) => {
                heard.messages.push((it.topic, it.payload.to_vec()))
            }
            _ => {}
        }
    }
}
