//! What an idle agent sends and receives.

use std::time::Duration;

use anyhow::Context as _;
use holdfast_tests::usage::interface_bytes;
use holdfast_tests::{Agent, Fleet};

use super::jobs::{idle, site_with};
use super::row::Row;
use super::{KEEP_ALIVE_SECONDS, Options};

/// A keep-alive so short that many fit into the window.
const KEEP_ALIVE: Duration = Duration::from_secs(6);

/// What begins with a start has ended.
const SETTLE: Duration = Duration::from_secs(20);

/// Of an Ethernet frame, in front of the IP packet.
const ETHERNET_HEADER: u64 = 14;

/// What the firewall counts at the box's interface, in both directions: every IP packet, with its Ethernet header. All of
/// it comes by the keep-alive, a ping each and a heartbeat every ten. So it is counted over twenty short keep-alives and
/// scaled to as many of the default length as an hour has. What neighbours on an Ethernet say to each other (ARP) does
/// not come by the keep-alive and is not the agent's; the note has it.
pub(super) fn measure(_: &Options) -> anyhow::Result<Vec<Row>> {
    let fleet = Fleet::start()?;
    let (_coordinator, agent) = site_with(&fleet, KEEP_ALIVE)?;
    for (chain, side) in [("INPUT", "-i"), ("OUTPUT", "-o")] {
        // A rule without a target counts, and does nothing else.
        agent
            .machine
            .run("iptables", &["-w", "-I", chain, side, "eth0"])?;
    }
    idle(SETTLE);
    let before = (packets(&agent)?, interface_bytes(agent.machine.pid(), "eth0")?);
    idle(KEEP_ALIVE * 20);
    let after = (packets(&agent)?, interface_bytes(agent.machine.pid(), "eth0")?);
    let counted = after.0 - before.0;
    let arp = (after.1 - before.1).saturating_sub(counted);
    let per_hour = counted as f64 / 20.0 * 3600.0 / KEEP_ALIVE_SECONDS as f64;
    Ok(vec![Row {
        name: "wire idle",
        title: "bytes on the wire per idle hour, both ways",
        unit: "KB",
        ours: per_hour / 1000.0,
        target: 7.0,
        peer: Some((553.0, "Nomad")),
        note: format!(
            "{counted} bytes in IP packets with Ethernet headers in 20 keep-alives of 6 s, scaled to the default of \
             {KEEP_ALIVE_SECONDS} s; {arp} bytes of ARP meanwhile: on an Ethernet, neighbours may add 84 for each ping"
        ),
    }])
}

/// Bytes of the frames that carried IP packets since the rules were made.
fn packets(agent: &Agent) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for chain in ["INPUT", "OUTPUT"] {
        let listed = agent
            .machine
            .run("iptables", &["-w", "-n", "-v", "-x", "-L", chain, "1"])?;
        let mut numbers = listed
            .split_whitespace()
            .map_while(|word| word.parse::<u64>().ok());
        let (packets, of_ip) = numbers
            .next()
            .zip(numbers.next())
            .with_context(|| format!("iptables counts nothing: {listed}"))?;
        bytes += of_ip + packets * ETHERNET_HEADER;
    }
    Ok(bytes)
}
