//! What breaks on a box, done to the real thing: real agent, real coordinator, real podman, in machines of their own.
//!
//! Everywhere the same question: does what runs go on running, untouched? Containers are told apart by id and start,
//! processes by id and start as well ([`tasks::lives`]), so that a restart that repairs itself is seen, too.

#![allow(clippy::unwrap_used, reason = "everything here is a test")]

mod clock;
mod clone;
mod disk;
mod freeze;
mod kill;
mod link;
mod podman;
mod store;
mod tasks;
