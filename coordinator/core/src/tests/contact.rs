//! Nodes that go out of contact and come back, coordinators that restart, and states that are too old.

use std::collections::BTreeSet;

use holdfast_shared::id::{AllocId, NodeId};
use holdfast_shared::model::{ClientStatus, DesiredStatus, NodeStatus};
use holdfast_shared::time::Duration;
use holdfast_shared::wire::{
    AllocReport, FromAgent, Held, Interest, KEEP_ALIVES_PER_HEARTBEAT, Presence, Register, Report, ToAgent,
};
use serde_json::{Value, json};

use super::fleet::{Fleet, KEEP_ALIVE, job};
use super::life::web;
use crate::heartbeat::TWIN;
use crate::{Command, DeploymentAction, Effect, Input};

const LOST_AFTER: i64 = 3_600_000_000_000;

fn edge(policy: &str, value: Value) -> Value {
    let mut edge = json!({ "ID": "edge", "Type": "service", "TaskGroups": [{ "Name": "web", "Count": 1,
        "Services": [{ "Name": "edge-web", "Provider": "nomad", "PortLabel": "http" }],
        "Networks": [{ "DynamicPorts": [{ "Label": "http" }] }],
        "Tasks": [{ "Name": "main", "Driver": "docker" }] }] });
    edge["TaskGroups"][0][policy] = value;
    edge
}

fn settled(job_json: Value) -> Fleet {
    let mut fleet = Fleet::new(3);
    fleet.run(&job(job_json));
    fleet.advance(Duration::from_secs(20));
    fleet
}

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
fn a_disconnected_original_is_replaced_after_its_delay_and_wins_when_it_is_back() {
    let mut fleet = settled(edge("Disconnect", json!({ "LostAfter": LOST_AFTER })));
    let original = fleet.alloc("edge", |_| true);
    assert_eq!(fleet.core.state().service("default", "edge-web").count(), 1);

    fleet.disconnect(original.node);
    fleet.settle();
    assert_eq!(
        fleet.core.state().nodes[&original.node].status,
        NodeStatus::Disconnected
    );
    assert_eq!(fleet.alloc("edge", |_| true).client, ClientStatus::Unknown);
    fleet.advance(Duration::from_secs(29));
    assert_eq!(
        fleet.allocs("edge").len(),
        1,
        "the reschedule delay of 30 s is not over"
    );
    fleet.advance(Duration::from_secs(2));
    let replacement = fleet.alloc("edge", |it| it.id != original.id);
    assert_eq!(
        (replacement.client, replacement.previous),
        (ClientStatus::Running, Some(original.id))
    );
    assert_eq!(
        fleet.core.state().service("default", "edge-web").count(),
        2,
        "both are listed meanwhile"
    );

    fleet.connect(original.node);
    fleet.advance(Duration::from_secs(1));
    assert_eq!(fleet.core.state().nodes[&original.node].status, NodeStatus::Ready);
    let first = fleet.alloc("edge", |it| it.id == original.id);
    let second = fleet.alloc("edge", |it| it.id != original.id);
    assert_eq!(
        (first.desired, first.client),
        (DesiredStatus::Run, ClientStatus::Running)
    );
    assert_eq!(
        (second.desired, second.client),
        (DesiredStatus::Stop, ClientStatus::Complete)
    );
    assert_eq!(
        second.desired_description,
        "alloc not needed due to disconnected client reconnect"
    );
    let services: Vec<_> = fleet.core.state().service("default", "edge-web").collect();
    assert!(services.len() == 1 && services[0].alloc == original.id);
}

#[test]
fn the_older_field_of_edge_jobs_brings_the_replacement_at_once() {
    let mut fleet = settled(edge("MaxClientDisconnect", json!(LOST_AFTER)));
    let original = fleet.alloc("edge", |_| true);
    fleet.disconnect(original.node);
    fleet.settle();
    let replacement = fleet.alloc("edge", |it| it.id != original.id);
    assert_eq!(
        (replacement.client, replacement.name),
        (ClientStatus::Running, original.name.clone())
    );
    assert_eq!(
        fleet.alloc("edge", |it| it.id == original.id).client,
        ClientStatus::Unknown
    );
}

