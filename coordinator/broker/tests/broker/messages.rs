//! Publishing, subscribing, permissions, retained messages, and the way to the owner.

use holdfast_broker::{Ending, Limits, PublishError, Qos};

use crate::client::{Client, Hello, hello, packet, publish, subscribe, text};
use crate::house::{arrives, house, house_with, leaves, says};

fn node(id: &str) -> Hello<'_> {
    hello(id).user("node", "secret")
}

#[tokio::test]
async fn messages_are_delivered_with_the_lower_quality_of_both() {
    let house = house();
    let (mut publisher, _) = Client::enter(house.address, hello("publisher")).await;
    for (published, subscribed, expected) in [(0, 0, 0), (0, 1, 0), (1, 0, 0), (1, 1, 1), (1, 2, 1)] {
        let (mut subscriber, _) = Client::enter(house.address, hello("subscriber")).await;
        assert_eq!(
            subscriber.subscribe(&[("übung/+", subscribed)]).await,
            [subscribed.min(1)]
        );
        publisher.send(&publish("übung/1", b"hi", published, false)).await;
        if published > 0 {
            assert_eq!(publisher.receive().await, Some((0x40, vec![0, 1])));
        }
        let message = subscriber.message().await;
        assert_eq!(
            (message.topic.as_str(), &message.payload[..]),
            ("übung/1", &b"hi"[..])
        );
        assert_eq!(
            (u16::from(message.packet_id > 0), message.retain, message.dup),
            (expected, false, false)
        );
        subscriber.ping().await;
    }
}

#[tokio::test]
async fn the_owner_reaches_its_subscribers_and_only_them() {
    let house = house();
    let (mut first, _) = Client::enter(house.address, node("n1")).await;
    let (mut second, _) = Client::enter(house.address, node("n2")).await;
    first.subscribe(&[("n/n1/#", 1)]).await;
    second.subscribe(&[("n/n2/#", 1)]).await;
    assert_eq!(
        house.broker.publish("n/n1/set", "hi", false, Qos::AtLeastOnce),
        Ok(1)
    );
    let message = first.message().await;
    assert_eq!((&message.payload[..], message.packet_id > 0), (&b"hi"[..], true));
    second.ping().await;
    assert_eq!(
        house.broker.publish("n/n3/set", "hi", false, Qos::AtLeastOnce),
        Ok(0)
    );
    assert_eq!(
        house.broker.publish("n/+", "hi", false, Qos::AtMostOnce),
        Err(PublishError::Topic("n/+".into()))
    );
}

#[tokio::test]
async fn permissions_hold_for_each_filter_and_topic() {
    let mut house = house();
    let (mut client, _) = Client::enter(house.address, node("n1")).await;
    let filters = [
        ("n/n1/a", 1),
        ("n/n2/a", 1),
        ("#", 1),
        ("$SYS/#", 0),
        ("$share/g/n/n1/a", 1),
        ("n/n1/+", 2),
    ];
    assert_eq!(client.subscribe(&filters).await, [1, 0x80, 0x80, 0x80, 0x80, 1]);
    client.send(&publish("n/n1/a", b"mine", 1, false)).await;
    assert_eq!(client.receive().await, Some((0x40, vec![0, 1])));
    assert_eq!(client.message().await.payload, b"mine");
    client.send(&publish("n/n2/a", b"yours", 2, false)).await;
    client.is_closed().await;
    house
        .expect([arrives("n1"), leaves("n1", Ending::NotPermitted)])
        .await;
}

#[tokio::test]
async fn a_client_may_hold_so_many_subscriptions_and_no_more() {
    let house = house_with(|config| config.limits.max_subscriptions = 2);
    let (mut client, _) = Client::enter(house.address, hello("a")).await;
    assert_eq!(
        client.subscribe(&[("a", 0), ("b", 1), ("c", 1), ("a", 1)]).await,
        [0, 1, 0x80, 1]
    );
}

#[tokio::test]
async fn unsubscribe_is_always_acknowledged() {
    let house = house();
    let (mut client, _) = Client::enter(house.address, hello("a")).await;
    client.subscribe(&[("t", 0)]).await;
    // B11: of the two, one was never subscribed to.
    client
        .send(&packet(0xa2, &[vec![0, 9], text("never"), text("t")].concat()))
        .await;
    assert_eq!(client.receive().await, Some((0xb0, vec![0, 9])));
    assert_eq!(house.broker.publish("t", "hi", false, Qos::AtMostOnce), Ok(0));
    client.ping().await;
}

