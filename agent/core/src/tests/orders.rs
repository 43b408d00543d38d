//! What an operator wants done once, now.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use holdfast_shared::id::AllocId;
use holdfast_shared::model::{ClientStatus, Fingerprint, Job};
use holdfast_shared::time::{Duration, Timestamp};
use holdfast_shared::wire::{Deed, FromAgent, Order, RestartTasks, ToAgent};
use serde_json::json;

use super::{TestBox, assigned, job};
use crate::{Effect, Input, Recovery, TaskInput};

/// Gives an order to session 1; answers what came of it, or nothing when nobody answered.
fn order(it: &mut TestBox, deed: Deed) -> Option<Result<(), String>> {
    order_to(it, 1, deed)
}

fn order_to(it: &mut TestBox, session: u64, deed: Deed) -> Option<Result<(), String>> {
    static NUMBERS: AtomicU64 = AtomicU64::new(1);
    let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
    let order = Order {
        session,
        number,
        deed,
    };
    deliver(it, &order)
}

fn deliver(it: &mut TestBox, order: &Order) -> Option<Result<(), String>> {
    it.published.clear();
    it.input(Input::Message(ToAgent::Order(order.clone())));
    it.published.iter().find_map(|message| match message {
        FromAgent::Answer(answer) => {
            assert_eq!((answer.session, answer.number), (order.session, order.number));
            Some(answer.refusal.clone().map_or(Ok(()), Err))
        }
        _ => None,
    })
}

fn restart(tasks: RestartTasks) -> Deed {
    Deed::Restart {
        alloc: AllocId(1),
        tasks,
    }
}

fn with_hooks() -> Job {
    let tasks = json!([
        { "Name": "main" },
        { "Name": "init", "Lifecycle": { "Hook": "prestart" } },
        { "Name": "after", "Lifecycle": { "Hook": "poststop" } },
    ]);
    job("service", tasks, json!({}))
}

fn running() -> TestBox {
    let mut it = TestBox::new();
    it.link_up();
    it.assign(1, None, vec![assigned(true, 1)], &with_hooks());
    it.exit("init", 0);
    it.log.clear();
    it
}

#[test]
fn running_tasks_are_restarted_in_place_and_it_does_not_count_against_their_policy() {
    let mut it = running();
    for _ in 0..5 {
        assert_eq!(order(&mut it, restart(RestartTasks::Running)), Some(Ok(())));
    }
    assert_eq!(it.log.iter().filter(|it| *it == "start main").count(), 5);
    assert!(!it.log.contains(&"start init".to_owned()), "{:?}", it.log);
    assert_eq!(it.client(), ClientStatus::Running);
    assert!(it.events("main").contains(&"Restart Signaled".to_owned()));
    let record = it.agent.allocs().next().unwrap();
    assert_eq!(record.tasks["main"].state.restarts, 5);
}

#[test]
fn all_tasks_are_restarted_in_the_order_of_their_lives() {
    let mut it = running();
    assert_eq!(order(&mut it, restart(RestartTasks::All)), Some(Ok(())));
    let did = |it: &TestBox| {
        let steps = it.log.iter().filter(|it| it.starts_with("st"));
        steps.cloned().collect::<Vec<_>>()
    };
    assert_eq!(did(&it), ["stop main", "start init"]);
    it.exit("init", 0);
    assert_eq!(did(&it), ["stop main", "start init", "start main"]);
    let record = it.agent.allocs().next().unwrap();
    assert_eq!(record.tasks["init"].state.restarts, 1);
    assert_eq!(it.client(), ClientStatus::Running);
}

#[test]
fn all_tasks_begin_anew_even_when_the_agent_is_killed_meanwhile() {
    for same_boot in [true, false] {
        let mut it = running();
        let order = Order {
            session: 1,
            number: 5,
            deed: restart(RestartTasks::All),
        };
        // Killed when it has stored what it decided, and before it has told the driver.
        for effect in it.agent.handle(it.now, Input::Message(ToAgent::Order(order))) {
            if let Effect::Persist(deltas) = effect {
                deltas.into_iter().for_each(|delta| it.store.apply(delta));
            }
        }
        let mut it = TestBox::from_store(it.store, same_boot, Timestamp::from_secs(2000));
        let recovery = if same_boot {
            Recovery::Running {
                address: String::new(),
            }
        } else {
            Recovery::Gone
        };
        let main = it.task("main");
        it.input(Input::Task(main, TaskInput::Recovered(recovery)));
        assert!(
            it.log.contains(&"start init".to_owned()),
            "{same_boot}: {:?}",
            it.log
        );
        assert!(
            !it.log.contains(&"start main".to_owned()),
            "{same_boot}: {:?}",
            it.log
        );
        it.exit("init", 0);
        let starts = it.log.iter().filter(|it| it.starts_with("start"));
        assert_eq!(
            starts.collect::<Vec<_>>(),
            ["start init", "start main"],
            "{same_boot}"
        );
        assert_eq!(it.client(), ClientStatus::Running);
        // It is done once.
        let mut it = TestBox::from_store(it.store, true, Timestamp::from_secs(3000));
        let main = it.task("main");
        it.input(Input::Task(
            main,
            TaskInput::Recovered(Recovery::Running {
                address: String::new(),
            }),
        ));
        assert!(!it.log.iter().any(|it| it.starts_with("st")), "{:?}", it.log);
    }
}

