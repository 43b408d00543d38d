//! The log files of tasks, in Nomad's layout: `<log_dir>/<task>.<stdout|stderr>.<N>`, the highest N being written.
//!
//! No task needs the agent for its output to flow, and none can be blocked or killed by the agent's absence:
//!
//! * A container's output is written by podman's `conmon` into a *spool* (`.<task>.spool`, as large as the log files at most); the agent copies it into the log files and remembers how far it came, so that a restarted agent goes on
//!   without gap or repetition.
//! * A raw_exec task writes its log file itself. The agent only rotates: it copies the full file away and cuts the
//!   copied part off the front of the live one, which the task keeps writing.
//!
//! One thread does all of it, woken by inotify: idle tasks cost nothing, a chatty one five wake-ups a second, and a slow
//! SD card never stops the agent's loop.

mod live;
mod pump;
mod rotation;
mod spool;

pub use pump::LogPump;
pub(crate) use rotation::current_log;
pub(crate) use spool::{make_spool, spool_bytes, spool_path};

use crate::driver::DriverEvent;
use crate::task::TaskId;

/// Tells people that a task runs without log files.
pub(crate) fn output_dropped(task: &TaskId, cause: &str) -> DriverEvent {
    DriverEvent::Progress {
        task: task.clone(),
        kind: "Logs",
        message: format!("Its output is dropped until it is started again: {cause}"),
    }
}
