//! Sessions that outlive their connection.

use holdfast_broker::{Ending, Qos};

use crate::client::{Client, hello, until};
use crate::house::{House, arrives, house, house_with, leaves};

async fn away(house: &House) {
    until(|| house.broker.stats().connected == 0).await;
}

#[tokio::test]
async fn an_absent_client_gets_what_it_missed_in_order() {
    let house = house();
    let (mut client, session_present) = Client::enter(house.address, hello("a").kept()).await;
    assert!(!session_present);
    client.subscribe(&[("t/+", 1)]).await;
    drop(client);
    away(&house).await;
    for index in 0..500 {
        house
            .broker
            .publish(&format!("t/{index}"), "x", false, Qos::AtLeastOnce)
            .unwrap();
        house
            .broker
            .publish("t/qos0", "x", false, Qos::AtMostOnce)
            .unwrap();
    }
    let (mut client, session_present) = Client::enter(house.address, hello("a").kept()).await;
    assert!(session_present);
    for index in 0..500 {
        assert_eq!(client.message().await.topic, format!("t/{index}"));
    }
    client.ping().await;
    client.leave().await;
    let (mut client, session_present) = Client::enter(house.address, hello("a")).await;
    assert!(!session_present, "a clean session starts afresh");
    assert_eq!(house.broker.publish("t/1", "x", false, Qos::AtLeastOnce), Ok(0));
    client.ping().await;
}

#[tokio::test]
async fn what_was_not_acknowledged_is_sent_again() {
    let house = house_with(|config| config.limits.max_inflight = 3);
    let (mut client, _) = Client::enter(house.address, hello("a").kept()).await;
    client.subscribe(&[("t", 1)]).await;
    for index in 0..5 {
        house
            .broker
            .publish("t", index.to_string(), false, Qos::AtLeastOnce)
            .unwrap();
    }
    client.message().await;
    let unacknowledged = client.unacknowledged_message().await;
    drop(client);
    away(&house).await;
    let (mut client, session_present) = Client::enter(house.address, hello("a").kept()).await;
    assert!(session_present);
    let mut again = Vec::new();
    for _ in 0..4 {
        again.push(client.message().await);
    }
    assert_eq!(
        (again[0].packet_id, again[0].dup),
        (unacknowledged.packet_id, true)
    );
    assert_eq!(
        again
            .iter()
            .map(|message| &message.payload[..])
            .collect::<Vec<_>>(),
        [b"1", b"2", b"3", b"4"]
    );
    client.ping().await;
}

#[tokio::test]
async fn a_session_that_would_lose_a_message_ends_instead() {
    let mut house = house_with(|config| config.limits.max_queued_messages = 10);
    let (mut client, _) = Client::enter(house.address, hello("a").kept()).await;
    client.subscribe(&[("t", 1)]).await;
    drop(client);
    house.expect([arrives("a"), leaves("a", Ending::Closed)]).await;
    for expected in [[1; 10].as_slice(), &[1], &[0]].concat() {
        assert_eq!(
            house.broker.publish("t", "x", false, Qos::AtLeastOnce),
            Ok(expected)
        );
    }
    let (mut client, session_present) = Client::enter(house.address, hello("a").kept()).await;
    assert!(!session_present, "the client learns that it has to start afresh");
    client.ping().await;
}

#[tokio::test]
async fn a_persistent_session_of_rumqttc_resumes() {
    let house = house();
    let options = || {
        let mut options =
            rumqttc::MqttOptions::new("r", house.address.ip().to_string(), house.address.port());
        options
            .set_credentials("admin", "secret")
            .set_clean_session(false);
        options
    };
    for round in 0..2 {
        let (client, mut events) = rumqttc::AsyncClient::new(options(), 10);
        if round == 0 {
            client.subscribe("t", rumqttc::QoS::AtLeastOnce).await.unwrap();
        }
        let mut is_present = None;
        loop {
            match crate::client::soon(events.poll()).await.unwrap() {
                rumqttc::Event::Incoming(rumqttc::Packet::ConnAck(ack)) => {
                    is_present = Some(ack.session_present)
                }
                rumqttc::Event::Incoming(rumqttc::Packet::SubAck(_) | rumqttc::Packet::Publish(_)) => break,
                _ => {}
            }
        }
        assert_eq!(is_present, Some(round == 1));
        drop(events);
        away(&house).await;
        house
            .broker
            .publish("t", "missed", false, Qos::AtLeastOnce)
            .unwrap();
    }
}
