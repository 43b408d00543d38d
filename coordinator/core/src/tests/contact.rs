//! Who is in contact: pings, heartbeats, wills, silence, and coordinators that could not listen.

use std::sync::Arc;

use holdfast_shared::id::NodeId;
use holdfast_shared::model::{ClientStatus, NodeStatus};
use holdfast_shared::time::Duration;
use holdfast_shared::wire::{
    FromAgent, Held, Interest, KEEP_ALIVES_PER_HEARTBEAT, Presence, Register, ToAgent,
};
use serde_json::json;

use super::fleet::{Fleet, KEEP_ALIVE};
use super::life::web;
use super::reconnect::{LOST_AFTER, edge, settled};
use crate::heartbeat::TWIN;
use crate::state::Delta;
use crate::{Effect, Input};

#[test]
fn pings_alone_keep_a_node_ready_as_long_as_they_come() {
    let mut fleet = settled(edge("Disconnect", json!({ "LostAfter": LOST_AFTER })));
    let node = fleet.alloc("edge", |_| true).node;
    // Nothing is heard of it but pings: no last will comes either.
    fleet.agents.get_mut(&node).unwrap().online = false;
    for _ in 0..6 {
        fleet.advance(KEEP_ALIVE);
        fleet.input(Input::Alive(node));
    }
    assert_eq!(fleet.core.state().nodes[&node].status, NodeStatus::Ready);
    fleet.advance(Duration(KEEP_ALIVE.0 * 3 / 2) + Duration::from_secs(6));
    assert_eq!(fleet.core.state().nodes[&node].status, NodeStatus::Disconnected);
    fleet.input(Input::Alive(NodeId(99)));
    assert!(!fleet.core.state().nodes.contains_key(&NodeId(99)));
}

#[test]
fn where_no_pings_are_heard_silence_is_measured_by_heartbeats() {
    let mut fleet = settled(edge("Disconnect", json!({ "LostAfter": LOST_AFTER })));
    fleet.options.hears_pings = false;
    fleet.restart(fleet.core.state().clone());
    let node = fleet.alloc("edge", |_| true).node;
    fleet.agents.get_mut(&node).unwrap().online = false;
    let heartbeat = KEEP_ALIVE.times(KEEP_ALIVES_PER_HEARTBEAT);
    fleet.advance(heartbeat);
    assert_eq!(fleet.core.state().nodes[&node].status, NodeStatus::Ready);
    fleet.advance(Duration(heartbeat.0 / 2) + Duration::from_secs(6));
    assert_eq!(fleet.core.state().nodes[&node].status, NodeStatus::Disconnected);
}

#[test]
fn silence_alone_makes_a_node_gone_after_one_window() {
    let mut fleet = settled(web(1));
    let node = fleet.alloc("web", |_| true).node;
    fleet.agents.get_mut(&node).unwrap().online = false;
    fleet.advance(Duration::from_secs(9));
    assert_eq!(fleet.core.state().nodes[&node].status, NodeStatus::Ready);
    fleet.advance(Duration::from_secs(12));
    assert_eq!(
        fleet.core.state().nodes[&node].status,
        NodeStatus::Down,
        "1.5 x 10 s and 5 s of grace are over"
    );
    assert!(
        fleet.core.state().nodes[&node]
            .events
            .iter()
            .any(|it| it.message == "Node heartbeat missed")
    );
}

#[test]
fn a_node_that_was_silent_is_told_with_its_first_report_what_was_decided_meanwhile() {
    let mut fleet = settled(web(1));
    let lost = fleet.alloc("web", |_| true);
    // It hears and says nothing, in one session.
    fleet.agents.get_mut(&lost.node).unwrap().online = false;
    fleet.advance(Duration::from_secs(25));
    assert_eq!(fleet.core.state().nodes[&lost.node].status, NodeStatus::Down);
    let decided = fleet.core.state().nodes[&lost.node].generation;
    assert!(fleet.agents[&lost.node].held.generation < decided);

    fleet.agents.get_mut(&lost.node).unwrap().online = true;
    fleet.report(lost.node, false, &[lost.id]);
    fleet.settle();
    let agent = &fleet.agents[&lost.node];
    assert_eq!(agent.held.generation, decided);
    assert_eq!(agent.allocs[&lost.id].1, ClientStatus::Complete);
}

#[test]
fn the_will_of_an_older_session_says_nothing() {
    let mut fleet = settled(web(1));
    let node = fleet.alloc("web", |_| true).node;
    fleet.connect(node);
    fleet.input(Input::Presence(
        node,
        Presence {
            session: 1,
            online: false,
        },
    ));
    assert_eq!(fleet.core.state().nodes[&node].status, NodeStatus::Ready);
}

#[test]
fn a_restarted_coordinator_gives_every_node_a_full_window_and_changes_nothing() {
    let mut fleet = settled(web(3));
    let before = fleet.allocs("web");
    let state = fleet.core.state().clone();
    fleet.now = fleet.now + Duration::from_secs(3600);
    fleet.restart(state);
    let told: usize = fleet.agents.values().map(|agent| agent.told.len()).sum();
    fleet.advance(Duration::from_secs(60));
    assert_eq!(fleet.allocs("web"), before);
    assert!(
        fleet
            .core
            .state()
            .nodes
            .values()
            .all(|node| node.status == NodeStatus::Ready)
    );
    assert_eq!(
        fleet.agents.values().map(|agent| agent.told.len()).sum::<usize>(),
        told,
        "nothing had to be said"
    );
}

