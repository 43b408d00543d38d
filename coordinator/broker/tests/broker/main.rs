//! The broker as its clients and its owner see it: real TCP and TLS, raw packets and rumqttc.
//!
//! Rows B1 to B13 are those of the list of reproduced rumqttd failures that this broker must not have.

#![allow(
    clippy::unwrap_used,
    reason = "all of this is test code, its helpers included"
)]

mod client;
mod front_door;
mod house;
mod messages;
mod presence;
mod router;
mod sessions;
mod wills;
