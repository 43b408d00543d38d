//! What an operator may set about the coordinator's decisions.

use holdfast_shared::model::Periodic;
use holdfast_shared::time::{Duration, Timestamp};

/// The first time after another at which a job launches; `None` when there is none. What days and zones are is not for the
/// core to know: it is handed in, and must answer the same to the same question.
pub type Calendar = fn(&Periodic, Timestamp) -> Option<Timestamp>;

/// Settings of the coordinator's core. Everything has a sensible default.
#[derive(Debug, Clone)]
pub struct Options {
    /// The region that this coordinator decides for.
    pub region: String,
    /// Whether the broker tells of the pings of agents. Otherwise their heartbeats, which are rarer, are all there is.
    pub hears_pings: bool,
    /// What a node may be late, on top of one and a half of its keep-alives, before it counts as gone.
    pub heartbeat_grace: Duration,
    /// How long a node may be without a session, after its agent or its uplink went away, before it counts as gone.
    pub session_grace: Duration,
    /// The keep-alive of nodes that name none.
    pub default_keep_alive: Duration,
    /// How long a returning node may take to report before decisions are made without its word.
    pub report_wait: Duration,
    /// How old a stored "last heard" may become before it is written anew, although nothing else changed.
    pub last_heard_resolution: Duration,
    /// Versions of a job that are kept, the current one included.
    pub job_versions_kept: usize,
    /// How many nodes are scored at least when a group has affinities or spreads.
    pub node_limit: usize,
    /// How long what happened to a deployment may wait until it is looked at, for each allocation of its job. Times that
    /// come to less than 10 ms are none, and none is longer than a second.
    pub look_pause: Duration,
    /// How old a finished evaluation must be before it is forgotten.
    pub eval_gc_age: Duration,
    /// How old a dead job must be before it is forgotten.
    pub job_gc_age: Duration,
    /// How old a finished deployment must be before it is forgotten.
    pub deployment_gc_age: Duration,
    /// How long a node must be down before it is forgotten.
    pub node_gc_age: Duration,
    /// Pause between two collections.
    pub gc_interval: Duration,
    /// When periodic jobs launch; never, unless given.
    pub calendar: Calendar,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            region: "global".into(),
            hears_pings: true,
            heartbeat_grace: Duration::from_secs(5),
            session_grace: Duration::from_secs(5),
            default_keep_alive: Duration::from_secs(15),
            report_wait: Duration::from_secs(30),
            last_heard_resolution: Duration::from_secs(600),
            job_versions_kept: 6,
            node_limit: 100,
            look_pause: Duration::from_millis(1),
            eval_gc_age: Duration::from_secs(3600),
            job_gc_age: Duration::from_secs(4 * 3600),
            deployment_gc_age: Duration::from_secs(3600),
            node_gc_age: Duration::from_secs(24 * 3600),
            gc_interval: Duration::from_secs(300),
            calendar: |_, _| None,
        }
    }
}
