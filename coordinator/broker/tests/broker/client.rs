//! A client that speaks raw packets, so that it can also speak wrong ones.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long anything that must happen may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// The outcome of something that must happen.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("did not happen in time")
}

/// Polls until `is_so`.
pub(crate) async fn until(mut is_so: impl FnMut() -> bool) {
    soon(async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

pub(crate) struct Client {
    stream: Box<dyn Stream>,
}

/// What a CONNECT says.
#[derive(Clone)]
pub(crate) struct Hello<'a> {
    pub(crate) id: &'a str,
    pub(crate) clean: bool,
    pub(crate) keep_alive: u16,
    pub(crate) user: &'a str,
    pub(crate) password: &'a str,
    /// Topic, payload, QoS, retain.
    pub(crate) will: Option<(&'a str, &'a str, u8, bool)>,
}

/// A clean session of the user who may do everything.
pub(crate) fn hello(id: &str) -> Hello<'_> {
    Hello {
        id,
        clean: true,
        keep_alive: 60,
        user: "admin",
        password: "secret",
        will: None,
    }
}

impl<'a> Hello<'a> {
    pub(crate) fn user(self, user: &'a str, password: &'a str) -> Self {
        Self {
            user,
            password,
            ..self
        }
    }

    /// Asks for a session that outlives the connection.
    pub(crate) fn kept(self) -> Self {
        Self { clean: false, ..self }
    }

    pub(crate) fn clean(self, clean: bool) -> Self {
        Self { clean, ..self }
    }

    pub(crate) fn keep_alive(self, keep_alive: u16) -> Self {
        Self { keep_alive, ..self }
    }

    /// A retained will with QoS 1.
    pub(crate) fn will(self, topic: &'a str, payload: &'a str) -> Self {
        Self {
            will: Some((topic, payload, 1, true)),
            ..self
        }
    }

    pub(crate) fn packet(&self) -> Vec<u8> {
        let mut flags = u8::from(self.clean) << 1;
        let mut payload = text(self.id);
        if let Some((topic, message, qos, retain)) = self.will {
            flags |= 4 | qos << 3 | u8::from(retain) << 5;
            payload.extend([text(topic), text(message)].concat());
        }
        for (bit, value) in [(0x80, self.user), (0x40, self.password)] {
            if !value.is_empty() {
                flags |= bit;
                payload.extend(text(value));
            }
        }
        let mut body = [text("MQTT"), vec![4, flags]].concat();
        body.extend(self.keep_alive.to_be_bytes());
        body.extend(payload);
        packet(0x10, &body)
    }
}

/// A length-prefixed string.
pub(crate) fn text(text: &str) -> Vec<u8> {
    [
        &u16::try_from(text.len()).unwrap().to_be_bytes()[..],
        text.as_bytes(),
    ]
    .concat()
}

/// A whole packet.
pub(crate) fn packet(header: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![header];
    let mut rest = body.len();
    loop {
        let digit = u8::try_from(rest % 128).unwrap();
        rest /= 128;
        bytes.push(if rest > 0 { digit | 0x80 } else { digit });
        if rest == 0 {
            break;
        }
    }
    bytes.extend(body);
    bytes
}

/// A PUBLISH; packet id 0 is QoS 0.
pub(crate) fn publish(topic: &str, payload: &[u8], packet_id: u16, retain: bool) -> Vec<u8> {
    let mut body = text(topic);
    if packet_id > 0 {
        body.extend(packet_id.to_be_bytes());
    }
    body.extend(payload);
    packet(0x30 | u8::from(packet_id > 0) << 1 | u8::from(retain), &body)
}

pub(crate) fn subscribe(packet_id: u16, filters: &[(&str, u8)]) -> Vec<u8> {
    let mut body = packet_id.to_be_bytes().to_vec();
    for (filter, qos) in filters {
        body.extend(text(filter));
        body.push(*qos);
    }
    packet(0x82, &body)
}

/// A PUBLISH that was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    /// 0 for QoS 0.
    pub(crate) packet_id: u16,
    pub(crate) retain: bool,
    pub(crate) dup: bool,
}

impl Received {
    fn new(header: u8, body: &[u8]) -> Self {
        assert_eq!(header & 0xf0, 0x30, "not a PUBLISH: {header:x} {body:?}");
        let (topic, rest) = body[2..].split_at(usize::from(u16::from_be_bytes([body[0], body[1]])));
        let (packet_id, payload) = match header >> 1 & 3 {
            0 => (0, rest),
            1 => (u16::from_be_bytes([rest[0], rest[1]]), &rest[2..]),
            qos => panic!("QoS {qos}"),
        };
        Self {
            topic: String::from_utf8(topic.to_vec()).unwrap(),
            payload: payload.to_vec(),
            packet_id,
            retain: header & 1 == 1,
            dup: header & 8 == 8,
        }
    }
}

