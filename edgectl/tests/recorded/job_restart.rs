//! Jobs and allocations restarted, started again, and versions named.

use holdfast_shared::model::{Job, VersionTag};
use serde_json::{Value, json};

use crate::bodies::{alloc, at, body, deployment, job, stub};
use crate::case::{Case, run, without_times};
use crate::server::{Answer, Server};

const NOW: &str = "2026-11-21T08:00:00Z";

fn web() -> Job {
    job("web", "dc*", "07:54:47")
}

/// An allocation as `/v1/allocation/:id` answers it, whose only task was restarted so often.
pub(crate) fn detail(id: &str, client: &str, restarts: u64) -> Value {
    let state = if client == "running" { "running" } else { "dead" };
    json!({"ID": id, "TaskGroup": "app", "ClientStatus": client, "DesiredStatus": "run",
        "TaskStates": {"server": {"State": state, "Restarts": restarts}}})
}

/// A job with these running allocations; each is restarted so often at the third look, whoever restarts it.
pub(crate) fn serve(server: &Server, ids: &[&str], restarts: u64) {
    let listed: Vec<Value> = ids
        .iter()
        .map(|id| {
            let it = alloc(
                [id, "e0b446e8"],
                3,
                "app",
                "run running",
                ["07:55:49", "07:56:11"],
            );
            let mut it = body(&it);
            it["TaskStates"] = json!({"server": {"State": "running"}});
            it
        })
        .collect();
    let over = deployment("bff375ea", "web", 3, "successful", "");
    server
        .on("/v1/jobs", json!([stub(&web())]))
        .on("/v1/job/web/allocations", json!(listed))
        .on("/v1/job/web/deployments", json!([over]))
        .on("/v1/job/web/evaluations", json!([]));
    for id in ids {
        let path = format!("/v1/allocation/{id}");
        server
            .on_method(
                "PUT",
                &format!("/v1/client/allocation/{id}/restart"),
                json!({"Index": 7}),
            )
            .on(&path, detail(id, "running", 0))
            .on(&path, detail(id, "running", 0))
            .on(&path, detail(id, "running", restarts));
    }
}

#[test]
fn a_job_is_restarted_as_recorded() {
    let Some(case) = Case::load("044") else { return };
    serve(&case.server, &["3dff24c1", "53660202"], 1);
    let server = case.server.clone();
    case.check_monitor();
    let sent = server.sent("/v1/client/allocation/53660202/restart");
    assert_eq!(sent, [json!({"TaskName": "", "AllTasks": false})]);
}

#[test]
fn an_allocation_is_restarted_as_recorded() {
    let Some(case) = Case::load("019") else { return };
    serve(&case.server, &["633fcd79"], 1);
    let listed = alloc(
        ["633fcd79", "e0b446e8"],
        3,
        "app",
        "run running",
        ["07:55:49", "07:56:11"],
    );
    case.server.on("/v1/allocations", json!([listed]));
    case.check(NOW);
}

#[test]
fn batches_are_announced_and_a_pause_is_kept_between_them() {
    let server = Server::start();
    serve(&server, &["aaaa1111", "bbbb2222", "cccc3333"], 1);
    let words = "edgectl job restart -yes -all-tasks -batch-size 50% -batch-wait 1ms web";
    let words: Vec<&str> = words.split(' ').collect();
    let (printed, exit) = run(&server, &words, at(NOW));
    let expected = "\
==> <time>: Restarting 3 allocations
==> <time>: Restarting 1st batch of 2 allocations
    <time>: Restarting all tasks in allocation \"aaaa1111\" for group \"app\"
    <time>: Restarting all tasks in allocation \"bbbb2222\" for group \"app\"
==> <time>: Waiting 1ms before restarting the next batch
==> <time>: Restarting 2nd batch of 1 allocations
    <time>: Restarting all tasks in allocation \"cccc3333\" for group \"app\"
==> <time>: Job restart finished

Job restarted successfully!
";
    assert_eq!((without_times(&printed).as_str(), exit), (expected, 0));
}

