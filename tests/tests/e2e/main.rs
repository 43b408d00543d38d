//! The product as a whole: real binaries, real podman, a real network that is really cut.
//!
//! Each test has a fleet of its own (see the crate's documentation) and reads what an operator reads: the output of
//! `edgectl`, the HTTP API, and what the tasks answer.

#![allow(clippy::unwrap_used, reason = "everything here is a test")]

mod bad_input;
mod blue_green_and_canary;
mod drain;
mod edge_services;
mod external_broker;
mod job_lifecycle;
mod node_meta;
mod offline;
mod placement;
mod reconnect;
mod verbs;
