//! `cargo xtask sim`: stories of faults, each from one seed, with every invariant checked after every step.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Args;
use holdfast_shared::time::Duration;
use holdfast_sim::{Config, Outcome, run};

/// How many stories, and how large.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Number of stories
    #[arg(long, default_value_t = 500)]
    seeds: u64,
    /// Boxes in each
    #[arg(long, default_value_t = 10)]
    nodes: usize,
    /// Simulated hours of faults in each
    #[arg(long, default_value_t = 12)]
    hours: i64,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    from_seed: u64,
    /// Print the story of the first seed as a timeline
    #[arg(long)]
    trace: bool,
}

/// What many stories came to.
#[derive(Default)]
struct Total {
    events: u64,
    faults: BTreeMap<&'static str, u64>,
    failed: BTreeMap<u64, Outcome>,
}

/// Runs the subcommand.
pub(crate) fn run_task(options: &Options) -> anyhow::Result<ExitCode> {
    let config = Config {
        nodes: options.nodes,
        duration: Duration::from_secs(options.hours * 3600),
        trace: options.trace,
    };
    if options.trace {
        let outcome = run(options.from_seed, config);
        outcome.trace.iter().for_each(|line| println!("{line}"));
        print_violations(options, options.from_seed, &outcome);
        return Ok(verdict(outcome.violations.len()));
    }
    let total = run_all(options, config);
    let hours = options.seeds * options.nodes as u64 * u64::try_from(options.hours)?;
    println!(
        "{} seeds, {hours} simulated node-hours, {} events",
        options.seeds, total.events
    );
    for (kind, count) in &total.faults {
        println!("  {count:>8} {kind}");
    }
    for (seed, outcome) in total.failed.iter().take(10) {
        print_violations(options, *seed, outcome);
    }
    let violations = total
        .failed
        .values()
        .map(|outcome| outcome.violations.len())
        .sum::<usize>();
    println!("{violations} violations");
    Ok(verdict(violations))
}

fn run_all(options: &Options, config: Config) -> Total {
    let next = AtomicU64::new(options.from_seed);
    let total = Mutex::new(Total::default());
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= options.from_seed + options.seeds {
                        break;
                    }
                    let outcome = run(seed, config);
                    let mut total = total.lock().expect("no story panics while it adds up");
                    total.events += outcome.events;
                    for (kind, count) in &outcome.faults {
                        *total.faults.entry(kind).or_default() += count;
                    }
                    if !outcome.violations.is_empty() {
                        total.failed.insert(seed, outcome);
                    }
                }
            });
        }
    });
    total.into_inner().expect("every worker has ended")
}

fn print_violations(options: &Options, seed: u64, outcome: &Outcome) {
    for violation in &outcome.violations {
        println!(
            "seed {seed}: {} at {}: {}",
            violation.name,
            violation.at.as_secs(),
            violation.text
        );
    }
    if !outcome.violations.is_empty() {
        let (nodes, hours) = (options.nodes, options.hours);
        println!("  replay: cargo xtask sim --from-seed {seed} --nodes {nodes} --hours {hours} --trace");
    }
}

fn verdict(violations: usize) -> ExitCode {
    if violations == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
