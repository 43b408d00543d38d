//! What MQTT 3.1.1 promises and we rely on, each on this broker and on mosquitto: a test that mosquitto fails is wrong.
//!
//! Where the two differ, the specification leaves the choice, and the test says which. `[MQTT-…]` is the number of the
//! normative statement.

use std::time::Instant;

use crate::client::{Client, Received, hello, packet, publish, subscribe, text};
use crate::site::Site;

macro_rules! on_both {
    ($($name:ident)*) => {
        mod ours {
            $(#[tokio::test] async fn $name() { super::$name(&crate::site::Site::ours()).await; })*
        }
        mod mosquitto {
            $(#[tokio::test] async fn $name() {
                if let Some(site) = crate::site::Site::mosquitto().await {
                    super::$name(&site).await;
                }
            })*
        }
    };
}

on_both! {
    a_session_is_present_exactly_when_it_was_kept
    a_clean_session_drops_subscriptions_and_messages
    retained_messages_are_replaced_deleted_and_flagged
    a_will_is_published_when_the_connection_ends_abnormally_and_not_after_disconnect
    keep_alive_ends_a_silent_connection_after_one_and_a_half_times
    a_packet_id_is_free_again_once_acknowledged
    what_is_unacknowledged_comes_again_with_dup_and_the_same_packet_id
    messages_of_one_topic_keep_their_order
    overlapping_subscriptions_deliver_with_the_best_quality
    unsubscribe_ends_delivery_and_is_always_acknowledged
    a_client_without_an_id_needs_a_clean_session
    a_second_connection_with_the_same_id_ends_the_first
    whoever_breaks_the_protocol_is_closed
    filters_select_topics_as_specified
    wildcards_do_not_select_topics_that_start_with_a_dollar
    connack_says_why
    quality_of_service_is_the_lower_of_both
    every_request_is_acknowledged_with_its_packet_id
    an_absent_client_with_a_kept_session_misses_nothing_of_qos_1
}

/// Publishes with QoS 1 and waits for the acknowledgement: from then on the broker has it.
async fn says(client: &mut Client, topic: &str, payload: &str, retain: bool) {
    client.send(&publish(topic, payload.as_bytes(), 77, retain)).await;
    assert_eq!(client.receive().await, Some((0x40, vec![0, 77])));
}

async fn unsubscribes(client: &mut Client, filter: &str) {
    client
        .send(&packet(0xa2, &[vec![0, 9], text(filter)].concat()))
        .await;
    assert_eq!(client.receive().await, Some((0xb0, vec![0, 9])));
}

/// Everything that the broker has for the client, acknowledged.
async fn everything(client: &mut Client) -> Vec<Received> {
    let mut messages = Vec::new();
    client.send(&[0xc0, 0]).await;
    while let Some(message) = client.message_or_pong().await {
        messages.push(message);
    }
    messages
}

fn payloads(messages: &[Received]) -> Vec<String> {
    let text = |message: &Received| String::from_utf8(message.payload.clone()).unwrap();
    messages.iter().map(text).collect()
}

/// [MQTT-3.1.2-4], [MQTT-3.1.2-6], [MQTT-3.2.2-1] to [MQTT-3.2.2-3].
async fn a_session_is_present_exactly_when_it_was_kept(site: &Site) {
    for (clean, expected) in [
        (false, false),
        (false, true),
        (true, false),
        (true, false),
        (false, false),
        (false, true),
    ] {
        let (client, session_present) = site.enter(hello("a").clean(clean)).await;
        assert_eq!(session_present, expected, "clean: {clean}");
        client.leave().await;
    }
}

/// [MQTT-3.1.2-6].
async fn a_clean_session_drops_subscriptions_and_messages(site: &Site) {
    let (mut publisher, _) = site.enter(hello("publisher")).await;
    let (mut client, _) = site.enter(hello("a").kept()).await;
    client.subscribe(&[("t", 1)]).await;
    client.leave().await;
    says(&mut publisher, "t", "missed", false).await;
    let (mut client, session_present) = site.enter(hello("a")).await;
    assert!(!session_present);
    says(&mut publisher, "t", "not subscribed", false).await;
    assert_eq!(everything(&mut client).await, []);
    client.subscribe(&[("t", 1)]).await;
    client.leave().await;
    let (mut client, session_present) = site.enter(hello("a").kept()).await;
    assert!(!session_present);
    says(&mut publisher, "t", "not subscribed", false).await;
    assert_eq!(everything(&mut client).await, []);
}

