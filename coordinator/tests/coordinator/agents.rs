//! Agents over the embedded broker: real clients, real bytes.

use holdfast_shared::model::ClientStatus;
use holdfast_shared::topics::Topic;
use rumqttc::{ConnectReturnCode, QoS};
use serde_json::json;

use crate::support::agent::{Agent, Login, alloc_report, node_id};
use crate::support::{Coordinator, job};

const SECRET: &str = "a secret of the node";

#[tokio::test]
async fn a_node_gets_its_assignment_and_its_report_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = Coordinator::start(folder.path(), &[]).await;
    let mut agent = Agent::join(coordinator.mqtt(), Login::new(node_id(1), SECRET))
        .await
        .unwrap();
    coordinator
        .until("/v1/nodes", |nodes| nodes[0]["Status"] == "ready")
        .await;
    let registered = coordinator
        .put("/v1/jobs", &json!({ "Job": job("web") }))
        .await
        .json();
    assert_eq!(registered["Index"], registered["EvalCreateIndex"]);
    let alloc = agent.assignment().await;
    assert_eq!(
        (alloc.job.as_str(), alloc.name.as_str(), alloc.ports.len()),
        ("web", "web.app[0]", 1)
    );
    agent.runs(alloc.id).await;
    let view = coordinator
        .get(&format!("/v1/allocation/{}", alloc.id))
        .await
        .json();
    assert_eq!(
        (&view["ClientStatus"], &view["NodeID"]),
        (&json!("running"), &json!(node_id(1).to_string()))
    );
    let event = &view["TaskStates"]["server"]["Events"][2];
    assert_eq!(
        (&event["Type"], &event["DisplayMessage"]),
        (&json!("Started"), &json!("Task started by client"))
    );
    let services = coordinator
        .until("/v1/service/web", |list| list[0]["Address"] != json!(null))
        .await;
    assert_eq!(
        (&services[0]["Address"], &services[0]["Port"]),
        (&json!("10.0.0.7"), &json!(alloc.ports[0].value))
    );

    coordinator.delete("/v1/job/web").await.json();
    loop {
        if let holdfast_shared::wire::ToAgent::Assignments(set) = agent.hear().await
            && set.allocs.iter().any(|it| it.id == alloc.id && !it.run)
        {
            break;
        }
    }
    agent
        .report(vec![alloc_report(alloc.id, ClientStatus::Complete)], false)
        .await;
    coordinator
        .until("/v1/job/web", |job| job["Status"] == "dead")
        .await;
    coordinator.stop().await;
}

#[tokio::test]
async fn a_node_joins_by_tls_and_the_certificate_counts() {
    let folder = tempfile::tempdir().unwrap();
    let identity = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&certificate, identity.cert.pem()).unwrap();
    std::fs::write(&key, identity.signing_key.serialize_pem()).unwrap();
    let flags = ["--mqtt-addr", "", "--mqtt-tls-addr", "127.0.0.1:0"];
    let files = [
        "--mqtt-tls-cert",
        certificate.to_str().unwrap(),
        "--mqtt-tls-key",
        key.to_str().unwrap(),
    ];
    let data = folder.path().join("data");
    let coordinator = Coordinator::start(&data, &[flags, files].concat()).await;
    let ports: serde_json::Value =
        serde_json::from_slice(&std::fs::read(data.join("ports.json")).unwrap()).unwrap();
    assert_eq!(ports["mqtt"], json!(null));

    let mut roots = rustls::RootCertStore::empty();
    roots.add(identity.cert.der().clone()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    let tls = tls.with_root_certificates(roots).with_no_client_auth();
    let transport = rumqttc::Transport::tls_with_config(tls.into());
    let login = Login {
        transport,
        ..Login::new(node_id(1), SECRET)
    };
    let _agent = Agent::join(ports["mqtt_tls"].as_str().unwrap().parse().unwrap(), login)
        .await
        .unwrap();
    coordinator
        .until("/v1/nodes", |nodes| nodes[0]["Status"] == "ready")
        .await;
    coordinator.stop().await;
}

