//! A coordinator with free ports and a folder of its own, and what talks to it.

pub(crate) mod agent;
pub(crate) mod http;
pub(crate) mod log;
#[path = "../../../broker/tests/broker/client.rs"]
#[expect(dead_code, reason = "shared with the broker's tests, which need more of it")]
pub(crate) mod raw;
pub(crate) mod shape;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use holdfast_coordinator::Server;
use holdfast_coordinator::config::{Config, SETTINGS};
use serde_json::{Value, json};

use http::Answer;

/// How long anything may take before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A coordinator inside the test.
pub(crate) struct Coordinator {
    server: Server,
}

impl Coordinator {
    /// Starts one on the data in `folder`.
    pub(crate) async fn start(folder: &Path, flags: &[&str]) -> Self {
        let server = Server::start(config(folder, flags))
            .await
            .unwrap_or_else(|error| {
                panic!("{}", holdfast_coordinator::error::chain(&error));
            });
        Self { server }
    }

    pub(crate) fn mqtt(&self) -> SocketAddr {
        self.server.mqtt().expect("the embedded broker listens")
    }

    pub(crate) fn http(&self) -> SocketAddr {
        self.server.http()
    }

    pub(crate) async fn stop(self) {
        self.server.stop().await;
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        http::request(self.http(), "GET", path, None).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        http::request(self.http(), "PUT", path, Some(body.to_string())).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        http::request(self.http(), "DELETE", path, None).await
    }

    /// What `path` answers once `wanted` holds for it.
    pub(crate) async fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let mut index = 0;
        loop {
            let separator = if path.contains('?') { '&' } else { '?' };
            let answer = self
                .get(&format!("{path}{separator}index={index}&wait=500ms"))
                .await;
            if answer.status == 200 && wanted(&answer.json()) {
                return answer.json();
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "GET {path} never became right: {}",
                answer.body
            );
            index = answer.index();
        }
    }
}

/// Settings for a coordinator with free ports and its data in `folder`.
pub(crate) fn config(folder: &Path, flags: &[&str]) -> Config {
    let data = folder.display().to_string();
    let own = [
        "--data-dir",
        &data,
        "--http-addr",
        "127.0.0.1:0",
        "--mqtt-addr",
        "127.0.0.1:0",
        "--name",
        "test",
    ];
    let args = own.iter().chain(flags).map(|arg| (*arg).to_owned());
    let values = SETTINGS.load(args, Vec::<(String, String)>::new()).unwrap();
    Config::from_values(&values).unwrap()
}

/// A job with one group of one task, for nodes that have the `raw_exec` driver.
pub(crate) fn job(id: &str) -> Value {
    json!({
        "ID": id, "Name": id, "Type": "service", "Datacenters": ["*"], "Meta": {"owner": "ops"},
        "TaskGroups": [{
            "Name": "app", "Count": 1,
            "Networks": [{"DynamicPorts": [{"Label": "http"}]}],
            "Services": [{"Name": id, "PortLabel": "http", "Provider": "nomad", "Tags": ["edge", "v1"]}],
            "Disconnect": {"LostAfter": 3_600_000_000_000i64},
            "Update": {"MinHealthyTime": 0, "HealthCheck": "task_states"},
            "Tasks": [{
                "Name": "server", "Driver": "raw_exec", "Config": {"command": "/bin/true"},
                "Env": {"VERSION": "1"},
                "Resources": {"CPU": 50, "MemoryMB": 32},
                "Templates": [{"EmbeddedTmpl": "hello", "DestPath": "local/x", "ChangeMode": "noop"}],
            }],
        }],
    })
}