/// [MQTT-3.3.1-5] to [MQTT-3.3.1-12].
async fn retained_messages_are_replaced_deleted_and_flagged(site: &Site) {
    let (mut publisher, _) = site.enter(hello("publisher")).await;
    let (mut live, _) = site.enter(hello("live")).await;
    live.subscribe(&[("r/#", 1)]).await;
    for (payload, retain, kept) in [
        ("1", true, Some("1")),
        ("2", true, Some("2")),
        ("passing", false, Some("2")),
        ("", false, Some("2")),
        ("", true, None),
        ("3", true, Some("3")),
    ] {
        says(&mut publisher, "r/x", payload, retain).await;
        let told = everything(&mut live).await;
        assert_eq!(payloads(&told), [payload]);
        assert!(!told[0].retain, "an established subscription sees no flag");
        let (mut late, _) = site.enter(hello("late")).await;
        for _ in 0..2 {
            late.subscribe(&[("r/+", 1)]).await;
            let told = everything(&mut late).await;
            assert_eq!(payloads(&told), kept.into_iter().collect::<Vec<_>>());
            assert!(told.iter().all(|message| message.retain), "a new one does");
        }
        late.leave().await;
    }
}

/// [MQTT-3.1.2-8], [MQTT-3.1.2-10], [MQTT-3.1.2-17].
async fn a_will_is_published_when_the_connection_ends_abnormally_and_not_after_disconnect(site: &Site) {
    let (mut watcher, _) = site.enter(hello("watcher")).await;
    watcher.subscribe(&[("w", 1)]).await;
    let (client, _) = site.enter(hello("a").will("w", "goodbye")).await;
    client.leave().await;
    assert_eq!(everything(&mut watcher).await, []);
    // The socket ends; the protocol is broken; the client comes again.
    let (client, _) = site.enter(hello("a").will("w", "socket")).await;
    drop(client);
    assert_eq!(watcher.message().await.payload, b"socket");
    let (mut client, _) = site.enter(hello("a").will("w", "protocol")).await;
    client.send(&packet(0xf0, &[])).await;
    assert_eq!(watcher.message().await.payload, b"protocol");
    let (_old, _) = site.enter(hello("a").will("w", "takeover")).await;
    let (new, _) = site.enter(hello("a")).await;
    assert_eq!(watcher.message().await.payload, b"takeover");
    new.leave().await;
    assert_eq!(everything(&mut watcher).await, []);
    // Retained, as it said.
    watcher.subscribe(&[("w", 1)]).await;
    let told = everything(&mut watcher).await;
    assert_eq!(
        (payloads(&told), told[0].retain),
        (vec!["takeover".to_owned()], true)
    );
}

/// [MQTT-3.1.2-24].
async fn keep_alive_ends_a_silent_connection_after_one_and_a_half_times(site: &Site) {
    let (mut watcher, _) = site.enter(hello("watcher")).await;
    watcher.subscribe(&[("w", 1)]).await;
    let started = Instant::now();
    let (mut silent, _) = site
        .enter(hello("silent").keep_alive(1).will("w", "silent"))
        .await;
    silent.is_closed().await;
    let silence = started.elapsed();
    // Mosquitto counts in whole seconds, and looks every few.
    let (least, most) = if site.is_ours() {
        (1500, 5000)
    } else {
        (1000, 10_000)
    };
    assert!((least..most).contains(&silence.as_millis()), "{silence:?}");
    assert_eq!(watcher.message().await.payload, b"silent");
}

/// [MQTT-2.3.1-4], [MQTT-4.3.2-1], [MQTT-4.3.2-2].
async fn a_packet_id_is_free_again_once_acknowledged(site: &Site) {
    let (mut client, _) = site.enter(hello("a")).await;
    client.subscribe(&[("t", 0)]).await;
    for round in 0..3 {
        let payload = round.to_string();
        client.send(&publish("t", payload.as_bytes(), 5, false)).await;
        let mut acknowledged = false;
        let mut delivered = false;
        while !(acknowledged && delivered) {
            match client.receive().await.unwrap() {
                (0x40, body) => {
                    assert_eq!(body, [0, 5]);
                    acknowledged = true;
                }
                (0x30, body) => {
                    assert_eq!(body, [&b"\0\x01t"[..], payload.as_bytes()].concat());
                    delivered = true;
                }
                other => panic!("{other:?}"),
            }
        }
    }
    // The broker's own come round again as well.
    client.subscribe(&[("t", 1)]).await;
    let (mut publisher, _) = site.enter(hello("publisher")).await;
    for _ in 0..100 {
        says(&mut publisher, "t", "x", false).await;
        assert!(client.message().await.packet_id > 0);
    }
    assert_eq!(everything(&mut client).await, []);
}

