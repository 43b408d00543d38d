//! raw_exec tasks, run for real.

mod common;

use std::time::{Duration, Instant};

use common::{Node, eventually, inside, is_alive, log, number_in};
use holdfast_drivers::{Recovered, Signal};
use serde_json::json;

fn node() -> Node {
    Node::new("raw_exec", json!({}))
}

#[tokio::test]
async fn exit_codes_and_signals_are_reported() {
    let node = node();
    let mut agent = node.agent();
    for (script, code, signal) in [
        ("exit 0", 0, 0),
        ("exit 7", 7, 0),
        ("kill -9 $$", 137, 9),
        ("kill -TERM $$", 143, 15),
    ] {
        let spec = node.sh("task", script);
        let (handle, _) = agent.driver.start(&spec).await.unwrap();
        let exit = agent.exit().await;
        assert_eq!((exit.exit_code, exit.signal), (Some(code), signal), "{script}");
        agent.driver.remove(&handle).await.unwrap();
    }
    assert_eq!(agent.driver.list().await.unwrap(), []);
}

#[tokio::test]
async fn a_task_gets_its_environment_its_directory_and_its_log_files() {
    let node = node();
    let mut agent = node.agent();
    let spec = node.sh("env", "echo \"$GREETING in $(pwd)\"; env | sort >&2; ls local/");
    std::fs::write(inside(&spec, "local/file"), "").unwrap();
    agent.driver.start(&spec).await.unwrap();
    agent.exit().await;
    assert_eq!(
        log(&spec, "stdout"),
        format!("hello there in {}\nfile\n", spec.task_dir.display())
    );
    let env = log(&spec, "stderr");
    let names: Vec<&str> = env.lines().filter_map(|line| line.split('=').next()).collect();
    assert!(
        names
            .iter()
            .all(|name| ["GREETING", "PATH", "PWD", "OLDPWD", "SHLVL", "_"].contains(name)),
        "{env}"
    );
}

#[tokio::test]
async fn what_cannot_start_says_why() {
    let node = node();
    let agent = node.agent();
    let script = node.dir.path().join("plain.sh");
    std::fs::write(&script, "").unwrap();
    let cases = [
        (
            json!({"command": "no-such-program"}),
            "there is no program \"no-such-program\"",
        ),
        (json!({"command": script}), "is not executable"),
        (json!({"command": "sh", "work_dir": "nowhere"}), "cannot run /"),
        (json!({"comand": "sh"}), "did you mean \"command\"?"),
    ];
    for (config, message) in cases {
        let error = agent.driver.start(&node.spec("bad", config)).await.unwrap_err();
        assert!(error.message.contains(message) && !error.recoverable, "{error:?}");
    }
    let mut spec = node.sh("bad", "true");
    spec.kill_signal = Some("SIGNOPE".into());
    let error = agent.driver.start(&spec).await.unwrap_err();
    assert_eq!(error.message.split(':').next(), Some("kill_signal"), "{error}");
    let mut spec = node.sh("bad", "true");
    spec.user = Some("nobody-of-that-name".into());
    let error = agent.driver.start(&spec).await.unwrap_err();
    assert!(error.message.contains("does not exist on this node"), "{error}");
    assert_eq!(agent.driver.list().await.unwrap(), []);
}

#[tokio::test]
async fn a_task_runs_as_its_user() {
    let node = node();
    let mut agent = node.agent();
    let mut spec = node.spec("who", json!({"command": "id", "args": ["-u"], "work_dir": "/"}));
    spec.user = Some("nobody".into());
    agent.driver.start(&spec).await.unwrap();
    agent.exit().await;
    assert_eq!(log(&spec, "stdout"), "65534\n");
}

