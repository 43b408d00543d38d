//! Every packet type, broken in every way, in every state of a connection: the offender is closed, and a witness and
//! the owner's inbox go on.

use holdfast_broker::{Ending, Inbound};
use tokio::task::JoinSet;

use crate::client::{Client, hello, packet, publish, soon, subscribe, text};
use crate::house::{Event, House, arrives, house_with, says};

const MAX_PACKET_BYTES: usize = 2000;

/// A sound packet of each type, none of which is sound any more when something is cut off.
fn sound() -> Vec<(&'static str, Vec<u8>)> {
    let connect = hello("again").will("in/will", "gone").packet();
    vec![
        ("CONNECT", connect),
        ("CONNACK", packet(0x20, &[0, 0])),
        ("PUBLISH QoS 0", publish("in/x", b"", 0, false)),
        ("PUBLISH QoS 1", publish("in/x", b"", 9, false)),
        (
            "PUBLISH QoS 2",
            packet(0x34, &[text("in/x"), vec![0, 9]].concat()),
        ),
        ("PUBACK", packet(0x40, &[0, 1])),
        ("PUBREC", packet(0x50, &[0, 1])),
        ("PUBREL", packet(0x62, &[0, 1])),
        ("PUBCOMP", packet(0x70, &[0, 1])),
        ("SUBSCRIBE", subscribe(9, &[("t/+", 1)])),
        ("SUBACK", packet(0x90, &[0, 9, 1])),
        ("UNSUBSCRIBE", packet(0xa2, &[vec![0, 9], text("t/+")].concat())),
        ("UNSUBACK", packet(0xb0, &[0, 9])),
        ("PINGREQ", packet(0xc0, &[])),
        ("PINGRESP", packet(0xd0, &[])),
        ("DISCONNECT", packet(0xe0, &[])),
        ("type 0", packet(0x00, &[])),
        ("type 15", packet(0xf0, &[])),
    ]
}

/// What no client may ever send, wherever it is in the protocol, unless it is the first packet.
fn broken() -> Vec<(String, Vec<u8>)> {
    let mut cases = Vec::new();
    for (name, sound) in sound() {
        let (header, body) = (sound[0], &sound[2..]);
        let mut case = |what: String, bytes| cases.push((format!("{name} {what}"), bytes));
        if !matches!(header, 0x10 | 0x30 | 0x32 | 0x40 | 0x82 | 0xa2 | 0xc0 | 0xe0) {
            case("at all".into(), sound.clone());
        }
        if header == 0x10 {
            case("twice".into(), sound.clone());
        }
        for flags in (0..16).filter(|flags| header >> 4 != 3 && header & 15 != *flags) {
            case(format!("with flags {flags}"), packet(header & 0xf0 | flags, body));
        }
        for length in 0..body.len() {
            case(format!("cut to {length} bytes"), packet(header, &body[..length]));
        }
        if header >> 4 != 3 {
            case(
                "with more behind it".into(),
                packet(header, &[body, &[0]].concat()),
            );
        }
        case("too long".into(), vec![header, 0xd1, 0x0f]);
        case("longest of all".into(), vec![header, 0xff, 0xff, 0xff, 0x7f]);
        case(
            "with a length that does not end".into(),
            vec![header, 0xff, 0xff, 0xff, 0xff, 1],
        );
    }
    cases.extend(
        broken_within()
            .into_iter()
            .map(|(name, bytes)| (name.to_owned(), bytes)),
    );
    cases
}

/// What is wrong inside a packet that has the right shape.
fn broken_within() -> Vec<(&'static str, Vec<u8>)> {
    let filter = |filter: &[u8], qos| {
        let length = u8::try_from(filter.len()).unwrap();
        packet(0x82, &[&[0, 9, 0, length][..], filter, &[qos]].concat())
    };
    vec![
        ("QoS 3", packet(0x36, &[text("in/x"), vec![0, 9]].concat())),
        ("QoS 0 with DUP", packet(0x38, &text("in/x"))),
        (
            "PUBLISH with packet id 0",
            packet(0x32, &[text("in/x"), vec![0, 0]].concat()),
        ),
        ("topic that is empty", publish("", b"x", 0, false)),
        ("topic that is not UTF-8", packet(0x30, &[0, 2, 0xc3, 0x28])),
        ("topic with a surrogate", packet(0x30, &[0, 3, 0xed, 0xa0, 0x80])),
        ("topic with NUL", packet(0x30, &[0, 3, b'a', 0, b'b'])),
        ("topic with +", publish("in/+", b"x", 0, false)),
        ("topic with #", publish("#", b"x", 9, true)),
        ("topic in $SYS", publish("$SYS/broker/uptime", b"x", 0, false)),
        ("topic in $share", publish("$share/g/t", b"x", 9, false)),
        ("topic of 33 levels", publish(&"/".repeat(32), b"x", 9, false)),
        ("topic of 1025 bytes", publish(&"x".repeat(1025), b"x", 9, false)),
        ("PUBACK with packet id 0", packet(0x40, &[0, 0])),
        ("SUBSCRIBE with packet id 0", subscribe(0, &[("t", 0)])),
        ("SUBSCRIBE to nothing", packet(0x82, &[0, 9])),
        ("SUBSCRIBE with QoS 3", filter(b"t", 3)),
        ("SUBSCRIBE with reserved bits", filter(b"t", 0x41)),
        ("filter that is empty", filter(b"", 0)),
        ("filter that is not UTF-8", filter(&[0xff], 0)),
        ("filter with NUL", filter(b"a\0", 0)),
        ("filter with # in between", filter(b"a/#/b", 0)),
        ("filter with + in a level", filter(b"a+/b", 0)),
        (
            "second filter cut",
            packet(0x82, &[vec![0, 9], text("t"), vec![0, 0, 9]].concat()),
        ),
        (
            "UNSUBSCRIBE with packet id 0",
            packet(0xa2, &[vec![0, 0], text("t")].concat()),
        ),
        ("UNSUBSCRIBE from nothing", packet(0xa2, &[0, 9])),
        ("UNSUBSCRIBE not UTF-8", packet(0xa2, &[0, 9, 0, 1, 0xff])),
    ]
}