/// [MQTT-3.3.1-1], [MQTT-4.4.0-1], [MQTT-4.6.0-1].
async fn what_is_unacknowledged_comes_again_with_dup_and_the_same_packet_id(site: &Site) {
    let (mut publisher, _) = site.enter(hello("publisher")).await;
    let (mut client, _) = site.enter(hello("a").kept()).await;
    client.subscribe(&[("t", 1)]).await;
    let mut ids = Vec::new();
    for payload in ["1", "2", "3"] {
        says(&mut publisher, "t", payload, false).await;
        let message = client.unacknowledged_message().await;
        assert!(!message.dup);
        ids.push(message.packet_id);
    }
    drop(client);
    let (mut client, session_present) = site.enter(hello("a").kept()).await;
    assert!(session_present);
    for (payload, id) in ["1", "2", "3"].iter().zip(ids) {
        let again = client.message().await;
        assert_eq!(
            (again.payload, again.packet_id, again.dup),
            (payload.as_bytes().to_vec(), id, true)
        );
    }
    assert_eq!(everything(&mut client).await, []);
    client.leave().await;
    let (mut client, _) = site.enter(hello("a").kept()).await;
    assert_eq!(everything(&mut client).await, [], "acknowledged for good");
}

/// [MQTT-4.6.0-5], [MQTT-4.6.0-6].
async fn messages_of_one_topic_keep_their_order(site: &Site) {
    for qos in [0, 1] {
        let (mut client, _) = site.enter(hello("a")).await;
        client.subscribe(&[("t", qos)]).await;
        let (mut publisher, _) = site.enter(hello("publisher")).await;
        for number in 0..300_u16 {
            publisher
                .send(&publish("t", &number.to_be_bytes(), number + 1, false))
                .await;
        }
        for number in 0..300_u16 {
            assert_eq!(client.message().await.payload, number.to_be_bytes());
        }
    }
}

/// [MQTT-3.3.5-1]. Once, or once for each: that is left open, and this broker delivers once. The best quality is not, but
/// mosquitto takes that of the filter which it finds first.
async fn overlapping_subscriptions_deliver_with_the_best_quality(site: &Site) {
    let (mut client, _) = site.enter(hello("a")).await;
    client.subscribe(&[("o/+", 0), ("o/#", 1), ("o/x", 0)]).await;
    let (mut publisher, _) = site.enter(hello("publisher")).await;
    says(&mut publisher, "o/x", "hi", false).await;
    let told = everything(&mut client).await;
    assert!(told.iter().all(|message| message.payload == b"hi"));
    if site.is_ours() {
        assert!(told.len() == 1 && told[0].packet_id > 0, "{told:?}");
    } else {
        assert!(!told.is_empty());
    }
}

/// [MQTT-3.10.4-1] to [MQTT-3.10.4-6].
async fn unsubscribe_ends_delivery_and_is_always_acknowledged(site: &Site) {
    let (mut publisher, _) = site.enter(hello("publisher")).await;
    let (mut client, _) = site.enter(hello("a")).await;
    client.subscribe(&[("t/+", 1), ("t/a", 1)]).await;
    // Character by character: this is another filter.
    for filter in ["t/#", "never/there", "t/+"] {
        unsubscribes(&mut client, filter).await;
    }
    says(&mut publisher, "t/b", "unsubscribed", false).await;
    says(&mut publisher, "t/a", "subscribed", false).await;
    assert_eq!(payloads(&everything(&mut client).await), ["subscribed"]);
}

/// [MQTT-3.1.3-6] to [MQTT-3.1.3-8].
async fn a_client_without_an_id_needs_a_clean_session(site: &Site) {
    let (mut one, session_present) = site.enter(hello("")).await;
    let (mut other, _) = site.enter(hello("")).await;
    assert!(!session_present);
    one.ping().await;
    other.ping().await;
    let mut kept = site.open().await;
    kept.send(&hello("").kept().packet()).await;
    assert_eq!(kept.connack().await, Some((false, 2)));
    kept.is_closed().await;
}

