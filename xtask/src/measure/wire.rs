//! What an idle agent sends and receives.

use std::time::Duration;

use holdfast_tests::Fleet;

use super::jobs::{idle, site_with};
use super::row::Row;
use super::{KEEP_ALIVE_SECONDS, Options};
use holdfast_tests::usage::interface_bytes;

/// A keep-alive so short that many fit into the window.
const KEEP_ALIVE: Duration = Duration::from_secs(6);

/// What begins with a start, among it the networks' own chatter, has ended.
const SETTLE: Duration = Duration::from_secs(20);

/// Every byte that the box's interface counts while nothing happens, Ethernet, IP and TCP headers included. All of it
/// comes by the keep-alive: a ping each, and a heartbeat every ten. So it is counted over twenty short keep-alives and
/// scaled to as many of the default length as an hour has.
pub(super) fn measure(_: &Options) -> anyhow::Result<Vec<Row>> {
    let fleet = Fleet::start()?;
    let (_coordinator, agent) = site_with(&fleet, KEEP_ALIVE)?;
    let count = || interface_bytes(agent.machine.pid(), "eth0");
    idle(SETTLE);
    let before = count()?;
    idle(KEEP_ALIVE * 20);
    let counted = (count()? - before) as f64;
    let per_hour = counted / 20.0 * 3600.0 / KEEP_ALIVE_SECONDS as f64;
    Ok(vec![Row {
        name: "wire idle",
        title: "bytes on the wire per idle hour, both ways",
        unit: "KB",
        ours: per_hour / 1000.0,
        target: 7.0,
        peer: Some((553.0, "Nomad")),
        note: format!(
            "{counted:.0} bytes at the interface in 20 keep-alives of 6 s, scaled to the default of {KEEP_ALIVE_SECONDS} s"
        ),
    }])
}
