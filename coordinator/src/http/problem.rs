//! Answers that are errors: a status and one text, as Nomad gives them.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use holdfast_coordinator_core::Refusal;

use crate::runtime::CommandError;

/// An answer that is an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    pub(super) text: String,
}

impl Problem {
    /// The request makes no sense.
    pub(super) fn bad_request(text: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            text: text.into(),
        }
    }

    /// What it names does not exist: `job`, `node`, …
    pub(super) fn not_found(what: &str) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            text: format!("{what} not found"),
        }
    }

    /// It is meant for a region that nobody here knows. The status is Nomad's.
    pub(super) fn no_path_to_region() -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            text: "No path to region".to_owned(),
        }
    }
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        let status = match &error {
            CommandError::Refused(Refusal::NotFound(_) | Refusal::NoPath(_)) => StatusCode::NOT_FOUND,
            CommandError::Refused(_) => StatusCode::BAD_REQUEST,
            CommandError::NotTaken(_) | CommandError::Stopped => StatusCode::SERVICE_UNAVAILABLE,
            CommandError::NotStored(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self {
            status,
            text: error.to_string(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
        (self.status, kind, self.text).into_response()
    }
}
