//! The house rules, as tests: what a reviewer would otherwise have to remember.

#![allow(clippy::unwrap_used, reason = "everything here is a test")]

mod dependencies;
mod documents;
mod names;
mod sources;
mod texts;
