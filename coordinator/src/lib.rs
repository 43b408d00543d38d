//! The coordinator of one region: the shell around the core of crate `holdfast-coordinator-core`.
//!
//! It owns everything that touches the world: the clock, the store, the broker, HTTP. It decides nothing itself.
//!
//! ```text
//! http ───► runtime ──► core ──► Effects ──► store ──► snapshots ──► http
//! mqtt ───►    ▲                                └────► mqtt
//!              └ one thread, one batch at a time
//! ```

pub mod clock;
pub mod config;
pub mod error;
pub mod http;
pub mod memory;
pub mod metrics;
pub mod mqtt;
pub mod runtime;
mod server;
pub mod snapshots;
pub mod store;

pub use server::{Server, ServerError};
