//! What hostile campaigns leave behind: nothing that is counted, no open file, and no memory that grows from one
//! campaign to the next. In a process of its own, because the figures are the process's.

#![allow(
    clippy::unwrap_used,
    reason = "all of this is test code, its helpers included"
)]

#[path = "../broker/client.rs"]
#[expect(dead_code, reason = "shared with the other tests, which need more of it")]
mod client;
#[path = "../broker/house.rs"]
#[expect(dead_code, reason = "shared with the other tests, which need more of it")]
mod house;

use holdfast_broker::{Qos, Stats};

use client::{Client, hello, packet, publish, subscribe, until};
use house::{House, house_with};

/// Connections of each campaign.
const CONNECTIONS: usize = 1000;

/// What one connection does between its arrival and its end.
#[derive(Debug, Clone, Copy)]
enum Campaign {
    SaysNothing,
    HalfAConnect,
    IsRefused,
    LeavesAbruptly,
    BreaksTheProtocol,
    HalfAPacket,
    PublishesForOthers,
    ReadsNothing,
    TakesOver,
    KeepsSessions,
    RetainsAndSubscribes,
    HasWills,
}

const CAMPAIGNS: [Campaign; 12] = [
    Campaign::SaysNothing,
    Campaign::HalfAConnect,
    Campaign::IsRefused,
    Campaign::LeavesAbruptly,
    Campaign::BreaksTheProtocol,
    Campaign::HalfAPacket,
    Campaign::PublishesForOthers,
    Campaign::ReadsNothing,
    Campaign::TakesOver,
    Campaign::KeepsSessions,
    Campaign::RetainsAndSubscribes,
    Campaign::HasWills,
];

async fn attack(house: &House, campaign: Campaign, index: usize) {
    let address = house.address;
    let id = format!("offender-{index}");
    match campaign {
        Campaign::SaysNothing => drop(Client::open(address).await),
        Campaign::HalfAConnect => {
            let connect = hello(&id).packet();
            Client::open(address)
                .await
                .send(&connect[..connect.len() / 2])
                .await;
        }
        Campaign::IsRefused => {
            let mut client = Client::open(address).await;
            client.send(&hello(&id).user("admin", "wrong").packet()).await;
            assert_eq!(client.connack().await, Some((false, 4)));
        }
        Campaign::LeavesAbruptly => drop(Client::enter(address, hello(&id)).await),
        Campaign::BreaksTheProtocol => {
            let (mut client, _) = Client::enter(address, hello(&id)).await;
            client.subscribe(&[("t/#", 1)]).await;
            client.send(&packet(0x62, &[0, 1])).await;
            client.is_closed().await;
        }
        Campaign::HalfAPacket => {
            let (mut client, _) = Client::enter(address, hello(&id)).await;
            let whole = publish("in/x", &[7; 100_000], 1, false);
            client.send(&whole[..50_000]).await;
        }
        Campaign::PublishesForOthers => {
            let (mut client, _) = Client::enter(address, hello(&id).user("node", "secret")).await;
            client.send(&publish("n/other/x", b"x", 1, true)).await;
            client.is_closed().await;
        }
        Campaign::ReadsNothing => {
            let (mut client, _) = Client::enter(address, hello(&id)).await;
            client.subscribe(&[("t", 1)]).await;
            house
                .broker
                .publish("t", vec![7; 20_000], false, Qos::AtLeastOnce)
                .unwrap();
        }
        Campaign::TakesOver => {
            let hello = hello("the same").clean(index.is_multiple_of(2));
            let (mut client, _) = Client::enter(address, hello).await;
            client.send(&subscribe(1, &[("t/+", 1), ("u/+", 0)])).await;
        }
        Campaign::KeepsSessions => {
            let (mut client, _) = Client::enter(address, hello(&id).kept()).await;
            client.subscribe(&[("kept", 1)]).await;
            drop(client);
            // Whoever wants its session gone says so.
            Client::enter(address, hello(&id)).await.0.leave().await;
        }
        Campaign::RetainsAndSubscribes => {
            let (mut client, _) = Client::enter(address, hello(&id)).await;
            let topic = format!("r/{index}");
            client.send(&publish(&topic, &[7; 2000], 0, true)).await;
            client.subscribe(&[(topic.as_str(), 1)]).await;
            client.message().await;
            client.send(&publish(&topic, b"", 0, true)).await;
            client.message().await;
            client.leave().await;
        }
        Campaign::HasWills => drop(Client::enter(address, hello(&id).will("in/will", "")).await),
    }
}

/// Runs one campaign and waits until everything that is counted is as it was.
async fn campaign(house: &mut House, campaign: Campaign, idle_files: usize) {
    for index in 0..CONNECTIONS {
        attack(house, campaign, index).await;
        while house.try_event().is_some() {}
    }
    // Who is last to keep a session takes it along.
    Client::enter(house.address, hello("the same"))
        .await
        .0
        .leave()
        .await;
    let broker = &house.broker;
    until(|| {
        let counted = Stats {
            published_total: 0,
            refused_total: 0,
            ..broker.stats()
        };
        counted == Stats::default() && open_files() <= idle_files
    })
    .await;
    while house.try_event().is_some() {}
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn resident_kb() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_thousand_connections_of_every_hostile_kind_leave_nothing_behind() {
    let mut house = house_with(|config| config.limits.inbox_capacity = 8192);
    let idle_files = open_files();
    for kind in CAMPAIGNS {
        // The allocator and the runtime keep what the first round needed; the second must need no more.
        campaign(&mut house, kind, idle_files).await;
        let before = resident_kb();
        campaign(&mut house, kind, idle_files).await;
        let growth = resident_kb().saturating_sub(before);
        println!(
            "{kind:?}: {growth} KB more in the second round, {} KB in all",
            resident_kb()
        );
        assert!(
            growth < 1024,
            "{kind:?}: {growth} KB for {CONNECTIONS} connections"
        );
    }
}
