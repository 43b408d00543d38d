//! Nodes that mean harm, with real credentials at the real gate: what they do hurts nobody else.

use holdfast_shared::id::{AllocId, NodeId};
use holdfast_shared::model::ClientStatus;
use holdfast_shared::topics::Topic;
use holdfast_shared::wire::{self, FromAgent, Held, Interest, Presence, Register, Report, ToAgent};
use serde_json::{Value, json};

use crate::support::agent::{Agent, Login, alloc_report, node_id};
use crate::support::log::Log;
use crate::support::raw::{Client, Hello, hello, packet, publish, subscribe};
use crate::support::{Coordinator, job};

const SECRET: &str = "a secret of the node";
const OTHER_SECRET: &str = "a secret of another";

/// A coordinator with a node that does its work: node 1, and what it runs.
struct Scene {
    coordinator: Coordinator,
    good: Agent,
    alloc: AllocId,
    _folder: tempfile::TempDir,
}

impl Scene {
    async fn set() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let coordinator = Coordinator::start(folder.path(), &["--heartbeat-grace", "0s"]).await;
        let mut good = Agent::join(coordinator.mqtt(), Login::new(node_id(1), SECRET))
            .await
            .unwrap();
        coordinator
            .put("/v1/jobs", &json!({ "Job": job("web") }))
            .await
            .json();
        let alloc = good.assignment().await.id;
        good.runs(alloc).await;
        Self {
            coordinator,
            good,
            alloc,
            _folder: folder,
        }
    }

    /// The connection of the bad node 2, by raw packets.
    async fn bad(&self) -> Client {
        let id = node_id(2).to_string();
        let (client, _) = Client::enter(self.coordinator.mqtt(), login(&id)).await;
        client
    }

    /// The good node is served as ever, and its allocation runs.
    async fn goes_on(&mut self) {
        self.good.runs(self.alloc).await;
        let alloc = self
            .coordinator
            .get(&format!("/v1/allocation/{}", self.alloc))
            .await
            .json();
        assert_eq!(alloc["ClientStatus"], "running");
        let node = self
            .coordinator
            .get(&format!("/v1/node/{}", node_id(1)))
            .await
            .json();
        assert_eq!(node["Status"], "ready");
    }

    async fn counts(&self, name: &str, expected: u64) {
        let counted = |figures: &Value| {
            let counters = figures["Counters"].as_array().unwrap();
            counters
                .iter()
                .any(|it| it["Name"] == name && it["Count"] == expected)
        };
        self.coordinator.until("/v1/metrics", counted).await;
    }
}

/// A login of the node called `id` with its own secret.
fn login(id: &str) -> Hello<'_> {
    hello(id).user(id, OTHER_SECRET)
}

fn node_2(topic: fn(NodeId) -> Topic) -> String {
    topic(node_id(2)).to_string()
}

/// Every message that a node sends, and then every beginning of each, and what is no message at all.
fn garbage() -> Vec<Vec<u8>> {
    let held = Held {
        epoch: 1,
        generation: 1,
    };
    let messages = [
        FromAgent::Register(Register {
            session: 1,
            held,
            fingerprint: b"{}".to_vec(),
        }),
        FromAgent::Report(Report {
            session: 1,
            seq: 1,
            full: true,
            held,
            allocs: vec![alloc_report(AllocId(7), ClientStatus::Running)],
        }),
        FromAgent::Heartbeat { session: 1, held },
        FromAgent::Interest(Interest {
            session: 1,
            services: vec![("default".into(), "web".into())],
            namespaces: vec!["default".into()],
        }),
    ];
    let wholes = messages.iter().map(wire::encode);
    let mut garbage: Vec<Vec<u8>> = wholes
        .flat_map(|whole| (0..whole.len()).map(move |cut| whole[..cut].to_vec()))
        .collect();
    garbage.extend([
        vec![0xff; 100],
        b"\x63whatever".to_vec(),
        b"{\"json\": 1}".to_vec(),
        vec![0; 1_000_000],
        [&[1, 1][..], &[0xff; 9], &[1]].concat(),
    ]);
    garbage
}