impl Client {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let stream = soon(TcpStream::connect(address)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(stream)
    }

    pub(crate) fn over(stream: impl Stream + 'static) -> Self {
        Self {
            stream: Box::new(stream),
        }
    }

    /// Opens a connection, connects, and is let in; also returns whether the session was present.
    pub(crate) async fn enter(address: SocketAddr, hello: Hello<'_>) -> (Self, bool) {
        let mut client = Self::open(address).await;
        client.send(&hello.packet()).await;
        let (session_present, code) = client.connack().await.expect("no CONNACK");
        assert_eq!(code, 0, "refused");
        (client, session_present)
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        soon(self.stream.write_all(bytes)).await.unwrap();
        soon(self.stream.flush()).await.unwrap();
    }

    /// Sends as much as the broker takes before it closes.
    pub(crate) async fn try_send(&mut self, bytes: &[u8]) {
        // It may have closed already.
        let _ = soon(self.stream.write_all(bytes)).await;
    }

    /// The next packet, or `None` when the broker closes.
    pub(crate) async fn receive(&mut self) -> Option<(u8, Vec<u8>)> {
        soon(self.read_packet()).await
    }

    /// As [`Client::receive`], however long it takes.
    pub(crate) async fn receive_at_leisure(&mut self) -> Option<(u8, Vec<u8>)> {
        self.read_packet().await
    }

    /// Takes so many bytes off the stream.
    pub(crate) async fn take(&mut self, count: usize) -> usize {
        soon(self.stream.read_exact(&mut vec![0; count])).await.unwrap()
    }

    /// Takes up to so many bytes off the stream, if there are any.
    pub(crate) async fn try_take(&mut self, count: usize) {
        let moment = Duration::from_millis(1);
        // Nothing may have arrived, or the broker may have closed.
        let _ = timeout(moment, self.stream.read(&mut vec![0; count])).await;
    }

    async fn read_packet(&mut self) -> Option<(u8, Vec<u8>)> {
        let header = self.stream.read_u8().await.ok()?;
        let (mut length, mut shift) = (0, 0);
        loop {
            let digit = self.stream.read_u8().await.ok()?;
            length |= usize::from(digit & 0x7f) << shift;
            shift += 7;
            if digit & 0x80 == 0 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await.ok()?;
        Some((header, body))
    }

    /// Session present and code.
    pub(crate) async fn connack(&mut self) -> Option<(bool, u8)> {
        let (header, body) = self.receive().await?;
        assert_eq!((header, body.len()), (0x20, 2));
        Some((body[0] == 1, body[1]))
    }

    /// Subscribes and returns the codes of the SUBACK.
    pub(crate) async fn subscribe(&mut self, filters: &[(&str, u8)]) -> Vec<u8> {
        self.send(&subscribe(7, filters)).await;
        let (header, body) = self.receive().await.expect("no SUBACK");
        assert_eq!((header, &body[..2]), (0x90, &[0, 7][..]));
        body[2..].to_vec()
    }

    /// The next PUBLISH, which is acknowledged.
    pub(crate) async fn message(&mut self) -> Received {
        let received = self.unacknowledged_message().await;
        self.acknowledge(&received).await;
        received
    }

    pub(crate) async fn unacknowledged_message(&mut self) -> Received {
        let (header, body) = self.receive().await.expect("closed instead of a message");
        Received::new(header, &body)
    }

    /// The next PUBLISH, which is acknowledged, or `None` for the answer to a ping.
    pub(crate) async fn message_or_pong(&mut self) -> Option<Received> {
        let (header, body) = self.receive().await.expect("closed instead of a message");
        if header == 0xd0 {
            return None;
        }
        let received = Received::new(header, &body);
        self.acknowledge(&received).await;
        Some(received)
    }

    async fn acknowledge(&mut self, received: &Received) {
        if received.packet_id > 0 {
            self.send(&packet(0x40, &received.packet_id.to_be_bytes())).await;
        }
    }

    /// Proves that everything sent so far has been handled and nothing else is waiting.
    pub(crate) async fn ping(&mut self) {
        self.send(&[0xc0, 0]).await;
        assert_eq!(self.receive().await, Some((0xd0, vec![])));
    }

    /// The broker closes, without another packet.
    pub(crate) async fn is_closed(&mut self) {
        assert_eq!(self.receive().await, None);
    }

    pub(crate) async fn leave(mut self) {
        self.send(&[0xe0, 0]).await;
        self.is_closed().await;
    }
}
