//! Figures about the coordinator's own work. Figures about jobs and nodes are counted from a snapshot when asked for.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use holdfast_shared::time::Duration;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// Counters, each of which only ever grows.
        #[derive(Debug)]
        pub struct Metrics {
            started: Instant,
            /// Whether the broker can be reached.
            pub broker_connected: AtomicBool,
            $($(#[$doc])* pub $name: AtomicU64,)*
        }

        impl Metrics {
            /// Everything at zero.
            pub fn new() -> Self {
                Self { started: Instant::now(), broker_connected: AtomicBool::new(false), $($name: AtomicU64::new(0),)* }
            }

            /// Every counter by its name, which follows Prometheus's rules.
            pub fn counters(&self) -> Vec<(&'static str, u64)> {
                vec![$(($text, self.$name.load(Ordering::Relaxed)),)*]
            }
        }
    };
}

counters! {
    /// Inputs that the core handled.
    inputs = "holdfast_core_inputs_total";
    /// Turns of the runtime.
    turns = "holdfast_core_turns_total";
    /// Nanoseconds that turns took.
    turn_nanos = "holdfast_core_turn_nanoseconds_total";
    /// Batches that were made durable.
    commits = "holdfast_store_commits_total";
    /// Records in them.
    commit_records = "holdfast_store_records_total";
    /// Nanoseconds that this took.
    commit_nanos = "holdfast_store_commit_nanoseconds_total";
    /// Batches that could not be made durable.
    commit_failures = "holdfast_store_commit_failures_total";
    /// Messages that agents sent.
    mqtt_received = "holdfast_mqtt_received_total";
    /// Messages that were sent to agents.
    mqtt_sent = "holdfast_mqtt_sent_total";
    /// Messages for agents that were dropped.
    mqtt_dropped = "holdfast_mqtt_dropped_total";
    /// Messages of agents that made no sense.
    mqtt_malformed = "holdfast_mqtt_malformed_total";
    /// Connections that were ended for what the node did: broke the protocol or its permissions, did not read.
    mqtt_offences = "holdfast_mqtt_offences_total";
    /// HTTP requests.
    http_requests = "holdfast_http_requests_total";
    /// HTTP requests that were answered with an error.
    http_errors = "holdfast_http_errors_total";
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// How long the coordinator has run.
    pub fn uptime(&self) -> std::time::Duration {
        self.started.elapsed()
    }

    /// Counts one more.
    pub fn count(counter: &AtomicU64) -> u64 {
        counter.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn inputs(&self, count: usize) {
        self.inputs.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(crate) fn turn(&self, took: Duration) {
        Self::count(&self.turns);
        self.turn_nanos
            .fetch_add(took.0.unsigned_abs(), Ordering::Relaxed);
    }

    pub(crate) fn commit(&self, records: usize, took: Duration) {
        Self::count(&self.commits);
        self.commit_records.fetch_add(records as u64, Ordering::Relaxed);
        self.commit_nanos
            .fetch_add(took.0.unsigned_abs(), Ordering::Relaxed);
    }

    pub(crate) fn commit_failed(&self) {
        Self::count(&self.commit_failures);
    }
}
