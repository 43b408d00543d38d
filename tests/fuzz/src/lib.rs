//! Generated mistakes for every parser that reads what others wrote: job files, templates, messages, constraints.
//!
//! Inputs of a corpus are cut, joined and damaged, by a seed, for as long as one likes; what a target takes too long for,
//! or panics at, is a finding. No nightly compiler is needed, and no luck: the same seed does the same again.
//!
//! Owns: the mutation, the loop and the findings. What a target promises stands in `targets`.

mod mutate;
mod targets;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use targets::{TARGETS, Target};

use mutate::Mutator;

/// Longer inputs are a matter of size, which has tests of its own.
const BYTES_MAX: usize = 16 * 1024;

/// The longest that one input may take. Builds without optimisation and busy machines are allowed for.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a run came to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Inputs that were tried.
    pub tried: u64,
    /// Inputs that the target understood.
    pub understood: u64,
    /// The longest that one took.
    pub slowest: Duration,
    /// The input that broke the target, and how. The run ends with it.
    pub broken: Option<(Vec<u8>, String)>,
}

/// When a run ends.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// After so many inputs.
    Tried(u64),
    /// After so long.
    Passed(Duration),
}

/// The corpus of a target: every file in its folder, and what else it knows.
pub fn corpus(target: &Target) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target.name);
    let mut paths: Vec<PathBuf> = fs::read_dir(&folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    paths.sort();
    let stored = paths.iter().filter_map(|path| fs::read(path).ok());
    stored.chain((target.more)()).collect()
}

/// Tries damaged inputs of `corpus` on a target.
pub fn run(target: &Target, mut corpus: Vec<Vec<u8>>, seed: u64, until: Until) -> Outcome {
    let originals = corpus.len();
    let began = Instant::now();
    let mut mutator = Mutator::new(seed, target.words);
    let mut outcome = Outcome::default();
    loop {
        let is_over = match until {
            Until::Tried(most) => outcome.tried >= most,
            Until::Passed(most) => began.elapsed() >= most,
        };
        if is_over || outcome.broken.is_some() {
            return outcome;
        }
        let mut input = mutator.next(&corpus);
        input.truncate(BYTES_MAX);
        if tell(target, &input, &mut outcome) && mutator.chance(20) {
            // What is understood leads further than what is refused at its first byte.
            if corpus.len() < originals + 256 {
                corpus.push(input);
            } else {
                let at = originals + mutator.below(256);
                corpus[at] = input;
            }
        }
    }
}

/// Tries one input. Answers whether it was understood.
fn tell(target: &Target, input: &[u8], outcome: &mut Outcome) -> bool {
    let began = Instant::now();
    let told = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    let took = began.elapsed();
    outcome.tried += 1;
    outcome.slowest = outcome.slowest.max(took);
    if took > PATIENCE {
        outcome.broken = Some((input.to_vec(), format!("takes {took:?}")));
    }
    match told {
        Ok(is_understood) => {
            outcome.understood += u64::from(is_understood);
            is_understood
        }
        Err(panic) => {
            let text = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|it| (*it).to_owned()))
                .unwrap_or_else(|| "panics".to_owned());
            outcome.broken = Some((input.to_vec(), text));
            false
        }
    }
}
