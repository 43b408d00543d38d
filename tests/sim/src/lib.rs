//! The seeded simulator: both cores, unchanged, in a world of faults.
//!
//! One seed is one story: a coordinator, some boxes, an operator who registers, changes and stops jobs, and everything that
//! can go wrong between and inside them. Time is simulated, nothing sleeps, and the same seed gives the same story to the
//! byte. After **every** step the invariants of [`invariants`] are checked (a check at the end misses what heals itself); at the
//! end all faults stop, and within a bounded time everything must have converged.
//!
//! ```text
//! world    the clock, the event queue, the random numbers; hands events to:
//! host     the coordinator's process: core, durable store, crashes between any two effects
//! device   a box: the agent's process, its store, its containers, reboots
//! network  links with delay, loss, duplication, partitions; the broker's wills
//! operator registers, updates and stops jobs
//! faults   decides what breaks, and when
//! ```

mod device;
mod faults;
mod host;
pub mod invariants;
mod network;
mod operator;
mod random;
mod world;

pub use faults::Fault;
pub use invariants::Violation;
pub use world::{Config, Outcome, run};
