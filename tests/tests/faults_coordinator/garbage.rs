//! Garbage on every topic, in both directions: it hurts nobody but its sender.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use holdfast_shared::id::{AllocId, IdGenerator, NodeId};
use holdfast_shared::model::ClientStatus;
use holdfast_shared::topics::Topic;
use holdfast_shared::wire::{
    self, AllocReport, Assignments, FromAgent, Held, Interest, JobSpec, Presence, Register, Report, ToAgent,
};
use holdfast_tests::{CoordinatorPlan, Fleet, holds_for, wait_for};

use crate::broker::Mosquitto;
use crate::mqtt::{Login, Stranger};
use crate::tasks::{self, Tasks, job};
use holdfast_tests::site::{PATIENCE, Site};

/// Messages of random bytes on each topic.
const RANDOM: usize = 60;

/// A payload that is large and that brokers take.
const LARGE: usize = 1024 * 1024;

/// Payloads that are no message, or one that makes no sense.
fn garbage(seed: u128, real: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut random = IdGenerator::from_seed(seed);
    let mut number = |below: usize| usize::try_from(random.next_u64()).unwrap_or(0) % below;
    let mut all: Vec<Vec<u8>> = vec![
        Vec::new(),
        vec![0],
        vec![wire::VERSION],
        vec![255; 64],
        b"{\"json\": true}".to_vec(),
    ];
    for round in 0..RANDOM {
        let mut bytes: Vec<u8> = (0..number(200)).map(|_| number(256) as u8).collect();
        if round % 2 == 0 {
            bytes.insert(0, wire::VERSION);
        }
        all.push(bytes);
    }
    for message in real {
        // Cut off anywhere, of another version, and with something behind.
        all.extend((0..20).map(|_| message[..number(message.len())].to_vec()));
        for version in [0, 2, 255] {
            all.push([&[version], &message[1..]].concat());
        }
        all.push([message, &b"tail"[..]].concat());
    }
    // Each kind of message with as many elements as can be written.
    for kind in 0..6 {
        for fields in 0..6 {
            let mut bytes = vec![wire::VERSION, kind];
            bytes.extend(std::iter::repeat_n(1, fields));
            bytes.extend([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]);
            all.push(bytes);
        }
    }
    all.push(vec![wire::VERSION; LARGE]);
    all
}

/// Well-formed messages of a node that say what cannot be.
fn lies(session: u64, foreign: AllocId) -> Vec<FromAgent> {
    let held = Held {
        epoch: u64::MAX,
        generation: u64::MAX,
    };
    let report = |client| AllocReport {
        id: foreign,
        client,
        description: "x".repeat(10_000),
        healthy: Some(false),
        address: "not an address".to_owned(),
        tasks: Vec::new(),
    };
    let allocs = vec![
        report(ClientStatus::Failed),
        report(ClientStatus::Complete),
        report(ClientStatus::Lost),
    ];
    vec![
        FromAgent::Heartbeat { session, held },
        FromAgent::Heartbeat {
            session: u64::MAX,
            held: Held::default(),
        },
        FromAgent::Register(Register {
            session: u64::MAX,
            held,
            fingerprint: b"{".to_vec(),
        }),
        FromAgent::Register(Register {
            session: u64::MAX,
            held,
            fingerprint: b"{}".to_vec(),
        }),
        FromAgent::Report(Report {
            session: u64::MAX,
            seq: u64::MAX,
            full: true,
            held,
            allocs,
        }),
        FromAgent::Interest(Interest {
            session: u64::MAX,
            services: (0..5000)
                .map(|it| ("default".to_owned(), format!("service-{it}")))
                .collect(),
            namespaces: Vec::new(),
        }),
    ]
}

