//! What can be wrong with flags, environment and files, each with the place and, where one is near, the fix.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// File and line, variable or flag.
    pub place: String,
    /// What is wrong with it.
    pub reason: String,
    /// The setting or flag that was probably meant.
    pub hint: Option<String>,
}

impl Problem {
    pub(crate) fn file(path: &Path, line: usize, reason: impl Into<String>) -> Self {
        Self {
            place: format!("{}:{line}", path.display()),
            reason: reason.into(),
            hint: None,
        }
    }

    pub(crate) fn environment(name: &str, reason: String) -> Self {
        Self {
            place: format!("environment variable {name}"),
            reason,
            hint: None,
        }
    }

    pub(crate) fn flag(flag: &str, reason: impl Into<String>) -> Self {
        Self {
            place: format!("flag --{flag}"),
            reason: reason.into(),
            hint: None,
        }
    }

    pub(crate) fn hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.reason)?;
        self.hint
            .as_ref()
            .map_or(Ok(()), |hint| write!(f, "; did you mean {hint:?}?"))
    }
}

/// Why there are no values.
#[derive(Debug, Error)]
pub enum SettingsError {
    /// Not an error: the text of `--help` or `--version`, to be printed before a successful exit.
    #[error("{0}")]
    Answer(String),
    /// The values of one layer are wrong; one line for each.
    #[error("{}", lines(.0))]
    Invalid(Vec<Problem>),
    /// A configuration file cannot be read.
    #[error("cannot read configuration {path:?}")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl SettingsError {
    /// What the process should exit with: 0 for an answer, 1 for an error.
    pub fn exit_code(&self) -> u8 {
        u8::from(!matches!(self, Self::Answer(_)))
    }

    pub(crate) fn unless_empty(problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() {
            Ok(())
        } else {
            Err(Self::Invalid(problems))
        }
    }
}

fn lines(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}