/// What is wrong with a CONNECT and deserves no answer.
fn broken_connects() -> Vec<(&'static str, Vec<u8>)> {
    let connect = |flags: u8, rest: &[Vec<u8>]| {
        let head = [text("MQTT"), vec![4, flags, 0, 60]].concat();
        packet(0x10, &[head, rest.concat()].concat())
    };
    let bytes = |bytes: &[u8]| [&[0, u8::try_from(bytes.len()).unwrap()][..], bytes].concat();
    let login = || [text("admin"), text("secret")].concat();
    vec![
        ("reserved flag", connect(0xc3, &[text("a"), login()])),
        (
            "password without user name",
            connect(0x42, &[text("a"), text("secret")]),
        ),
        (
            "will with QoS 3",
            connect(0xde, &[text("a"), text("t"), text("x"), login()]),
        ),
        ("no will but its QoS", connect(0xca, &[text("a"), login()])),
        ("no will but its retain", connect(0xe2, &[text("a"), login()])),
        (
            "will topic not UTF-8",
            connect(0xc6, &[text("a"), bytes(&[0xff]), text("x"), login()]),
        ),
        (
            "client id not UTF-8",
            connect(0xc2, &[bytes(&[0xff, 0xfe]), login()]),
        ),
        (
            "user name not UTF-8",
            connect(0xc2, &[text("a"), bytes(&[0xff]), text("secret")]),
        ),
        (
            "another protocol",
            packet(0x10, &[text("MQTX"), vec![4, 2, 0, 60], text("a")].concat()),
        ),
        (
            "will of 20,000 bytes",
            connect(0xc6, &[text("a"), text("t"), text(&"x".repeat(20_000)), login()]),
        ),
        ("first something else", publish("in/x", b"x", 1, false)),
        ("not MQTT", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        (
            "TLS where none is spoken",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        ),
    ]
}

/// A house whose inbox takes `inbox_capacity` events, and a witness in it.
async fn witnessed(inbox_capacity: usize) -> (House, Client) {
    let mut house = house_with(|config| {
        config.limits.max_packet_bytes = MAX_PACKET_BYTES;
        config.limits.inbox_capacity = inbox_capacity;
    });
    let (witness, _) = Client::enter(house.address, hello("witness")).await;
    house.expect([arrives("witness")]).await;
    (house, witness)
}

/// The witness is served, and the owner hears it.
async fn goes_on(house: &mut House, witness: &mut Client, what: &str) {
    witness
        .send(&publish("in/witness", what.as_bytes(), 1, false))
        .await;
    assert_eq!(house.event().await, says("witness", "in/witness", what));
    assert_eq!(witness.receive().await, Some((0x40, vec![0, 1])), "{what}");
}

/// Takes what is in the inbox until the offender's last connection has ended; answers how.
async fn end_of_offender(house: &mut House, connections: usize) -> Ending {
    let mut ended = 0;
    loop {
        if let Event::Out(client, ending) = house.event().await {
            assert_eq!(client, "offender");
            ended += 1;
            if ended == connections {
                return ending;
            }
        }
    }
}

async fn is_closed_at_last(client: &mut Client) {
    while client.receive().await.is_some() {}
}

#[tokio::test]
async fn before_connect() {
    let (mut house, mut witness) = witnessed(16).await;
    let connects = broken_connects()
        .into_iter()
        .map(|(name, bytes)| (name.to_owned(), bytes));
    let others = broken().into_iter().filter(|(name, _)| name != "CONNECT twice");
    for (what, bytes) in connects.chain(others) {
        let mut offender = Client::open(house.address).await;
        offender.send(&bytes).await;
        assert_eq!(offender.receive().await, None, "{what}");
    }
    goes_on(&mut house, &mut witness, "before CONNECT").await;
}

#[tokio::test]
async fn after_connect_and_with_a_subscription() {
    let (mut house, mut witness) = witnessed(16).await;
    for subscribed in [false, true] {
        for (what, bytes) in broken() {
            let (mut offender, _) = Client::enter(house.address, hello("offender")).await;
            if subscribed {
                offender.subscribe(&[("t/+", 1)]).await;
            }
            offender.send(&bytes).await;
            is_closed_at_last(&mut offender).await;
            assert_eq!(end_of_offender(&mut house, 1).await, Ending::Protocol, "{what}");
            goes_on(&mut house, &mut witness, &what).await;
        }
    }
}

#[tokio::test]
async fn with_messages_on_their_way_to_it() {
    let (mut house, mut witness) = witnessed(16).await;
    for (what, bytes) in broken() {
        let (mut offender, _) = Client::enter(house.address, hello("offender")).await;
        offender.subscribe(&[("t", 1)]).await;
        for _ in 0..3 {
            witness.send(&publish("t", b"x", 1, false)).await;
            assert_eq!(witness.receive().await, Some((0x40, vec![0, 1])));
            offender.unacknowledged_message().await;
        }
        offender.send(&bytes).await;
        is_closed_at_last(&mut offender).await;
        assert_eq!(end_of_offender(&mut house, 1).await, Ending::Protocol, "{what}");
        goes_on(&mut house, &mut witness, &what).await;
        assert_eq!(house.broker.stats().queued_bytes, 0, "{what}");
    }
}

#[tokio::test]
async fn with_a_message_on_its_way_from_it() {
    // The offender's arrival fills the inbox, so that its message waits.
    let (mut house, mut witness) = witnessed(1).await;
    for (what, bytes) in broken() {
        let (mut offender, _) = Client::enter(house.address, hello("offender")).await;
        offender
            .send(&[publish("in/waits", b"x", 8, false), bytes].concat())
            .await;
        assert_eq!(end_of_offender(&mut house, 1).await, Ending::Protocol, "{what}");
        is_closed_at_last(&mut offender).await;
        goes_on(&mut house, &mut witness, &what).await;
    }
}

#[tokio::test]
async fn during_a_takeover() {
    // The former connection cannot report its end while the inbox is full: the newcomer waits for it.
    let (mut house, mut witness) = witnessed(1).await;
    for (what, bytes) in broken() {
        let (mut former, _) = Client::enter(house.address, hello("offender")).await;
        let mut offender = Client::open(house.address).await;
        offender.send(&[hello("offender").packet(), bytes].concat()).await;
        former.is_closed().await;
        assert_eq!(end_of_offender(&mut house, 2).await, Ending::Protocol, "{what}");
        is_closed_at_last(&mut offender).await;
        goes_on(&mut house, &mut witness, &what).await;
    }
}

#[tokio::test]
async fn during_the_shutdown() {
    let (mut house, mut witness) = witnessed(4).await;
    let mut offenders = JoinSet::new();
    for (index, (_, bytes)) in broken().into_iter().enumerate() {
        let mut offender = Client::open(house.address).await;
        offenders.spawn(async move {
            let connect = hello(&format!("offender-{}", index / 2)).packet();
            let message = publish("in/x", b"x", 1, false);
            offender.try_send(&[connect, message, bytes].concat()).await;
            is_closed_at_last(&mut offender).await;
        });
    }
    house.event().await;
    soon(house.broker.shutdown()).await;
    while let Some(outcome) = soon(offenders.join_next()).await {
        outcome.unwrap();
    }
    is_closed_at_last(&mut witness).await;
    while let Some(event) = soon(house.inbox.recv()).await {
        if let Inbound::Message { payload, .. } = event {
            assert_eq!(payload, "x");
        }
    }
}

#[tokio::test]
async fn what_is_not_permitted_ends_the_connection_in_every_state() {
    let (mut house, mut witness) = witnessed(16).await;
    for subscribed in [false, true] {
        for (what, bytes) in [
            ("another node's topic", publish("n/witness/x", b"x", 1, false)),
            (
                "another node's topic, retained",
                publish("n/witness/x", b"x", 0, true),
            ),
            ("a prefix of its own topic", publish("n/offender", b"x", 1, false)),
            ("nobody's topic", publish("elsewhere", b"", 1, true)),
        ] {
            let node = hello("offender").user("node", "secret");
            let (mut offender, _) = Client::enter(house.address, node).await;
            if subscribed {
                offender.subscribe(&[("n/offender/#", 1)]).await;
            }
            offender.send(&bytes).await;
            is_closed_at_last(&mut offender).await;
            assert_eq!(
                end_of_offender(&mut house, 1).await,
                Ending::NotPermitted,
                "{what}"
            );
            goes_on(&mut house, &mut witness, what).await;
        }
    }
    assert_eq!(house.broker.stats().retained_messages, 0);
}
