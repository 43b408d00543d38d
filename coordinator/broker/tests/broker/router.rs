//! Why rumqttd's `Router` is not what routes here: each test does to it, by its public API alone, what any client could
//! have done. Should one of them fail after an upgrade, its reason is gone.

use std::time::{Duration, Instant};

use rumqttd::local::{LinkBuilder, LinkRx, LinkTx};
use rumqttd::protocol::{
    Disconnect, DisconnectReasonCode, Filter, Packet, PubAck, PubAckReason, QoS, RetainForwardRule, Subscribe,
};
use rumqttd::{Notification, Router, RouterConfig};

macro_rules! router {
    () => {{
        let config = RouterConfig {
            max_connections: 10,
            max_outgoing_packet_count: 200,
            max_segment_size: 100 * 1024,
            max_segment_count: 2,
            ..RouterConfig::default()
        };
        Router::new(0, config).spawn()
    }};
}

/// Sends packets in one batch; the wake-up is an UNSUBSCRIBE of nothing, which has no effect at all (B11).
fn send(link: &mut LinkTx, packets: impl IntoIterator<Item = Packet>) {
    link.buffer().extend(packets);
    link.unsubscribe("nothing").unwrap();
}

fn subscribe(link: &mut (LinkTx, LinkRx, Notification), filter: &str) {
    let filter = Filter {
        path: filter.into(),
        qos: QoS::AtLeastOnce,
        nolocal: false,
        preserve_retain: false,
        retain_forward_rule: RetainForwardRule::Never,
    };
    send(
        &mut link.0,
        [Packet::Subscribe(
            Subscribe {
                pkid: 1,
                filters: vec![filter],
            },
            None,
        )],
    );
    while !matches!(link.1.recv().unwrap(), Some(Notification::DeviceAck(_))) {}
}

fn acknowledgement(packet_id: u16) -> Packet {
    Packet::PubAck(
        PubAck {
            pkid: packet_id,
            reason: PubAckReason::Success,
        },
        None,
    )
}

/// Whether a condition comes true within reason.
fn becomes(mut is_so: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + Duration::from_secs(5);
    while Instant::now() < deadline {
        if is_so() {
            return true;
        }
        std::thread::yield_now();
    }
    false
}

#[test]
fn it_dies_of_a_topic_that_starts_with_a_letter_beyond_ascii() {
    let router = router!();
    let mut subscriber = LinkBuilder::new("subscriber", router.clone()).build().unwrap();
    subscribe(&mut subscriber, "some/+");
    let (mut publisher, ..) = LinkBuilder::new("publisher", router.clone()).build().unwrap();
    publisher.publish("übung/1", "x").unwrap();
    assert!(
        becomes(|| router.is_disconnected()),
        "nobody else gets in any more"
    );
}

#[test]
fn it_dies_of_an_unsolicited_acknowledgement_followed_by_the_required_ready() {
    let router = router!();
    let mut client = LinkBuilder::new("client", router.clone()).build().unwrap();
    subscribe(&mut client, "some/+");
    send(&mut client.0, [acknowledgement(9)]);
    // Every owner of a link has to call this after a burst (B10), and cannot know that the link is already gone.
    assert!(
        becomes(|| client.1.ready().is_err() || router.is_disconnected()),
        "nobody else gets in any more"
    );
}

#[test]
fn it_loses_acknowledged_messages_of_an_absent_client_silently() {
    let router = router!();
    let build = |id| {
        LinkBuilder::new(id, router.clone())
            .clean_session(false)
            .build()
            .unwrap()
    };
    let mut client = build("client");
    subscribe(&mut client, "some/+");
    let goodbye = Disconnect {
        reason_code: DisconnectReasonCode::NormalDisconnection,
    };
    send(&mut client.0, [Packet::Disconnect(goodbye, None)]);
    let (mut publisher, ..) = build("publisher");
    for _ in 0..1000 {
        publisher.publish("some/topic", vec![0; 1024]).unwrap();
    }
    publisher.publish("some/end", "").unwrap();
    let (mut sender, mut receiver, connack) = build("client");
    assert!(
        format!("{connack:?}").contains("session_present: true"),
        "it claims that nothing is missing"
    );
    let mut received = 0;
    loop {
        match receiver
            .recv_deadline(Instant::now() + Duration::from_secs(5))
            .unwrap()
        {
            Some(Notification::Forward(forward)) => {
                received += 1;
                let bytes = forward.publish.serialize();
                send(
                    &mut sender,
                    [acknowledgement(u16::from_be_bytes([bytes[1], bytes[2]]))],
                );
                if &forward.publish.topic[..] == b"some/end" {
                    break;
                }
            }
            Some(Notification::Unschedule) => receiver.ready().unwrap(),
            _ => {}
        }
    }
    assert!(received < 500, "{received} of 1001");
}
