//! What the core is told.

use std::collections::BTreeSet;
use std::fmt;

use holdfast_shared::id::AllocId;
use holdfast_shared::model::Fingerprint;
use holdfast_shared::time::Timestamp;
use holdfast_shared::wire::ToAgent;

/// The time, twice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Now {
    /// Nanoseconds since the box booted, suspends included. Every duration is measured with this.
    pub mono: Timestamp,
    /// Nanoseconds since 1970 as the box believes it. For people only: a box may boot in 1970.
    pub wall: Timestamp,
}

/// One task of one allocation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TaskRef {
    /// The allocation.
    pub alloc: AllocId,
    /// The task's name.
    pub task: String,
}

impl fmt::Display for TaskRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.alloc.short(), self.task)
    }
}

/// One check of one allocation: which service (of the group when `task` is empty) and which of its checks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CheckRef {
    /// The allocation.
    pub alloc: AllocId,
    /// The task that has the service; empty for a service of the group.
    pub task: String,
    /// Position of the service.
    pub service: usize,
    /// Position of the check within the service.
    pub check: usize,
}

/// Everything that can happen to an agent.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// The coordinator says something.
    Message(ToAgent),
    /// Contact began or ended.
    Link(Link),
    /// What the box is like, at the start and whenever it changes.
    Fingerprint(Box<Fingerprint>),
    /// The directories of an allocation are there, or cannot be made.
    Prepared(AllocId, Result<(), String>),
    /// The templates of a task were rendered.
    Rendered(TaskRef, Result<Rendered, String>),
    /// A driver says something about a task.
    Task(TaskRef, TaskInput),
    /// A driver runs something of an allocation that is not known here: its record was lost.
    Orphan(AllocId),
    /// A check of a service passed or not.
    Check(CheckRef, bool),
    /// The time that [`poll_timeout`](crate::Agent::poll_timeout) named has come. Spurious ones do no harm.
    Timeout,
}

/// Contact with the coordinator, or rather with its broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// It is up, subscribed, and a last will for `session` lies with the broker.
    Up {
        /// Counts up with every connection, across restarts of agent and box.
        session: u64,
    },
    /// It is down.
    Down,
}

/// What a driver says about a task.
#[derive(Debug, Clone, PartialEq)]
pub enum TaskInput {
    /// Something worth telling people, like `Driver`, `Downloading image`.
    Progress {
        /// Kind of the event.
        kind: String,
        /// Its text.
        message: String,
    },
    /// It runs.
    Started {
        /// What the driver needs to find it again; opaque here.
        handle: Vec<u8>,
        /// Address inside the allocation's network; empty when it has none of its own.
        address: String,
    },
    /// It could not be started.
    StartFailed {
        /// Why.
        message: String,
        /// Whether trying again may help.
        recoverable: bool,
    },
    /// What became of it while the agent was away.
    Recovered(Recovery),
    /// It ended.
    Exited(Exit),
}

/// What became of a task while the agent was away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recovery {
    /// It still runs.
    Running {
        /// As of `Started`.
        address: String,
    },
    /// It ended in the meantime.
    Exited(Exit),
    /// There is no trace of it: the box was rebooted, or somebody removed it.
    Gone,
    /// The driver cannot say now (podman does not answer); it will be asked again.
    Unclear(String),
}

/// How a task ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exit {
    /// Exit code.
    pub code: i32,
    /// The signal that ended it, 0 for none.
    pub signal: i32,
    /// Whether it took more memory than it may.
    pub oom_killed: bool,
    /// Something the driver has to add; empty for nothing.
    pub message: String,
}

/// What rendering the templates of a task came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rendered {
    /// Templates whose result differs from what was on disk.
    pub changed: Vec<RenderedFile>,
    /// Data that are not there yet, in words; while any is missing, nothing was written and the task does not start.
    pub missing: Vec<String>,
    /// Services that the templates asked for, by namespace and name.
    pub services: BTreeSet<(String, String)>,
    /// Namespaces of which the templates asked for all services.
    pub namespaces: BTreeSet<String>,
}

/// A template whose result changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedFile {
    /// Position among the task's templates.
    pub template: usize,
}
