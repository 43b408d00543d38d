//! `local …`: a socket file in the place of a coordinator; and a coordinator behind a socket file.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;

use edgectl::output::Style;
use serde_json::json;

use crate::bodies::at;
use crate::case::run_with;

const NOW: &str = "2026-11-21T08:00:00Z";

#[test]
fn the_agent_of_this_machine_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let answer = json!({
        "node": {"id": "ee3181d3-0000-0000-0000-000000000000", "name": "edge-2", "datacenter": "dc2", "version": "0.1.0"},
        "link": {"connected": false, "since_seconds": 63.4, "coordinator": "mqtt://192.0.2.1:1883"},
        "outbox_depth": 3, "generation": 12, "epoch": 1, "store_behind": false,
        "allocations": [{
            "id": "8bf3cb0b-ecc8-2abf-4071-d181ad91ce1d", "name": "edge.app[0]", "job": "edge", "group": "app", "version": 0,
            "client_status": "running", "description": "Tasks are running", "healthy": true,
            "tasks": [{"name": "server", "state": "running", "phase": "running", "restarts": 0, "address": "10.88.0.2"},
                      {"name": "side", "state": "pending", "phase": "waiting", "restarts": 2, "address": ""}],
        }],
    });
    let agent = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line).unwrap();
        (&stream).write_all(format!("{answer}\n").as_bytes()).unwrap();
        line
    });
    let environment = [("HOLDFAST_SOCKET", path.to_str().unwrap())];
    let (printed, exit) = run_with(
        &environment,
        &["edgectl", "local", "status"],
        Style::default(),
        at(NOW),
    );
    assert_eq!(agent.join().unwrap(), "{\"command\":\"status\"}\n");
    let expected = "\
ID          = ee3181d3-0000-0000-0000-000000000000
Name        = edge-2
DC          = dc2
Version     = 0.1.0
Link        = disconnected for 1m3s
Coordinator = mqtt://192.0.2.1:1883
Outbox      = 3
Generation  = 12
Epoch       = 1

Allocations
ID        Name         Job ID  Task Group  Version  Status   Health   Description
8bf3cb0b  edge.app[0]  edge    app         0        running  healthy  Tasks are running

Tasks
Alloc ID  Task    State    Phase    Restarts  Address
8bf3cb0b  server  running  running  0         10.88.0.2
8bf3cb0b  side    pending  waiting  2         <none>
";
    assert_eq!((printed.as_str(), exit), (expected, 0));
}

#[test]
fn a_machine_without_an_agent_says_where_it_looked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none.sock");
    let words = ["edgectl", "local", "status", "-socket", path.to_str().unwrap()];
    let (printed, exit) = run_with(&[], &words, Style::default(), at(NOW));
    assert!(
        printed.starts_with(&format!("no agent answers at {}: ", path.display())),
        "{printed}"
    );
    assert!(printed.contains("-socket=PATH"), "{printed}");
    assert_eq!(exit, 1);
}

#[test]
fn a_coordinator_can_be_behind_a_socket_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let coordinator = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let head: Vec<String> = BufReader::new(&stream)
            .lines()
            .map(Result::unwrap)
            .take_while(|line| !line.is_empty())
            .collect();
        (&stream)
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")
            .unwrap();
        head[0].clone()
    });
    let address = format!("unix://{}", path.display());
    let words = ["edgectl", "-address", &address, "node", "status"];
    let (printed, exit) = run_with(&[], &words, Style::default(), at(NOW));
    assert_eq!((printed.as_str(), exit), ("No nodes registered\n", 0));
    assert_eq!(coordinator.join().unwrap(), "GET /v1/nodes HTTP/1.1");
}