/// [MQTT-3.1.4-2].
async fn a_second_connection_with_the_same_id_ends_the_first(site: &Site) {
    let (mut first, _) = site.enter(hello("a").kept()).await;
    first.subscribe(&[("t", 1)]).await;
    let (mut second, session_present) = site.enter(hello("a").kept()).await;
    assert!(session_present);
    first.is_closed().await;
    let (mut publisher, _) = site.enter(hello("publisher")).await;
    says(&mut publisher, "t", "hi", false).await;
    assert_eq!(second.message().await.payload, b"hi");
}

/// Each ends its connection, in the words of 4.8.
async fn whoever_breaks_the_protocol_is_closed(site: &Site) {
    let with_nul = [&[0, 9, 0, 3][..], b"a\0b", &[0]].concat();
    for (what, bytes) in [
        ("MQTT-3.1.0-2: a second CONNECT", hello("a").packet()),
        (
            "MQTT-3.3.2-2: PUBLISH to a wildcard",
            publish("t/+", b"x", 1, false),
        ),
        (
            "MQTT-3.3.2-2: PUBLISH to another one",
            publish("t/#", b"x", 0, false),
        ),
        (
            "MQTT-3.3.1-4: QoS 3",
            packet(0x36, &[text("t"), vec![0, 1]].concat()),
        ),
        (
            "MQTT-2.3.1-1: packet id 0",
            packet(0x32, &[text("t"), vec![0, 0]].concat()),
        ),
        ("MQTT-3.8.3-3: SUBSCRIBE to nothing", packet(0x82, &[0, 9])),
        (
            "MQTT-3.8.3-4: reserved bits of a filter",
            subscribe(9, &[("t", 0x40)]),
        ),
        ("MQTT-3.8.3-4: a filter with QoS 3", subscribe(9, &[("t", 3)])),
        ("MQTT-3.10.3-2: UNSUBSCRIBE from nothing", packet(0xa2, &[0, 9])),
        (
            "MQTT-2.2.2-2: flags of SUBSCRIBE",
            packet(0x80, &[0, 9, 0, 1, b't', 0]),
        ),
        (
            "MQTT-3.10.1-1: flags of UNSUBSCRIBE",
            packet(0xa0, &[0, 9, 0, 1, b't']),
        ),
        ("MQTT-3.14.1-1: flags of DISCONNECT", packet(0xe1, &[])),
        ("type 0", packet(0x00, &[])),
        ("type 15", packet(0xf0, &[])),
        (
            "MQTT-1.5.3-1: a topic that is not UTF-8",
            packet(0x30, &[0, 2, 0xc3, 0x28]),
        ),
        (
            "MQTT-1.5.3-1: a surrogate",
            packet(0x30, &[0, 3, 0xed, 0xa0, 0x80]),
        ),
        ("MQTT-1.5.3-2: NUL in a topic", packet(0x30, b"\0\x03a\0b")),
        ("MQTT-1.5.3-2: NUL in a filter", packet(0x82, &with_nul)),
        ("MQTT-4.7.1-2: # before the end", subscribe(9, &[("a/#/b", 0)])),
        ("MQTT-4.7.1-3: + within a level", subscribe(9, &[("a+/b", 0)])),
        ("MQTT-4.7.3-1: an empty filter", subscribe(9, &[("", 0)])),
        ("a length of five bytes", vec![0x30, 0xff, 0xff, 0xff, 0xff, 1]),
    ] {
        let (mut client, _) = site.enter(hello("a")).await;
        client.send(&bytes).await;
        assert_eq!(client.receive().await, None, "{what}");
    }
    // MQTT-3.1.0-1.
    let mut client = site.open().await;
    client.send(&publish("t", b"x", 0, false)).await;
    client.is_closed().await;
}

