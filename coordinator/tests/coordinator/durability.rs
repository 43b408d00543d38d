//! What was acknowledged is there after a kill and on a full disk.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Coordinator, http, job};

/// The real program.
struct Program {
    child: Child,
    http: SocketAddr,
}

impl Program {
    fn start(data: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_holdfast-coordinator"))
            .args([
                "--http-addr",
                "127.0.0.1:0",
                "--mqtt-addr",
                "127.0.0.1:0",
                "--log-level",
                "error",
                "--data-dir",
            ])
            .arg(data)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let http = line
            .split_once("ready: http ")
            .and_then(|(_, rest)| rest.split_once(','))
            .map(|(http, _)| http);
        let http = http
            .and_then(|http| http.parse().ok())
            .unwrap_or_else(|| panic!("not ready: {line:?}"));
        let ports: Value =
            serde_json::from_str(&std::fs::read_to_string(data.join("ports.json")).unwrap()).unwrap();
        assert_eq!(ports["http"], json!(http));
        Self { child, http }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // SIGKILL; it may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn every_acknowledged_job_is_there_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..3 {
        let program = Program::start(folder.path());
        for number in 0..20 {
            let body = json!({ "Job": job(&format!("job-{round}-{number:02}")) }).to_string();
            let answer = http::request(program.http, "PUT", "/v1/jobs", Some(body)).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
        }
        drop(program);
        let program = Program::start(folder.path());
        let jobs = http::request(program.http, "GET", "/v1/jobs", None).await.json();
        assert_eq!(jobs.as_array().unwrap().len(), 20 * (round + 1));
    }
}

#[tokio::test]
async fn a_job_and_its_versions_survive_an_orderly_stop() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = Coordinator::start(folder.path(), &[]).await;
    let first = coordinator
        .put("/v1/jobs", &json!({ "Job": job("web") }))
        .await
        .json();
    let again = coordinator
        .put("/v1/jobs", &json!({ "Job": job("web") }))
        .await
        .json();
    assert_eq!(
        again["JobModifyIndex"], first["JobModifyIndex"],
        "the same specification is the same version"
    );
    let mut newer = job("web");
    newer["TaskGroups"][0]["Tasks"][0]["Env"]["VERSION"] = json!("2");
    let stale = json!({ "Job": newer, "EnforceIndex": true, "JobModifyIndex": 1 });
    let refused = coordinator.put("/v1/jobs", &stale).await;
    assert_eq!(refused.status, 400);
    assert!(
        refused.body.contains("Enforcing job modify index 1"),
        "{}",
        refused.body
    );
    coordinator.put("/v1/jobs", &json!({ "Job": newer })).await.json();
    let before = coordinator.get("/v1/job/web/versions").await.json();
    coordinator.stop().await;

    let coordinator = Coordinator::start(folder.path(), &[]).await;
    let after = coordinator.get("/v1/job/web/versions").await.json();
    assert_eq!(after["Versions"], before["Versions"]);
    assert_eq!(after["Versions"][0]["Version"], 1);
    let purged = coordinator.delete("/v1/job/web?purge=true").await;
    assert_eq!(purged.status, 200, "{}", purged.body);
    coordinator.stop().await;

    let coordinator = Coordinator::start(folder.path(), &[]).await;
    assert_eq!(coordinator.get("/v1/job/web").await.status, 404);
    coordinator.stop().await;
}

/// A small file system in memory.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None`, with a note, where one may not be mounted.
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", "size=8m", "holdfast-test"])
            .arg(folder.path())
            .stderr(Stdio::null());
        if mount.status().is_ok_and(|status| status.success()) {
            return Some(Self(folder));
        }
        println!("note: no file system can be mounted here, a full disk was not tried");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_full_disk_refuses_changes_and_loses_none() {
    let Some(disk) = SmallDisk::mount() else { return };
    let data = disk.0.path().join("data");
    let ballast = disk.0.path().join("ballast");
    let coordinator = Coordinator::start(&data, &[]).await;
    coordinator
        .put("/v1/jobs", &json!({ "Job": job("before") }))
        .await
        .json();
    // All that is left of the disk. The file fills up and the write fails, as it should.
    let _ = std::fs::write(&ballast, vec![1; 8 * 1024 * 1024]);
    let mut acknowledged = vec!["before".to_owned()];
    let mut refused = None;
    for number in 0..200 {
        let name = format!("during-{number:03}");
        let mut large = job(&name);
        large["Meta"]["payload"] = json!("x".repeat(20_000 + number));
        let answer = coordinator.put("/v1/jobs", &json!({ "Job": large })).await;
        if answer.status != 200 {
            refused = Some(answer);
            break;
        }
        acknowledged.push(name);
    }
    let refused = refused.expect("the disk is full");
    assert!(refused.body.contains("could not be stored"), "{}", refused.body);
    let refused = coordinator.put("/v1/jobs", &json!({ "Job": job("more") })).await;
    assert_eq!(refused.status, 503, "{}", refused.body);
    assert!(refused.body.contains("nothing was changed"), "{}", refused.body);
    assert_eq!(coordinator.get("/v1/agent/health").await.status, 500);
    assert_eq!(
        coordinator.get("/v1/job/before").await.status,
        200,
        "reading goes on"
    );

    std::fs::remove_file(&ballast).unwrap();
    let deadline = tokio::time::Instant::now() + crate::support::PATIENCE;
    while coordinator
        .put("/v1/jobs", &json!({ "Job": job("after") }))
        .await
        .status
        != 200
    {
        assert!(tokio::time::Instant::now() < deadline, "it never recovered");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    acknowledged.push("after".to_owned());
    coordinator.stop().await;
    let coordinator = Coordinator::start(&data, &[]).await;
    for name in acknowledged {
        assert_eq!(
            coordinator.get(&format!("/v1/job/{name}")).await.status,
            200,
            "{name} was acknowledged"
        );
    }
    coordinator.stop().await;
}