#[tokio::test]
async fn garbage_on_every_topic_is_counted_and_told_once_in_a_while() {
    let log = Log::capture();
    let mut scene = Scene::set().await;
    let mut bad = scene.bad().await;
    let garbage = garbage();
    let mut sent = 0;
    for topic in [node_2(Topic::Report), node_2(Topic::Presence)] {
        // A few beginnings of a report are a presence.
        let is_presence = |payload: &Vec<u8>| wire::decode::<Presence>(payload).is_ok();
        for payload in garbage.iter().filter(|payload| !is_presence(payload)) {
            bad.send(&publish(&topic, payload, 1, false)).await;
            assert_eq!(bad.receive().await, Some((0x40, vec![0, 1])));
            sent += 1;
        }
    }
    assert!(sent > 500, "{sent}");
    scene.counts("holdfast_mqtt_malformed_total", sent).await;
    scene.goes_on().await;
    // Nobody registered in the node's name.
    let nodes = scene.coordinator.get("/v1/nodes").await.json();
    assert_eq!(nodes.as_array().unwrap().len(), 1);
    let told = log.lines("message ignored");
    assert!((2..=20).contains(&told.len()), "{told:?}");
    assert!(
        told.iter().all(|line| line.contains(&node_id(2).to_string())),
        "{told:?}"
    );
    bad.ping().await;
    scene.coordinator.stop().await;
}

#[tokio::test]
async fn a_fingerprint_that_is_none_registers_nobody() {
    let mut scene = Scene::set().await;
    let mut bad = scene.bad().await;
    for fingerprint in [&b""[..], b"{", b"[7]", b"nonsense", &[b'['; 100_000]] {
        let register = FromAgent::Register(Register {
            session: 1,
            held: Held::default(),
            fingerprint: fingerprint.to_vec(),
        });
        bad.send(&publish(
            &node_2(Topic::Report),
            &wire::encode(&register),
            1,
            false,
        ))
        .await;
        assert_eq!(bad.receive().await, Some((0x40, vec![0, 1])));
    }
    scene.goes_on().await;
    let nodes = scene.coordinator.get("/v1/nodes").await.json();
    assert_eq!(nodes.as_array().unwrap().len(), 1);
    scene.coordinator.stop().await;
}

#[tokio::test]
async fn a_node_publishes_to_its_own_topics_only() {
    let mut scene = Scene::set().await;
    let lie = wire::encode(&Presence {
        session: u64::MAX,
        online: false,
    });
    let root = Topic::Report(node_id(1)).to_string().replace("/report", "");
    for topic in [
        Topic::Report(node_id(1)).to_string(),
        Topic::Presence(node_id(1)).to_string(),
        Topic::Assignments(node_id(1)).to_string(),
        node_2(Topic::Assignments),
        root.clone(),
        format!("{root}/report/more"),
        format!("{root}/unheard-of"),
        format!("/{root}/report"),
        root.replace(&node_id(1).to_string(), "+/report"),
        "$SYS/broker/clients".into(),
        "$share/g/t".into(),
        "somewhere".into(),
    ] {
        for retain in [false, true] {
            let mut bad = scene.bad().await;
            bad.send(&publish(&topic, &lie, 1, retain)).await;
            assert_eq!(bad.receive().await, None, "{topic}");
        }
    }
    scene.goes_on().await;
    scene.counts("holdfast_mqtt_malformed_total", 0).await;
    scene.coordinator.stop().await;
}

#[tokio::test]
async fn a_node_reads_its_own_topic_only() {
    let mut scene = Scene::set().await;
    let mut bad = scene.bad().await;
    let (theirs, own) = (
        Topic::Assignments(node_id(1)).to_string(),
        node_2(Topic::Assignments),
    );
    let any = own.replace(&node_id(2).to_string(), "+");
    let filters = [
        "#",
        "+/#",
        "+/+/+/+/+",
        "$SYS/#",
        "$share/g/t",
        &theirs,
        &any,
        "+",
    ];
    for filter in filters.into_iter().chain([
        &*node_2(Topic::Report),
        &format!("$share/g/{theirs}"),
        &format!("{own}/#"),
    ]) {
        assert_eq!(bad.subscribe(&[(filter, 1)]).await, [0x80], "{filter}");
    }
    assert_eq!(bad.subscribe(&[(&own, 1)]).await, [1]);
    // What is for the good node comes to the good node alone.
    scene
        .coordinator
        .put("/v1/jobs", &json!({ "Job": job("more") }))
        .await
        .json();
    assert_ne!(scene.good.assignment().await.id, scene.alloc);
    bad.ping().await;
    scene.goes_on().await;
    scene.coordinator.stop().await;
}