#[test]
fn without_a_disconnect_block_the_node_is_down_and_what_it_ran_is_lost_and_ends_on_return() {
    let mut fleet = settled(web(1));
    let original = fleet.alloc("web", |_| true);
    fleet.disconnect(original.node);
    fleet.settle();
    assert_eq!(fleet.core.state().nodes[&original.node].status, NodeStatus::Down);
    let lost = fleet.alloc("web", |it| it.id == original.id);
    assert_eq!(
        (lost.desired, lost.client),
        (DesiredStatus::Stop, ClientStatus::Lost)
    );
    assert_eq!(
        fleet.alloc("web", |it| it.id != original.id).client,
        ClientStatus::Running
    );
    fleet.connect(original.node);
    fleet.advance(Duration::from_secs(1));
    assert_eq!(
        fleet.alloc("web", |it| it.id == original.id).client,
        ClientStatus::Complete
    );
    assert_eq!(fleet.core.state().nodes[&original.node].status, NodeStatus::Ready);
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
fn nothing_is_decided_before_the_returning_node_has_reported() {
    let mut fleet = settled(edge("MaxClientDisconnect", json!(LOST_AFTER)));
    let original = fleet.alloc("edge", |_| true);
    fleet.disconnect(original.node);
    fleet.settle();
    // It registers, and then is silent about what it runs.
    fleet.agents.get_mut(&original.node).unwrap().mute = true;
    fleet.register(original.node);
    fleet.advance(Duration::from_secs(25));
    assert_eq!(
        fleet.core.state().nodes[&original.node].status,
        NodeStatus::Initializing
    );
    assert!(
        fleet.allocs("edge").iter().all(|it| it.contains("run/")),
        "{:?}",
        fleet.allocs("edge")
    );
    fleet.advance(Duration::from_secs(10));
    assert_eq!(fleet.core.state().nodes[&original.node].status, NodeStatus::Ready);
    let running = fleet.alloc("edge", |it| it.id != original.id);
    assert_eq!(
        (running.desired, running.client),
        (DesiredStatus::Run, ClientStatus::Running)
    );
    assert_eq!(
        fleet.alloc("edge", |it| it.id == original.id).desired,
        DesiredStatus::Stop
    );
}

#[test]
fn an_original_of_an_older_version_ends_whatever_the_strategy() {
    let policy = json!({ "LostAfter": LOST_AFTER, "Reconcile": "keep_original", "ReplaceAfter": 0 });
    let mut wanted = edge("Disconnect", policy);
    let mut fleet = settled(wanted.clone());
    let original = fleet.alloc("edge", |_| true);
    fleet.disconnect(original.node);
    fleet.settle();
    wanted["TaskGroups"][0]["Tasks"][0]["Env"] = json!({ "VERSION": "1" });
    fleet.run(&job(wanted));
    fleet.advance(Duration::from_secs(5));
    let live = |fleet: &Fleet| -> Vec<String> {
        fleet
            .allocs("edge")
            .into_iter()
            .filter(|it| it.contains("run/running"))
            .collect()
    };
    assert!(
        live(&fleet).len() == 1 && live(&fleet)[0].ends_with("v1"),
        "{:?}",
        fleet.allocs("edge")
    );
    fleet.connect(original.node);
    fleet.advance(Duration::from_secs(5));
    assert!(
        live(&fleet).len() == 1 && live(&fleet)[0].ends_with("v1"),
        "{:?}",
        fleet.allocs("edge")
    );
    assert_eq!(
        fleet.alloc("edge", |it| it.id == original.id).client,
        ClientStatus::Complete
    );
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
fn a_state_from_a_backup_stops_nothing_until_an_operator_adopts_it() {
    let mut fleet = settled(web(1));
    let backup = fleet.core.state().clone();
    let mut more = web(1);
    more["ID"] = json!("more");
    more["TaskGroups"][0]["Count"] = json!(6);
    fleet.run(&job(more));
    let running = |fleet: &Fleet| -> usize {
        let allocs = fleet.agents.values().flat_map(|agent| agent.allocs.values());
        allocs
            .filter(|(_, status)| *status == ClientStatus::Running)
            .count()
    };
    assert_eq!(running(&fleet), 7);
    fleet.restart(backup);
    for node in [1, 2, 3].map(NodeId) {
        fleet.connect(node);
    }
    fleet.advance(Duration::from_secs(120));
    assert_eq!(running(&fleet), 7, "the older state has no say");
    let warned = fleet.core.state().nodes.values().any(|node| {
        node.events.iter().any(|it| {
            it.message
                .starts_with("coordinator state is older than the node's")
        })
    });
    assert!(warned);
    fleet.command(Command::AdoptState).unwrap();
    for node in [1, 2, 3].map(NodeId) {
        fleet.connect(node);
    }
    fleet.advance(Duration::from_secs(30));
    assert_eq!(
        running(&fleet),
        1,
        "what the adopted state does not know has ended"
    );
}

#[test]
fn an_older_state_has_no_say_however_much_it_decides() {
    for (heard_first, starts) in [(true, 1), (false, 1), (true, 2)] {
        let mut fleet = settled(web(1));
        let node = fleet.alloc("web", |_| true).node;
        let here = |id: &str| {
            let mut here = web(1);
            here["ID"] = json!(id);
            here["Constraints"] =
                json!([{ "LTarget": "${node.unique.id}", "RTarget": node.to_string(), "Operand": "=" }]);
            job(here)
        };
        let backup = fleet.core.state().clone();
        fleet.run(&here("newer"));
        let held = fleet.agents[&node].held;
        fleet.restart(backup);
        if heard_first {
            fleet.connect(node);
        }
        // Its own decisions count generations up, beyond what the node holds.
        for number in 0..5 {
            fleet.run(&here(&format!("more-{number}")));
            if number == 2 && starts == 2 {
                let state = fleet.core.state().clone();
                fleet.restart(state);
            }
        }
        assert!(fleet.core.state().nodes[&node].generation > held.generation);
        fleet.connect(node);
        fleet.advance(Duration::from_secs(60));
        let agent = &fleet.agents[&node];
        assert_eq!(
            (agent.held, agent.allocs.len()),
            (held, 2),
            "{heard_first} {starts}"
        );
        // An epoch that nobody holds yet, however many were lost; and what is not known ends without a new session.
        fleet.agents.get_mut(&node).unwrap().held.epoch = 7;
        fleet.advance(Duration::from_secs(20));
        fleet.command(Command::AdoptState).unwrap();
        let agent = &fleet.agents[&node];
        let jobs: BTreeSet<&str> = agent
            .allocs
            .values()
            .map(|(alloc, _)| alloc.job.as_str())
            .collect();
        assert_eq!(
            (agent.held.epoch, jobs.len(), jobs.contains("newer")),
            (8, 6, false),
            "{heard_first} {starts}"
        );
    }
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
fn a_node_that_stays_connected_over_a_restart_of_the_coordinator_is_asked_before_it_is_told() {
    let mut fleet = settled(web(1));
    let state = fleet.core.state().clone();
    // Through a broker of its own nothing tells the node that the coordinator has restarted.
    fleet.restart(state);
    let mut more = web(1);
    more["ID"] = json!("more");
    fleet.run(&job(more));
    assert_eq!(
        fleet.alloc("more", |_| true).client,
        ClientStatus::Running,
        "without waiting for a heartbeat"
    );
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
fn allocations_that_nobody_knows_are_told_to_end_by_name() {
    let mut fleet = settled(web(1));
    let node = fleet.alloc("web", |_| true).node;
    let known = fleet.alloc("web", |_| true).id;
    let agent = fleet.agents.get_mut(&node).unwrap();
    let (mut stray, status) = agent.allocs[&known].clone();
    stray.id = AllocId(99);
    agent.allocs.insert(AllocId(99), (stray, status));
    fleet.report_all(node);
    let agent = &fleet.agents[&node];
    assert_eq!(agent.allocs.keys().collect::<Vec<_>>(), [&known]);
    assert_eq!(agent.told.last().unwrap().stop, [AllocId(99)]);
}

#[test]
fn what_a_node_invents_costs_a_bounded_amount() {
    let mut fleet = settled(web(1));
    let node = fleet.alloc("web", |_| true).node;
    let agent = &fleet.agents[&node];
    let (session, held) = (agent.session, agent.held);
    let invented = |round: u128| (0..2000).map(move |number| AllocId(1 << 100 | round << 32 | number));
    let mut most = 0;
    for round in 0..10 {
        let allocs = invented(round).map(|id| AllocReport {
            id,
            client: ClientStatus::Running,
            description: String::new(),
            healthy: None,
            address: String::new(),
            tasks: Vec::new(),
        });
        let report = Report {
            session,
            seq: 1000,
            full: false,
            held,
            allocs: allocs.collect(),
        };
        for effect in fleet
            .core
            .handle(fleet.now, Input::Agent(node, FromAgent::Report(report)))
        {
            if let Effect::Publish(_, ToAgent::Assignments(set)) = effect {
                most = most.max(set.stop.len());
            }
        }
    }
    assert!((1..=1024).contains(&most), "{most} of 20,000 are told to end");
    let interest = Interest {
        session,
        services: (0..20_000)
            .map(|it| ("default".into(), format!("s{it}")))
            .collect(),
        namespaces: (0..20_000).map(|it| format!("n{it}")).collect(),
    };
    let effects = fleet
        .core
        .handle(fleet.now, Input::Agent(node, FromAgent::Interest(interest)));
    assert!(effects.iter().any(|effect| {
        matches!(effect, Effect::Publish(_, ToAgent::Catalog(catalog)) if catalog.services.len() == 1024)
    }));
}

#[test]
fn an_agent_that_lost_a_message_is_sent_what_it_missed() {
    let mut fleet = settled(web(1));
    let node = fleet.alloc("web", |_| true).node;
    fleet.agents.get_mut(&node).unwrap().deaf = true;
    let mut more = web(1);
    more["ID"] = json!("more");
    more["Constraints"] =
        json!([{ "LTarget": "${node.unique.id}", "RTarget": node.to_string(), "Operand": "=" }]);
    fleet.run(&job(more));
    assert_eq!(fleet.alloc("more", |_| true).client, ClientStatus::Pending);
    fleet.agents.get_mut(&node).unwrap().deaf = false;
    fleet.advance(Duration::from_secs(11));
    assert_eq!(fleet.alloc("more", |_| true).client, ClientStatus::Running);
    let told = fleet.agents[&node].told.last().unwrap();
    assert!(
        told.base.is_some() && told.allocs.len() == 1 && told.jobs.len() == 1,
        "only what it missed"
    );
}

#[test]
fn every_report_is_acknowledged_when_it_is_durable() {
    let mut fleet = settled(web(1));
    let node = fleet.alloc("web", |_| true).node;
    fleet.report_all(node);
    let agent = &fleet.agents[&node];
    assert_eq!(agent.acked, agent.seq);
}

#[test]
fn a_replacement_that_a_deployment_held_up_comes_when_the_deployment_ends() {
    let mut wanted = edge("Disconnect", json!({ "LostAfter": LOST_AFTER }));
    wanted["TaskGroups"][0]["Update"] = json!({ "MaxParallel": 1 });
    let mut fleet = Fleet::new(3);
    for agent in fleet.agents.values_mut() {
        agent.coy = true;
    }
    fleet.run(&job(wanted));
    let original = fleet.alloc("edge", |_| true);
    fleet.disconnect(original.node);
    fleet.advance(Duration::from_secs(120));
    assert_eq!(
        fleet.allocs("edge").len(),
        1,
        "allocations of an active deployment are not replaced"
    );
    let id = *fleet.core.state().deployments.keys().next().unwrap();
    fleet
        .command(Command::Deployment {
            id,
            action: DeploymentAction::Fail,
        })
        .unwrap();
    let replacement = fleet.alloc("edge", |it| it.id != original.id);
    assert_eq!(
        (replacement.client, replacement.previous),
        (ClientStatus::Running, Some(original.id))
    );
}

#[test]
fn a_node_that_vanishes_again_before_it_reported_does_not_hold_up_the_replacement() {
    let mut fleet = settled(edge("Disconnect", json!({ "LostAfter": LOST_AFTER })));
    let original = fleet.alloc("edge", |_| true);
    fleet.disconnect(original.node);
    fleet.advance(Duration::from_secs(28));
    // It is back for a moment, just when the follow-up evaluation is due, and says nothing.
    fleet.agents.get_mut(&original.node).unwrap().mute = true;
    fleet.register(original.node);
    fleet.advance(Duration::from_secs(5));
    assert_eq!(
        fleet.allocs("edge").len(),
        1,
        "nothing is decided on an unconfirmed original"
    );
    fleet.disconnect(original.node);
    fleet.settle();
    assert_eq!(fleet.allocs("edge").len(), 2);
}

#[test]
fn with_stop_on_client_after_nothing_is_placed_before_the_node_has_stopped_it() {
    let policy = json!({ "StopOnClientAfter": 60_000_000_000_i64 });
    let mut fleet = settled(edge("Disconnect", policy));
    let original = fleet.alloc("edge", |_| true);
    fleet.disconnect(original.node);
    fleet.settle();
    assert_eq!(fleet.alloc("edge", |_| true).client, ClientStatus::Lost);
    fleet
        .command(Command::EvaluateJob {
            key: original.job.clone(),
            force_reschedule: false,
        })
        .unwrap();
    fleet.advance(Duration::from_secs(63));
    assert_eq!(
        fleet.allocs("edge").len(),
        1,
        "60 s and the time to end are not over"
    );
    fleet.advance(Duration::from_secs(4));
    assert_eq!(fleet.allocs("edge").len(), 2);
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
