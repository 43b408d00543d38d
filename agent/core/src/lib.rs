//! Decides what one box runs: pure, no clock, no entropy, no IO, no logger.
//!
//! The shell (crate `holdfast-agent`) hands in an [`Input`] and the time, and executes the [`Effect`]s that come out, in
//! order. What must survive a power cut is in the [`LocalDelta`]s of [`Effect::Persist`]; [`Agent::restore`] takes it up
//! again, with no coordinator anywhere.
//!
//! ```text
//!            assignment ─► alloc ─► task ─► Effect::{Prepare, Render, Start, Stop, …}
//! Input ─►   connection    health   templates                                        │
//!            outbox ◄───────┴─────────┴── Input::Task, Input::Rendered, Input::Check ◄┘
//! ```
//!
//! One rule stands above all others: no task ever stops because of something that is missing, be it contact, an
//! assignment, a service or a clock. Tasks end on their own, on an order of a newer assignment set, on
//! `stop_on_client_after`, when an operator wants them restarted, or when the operator of the box says so.

mod agent;
mod alloc;
mod assignment;
mod connection;
pub mod effect;
mod health;
pub mod input;
mod orders;
mod outbox;
pub mod record;
mod task;
mod templates;

pub use agent::Agent;
pub use effect::Effect;
pub use input::{CheckRef, Exit, Input, Link, Now, Recovery, Rendered, RenderedFile, TaskInput, TaskRef};
pub use record::{AllocRecord, LocalDelta, LocalState, TaskPhase, TaskRecord};

#[cfg(test)]
mod tests;