#[tokio::test]
async fn a_last_will_is_for_the_node_s_own_topics_and_bounded() {
    let mut scene = Scene::set().await;
    let id = node_id(2).to_string();
    let large = "x".repeat(20_000);
    let (foreign, own) = (Topic::Presence(node_id(1)).to_string(), node_2(Topic::Presence));
    for (what, will, code) in [
        (
            "another node's presence",
            (foreign.as_str(), "x", 1, false),
            Some(5),
        ),
        (
            "its own assignments",
            (&node_2(Topic::Assignments), "x", 1, false),
            Some(5),
        ),
        ("$SYS", ("$SYS/broker", "x", 1, true), Some(5)),
        ("$share", ("$share/g/t", "x", 1, false), Some(5)),
        ("a wildcard", (&own.replace(&id, "+"), "x", 1, false), Some(5)),
        ("no topic", ("", "x", 1, false), Some(5)),
        ("oversized", (&own, &large, 1, false), None),
        ("QoS 3", (&own, "x", 3, false), None),
        ("QoS 2", (&own, "x", 2, false), Some(0)),
        ("retained", (&own, "x", 1, true), Some(0)),
    ] {
        let mut bad = Client::open(scene.coordinator.mqtt()).await;
        let mut hello = login(&id);
        hello.will = Some(will);
        bad.send(&hello.packet()).await;
        assert_eq!(bad.connack().await.map(|(_, code)| code), code, "{what}");
        // Those that are let in vanish: their wills are nonsense, and are counted as that.
    }
    scene.counts("holdfast_mqtt_malformed_total", 2).await;
    scene.goes_on().await;
    scene.coordinator.stop().await;
}

#[tokio::test]
async fn nobody_takes_over_a_client_id_without_the_secret_of_its_node() {
    let mut scene = Scene::set().await;
    let broker = scene.coordinator.mqtt();
    scene.bad().await.leave().await;
    let (theirs, own) = (node_id(1).to_string(), node_id(2).to_string());
    let shouted = theirs.to_uppercase();
    for (what, hello, code) in [
        ("own login, their id", hello(&theirs).user(&own, OTHER_SECRET), 2),
        (
            "their name, own secret",
            hello(&theirs).user(&theirs, OTHER_SECRET),
            4,
        ),
        ("their name, no secret", hello(&theirs).user(&theirs, ""), 4),
        ("nobody's name", hello(&theirs).user("", ""), 4),
        ("their name in capitals", hello(&shouted).user(&theirs, SECRET), 2),
        ("no id, clean session", hello("").user(&own, OTHER_SECRET), 2),
        ("their id and more", hello("x").user(&theirs, SECRET), 2),
    ] {
        for clean in [true, false] {
            let mut bad = Client::open(broker).await;
            bad.send(&hello.clone().clean(clean).packet()).await;
            let code = if clean || what != "no id, clean session" {
                code
            } else {
                2
            };
            assert_eq!(bad.connack().await, Some((false, code)), "{what}");
            bad.is_closed().await;
        }
    }
    // The same connection as before is served.
    scene.goes_on().await;
    scene.coordinator.stop().await;
}

/// Every message that a node can send, in a session.
fn of_session(session: u64, alloc: AllocId) -> Vec<FromAgent> {
    let held = Held::default();
    vec![
        FromAgent::Report(Report {
            session,
            seq: 99,
            full: true,
            held,
            allocs: Vec::new(),
        }),
        FromAgent::Report(Report {
            session,
            seq: 100,
            full: false,
            held,
            allocs: vec![alloc_report(alloc, ClientStatus::Complete)],
        }),
        FromAgent::Register(Register {
            session,
            held,
            fingerprint: b"{}".to_vec(),
        }),
        FromAgent::Heartbeat { session, held },
        FromAgent::Interest(Interest {
            session,
            services: vec![("default".into(), "web".into())],
            namespaces: Vec::new(),
        }),
    ]
}