#[tokio::test]
async fn a_power_cut_of_the_node_is_noticed_by_its_last_will() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--heartbeat-grace", "0s"];
    let coordinator = Coordinator::start(folder.path(), &flags).await;
    let agent = Agent::join(coordinator.mqtt(), Login::new(node_id(1), SECRET))
        .await
        .unwrap();
    coordinator
        .until("/v1/nodes", |nodes| nodes[0]["Status"] == "ready")
        .await;
    agent.vanish();
    coordinator
        .until("/v1/nodes", |nodes| nodes[0]["Status"] == "down")
        .await;
    coordinator.stop().await;
}

#[tokio::test]
async fn only_the_secret_that_a_node_enrolled_with_opens_the_door() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = Coordinator::start(folder.path(), &["--enrolment-token", "let me in"]).await;
    let broker = coordinator.mqtt();
    let refused = async |login: Login| {
        Agent::connect(broker, login)
            .await
            .err()
            .expect("it is not let in")
    };
    let login = |password: &str| Login::new(node_id(1), password);
    use ConnectReturnCode::{BadClientId, BadUserNamePassword, NotAuthorized};
    assert_eq!(
        refused(login(SECRET)).await,
        NotAuthorized,
        "not enrolled, no token"
    );
    assert_eq!(
        refused(login(&format!("guess:{SECRET}"))).await,
        NotAuthorized,
        "not enrolled, wrong token"
    );
    assert_eq!(
        refused(login("let me in:short")).await,
        BadUserNamePassword,
        "a secret that can be guessed"
    );
    assert_eq!(
        refused(Login {
            client_id: node_id(2).to_string(),
            ..login(SECRET)
        })
        .await,
        BadClientId
    );
    assert_eq!(
        refused(Login {
            user: "admin".into(),
            ..login(SECRET)
        })
        .await,
        BadUserNamePassword
    );

    let _agent = Agent::join(broker, login(&format!("let me in:{SECRET}")))
        .await
        .unwrap();
    coordinator
        .until("/v1/nodes", |nodes| nodes[0]["Status"] == "ready")
        .await;
    assert_eq!(
        refused(login("let me in:another secret")).await,
        BadUserNamePassword,
        "the identity is used twice"
    );
    coordinator.stop().await;

    // After a restart the node comes back with its secret alone, and nobody else does.
    let coordinator = Coordinator::start(folder.path(), &["--enrolment-token", "let me in"]).await;
    let broker = coordinator.mqtt();
    let other = Agent::connect(broker, Login::new(node_id(1), "let me in:another secret")).await;
    assert_eq!(other.err(), Some(BadUserNamePassword));
    assert!(
        Agent::connect(
            broker,
            Login {
                session: 2,
                ..Login::new(node_id(1), SECRET)
            }
        )
        .await
        .is_ok()
    );
    coordinator.stop().await;
}

#[tokio::test]
async fn a_node_that_talks_nonsense_or_out_of_turn_hurts_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = Coordinator::start(folder.path(), &[]).await;
    let broker = coordinator.mqtt();
    let good = Agent::join(broker, Login::new(node_id(1), SECRET)).await.unwrap();
    let bad = Agent::connect(broker, Login::new(node_id(2), SECRET))
        .await
        .unwrap();
    for payload in [
        vec![],
        vec![0xff; 100],
        b"\x01\x63\x63\x63".to_vec(),
        b"{}".to_vec(),
    ] {
        bad.say_bytes(payload).await;
    }
    let malformed = |figures: &serde_json::Value| {
        let counters = figures["Counters"].as_array().unwrap();
        counters
            .iter()
            .any(|it| it["Name"] == "holdfast_mqtt_malformed_total" && it["Count"] == 4)
    };
    coordinator.until("/v1/metrics", malformed).await;
    // Speaking for another node ends the connection.
    bad.client
        .publish(Topic::Report(good.node).to_string(), QoS::AtLeastOnce, false, "x")
        .await
        .unwrap();
    bad.ended().await;
    coordinator
        .until("/v1/nodes", |nodes| {
            nodes.as_array().unwrap().len() == 1 && nodes[0]["Status"] == "ready"
        })
        .await;
    coordinator.stop().await;
}
