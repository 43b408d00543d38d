//! When a last will is published, and to whom.

use holdfast_broker::Ending;

use crate::client::{Client, Hello, hello, packet, publish};
use crate::house::{House, arrives, house, leaves, says};

fn with_will(clean: bool, will: &str) -> Hello<'_> {
    hello("a").clean(clean).will("in/will", will)
}

/// A house with a watcher of the will topic.
async fn watched() -> (House, Client) {
    let mut house = house();
    let (mut watcher, _) = Client::enter(house.address, hello("watcher")).await;
    watcher.subscribe(&[("in/will", 1)]).await;
    house.expect([arrives("watcher")]).await;
    (house, watcher)
}

#[tokio::test]
async fn every_ending_but_disconnect_publishes_the_will_before_it_is_reported() {
    for (what, bytes, ending) in [
        ("socket closed", vec![], Ending::Closed),
        ("malformed", packet(0x80, &[]), Ending::Protocol),
        ("QoS 2", packet(0x34, b"\0\x01a\0\x01"), Ending::Protocol),
    ] {
        let (mut house, mut watcher) = watched().await;
        let (mut client, _) = Client::enter(house.address, with_will(true, "gone")).await;
        client.send(&bytes).await;
        drop(client);
        house
            .expect([arrives("a"), says("a", "in/will", "gone"), leaves("a", ending)])
            .await;
        let will = watcher.message().await;
        assert_eq!(
            (&will.payload[..], will.retain, will.packet_id > 0),
            (&b"gone"[..], false, true),
            "{what}"
        );
        // It says retain.
        watcher.subscribe(&[("in/will", 1)]).await;
        assert!(watcher.message().await.retain);
    }
}

#[tokio::test]
async fn a_client_that_says_goodbye_has_no_will() {
    let (mut house, mut watcher) = watched().await;
    let (client, _) = Client::enter(house.address, with_will(true, "gone")).await;
    client.leave().await;
    house.expect([arrives("a"), leaves("a", Ending::Graceful)]).await;
    watcher.ping().await;
}

#[tokio::test]
async fn a_publish_that_is_not_permitted_ends_the_connection_with_its_will() {
    let mut house = house();
    let node = with_will(true, "gone").user("node", "secret");
    let (mut client, _) = Client::enter(house.address, node).await;
    client.send(&publish("n/other/x", b"spoofed", 1, false)).await;
    client.is_closed().await;
    house
        .expect([
            arrives("a"),
            says("a", "in/will", "gone"),
            leaves("a", Ending::NotPermitted),
        ])
        .await;
}

#[tokio::test]
async fn keep_alive_publishes_the_will() {
    let mut house = house();
    let (_client, _) = Client::enter(house.address, with_will(true, "gone").keep_alive(1)).await;
    house
        .expect([
            arrives("a"),
            says("a", "in/will", "gone"),
            leaves("a", Ending::KeepAlive),
        ])
        .await;
}

#[tokio::test]
async fn a_takeover_publishes_the_old_will_and_keeps_the_new_one() {
    // B5, for clean sessions and others.
    for clean in [true, false] {
        let (mut house, mut watcher) = watched().await;
        let (mut old, _) = Client::enter(house.address, with_will(clean, "old")).await;
        let (new, _) = Client::enter(house.address, with_will(clean, "new")).await;
        old.is_closed().await;
        assert_eq!(watcher.message().await.payload, b"old");
        watcher.ping().await;
        drop(new);
        assert_eq!(watcher.message().await.payload, b"new");
        house
            .expect([
                arrives("a"),
                says("a", "in/will", "old"),
                leaves("a", Ending::TakenOver),
                arrives("a"),
                says("a", "in/will", "new"),
                leaves("a", Ending::Closed),
            ])
            .await;
    }
}

#[tokio::test]
async fn a_takeover_by_a_client_without_will_leaves_none() {
    let (mut house, mut watcher) = watched().await;
    let (_old, _) = Client::enter(house.address, with_will(true, "old")).await;
    let (new, _) = Client::enter(house.address, hello("a")).await;
    assert_eq!(watcher.message().await.payload, b"old");
    drop(new);
    house
        .expect([
            arrives("a"),
            says("a", "in/will", "old"),
            leaves("a", Ending::TakenOver),
            arrives("a"),
            leaves("a", Ending::Closed),
        ])
        .await;
    watcher.ping().await;
}
