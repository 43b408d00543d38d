//! Peers that take their time: half-open connections, slow writers before and after CONNECT, slow readers.

use std::time::{Duration, Instant};

use holdfast_broker::{Ending, Qos};
use tokio::time::{interval, timeout};

use crate::client::{Client, hello, packet, publish, soon, subscribe};
use crate::house::{Event, arrives, house, house_with, leaves, says};

/// The pause between two pieces of a slow writer.
const PAUSE: Duration = Duration::from_millis(10);

/// Sends one byte after the other, with a pause between them, until the broker closes; answers how many it took.
async fn drip(client: &mut Client, bytes: &[u8]) -> usize {
    for (index, byte) in bytes.iter().enumerate() {
        if let Ok(packet) = timeout(PAUSE, client.receive_at_leisure()).await {
            assert_eq!(packet, None);
            return index;
        }
        client.try_send(&[*byte]).await;
    }
    client.is_closed().await;
    bytes.len()
}

#[tokio::test]
async fn a_connect_byte_by_byte_is_given_so_much_time_and_no_more() {
    let house = house_with(|config| config.timeouts.connect = Duration::from_millis(300));
    let started = Instant::now();
    let mut slow = Client::open(house.address).await;
    let taken = soon(drip(&mut slow, &hello(&"x".repeat(120)).packet())).await;
    assert!(
        started.elapsed() >= Duration::from_millis(300) && taken < 100,
        "{taken}"
    );
    assert_eq!(house.broker.stats().connected, 0);
}