/// The fleet does what it did, and takes new work.
fn is_unharmed(site: &mut Site, steady: &Tasks, number: u32) -> anyhow::Result<()> {
    holds_for("the fleet", Duration::from_secs(4), || {
        steady.are_untouched(site)?;
        tasks::all_ready(site)
    })?;
    for agent in &mut site.agents {
        ensure!(agent.is_running(), "{} has ended", agent.name());
    }
    let later = format!("later-{number}");
    site.run_job(&job(&later, number, 2, "", 50))?;
    Tasks::started(site, number, 2)?;
    site.edgectl(&["job", "stop", &later])?;
    Tasks::started(site, number, 0)?;
    steady.are_untouched(site)
}

#[test]
fn garbage_of_one_node_hurts_nobody_else() {
    Fleet::scenario(|fleet| {
        let mut site = Site::start(fleet, tasks::nodes(2))?;
        site.run_job(&job("steady", 7701, 2, "", 50))?;
        let steady = Tasks::started(&site, 7701, 2)?;
        let foreign = site.coordinator.read("/v1/job/steady/allocations")?[0]["ID"].clone();
        let foreign: AllocId = foreign.as_str().context("no id")?.parse()?;

        let node = NodeId::generate(&mut IdGenerator::from_seed(7701));
        let login = Login {
            client_id: node.to_string(),
            credentials: Some((node.to_string(), "a secret of its own".to_owned())),
        };
        let machine = fleet.machine("stranger")?;
        let broker: SocketAddr = site.coordinator.broker().trim_start_matches("mqtt://").parse()?;
        let stranger = Stranger::connect(machine.netns(), broker, login, None)?;
        let presence = wire::encode(&Presence {
            session: u64::MAX,
            online: true,
        });
        let lies: Vec<Vec<u8>> = lies(1, foreign).iter().map(wire::encode).collect();
        let mut said = 0;
        for topic in [Topic::Report(node), Topic::Presence(node)].map(|topic| topic.to_string()) {
            let real = [lies.clone(), vec![presence.clone()]].concat();
            for payload in garbage(1, &real).iter().chain(&real) {
                stranger.say(&topic, payload, said % 7 == 0)?;
                said += 1;
            }
        }
        stranger.await_acknowledged(said)?;
        // What belongs to others is not for it to write, garbage or not.
        let before = stranger.connections();
        let other: NodeId = site.agents[0].node(&site.coordinator)?["ID"]
            .as_str()
            .context("no id")?
            .parse()?;
        for topic in [
            Topic::Report(other),
            Topic::Presence(other),
            Topic::Assignments(other),
            Topic::Assignments(node),
        ] {
            let stop = ToAgent::Assignments(Assignments {
                epoch: 1,
                generation: u64::MAX,
                base: None,
                allocs: Vec::new(),
                stop: vec![foreign],
                jobs: Vec::new(),
            });
            stranger.say(&topic.to_string(), &wire::encode(&stop), false)?;
        }
        wait_for("the stranger to be thrown out", PATIENCE, || {
            ensure!(stranger.connections() > before, "it is still connected");
            Ok(())
        })?;
        let figures = site.coordinator.read("/v1/metrics")?;
        let malformed = figures["Counters"].as_array().into_iter().flatten();
        let malformed =
            malformed.filter(|it| it["Name"].as_str().is_some_and(|name| name.contains("malformed")));
        ensure!(
            malformed.filter_map(|it| it["Count"].as_u64()).sum::<u64>() > 100,
            "nobody counted: {figures}"
        );
        is_unharmed(&mut site, &steady, 7702)
    });
}

/// Messages to an agent that are well-formed and of no use.
fn stale(node_alloc: AllocId) -> Vec<Vec<u8>> {
    let spec = JobSpec {
        namespace: "default".to_owned(),
        job: "bomb".to_owned(),
        version: 0,
        create_index: 1,
        compressed: true,
        bytes: vec![0x78; 1000],
    };
    let old = Assignments {
        epoch: 0,
        generation: u64::MAX,
        base: None,
        allocs: Vec::new(),
        stop: vec![node_alloc],
        jobs: vec![spec],
    };
    let gap = Assignments {
        epoch: 1,
        generation: u64::MAX,
        base: Some(u64::MAX - 1),
        ..old.clone()
    };
    let ack = ToAgent::Ack {
        session: u64::MAX,
        seq: u64::MAX,
    };
    let messages = [
        ToAgent::Assignments(old),
        ToAgent::Assignments(gap),
        ack,
        ToAgent::ReportAll,
    ];
    messages.iter().map(wire::encode).collect()
}

