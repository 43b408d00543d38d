//! What can go wrong in a driver, as operators read it.

use std::time::Duration;

use thiserror::Error;

/// A `config` block that a driver cannot run; names the key and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("config.{key}: {problem}")]
pub struct ConfigError {
    /// The key, with its path inside nested blocks (`mount.type`).
    pub key: String,
    /// What is wrong and what to do about it.
    pub problem: String,
}

impl ConfigError {
    /// An error at `key`.
    pub fn new(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            problem: problem.into(),
        }
    }
}

/// A task could not be started.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct StartError {
    /// Trying again may help without changing the job.
    pub recoverable: bool,
    /// What happened and what to do about it.
    pub message: String,
}

impl StartError {
    /// A failure that may pass by itself.
    pub fn recoverable(message: impl Into<String>) -> Self {
        Self {
            recoverable: true,
            message: message.into(),
        }
    }

    /// A failure that stays until somebody changes the job or the node.
    pub fn permanent(message: impl Into<String>) -> Self {
        Self {
            recoverable: false,
            message: message.into(),
        }
    }
}

impl From<ConfigError> for StartError {
    fn from(error: ConfigError) -> Self {
        Self::permanent(error.to_string())
    }
}

impl From<DriverError> for StartError {
    fn from(error: DriverError) -> Self {
        Self::recoverable(error.to_string())
    }
}

/// An operation on a task failed.
#[derive(Debug, Error)]
pub enum DriverError {
    /// The runtime does not answer; the driver comes back by itself.
    #[error("{runtime} is not reachable: {cause}")]
    Unavailable {
        /// Which runtime.
        runtime: &'static str,
        /// What the operating system says.
        cause: String,
    },
    /// The runtime took too long.
    #[error("{runtime} did not answer within {} s while it should {operation}", after.as_secs())]
    TimedOut {
        /// Which runtime.
        runtime: &'static str,
        /// What it was asked to do.
        operation: &'static str,
        /// How long it was given.
        after: Duration,
    },
    /// The runtime refused.
    #[error("{runtime} could not {operation}: {message}")]
    Refused {
        /// Which runtime.
        runtime: &'static str,
        /// What it was asked to do.
        operation: &'static str,
        /// Its answer.
        message: String,
    },
    /// There is no such task any more.
    #[error("task {0} does not exist on this node any more")]
    Gone(String),
    /// The handle was made by another driver or a broken store.
    #[error("the stored handle of task {0} is not readable by driver {1}")]
    BadHandle(String, &'static str),
    /// The task outlived even SIGKILL.
    #[error("task {0} still runs after SIGKILL; its processes may hang in the kernel")]
    Unkillable(String),
    /// The operating system refused.
    #[error("could not {operation}")]
    Io {
        /// What was attempted.
        operation: String,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
}

impl DriverError {
    /// Wraps an operating-system error with what was attempted.
    pub fn io(operation: impl Into<String>, source: impl Into<std::io::Error>) -> Self {
        Self::Io {
            operation: operation.into(),
            source: source.into(),
        }
    }

    /// The task is gone, which is success for whoever wanted it removed.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Gone(_))
    }
}
