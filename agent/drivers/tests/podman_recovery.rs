//! Container tasks over restarts: of the agent, of podman, of the box.

mod common;

use std::time::{Duration, Instant};

use common::edge::Edge;
use common::{PATIENCE, eventually, inside, log};
use holdfast_drivers::{Recovered, TaskSpec};

#[tokio::test]
async fn a_restarted_agent_adopts_containers_and_their_logs() {
    let edge = Edge::new();
    let spec = edge.sh(
        "long",
        "i=0; while [ ! -e /local/go ]; do echo $i; i=$((i+1)); sleep 0.02; done; exit 42",
    );
    let short = edge.sh("short", "while [ ! -e /local/go ]; do sleep 0.02; done; exit 6");
    let agent = edge.node.agent();
    let (handle, running) = agent.driver.start(&spec).await.unwrap();
    let (short_handle, _) = agent.driver.start(&short).await.unwrap();
    eventually("lines arrive", || log(&spec, "stdout").lines().count() > 5).await;
    drop(agent);
    std::fs::write(inside(&short, "local/go"), "").unwrap();

    let mut agent = edge.node.agent();
    let mut found = agent.driver.list().await.unwrap();
    found.sort_by_key(|found| found.handle.task.clone());
    assert_eq!(found.len(), 2);
    assert_eq!(
        (&found[0].handle, &*found[0].job, &*found[0].spec_hash),
        (&handle, "web", "spec-1")
    );
    assert_eq!(
        agent.driver.recover(&handle, &spec).await.unwrap(),
        Recovered::Running(running)
    );
    let exit = match agent.driver.recover(&short_handle, &short).await.unwrap() {
        Recovered::Exited(exit) => exit,
        // It was just ending.
        Recovered::Running(_) => agent.exit().await,
        Recovered::Gone => panic!("its container is still there"),
    };
    assert_eq!(
        exit.exit_code,
        Some(6),
        "an exit while the agent was away is not lost"
    );
    let (again, _) = agent.driver.start(&spec).await.unwrap();
    assert_eq!(again, handle, "starting what runs already finds it");
    let stats = agent.driver.stats(&handle).await.unwrap();
    assert!(stats.memory_bytes > 0 && stats.cpu_total_ns > 0, "{stats:?}");

    std::fs::write(inside(&spec, "local/go"), "").unwrap();
    assert_eq!(agent.exit().await.exit_code, Some(42));
    agent.driver.remove(&handle).await.unwrap();
    let numbers: Vec<usize> = log(&spec, "stdout")
        .lines()
        .map(|line| line.parse().unwrap())
        .collect();
    assert!(
        numbers.iter().enumerate().all(|(index, number)| index == *number),
        "{numbers:?}"
    );
    assert_eq!(
        agent.driver.recover(&handle, &spec).await.unwrap(),
        Recovered::Gone
    );
}

#[tokio::test]
async fn a_newer_spec_replaces_the_old_container() {
    let edge = Edge::new();
    let agent = edge.node.agent();
    let spec = edge.sh("web", "sleep 1000");
    let (old, _) = agent.driver.start(&spec).await.unwrap();
    let (new, _) = agent
        .driver
        .start(&TaskSpec {
            spec_hash: "spec-2".into(),
            ..spec
        })
        .await
        .unwrap();
    assert_ne!(old, new);
    let found = agent.driver.list().await.unwrap();
    assert_eq!((found.len(), &*found[0].spec_hash), (1, "spec-2"));
}

#[tokio::test]
async fn a_crash_of_podman_loses_no_task_and_no_exit() {
    let mut edge = Edge::new();
    let mut agent = edge.node.agent();
    let spec = edge.sh("long", "while [ ! -e /local/go ]; do sleep 0.02; done; exit 11");
    let stays = edge.sh("stays", "while [ ! -e /local/go ]; do sleep 0.02; done; exit 12");
    let (handle, running) = agent.driver.start(&spec).await.unwrap();
    agent.driver.start(&stays).await.unwrap();
    agent.healthy(true).await;

    edge.service.kill();
    agent.healthy(false).await;
    let error = agent.driver.list().await.unwrap_err().to_string();
    assert!(error.contains("podman is not reachable"), "{error}");
    let error = agent.driver.start(&edge.sh("more", "true")).await.unwrap_err();
    assert!(error.recoverable, "{error:?}");
    std::fs::write(inside(&spec, "local/go"), "").unwrap();
    eventually("the container ends on its own", || {
        !common::is_alive(running.pid.unwrap())
    })
    .await;

    edge.service.restart().unwrap();
    agent.healthy(true).await;
    let exit = agent.exit().await;
    assert_eq!((&exit.task, exit.exit_code), (&spec.id, Some(11)));
    agent.driver.remove(&handle).await.unwrap();
    std::fs::write(inside(&stays, "local/go"), "").unwrap();
    assert_eq!(agent.exit().await.exit_code, Some(12), "events flow again");
    assert_eq!(agent.exits_so_far(), []);
}

