//! How the broker notices that a client is gone: keep-alive, slow readers, takeovers.

use std::time::{Duration, Instant};

use holdfast_broker::{Ending, Inbound, Qos};
use tokio::task::JoinSet;

use crate::client::{Client, hello, publish, soon};
use crate::house::{arrives, house, house_with, leaves, says};

#[tokio::test]
async fn a_silent_client_is_closed_after_one_and_a_half_keep_alives() {
    let mut house = house();
    let start = Instant::now();
    let (mut client, _) = Client::enter(house.address, hello("a").keep_alive(1)).await;
    client.is_closed().await;
    let silence = start.elapsed();
    assert!((1500..6000).contains(&silence.as_millis()), "{silence:?}");
    house.expect([arrives("a"), leaves("a", Ending::KeepAlive)]).await;
}

#[tokio::test]
async fn a_client_that_pings_stays_and_one_without_keep_alive_does_not_stay_for_ever() {
    let mut house = house_with(|config| {
        config.timeouts.min_keep_alive = Duration::from_millis(10);
        config.timeouts.max_keep_alive = Duration::from_millis(200);
    });
    let (mut lively, _) = Client::enter(house.address, hello("lively").keep_alive(1)).await;
    let (mut without, _) = Client::enter(house.address, hello("without").keep_alive(0)).await;
    let closed = without.is_closed();
    tokio::pin!(closed);
    loop {
        tokio::select! {
            () = &mut closed => break,
            () = lively.ping() => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
    lively.ping().await;
    house
        .expect([
            arrives("lively"),
            arrives("without"),
            leaves("without", Ending::KeepAlive),
        ])
        .await;
}

#[tokio::test]
async fn every_ping_is_told_also_when_the_inbox_is_full() {
    let mut house = house_with(|config| config.limits.inbox_capacity = 1);
    let (mut client, _) = Client::enter(house.address, hello("a")).await;
    // The first one finds the inbox taken by the arrival, and is answered when there is room.
    let pings = async {
        for _ in 0..3 {
            client.ping().await;
        }
    };
    let told = async {
        let mut pings = 0;
        while pings < 3 {
            match house.inbox.recv().await.unwrap() {
                Inbound::Alive { client_id } => {
                    assert_eq!(&*client_id, "a");
                    pings += 1;
                }
                other => assert!(matches!(other, Inbound::Connected { .. }), "{other:?}"),
            }
        }
    };
    soon(async { tokio::join!(pings, told) }).await;
}

#[tokio::test]
async fn a_client_that_was_quiet_for_long_is_not_taken_for_a_slow_reader() {
    let write = Duration::from_millis(100);
    let house = house_with(|config| config.timeouts.write = write);
    let (mut client, _) = Client::enter(house.address, hello("a")).await;
    for _ in 0..3 {
        tokio::time::sleep(write * 3 / 2).await;
        client.ping().await;
    }
}

#[tokio::test]
async fn a_client_that_takes_long_over_a_large_message_is_heard_afterwards() {
    let mut house = house_with(|config| config.timeouts.min_keep_alive = Duration::from_secs(1));
    let (mut client, _) = Client::enter(house.address, hello("a").keep_alive(1)).await;
    client.subscribe(&[("t", 0)]).await;
    // More than all socket buffers hold, so that the broker stops reading until the client has taken most of it.
    house
        .broker
        .publish("t", vec![0; 20_000_000], false, Qos::AtMostOnce)
        .unwrap();
    let mut taken = 0;
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        taken += client.take(1_000_000).await;
    }
    // Sent while nobody listened.
    client.send(&[0xc0, 0]).await;
    client.take(20_000_000 + 8 - taken).await;
    assert_eq!(client.receive().await, Some((0xd0, vec![])));
    house.expect([arrives("a")]).await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_closed_and_others_are_served_meanwhile() {
    let mut house = house_with(|config| config.timeouts.write = Duration::from_millis(300));
    let (mut slow, _) = Client::enter(house.address, hello("slow")).await;
    let (mut quick, _) = Client::enter(house.address, hello("quick")).await;
    slow.subscribe(&[("t", 0)]).await;
    quick.subscribe(&[("t", 0)]).await;
    for _ in 0..20 {
        house
            .broker
            .publish("t", vec![0; 1_000_000], false, Qos::AtMostOnce)
            .unwrap();
    }
    for _ in 0..20 {
        assert_eq!(quick.message().await.payload.len(), 1_000_000);
    }
    house
        .expect([
            arrives("slow"),
            arrives("quick"),
            leaves("slow", Ending::SlowReader),
        ])
        .await;
    quick.ping().await;
}

#[tokio::test]
async fn the_newer_connection_wins_and_events_do_not_interleave() {
    let mut house = house();
    for clean in [true, false] {
        let (mut old, _) = Client::enter(house.address, hello("a").clean(clean)).await;
        let (mut new, session_present) = Client::enter(house.address, hello("a").clean(clean)).await;
        assert_eq!(session_present, !clean);
        old.is_closed().await;
        new.send(&publish("in/x", b"hi", 1, false)).await;
        assert_eq!(new.receive().await, Some((0x40, vec![0, 1])));
        new.leave().await;
        house
            .expect([
                arrives("a"),
                leaves("a", Ending::TakenOver),
                arrives("a"),
                says("a", "in/x", "hi"),
                leaves("a", Ending::Graceful),
            ])
            .await;
    }
}

#[tokio::test]
async fn of_many_that_fight_for_a_client_id_one_remains() {
    let mut house = house_with(|config| config.limits.inbox_capacity = 1);
    let mut fighters = JoinSet::new();
    for _ in 0..20 {
        let mut client = Client::open(house.address).await;
        client.send(&hello("a").packet()).await;
        // Let in or not, one after the other is closed.
        fighters.spawn(async move { while client.receive_at_leisure().await.is_some() {} });
    }
    let (mut lost, mut is_in) = (0, false);
    while lost < 19 || !is_in {
        tokio::select! {
            Some(_) = fighters.join_next() => lost += 1,
            event = house.event() => {
                let comes_in = event == arrives("a");
                assert_ne!(comes_in, is_in, "in and out alternate");
                is_in = comes_in;
            }
        }
    }
    assert_eq!((house.broker.stats().connected, fighters.len()), (1, 1));
}
