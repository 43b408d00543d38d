//! Every command against what the original really printed: the recorded texts, line by line.
//!
//! A small HTTP server answers with recorded bodies, or with bodies that restore the moment of a recording.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod alloc;
mod bodies;
mod case;
mod deployment;
mod drain;
mod explain;
mod fmt;
mod interrupt;
mod job;
mod job_action;
mod job_plan;
mod job_restart;
mod job_run;
mod job_status;
mod local;
mod mistakes;
mod node;
mod refusals;
mod server;
mod service;
mod status;
mod tls;
mod web;
