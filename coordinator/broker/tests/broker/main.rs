//! The broker as its clients and its owner see it: real TCP and TLS, raw packets and rumqttc.
//!
//! Rows B1 to B13 are those of the table in `stock_failures`: what rumqttd does and this broker must not.

#![allow(
    clippy::unwrap_used,
    reason = "all of this is test code, its helpers included"
)]

mod client;
mod conformance;
mod front_door;
mod house;
mod malformed;
mod messages;
mod patience;
mod presence;
mod router;
mod sessions;
mod site;
mod stock_failures;
mod wills;
