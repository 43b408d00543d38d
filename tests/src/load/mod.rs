//! Thousands of nodes in one process: the agent's core, unchanged, behind a real MQTT connection each.
//!
//! They enrol, register, report and beat as real agents do, and answer to orders at once: a task runs as soon as it is
//! to start. What they put to the test is the coordinator, not podman. Everything that a node learns lives in memory.
//!
//! The binary `holdfast-load` is this module with a command line; [`Load`] starts it and reads what it prints.

mod device;
mod process;
mod session;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use tokio::time::Instant;

pub use process::{Figures, Load};

use device::Device;

/// What a load process is told.
#[derive(Debug, Clone)]
pub struct LoadPlan {
    /// The coordinator's broker.
    pub broker: SocketAddr,
    /// How many nodes there are.
    pub nodes: usize,
    /// MQTT keep-alive of each.
    pub keep_alive: Duration,
    /// Which nodes: the same number gives the same ids and secrets again.
    pub seed: u64,
}

/// What the nodes have come to, summed over all.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    connected: AtomicUsize,
    registered: AtomicUsize,
    assigned: AtomicUsize,
    running: AtomicUsize,
    connections: AtomicUsize,
}

impl Counters {
    /// The figures in one line of JSON, `elapsed` after the start.
    fn line(&self, elapsed: Duration) -> String {
        let of = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        json!({
            "ms": u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            "connected": of(&self.connected),
            "registered": of(&self.registered),
            "assigned": of(&self.assigned),
            "running": of(&self.running),
            "connections": of(&self.connections),
        })
        .to_string()
    }
}

/// Brings all nodes in at once and keeps them there; `show` is given a line of figures whenever they have changed.
pub async fn run(plan: &LoadPlan, mut show: impl FnMut(&str)) {
    raise_file_limit();
    let start = Instant::now();
    let counters = Arc::new(Counters::default());
    for index in 0..plan.nodes {
        let device = Device::new(plan, index, start, Arc::clone(&counters));
        tokio::spawn(session::keep_in_contact(
            device,
            plan.broker,
            Arc::clone(&counters),
        ));
    }
    let mut last = String::new();
    let mut look = tokio::time::interval(Duration::from_millis(50));
    loop {
        look.tick().await;
        let news = counters.line(Duration::ZERO);
        if news != last {
            show(&counters.line(start.elapsed()));
            last = news;
        }
    }
}

/// One file for each connection, as far as the hard limit allows; what goes beyond shows as a connection that fails.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    let _ = setrlimit(Resource::Nofile, raised);
}
