//! The job `web` of the recordings: its ids, and what is answered about it.

use serde_json::json;

use crate::bodies::{alloc, body, deployment, evaluation, group, job, serve_job, summary};
use crate::server::Server;

pub(crate) const WARNING: &str = "1 warning:\n\n* group \"app\" defines services, but neither the group nor any of its tasks have shutdown_delay set";

pub(crate) const NODE_2: &str = "e0b446e8-30c9-44de-ac05-e9613f949808";

pub(crate) const REGISTERED: &str = "c2f5a318-bf68-0484-c564-f651e777260c";

const WATCHED: &str = "2fe71920-4fa6-80f0-d68b-db4985b64943";

pub(crate) const DEPLOYED: &str = "ae619428-fb94-23aa-65d1-5cb654abff41";

pub(crate) const WEB: [&str; 3] = [
    "633fcd79-95c3-5f43-8af3-00d6cdbcf739",
    "a1677e33-0a69-89be-e8fa-fc8ca4e6fff9",
    "f8166cf7-65a7-898d-f8a4-3a782b533716",
];

/// The job `web` as it was after its first deployment.
pub(crate) fn serve_web(server: &Server) {
    let allocations: Vec<_> = WEB
        .iter()
        .map(|id| {
            let mut it = alloc([id, NODE_2], 0, "app", "run running", ["07:54:47", "07:54:54"]);
            (it.node_name, it.eval_id) = ("box-2".to_owned(), REGISTERED.to_owned());
            it
        })
        .collect();
    let mut evaluations = [
        evaluation(REGISTERED, "web", "job-register", "complete"),
        evaluation(WATCHED, "web", "deployment-watcher", "complete"),
    ];
    evaluations[1].create_index = 1;
    let web = job("web", "dc*", "07:54:47");
    let parts = [
        json!(allocations),
        json!(evaluations),
        body(&first_deployment([3, 3, 3, 0], "07:56:53", true)),
    ];
    serve_job(server, &web, &summary(&[("app", [0, 0, 3, 0, 0, 0, 0])]), parts);
}

pub(crate) fn first_deployment(counts: [u64; 4], deadline: &str, is_done: bool) -> holdfast_api::Deployment {
    let (status, description) = if is_done {
        ("successful", "Deployment completed successfully")
    } else {
        ("running", "Deployment is running")
    };
    let mut it = deployment(DEPLOYED, "web", 0, status, description);
    let mut app = group(counts, deadline);
    app.auto_revert = true;
    it.task_groups.insert("app".to_owned(), app);
    it
}
