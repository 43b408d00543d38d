//! The contact with the coordinator, over mosquitto.

use std::path::{Path, PathBuf};
use std::time::Duration;

use holdfast_agent::identity::Identity;
use holdfast_agent::mqtt::{Mqtt, MqttConfig, MqttEvent};
use holdfast_shared::wire::{FromAgent, Held, Presence, ToAgent};
use tokio::sync::mpsc::{Receiver, channel};

use crate::coordinator::{Broker, Coordinator, DEADLINE, Heard};

struct Node {
    identity: Identity,
    mqtt: Mqtt,
    events: Receiver<MqttEvent>,
}

impl Node {
    fn start(urls: &[String]) -> Self {
        Self::trusting(urls, None)
    }

    fn trusting(urls: &[String], ca_file: Option<PathBuf>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (identity, _) = Identity::load(dir.path(), None);
        let (sender, events) = channel(64);
        let config = MqttConfig {
            node: identity.id,
            secret: identity.secret.clone(),
            enrolment_token: None,
            coordinators: urls.iter().map(|url| url.parse().unwrap()).collect(),
            keep_alive: Duration::from_secs(1),
            ca_file,
        };
        let mqtt = Mqtt::start(config, identity.sessions(), sender).unwrap();
        Self {
            identity,
            mqtt,
            events,
        }
    }

    async fn event(&mut self) -> MqttEvent {
        tokio::time::timeout(DEADLINE, self.events.recv())
            .await
            .expect("something happens in time")
            .unwrap()
    }

    async fn up(&mut self) -> u64 {
        loop {
            if let MqttEvent::Up { session, .. } = self.event().await {
                return session;
            }
        }
    }
}

fn presence(heard: &Heard) -> Option<Presence> {
    match heard {
        Heard::Presence(presence) => Some(*presence),
        Heard::Message(_) => None,
    }
}

#[tokio::test]
async fn contact_comes_back_with_a_greater_session_and_its_own_subscription() {
    let mut broker = Broker::start();
    let mut coordinator = Coordinator::connect(broker.port).await;
    let mut node = Node::start(&[broker.url()]);
    let first = node.up().await;
    let online = coordinator.hear("presence", |_, heard| presence(heard)).await;
    assert_eq!(
        online,
        Presence {
            session: first,
            online: true
        }
    );

    // A broker that forgets everything: only a new subscription brings messages again.
    broker.restart();
    assert!(matches!(node.event().await, MqttEvent::Down));
    let second = node.up().await;
    assert!(second > first, "{second} follows {first}");
    coordinator
        .hear("presence again", |_, heard| {
            presence(heard).filter(|it| it.session == second)
        })
        .await;
    coordinator.say(node.identity.id, &ToAgent::ReportAll).await;
    let MqttEvent::Message(message) = node.event().await else {
        panic!("a message is expected")
    };
    assert_eq!(*message, ToAgent::ReportAll);

    let heartbeat = FromAgent::Heartbeat {
        session: second,
        held: Held::default(),
    };
    node.mqtt.publish(&heartbeat);
    let heard = Heard::Message(heartbeat);
    coordinator
        .hear("a heartbeat", |id, it| {
            (*it == heard && id == node.identity.id).then_some(())
        })
        .await;
}

#[tokio::test]
async fn an_agent_goes_on_above_a_newer_session_right_after_its_start_and_stands_back_from_then_on() {
    let broker = Broker::start();
    let coordinator = Coordinator::connect(broker.port).await;
    let mut node = Node::start(&[broker.url()]);
    // As far ahead as a copy may be that was started a hundred times more.
    let newer = node.up().await + (100 << 24);
    let refusal = |session| ToAgent::Ack { session, seq: 0 };
    coordinator.say(node.identity.id, &refusal(newer)).await;
    assert!(matches!(node.event().await, MqttEvent::Down));
    let risen = node.up().await;
    assert!(risen > newer, "{risen} follows {newer}");

    coordinator.say(node.identity.id, &refusal(risen + 1)).await;
    assert!(matches!(node.event().await, MqttEvent::Down));
    // Several times what it waits after an ordinary end of the connection.
    let event = tokio::time::timeout(Duration::from_secs(2), node.events.recv()).await;
    assert!(event.is_err(), "{event:?}");
}