/// 4.7, with its own examples among others.
async fn filters_select_topics_as_specified(site: &Site) {
    let table: &[(&str, &[&str], &[&str])] = &[
        (
            "sport/tennis/player1/#",
            &[
                "sport/tennis/player1",
                "sport/tennis/player1/ranking",
                "sport/tennis/player1/score/wimbledon",
            ],
            &["sport/tennis", "sport/tennis/player10"],
        ),
        (
            "sport/#",
            &["sport", "sport/", "sport/a/b/c"],
            &["sports", "/sport"],
        ),
        ("#", &["a", "/", "a/b/c", "//"], &[]),
        (
            "sport/tennis/+",
            &["sport/tennis/player1", "sport/tennis/"],
            &["sport/tennis", "sport/tennis/player1/ranking"],
        ),
        ("sport/+", &["sport/", "sport/x"], &["sport", "sport/x/"]),
        ("+", &["finance", "a b"], &["/finance", "finance/", "/"]),
        ("+/+", &["/finance", "finance/", "/"], &["finance", "a/b/c"]),
        ("/+", &["/finance", "/"], &["finance", "//"]),
        (
            "+/tennis/#",
            &["a/tennis", "/tennis/b", "a/tennis/b/c"],
            &["tennis", "a/b/tennis"],
        ),
        ("a//b", &["a//b"], &["a/b", "a/x/b"]),
        ("a/+/b", &["a//b", "a/x/b"], &["a/b", "a/x/y/b"]),
        ("+/b/+", &["/b/", "a/b/c"], &["b/", "/b", "a/b/c/d"]),
        ("/", &["/"], &["a", "//", "a/"]),
        ("a/", &["a/"], &["a", "a//"]),
        ("ACCOUNTS", &["ACCOUNTS"], &["Accounts", "accounts"]),
        ("Accounts payable", &["Accounts payable"], &["Accountspayable"]),
        ("+/ü/#", &["ä/ü", "ä/ü/ö"], &["ä/u\u{308}"]),
        ("\u{feff}a", &["\u{feff}a"], &["a"]),
        ("a/b/c/d/e/f/g/h", &["a/b/c/d/e/f/g/h"], &["a/b/c/d/e/f/g"]),
    ];
    let (mut publisher, _) = site.enter(hello("publisher")).await;
    let (mut client, _) = site.enter(hello("a")).await;
    for (filter, selected, others) in table {
        assert_eq!(client.subscribe(&[(*filter, 0)]).await, [0], "{filter}");
        for (topic, expected) in selected
            .iter()
            .map(|it| (it, 1))
            .chain(others.iter().map(|it| (it, 0)))
        {
            says(&mut publisher, topic, "x", false).await;
            let told = everything(&mut client).await;
            assert_eq!(told.len(), expected, "{filter} {topic}");
            assert!(told.iter().all(|message| message.topic == *topic));
        }
        unsubscribes(&mut client, filter).await;
    }
}

/// [MQTT-4.7.2-1]. Mosquitto has `$SYS`; this broker has nothing there, and says so.
async fn wildcards_do_not_select_topics_that_start_with_a_dollar(site: &Site) {
    let (mut client, _) = site.enter(hello("a")).await;
    client
        .subscribe(&[("#", 0), ("+/#", 0), ("+/broker/version", 0)])
        .await;
    assert_eq!(everything(&mut client).await, []);
    if site.is_ours() {
        assert_eq!(
            client.subscribe(&[("$SYS/#", 0), ("$share/g/t", 1)]).await,
            [0x80, 0x80]
        );
        client.send(&publish("$SYS/broker/version", b"x", 0, false)).await;
        client.is_closed().await;
    } else {
        client.subscribe(&[("$SYS/broker/version", 0)]).await;
        assert_eq!(everything(&mut client).await.len(), 1);
    }
}

