//! `job explain`, which the original does not have.

use serde_json::json;

use crate::bodies::at;
use crate::case::run;
use crate::server::Server;

#[test]
fn explain_lists_the_best_nodes_first_and_says_why_others_are_none() {
    let server = Server::start();
    let node = |name: &str, verdict: &str, reason: &str| {
        json!({"NodeID": format!("{name}a5ac2b-8ebb-68e1-2cd5-9b9e3c01721c"), "NodeName": name, "NodeClass": "",
            "Verdict": verdict, "Reason": reason})
    };
    let mut good = node("n1", "ranked", "");
    good["NormScore"] = json!(0.25);
    good["Scores"] = json!({"binpack": 0.5, "node-affinity": 0.0});
    let mut better = node("n2", "ranked", "1 allocation gives way");
    better["NormScore"] = json!(0.75);
    better["Scores"] = json!({"binpack": 0.5, "preemption": 1.0});
    let nodes = [
        node("n0", "unavailable", "node is down"),
        good,
        node("n3", "filtered", "missing drivers"),
        better,
        node("n4", "exhausted", "cpu"),
    ];
    server
        .on("/v1/jobs", json!([{"ID": "web", "Namespace": "default"}]))
        .on(
            "/v1/job/web/explain",
            json!([{"TaskGroup": "app", "Nodes": nodes}]),
        );
    let now = at("2026-11-21T07:54:47Z");
    let (text, exit) = run(&server, &["edgectl", "job", "explain", "web"], now);
    let wanted = "\
Group \"app\": 2 of 5 nodes would take one more allocation

Node ID   Node Name  Node Class  Verdict      Final Score  Why
n2a5ac2b  n2         <none>      ranked       0.75         binpack 0.5, preemption 1, 1 allocation gives way
n1a5ac2b  n1         <none>      ranked       0.25         binpack 0.5, node-affinity 0
n4a5ac2b  n4         <none>      exhausted    -            cpu
n3a5ac2b  n3         <none>      filtered     -            missing drivers
n0a5ac2b  n0         <none>      unavailable  -            node is down
";
    assert_eq!((text.as_str(), exit), (wanted, 0));
    let (text, exit) = run(
        &server,
        &["edgectl", "job", "explain", "--group", "db", "web"],
        now,
    );
    assert!(text.contains("Job \"web\" has no group \"db\""), "{text}");
    assert_eq!(exit, 1);
}