#[tokio::test]
async fn acknowledgements_in_any_order_are_fine() {
    let house = house();
    let (mut client, _) = Client::enter(house.address, hello("a")).await;
    client.subscribe(&[("t", 1)]).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        house.broker.publish("t", "hi", false, Qos::AtLeastOnce).unwrap();
        ids.push(client.unacknowledged_message().await.packet_id);
    }
    // B13: last first, twice, and one that was never sent.
    for id in ids.into_iter().rev().chain([1, 999]) {
        client.send(&packet(0x40, &id.to_be_bytes())).await;
    }
    client.ping().await;
    assert_eq!(house.broker.stats().queued_bytes, 0);
}

#[tokio::test]
async fn retained_messages_come_with_every_subscribe_and_go_only_when_told() {
    let house = house();
    let (mut client, _) = Client::enter(house.address, hello("a")).await;
    let retained = |payload: &str| Some((payload.as_bytes().to_vec(), true));
    for (payload, retain, expected) in [
        ("1", true, retained("1")),
        ("2", true, retained("2")),
        ("live", false, retained("2")),
        // B8: empty, but not to be retained.
        ("", false, retained("2")),
        ("", true, None),
    ] {
        client.send(&publish("r", payload.as_bytes(), 0, retain)).await;
        // B7: the same filter again.
        for filter in ["r", "r", "#"] {
            client.subscribe(&[(filter, 0)]).await;
            if let Some(expected) = &expected {
                let message = client.message().await;
                assert_eq!(&(message.payload, message.retain), expected);
            }
            client
                .send(&packet(0xa2, &[vec![0, 9], text(filter)].concat()))
                .await;
            assert_eq!(client.receive().await, Some((0xb0, vec![0, 9])));
        }
    }
}

#[tokio::test]
async fn ten_thousand_retained_messages_all_arrive() {
    // B6, with less room in the queue than there are messages.
    let house = house_with(|config| config.limits.max_queued_messages = 10);
    for index in 0..10_000 {
        house
            .broker
            .publish(&format!("r/{index}"), "x", true, Qos::AtLeastOnce)
            .unwrap();
    }
    for qos in [0, 1] {
        let (mut client, _) = Client::enter(house.address, hello("a")).await;
        client.subscribe(&[("r/#", qos)]).await;
        let mut topics = std::collections::BTreeSet::new();
        for _ in 0..10_000 {
            let message = client.message().await;
            assert!(message.retain);
            topics.insert(message.topic);
        }
        assert_eq!(topics.len(), 10_000);
        client.ping().await;
    }
}

#[tokio::test]
async fn what_is_for_the_owner_waits_for_its_acknowledgement_until_the_inbox_has_room() {
    let mut house = house_with(|config| {
        config.limits = Limits {
            inbox_capacity: 1,
            ..Limits::default()
        }
    });
    let (mut client, _) = Client::enter(house.address, hello("a")).await;
    client.subscribe(&[("live", 0)]).await;
    // `Connected` fills the inbox: none of these is acknowledged, and nothing after them is read.
    client
        .send(
            &[
                publish("in/1", b"1", 1, false),
                publish("in/2", b"2", 2, false),
                vec![0xc0, 0],
            ]
            .concat(),
        )
        .await;
    // What the client subscribed to still reaches it.
    house.broker.publish("live", "x", false, Qos::AtMostOnce).unwrap();
    assert_eq!(client.message().await.topic, "live");
    house
        .expect([arrives("a"), says("a", "in/1", "1"), says("a", "in/2", "2")])
        .await;
    for expected in [(0x40, vec![0, 1]), (0x40, vec![0, 2]), (0xd0, vec![])] {
        assert_eq!(client.receive().await, Some(expected));
    }
}

#[tokio::test]
async fn what_is_for_the_owner_also_reaches_subscribers() {
    let mut house = house();
    let (mut dashboard, _) = Client::enter(house.address, hello("dashboard")).await;
    dashboard.subscribe(&[("in/#", 0)]).await;
    let (mut client, _) = Client::enter(house.address, node("n1")).await;
    client.send(&publish("in/x", b"hi", 1, false)).await;
    house
        .expect([arrives("dashboard"), arrives("n1"), says("n1", "in/x", "hi")])
        .await;
    assert_eq!(dashboard.message().await.payload, b"hi");
}

