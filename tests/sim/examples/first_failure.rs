//! Tells stories until one breaks an invariant, and prints how many it took: `cargo xtask bite` asks this of builds with a
//! planted bug. Arguments: seeds, nodes, hours.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use holdfast_shared::time::Duration;
use holdfast_sim::{Config, run};

/// The lowest seed that failed so far, and what it broke.
type Found = Mutex<Option<(u64, String)>>;

fn main() -> ExitCode {
    let mut numbers = std::env::args().skip(1).map(|word| word.parse::<u64>());
    let (Some(Ok(seeds)), Some(Ok(nodes)), Some(Ok(hours))) =
        (numbers.next(), numbers.next(), numbers.next())
    else {
        eprintln!("usage: first_failure SEEDS NODES HOURS");
        return ExitCode::from(2);
    };
    let config = Config {
        nodes: nodes as usize,
        duration: Duration::from_secs(hours as i64 * 3600),
        ..Config::default()
    };
    // A planted bug may also run into an assertion: that is a find like any other, and told in the result.
    std::panic::set_hook(Box::new(|_| {}));
    let (next, found) = (AtomicU64::new(0), Found::default());
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| look(&next, seeds, config, &found));
        }
    });
    match found.into_inner().expect("workers catch every panic") {
        Some((seed, what)) => println!("{} {what}", seed + 1),
        None => println!("none"),
    }
    ExitCode::SUCCESS
}

/// Tells stories in order; every seed below one that failed is told to its end, so that the lowest one is found.
fn look(next: &AtomicU64, seeds: u64, config: Config, found: &Found) {
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        let lowest = found
            .lock()
            .expect("nobody panics with it")
            .as_ref()
            .map(|(seed, _)| *seed);
        if seed >= lowest.unwrap_or(seeds) {
            return;
        }
        let what = match catch_unwind(AssertUnwindSafe(|| run(seed, config))) {
            Ok(outcome) => outcome.violations.into_iter().next().map(|it| it.name.to_owned()),
            Err(_) => Some("assertion".to_owned()),
        };
        if let Some(what) = what {
            let mut found = found.lock().expect("nobody panics with it");
            if found.as_ref().is_none_or(|(lowest, _)| seed < *lowest) {
                *found = Some((seed, what));
            }
        }
    }
}
