//! Why a template cannot be rendered.

use thiserror::Error;

/// Why a template cannot be rendered, however long one waits.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TemplateError {
    /// The text is not a template.
    #[error("template line {line}, column {column}: {message}")]
    Syntax {
        /// 1-based.
        line: usize,
        /// 1-based.
        column: usize,
        /// What is wrong.
        message: String,
    },
    /// It calls a function that does not exist.
    #[error("template line {line}: there is no function {name:?}{}", hint.as_ref().map(|h| format!("; did you mean {h:?}?")).unwrap_or_default())]
    UnknownFunction {
        /// 1-based.
        line: usize,
        /// The name.
        name: String,
        /// A function of nearly that name.
        hint: Option<String>,
    },
    /// It failed while it ran.
    #[error("template failed: {0}")]
    Execution(String),
}
