//! `node drain`, `node eligibility`, `node pool …`, `operator scheduler …` and `system gc`.

use serde_json::{Value, json};

use crate::bodies::{at, recorded};
use crate::case::{Case, run};
use crate::server::{Answer, Server};

const FIRST: &str = "6ece896c-9944-8f24-2bcc-e8174f4568ef";
const SECOND: &str = "e0b446e8-30c9-44de-ac05-e9613f949808";
const WEB: &str = "53660202-214b-2559-32cc-dc8e421faa6c";
const SYSTEM: &str = "ac437bab-7ca3-5436-6f0b-93774b34d2ed";
const NOW: &str = "2026-11-21T07:57:00Z";

fn alloc(id: &str, kind: &str, migrate: bool, desired: &str, client: &str) -> Value {
    json!({"ID": id, "Job": {"Type": kind}, "DesiredStatus": desired, "ClientStatus": client,
           "DesiredTransition": {"Migrate": migrate}})
}

/// A node that drains, or does not, as it is asked for one time after the other.
fn serve_node(server: &Server, draining: &[bool]) {
    server.on("/v1/nodes", json!([{"ID": FIRST}]));
    for draining in draining {
        let strategy = draining.then(|| json!({"Deadline": 20_000_000_000_i64}));
        let node = json!({"ID": FIRST, "Status": "ready", "DrainStrategy": strategy});
        server.on(&format!("/v1/node/{FIRST}"), node);
    }
    server.on_method(
        "PUT",
        &format!("/v1/node/{FIRST}/drain"),
        json!({"EvalIDs": null}),
    );
}

#[test]
fn a_drain_is_watched_as_recorded() {
    let Some(case) = Case::load("073") else { return };
    serve_node(&case.server, &[false, true, false]);
    let path = format!("/v1/node/{FIRST}/allocations");
    let running = |id: &str, kind: &str| alloc(id, kind, false, "run", "running");
    let gone = |id: &str, kind: &str| alloc(id, kind, true, "stop", "complete");
    for turn in [
        json!([running(WEB, "service"), running(SYSTEM, "system")]),
        json!([gone(WEB, "service"), running(SYSTEM, "system")]),
        json!([gone(WEB, "service"), running(SYSTEM, "system")]),
        json!([gone(WEB, "service"), gone(SYSTEM, "system")]),
    ] {
        case.server.on(&path, turn);
    }
    let server = case.server.clone();
    case.check_monitor();
    let sent = &server.sent(&format!("/v1/node/{FIRST}/drain"))[0];
    assert_eq!(
        (&sent["DrainSpec"]["Deadline"], &sent["MarkEligible"]),
        (&json!(20_000_000_000_i64), &json!(false))
    );
}

#[test]
fn a_drain_is_left_off_as_recorded() {
    let Some(case) = Case::load("075") else { return };
    serve_node(&case.server, &[false]);
    case.server
        .on(&format!("/v1/node/{FIRST}/allocations"), json!([]));
    let server = case.server.clone();
    case.check(NOW);
    let sent = &server.sent(&format!("/v1/node/{FIRST}/drain"))[0];
    assert_eq!(
        (&sent["DrainSpec"], &sent["MarkEligible"]),
        (&Value::Null, &json!(true))
    );
}

#[test]
fn eligibility_is_set_as_recorded() {
    for (name, eligibility) in [("071", "ineligible"), ("072", "eligible")] {
        let Some(case) = Case::load(name) else { return };
        let path = format!("/v1/node/{SECOND}/eligibility");
        case.server.on("/v1/nodes", json!([{"ID": SECOND}])).on_method(
            "PUT",
            &path,
            recorded("node_eligibility_put2.json"),
        );
        let server = case.server.clone();
        case.check(NOW);
        assert_eq!(server.sent(&path)[0]["Eligibility"], eligibility);
    }
}

#[test]
fn pools_and_settings_are_shown_as_recorded() {
    let Some(case) = Case::load("078") else { return };
    case.server.on("/v1/node/pools", recorded("node_pools.json"));
    case.check(NOW);

    let Some(case) = Case::load("079") else { return };
    case.server
        .on("/v1/node/pool/default", recorded("node_pools.json")[1].clone());
    case.check(NOW);

    let Some(case) = Case::load("083") else { return };
    let settings = recorded("operator_scheduler_configuration.json");
    case.server.on("/v1/operator/scheduler/configuration", settings);
    case.check(NOW);

    let Some(case) = Case::load("086") else { return };
    case.server.on_method("PUT", "/v1/system/gc", Value::Null);
    case.check(NOW);
}