#[test]
fn what_cannot_be_restarted_is_refused_with_the_reason() {
    let mut it = running();
    for (deed, why) in [
        (restart(RestartTasks::One("init".into())), "Task not running"),
        (
            restart(RestartTasks::One("nobody".into())),
            "Could not find task runner for task: nobody",
        ),
        (
            Deed::Restart {
                alloc: AllocId(9),
                tasks: RestartTasks::Running,
            },
            "Unknown allocation \"00000000-0000-0000-0000-000000000009\"",
        ),
    ] {
        assert_eq!(order(&mut it, deed), Some(Err(why.to_owned())));
    }
    assert_eq!(it.log, Vec::<String>::new());
    it.assign(2, Some(1), vec![assigned(false, 2)], &with_hooks());
    let refused = order(&mut it, restart(RestartTasks::All));
    assert_eq!(refused, Some(Err("Allocation not running".to_owned())));
}

#[test]
fn an_order_to_an_earlier_session_comes_too_late() {
    let mut it = running();
    assert_eq!(order_to(&mut it, 0, restart(RestartTasks::Running)), None);
    assert_eq!(it.log, Vec::<String>::new());
}

#[test]
fn an_order_that_a_broker_delivers_again_is_obeyed_once() {
    let mut it = running();
    let first = Order {
        session: 1,
        number: 1_000_001,
        deed: restart(RestartTasks::Running),
    };
    assert_eq!(deliver(&mut it, &first), Some(Ok(())));
    assert_eq!(order(&mut it, apply(&[("color", Some("blue"))])), Some(Ok(())));
    assert_eq!(deliver(&mut it, &first), None);
    assert_eq!(it.log.iter().filter(|it| *it == "start main").count(), 1);
}

#[test]
fn an_allocation_that_is_to_end_does_not_begin_anew() {
    let mut it = TestBox::new();
    it.link_up();
    let tasks = json!([{ "Name": "main" }]);
    let spec = job("service", tasks, json!({ "ShutdownDelay": 5_000_000_000_i64 }));
    it.assign(1, None, vec![assigned(true, 1)], &spec);
    it.assign(2, Some(1), vec![assigned(false, 2)], &spec);
    assert!(matches!(order(&mut it, restart(RestartTasks::All)), Some(Err(_))));
    it.pass(Duration::from_secs(6));
    assert_eq!(it.client(), ClientStatus::Complete);
}

fn apply(changes: &[(&str, Option<&str>)]) -> Deed {
    let owned = |(key, value): &(&str, Option<&str>)| ((*key).to_owned(), value.map(str::to_owned));
    Deed::ApplyMeta(changes.iter().map(owned).collect())
}

fn configured() -> Input {
    let meta = [("rack", "r1"), ("zone", "a")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    Input::Fingerprint(Box::new(Fingerprint {
        meta: meta.into(),
        ..Fingerprint::default()
    }))
}

/// The meta that the agent last registered with.
fn registered(it: &TestBox) -> BTreeMap<String, String> {
    let mut registers = it.published.iter().rev();
    let register = registers.find_map(|message| match message {
        FromAgent::Register(register) => Some(register),
        _ => None,
    });
    let print: Fingerprint = serde_json::from_slice(&register.expect("it registered").fingerprint).unwrap();
    print.meta
}

fn meta(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

#[test]
fn meta_that_an_operator_changes_is_stored_registered_and_survives_a_restart() {
    let mut it = TestBox::new();
    it.link_up();
    it.input(configured());
    let changes = [("rack", Some("r2")), ("color", Some("blue")), ("zone", None)];
    assert_eq!(order(&mut it, apply(&changes)), Some(Ok(())));
    assert_eq!(registered(&it), meta(&[("rack", "r2"), ("color", "blue")]));
    // What the box is like is found out again and again; the changes stay.
    it.published.clear();
    it.input(configured());
    assert!(it.published.is_empty(), "{:?}", it.published);

    let mut it = TestBox::from_store(it.store, false, Timestamp::from_secs(10));
    it.input(configured());
    it.link_up();
    assert_eq!(registered(&it), meta(&[("rack", "r2"), ("color", "blue")]));

    // Taken away again, what is configured stays hidden, and what is not is forgotten.
    let changes = [("rack", None), ("color", None)];
    assert_eq!(order(&mut it, apply(&changes)), Some(Ok(())));
    assert_eq!(registered(&it), meta(&[]));
    let hidden: Vec<&String> = it.store.meta.keys().collect();
    assert_eq!(hidden, ["rack", "zone"]);
}

#[test]
fn meta_that_is_too_large_to_travel_is_refused() {
    let mut it = TestBox::new();
    it.link_up();
    let long = "x".repeat(70_000);
    let refused = order(&mut it, apply(&[("notes", Some(&long))]));
    assert!(matches!(refused, Some(Err(text)) if text.contains("70005 bytes")));
    assert_eq!(it.store.meta, BTreeMap::new());
}
