//! The blocks of a job, one row each. A new field of the job language that `job plan` should show is one entry here.

pub(crate) mod connect;
pub(crate) mod job;
pub(crate) mod service;
pub(crate) mod task;