/// Says garbage to everybody on every topic, some of it to whoever subscribes from now on; answers how much.
fn say_garbage(site: &Site, stranger: &Stranger, heard: &[(String, Vec<u8>)]) -> anyhow::Result<usize> {
    let mut said = 0;
    let ids = site.coordinator.read("/v1/nodes")?;
    let ids: Vec<NodeId> = ids
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|it| it["ID"].as_str()?.parse().ok())
        .collect();
    ensure!(ids.len() == 2, "{ids:?}");
    let foreign = site.coordinator.read("/v1/job/steady/allocations")?[0]["ID"].clone();
    let stale = stale(foreign.as_str().context("no id")?.parse()?);
    for (seed, node) in ids.iter().enumerate() {
        for topic in [
            Topic::Assignments(*node),
            Topic::Report(*node),
            Topic::Presence(*node),
        ] {
            let real: Vec<Vec<u8>> = heard
                .iter()
                .filter(|(it, _)| *it == topic.to_string())
                .map(|(_, it)| it.clone())
                .collect();
            for (count, payload) in garbage(seed as u128, &real).iter().enumerate() {
                // Some of it greets whoever subscribes from now on.
                stranger.say(&topic.to_string(), payload, count % 5 == 0)?;
                said += 1;
            }
        }
        for payload in &stale {
            stranger.say(&Topic::Assignments(*node).to_string(), payload, true)?;
            said += 1;
        }
    }
    Ok(said)
}

#[test]
fn garbage_and_replays_through_an_open_broker_hurt_neither_agents_nor_the_coordinator() {
    Fleet::scenario(|fleet| {
        let mosquitto = Mosquitto::start(fleet)?;
        let plan = CoordinatorPlan {
            external_broker: Some(mosquitto.url()),
            ..CoordinatorPlan::default()
        };
        let machine = fleet.machine("stranger")?;
        let broker: SocketAddr = mosquitto.url().trim_start_matches("mqtt://").parse()?;
        let client = |name: &str, filter| {
            let login = Login {
                client_id: name.to_owned(),
                credentials: None,
            };
            Stranger::connect(machine.netns(), broker, login, filter)
        };
        let (listener, stranger) = (client("listener", Some("#"))?, client("stranger", None)?);
        let mut site = Site::start_with(fleet, plan, tasks::nodes(2))?;
        // What is said while jobs come, change and go is replayed later.
        for step in 1..4 {
            site.run_job(&job("steady", 7711, 2, "", 50 + step))?;
        }
        site.run_job(&job("gone", 7712, 2, "", 50))?;
        site.edgectl(&["job", "stop", "gone"])?;
        let steady = Tasks::started(&site, 7711, 2)?;
        Tasks::started(&site, 7712, 0)?;

        let heard = listener.messages();
        drop(listener);
        ensure!(heard.len() > 20, "{} messages", heard.len());
        let mut said = 0;
        for (topic, payload) in heard.iter().rev().chain(&heard) {
            stranger.say(topic, payload, false)?;
            said += 1;
        }
        stranger.await_acknowledged(said)?;
        is_unharmed(&mut site, &steady, 7713)?;

        said += say_garbage(&site, &stranger, &heard)?;
        stranger.await_acknowledged(said)?;
        is_unharmed(&mut site, &steady, 7714)?;
        // Whoever starts now finds it waiting.
        site.coordinator.kill(rustix::process::Signal::KILL)?;
        site.coordinator.restart()?;
        for agent in &mut site.agents {
            agent.kill(rustix::process::Signal::KILL)?;
            agent.restart()?;
        }
        tasks::await_ready(&site)?;
        is_unharmed(&mut site, &steady, 7715)
    });
}