#[test]
fn an_error_ends_it_when_it_should_and_is_told_either_way() {
    for (on_error, middle) in [
        ("fail", "==> <time>: Stopping job restart due to error\n"),
        (
            "ask",
            "    <time>: Restarting task \"server\" in allocation \"bbbb2222\" for group \"app\"\n",
        ),
    ] {
        let server = Server::start();
        let refusal = Answer::refusal(400, "Task not running");
        // It comes before the answers of `serve`.
        server.on_method("PUT", "/v1/client/allocation/aaaa1111/restart", refusal);
        serve(&server, &["aaaa1111", "bbbb2222"], 1);
        let flag = format!("-on-error={on_error}");
        let words = [
            "edgectl", "job", "restart", "-yes", &flag, "-task", "server", "web",
        ];
        let (printed, exit) = run(&server, &words, at(NOW));
        let expected = format!(
            "\
==> <time>: Restarting 2 allocations
    <time>: Restarting task \"server\" in allocation \"aaaa1111\" for group \"app\"
{middle}==> <time>: Job restart finished with errors

1 error occurred while restarting job:
* Error restarting allocation \"aaaa1111\": Failed to restart task \"server\": Unexpected response code: 400 (Task not \
             running)
"
        );
        assert_eq!((without_times(&printed), exit), (expected, 1));
    }
}

#[test]
fn a_rescheduled_allocation_is_followed_to_its_replacement() {
    let server = Server::start();
    let mut stopped = detail("aaaa1111", "complete", 0);
    stopped["NextAllocation"] = json!("dddd4444");
    server
        .on("/v1/allocation/aaaa1111", detail("aaaa1111", "running", 0))
        .on("/v1/allocation/aaaa1111", stopped)
        .on("/v1/allocation/dddd4444", detail("dddd4444", "pending", 0))
        .on("/v1/allocation/dddd4444", detail("dddd4444", "running", 0))
        .on_method(
            "PUT",
            "/v1/allocation/aaaa1111/stop",
            json!({"EvalID": "e1", "Index": 9}),
        );
    serve(&server, &["aaaa1111"], 1);
    let words = ["edgectl", "job", "restart", "-yes", "-reschedule", "web"];
    let (printed, exit) = run(&server, &words, at(NOW));
    let expected = "\
==> <time>: Restarting 1 allocation
    <time>: Rescheduling allocation \"aaaa1111\" for group \"app\"
    <time>: Allocation \"aaaa1111\" replaced by \"dddd4444\", waiting for \"dddd4444\" to start running
    <time>: Allocation \"dddd4444\" is \"running\"
==> <time>: Job restart finished

Job restarted successfully!
";
    assert_eq!((without_times(&printed).as_str(), exit), (expected, 0));
}

#[test]
fn a_replacement_without_a_place_ends_it() {
    let server = Server::start();
    let blocked = json!({"ID": "12345678-9", "Status": "blocked", "CreateIndex": 9,
        "FailedTGAllocs": {"app": {"NodesEvaluated": 1, "NodesExhausted": 1, "DimensionExhausted": {"memory": 1}}}});
    server
        .on("/v1/job/web/evaluations", json!([blocked]))
        .on("/v1/allocation/aaaa1111", detail("aaaa1111", "complete", 0))
        .on_method(
            "PUT",
            "/v1/allocation/aaaa1111/stop",
            json!({"EvalID": "e1", "Index": 9}),
        );
    serve(&server, &["aaaa1111", "bbbb2222"], 1);
    let words = ["edgectl", "job", "restart", "-yes", "-reschedule", "web"];
    let (printed, exit) = run(&server, &words, at(NOW));
    assert_eq!(exit, 1);
    for line in [
        "Stopping job restart due to unrecoverable error",
        "Evaluation \"12345678\" has placement failures for group \"app\":",
        "    * Dimension \"memory\" exhausted on 1 nodes",
    ] {
        assert!(printed.contains(line), "{line:?} is not in\n{printed}");
    }
}

#[test]
fn flags_that_make_no_sense_are_refused_before_anything_is_asked() {
    let server = Server::start();
    for (flags, text) in [
        (
            &["-yes", "-batch-size", "two"][..],
            "Invalid -batch-size value \"two\": batch size must be an integer or a percentage",
        ),
        (
            &["-yes", "-on-error", "panic"],
            "Invalid -on-error value \"panic\": valid options are \"ask\" and \"fail\"",
        ),
        (
            &["-yes", "-all-tasks", "-task", "server"],
            "The -all-tasks option cannot be used with -task",
        ),
        (
            &["-yes", "-reschedule", "-task", "server"],
            "The -reschedule option cannot be used with -task",
        ),
    ] {
        let words: Vec<&str> = ["edgectl", "job", "restart"]
            .iter()
            .chain(flags)
            .copied()
            .chain(["web"])
            .collect();
        let (printed, exit) = run(&server, &words, at(NOW));
        assert!(printed.contains(text), "{printed}");
        assert_eq!(exit, 1);
    }
    assert!(server.asked().is_empty());
}

