//! What the core asks for.

use holdfast_shared::id::AllocId;
use holdfast_shared::time::Duration;
use holdfast_shared::wire::FromAgent;

use crate::input::{CheckRef, TaskRef};
use crate::record::LocalDelta;

/// Something the shell must do. Effects are executed in order: a `Persist` always precedes what depends on it.
///
/// Details that an effect does not carry (the task's specification, its ports, its templates) the shell reads from
/// [`Agent::alloc`](crate::Agent::alloc) and [`Agent::job`](crate::Agent::job).
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Make these changes durable. They are applied to the core's own state already.
    Persist(Vec<LocalDelta>),
    /// Tell the coordinator; dropped when there is no contact.
    Publish(FromAgent),
    /// Make the directories of an allocation; answered by `Input::Prepared`.
    Prepare(AllocId),
    /// Render the templates of a task from the catalog and write what changed; answered by `Input::Rendered`.
    Render(TaskRef),
    /// Start a task; answered by `TaskInput::Started` or `StartFailed`.
    Start(TaskRef),
    /// Find a task again after a restart of the agent; answered by `TaskInput::Recovered`.
    Recover(TaskRef, Vec<u8>),
    /// Ask a task to end, and end it when the time is up; answered by `TaskInput::Exited`.
    Stop {
        /// The task.
        task: TaskRef,
        /// Its handle.
        handle: Vec<u8>,
        /// The signal; empty for the driver's default.
        signal: String,
        /// How long it may take.
        timeout: Duration,
    },
    /// Send a signal to a task.
    Signal {
        /// The task.
        task: TaskRef,
        /// Its handle.
        handle: Vec<u8>,
        /// The signal.
        signal: String,
    },
    /// Remove what a task that ended left with its driver (the container, not its files).
    Remove(TaskRef, Vec<u8>),
    /// End whatever drivers still run of an allocation that is over: a start without an answer may have happened.
    Sweep(AllocId),
    /// The same, and delete the directories: the allocation is forgotten.
    Destroy(AllocId),
    /// Begin to run a check every interval; each result is an `Input::Check`.
    Watch(CheckRef),
    /// Stop running a check.
    Unwatch(CheckRef),
}
