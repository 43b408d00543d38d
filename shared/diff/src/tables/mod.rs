//! The blocks of a job, one row each. A field that no row names is shown when it is set; one that is read or shown in a way of
//! its own, or not at all, is an entry here.

pub(crate) mod connect;
pub(crate) mod job;
pub(crate) mod service;
pub(crate) mod task;
