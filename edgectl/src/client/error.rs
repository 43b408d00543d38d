//! What goes wrong between us and the coordinator, and what to do about it.

use std::error::Error as _;
use std::io;

/// A request that brought no answer, or one that is a refusal.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The coordinator answered with an error. The wording is the original's: scripts look for it.
    #[error("Unexpected response code: {status} ({text})")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The body, which says why.
        text: String,
    },
    /// No answer came.
    #[error("no coordinator answers at {address}: {}\n{}", reason(cause), hint(cause))]
    Unreachable {
        /// Where it should be.
        address: String,
        /// Why not; worded above, so no source of its own.
        cause: ureq::Error,
    },
    /// The answer is no JSON: something else listens there.
    #[error("what answers {path} is no coordinator: its answer is not JSON")]
    NotJson {
        /// What was asked.
        path: String,
        /// Where the JSON breaks.
        source: serde_json::Error,
    },
    /// The answer is JSON of another shape.
    #[error("the coordinator answers in another shape than expected: it may be of another version")]
    Shape {
        /// What does not fit.
        source: serde_json::Error,
    },
    /// The address of the coordinator makes no sense.
    #[error(
        "`{address}` is no address of a coordinator: http://HOST:4646, https://HOST:4646 or unix:///PATH is expected"
    )]
    Address {
        /// What was given.
        address: String,
    },
    /// A certificate or key cannot be used.
    #[error("cannot use {what} {path}: {reason}")]
    Certificate {
        /// What it is for.
        what: &'static str,
        /// Where it was looked for.
        path: String,
        /// Why not.
        reason: String,
    },
}

/// The innermost reason, in a few words.
fn reason(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
            io::ErrorKind::NotFound => "there is no such socket".to_owned(),
            _ => error.to_string(),
        },
        ureq::Error::HostNotFound => "the host is not known".to_owned(),
        ureq::Error::Rustls(error) => error.to_string(),
        other => other
            .source()
            .map_or_else(|| other.to_string(), ToString::to_string),
    }
}

/// What to do about it.
fn hint(error: &ureq::Error) -> &'static str {
    use rustls::CertificateError::{NotValidForName, NotValidForNameContext};
    match encryption(error) {
        Some(rustls::Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. })) => {
            "Give the name that the certificate is for with -tls-server-name=NAME or EDGE_TLS_SERVER_NAME"
        }
        Some(_) => {
            "Name the authority that signed the coordinator's certificate with -ca-cert=FILE or EDGE_CACERT"
        }
        None => {
            "Set the address with -address=http://HOST:4646 or the variable EDGE_ADDR (NOMAD_ADDR works too)"
        }
    }
}

/// What went wrong with encryption, however deep it is wrapped.
fn encryption(error: &ureq::Error) -> Option<&rustls::Error> {
    match error {
        ureq::Error::Rustls(error) => Some(error),
        ureq::Error::Io(error) => error.get_ref()?.downcast_ref(),
        _ => None,
    }
}
