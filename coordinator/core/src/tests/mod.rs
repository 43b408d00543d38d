//! Whole stories, told to the core through its front door only.

mod contact;
mod drain;
mod fleet;
mod life;
mod properties;
mod rollout;
mod settings;
