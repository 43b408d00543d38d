//! Who gets in, with which CONNACK, and that nobody can keep others out.

use std::time::Duration;

use holdfast_broker::{Broker, BrokerConfig, Ending, Pem, StartError, TlsConfig};
use tokio::net::TcpStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::client::{Client, PATIENCE, hello, packet, publish, soon, subscribe, text, until};
use crate::house::{arrives, house, house_with, leaves};

#[tokio::test]
async fn every_refusal_has_its_connack_code() {
    let house = house();
    let long = "x".repeat(129);
    let node = || hello("n1").user("node", "secret");
    for (what, hello, code) in [
        ("let in", hello("a"), 0),
        ("no user", hello("a").user("", ""), 4),
        ("wrong password", hello("a").user("admin", "wrong"), 4),
        ("banned", hello("a").user("banned", "secret"), 5),
        ("empty id, clean session", hello(""), 0),
        ("empty id, kept session", hello("").kept(), 2),
        ("plus", hello("a+"), 2),
        ("hash", hello("#"), 2),
        ("dollar", hello("$a"), 2),
        ("slash", hello("a/b"), 2),
        ("control character", hello("a\n"), 2),
        ("long id", hello(&long), 2),
        ("unicode id", hello("kühlschrank"), 0),
        ("no keep-alive", hello("a").keep_alive(0), 0),
        ("foreign will", node().will("n/n2/x", ""), 5),
        ("wildcard will", node().will("n/n1/+", ""), 5),
        ("own will", node().will("n/n1/x", ""), 0),
    ] {
        // Twice, because a refusal must not be remembered (B2).
        for _ in 0..2 {
            let mut client = Client::open(house.address).await;
            client.send(&hello.packet()).await;
            assert_eq!(client.connack().await, Some((false, code)), "{what}");
            if code > 0 {
                client.is_closed().await;
            } else {
                client.leave().await;
            }
        }
    }
}

#[tokio::test]
async fn other_protocol_versions_are_told_so() {
    let house = house();
    let mqtt_3_1 = packet(0x10, &[text("MQIsdp"), vec![3, 2, 0, 60], text("a")].concat());
    let mqtt_5 = packet(0x10, &[text("MQTT"), vec![5, 2, 0, 60, 0], text("a")].concat());
    for connect in [mqtt_3_1, mqtt_5] {
        let mut client = Client::open(house.address).await;
        client.send(&connect).await;
        assert_eq!(client.connack().await, Some((false, 1)));
        client.is_closed().await;
    }
}

#[tokio::test]
async fn a_refusal_is_readable_although_the_client_already_sent_more() {
    let house = house();
    let mut client = Client::open(house.address).await;
    let connect = hello("a").user("admin", "wrong").packet();
    client
        .send(
            &[
                connect,
                subscribe(1, &[("a", 0)]),
                publish("a", &[0; 10_000], 0, false),
            ]
            .concat(),
        )
        .await;
    assert_eq!(client.connack().await, Some((false, 4)));
}

