//! What operators want done with what runs: allocations stopped and restarted, and what agents answer to that.

use holdfast_shared::id::NodeId;
use holdfast_shared::model::{Allocation, DesiredStatus};
use holdfast_shared::time::Duration;
use holdfast_shared::wire::{Answer, Deed, FromAgent, RestartTasks};
use serde_json::json;

use super::fleet::{Fleet, job};
use crate::{Command, Input, Refusal};

fn placed(kind: &str, nodes: u32) -> (Fleet, Allocation) {
    let mut fleet = Fleet::new(nodes);
    fleet.run(&job(
        json!({ "ID": "web", "Type": kind, "TaskGroups": [{ "Name": "app", "Count": 1,
        "Tasks": [{ "Name": "main", "Driver": "docker" }] }] }),
    ));
    let alloc = fleet.alloc("web", |_| true);
    (fleet, alloc)
}

fn restart(alloc: &Allocation) -> Command {
    let (alloc, node) = (alloc.id, alloc.node);
    let tasks = RestartTasks::Running;
    Command::Order {
        node,
        deed: Deed::Restart { alloc, tasks },
    }
}

#[test]
fn an_order_is_answered_by_the_agents_word() {
    let (mut fleet, alloc) = placed("service", 1);
    let before = fleet.core.state().index;
    let done = fleet.command(restart(&alloc)).unwrap();
    assert_eq!(done.index, before, "an answer names a state that there is");
    assert_eq!(fleet.agents[&alloc.node].orders.len(), 1);
    assert_eq!(
        fleet.core.state().index,
        before,
        "nothing of an order is worth storing"
    );
    fleet.agents.get_mut(&alloc.node).unwrap().refusal = Some("Task not running".into());
    let refused = fleet.command(restart(&alloc));
    assert_eq!(refused, Err(Refusal::Invalid("Task not running".into())));
}

#[test]
fn a_node_out_of_contact_gets_no_orders() {
    let (mut fleet, alloc) = placed("service", 1);
    fleet.disconnect(alloc.node);
    let refused = fleet.command(restart(&alloc));
    assert!(matches!(&refused, Err(Refusal::NoPath(text)) if text == "\"n1\" is out of contact"));
    assert!(fleet.agents[&alloc.node].orders.is_empty());
    let nobody = Command::Order {
        node: NodeId(99),
        deed: Deed::ApplyMeta(Vec::new()),
    };
    assert_eq!(fleet.command(nobody), Err(Refusal::NotFound("node".into())));
}

#[test]
fn an_order_without_an_answer_is_given_up_and_a_foreign_answer_does_not_count() {
    let (mut fleet, alloc) = placed("service", 2);
    fleet.agents.get_mut(&alloc.node).unwrap().mute = true;
    let request = fleet.submit(restart(&alloc));
    let number = fleet.agents[&alloc.node].orders[0].number;
    let other = NodeId(3 - alloc.node.0);
    let answer = |session| {
        FromAgent::Answer(Answer {
            session,
            number,
            refusal: None,
        })
    };
    fleet.input(Input::Agent(other, answer(1)));
    assert_eq!(fleet.replies.get(&request), None);
    fleet.advance(Duration::from_secs(11));
    let reply = fleet.replies.get(&request).cloned();
    assert!(
        matches!(&reply, Some(Err(Refusal::NoPath(text))) if text.ends_with("did not answer within 10s")),
        "{reply:?}"
    );
    // Too late: nobody waits for it any more.
    fleet.input(Input::Agent(alloc.node, answer(1)));
}

#[test]
fn a_stopped_allocation_is_replaced_by_one_that_it_leads_to() {
    for kind in ["service", "batch", "system"] {
        let (mut fleet, alloc) = placed(kind, 1);
        let stop = Command::StopAllocation {
            id: alloc.id,
            no_shutdown_delay: true,
        };
        let done = fleet.command(stop.clone()).unwrap();
        assert!(done.eval.is_some());
        fleet.advance(Duration::from_secs(3));
        let old = fleet.alloc("web", |it| it.id == alloc.id);
        assert_eq!(old.desired, DesiredStatus::Stop, "{kind}");
        assert!(old.transition.no_shutdown_delay);
        let new = fleet.alloc("web", |it| it.id != alloc.id);
        assert_eq!(
            (old.next.get(), new.previous.get()),
            (Some(new.id), Some(old.id)),
            "{kind}"
        );
        assert_eq!((new.desired, new.name), (DesiredStatus::Run, old.name), "{kind}");
        // Once more changes nothing.
        fleet.command(stop).unwrap();
        fleet.advance(Duration::from_secs(3));
        assert_eq!(fleet.allocs("web").len(), 2, "{kind}");
    }
}

#[test]
fn an_order_waits_for_the_session_that_a_node_has_after_the_coordinators_start() {
    let (mut fleet, alloc) = placed("service", 1);
    let state = fleet.core.state().clone();
    fleet.restart(state);
    let request = fleet.submit(restart(&alloc));
    assert_eq!(fleet.replies.get(&request), None);
    assert!(fleet.agents[&alloc.node].orders.is_empty());
    fleet.connect(alloc.node);
    let sessions: Vec<u64> = fleet.agents[&alloc.node]
        .orders
        .iter()
        .map(|order| order.session)
        .collect();
    assert_eq!(sessions, [2]);
    assert!(matches!(fleet.replies.get(&request), Some(Ok(_))));
}

#[test]
fn orders_reach_an_agent_as_they_were_given() {
    let (mut fleet, alloc) = placed("service", 1);
    let state = fleet.core.state().clone();
    fleet.restart(state);
    let colors = ["red", "green", "blue", "white", "black", "grey"];
    let deed = |color: &str| Deed::ApplyMeta(vec![("color".to_owned(), Some(color.to_owned()))]);
    for color in colors {
        let (node, deed) = (alloc.node, deed(color));
        fleet.submit(Command::Order { node, deed });
    }
    fleet.connect(alloc.node);
    let sent = fleet.agents[&alloc.node].orders.iter();
    let deeds: Vec<Deed> = sent.map(|order| order.deed.clone()).collect();
    assert_eq!(deeds, colors.map(deed));
}
