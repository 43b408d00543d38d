//! `/v1/agent/…` and `/v1/status/…`: the coordinator about itself.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use holdfast_api::{AgentHealth, AgentMember, AgentMembers, AgentSelf, Health};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::ask::Ask;
use super::{App, Shared, answer};

/// The settings of a Nomad agent, all of them empty: what programs look for is there, and only what applies is set.
const EMPTY_CONFIG: &str = include_str!("agent_config.json");

pub(super) async fn myself(State(app): Shared, ask: Ask) -> Response {
    let view = AgentSelf {
        config: config(&app),
        member: member(&app),
        stats: stats(&app),
    };
    answer::json(&view, app.runtime.snapshots.load().index, ask.pretty)
}

pub(super) async fn members(State(app): Shared, ask: Ask) -> Response {
    let view = AgentMembers {
        server_name: app.identity.name.clone(),
        server_region: app.identity.region.clone(),
        server_dc: app.identity.datacenter.clone(),
        members: vec![member(&app)],
    };
    answer::json(&view, app.runtime.snapshots.load().index, ask.pretty)
}

pub(super) async fn health(State(app): Shared, ask: Ask) -> Response {
    let failing = app.failing.load(Ordering::Relaxed);
    let problem = failing.then(|| "changes cannot be stored, see the log".to_owned());
    let view = AgentHealth {
        client: Health::new(None),
        server: Health::new(problem),
    };
    let mut response = answer::json(&view, app.runtime.snapshots.load().index, ask.pretty);
    if failing {
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    }
    response
}

pub(super) async fn leader(State(app): Shared, ask: Ask) -> Response {
    answer::json(&app.identity.http, app.runtime.snapshots.load().index, ask.pretty)
}

pub(super) async fn peers(State(app): Shared, ask: Ask) -> Response {
    answer::json(
        &[app.identity.http],
        app.runtime.snapshots.load().index,
        ask.pretty,
    )
}

fn member(app: &App) -> AgentMember {
    let it = &app.identity;
    let (address, port) = (it.http.ip().to_string(), it.http.port());
    let tags = [
        ("region", it.region.clone()),
        ("dc", it.datacenter.clone()),
        ("role", "nomad".to_owned()),
        ("build", env!("CARGO_PKG_VERSION").to_owned()),
        ("id", id(app)),
        ("port", port.to_string()),
        ("rpc_addr", address.clone()),
        ("raft_vsn", "3".to_owned()),
        ("vsn", "1".to_owned()),
        ("expect", "1".to_owned()),
        ("bootstrap", "1".to_owned()),
        ("revision", String::new()),
    ];
    AgentMember {
        name: format!("{}.{}", it.name, it.region),
        addr: address,
        port,
        tags: tags
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
        status: "alive".to_owned(),
        protocol_min: 1,
        protocol_max: 5,
        protocol_cur: 2,
        delegate_min: 2,
        delegate_max: 5,
        delegate_cur: 4,
    }
}

/// An id that stays the same for as long as name and region do.
fn id(app: &App) -> String {
    let digest = Sha256::digest(format!("{}\n{}", app.identity.name, app.identity.region));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    holdfast_shared::id::NodeId(u128::from_be_bytes(bytes)).to_string()
}

fn config(app: &App) -> BTreeMap<String, Value> {
    let mut config: Value = serde_json::from_str(EMPTY_CONFIG).expect("the file is part of the program");
    let it = &app.identity;
    let (ip, port) = (it.http.ip().to_string(), it.http.port());
    for (pointer, value) in [
        ("/Region", json!(it.region)),
        ("/Datacenter", json!(it.datacenter)),
        ("/NodeName", json!(it.name)),
        ("/DataDir", json!(it.data_dir)),
        ("/LogLevel", json!(it.log_level)),
        ("/BindAddr", json!(ip)),
        ("/Addresses/HTTP", json!(ip)),
        ("/AdvertiseAddrs/HTTP", json!(it.http)),
        ("/Ports/HTTP", json!(port)),
        ("/Server/Enabled", json!(true)),
        ("/Server/BootstrapExpect", json!(1)),
        ("/Version/Version", json!(env!("CARGO_PKG_VERSION"))),
    ] {
        *config
            .pointer_mut(pointer)
            .expect("the file has every setting of Nomad") = value;
    }
    serde_json::from_value(config).expect("the file is an object")
}