#[tokio::test]
async fn a_burst_from_many_clients_reaches_the_owner_completely() {
    // B9, B10: 20,000 messages through an inbox of 16.
    let mut house = house_with(|config| config.limits.inbox_capacity = 16);
    let mut tasks = tokio::task::JoinSet::new();
    for index in 0..20 {
        let address = house.address;
        tasks.spawn(async move {
            let (mut client, _) = Client::enter(address, hello(&format!("c{index}"))).await;
            let burst: Vec<u8> = (1..=1000)
                .flat_map(|id: u16| publish("in/x", &id.to_be_bytes(), id, false))
                .collect();
            client.send(&burst).await;
            for id in 1..=1000_u16 {
                assert_eq!(client.receive().await, Some((0x40, id.to_be_bytes().to_vec())));
            }
            client.leave().await;
        });
    }
    let mut next = std::collections::BTreeMap::<String, u16>::new();
    let mut left = 20;
    while left > 0 {
        match crate::client::soon(house.inbox.recv()).await.unwrap() {
            holdfast_broker::Inbound::Message {
                client_id, payload, ..
            } => {
                let expected = next.entry(client_id.to_string()).or_insert(1);
                assert_eq!(payload[..], expected.to_be_bytes());
                *expected += 1;
            }
            holdfast_broker::Inbound::Disconnected { reason, .. } => {
                assert!(reason.is_graceful());
                left -= 1;
            }
            holdfast_broker::Inbound::Connected { .. } | holdfast_broker::Inbound::Alive { .. } => {}
        }
    }
    assert!(next.len() == 20 && next.values().all(|next| *next == 1001));
    while let Some(outcome) = tasks.join_next().await {
        outcome.unwrap();
    }
}

#[tokio::test]
async fn rumqttc_publishes_and_subscribes() {
    let house = house();
    let mut options =
        rumqttc::MqttOptions::new("rumqttc", house.address.ip().to_string(), house.address.port());
    options.set_credentials("admin", "secret");
    let (client, mut events) = rumqttc::AsyncClient::new(options, 200);
    client.subscribe("t/#", rumqttc::QoS::AtLeastOnce).await.unwrap();
    for index in 0..100_u8 {
        client
            .publish(
                format!("t/{index}"),
                rumqttc::QoS::AtLeastOnce,
                false,
                vec![index],
            )
            .await
            .unwrap();
    }
    let (mut received, mut acknowledged) = (Vec::new(), 0);
    while received.len() < 100 || acknowledged < 100 {
        match crate::client::soon(events.poll()).await.unwrap() {
            rumqttc::Event::Incoming(rumqttc::Packet::Publish(publish)) => received.push(publish.payload[0]),
            rumqttc::Event::Incoming(rumqttc::Packet::PubAck(_)) => acknowledged += 1,
            _ => {}
        }
    }
    assert_eq!(received, (0..100).collect::<Vec<u8>>());
}

#[tokio::test]
async fn rumqttc_can_tell_why_it_is_refused() {
    let house = house();
    // B12.
    let mut options =
        rumqttc::MqttOptions::new("rumqttc", house.address.ip().to_string(), house.address.port());
    options.set_credentials("admin", "wrong");
    let (_client, mut events) = rumqttc::AsyncClient::new(options, 10);
    let error = crate::client::soon(events.poll()).await.unwrap_err();
    let refused = rumqttc::ConnectReturnCode::BadUserNamePassword;
    assert!(
        matches!(error, rumqttc::ConnectionError::ConnectionRefused(code) if code == refused),
        "{error:?}"
    );
}

#[tokio::test]
async fn many_packets_at_once_are_answered_in_order() {
    let house = house();
    let (mut client, _) = Client::enter(house.address, hello("a")).await;
    let bytes: Vec<u8> = (1..=500).flat_map(|id| subscribe(id, &[("t", 0)])).collect();
    client.send(&bytes).await;
    for id in 1..=500_u16 {
        let [high, low] = id.to_be_bytes();
        assert_eq!(client.receive().await, Some((0x90, vec![high, low, 0])));
    }
}