#[tokio::test]
async fn a_node_that_goes_says_so() {
    let broker = Broker::start();
    let mut coordinator = Coordinator::connect(broker.port).await;
    let mut node = Node::start(&[broker.url()]);
    let session = node.up().await;
    node.mqtt.close().await;
    let offline = |heard: &Heard| presence(heard).filter(|it| !it.online);
    let gone = coordinator.hear("a farewell", |_, heard| offline(heard)).await;
    assert_eq!(gone.session, session);
}

#[tokio::test]
async fn the_next_coordinator_of_the_list_is_tried() {
    let broker = Broker::start();
    let _coordinator = Coordinator::connect(broker.port).await;
    let mut node = Node::start(&["mqtt://127.0.0.1:1".to_owned(), broker.url()]);
    node.up().await;
}

#[tokio::test]
async fn publishing_without_contact_is_harmless() {
    let node = Node::start(&[]);
    for _ in 0..5000 {
        node.mqtt.publish(&FromAgent::Heartbeat {
            session: 1,
            held: Held::default(),
        });
    }
    node.mqtt.close().await;
}

/// Writes an authority and a certificate of it for `localhost` into `dir`; answers mosquitto's configuration.
fn write_certificates(dir: &Path) -> String {
    write_certificates_of(dir, [2020, 2090])
}

/// As [`write_certificates`]; they hold from the beginning of one year to that of another.
fn write_certificates_of(dir: &Path, years: [i32; 2]) -> String {
    let [not_before, not_after] = years.map(|year| rcgen::date_time_ymd(year, 1, 1));
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    (authority.not_before, authority.not_after) = (not_before, not_after);
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let certificate = authority.self_signed(&authority_key).unwrap();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let mut server = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    (server.not_before, server.not_after) = (not_before, not_after);
    let server = server.signed_by(&key, &issuer).unwrap();
    for (name, pem) in [
        ("ca", certificate.pem()),
        ("cert", server.pem()),
        ("key", key.serialize_pem()),
    ] {
        std::fs::write(dir.join(name), pem).unwrap();
    }
    let path = |name: &str| dir.join(name).display().to_string();
    // mosquitto gives its rights up, and then could not read files of root.
    format!(
        "user root\nallow_anonymous true\ncertfile {}\nkeyfile {}\n",
        path("cert"),
        path("key")
    )
}

#[tokio::test]
async fn tls_works_with_the_authority_that_is_configured_and_with_no_other() {
    let broker = Broker::configured(write_certificates);
    let url = format!("mqtts://localhost:{}", broker.port);
    let mut node = Node::trusting(std::slice::from_ref(&url), Some(broker.path("ca")));
    node.up().await;

    let foreign = tempfile::tempdir().unwrap();
    write_certificates(foreign.path());
    let mut wary = Node::trusting(&[url], Some(foreign.path().join("ca")));
    let event = tokio::time::timeout(Duration::from_millis(500), wary.events.recv()).await;
    assert!(event.is_err(), "{event:?}");
}

#[tokio::test]
async fn a_clock_that_is_behind_is_no_reason_to_refuse_a_certificate_and_an_expired_one_is_refused() {
    let broker = Broker::configured(|dir| write_certificates_of(dir, [2090, 2091]));
    let url = format!("mqtts://localhost:{}", broker.port);
    let mut node = Node::trusting(&[url], Some(broker.path("ca")));
    node.up().await;

    let broker = Broker::configured(|dir| write_certificates_of(dir, [2020, 2021]));
    let url = format!("mqtts://localhost:{}", broker.port);
    let mut wary = Node::trusting(&[url], Some(broker.path("ca")));
    let event = tokio::time::timeout(Duration::from_millis(500), wary.events.recv()).await;
    assert!(event.is_err(), "{event:?}");
}

#[test]
fn an_authority_that_cannot_be_read_is_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("empty"), b"").unwrap();
    for (name, error) in [
        ("none", "cannot read the certificate authorities"),
        ("empty", "there is no certificate"),
    ] {
        let (sender, _events) = channel(1);
        let (identity, _) = Identity::load(dir.path(), None);
        let config = MqttConfig {
            node: identity.id,
            secret: String::new(),
            enrolment_token: None,
            coordinators: vec!["mqtts://localhost".parse().unwrap()],
            keep_alive: Duration::from_secs(1),
            ca_file: Some(dir.path().join(name)),
        };
        let found = Mqtt::start(config, identity.sessions(), sender)
            .unwrap_err()
            .to_string();
        assert!(found.starts_with(error), "{found}");
    }
}