#[test]
fn settings_are_changed_only_where_it_is_said() {
    let server = Server::start();
    let path = "/v1/operator/scheduler/configuration";
    let known = json!({"SchedulerConfig": {"SchedulerAlgorithm": "binpack", "PauseEvalBroker": true,
        "PreemptionConfig": {"SystemSchedulerEnabled": true}, "ModifyIndex": 5}});
    server
        .on(path, known)
        .on_method("PUT", path, json!({"Updated": true}))
        .on_method("PUT", path, json!({"Updated": false}));
    let set = |words: &[&str]| {
        let words: Vec<&str> = ["edgectl", "operator", "scheduler", "set-config"]
            .iter()
            .chain(words)
            .copied()
            .collect();
        run(&server, &words, at(NOW))
    };
    let (printed, exit) = set(&["-scheduler-algorithm=spread", "-preempt-batch-scheduler=true"]);
    assert_eq!(
        (printed.as_str(), exit),
        ("Scheduler configuration updated!\n", 0)
    );
    let sent = &server.sent(path)[0];
    assert_eq!(sent["SchedulerAlgorithm"], "spread");
    assert_eq!(sent["PauseEvalBroker"], true);
    let preemption = &sent["PreemptionConfig"];
    assert_eq!(
        (
            &preemption["SystemSchedulerEnabled"],
            &preemption["BatchSchedulerEnabled"]
        ),
        (&json!(true), &json!(true))
    );
    let (printed, exit) = set(&["-check-index", "5", "-pause-eval-broker=false"]);
    let text = "Scheduler configuration could not be atomically updated, please try again\n";
    assert_eq!((printed.as_str(), exit), (text, 1));
    assert!(server.asked().last().unwrap().line.contains("cas=5"));
}

#[test]
fn a_deployment_that_is_given_up_says_what_it_goes_back_to() {
    let server = Server::start();
    let id = "ad32c432-0000-0000-0000-000000000000";
    let path = format!("/v1/deployment/fail/{id}");
    server
        .on("/v1/deployments", json!([{"ID": id}]))
        .on_method(
            "PUT",
            &path,
            json!({"EvalID": "231ca6ec", "RevertedJobVersion": 0}),
        )
        .on_method("PUT", &path, json!({"EvalID": "231ca6ec"}))
        .on_method(
            "PUT",
            &path,
            Answer::refusal(400, "can't fail terminal deployment"),
        );
    let fail = || {
        run(
            &server,
            &["edgectl", "deployment", "fail", "-detach", "ad32"],
            at(NOW),
        )
    };
    for (text, code) in [
        (
            format!("Deployment {id:?} failed. Auto-reverted to job version 0.\nEvaluation ID: 231ca6ec\n"),
            0,
        ),
        (format!("Deployment {id:?} failed\nEvaluation ID: 231ca6ec\n"), 0),
    ] {
        assert_eq!(fail(), (text, code));
    }
    let (printed, exit) = fail();
    assert!(printed.contains("can't fail terminal deployment"), "{printed}");
    assert_eq!(exit, 1);
}

#[test]
fn groups_are_promoted_one_by_one_or_all() {
    let server = Server::start();
    let id = "ad32c432-0000-0000-0000-000000000000";
    let path = format!("/v1/deployment/promote/{id}");
    server
        .on("/v1/deployments", json!([{"ID": id}]))
        .on_method("PUT", &path, json!({"EvalID": "231ca6ec"}));
    for words in [vec![], vec!["-group=a", "-group=b"]] {
        let words: Vec<&str> = ["edgectl", "deployment", "promote", "-detach"]
            .into_iter()
            .chain(words)
            .chain(["ad32"])
            .collect();
        assert_eq!(run(&server, &words, at(NOW)), (String::new(), 0));
    }
    let sent = server.sent(&path);
    assert_eq!(
        (&sent[0]["All"], &sent[0]["Groups"]),
        (&json!(true), &Value::Null)
    );
    assert_eq!(
        (&sent[1]["All"], &sent[1]["Groups"]),
        (&json!(false), &json!(["a", "b"]))
    );
}

#[test]
fn nobody_is_asked_where_nobody_can_answer() {
    let server = Server::start();
    serve_node(&server, &[false]);
    server.on(&format!("/v1/node/{FIRST}/allocations"), json!([]));
    let (printed, exit) = run(&server, &["edgectl", "node", "drain", "-enable", "6ece"], at(NOW));
    assert!(printed.contains("add -yes"), "{printed}");
    assert_eq!(
        (exit, server.sent(&format!("/v1/node/{FIRST}/drain")).len()),
        (1, 0)
    );
}
