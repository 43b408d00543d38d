//! `cargo xtask sim`: stories of faults, each from one seed, with every invariant checked after every step.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::Context;
use clap::Args;
use holdfast_shared::time::Duration;
use holdfast_sim::{Config, Outcome, Story, clock, plan, run, shrink};

/// Where shortened stories of seeds that failed are put.
const FAILED: &str = "target/sim";

/// So many failed seeds are told about.
const SHOWN_MAX: usize = 10;

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
    /// Tell the story in this file
    #[arg(long)]
    story: Option<PathBuf>,
    /// Tell no further stories once a seed has failed
    #[arg(long)]
    stop_at_first: bool,
    /// Do not look for the shortest plan that still fails
    #[arg(long)]
    no_shrink: bool,
}

impl Options {
    const fn config(&self) -> Config {
        Config {
            nodes: self.nodes,
            duration: Duration::from_secs(self.hours * 3600),
            trace: false,
        }
    }
}

/// What many stories came to.
#[derive(Default)]
struct Total {
    seeds: u64,
    events: u64,
    faults: BTreeMap<&'static str, u64>,
    wishes: BTreeMap<&'static str, u64>,
    failed: BTreeMap<u64, Outcome>,
}

/// Runs the subcommand.
pub(crate) fn run_task(options: &Options) -> anyhow::Result<ExitCode> {
    if let Some(path) = &options.story {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let story: Story = text
            .parse()
            .with_context(|| format!("{} is no story", path.display()))?;
        return Ok(tell(&story, options.trace));
    }
    if options.trace {
        return Ok(tell(&story_of(options, options.from_seed), true));
    }
    let total = run_all(options);
    let hours = total.seeds * options.nodes as u64 * u64::try_from(options.hours)?;
    println!(
        "{} seeds, {hours} simulated node-hours, {} events",
        total.seeds, total.events
    );
    print_counts("faults", &total.faults);
    print_counts("wishes of the operator", &total.wishes);
    for (at, (seed, outcome)) in total.failed.iter().take(SHOWN_MAX).enumerate() {
        print_violations(*seed, outcome);
        // Making the first one short takes as long as hundreds of stories; the others can wait.
        print_replay(options, *seed, at == 0 && !options.no_shrink)?;
    }
    let violations = total
        .failed
        .values()
        .map(|outcome| outcome.violations.len())
        .sum::<usize>();
    if !total.failed.is_empty() {
        let first = total.failed.keys().next().copied().unwrap_or_default();
        let tried = first - options.from_seed + 1;
        println!("{} seeds failed, the first after {tried}", total.failed.len());
    }
    println!("{violations} violations");
    Ok(verdict(violations))
}

fn story_of(options: &Options, seed: u64) -> Story {
    Story {
        why: format!("the whole story of seed {seed}"),
        seed,
        nodes: options.nodes,
        hours: options.hours,
        plan: plan(seed, options.config()),
    }
}

fn tell(story: &Story, trace: bool) -> ExitCode {
    let outcome = story.run(trace);
    outcome.trace.iter().for_each(|line| println!("{line}"));
    print_violations(story.seed, &outcome);
    println!("{} violations", outcome.violations.len());
    verdict(outcome.violations.len())
}

fn run_all(options: &Options) -> Total {
    let next = AtomicU64::new(options.from_seed);
    let stop = AtomicBool::new(false);
    let total = Mutex::new(Total::default());
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= options.from_seed + options.seeds {
                        break;
                    }
                    let outcome = run(seed, options.config());
                    let mut total = total.lock().expect("no story panics while it adds up");
                    total.add(seed, outcome);
                    if options.stop_at_first && !total.failed.is_empty() {
                        stop.store(true, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    total.into_inner().expect("every worker has ended")
}

impl Total {
    fn add(&mut self, seed: u64, outcome: Outcome) {
        self.seeds += 1;
        self.events += outcome.events;
        for (kind, count) in &outcome.faults {
            *self.faults.entry(kind).or_default() += count;
        }
        for (kind, count) in &outcome.wishes {
            *self.wishes.entry(kind).or_default() += count;
        }
        if !outcome.violations.is_empty() {
            self.failed.insert(seed, outcome);
        }
    }
}

fn print_counts(what: &str, counts: &BTreeMap<&'static str, u64>) {
    println!("{} {what}", counts.values().sum::<u64>());
    for (kind, count) in counts {
        println!("  {count:>8} {kind}");
    }
}

fn print_violations(seed: u64, outcome: &Outcome) {
    for violation in &outcome.violations {
        let at = clock(Duration(violation.at.0));
        println!(
            "seed {seed}: {} at {}: {}",
            violation.name,
            at.trim_start(),
            violation.text
        );
    }
}

/// How to see it again; with `shorten`, also the shortest plan that still fails.
fn print_replay(options: &Options, seed: u64, shorten: bool) -> anyhow::Result<()> {
    let (nodes, hours) = (options.nodes, options.hours);
    println!("  replay: cargo xtask sim --from-seed {seed} --nodes {nodes} --hours {hours} --trace");
    if !shorten {
        return Ok(());
    }
    let Some(short) = shrink(seed, options.config()) else {
        return Ok(());
    };
    let story = Story {
        why: format!("found with seed {seed}"),
        plan: short,
        ..story_of(options, seed)
    };
    let path = format!("{FAILED}/seed-{seed}.story");
    fs::create_dir_all(FAILED)?;
    fs::write(&path, story.to_string())?;
    println!(
        "  the shortest plan that still fails has {} entries:",
        story.plan.len()
    );
    story.plan.iter().for_each(|entry| println!("    {entry}"));
    println!("  replay: cargo xtask sim --story {path} --trace");
    Ok(())
}

fn verdict(violations: usize) -> ExitCode {
    if violations == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
