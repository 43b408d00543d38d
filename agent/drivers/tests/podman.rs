//! Container tasks against a real podman service: what they get, and how they start and end.

mod common;

use std::path::Path;
use std::time::{Duration, Instant};

use common::edge::Edge;
use common::{PATIENCE, eventually, inside, log};
use holdfast_drivers::testing::Image;
use holdfast_drivers::{DriverEvent, Mount, NetworkMode, Port, Signal, TaskSpec};
use serde_json::json;

#[tokio::test]
async fn a_container_runs_with_its_environment_mounts_and_limits() {
    let edge = Edge::new();
    let mut agent = edge.node.agent();
    let script = "echo $GREETING; cat /application.properties /extra/x; cat /local/f; touch /alloc/data/made /secrets/s; \
                  touch /extra/y 2>/dev/null || echo read-only; hostname; id -u; pwd; ls /volume /mem; \
                  cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; true";
    let mut spec = edge.spec(
        "env",
        json!({
            "command": "sh", "args": ["-c", script], "hostname": "box", "work_dir": "/tmp", "pids_limit": 50,
            "mount": [
                {"type": "bind", "source": "local/application.properties", "target": "/application.properties"},
                {"type": "volume", "source": "data", "target": "/volume"},
                {"type": "tmpfs", "target": "/mem", "tmpfs_options": [{"size": 65536}]},
            ],
            "volumes": ["local/extra:/extra:ro"],
            "cap_drop": ["all"], "labels": {"team": "edge"}, "sysctl": {"net.core.somaxconn": "100"},
            "security_opt": ["no-new-privileges"], "extra_hosts": ["db:10.0.0.1"], "init": true, "shm_size": "1m",
        }),
    );
    spec.user = Some("nobody".into());
    std::fs::create_dir_all(inside(&spec, "local/extra")).unwrap();
    for (file, content) in [
        ("application.properties", "server.port=8080\n"),
        ("extra/x", "x\n"),
        ("f", "f\n"),
    ] {
        std::fs::write(inside(&spec, "local").join(file), content).unwrap();
    }
    for dir in [spec.alloc_dir.join("data"), spec.secrets_dir.clone()] {
        std::fs::set_permissions(dir, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    }
    spec.mounts = vec![Mount {
        source: inside(&spec, "local"),
        target: "/read".into(),
        read_only: true,
    }];
    let output = edge.output(&mut agent, &spec).await;
    let expected =
        "hello there\nserver.port=8080\nx\nf\nread-only\nbox\n65534\n/tmp\n/mem:\n\n/volume:\n67108864\n";
    assert_eq!(output, expected, "{}", log(&spec, "stderr"));
    assert!(spec.alloc_dir.join("data/made").exists() && spec.secrets_dir.join("s").exists());
}

#[tokio::test]
async fn exit_codes_kills_and_lack_of_memory_are_told_apart() {
    let edge = Edge::new();
    let mut agent = edge.node.agent();
    for (script, code, oom) in [
        ("exit 0", 0, false),
        ("exit 7", 7, false),
        ("sh -c 'kill -9 $$'; exit 137", 137, false),
        ("exec dd if=/dev/zero of=/dev/null bs=300M count=1", 137, true),
    ] {
        // Whether memory was short is read from a cgroup that podman is about to remove: on a busy machine it may win.
        let mut tries = if oom { 10 } else { 1 };
        loop {
            let spec = edge.sh("exits", script);
            let (handle, _) = agent.driver.start(&spec).await.unwrap();
            let exit = agent.exit().await;
            assert_eq!(exit.exit_code, Some(code), "{script}");
            agent.driver.remove(&handle).await.unwrap();
            tries -= 1;
            if exit.oom_killed == oom {
                break;
            }
            assert!(tries > 0, "{script}: out of memory is {}", exit.oom_killed);
        }
    }
    assert_eq!(agent.driver.list().await.unwrap(), []);
    assert_eq!(agent.exits_so_far(), []);
}

#[tokio::test]
async fn published_ports_answer_and_unknown_labels_are_refused() {
    let edge = Edge::new();
    let agent = edge.node.agent();
    let mut spec = edge.spec("web", json!({"command": "serve", "ports": ["http"]}));
    let port = |label: &str, host_port, to| Port {
        label: label.into(),
        host_ip: None,
        host_port,
        to,
    };
    spec.ports = vec![port("http", 18080, 8080), port("other", 18081, 0)];
    let (_, running) = agent.driver.start(&spec).await.unwrap();
    assert!(running.address.is_some(), "a bridged container has an address");
    let get = || {
        let wget = edge
            .net
            .command("busybox")
            .args(["wget", "-qO-", "http://127.0.0.1:18080/"])
            .output()
            .unwrap();
        String::from_utf8_lossy(&wget.stdout) == "payments\n"
    };
    eventually("the published port answers", get).await;

    let mut spec = edge.spec("typo", json!({"ports": ["htpp"]}));
    spec.ports = vec![port("http", 18090, 0)];
    let error = agent.driver.start(&spec).await.unwrap_err();
    assert!(
        error
            .message
            .contains("config.ports: no port is labelled \"htpp\""),
        "{error}"
    );

    let mut spec = edge.spec("taken", json!({"ports": ["http"]}));
    spec.ports = vec![port("http", 18080, 0)];
    let error = agent.driver.start(&spec).await.unwrap_err();
    assert!(error.recoverable && error.message.contains("18080"), "{error}");
    assert_eq!(
        agent.driver.list().await.unwrap().len(),
        1,
        "a container that did not start is removed"
    );
}

#[tokio::test]
async fn the_tasks_of_a_bridge_group_share_one_network() {
    let edge = Edge::new();
    let mut agent = edge.node.agent();
    let bridged = |mut spec: TaskSpec| {
        spec.network = NetworkMode::Bridge;
        spec.ports = vec![Port {
            label: "http".into(),
            host_ip: None,
            host_port: 18080,
            to: 8080,
        }];
        spec
    };
    let web = bridged(edge.spec("web", json!({"command": "serve"})));
    let probe = "until wget -qO- http://127.0.0.1:8080/ 2>/dev/null; do sleep 0.05; done";
    let sidecar = bridged(edge.sh("sidecar", probe));
    let (web_handle, running) = agent.driver.start(&web).await.unwrap();
    assert!(running.address.is_some());
    let (sidecar_handle, _) = agent.driver.start(&sidecar).await.unwrap();
    assert_eq!(agent.exit().await.exit_code, Some(0));
    assert_eq!(
        log(&sidecar, "stdout"),
        "payments\n",
        "tasks reach each other on loopback"
    );
    let wget = || {
        edge.net
            .command("busybox")
            .args(["wget", "-qO-", "http://127.0.0.1:18080/"])
            .output()
            .unwrap()
    };
    assert_eq!(
        String::from_utf8_lossy(&wget().stdout),
        "payments\n",
        "the group's ports are published"
    );
    assert_eq!(
        agent.driver.list().await.unwrap().len(),
        2,
        "the pod's own container is no task"
    );
    agent.driver.remove(&sidecar_handle).await.unwrap();
    assert_ne!(edge.service.podman(&["pod", "ps", "-q"]).unwrap(), "");
    agent.driver.remove(&web_handle).await.unwrap();
    assert_eq!(
        edge.service.podman(&["pod", "ps", "-q"]).unwrap(),
        "",
        "nothing is left"
    );
}

#[tokio::test]
async fn much_output_loses_no_line() {
    let edge = Edge::new();
    let mut agent = edge.node.agent();
    let spec = edge.sh("chatty", "seq 1 300000");
    let (handle, _) = agent.driver.start(&spec).await.unwrap();
    assert_eq!(agent.exit().await.exit_code, Some(0));
    let numbers: Vec<u32> = log(&spec, "stdout")
        .lines()
        .map(|line| line.parse().unwrap())
        .collect();
    assert!(numbers.iter().copied().eq(1..=300_000), "{} lines", numbers.len());
    agent.driver.remove(&handle).await.unwrap();
}

#[tokio::test]
async fn stopping_asks_first_and_kills_later() {
    let edge = Edge::new();
    let mut agent = edge.node.agent();
    let spec = edge.sh(
        "polite",
        "trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done",
    );
    let (handle, _) = agent.driver.start(&spec).await.unwrap();
    eventually("the trap is set", || log(&spec, "stdout") == "ready\n").await;
    agent.driver.stop(&handle, None, PATIENCE).await.unwrap();
    assert_eq!(
        agent.exit().await.exit_code,
        Some(5),
        "docker's default signal is SIGTERM"
    );
    agent.driver.stop(&handle, None, PATIENCE).await.unwrap();
    agent.driver.remove(&handle).await.unwrap();

    let spec = edge.sh(
        "deaf",
        "trap '' TERM INT; trap 'echo hup' HUP; echo ready; while :; do sleep 0.05; done",
    );
    let (handle, _) = agent.driver.start(&spec).await.unwrap();
    eventually("the trap is set", || log(&spec, "stdout") == "ready\n").await;
    agent
        .driver
        .signal(&handle, "HUP".parse().unwrap())
        .await
        .unwrap();
    eventually("the signal arrives", || log(&spec, "stdout").ends_with("hup\n")).await;
    let begun = Instant::now();
    agent
        .driver
        .stop(&handle, Some(Signal::INT), Duration::from_millis(500))
        .await
        .unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(500));
    assert_eq!(agent.exit().await.exit_code, Some(137));
    agent.driver.remove(&handle).await.unwrap();
    agent.driver.remove(&handle).await.unwrap();
}

