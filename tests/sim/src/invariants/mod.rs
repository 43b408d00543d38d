//! What must hold after every step, each with its name from the architecture. Checks look only at what a step has changed.
//!
//! | name | what it says | where |
//! |---|---|---|
//! | S1 | no task stops without cause, and no older copy of the state gives orders before it is adopted | `agent`, `messages` |
//! | S2 | what a node was told last never goes back, on either side | `agent`, `state` |
//! | S3 | at most one running copy of an allocation on a box | `agent` |
//! | S4 | a node in contact is not given up; nothing is lost before `lost_after` | `state` |
//! | S5 | `stop_on_client_after` is kept by the node's own clock | `agent` |
//! | S6 | nothing beyond a node's capacity, ports included | `state` |
//! | S7 | one promoted version of a job: the newer one lives on | `state` |
//! | S8 | no deployment beyond `max_parallel` and its canaries | `state` |
//! | S9 | a message carries only what its node may know, on a topic that is its own | `messages` |
//! | S10 | what was acknowledged is durable, and stays so | `messages`, `agent` |
//! | S11 | without faults everything converges in time, and only keep-alives travel | `convergence` |
//! | S12 | ours: nothing new on a node that takes nothing; only the less important are pushed out; no overlap | `placement` |
//! | S13 | ours: an order is carried out at most once; a node's meta is what was acknowledged last | `orders` |
//! | S14 | ours: a task starts when those that come before it have ended well | `agent` |

mod agent;
mod convergence;
mod messages;
mod orders;
mod placement;
mod state;

use std::collections::{BTreeMap, BTreeSet};

use holdfast_shared::id::{AllocId, DeploymentId, NodeId};
use holdfast_shared::model::NodeStatus;
use holdfast_shared::time::{Duration, Timestamp};
use holdfast_shared::wire::{Held, Interest};

use crate::world::{Messages, World};

/// How long a fleet without faults may take to converge: restarts that were delayed to their cap come to an end.
pub(crate) const CONVERGENCE: Duration = Duration::from_secs(3600);

/// How often the invariants look at the clock.
pub(crate) const TICK: Duration = Duration::from_secs(60);

/// How long before the end only keep-alives should travel.
const QUIET: Duration = Duration::from_secs(600);

/// A broken invariant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Its name: `S1` to `S14`.
    pub name: &'static str,
    /// When it broke, since the beginning of the story.
    pub at: Timestamp,
    /// What is wrong.
    pub text: String,
}

/// What is true about the contact with a node, as the coordinator's process could know it.
#[derive(Debug, Clone, Copy, Default)]
struct Contact {
    session: u64,
    /// When something of that session was last heard, by the coordinator's clock.
    at: Timestamp,
    /// Whether its end was heard of.
    has_ended: bool,
}

/// What has to be remembered of one box to judge the next step.
#[derive(Debug, Default)]
struct Memory {
    /// What its store held.
    held: Held,
    /// The lineage that this comes from.
    origin: usize,
    /// Allocations for whose end there is a cause.
    may_end: BTreeSet<AllocId>,
    checks: u64,
}

/// What has to be remembered to judge the next step.
#[derive(Debug, Default)]
pub(crate) struct Invariants {
    boxes: Vec<Memory>,
    /// Allocations that nodes were told to end.
    orders: BTreeSet<(NodeId, AllocId)>,
    contacts: BTreeMap<NodeId, Contact>,
    /// The newest decision about each node's status.
    statuses: BTreeMap<NodeId, NodeStatus>,
    interests: BTreeMap<NodeId, Interest>,
    /// What the reports were about that are not acknowledged yet.
    reports: BTreeMap<(NodeId, u64, u64), Vec<AllocId>>,
    touched_nodes: BTreeSet<NodeId>,
    touched_deployments: BTreeSet<DeploymentId>,
    /// Allocations that others took the place of in this commit.
    pushed_out: BTreeSet<AllocId>,
    found: Vec<(&'static str, String)>,
    quiet: Option<Messages>,
}

impl Invariants {
    pub(crate) fn new(boxes: usize) -> Self {
        Self {
            boxes: (0..boxes).map(|_| Memory::default()).collect(),
            ..Self::default()
        }
    }

    /// A box has another store now.
    pub(crate) fn forget_store(&mut self, number: usize) {
        self.boxes[number].held = Held::default();
    }

    /// A box has a copy of another one's store now, which comes from where that one has it.
    pub(crate) fn copy_store(&mut self, from: usize, to: usize) {
        self.forget_store(to);
        self.boxes[to].origin = self.boxes[from].origin;
    }

    /// The coordinator has an older state now.
    pub(crate) fn on_restore(&mut self) {
        self.contacts.clear();
        self.reports.clear();
        self.statuses.clear();
    }

    fn find(&mut self, name: &'static str, text: impl FnOnce() -> String) {
        self.found.push((name, text()));
    }
}

impl World {
    /// Ends a step: what was found becomes a violation.
    pub(crate) fn finish_step(&mut self) {
        for (name, text) in std::mem::take(&mut self.invariants.found) {
            self.violation(name, text);
        }
    }

    pub(crate) fn quiet_from(&self) -> Timestamp {
        self.end - QUIET
    }
}
