//! The end-to-end harness: a fleet of machines on one computer, each with a network, processes, mounts and podman of
//! its own, and the real binaries running in them.
//!
//! A [`Fleet`] is one switch and any number of [`Machine`]s. Everything in it hangs on one pipe: when the test
//! process lets go of it, by finishing, by panicking or by being killed, the kernel ends every process of the fleet
//! with all its mounts and networks, and a janitor removes the rest. Tests therefore run side by side, use the
//! default ports, and leave nothing behind.
//!
//! The harness knows no job, no allocation and no MQTT: it starts binaries, cuts cables and reads what
//! `edgectl` and HTTP show. Which flags the binaries take is known in `coordinator` and `agent` only.

mod agent;
mod cgroup;
mod coordinator;
mod dice;
pub mod edgectl;
mod fleet;
mod http;
mod image;
mod init;
pub mod load;
mod machine;
mod podman;
pub mod process;
mod program;
pub mod proxy;
pub mod site;
pub mod usage;
mod wait;

pub use agent::{Agent, AgentPlan};
pub use coordinator::{Coordinator, CoordinatorPlan};
pub use dice::Dice;
pub use fleet::{Fleet, FleetName};
pub use http::{HttpResponse, enter_network, http_get, http_request};
pub use image::{Image, STAND_IN_IMAGES};
pub use machine::Machine;
pub use program::Program;
pub use wait::{holds_for, let_pass, wait_for};