#[test]
fn a_stopped_job_is_started_again_with_its_source() {
    let mut stopped = web();
    stopped.stop = Some(true);
    stopped.version = Some(4);
    let server = Server::start();
    server
        .on("/v1/jobs", json!([stub(&stopped)]))
        .on("/v1/job/web", body(&stopped))
        .on(
            "/v1/job/web/submission",
            json!({"Source": "job \"web\" {}", "Format": "hcl2"}),
        )
        .on_method(
            "PUT",
            "/v1/jobs",
            json!({"EvalID": "2e20a4db", "JobModifyIndex": 12}),
        );
    let words = ["edgectl", "job", "start", "-detach", "web"];
    let (printed, exit) = run(&server, &words, at(NOW));
    assert_eq!(
        (printed.as_str(), exit),
        ("Job start successful\nEvaluation ID: 2e20a4db\n", 0)
    );
    let sent = &server.sent("/v1/jobs")[0];
    assert_eq!(
        (&sent["Job"]["Stop"], &sent["Submission"]["Source"]),
        (&json!(false), &json!("job \"web\" {}"))
    );

    let server = Server::start();
    let mut running = web();
    running.name = Some("web".into());
    server
        .on("/v1/jobs", json!([stub(&running)]))
        .on("/v1/job/web", body(&running));
    let (printed, exit) = run(&server, &words, at(NOW));
    assert!(printed.contains("Job \"web\" has not been stopped"), "{printed}");
    assert_eq!(exit, 1);
}

fn versions() -> Value {
    let version = |number: u64, tag: Option<VersionTag>| {
        let mut it = web();
        (it.version, it.stable, it.version_tag) = (Some(number), Some(true), tag);
        body(&it)
    };
    let tag = VersionTag {
        name: "golden".into(),
        description: "known to work".into(),
        tagged_time: 5,
    };
    json!({"Versions": [version(1, None), version(0, Some(tag))], "Diffs": null})
}

#[test]
fn a_version_is_tagged_found_by_its_tag_and_untagged() {
    let server = Server::start();
    let mut newest = web();
    newest.version = Some(1);
    server
        .on("/v1/jobs", json!([stub(&web())]))
        .on("/v1/job/web", body(&newest))
        .on("/v1/job/web/versions", versions())
        .on_method(
            "PUT",
            "/v1/job/web/versions/golden/tag",
            json!({"Name": "golden"}),
        )
        .on_method(
            "DELETE",
            "/v1/job/web/versions/golden/tag",
            json!({"Name": "golden"}),
        )
        .on_method("PUT", "/v1/job/web/revert", json!({"EvalID": "77436624"}));
    let history = "Version         = 0
Stable          = true
Submit Date     = 2026-11-21T07:54:47Z
Tag Name        = golden
Tag Description = known to work
";
    for (words, expected) in [
        (
            "job tag apply -name golden -description works web",
            "Job version 1 tagged with name \"golden\"\n",
        ),
        (
            "job tag apply -name golden -version 0 web",
            "Job version 0 tagged with name \"golden\"\n",
        ),
        ("job history -tag golden web", history),
        ("job revert -detach web golden", "Evaluation ID: 77436624\n"),
        (
            "job tag unset -name golden web",
            "Tag \"golden\" removed from job \"web\"\n",
        ),
    ] {
        let words: Vec<&str> = ["edgectl"].into_iter().chain(words.split(' ')).collect();
        let (printed, exit) = run(&server, &words, at(NOW));
        assert_eq!(
            (without_times(&printed), exit),
            (without_times(expected), 0),
            "{words:?}"
        );
    }
    assert_eq!(
        server.sent("/v1/job/web/versions/golden/tag")[0],
        json!({"Version": 1, "Description": "works"})
    );
    assert_eq!(server.sent("/v1/job/web/revert")[0]["JobVersion"], 0);
    for (words, text) in [
        ("job tag apply web", "A version tag name is required"),
        (
            "job revert web silver",
            "\"silver\" is neither a version number nor a tag",
        ),
        ("job history -tag silver web", "Tag \"silver\" not found"),
    ] {
        let words: Vec<&str> = ["edgectl"].into_iter().chain(words.split(' ')).collect();
        let (printed, exit) = run(&server, &words, at(NOW));
        assert!(printed.contains(text) && exit == 1, "{printed}");
    }
}
