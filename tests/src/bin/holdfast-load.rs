//! `holdfast-load BROKER NODES KEEP_ALIVE_SECONDS SEED`: so many simulated nodes for one coordinator, in one process.
//!
//! Prints a line of figures whenever they change, and ends when its standard input does. See [`holdfast_tests::load`].

use std::io::{Read as _, Write as _};
use std::time::Duration;

use anyhow::Context as _;
use holdfast_tests::load::{self, LoadPlan};

fn main() -> anyhow::Result<()> {
    let plan = plan(std::env::args().skip(1)).context(
        "usage: holdfast-load BROKER NODES KEEP_ALIVE_SECONDS SEED, as in 127.0.0.1:1883 1000 30 1",
    )?;
    // Whoever started this process holds the other end; with it, the process ends.
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut output = std::io::stdout();
    // Nobody reads any more: the end is near anyway.
    runtime.block_on(load::run(&plan, |line| drop(writeln!(output, "{line}"))));
    Ok(())
}

fn plan(mut args: impl Iterator<Item = String>) -> anyhow::Result<LoadPlan> {
    let mut next = |name: &'static str| args.next().with_context(|| format!("{name} is missing"));
    Ok(LoadPlan {
        broker: next("BROKER")?.parse().context("BROKER is no address")?,
        nodes: next("NODES")?.parse().context("NODES is no number")?,
        keep_alive: Duration::from_secs(next("KEEP_ALIVE_SECONDS")?.parse()?),
        seed: next("SEED")?.parse().context("SEED is no number")?,
    })
}
