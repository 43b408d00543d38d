//! Whole stories, told to the core through its front door only.

mod contact;
mod fleet;
mod life;
mod lineage;
mod properties;
mod reconnect;
mod rollout;
