//! Every failure that was reproduced in, or read out of, rumqttd's own listeners and router, and the test that this
//! broker does not have it. "Here" is this file.
//!
//! | row | what kills or confuses rumqttd | test |
//! |---|---|---|
//! | B1 | the limit is reached and the refused client comes again | `front_door::limits_refuse_politely_and_the_listener_lives_on` |
//! | B2 | a client id with `+ $ # /`, twice | `front_door::every_refusal_has_its_connack_code` |
//! | B3 | the only member of a `$share` group leaves with a message unacknowledged | here |
//! | B4 | one silent peer on the TLS listener | `front_door::tls_works_and_a_silent_peer_keeps_nobody_out` |
//! | B5 | a takeover publishes the new will instead of the old one | `wills::a_takeover_publishes_the_old_will_and_keeps_the_new_one` |
//! | B6 | more than 100 retained messages | `messages::ten_thousand_retained_messages_all_arrive` |
//! | B7 | the same filter again | `messages::retained_messages_come_with_every_subscribe_and_go_only_when_told` |
//! | B8 | an empty message that is not to be retained | the same |
//! | B9 | more than a slow or absent subscriber has room for | `messages::a_burst_from_many_clients_reaches_the_owner_completely`, `sessions::an_absent_client_gets_what_it_missed_in_order`, `sessions::a_session_that_would_lose_a_message_ends_instead` |
//! | B10 | an owner that takes its time | `messages::a_burst_from_many_clients_reaches_the_owner_completely` |
//! | B11 | UNSUBSCRIBE from what was not subscribed to | `messages::unsubscribe_is_always_acknowledged` |
//! | B12 | a wrong password, no login, no keep-alive | `front_door::every_refusal_has_its_connack_code`, `messages::rumqttc_can_tell_why_it_is_refused` |
//! | B13 | acknowledgements out of order, or for nothing | `messages::acknowledgements_in_any_order_are_fine` |
//! | source | a connection is served after it was removed | here |
//! | source | PUBREL of an earlier connection | here |
//! | source | a record for every topic, filter and client id ever seen | here |
//! | `router` | a topic beyond ASCII | `messages::messages_are_delivered_with_the_lower_quality_of_both` |
//! | `router` | an acknowledgement nobody asked for | `messages::acknowledgements_in_any_order_are_fine` |
//! | `router` | acknowledged messages of an absent client | `sessions::an_absent_client_gets_what_it_missed_in_order` |

use holdfast_broker::{Ending, Qos, Stats};

use crate::client::{Client, hello, packet, publish, text, until};
use crate::house::{arrives, house, leaves};

#[tokio::test]
async fn the_only_member_of_a_shared_group_leaves_with_a_message_unacknowledged() {
    // B3. The group is refused, and the message comes by an ordinary subscription instead.
    let mut house = house();
    let (mut witness, _) = Client::enter(house.address, hello("witness")).await;
    for session_present in [false, true] {
        let (mut member, present) = Client::enter(house.address, hello("member").kept()).await;
        assert_eq!(present, session_present);
        if session_present {
            assert!(member.unacknowledged_message().await.dup);
        }
        assert_eq!(member.subscribe(&[("$share/g/t", 1)]).await, [0x80]);
        if !session_present {
            assert_eq!(member.subscribe(&[("t", 1)]).await, [1]);
            witness.send(&publish("t", b"x", 1, false)).await;
            assert_eq!(witness.receive().await, Some((0x40, vec![0, 1])));
            member.unacknowledged_message().await;
        }
        member.leave().await;
    }
    witness.ping().await;
    house
        .expect([
            arrives("witness"),
            arrives("member"),
            leaves("member", Ending::Graceful),
            arrives("member"),
            leaves("member", Ending::Graceful),
        ])
        .await;
}

#[tokio::test]
async fn a_client_that_vanishes_amid_its_messages_harms_nobody() {
    // Read in rumqttd's source: what is still scheduled for a connection that was removed.
    let house = house();
    let (mut witness, _) = Client::enter(house.address, hello("witness")).await;
    witness.subscribe(&[("t", 1)]).await;
    for round in 0..100 {
        let (mut client, _) = Client::enter(house.address, hello("fickle").clean(round % 2 == 0)).await;
        client.subscribe(&[("t", 1)]).await;
        client
            .send(
                &[
                    publish("t", &[7; 5000], 1, false),
                    publish("t", &[8; 5000], 2, false),
                ]
                .concat(),
            )
            .await;
        drop(client);
        for _ in 0..2 {
            assert_eq!(witness.message().await.payload.len(), 5000);
        }
    }
    witness.ping().await;
    until(|| house.broker.stats().connected == 1).await;
}

#[tokio::test]
async fn a_release_of_an_earlier_connection_costs_only_the_connection_that_sends_it() {
    // QoS 2 is not offered, in whichever of its four packets.
    let house = house();
    let (mut client, _) = Client::enter(house.address, hello("a").kept()).await;
    client.subscribe(&[("t", 1)]).await;
    let exactly_once = packet(0x34, &[text("t"), vec![0, 1]].concat());
    for bytes in [
        exactly_once,
        packet(0x62, &[0, 1]),
        packet(0x50, &[0, 1]),
        packet(0x70, &[0, 1]),
    ] {
        client.send(&bytes).await;
        client.is_closed().await;
        let session_present;
        (client, session_present) = Client::enter(house.address, hello("a").kept()).await;
        assert!(session_present);
        assert_eq!(house.broker.publish("t", "hi", false, Qos::AtLeastOnce), Ok(1));
        assert_eq!(client.message().await.payload, b"hi");
        client.ping().await;
    }
}

#[tokio::test]
async fn topics_filters_and_client_ids_leave_nothing_behind() {
    let house = house();
    for round in 0..40 {
        let id = format!("client-{round}");
        let (mut client, _) = Client::enter(house.address, hello(&id)).await;
        let filters: Vec<String> = (0..50).map(|number| format!("{id}/{number}/+")).collect();
        let wanted: Vec<(&str, u8)> = filters.iter().map(|filter| (filter.as_str(), 1)).collect();
        assert_eq!(client.subscribe(&wanted).await, [1; 50]);
        let mut messages = Vec::new();
        for number in 0..50_u16 {
            messages.extend(publish(&format!("{id}/{number}/x"), b"x", number + 1, true));
            messages.extend(publish(&format!("{id}/{number}/x"), b"", 0, true));
        }
        client.send(&messages).await;
        // Acknowledged by the broker, but not by the client.
        let mut acknowledged = 0;
        while acknowledged < 50 {
            acknowledged += usize::from(client.receive().await.unwrap().0 == 0x40);
        }
    }
    until(|| house.broker.stats().connected == 0).await;
    let Stats { published_total, .. } = house.broker.stats();
    assert_eq!(
        house.broker.stats(),
        Stats {
            published_total,
            ..Stats::default()
        }
    );
}
