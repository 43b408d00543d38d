//! Whole stories, told to the core through its front door only.

mod contact;
mod drain;
pub(crate) mod fleet;
mod job_types;
mod launches;
mod life;
mod lineage;
mod orders;
mod placement;
mod properties;
mod reconnect;
mod rollout;
mod settings;
mod versions;
