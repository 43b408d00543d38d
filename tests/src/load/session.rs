//! One node's connection, again and again: MQTT 3.1.1 as the agent speaks it, on rumqttc's codec.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{bail, ensure};
use bytes::BytesMut;
use holdfast_agent_core::{Input, Link};
use holdfast_shared::topics::{Role, Topic, subscriptions};
use holdfast_shared::wire::{self, Presence, ToAgent};
use rumqttc::mqttbytes::v4::{
    ConnAck, Connect, ConnectReturnCode, LastWill, Packet, PingReq, PubAck, Publish, Subscribe,
};
use rumqttc::mqttbytes::{Error, QoS};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::Counters;
use super::device::Device;

/// Longest pause before a connection is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// How long the core sleeps when nothing is due.
const FAR: Duration = Duration::from_secs(3600);

/// Connects the node whenever it is not, for ever.
pub(super) async fn keep_in_contact(mut device: Device, broker: SocketAddr, counters: Arc<Counters>) {
    let mut spread = u64::from(device.node.to_string().as_bytes()[0]);
    loop {
        if let Ok(mut session) = Session::open(&device, broker).await {
            counters.connected.fetch_add(1, Ordering::Relaxed);
            counters.connections.fetch_add(1, Ordering::Relaxed);
            // However it ends: the next one follows.
            let _ = session.live(&mut device).await;
            counters.connected.fetch_sub(1, Ordering::Relaxed);
            device.handle(Input::Link(Link::Down));
        }
        spread = spread.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let again = Instant::now() + PAUSE.mul_f64((spread >> 40) as f64 / (1 << 24) as f64);
        tokio::time::sleep_until(again).await;
    }
}

struct Session {
    stream: TcpStream,
    number: u64,
    input: BytesMut,
    output: BytesMut,
    last_packet_id: u16,
    report: String,
}

impl Session {
    /// Connects and subscribes.
    async fn open(device: &Device, broker: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(broker).await?;
        stream.set_nodelay(true)?;
        let mut session = Self {
            stream,
            number: device.next_session(),
            input: BytesMut::new(),
            output: BytesMut::new(),
            last_packet_id: 0,
            report: Topic::Report(device.node).to_string(),
        };
        session.connect_packet(device).write(&mut session.output)?;
        session.flush().await?;
        match session.packet().await? {
            Packet::ConnAck(ConnAck {
                code: ConnectReturnCode::Success,
                ..
            }) => {}
            other => bail!("refused: {other:?}"),
        }
        let mut subscribe = Subscribe::new_many(
            subscriptions(Role::Node(device.node))
                .into_iter()
                .map(|path| rumqttc::SubscribeFilter::new(path, QoS::AtLeastOnce)),
        );
        subscribe.pkid = session.next_packet_id();
        subscribe.write(&mut session.output)?;
        session.flush().await?;
        let answer = session.packet().await?;
        ensure!(matches!(answer, Packet::SubAck(_)), "no subscription: {answer:?}");
        Ok(session)
    }

    fn connect_packet(&self, device: &Device) -> Connect {
        let node = device.node.to_string();
        let mut connect = Connect::new(node.clone());
        connect.keep_alive = u16::try_from(device.keep_alive.as_secs()).unwrap_or(u16::MAX);
        connect.set_login(node, device.secret.clone());
        let gone = Presence {
            session: self.number,
            online: false,
        };
        connect.last_will = Some(LastWill::new(
            Topic::Presence(device.node).to_string(),
            wire::encode(&gone),
            QoS::AtLeastOnce,
            false,
        ));
        connect
    }

    /// Passes messages in both directions until the connection ends.
    async fn live(&mut self, device: &mut Device) -> anyhow::Result<()> {
        let here = Presence {
            session: self.number,
            online: true,
        };
        self.publish(Topic::Presence(device.node).to_string(), wire::encode(&here))?;
        self.hand_in(device, Input::Link(Link::Up { session: self.number }))?;
        let mut ping_at = Instant::now() + device.keep_alive;
        loop {
            self.flush().await?;
            let due = device.due().unwrap_or_else(|| Instant::now() + FAR);
            tokio::select! {
                packet = self.packet() => self.on_packet(device, packet?)?,
                () = tokio::time::sleep_until(due) => self.hand_in(device, Input::Timeout)?,
                () = tokio::time::sleep_until(ping_at) => {
                    ping_at = Instant::now() + device.keep_alive;
                    PingReq.write(&mut self.output)?;
                }
            }
        }
    }

    fn on_packet(&mut self, device: &mut Device, packet: Packet) -> anyhow::Result<()> {
        let Packet::Publish(publish) = packet else {
            return Ok(());
        };
        let message: ToAgent = wire::decode(&publish.payload)?;
        if matches!(message, ToAgent::Ack { .. }) {
            device.acknowledged();
        }
        self.hand_in(device, Input::Message(message))?;
        if publish.qos == QoS::AtLeastOnce {
            PubAck::new(publish.pkid).write(&mut self.output)?;
        }
        Ok(())
    }

    fn hand_in(&mut self, device: &mut Device, input: Input) -> anyhow::Result<()> {
        for message in device.handle(input) {
            self.publish(self.report.clone(), wire::encode(&message))?;
        }
        Ok(())
    }

    fn publish(&mut self, topic: String, payload: Vec<u8>) -> anyhow::Result<()> {
        let mut publish = Publish::new(topic, QoS::AtLeastOnce, payload);
        publish.pkid = self.next_packet_id();
        publish.write(&mut self.output)?;
        Ok(())
    }

    fn next_packet_id(&mut self) -> u16 {
        self.last_packet_id = self.last_packet_id.checked_add(1).unwrap_or(1);
        self.last_packet_id
    }

    async fn flush(&mut self) -> anyhow::Result<()> {
        if !self.output.is_empty() {
            self.stream.write_all(&self.output).await?;
            self.output = BytesMut::new();
        }
        Ok(())
    }

    /// The next packet. Nothing is lost when this is dropped before it is there.
    async fn packet(&mut self) -> anyhow::Result<Packet> {
        loop {
            match Packet::read(&mut self.input, wire::PAYLOAD_BYTES_MAX) {
                Ok(packet) => return Ok(packet),
                Err(Error::InsufficientBytes(_)) => {}
                Err(error) => return Err(error.into()),
            }
            self.input.reserve(1024);
            ensure!(
                self.stream.read_buf(&mut self.input).await? > 0,
                "the broker closed the connection"
            );
        }
    }
}
