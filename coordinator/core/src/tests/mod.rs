//! Whole stories, told to the core through its front door only.

mod contact;
mod fleet;
mod launches;
mod life;
mod properties;
mod rollout;
mod versions;
