//! `cargo xtask fuzz`: damaged inputs for every parser that reads what others wrote, for as long as one likes.

use std::fs;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Args;
use holdfast_fuzz::{TARGETS, Target, Until, corpus, run};

use crate::repository::target_dir;

/// What to try, and for how long.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Minutes for each target
    #[arg(long, default_value_t = 1.0)]
    minutes: f64,
    /// Only targets whose name contains this
    #[arg(long, default_value = "")]
    only: String,
    /// Where chance begins
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Runs the subcommand.
pub(crate) fn run_task(options: &Options) -> anyhow::Result<ExitCode> {
    let targets: Vec<&Target> = TARGETS
        .iter()
        .filter(|it| it.name.contains(&options.only))
        .collect();
    ensure!(!targets.is_empty(), "no target is called {}", options.only);
    ensure!(
        options.minutes.is_finite() && options.minutes > 0.0 && options.minutes < 1e6,
        "--minutes is a positive number"
    );
    // What a target panics at is told below.
    std::panic::set_hook(Box::new(|_| {}));
    let until = Until::Passed(Duration::from_secs_f64(options.minutes * 60.0));
    let mut broken = 0;
    for target in targets {
        let began = Instant::now();
        let outcome = run(target, corpus(target), options.seed, until);
        println!(
            "{:<12} {} inputs in {} s, {} understood, the slowest took {:?}; {} MiB at most so far",
            target.name,
            outcome.tried,
            began.elapsed().as_secs(),
            outcome.understood,
            outcome.slowest,
            peak_mib()
        );
        if let Some((input, how)) = outcome.broken {
            broken += 1;
            let path = target_dir().join(format!("fuzz-{}", target.name));
            fs::write(&path, &input).with_context(|| format!("cannot write {}", path.display()))?;
            println!("  broken: {how}\n  by {}", path.display());
        }
    }
    println!("{broken} targets broken");
    Ok(if broken == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The most memory that this process ever had.
fn peak_mib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|it| it.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or_default() / 1024
}