#[tokio::test]
async fn stopping_reaches_the_whole_group_and_what_left_it() {
    let node = node();
    let mut agent = node.agent();
    let spec = node.sh(
        "tree",
        "trap 'exit 5' INT; sleep 1000 & echo $! >child; setsid sh -c 'echo $$ >daemon; exec sleep 1000' & \
         while :; do sleep 0.05; done",
    );
    let (handle, _) = agent.driver.start(&spec).await.unwrap();
    let child = number_in(&inside(&spec, "child")).await;
    let daemon = number_in(&inside(&spec, "daemon")).await;
    agent
        .driver
        .stop(&handle, None, Duration::from_secs(10))
        .await
        .unwrap();
    assert_eq!(
        agent.exit().await.exit_code,
        Some(5),
        "the default signal is SIGINT"
    );
    assert!(!is_alive(child) && !is_alive(daemon), "nothing is left behind");
    agent.driver.stop(&handle, None, Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn a_task_that_ignores_its_signal_is_killed_after_the_timeout() {
    let node = node();
    let mut agent = node.agent();
    let spec = node.sh(
        "deaf",
        "trap '' INT TERM; echo $$ >pid; while :; do sleep 0.05; done",
    );
    let (handle, _) = agent.driver.start(&spec).await.unwrap();
    number_in(&inside(&spec, "pid")).await;
    let begun = Instant::now();
    agent
        .driver
        .stop(&handle, Some(Signal::TERM), Duration::from_millis(300))
        .await
        .unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(300));
    let exit = agent.exit().await;
    assert_eq!((exit.exit_code, exit.signal), (Some(137), 9));
}

#[tokio::test]
async fn signals_reach_the_main_process() {
    let node = node();
    let mut agent = node.agent();
    let spec = node.sh(
        "usr1",
        "trap 'exit 3' USR1; echo $$ >pid; while :; do sleep 0.05; done",
    );
    let (handle, _) = agent.driver.start(&spec).await.unwrap();
    number_in(&inside(&spec, "pid")).await;
    agent
        .driver
        .signal(&handle, "USR1".parse().unwrap())
        .await
        .unwrap();
    assert_eq!(agent.exit().await.exit_code, Some(3));
    assert!(
        agent
            .driver
            .signal(&handle, Signal::TERM)
            .await
            .unwrap_err()
            .is_gone()
    );
}

#[tokio::test]
async fn a_restarted_agent_adopts_a_task_and_learns_its_exit_code() {
    let node = node();
    let spec = node.sh(
        "long",
        "echo $$ >pid; while [ ! -e go ]; do echo tick; sleep 0.02; done; exit 42",
    );
    let agent = node.agent();
    let (handle, running) = agent.driver.start(&spec).await.unwrap();
    let pid = number_in(&inside(&spec, "pid")).await;
    assert_eq!(running.pid, Some(pid));
    drop(agent);

    let mut agent = node.agent();
    let found = agent.driver.list().await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(
        (&found[0].handle, found[0].running, &*found[0].spec_hash),
        (&handle, true, "spec-1")
    );
    let Recovered::Running(recovered) = agent.driver.recover(&handle, &spec).await.unwrap() else {
        panic!("it runs");
    };
    assert_eq!(recovered.pid, Some(pid));
    let (again, _) = agent.driver.start(&spec).await.unwrap();
    assert_eq!(again, handle, "starting what runs already finds it");
    assert!(agent.driver.stats(&handle).await.unwrap().memory_bytes > 0);
    let before = log(&spec, "stdout").len();
    eventually("its output flows on", || log(&spec, "stdout").len() > before).await;
    std::fs::write(inside(&spec, "go"), "").unwrap();
    assert_eq!(agent.exit().await.exit_code, Some(42));
    assert_eq!(agent.exits_so_far(), [], "an exit is reported once");
}

#[tokio::test]
async fn a_running_task_whose_record_is_damaged_is_adopted_and_its_exit_code_learnt() {
    let node = node();
    let spec = node.sh("task", "while [ ! -e local/go ]; do sleep 0.02; done; exit 8");
    let (handle, running) = node.agent().driver.start(&spec).await.unwrap();
    for damage in [&b""[..], b"{\"task\":"] {
        let records = std::fs::read_dir(node.dir.path().join("state/raw_exec")).unwrap();
        for record in records.flatten() {
            std::fs::write(record.path(), damage).unwrap();
        }
        let agent = node.agent();
        let recovered = agent.driver.recover(&handle, &spec).await.unwrap();
        assert_eq!(recovered, Recovered::Running(running.clone()));
        let (again, _) = agent.driver.start(&spec).await.unwrap();
        assert_eq!(again, handle, "no second copy is started");
    }
    let mut agent = node.agent();
    agent.driver.recover(&handle, &spec).await.unwrap();
    std::fs::write(inside(&spec, "local/go"), "").unwrap();
    assert_eq!(agent.exit().await.exit_code, Some(8));
}

#[tokio::test]
async fn an_exit_while_the_agent_was_away_is_not_lost() {
    let node = node();
    let spec = node.sh(
        "short",
        "echo $$ >pid; while [ ! -e go ]; do sleep 0.02; done; exit 9",
    );
    let agent = node.agent();
    let (handle, _) = agent.driver.start(&spec).await.unwrap();
    let pid = number_in(&inside(&spec, "pid")).await;
    drop(agent);
    std::fs::write(inside(&spec, "go"), "").unwrap();
    eventually("the task ends", || !is_alive(pid)).await;
    let agent = node.agent();
    let deadline = Instant::now() + common::PATIENCE;
    let exit = loop {
        match agent.driver.recover(&handle, &spec).await.unwrap() {
            Recovered::Exited(exit) => break exit,
            // The supervisor is still writing it down.
            other => assert!(Instant::now() < deadline, "{other:?}"),
        }
    };
    assert_eq!(exit.exit_code, Some(9));
    agent.driver.remove(&handle).await.unwrap();
    assert_eq!(
        agent.driver.recover(&handle, &spec).await.unwrap(),
        Recovered::Gone
    );
}

#[tokio::test]
async fn a_task_whose_supervisor_was_killed_is_still_watched() {
    let node = node();
    let mut agent = node.agent();
    let spec = node.sh(
        "orphan",
        "echo $PPID >supervisor; while [ ! -e go ]; do sleep 0.02; done; exit 4",
    );
    let (handle, running) = agent.driver.start(&spec).await.unwrap();
    let supervisor = number_in(&inside(&spec, "supervisor")).await;
    let supervisor = rustix::process::Pid::from_raw(supervisor).unwrap();
    rustix::process::kill_process(supervisor, rustix::process::Signal::KILL).unwrap();
    eventually("the supervisor dies", || {
        !is_alive(supervisor.as_raw_nonzero().get())
    })
    .await;
    assert!(is_alive(running.pid.unwrap()), "the task does not notice");
    assert!(agent.driver.list().await.unwrap()[0].running);
    std::fs::write(inside(&spec, "go"), "").unwrap();
    assert_eq!(agent.exit().await.exit_code, None, "nobody saw it");
    agent.driver.remove(&handle).await.unwrap();
}

#[tokio::test]
async fn a_record_of_another_boot_names_no_living_process() {
    let node = node();
    let agent = node.agent();
    let spec = node.sh("old", "sleep 1000");
    let (handle, running) = agent.driver.start(&spec).await.unwrap();
    drop(agent);
    let pid = rustix::process::Pid::from_raw(running.pid.unwrap()).unwrap();
    let record = std::fs::read_dir(node.dir.path().join("state/raw_exec"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let text = std::fs::read_to_string(&record).unwrap();
    let supervisor = serde_json::from_str::<serde_json::Value>(&text).unwrap()["supervisor"]["pid"]
        .as_i64()
        .unwrap();
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    std::fs::write(&record, text.replace(boot.trim(), "another-boot")).unwrap();
    let agent = node.agent();
    assert_eq!(
        agent.driver.recover(&handle, &spec).await.unwrap(),
        Recovered::Gone
    );
    rustix::process::kill_process_group(pid, rustix::process::Signal::KILL).unwrap();
    eventually("the supervisor ends", || {
        !is_alive(i32::try_from(supervisor).unwrap())
    })
    .await;
}

#[tokio::test]
async fn full_log_files_are_rotated_under_a_running_task() {
    let node = node();
    let mut agent = node.agent();
    let spec = node.sh(
        "chatty",
        "i=0; while [ $i -lt 60 ]; do head -c 60000 /dev/zero | tr '\\0' x; echo \" $i\"; i=$((i+1)); sleep 0.02; done",
    );
    let (handle, _) = agent.driver.start(&spec).await.unwrap();
    assert_eq!(agent.exit().await.exit_code, Some(0));
    agent.driver.remove(&handle).await.unwrap();
    let files: Vec<bool> = (0..5)
        .map(|index| spec.log_dir.join(format!("chatty.stdout.{index}")).exists())
        .collect();
    assert!(files.iter().filter(|exists| **exists).count() <= 3, "{files:?}");
    let kept = log(&spec, "stdout");
    let numbers: Vec<u32> = kept
        .lines()
        .filter_map(|line| line.rsplit(' ').next()?.parse().ok())
        .collect();
    assert!(
        numbers.windows(2).all(|pair| pair[1] == pair[0] + 1),
        "no gap: {numbers:?}"
    );
    assert_eq!(numbers.last(), Some(&59));
}

#[tokio::test]
async fn disabled_logs_leave_no_file() {
    let node = node();
    let mut agent = node.agent();
    let mut spec = node.sh("quiet", "echo loud");
    spec.logs.disabled = true;
    agent.driver.start(&spec).await.unwrap();
    assert_eq!(agent.exit().await.exit_code, Some(0));
    assert_eq!(std::fs::read_dir(&spec.log_dir).unwrap().count(), 0);
}

#[tokio::test]
async fn a_node_may_refuse_raw_exec() {
    let node = Node::new("raw_exec", json!({"enabled": false}));
    let agent = node.agent();
    assert!(!agent.driver.fingerprint().await.healthy);
    let error = agent.driver.start(&node.sh("no", "true")).await.unwrap_err();
    assert!(error.message.contains("switched off on this node"), "{error}");
}