#[tokio::test]
async fn orphans_are_found_stopped_and_removed_without_a_spec() {
    let edge = Edge::new();
    let agent = edge.node.agent();
    agent
        .driver
        .start(&edge.sh("orphan", "trap 'exit 0' TERM; while :; do sleep 0.05; done"))
        .await
        .unwrap();
    drop(agent);
    let mut agent = edge.node.agent();
    let found = agent.driver.list().await.unwrap();
    let begun = Instant::now();
    agent.driver.stop(&found[0].handle, None, PATIENCE).await.unwrap();
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "it is not waited for in vain"
    );
    assert!(!agent.driver.list().await.unwrap()[0].running);
    agent.driver.remove(&found[0].handle).await.unwrap();
    assert_eq!(agent.driver.list().await.unwrap(), []);
    assert_eq!(agent.exits_so_far(), []);
}

#[tokio::test]
async fn a_container_removed_behind_our_back_is_reported_as_ended() {
    let edge = Edge::new();
    let mut agent = edge.node.agent();
    let spec = edge.sh("gone", "sleep 1000");
    let (handle, _) = agent.driver.start(&spec).await.unwrap();
    edge.service
        .podman(&["rm", "--force", "--time", "0", &handle.state])
        .unwrap();
    let exit = agent.exit().await;
    assert_eq!(exit.task, spec.id);
    assert!(matches!(exit.exit_code, None | Some(137)), "{exit:?}");
}

#[tokio::test]
async fn after_a_reboot_that_lost_all_containers_tasks_start_anew_and_logs_go_on() {
    let edge = Edge::new();
    let spec = edge.sh(
        "boot",
        "echo booted; while [ ! -e /local/go ]; do sleep 0.02; done",
    );
    let agent = edge.node.agent();
    let (handle, _) = agent.driver.start(&spec).await.unwrap();
    eventually("it has booted", || log(&spec, "stdout") == "booted\n").await;
    drop(agent);
    edge.service
        .podman(&["rm", "--all", "--force", "--time", "0"])
        .unwrap();

    let mut agent = edge.node.agent();
    assert_eq!(
        agent.driver.recover(&handle, &spec).await.unwrap(),
        Recovered::Gone
    );
    std::fs::write(inside(&spec, "local/go"), "").unwrap();
    agent.driver.start(&spec).await.unwrap();
    assert_eq!(agent.exit().await.exit_code, Some(0));
    assert_eq!(log(&spec, "stdout"), "booted\nbooted\n");
}

#[tokio::test]
async fn a_podman_that_hangs_makes_the_driver_unhealthy_and_comes_back() {
    let mut edge = Edge::new();
    edge.node.options.insert("call_timeout".into(), 1.into());
    let agent = edge.node.agent();
    agent.healthy(true).await;
    edge.service.freeze(true);
    let begun = Instant::now();
    let error = agent.driver.list().await.unwrap_err().to_string();
    assert_eq!(
        error,
        "podman did not answer within 1 s while it should list containers"
    );
    assert!(begun.elapsed() < Duration::from_secs(3));
    agent.healthy(false).await;
    edge.service.freeze(false);
    agent.healthy(true).await;
}

#[tokio::test]
async fn an_absent_podman_is_an_unhealthy_driver_that_recovers() {
    let mut edge = Edge::new();
    edge.service.kill();
    let agent = edge.node.agent();
    let info = agent.driver.fingerprint().await;
    assert!(
        !info.detected && !info.healthy && info.description.starts_with("podman is not reachable"),
        "{info:?}"
    );
    let error = agent.driver.start(&edge.sh("x", "true")).await.unwrap_err();
    assert!(
        error.recoverable && error.message.contains("podman is not reachable"),
        "{error:?}"
    );
    edge.service.restart().unwrap();
    agent.healthy(true).await;
    let info = agent.driver.fingerprint().await;
    assert_eq!(info.attributes["driver.podman"], "1");
    assert!(
        info.attributes["driver.docker.version"].starts_with(char::is_numeric),
        "{info:?}"
    );
}