/// Figures that never change. Names are those of the original, which programs look for; there is neither raft nor
/// gossip here, and what they would tell of a region with one coordinator is told.
const FIXED_STATS: &[(&str, &[(&str, &str)])] = &[
    (
        "nomad",
        &[
            ("server", "true"),
            ("leader", "true"),
            ("bootstrap", "true"),
            ("known_regions", "1"),
        ],
    ),
    (
        "raft",
        &[
            ("state", "Leader"),
            ("logstore_backend", "sled"),
            ("num_peers", "0"),
            ("last_contact", "0"),
        ],
    ),
    (
        "raft",
        &[("fsm_pending", "0"), ("latest_configuration_index", "0")],
    ),
    (
        "raft",
        &[
            ("protocol_version", "3"),
            ("protocol_version_max", "3"),
            ("protocol_version_min", "0"),
        ],
    ),
    (
        "raft",
        &[("snapshot_version_max", "1"), ("snapshot_version_min", "0")],
    ),
    (
        "serf",
        &[
            ("members", "1"),
            ("failed", "0"),
            ("left", "0"),
            ("health_score", "0"),
            ("encrypted", "false"),
        ],
    ),
    (
        "serf",
        &[
            ("event_queue", "0"),
            ("intent_queue", "0"),
            ("query_queue", "0"),
            ("coordinate_resets", "0"),
        ],
    ),
    (
        "serf",
        &[("event_time", "1"), ("member_time", "1"), ("query_time", "1")],
    ),
    (
        "runtime",
        &[
            ("kernel.name", std::env::consts::OS),
            ("arch", std::env::consts::ARCH),
        ],
    ),
    ("runtime", &[("version", env!("CARGO_PKG_VERSION"))]),
];

fn stats(app: &App) -> BTreeMap<String, BTreeMap<String, String>> {
    let state = app.runtime.snapshots.load();
    let (index, epoch) = (state.index.to_string(), state.epoch.to_string());
    let address = app.identity.http.to_string();
    let voter = format!("[{{Suffrage:Voter ID:{} Address:{address}}}]", id(app));
    let clients = app
        .broker
        .upgrade()
        .map_or(0, |broker| broker.stats().connected)
        .to_string();
    let cores = std::thread::available_parallelism()
        .map_or(1, NonZero::get)
        .to_string();
    let tasks = tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks()
        .to_string();
    let uptime = app.metrics.uptime().as_secs().to_string();
    let current: [(&str, &[(&str, &str)]); 5] = [
        ("nomad", &[("leader_addr", &address)]),
        (
            "raft",
            &[
                ("applied_index", &index),
                ("commit_index", &index),
                ("last_log_index", &index),
            ],
        ),
        (
            "raft",
            &[
                ("last_snapshot_index", &index),
                ("last_snapshot_term", &epoch),
                ("last_log_term", &epoch),
            ],
        ),
        ("raft", &[("term", &epoch), ("latest_configuration", &voter)]),
        (
            "runtime",
            &[
                ("cpu_count", &cores),
                ("max_procs", &cores),
                ("goroutines", &tasks),
                ("uptime", &uptime),
            ],
        ),
    ];
    let mut stats: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let broker: (&str, &[(&str, &str)]) = ("broker", &[("clients", &clients)]);
    for (table, rows) in FIXED_STATS.iter().chain(&current).chain([&broker]) {
        let rows = rows
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        stats.entry((*table).to_owned()).or_default().extend(rows);
    }
    stats
}
