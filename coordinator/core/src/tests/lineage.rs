//! What nodes hold and report: states that are too old, lost messages, allocations that nobody knows.

use std::collections::BTreeSet;

use holdfast_shared::id::{AllocId, NodeId};
use holdfast_shared::model::ClientStatus;
use holdfast_shared::time::Duration;
use holdfast_shared::wire::{AllocReport, FromAgent, Held, Interest, Report, ToAgent};
use serde_json::json;

use super::fleet::{Fleet, job};
use super::life::web;
use super::reconnect::settled;
use crate::{Command, Effect, Input};

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
        let lost = 1 << 40;
        fleet.agents.get_mut(&node).unwrap().held.epoch = lost;
        fleet.advance(Duration::from_secs(20));
        fleet.command(Command::AdoptState).unwrap();
        let agent = &fleet.agents[&node];
        let jobs: BTreeSet<&str> = agent
            .allocs
            .values()
            .map(|(alloc, _)| alloc.job.as_str())
            .collect();
        assert_eq!(
            (agent.held.epoch > lost, jobs.len(), jobs.contains("newer")),
            (true, 6, false),
            "{heard_first} {starts}"
        );
    }
}

#[test]
fn what_a_restored_copy_told_a_node_is_not_taken_for_what_another_copy_had_told_it_before() {
    let mut fleet = settled(web(1));
    let node = fleet.alloc("web", |_| true).node;
    let older = fleet.core.state().clone();
    for number in 0..6 {
        let mut more = web(3);
        more["ID"] = json!(format!("more-{number}"));
        fleet.run(&job(more));
    }
    let newer = fleet.core.state().clone();

    fleet.restart(older);
    let agent = fleet.agents.get_mut(&node).unwrap();
    (agent.held, agent.allocs) = (Held::default(), Default::default());
    fleet.connect(node);
    let (held, running) = (fleet.agents[&node].held, fleet.agents[&node].allocs.clone());
    assert_eq!(running.len(), 1, "told anew, as its store was lost");
    assert!(held.generation < newer.nodes[&node].sent_generation);

    fleet.restart(newer);
    fleet.connect(node);
    fleet.advance(Duration::from_secs(60));
    assert_eq!(
        fleet.agents[&node].held, held,
        "a copy that was never there has no say"
    );
    fleet.command(Command::AdoptState).unwrap();
    assert!(fleet.agents[&node].held > held);
}

#[test]
fn a_restart_of_the_coordinator_sends_no_node_what_it_has() {
    let mut fleet = settled(web(3));
    let node = fleet.alloc("web", |_| true).node;
    let before = fleet.agents[&node].told.len();
    let state = fleet.core.state().clone();
    fleet.restart(state);
    for id in [1, 2, 3].map(NodeId) {
        fleet.connect(id);
    }
    fleet.advance(Duration::from_secs(60));
    assert_eq!(fleet.agents[&node].told.len(), before);
    let mut more = web(3);
    more["ID"] = json!("more");
    fleet.run(&job(more));
    let told = fleet.agents[&node].told.last().unwrap();
    assert_eq!((told.allocs.len(), told.base.is_some()), (1, true), "{told:?}");
}

#[test]
fn a_state_remembers_a_bounded_number_of_its_starts() {
    let mut fleet = settled(web(1));
    let node = fleet.alloc("web", |_| true).node;
    for _ in 0..1100 {
        let state = fleet.core.state().clone();
        fleet.restart(state);
    }
    assert_eq!(fleet.core.state().lineage.len(), 1024);
    fleet.connect(node);
    assert_eq!(
        fleet.agents[&node].held.epoch,
        fleet.core.state().epoch,
        "nobody can say who told it, so it is told anew"
    );
}

#[test]
fn a_node_that_claims_an_epoch_beyond_all_reason_takes_nobody_with_it() {
    let mut fleet = settled(web(1));
    let node = fleet.alloc("web", |_| true).node;
    for claimed in [u64::MAX, u64::MAX - 1] {
        fleet.agents.get_mut(&node).unwrap().held.epoch = claimed;
        fleet.connect(node);
        let before = fleet.core.state().epoch;
        fleet.command(Command::AdoptState).unwrap();
        let after = fleet.core.state().epoch;
        assert!(before < after && after < 1 << 62, "{before} {after}");
    }
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
fn what_is_on_its_way_to_a_node_is_not_sent_again_until_a_heartbeat_asks_for_it() {
    let mut fleet = settled(web(1));
    let node = fleet.alloc("web", |_| true).node;
    let agent = fleet.agents.get_mut(&node).unwrap();
    agent.deaf = true;
    let (session, held, seq) = (agent.session, agent.held, agent.seq + 1);
    let mut more = web(1);
    more["ID"] = json!("more");
    more["Constraints"] =
        json!([{ "LTarget": "${node.unique.id}", "RTarget": node.to_string(), "Operand": "=" }]);
    fleet.run(&job(more));
    let mut is_told_again = |message| {
        let effects = fleet.core.handle(fleet.now, Input::Agent(node, message));
        let is_told = |effect: &Effect| matches!(effect, Effect::Publish(_, ToAgent::Assignments(_)));
        effects.iter().any(is_told)
    };
    let report = Report {
        session,
        seq,
        full: false,
        held,
        allocs: Vec::new(),
    };
    assert!(!is_told_again(FromAgent::Report(report)));
    assert!(is_told_again(FromAgent::Heartbeat { session, held }));
}

#[test]
fn a_node_is_sent_the_groups_that_it_has_something_of_and_those_once() {
    let mut fleet = Fleet::new(2);
    let nodes: Vec<NodeId> = fleet.agents.keys().copied().collect();
    let group = |name: &str, node: NodeId| {
        json!({ "Name": name, "Tasks": [{ "Name": "main", "Driver": "docker" }], "Affinities":
            [{ "LTarget": "${node.unique.id}", "RTarget": node.to_string(), "Operand": "=", "Weight": 100 }] })
    };
    let groups = [group("a", nodes[0]), group("b", nodes[1])];
    fleet.run(&job(json!({ "ID": "web", "TaskGroups": groups })));
    let sent = |fleet: &Fleet, node| -> Vec<String> {
        let groups = &fleet.agents[&node].specs[&("web".to_owned(), 0)];
        groups.iter().cloned().collect()
    };
    assert_eq!(
        nodes.iter().map(|node| sent(&fleet, *node)).collect::<Vec<_>>(),
        [["a"], ["b"]]
    );

    fleet.disconnect(nodes[1]);
    fleet.advance(Duration::from_secs(60));
    assert_eq!(
        sent(&fleet, nodes[0]),
        ["a", "b"],
        "it takes the lost one's place"
    );
    let a = fleet.alloc("web", |alloc| *alloc.group == *"a").id;
    fleet
        .command(Command::StopAllocation {
            id: a,
            no_shutdown_delay: false,
        })
        .unwrap();
    fleet.settle();
    let told = fleet.agents[&nodes[0]].told.last().unwrap();
    assert!(told.allocs.len() == 2 && told.jobs.is_empty(), "{told:?}");
}

#[test]
fn every_report_is_acknowledged_when_it_is_durable() {
    let mut fleet = settled(web(1));
    let node = fleet.alloc("web", |_| true).node;
    fleet.report_all(node);
    let agent = &fleet.agents[&node];
    assert_eq!(agent.acked, agent.seq);
}