#[tokio::test]
async fn nonsense_closes_its_own_connection_only() {
    let house = house_with(|config| config.limits.max_packet_bytes = 1000);
    let (mut bystander, _) = Client::enter(house.address, hello("bystander")).await;
    let connect = hello("a").packet();
    let reserved_flag = packet(0x10, &[text("MQTT"), vec![4, 3, 0, 60], text("a")].concat());
    let lonely_password = packet(
        0x10,
        &[text("MQTT"), vec![4, 0x42, 0, 60], text("a"), text("p")].concat(),
    );
    let before: Vec<(&str, Vec<u8>)> = vec![
        ("not MQTT", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ("endless length", vec![0x10, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ("no CONNECT first", vec![0xc0, 0]),
        ("too large", vec![0x10, 0xff, 0x7f]),
        ("short", packet(0x10, &text("MQTT"))),
        (
            "string beyond the packet",
            packet(0x10, &[text("MQTT"), vec![4, 2, 0, 60, 0xff, 0xff]].concat()),
        ),
        ("reserved connect flag", reserved_flag),
        ("password without user", lonely_password),
        ("type 0", vec![0, 0]),
    ];
    for (what, bytes) in before {
        let mut client = Client::open(house.address).await;
        client.send(&bytes).await;
        assert_eq!(client.receive().await, None, "{what}");
    }
    let after: Vec<(&str, Vec<u8>)> = vec![
        ("second CONNECT", connect),
        ("CONNACK", packet(0x20, &[0, 0])),
        ("SUBACK", packet(0x90, &[0, 1, 0])),
        ("type 15", packet(0xf0, &[])),
        ("too large", vec![0x30, 0xff, 0x7f]),
        ("QoS 2", packet(0x34, &[text("a"), vec![0, 1]].concat())),
        ("QoS 3", packet(0x36, &[text("a"), vec![0, 1]].concat())),
        ("PUBREL", packet(0x62, &[0, 1])),
        ("packet id 0", packet(0x32, &[text("a"), vec![0, 0]].concat())),
        ("topic beyond the packet", packet(0x30, &[0xff, 0xff, 0])),
        ("topic is not UTF-8", packet(0x30, &[0, 1, 0xff])),
        ("empty topic", publish("", b"x", 0, false)),
        ("wildcard topic", publish("a/+", b"x", 0, false)),
        ("dollar topic", publish("$SYS/x", b"x", 0, false)),
        ("subscribe flags", packet(0x80, &[0, 1, 0, 1, b'a', 0])),
        ("subscribe to nothing", packet(0x82, &[0, 1])),
        ("subscribe with QoS 3", subscribe(1, &[("a", 3)])),
        ("filter that is none", subscribe(1, &[("a/#/b", 0)])),
        ("unsubscribe from nothing", packet(0xa2, &[0, 1])),
        ("unsubscribe cut short", packet(0xa2, &[0, 1, 0, 9, b'a'])),
        ("PUBACK too long", packet(0x40, &[0, 1, 2])),
        ("ping with payload", packet(0xc0, &[1])),
        ("DISCONNECT with flags", packet(0xe1, &[])),
    ];
    for (what, bytes) in after {
        let (mut client, _) = Client::enter(house.address, hello("a")).await;
        client.send(&bytes).await;
        assert_eq!(client.receive().await, None, "{what}");
    }
    bystander.ping().await;
}

#[tokio::test]
async fn random_bytes_do_no_harm() {
    let house = house();
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed.to_le_bytes()[0]
    };
    for round in 0..200 {
        let mut client = Client::open(house.address).await;
        let mut bytes = if round % 2 == 0 {
            hello("fuzz").packet()
        } else {
            Vec::new()
        };
        let is_late = round % 4 == 0;
        if is_late {
            bytes
                .extend((0..round).flat_map(|_| packet(random(), &[random(), random(), random(), random()])));
        } else {
            let index = usize::from(random()) % bytes.len().max(1);
            bytes.extend((0..40).map(|_| random()));
            bytes[index] = random();
        }
        client.send(&bytes).await;
    }
    let (mut client, _) = Client::enter(house.address, hello("sane")).await;
    client.ping().await;
}

#[tokio::test]
async fn limits_refuse_politely_and_the_listener_lives_on() {
    let mut house = house_with(|config| {
        config.limits.max_connections = 3;
        config.limits.max_connections_per_address = 2;
    });
    let (first, _) = Client::enter(house.address, hello("first")).await;
    let (_second, _) = Client::enter(house.address, hello("second")).await;
    // B1: a refused client that tries again, and again.
    for _ in 0..20 {
        let mut surplus = Client::open(house.address).await;
        surplus.send(&hello("third").packet()).await;
        assert_eq!(surplus.connack().await, Some((false, 3)));
    }
    house.expect([arrives("first"), arrives("second")]).await;
    first.leave().await;
    house.expect([leaves("first", Ending::Graceful)]).await;
    let mut third = Client::open(house.address).await;
    soon(async {
        // The place is free shortly after the event.
        loop {
            third.send(&hello("third").packet()).await;
            match third.connack().await {
                Some((_, 0)) => break,
                _ => third = Client::open(house.address).await,
            }
        }
    })
    .await;
    third.ping().await;
}

#[tokio::test]
async fn who_does_not_connect_in_time_is_closed() {
    let house = house_with(|config| config.timeouts.connect = Duration::from_millis(50));
    let mut silent = Client::open(house.address).await;
    let mut slow = Client::open(house.address).await;
    slow.send(&hello("slow").packet()[..10]).await;
    silent.is_closed().await;
    slow.is_closed().await;
}

#[tokio::test]
async fn a_thousand_clients_get_in_quickly() {
    let mut house = house();
    let mut clients = Vec::new();
    for index in 0..1000 {
        let mut client = Client::open(house.address).await;
        client.send(&hello(&format!("client-{index}")).packet()).await;
        clients.push(client);
        house.event().await;
    }
    for client in &mut clients {
        assert_eq!(client.connack().await, Some((false, 0)));
    }
    assert_eq!(house.broker.connected().len(), 1000);
    drop(clients);
    for _ in 0..1000 {
        house.event().await;
    }
    assert_eq!(house.broker.stats().connected, 0);
}

#[tokio::test]
async fn shutdown_closes_everything_and_ends_the_inbox() {
    let mut house = house();
    let (mut client, _) = Client::enter(house.address, hello("a")).await;
    let mut silent = Client::open(house.address).await;
    house.expect([arrives("a")]).await;
    soon(house.broker.shutdown()).await;
    client.is_closed().await;
    silent.is_closed().await;
    assert!(TcpStream::connect(house.address).await.is_err());
    assert!(matches!(
        soon(house.inbox.recv()).await,
        Some(holdfast_broker::Inbound::Disconnected {
            reason: Ending::Shutdown,
            ..
        })
    ));
    assert_eq!(soon(house.inbox.recv()).await, None);
}

#[tokio::test]
async fn a_bad_configuration_is_explained() {
    struct Nobody;
    impl holdfast_broker::Gate for Nobody {
        fn authenticate(
            &self,
            _: &holdfast_broker::Connect<'_>,
        ) -> Result<holdfast_broker::Session, holdfast_broker::Refusal> {
            Err(holdfast_broker::Refusal::NotAuthorized)
        }
    }
    let start = |config| {
        Broker::start(config, std::sync::Arc::new(Nobody))
            .map(drop)
            .unwrap_err()
    };
    assert!(matches!(start(BrokerConfig::default()), StartError::NoListener));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    assert!(matches!(
        start(BrokerConfig::plain(address)),
        StartError::Listen { .. }
    ));
    let missing = Pem::Path("/nonexistent/cert.pem".into());
    for (certificates, message) in [
        (missing, "cannot read /nonexistent/cert.pem"),
        (
            Pem::Bytes(Vec::new()),
            "the certificate chain is empty: expected at least one CERTIFICATE section, leaf first",
        ),
    ] {
        let tls = TlsConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            certificates,
            key: Pem::Bytes(Vec::new()),
        };
        let StartError::Tls(error) = start(BrokerConfig {
            tls: Some(tls),
            ..BrokerConfig::default()
        }) else {
            panic!("not a TLS error")
        };
        assert_eq!(error.to_string(), message);
    }
}

#[tokio::test]
async fn tls_works_and_a_silent_peer_keeps_nobody_out() {
    let identity = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let key_path = directory.path().join("key.pem");
    std::fs::write(&key_path, identity.signing_key.serialize_pem()).unwrap();
    let house = house_with(|config| {
        config.listen = None;
        config.tls = Some(TlsConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            certificates: Pem::Bytes(identity.cert.pem().into_bytes()),
            key: Pem::Path(key_path),
        });
    });
    // B4: these never say a word, or the wrong one.
    let _silent: Vec<_> = [
        Client::open(house.address).await,
        Client::open(house.address).await,
    ]
    .into();
    let mut plain = Client::open(house.address).await;
    plain.send(&hello("plain").packet()).await;
    let mut client = tls_client(house.address, identity.cert.der()).await;
    client.send(&hello("a").packet()).await;
    assert_eq!(client.connack().await, Some((false, 0)));
    assert_eq!(client.subscribe(&[("t", 1)]).await, [1]);
    let large = vec![7; 300_000];
    client.send(&publish("t", &large, 1, false)).await;
    let mut kinds = Vec::new();
    for _ in 0..2 {
        let (header, body) = client.receive().await.unwrap();
        kinds.push((header, body.len()));
    }
    kinds.sort_unstable();
    assert_eq!(kinds, [(0x32, 300_005), (0x40, 2)]);
}

async fn tls_client(address: std::net::SocketAddr, root: &CertificateDer<'static>) -> Client {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(std::sync::Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    Client::over(
        tokio::time::timeout(PATIENCE, connector.connect(name, stream))
            .await
            .unwrap()
            .unwrap(),
    )
}

#[tokio::test]
async fn the_owner_can_end_a_connection() {
    let mut house = house();
    let (mut client, _) = Client::enter(house.address, hello("a")).await;
    assert!(house.broker.disconnect("a"));
    client.is_closed().await;
    house.expect([arrives("a"), leaves("a", Ending::Removed)]).await;
    until(|| !house.broker.disconnect("a")).await;
}