#[tokio::test]
async fn five_hundred_that_dawdle_before_connect_keep_nobody_out() {
    let mut house = house();
    let mut dawdlers = Vec::new();
    for index in 0..500 {
        let mut client = Client::open(house.address).await;
        let connect = hello("dawdler").packet();
        client.send(&connect[..index % connect.len()]).await;
        dawdlers.push(client);
    }
    let started = Instant::now();
    for index in 0..50 {
        let id = format!("punctual-{index}");
        let (client, _) = Client::enter(house.address, hello(&id)).await;
        client.leave().await;
        house.expect([arrives(&id), leaves(&id, Ending::Graceful)]).await;
    }
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn a_packet_byte_by_byte_is_no_sign_of_life() {
    // MQTT-3.1.2-24: what counts is a control packet, and here none is ever complete.
    let mut house = house_with(|config| {
        config.timeouts.min_keep_alive = Duration::from_millis(200);
        config.timeouts.max_keep_alive = Duration::from_millis(200);
    });
    for (what, start) in [
        ("a small packet", publish("in/x", &[b'x'; 500], 1, false)),
        ("a large packet", publish("in/x", &[b'x'; 900_000], 1, false)),
        ("only its length", vec![0x30]),
    ] {
        let (mut slow, _) = Client::enter(house.address, hello("slow")).await;
        let taken = soon(drip(&mut slow, &start[..start.len().min(500)])).await;
        assert!(taken < 400, "{what}: {taken}");
        house
            .expect([arrives("slow"), leaves("slow", Ending::KeepAlive)])
            .await;
    }
}

#[tokio::test]
async fn a_large_packet_over_a_slow_link_arrives() {
    let mut house = house_with(|config| {
        config.timeouts.min_keep_alive = Duration::from_millis(200);
        config.timeouts.max_keep_alive = Duration::from_millis(200);
    });
    let (mut client, _) = Client::enter(house.address, hello("far")).await;
    let bytes = publish("in/x", &[b'x'; 40_000], 1, false);
    let (started, mut ticks) = (Instant::now(), interval(PAUSE));
    for piece in bytes.chunks(500) {
        ticks.tick().await;
        client.send(piece).await;
    }
    assert!(
        started.elapsed() > Duration::from_millis(600),
        "longer than it may be silent"
    );
    assert_eq!(client.receive().await, Some((0x40, vec![0, 1])));
    let payload = "x".repeat(40_000);
    house
        .expect([arrives("far"), says("far", "in/x", &payload)])
        .await;
}

#[tokio::test]
async fn the_session_of_one_that_vanished_keeps_what_was_written_into_the_void() {
    // It holds its connection open but neither reads nor says anything: so does a peer whose link was cut.
    let mut house = house();
    let (mut client, _) = Client::enter(house.address, hello("cut").kept().keep_alive(1)).await;
    client.subscribe(&[("t", 1)]).await;
    for number in 0..5 {
        let payload = number.to_string();
        assert_eq!(house.broker.publish("t", payload, false, Qos::AtLeastOnce), Ok(1));
    }
    house
        .expect([arrives("cut"), leaves("cut", Ending::KeepAlive)])
        .await;
    let (mut client, session_present) = Client::enter(house.address, hello("cut").kept()).await;
    assert!(session_present);
    for number in 0..5 {
        let message = client.message().await;
        assert_eq!(
            (message.payload, message.dup),
            (number.to_string().into_bytes(), true)
        );
    }
    client.ping().await;
}

#[tokio::test]
async fn a_reader_that_takes_a_little_now_and_then_loses_its_session_before_it_holds_too_much() {
    let limit = 4_000_000;
    let mut house = house_with(|config| config.limits.max_queued_bytes = limit);
    let (mut slow, _) = Client::enter(house.address, hello("slow").kept()).await;
    let (mut quick, _) = Client::enter(house.address, hello("quick")).await;
    slow.subscribe(&[("t", 1)]).await;
    quick.subscribe(&[("t", 1)]).await;
    house.expect([arrives("slow"), arrives("quick")]).await;
    let mut most = 0;
    let ending = loop {
        house
            .broker
            .publish("t", vec![0; 100_000], false, Qos::AtLeastOnce)
            .unwrap();
        assert_eq!(quick.message().await.payload.len(), 100_000);
        slow.try_take(1000).await;
        most = most.max(house.broker.stats().queued_bytes);
        if let Some(event) = house.try_event() {
            break event;
        }
    };
    assert_eq!(ending, leaves("slow", Ending::Overflow));
    // The quick one has two at most: one that it acknowledges just now, and the next.
    assert!(most <= limit + 202_000, "{most}");
    let (_slow, session_present) = Client::enter(house.address, hello("slow").kept()).await;
    assert!(!session_present, "it learns that it has to start afresh");
    quick.ping().await;
}

#[tokio::test]
async fn those_who_read_nothing_give_way_to_those_who_do() {
    // Together they hold all that the broker may hold; whoever holds the most goes, not whoever comes last.
    let mut house = house_with(|config| {
        config.limits.max_queued_bytes = 3_000_000;
        config.limits.max_queued_bytes_total = 8_000_000;
    });
    let mut hoarders = Vec::new();
    for index in 0..4 {
        let (mut hoarder, _) = Client::enter(house.address, hello(&format!("hoarder-{index}"))).await;
        hoarder.subscribe(&[("hoard", 1)]).await;
        hoarders.push(hoarder);
    }
    let (mut modest, _) = Client::enter(house.address, hello("modest").kept()).await;
    modest.subscribe(&[("modest", 1)]).await;
    while house.broker.stats().queued_bytes < 7_600_000 {
        house
            .broker
            .publish("hoard", vec![0; 50_000], false, Qos::AtLeastOnce)
            .unwrap();
    }
    for _ in 0..10 {
        assert_eq!(
            house
                .broker
                .publish("modest", vec![0; 500_000], false, Qos::AtLeastOnce),
            Ok(1)
        );
        assert_eq!(modest.message().await.payload.len(), 500_000);
        assert!(house.broker.stats().queued_bytes <= 8_000_000);
    }
    modest.ping().await;
    let mut overflowed = Vec::new();
    while let Some(event) = house.try_event() {
        if let Event::Out(client, ending) = event {
            overflowed.push((client, ending));
        }
    }
    assert_eq!(overflowed.len(), 1, "{overflowed:?}");
    assert!(
        overflowed[0].0.starts_with("hoarder") && overflowed[0].1 == Ending::Overflow,
        "{overflowed:?}"
    );
}

#[tokio::test]
async fn the_inbox_is_full_when_it_holds_too_many_bytes() {
    let mut house = house_with(|config| config.limits.inbox_bytes = 250_000);
    let (mut loud, _) = Client::enter(house.address, hello("loud")).await;
    let (mut modest, _) = Client::enter(house.address, hello("modest")).await;
    for id in 1..=3 {
        loud.send(&publish("in/x", &[b'x'; 100_000], id, false)).await;
    }
    for id in 1..=2 {
        assert_eq!(loud.receive().await, Some((0x40, vec![0, id])));
    }
    // The third waits, and does not keep the next one's waiting once there is room.
    modest.send(&publish("in/x", &[b'y'; 60_000], 1, false)).await;
    house.expect([arrives("loud"), arrives("modest")]).await;
    for (client, letter, count) in [
        ("loud", "x", 100_000),
        ("loud", "x", 100_000),
        ("loud", "x", 100_000),
        ("modest", "y", 60_000),
    ] {
        house.expect([says(client, "in/x", &letter.repeat(count))]).await;
    }
    assert_eq!(loud.receive().await, Some((0x40, vec![0, 3])));
    assert_eq!(modest.receive().await, Some((0x40, vec![0, 1])));
    // One that is larger than the inbox has it to itself.
    loud.send(&publish("in/x", &[b'z'; 300_000], 4, false)).await;
    assert_eq!(loud.receive().await, Some((0x40, vec![0, 4])));
    house.expect([says("loud", "in/x", &"z".repeat(300_000))]).await;
}

#[tokio::test]
async fn a_packet_with_very_many_filters_is_refused_before_it_is_read() {
    let house = house();
    for header in [0x82, 0xa2] {
        let (mut client, _) = Client::enter(house.address, hello("a")).await;
        let filters: Vec<u8> = [0, 1, b't', 0].repeat(100_000);
        client
            .try_send(&packet(header, &[&[0, 1][..], &filters].concat()))
            .await;
        client.is_closed().await;
    }
    let (mut client, _) = Client::enter(house.address, hello("a")).await;
    let longest = "x".repeat(1024);
    client.send(&subscribe(1, &[(longest.as_str(), 1); 60])).await;
    assert_eq!(client.receive().await.unwrap().1.len(), 62);
}