/// 3.2.2.3, [MQTT-3.1.2-2], [MQTT-3.2.2-4] to [MQTT-3.2.2-6].
async fn connack_says_why(site: &Site) {
    let level_6 = packet(0x10, &[text("MQTT"), vec![6, 2, 0, 60], text("a")].concat());
    // Both codes are for a wrong password, the one for the word, the other for what it would have opened.
    let denied = if site.is_ours() { 4 } else { 5 };
    for (what, bytes, code) in [
        ("welcome", hello("a").packet(), 0),
        ("level 6", level_6, 1),
        ("no id and no clean session", hello("").kept().packet(), 2),
        (
            "wrong password",
            hello("a").user("admin", "wrong").packet(),
            denied,
        ),
        (
            "unknown user",
            hello("a").user("nobody", "secret").packet(),
            denied,
        ),
    ] {
        let mut client = site.open().await;
        client.send(&bytes).await;
        assert_eq!(client.connack().await, Some((false, code)), "{what}");
        if code > 0 {
            client.is_closed().await;
        }
    }
    let reserved_flag = packet(0x10, &[text("MQTT"), vec![4, 3, 0, 60], text("a")].concat());
    let another_protocol = packet(0x10, &[text("MQTX"), vec![4, 2, 0, 60], text("a")].concat());
    let longer = packet(
        0x10,
        &[text("MQTT"), vec![4, 2, 0, 60], text("a"), vec![0]].concat(),
    );
    let will_without_will = packet(0x10, &[text("MQTT"), vec![4, 0x0a, 0, 60], text("a")].concat());
    for (what, bytes) in [
        ("MQTT-3.1.2-3: the reserved flag", reserved_flag),
        ("MQTT-3.1.2-1: another protocol", another_protocol),
        ("more than it says", longer),
        ("MQTT-3.1.2-13: QoS of no will", will_without_will),
    ] {
        let mut client = site.open().await;
        client.send(&bytes).await;
        assert_eq!(client.receive().await, None, "{what}");
    }
}

/// [MQTT-3.8.4-6]. QoS 2 is granted by mosquitto only.
async fn quality_of_service_is_the_lower_of_both(site: &Site) {
    let (mut publisher, _) = site.enter(hello("publisher")).await;
    for (published, wanted, expected) in [(0, 0, 0), (0, 1, 0), (1, 0, 0), (1, 1, 1), (0, 2, 0), (1, 2, 1)] {
        let (mut client, _) = site.enter(hello("a")).await;
        let granted = if site.is_ours() { wanted.min(1) } else { wanted };
        assert_eq!(client.subscribe(&[("q", wanted)]).await, [granted]);
        publisher.send(&publish("q", b"x", published, false)).await;
        if published > 0 {
            assert_eq!(publisher.receive().await, Some((0x40, vec![0, 1])));
        }
        let message = client.message().await;
        assert_eq!(u16::from(message.packet_id > 0), expected, "{published} {wanted}");
        // The same filter again replaces the subscription: [MQTT-3.8.4-3].
        client.subscribe(&[("q", 0)]).await;
        says(&mut publisher, "q", "y", false).await;
        let told = everything(&mut client).await;
        assert_eq!((told.len(), told[0].packet_id), (1, 0));
    }
}

/// [MQTT-2.3.1-6], [MQTT-2.3.1-7], [MQTT-3.8.4-5], [MQTT-3.12.4-1], [MQTT-4.6.0-2].
async fn every_request_is_acknowledged_with_its_packet_id(site: &Site) {
    let (mut client, _) = site.enter(hello("a")).await;
    client
        .send(&subscribe(0xfffe, &[("a", 1), ("b", 0), ("c/#", 1)]))
        .await;
    assert_eq!(client.receive().await, Some((0x90, vec![0xff, 0xfe, 1, 0, 1])));
    client
        .send(&packet(0xa2, &[vec![0xff, 0xfd], text("a")].concat()))
        .await;
    assert_eq!(client.receive().await, Some((0xb0, vec![0xff, 0xfd])));
    // In the order in which they were sent.
    for id in [0xffff_u16, 1, 0x0100] {
        client.send(&publish("elsewhere", b"x", id, false)).await;
    }
    for id in [0xffff_u16, 1, 0x0100] {
        assert_eq!(client.receive().await, Some((0x40, id.to_be_bytes().to_vec())));
    }
    client.ping().await;
}

/// [MQTT-3.1.2-5].
async fn an_absent_client_with_a_kept_session_misses_nothing_of_qos_1(site: &Site) {
    let (mut publisher, _) = site.enter(hello("publisher")).await;
    let (mut client, _) = site.enter(hello("a").kept()).await;
    client.subscribe(&[("t", 1)]).await;
    client.leave().await;
    for number in 0..50 {
        says(&mut publisher, "t", &number.to_string(), false).await;
    }
    let (mut client, session_present) = site.enter(hello("a").kept()).await;
    assert!(session_present);
    for number in 0..50 {
        let message = client.message().await;
        assert_eq!(
            (message.payload, message.dup),
            (number.to_string().into_bytes(), false)
        );
    }
    assert_eq!(everything(&mut client).await, []);
}