#[tokio::test]
async fn messages_of_an_earlier_session_are_replayed_in_vain() {
    let mut scene = Scene::set().await;
    let old = scene.good.session();
    scene.good.vanish();
    let login = Login {
        session: old + 1,
        ..Login::new(node_id(1), SECRET)
    };
    scene.good = Agent::join(scene.coordinator.mqtt(), login).await.unwrap();
    scene.good.runs(scene.alloc).await;
    let before = scene
        .coordinator
        .get(&format!("/v1/allocation/{}", scene.alloc))
        .await
        .json();
    // What the node itself sent in its former session, or somebody recorded.
    for message in of_session(old, scene.alloc) {
        scene.good.say(&message).await;
    }
    let gone = Presence {
        session: old,
        online: false,
    };
    scene.good.is_present(&gone).await;
    scene.goes_on().await;
    let after = scene
        .coordinator
        .get(&format!("/v1/allocation/{}", scene.alloc))
        .await
        .json();
    assert_eq!(before["ModifyIndex"], after["ModifyIndex"], "nothing changed");
    // The same report twice, as QoS 1 may deliver it, changes nothing either.
    let report = FromAgent::Report(Report {
        session: old + 1,
        seq: 50,
        full: false,
        held: scene.good.held(),
        allocs: vec![alloc_report(scene.alloc, ClientStatus::Running)],
    });
    for _ in 0..2 {
        scene.good.say(&report).await;
        while !matches!(scene.good.hear().await, ToAgent::Ack { seq: 50, .. }) {}
    }
    let again = scene
        .coordinator
        .get(&format!("/v1/allocation/{}", scene.alloc))
        .await
        .json();
    assert_eq!(again["ModifyIndex"], after["ModifyIndex"]);
    scene.coordinator.stop().await;
}

#[tokio::test]
async fn offences_fill_neither_the_log_nor_the_memory() {
    const TIMES: usize = 300;
    let mut scene = Scene::set().await;
    let broker = scene.coordinator.mqtt();
    let log = Log::capture();
    for number in 0..TIMES {
        // Ever another name, from the same address.
        let id = node_id(1000 + number as u64).to_string();
        let mut stranger = Client::open(broker).await;
        stranger.send(&hello(&id).user(&id, "short").packet()).await;
        assert_eq!(stranger.connack().await, Some((false, 4)));
        let mut stranger = Client::open(broker).await;
        stranger.send(&hello("#").packet()).await;
        assert_eq!(stranger.connack().await, Some((false, 2)));
        // A node that is enrolled, and breaks the protocol or its permissions.
        let mut bad = scene.bad().await;
        bad.subscribe(&[("#", 1), ("$SYS/#", 1)]).await;
        let offence = [
            packet(0x62, &[0, 1]),
            publish("elsewhere", b"x", 1, true),
            subscribe(1, &[("a+", 1)]),
        ];
        bad.send(&offence[number % 3]).await;
        bad.is_closed().await;
    }
    // In one connection, as fast as it goes.
    let mut bad = scene.bad().await;
    for _ in 0..TIMES {
        bad.subscribe(&[("#", 1)]).await;
        bad.send(&publish(&node_2(Topic::Report), b"x", 1, true)).await;
        assert_eq!(bad.receive().await, Some((0x40, vec![0, 1])));
    }
    scene.goes_on().await;
    let lines = log.lines("");
    assert!(lines.len() < 100, "{} lines: {:#?}", lines.len(), &lines[..100]);
    for (what, wanted) in [
        ("strangers", "client refused"),
        ("offences", "Protocol"),
        ("garbage", "message ignored"),
    ] {
        assert!(!log.lines(wanted).is_empty(), "{what}: {lines:#?}");
    }
    let figures = scene.coordinator.get("/v1/metrics").await.json();
    let count = |name: &str| {
        let counters = figures["Counters"].as_array().unwrap();
        counters.iter().find(|it| it["Name"] == name).unwrap()["Count"]
            .as_u64()
            .unwrap()
    };
    assert_eq!(count("holdfast_mqtt_refused_total"), 2 * TIMES as u64);
    assert_eq!(count("holdfast_mqtt_offences_total"), TIMES as u64);
    assert_eq!(count("holdfast_mqtt_malformed_total"), TIMES as u64);
    // Nothing of ours is retained, and so nothing is.
    let retained = figures["Gauges"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["Name"] == "holdfast_mqtt_retained_bytes");
    assert_eq!(retained.unwrap()["Value"], 0);
    scene.coordinator.stop().await;
}