#[test]
fn a_coordinator_that_was_restored_asks_every_node_what_it_is_like_now() {
    let mut fleet = settled(web(1));
    let node = fleet.alloc("web", |_| true).node;
    let older = fleet.core.state().clone();
    let mut newer = older.clone();
    let mut changed = (*newer.nodes[&node]).clone();
    let color = ("color".to_owned(), "green".to_owned());
    Arc::make_mut(&mut changed.fingerprint).meta.extend([color]);
    newer.apply(&Delta::Node(Arc::new(changed)));
    // What is stored is not what the node is like, and its session never ended.
    fleet.restart(newer);
    fleet.advance(Duration::from_secs(3600));
    let meta = &fleet.core.state().nodes[&node].fingerprint.meta;
    assert_eq!(meta, &older.nodes[&node].fingerprint.meta);
}

#[test]
fn nobody_is_missed_while_nobody_can_be_heard_and_everybody_has_a_full_window_afterwards() {
    let mut fleet = settled(web(3));
    let nodes = [1, 2, 3].map(NodeId);
    let statuses = |fleet: &Fleet, wanted: NodeStatus| {
        nodes
            .iter()
            .filter(|node| fleet.core.state().nodes[*node].status == wanted)
            .count()
    };
    // A broker that hangs, and says afterwards that every session has ended.
    fleet.input(Input::Hearing(false));
    nodes
        .iter()
        .for_each(|node| fleet.agents.get_mut(node).unwrap().online = false);
    fleet.advance(Duration::from_secs(3600));
    fleet.input(Input::Hearing(true));
    nodes.iter().for_each(|node| fleet.disconnect(*node));
    fleet.advance(Duration::from_secs(19));
    assert_eq!(statuses(&fleet, NodeStatus::Ready), 3);
    nodes[1..].iter().for_each(|node| fleet.connect(*node));
    // Who is not back by then is gone; who is back is excused no longer.
    fleet.advance(Duration::from_secs(2));
    assert_eq!(
        (
            statuses(&fleet, NodeStatus::Ready),
            statuses(&fleet, NodeStatus::Down)
        ),
        (2, 1)
    );
    fleet.disconnect(nodes[1]);
    assert_eq!(statuses(&fleet, NodeStatus::Down), 2);

    fleet.connect(nodes[0]);
    fleet.connect(nodes[1]);
    fleet.advance(Duration::from_secs(60));
    // The coordinator was stopped and goes on: what it missed comes first.
    fleet.now = fleet.now + Duration::from_secs(600);
    fleet.input(Input::Lapse);
    fleet.settle();
    fleet.advance(Duration::from_secs(60));
    assert_eq!(statuses(&fleet, NodeStatus::Ready), 3);
}

#[test]
fn a_clock_that_was_wrong_by_years_makes_nobody_lost() {
    for wrong in [10 * 365 * 86_400, 40 * 365 * 86_400] {
        let mut fleet = settled(edge("Disconnect", json!({ "LostAfter": LOST_AFTER })));
        let node = fleet.alloc("edge", |_| true).node;
        fleet.disconnect(node);
        fleet.advance(Duration::from_secs(60));
        let before = fleet.allocs("edge");
        assert!(before[0].contains("run/unknown"), "{before:?}");
        let state = fleet.core.state().clone();
        fleet.now = fleet.now + Duration::from_secs(wrong);
        fleet.restart(state);
        for other in [1, 2, 3].map(NodeId).into_iter().filter(|it| *it != node) {
            fleet.connect(other);
        }
        fleet.advance(Duration::from_secs(3000));
        assert_eq!(fleet.allocs("edge"), before);
        // The rest of its time counts.
        fleet.advance(Duration::from_secs(700));
        assert!(
            fleet.allocs("edge")[0].contains("lost"),
            "{:?}",
            fleet.allocs("edge")
        );
    }
}

#[test]
fn an_agent_with_an_older_session_is_told_of_the_newer_one_and_people_see_it_once() {
    let mut fleet = settled(edge("Disconnect", json!({ "LostAfter": LOST_AFTER })));
    let id = NodeId(1);
    let before = fleet.core.state().nodes[&id].clone();
    for _ in 0..3 {
        let twin = FromAgent::Register(Register {
            session: before.session - 1,
            held: Held::default(),
            fingerprint: b"{}".to_vec(),
        });
        let effects = fleet.core.handle(fleet.now, Input::Agent(id, twin));
        let answer = Effect::Publish(
            id,
            ToAgent::Ack {
                session: before.session,
                seq: 0,
            },
        );
        assert!(effects.contains(&answer), "{effects:?}");
    }
    let after = &fleet.core.state().nodes[&id];
    assert_eq!(
        (after.status, after.session, &after.fingerprint),
        (NodeStatus::Ready, before.session, &before.fingerprint)
    );
    let said = after.events.iter().filter(|event| event.message == TWIN);
    assert_eq!(said.count(), 1);
}

#[test]
fn whatever_a_node_says_is_a_sign_of_life() {
    let mut fleet = settled(web(1));
    let node = fleet.alloc("web", |_| true).node;
    let session = fleet.core.state().nodes[&node].session;
    let presence = Presence {
        session,
        online: false,
    };
    fleet.input(Input::Presence(node, presence));
    // Its next session begins, and the first thing that arrives of it is what services it asks for.
    let interest = Interest {
        session: session + 1,
        services: Vec::new(),
        namespaces: Vec::new(),
    };
    fleet.agents.get_mut(&node).unwrap().online = false;
    fleet.input(Input::Agent(node, FromAgent::Interest(interest)));
    fleet.advance(KEEP_ALIVE);
    assert_eq!(fleet.core.state().nodes[&node].status, NodeStatus::Ready);
}
