//! What goes wrong on the coordinator's side, for real: killed, frozen, restored, its disk damaged or full, its clock
//! wrong, its broker gone, and everybody talking garbage. Whatever it is, no task of the fleet stops because of it, and
//! nothing that was acknowledged is lost without a word.

#![allow(clippy::unwrap_used, reason = "everything here is a test")]

mod backup;
mod broker;
mod clock;
mod damage;
mod disk;
mod frozen;
mod garbage;
mod half_open;
mod kills;
mod mqtt;
mod tasks;
