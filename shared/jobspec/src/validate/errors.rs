//! Lists of errors inside errors, as the original prints them.

use std::fmt::Display;

/// Errors found so far.
#[derive(Debug, Default)]
pub(super) struct Errors(Vec<String>);

impl Errors {
    pub(super) fn push(&mut self, error: impl Into<String>) {
        self.0.push(error.into());
    }

    /// Adds an error when a condition holds; it is put into words only then.
    pub(super) fn push_if(&mut self, holds: bool, error: impl Display) {
        if holds {
            self.push(error.to_string());
        }
    }

    /// Adds what is wrong with a part, under its name: `Task t validation failed: 2 errors occurred: …`.
    pub(super) fn nest(&mut self, name: impl Display, part: Self) {
        if !part.0.is_empty() {
            self.push(format!("{name} validation failed: {}", part.text()));
        }
    }

    /// Adds what is wrong with a part that has no name of its own.
    pub(super) fn inline(&mut self, part: Self) {
        if !part.0.is_empty() {
            self.push(part.text());
        }
    }

    /// Adds each error of a part by itself.
    pub(super) fn extend(&mut self, part: Self) {
        self.0.extend(part.0);
    }

    pub(super) fn into_vec(self) -> Vec<String> {
        self.0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `2 errors occurred:` and a line for each.
    pub(super) fn text(&self) -> String {
        list(&self.0)
    }
}

/// `2 errors occurred:` and a line for each, as the API and the command line show errors.
pub(super) fn list(errors: &[String]) -> String {
    let count = errors.len();
    let noun = if count == 1 { "error" } else { "errors" };
    format!("{count} {noun} occurred:\n\t* {}\n\n", errors.join("\n\t* "))
}
