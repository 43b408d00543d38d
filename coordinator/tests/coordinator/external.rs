//! An external broker: mosquitto, started by the test.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::support::agent::{Agent, Login, node_id};
use crate::support::{Coordinator, PATIENCE, job};

struct Mosquitto {
    child: Child,
    address: SocketAddr,
}

impl Mosquitto {
    /// Starts one on `address`; `None`, with a note, where it is not installed.
    async fn start(address: SocketAddr, folder: &std::path::Path) -> Option<Self> {
        let config = folder.join("mosquitto.conf");
        std::fs::write(
            &config,
            format!("listener {} 127.0.0.1\nallow_anonymous true\n", address.port()),
        )
        .unwrap();
        let started = Command::new("mosquitto")
            .arg("-c")
            .arg(&config)
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        let Ok(child) = started else {
            println!("note: mosquitto is not installed, an external broker was not tried");
            return None;
        };
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            assert!(
                tokio::time::Instant::now() < deadline,
                "mosquitto does not listen"
            );
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        Some(Self { child, address })
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn a_job_runs_through_an_external_broker_that_comes_late_and_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let address = free_address();
    // The broker is not there yet: the coordinator starts all the same.
    let url = format!("mqtt://{address}");
    let coordinator = Coordinator::start(&folder.path().join("data"), &["--broker", &url]).await;
    let Some(mosquitto) = Mosquitto::start(address, folder.path()).await else {
        return;
    };
    let mut agent = join(&coordinator, mosquitto.address, 1).await;
    coordinator
        .put("/v1/jobs", &json!({ "Job": job("web") }))
        .await
        .json();
    let alloc = agent.assignment().await;
    agent.runs(alloc.id).await;
    coordinator
        .until("/v1/allocations", |list| list[0]["ClientStatus"] == "running")
        .await;

    // A broker that forgets everything, subscriptions included.
    drop(mosquitto);
    drop(agent);
    let mosquitto = Mosquitto::start(address, folder.path()).await.unwrap();
    let mut agent = join(&coordinator, mosquitto.address, 2).await;
    assert_eq!(agent.assignment().await.id, alloc.id);
    coordinator.stop().await;
}

/// Joins; until the coordinator has subscribed, nobody answers.
async fn join(coordinator: &Coordinator, broker: SocketAddr, session: u64) -> Agent {
    let connected = |figures: &serde_json::Value| {
        figures["Gauges"].as_array().is_some_and(|gauges| {
            gauges
                .iter()
                .any(|it| it["Name"] == "holdfast_broker_connected" && it["Value"] == 1)
        })
    };
    coordinator.until("/v1/metrics", connected).await;
    let login = Login {
        session,
        ..Login::new(node_id(1), "not looked at by mosquitto")
    };
    Agent::join(broker, login).await.unwrap()
}
