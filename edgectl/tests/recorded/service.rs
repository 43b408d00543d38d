//! `service …`.

use holdfast_api::ServiceRegistration;
use serde_json::{Value, json};

use crate::bodies::recorded;
use crate::case::Case;

const NOW: &str = "2026-11-21T07:55:00Z";

fn registration(job: &str, allocation: &str, node: &str, address: (&str, i64)) -> ServiceRegistration {
    ServiceRegistration {
        job_id: job.to_owned(),
        alloc_id: allocation.to_owned(),
        node_id: node.to_owned(),
        address: address.0.to_owned(),
        port: address.1,
        ..ServiceRegistration::default()
    }
}

#[test]
fn services_are_listed_as_recorded() {
    let Some(case) = Case::load("020") else { return };
    case.server.on("/v1/services", recorded("services.json"));
    case.check(NOW);
}

#[test]
fn a_service_is_shown_as_recorded_short_and_verbose() {
    let instances = [
        ("633fcd79-95c3-5f43-8af3-00d6cdbcf739", 21859),
        ("a1677e33-0a69-89be-e8fa-fc8ca4e6fff9", 31140),
        ("f8166cf7-65a7-898d-f8a4-3a782b533716", 24742),
    ];
    for name in ["021", "022"] {
        let Some(case) = Case::load(name) else { return };
        let mut body = recorded("service_web.json");
        for (it, (id, port)) in body.as_array_mut().unwrap().iter_mut().zip(instances) {
            it["ID"] = json!(format!("_nomad-task-{id}-group-app-web-http"));
            it["AllocID"] = json!(id);
            it["NodeID"] = json!("e0b446e8-30c9-44de-ac05-e9613f949808");
            (it["Port"], it["Datacenter"]) = (json!(port), json!("dc2"));
        }
        case.server.on("/v1/service/web", body);
        case.check(NOW);
    }
}

#[test]
fn both_instances_are_shown_while_a_node_is_away_and_one_when_it_is_back() {
    let away = registration("edge", "8bf3cb0b-1", "ee3181d3-1", ("192.0.2.3", 28955));
    let replacement = registration("edge", "3efff223-1", "b3c31143-1", ("192.0.2.2", 24394));
    for (name, body) in [("405", json!([replacement, away])), ("411", json!([away]))] {
        let Some(case) = Case::load(name) else { return };
        case.server.on("/v1/service/edge-app", body);
        case.check(NOW);
    }
}

#[test]
fn a_service_that_nobody_offers_is_an_error() {
    let server = crate::server::Server::start();
    server.on("/v1/service/none", Value::Array(Vec::new()));
    let (printed, exit) = crate::case::run(
        &server,
        &["edgectl", "service", "info", "none"],
        crate::bodies::at(NOW),
    );
    assert_eq!((printed.as_str(), exit), ("No service registrations found\n", 1));
}
