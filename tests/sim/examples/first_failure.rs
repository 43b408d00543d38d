//! Tells stories until one breaks an invariant, and prints its seed and what it broke: `cargo xtask bite` asks this of builds
//! with a planted bug. Arguments: nodes, hours, the first seed, the one after the last, and seeds to leave out.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use holdfast_shared::time::Duration;
use holdfast_sim::{Config, run};

/// The lowest seed that failed so far, and what it broke.
type Found = Mutex<Option<(u64, String)>>;

fn main() -> ExitCode {
    let numbers: Result<Vec<u64>, _> = std::env::args().skip(1).map(|word| word.parse()).collect();
    let Ok([nodes, hours, first, end, left_out @ ..]) = numbers.as_deref() else {
        eprintln!("usage: first_failure NODES HOURS FIRST END [LEFT_OUT…]");
        return ExitCode::from(2);
    };
    let config = Config {
        nodes: *nodes as usize,
        duration: Duration::from_secs(*hours as i64 * 3600),
        ..Config::default()
    };
    // A planted bug may also run into an assertion: that is a find like any other, and told in the result.
    std::panic::set_hook(Box::new(|_| {}));
    let (next, found) = (AtomicU64::new(*first), Found::default());
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(seed) = next_seed(&next, *end, &found) {
                    if !left_out.contains(&seed) {
                        tell(seed, config, &found);
                    }
                }
            });
        }
    });
    match found.into_inner().expect("workers catch every panic") {
        Some((seed, what)) => println!("{seed} {what}"),
        None => println!("none"),
    }
    ExitCode::SUCCESS
}

/// Every seed below one that failed is told to its end, so that the lowest one is found.
fn next_seed(next: &AtomicU64, end: u64, found: &Found) -> Option<u64> {
    let seed = next.fetch_add(1, Ordering::Relaxed);
    let found = found.lock().expect("nobody panics with it");
    let lowest = found.as_ref().map_or(end, |(seed, _)| *seed);
    (seed < lowest).then_some(seed)
}

fn tell(seed: u64, config: Config, found: &Found) {
    let what = match catch_unwind(AssertUnwindSafe(|| run(seed, config))) {
        Ok(outcome) => outcome.violations.into_iter().next().map(|it| it.name.to_owned()),
        Err(_) => Some("assertion".to_owned()),
    };
    let mut found = found.lock().expect("nobody panics with it");
    if let Some(what) = what
        && found.as_ref().is_none_or(|(lowest, _)| seed < *lowest)
    {
        *found = Some((seed, what));
    }
}
