//! The seeded simulator: both cores, unchanged, in a world of faults.
//!
//! One seed is one story: a coordinator, some boxes, an operator who registers, changes and stops jobs, and everything that
//! can go wrong between and inside them. Time is simulated, nothing sleeps, and the same seed gives the same story to the
//! byte. After **every** step the invariants of [`invariants`] are checked (a check at the end misses what heals itself); at the
//! end all faults stop, and within a bounded time everything must have converged.
//!
//! What is done to the world is a plan made of data ([`Entry`]): it can be written down, read again, and made shorter until
//! only what is needed to break something is left ([`shrink`]).
//!
//! ```text
//! world     the clock, the queue of events; hands them to:
//! host      the coordinator's process: core, shell, store, backups
//! device    a box: the agent's process, its shell, its store;    podman  its containers
//! broker    what a broker keeps and says;                        network links that lose, repeat, delay
//! sessions  how a box numbers its connections;
//! operator  registers, stops, promotes, drains;                  jobs    what those are
//! orders    what the operator tells agents to do, once;
//! peace     what the operator does once the faults are over;
//! plan      what is done to all of them, and when;               kind    everything that can be
//! faults    what each of those does;                             clock   clocks that are wrong
//! story     plans in files;      shrink  shorter ones;           timeline  the account for people
//! ```

mod broker;
mod clock;
mod device;
mod faults;
mod host;
pub mod invariants;
mod jobs;
mod kind;
mod network;
mod operator;
mod orders;
mod peace;
mod plan;
mod podman;
mod random;
mod sessions;
mod shrink;
mod story;
mod timeline;
mod world;

pub use invariants::Violation;
pub use kind::{Kind, Subject};
pub use plan::{Entry, PlanError, plan};
pub use shrink::shrink;
pub use story::{Story, StoryError};
pub use timeline::clock;
pub use world::{Config, Outcome, run, run_plan};