#[tokio::test]
async fn an_image_that_is_missing_offline_is_a_clear_and_passing_failure() {
    let edge = Edge::new();
    let mut agent = edge.node.agent();
    for (image, message) in [
        (
            "redis:7",
            "image redis:7 is not on this node and could not be pulled: ",
        ),
        (
            "localhost/none:1",
            "localhost/ images cannot be pulled; load it with `podman load`",
        ),
        ("10.255.255.1:5000/app:1", "could not be pulled"),
    ] {
        let spec = edge.spec("missing", json!({"image": image, "image_pull_timeout": "3s"}));
        let begun = Instant::now();
        let error = agent.driver.start(&spec).await.unwrap_err();
        assert!(error.message.contains(message) && error.recoverable, "{error:?}");
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "{image} took {:?}",
            begun.elapsed()
        );
    }
    let mut messages = Vec::new();
    while let Ok(event) = agent.events.try_recv() {
        if let DriverEvent::Progress { kind, message, .. } = event {
            messages.push(format!("{kind} {message}"));
        }
    }
    assert_eq!(messages, ["Driver Downloading image"; 2]);

    let forced = edge.spec(
        "forced",
        json!({"command": "true", "force_pull": true, "image_pull_timeout": "3s"}),
    );
    assert_eq!(
        edge.output(&mut agent, &forced).await,
        "",
        "without an uplink the image on the node is used"
    );
}

