//! `deployment …` and `eval …`.

use holdfast_api::Evaluation;
use serde_json::json;

use crate::bodies::{alloc, body, deployment, evaluation, group, recorded, today};
use crate::case::Case;

const ID: &str = "ae619428-fb94-23aa-65d1-5cb654abff41";

fn first() -> holdfast_api::Deployment {
    let mut it = deployment(ID, "web", 0, "successful", "Deployment completed successfully");
    let mut app = group([3, 3, 3, 0], "07:56:53");
    app.auto_revert = true;
    it.task_groups.insert("app".to_owned(), app);
    it
}

#[test]
fn deployments_are_shown_as_recorded() {
    let Some(case) = Case::load("026") else { return };
    case.server.on("/v1/deployments", json!([first()]));
    case.check("2026-11-21T07:54:59Z");

    let Some(case) = Case::load("027") else { return };
    case.server
        .on("/v1/deployments", json!([first()]))
        .on(&format!("/v1/deployment/{ID}"), body(&first()));
    case.check("2026-11-21T07:54:59Z");

    let Some(case) = Case::load("033") else { return };
    let text = "Deployment is running but requires manual promotion";
    let mut canary = deployment("ad32c432", "web", 1, "running", text);
    let mut app = group([4, 1, 1, 0], "07:57:05");
    (app.auto_revert, app.desired_canaries) = (true, 1);
    canary.task_groups.insert("app".to_owned(), app);
    case.server
        .on("/v1/deployments", json!([canary]))
        .on("/v1/deployment/ad32c432", body(&canary));
    case.check("2026-11-21T07:55:13Z");
}

#[test]
fn evaluations_are_shown_as_recorded() {
    let id = "2fe71920-4fa6-80f0-d68b-db4985b64943";
    let mut watched = evaluation(id, "web", "deployment-watcher", "complete");
    (watched.create_time, watched.modify_time) = (today("07:54:55"), today("07:54:55"));
    let plan = serde_json::from_value(json!({"DesiredTGUpdates": {"app": {"Ignore": 3}}})).unwrap();
    watched.plan_annotations = Some(plan);
    for name in ["023", "024"] {
        let Some(case) = Case::load(name) else { return };
        case.server
            .on("/v1/evaluations", json!([watched]))
            .on(&format!("/v1/evaluation/{id}"), body(&watched));
        case.check("2026-11-21T07:54:59Z");
    }
    let Some(case) = Case::load("025") else { return };
    let registered = evaluation(
        "c2f5a318-bf68-0484-c564-f651e777260c",
        "web",
        "job-register",
        "complete",
    );
    case.server.on("/v1/evaluations", json!([watched, registered]));
    case.check("2026-11-21T07:54:59Z");
}

#[test]
fn an_evaluation_that_waits_explains_why() {
    let Some(case) = Case::load("054") else { return };
    let id = "9c894b38-c31a-8244-8fb1-a19a2cae0536";
    let failed: Evaluation = serde_json::from_value(recorded("eval_failed_placements.json")).unwrap();
    let mut blocked = evaluation(id, "big", "queued-allocs", "blocked");
    blocked.status_description = "created to place remaining allocations".to_owned();
    blocked.failed_tg_allocs = failed.failed_tg_allocs;
    blocked.previous_eval = "8f5e0900-a732-ad45-fc6b-739f0fcb777a".to_owned();
    (blocked.create_time, blocked.modify_time) = (today("07:56:41"), today("07:56:41"));
    let related = json!({
        "ID": "8f5e0900-a732-ad45-fc6b-739f0fcb777a", "Priority": 50, "TriggeredBy": "job-register", "Status": "complete",
    });
    blocked.related_evals = vec![serde_json::from_value(related).unwrap()];
    case.server
        .on("/v1/evaluations", json!([blocked]))
        .on(&format!("/v1/evaluation/{id}"), body(&blocked));
    case.check("2026-11-21T07:56:43Z");
}

#[test]
fn a_promotion_is_watched_as_recorded() {
    let Some(case) = Case::load("035") else { return };
    let (eval, id) = ("231ca6ec-0000-0000-0000-000000000000", "ad32c432");
    let pending = evaluation(eval, "web", "deployment-watcher", "pending");
    let mut complete = evaluation(eval, "web", "deployment-watcher", "complete");
    complete.deployment_id = id.to_owned();
    let mut introduced = pending.clone();
    introduced.deployment_id = id.to_owned();
    let placed = alloc(
        ["1afcaf0d", "6ece896c"],
        1,
        "app",
        "run pending",
        ["07:55:14", "07:55:14"],
    );
    case.server.on("/v1/deployments", json!([{"ID": id}])).on_method(
        "PUT",
        &format!("/v1/deployment/promote/{id}"),
        json!({"EvalID": eval}),
    );
    for (evaluation, allocations) in [(introduced, json!([])), (complete, json!([placed]))] {
        case.server
            .on(&format!("/v1/evaluation/{eval}"), body(&evaluation))
            .on(&format!("/v1/evaluation/{eval}/allocations"), allocations);
    }
    let turns = [
        (2, 1, "07:57:13"),
        (2, 2, "07:57:19"),
        (3, 2, "07:57:19"),
        (3, 3, "07:57:27"),
        (4, 3, "07:57:27"),
        (4, 4, "07:57:34"),
    ];
    let running = turns.map(|turn| (turn, "running", "Deployment is running"));
    let done = (
        (4, 4, "07:57:34"),
        "successful",
        "Deployment completed successfully",
    );
    for ((placed, healthy, deadline), status, text) in running.into_iter().chain([done]) {
        let mut it = deployment(id, "web", 1, status, text);
        let mut app = group([4, placed, healthy, 0], deadline);
        (app.auto_revert, app.promoted, app.desired_canaries) = (true, true, 1);
        it.task_groups.insert("app".to_owned(), app);
        case.server.on(&format!("/v1/deployment/{id}"), body(&it));
    }
    let server = case.server.clone();
    case.check_monitor();
    assert_eq!(
        server.sent(&format!("/v1/deployment/promote/{id}"))[0]["All"],
        true
    );
}
