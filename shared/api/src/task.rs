//! Task states and events, as people see them.

use std::collections::BTreeMap;

use holdfast_shared::model;
use holdfast_shared::time::Duration;
use serde::{Deserialize, Serialize};

use crate::format::{GoTime, null_is_default};

/// State of one task of an allocation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskState {
    /// `pending`, `running` or `dead`.
    pub state: String,
    /// Whether it ended badly.
    pub failed: bool,
    /// How often it was restarted.
    pub restarts: u64,
    /// When it was last restarted.
    pub last_restart: GoTime,
    /// When it started for the first time.
    pub started_at: GoTime,
    /// When it ended for good.
    pub finished_at: GoTime,
    /// Always empty: tasks cannot be paused.
    pub paused: String,
    /// The last events, oldest first.
    #[serde(deserialize_with = "null_is_default")]
    pub events: Vec<TaskEvent>,
}

impl From<&model::TaskState> for TaskState {
    fn from(it: &model::TaskState) -> Self {
        Self {
            state: it.state.as_str().to_owned(),
            failed: it.failed,
            restarts: it.restarts,
            last_restart: it.last_restart.into(),
            started_at: it.started_at.into(),
            finished_at: it.finished_at.into(),
            paused: String::new(),
            events: it.events.open().iter().map(Into::into).collect(),
        }
    }
}

/// Something that happened to a task. People read [`TaskEvent::display_message`]; the fields behind it are kept for
/// programs that know them from Nomad.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskEvent {
    /// `Received`, `Task Setup`, `Started`, `Terminated`, `Reconnected`, …
    #[serde(rename = "Type")]
    pub kind: String,
    /// Nanoseconds since 1970 by the node's clock.
    pub time: i64,
    /// What people read.
    pub display_message: String,
    /// More of it, by name.
    #[serde(deserialize_with = "null_is_default")]
    pub details: BTreeMap<String, String>,
    /// Whether this event failed the task.
    pub fails_task: bool,
    /// A free text of some kinds.
    pub message: String,
    /// Exit code of `Terminated`.
    pub exit_code: i64,
    /// Signal of `Terminated`.
    pub signal: i64,
    /// Why it is restarted.
    pub restart_reason: String,
    /// Why its set-up failed.
    pub setup_error: String,
    /// Why the driver failed.
    pub driver_error: String,
    /// What the driver says.
    pub driver_message: String,
    /// Why it is killed.
    pub kill_reason: String,
    /// How long it may take to end.
    pub kill_timeout: Duration,
    /// Why it could not be killed.
    pub kill_error: String,
    /// How long its restart waits, in nanoseconds.
    pub start_delay: i64,
    /// Why a download failed.
    pub download_error: String,
    /// Why its description was refused.
    pub validation_error: String,
    /// Disk that it may use.
    pub disk_limit: i64,
    /// Disk that it used.
    pub disk_size: Option<i64>,
    /// The task whose failure ended this one.
    pub failed_sibling: String,
    /// Always empty: there is no Vault.
    pub vault_error: String,
    /// Why it was signalled.
    pub task_signal_reason: String,
    /// The signal it was sent.
    pub task_signal: String,
    /// What caused an event of no kind of its own.
    pub generic_source: String,
}

impl From<&model::TaskEvent> for TaskEvent {
    fn from(it: &model::TaskEvent) -> Self {
        let detail = |name: &str| it.details.get(name).cloned().unwrap_or_default();
        let duration = |name: &str| detail(name).parse::<Duration>().unwrap_or_default();
        let delay = it.details.get("start_delay").and_then(|text| text.parse().ok());
        Self {
            kind: it.kind.clone(),
            time: it.time.0,
            display_message: it.message.clone(),
            fails_task: it.fails_task || it.details.get("fails_task").is_some_and(|text| text == "true"),
            message: detail("message"),
            exit_code: it.exit_code.into(),
            signal: it.signal.into(),
            restart_reason: detail("restart_reason"),
            setup_error: detail("setup_error"),
            driver_error: detail("driver_error"),
            driver_message: detail("driver_message"),
            kill_reason: detail("kill_reason"),
            kill_timeout: duration("kill_timeout"),
            kill_error: detail("kill_error"),
            start_delay: delay.unwrap_or_else(|| duration("start_delay").0),
            download_error: detail("download_error"),
            validation_error: detail("validation_error"),
            failed_sibling: detail("failed_sibling"),
            task_signal_reason: detail("task_signal_reason"),
            task_signal: detail("task_signal"),
            details: it.details.clone(),
            ..Self::default()
        }
    }
}
