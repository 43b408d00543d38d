//! The vocabulary of Holdfast, shared by coordinator, agent and tools.
//!
//! * [`id`]: typed ids; [`time`]: timestamps and durations (nobody here reads a clock);
//! * [`model`]: what a job is, and the records that are made of it: nodes, allocations, evaluations, deployments;
//! * [`topics`]: every MQTT topic there is; [`wire`]: every byte that travels on them;
//! * [`chunks`]: how a record lies in a database;
//! * [`words`]: how far apart two words are;
//! * [`interpolate`]: `${attr…}`, `${meta…}` and friends.
//!
//! This crate is pure: it has no clock, no entropy, no IO and no logger.

pub mod chunks;
pub mod id;
pub mod interpolate;
pub mod model;
pub mod time;
pub mod topics;
pub mod transitions;
pub mod wire;
pub mod words;
