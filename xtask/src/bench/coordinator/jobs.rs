//! The jobs that are registered, and what becomes of them.

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::connection::Connection;

/// Stands for the id in a [`Template`].
const ID: &str = "%ID%";

/// The body that registers a job, but for the job's id: clients are to be busy with the coordinator, not with JSON.
pub(super) struct Template(String);

impl Template {
    /// A service job with so many groups of one allocation each, as `edgectl` and the original's clients send it.
    pub(super) fn new(groups: usize) -> Self {
        let group = |index: usize| {
            json!({
                "Name": format!("group-{index}"),
                "Count": 1,
                "Tasks": [{
                    "Name": "server",
                    "Driver": "podman",
                    "Config": { "image": "docker.io/library/busybox:1.36", "command": "sleep", "args": ["100000"] },
                    "Env": { "LISTEN": "0.0.0.0:8080" },
                    "Resources": { "CPU": 20, "MemoryMB": 16 },
                }],
            })
        };
        let job = json!({
            "ID": ID,
            "Type": "service",
            "Datacenters": ["dc1"],
            "TaskGroups": (0..groups).map(group).collect::<Vec<Value>>(),
        });
        Self(json!({ "Job": job }).to_string())
    }

    /// The body for one job.
    pub(super) fn of(&self, id: &str) -> String {
        self.0.replacen(ID, id, 1)
    }
}

/// Registers a job; answers its evaluation.
pub(super) fn register(connection: &mut Connection, body: &str) -> anyhow::Result<String> {
    let answer: Value = serde_json::from_slice(connection.request("PUT", "/v1/jobs", body)?)?;
    Ok(answer["EvalID"].as_str().context("no evaluation")?.to_owned())
}

/// Waits, by queries that block, until an evaluation has found a place for everything. What the API shows is durable.
pub(super) fn await_placed(connection: &mut Connection, eval: &str) -> anyhow::Result<()> {
    let mut index = 0;
    loop {
        let view = connection.read(&format!("/v1/evaluation/{eval}?index={index}&wait=30s"))?;
        match view["Status"].as_str() {
            Some("complete") => {
                let failed = &view["FailedTGAllocs"];
                ensure!(failed.is_null(), "evaluation {eval} did not place all: {failed}");
                return Ok(());
            }
            Some("pending") => index = connection.index(),
            other => anyhow::bail!("evaluation {eval} is {other:?}"),
        }
    }
}

/// How many allocations of a job run.
pub(super) fn running(connection: &mut Connection, id: &str) -> anyhow::Result<u64> {
    let view = connection.read(&format!("/v1/job/{id}/summary"))?;
    let groups = view["Summary"].as_object().context("no groups")?;
    Ok(groups
        .values()
        .filter_map(|group| group["Running"].as_u64())
        .sum())
}

/// Lets evaluations wait, or lets them go on.
pub(super) fn pause(connection: &mut Connection, is_paused: bool) -> anyhow::Result<()> {
    let mut settings = connection.read("/v1/operator/scheduler/configuration")?["SchedulerConfig"].take();
    settings["PauseEvalBroker"] = is_paused.into();
    connection
        .request(
            "PUT",
            "/v1/operator/scheduler/configuration",
            &settings.to_string(),
        )
        .map(drop)
}
