//! Errors as one line of text: what failed, and everything that caused it.

use std::error::Error;

/// `error` and its sources, from the outermost to the cause.
pub fn chain(error: &dyn Error) -> String {
    let sources = std::iter::successors(error.source(), |error| (*error).source());
    sources.fold(error.to_string(), |text, source| format!("{text}: {source}"))
}
