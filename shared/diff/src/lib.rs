//! What changes between two versions of a job: the difference that `job plan` and the version history show, complete
//! down to fields in lists and maps, and its text.
//!
//! It owns the comparison ([`diff`]), what a change forces ([`annotate`]) and the text ([`render`]). What a job consists of
//! is written in tables, one row a block; the comparison itself knows no block by name.
//! It deliberately does not know the scheduler: how many allocations a plan starts and stops is handed in.

mod annotate;
mod change;
mod compare;
pub mod conformance;
mod flat;
mod pairing;
mod quote;
mod render;
mod shape;
mod stored;
mod tables;
mod tree;

pub use annotate::{annotate, changes_allocations};
pub use change::{DiffType, FieldDiff, JobDiff, ObjectDiff, TaskDiff, TaskGroupDiff};
pub use conformance::conformance;
pub use render::render;
pub use tree::diff;

#[cfg(test)]
mod tests;
