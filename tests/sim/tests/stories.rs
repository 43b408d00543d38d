//! Stories that every build tells again; `cargo xtask sim` tells more and longer ones.

#![allow(clippy::unwrap_used, reason = "everything here is a test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use holdfast_shared::time::Duration;
use holdfast_sim::{Config, Story, plan, run};

/// Nearly a third of the time went into the system's allocator (`perf`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const DAY: Config = Config {
    nodes: 10,
    duration: Duration::from_secs(12 * 3600),
    trace: false,
};

/// These take four to five minutes on two cores. `cargo xtask sim` tells more.
const SEEDS: u64 = 1_000;

/// Calls `tell` with every number below `count`, on all cores, and gathers what it complains about.
fn in_parallel(count: u64, tell: impl Fn(u64) -> Vec<String> + Sync) -> Vec<String> {
    let next = AtomicU64::new(0);
    let complaints = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, std::num::NonZero::get) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        break;
                    }
                    let found = tell(number);
                    complaints.lock().unwrap().extend(found);
                }
            });
        }
    });
    complaints.into_inner().unwrap()
}

fn stored() -> Vec<(PathBuf, Story)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let story = fs::read_to_string(&path).unwrap().parse().unwrap();
            (path, story)
        })
        .collect()
}

#[test]
fn no_invariant_breaks_in_many_days_of_ten_boxes() {
    let failures = in_parallel(SEEDS, |seed| {
        let replay = "cargo xtask sim --nodes 10 --hours 12 --from-seed";
        let violations = run(seed, DAY).violations;
        let told = violations.iter().map(|it| {
            let (name, text) = (it.name, &it.text);
            format!("seed {seed}: {name} {text} ({replay} {seed} --trace)")
        });
        told.collect()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn what_once_failed_never_fails_again() {
    let stories = stored();
    assert!(!stories.is_empty());
    let failures = in_parallel(stories.len() as u64, |number| {
        let (path, story) = &stories[number as usize];
        let (first, again) = (story.run(false), story.run(false));
        let mut found: Vec<String> = first
            .violations
            .iter()
            .map(|it| format!("{}: {} {}", path.display(), it.name, it.text))
            .collect();
        if first.hash != again.hash {
            found.push(format!("{}: told twice, and differently", path.display()));
        }
        found
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn the_same_seed_tells_the_same_story_and_another_one_does_not() {
    let hash = |seed| run(seed, DAY).hash;
    assert_eq!(hash(3), hash(3));
    assert_ne!(hash(3), hash(4));
}

#[test]
fn a_story_is_read_as_it_is_written() {
    let story = Story {
        why: "to be read again".into(),
        seed: 7,
        nodes: 10,
        hours: 12,
        plan: plan(7, DAY),
    };
    assert!(story.plan.len() > 100);
    assert_eq!(story.to_string().parse(), Ok(story));
}