#[tokio::test]
async fn a_start_that_cannot_work_says_why_and_leaves_nothing() {
    let edge = Edge::new();
    let agent = edge.node.agent();
    let cases = [
        (
            json!({"command": "no-such-program"}),
            "executable file not found",
            false,
        ),
        (
            json!({"volumes": ["/no/such/path:/x"]}),
            "config.volumes: /no/such/path does not exist on this node",
            true,
        ),
        (
            json!({"volumes": ["../../../etc:/x"]}),
            "leaves the allocation's directory",
            false,
        ),
        (
            json!({"imgae": "x"}),
            "config.imgae: is unknown; did you mean \"image\"?",
            false,
        ),
    ];
    for (config, message, recoverable) in cases {
        let error = agent.driver.start(&edge.spec("bad", config)).await.unwrap_err();
        assert!(
            error.message.contains(message) && error.recoverable == recoverable,
            "{error:?}"
        );
    }
    assert_eq!(agent.driver.list().await.unwrap(), []);
}

#[tokio::test]
async fn a_terminal_and_unusual_images_keep_their_own_command() {
    let edge = Edge::new();
    let mut agent = edge.node.agent();
    let image = Image::busybox("tool:1")
        .script("/bin/tool", "echo tool \"$@\"")
        .entrypoint(&["tool"])
        .command(&["plain"]);
    edge.service.import(&image).unwrap();
    for (config, output) in [
        (json!({"image": "tool:1"}), "tool plain\n"),
        (json!({"image": "tool:1", "args": ["a", "b c"]}), "tool a b c\n"),
        (
            json!({"image": "tool:1", "entrypoint": "echo", "args": ["x"]}),
            "x\n",
        ),
        (
            json!({"image": "tool:1", "tty": true, "readonly_rootfs": true}),
            "tool plain\r\n",
        ),
    ] {
        let spec = edge.spec("tool", config);
        for index in 0..9 {
            let _ = std::fs::remove_file(spec.log_dir.join(format!("tool.stdout.{index}")));
        }
        assert_eq!(edge.output(&mut agent, &spec).await, output);
    }
    edge.service
        .podman(&[
            "tag",
            "tool:1",
            "docker.io/library/nginx:alpine",
            "quay.io/org/tool:latest",
        ])
        .unwrap();
    for name in [
        "nginx:alpine",
        "docker.io/library/nginx:alpine",
        "library/nginx:alpine",
        "quay.io/org/tool",
    ] {
        agent
            .driver
            .start(&edge.spec("named", json!({"image": name})))
            .await
            .expect(name);
        assert_eq!(
            agent.exit().await.exit_code,
            Some(0),
            "{name} is found without asking a registry"
        );
    }
    let spool = edge.node.dir.path().join("alloc-1/alloc/logs/.tool.spool");
    assert_eq!(
        std::fs::metadata(spool).unwrap().len(),
        0,
        "what was copied is gone"
    );
}
