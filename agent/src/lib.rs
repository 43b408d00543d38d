//! The agent of one box: everything around the pure core (`holdfast-agent-core`) that touches the outside world.
//!
//! ```text
//! mqtt ────┐                                        ┌─► store     durable before anything that depends on it
//! drivers ─┤  runtime: core.handle(now, Input) ─────┼─► mqtt      dropped without contact
//! checks ──┤  one loop, inputs batched              ├─► lanes     drivers, templates: in order for each task
//! local ───┘                                        └─► checks
//! ```
//!
//! An agent always starts: without a network, a clock, podman, a coordinator, or a readable store.

pub mod checks;
pub mod clock;
pub mod config;
pub mod entropy;
mod execute;
pub mod fingerprint;
pub mod identity;
pub mod lanes;
pub mod local;
pub mod mqtt;
pub mod payload;
pub mod runs;
pub mod runtime;
pub mod sandbox;
pub mod spec;
pub mod start;
pub mod store;
pub mod taskdir;
pub mod taskenv;
pub mod templates;
pub mod tls;
