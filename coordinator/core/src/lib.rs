//! Decides for the region: what runs where, and which copy of an allocation lives on.
//!
//! Pure: no clock, no entropy, no IO, no logger. The shell (crate `holdfast-coordinator`) hands in an [`Input`] and the
//! time, and executes the [`Effect`]s that come out, in order. State is a fold over [`Delta`]s: there is no other way
//! to change it, and what is persisted, replicated, streamed and logged is exactly them.
//!
//! Where to read on: [`Coordinator`] is the front door; `admit` takes what operators want, `report` and [`heartbeat`] what
//! agents say; `broker` decides which evaluation is next, `evaluate` runs it: [`reconciler`] finds out what should change,
//! [`scheduler`] where things go, `plan` writes it down. `deployment`, `services`, `assignments` and `interest` draw the
//! consequences. `children` and `periodic` launch jobs from others. `orders` passes on
//! what an agent is to do at once. [`dry_run`] shows what a job would do. [`conformance`] holds all that against recorded decisions.
//!
//! ```text
//! Input ─► admit ─► Evaluation ─► broker ─► reconciler ─► scheduler ─► plan ─► Deltas ─► state ─► Effects
//!             ▲                                                                   │
//!     heartbeat, deployment, drain ◄──────────────────────────────────────────────┘
//! ```

mod admit;
mod assignments;
mod broker;
mod children;
mod common;
pub mod conformance;
mod coordinator;
mod deployment;
mod drain;
pub mod dry_run;
pub mod effect;
mod evaluate;
mod gap;
mod gc;
pub mod heartbeat;
mod history;
pub mod input;
mod interest;
mod job_status;
mod ledger;
pub mod multiregion;
mod options;
mod orders;
mod periodic;
mod plan;
pub mod reconciler;
pub mod rehearsal;
mod report;
pub mod scheduler;
mod services;
mod shapes;
pub mod state;
#[cfg(test)]
mod tests;

pub use coordinator::Coordinator;
pub use effect::{Effect, Refusal, Response};
pub use input::{
    Command, DeploymentAction, Dispatch, DrainSpec, Input, JobAction, NodeAction, RequestId, Scale,
};
pub use options::{Calendar, Options};
pub use state::{Delta, State};
