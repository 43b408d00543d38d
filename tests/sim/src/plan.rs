//! What is done to the world in one story, as data: each entry stands for itself and can be left out.

use std::fmt;
use std::str::FromStr;

use holdfast_shared::time::Duration;

use crate::jobs::JOBS;
use crate::kind::{KINDS, Kind, Subject};
use crate::random::Random;
use crate::world::Config;

/// Something that is done to the world, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// When, since the beginning of the story; whole milliseconds.
    pub at: Duration,
    /// What.
    pub kind: Kind,
    /// To whom: the number of a box or of a job.
    pub to: usize,
    /// How much of it; what that means stands with the kind.
    pub size: u64,
    /// For how long; zero when it is over at once.
    pub lasts: Duration,
    /// Where its own random numbers come from.
    pub dice: u64,
}

/// A line that is no entry of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanError(pub String);

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is no entry of a plan: `1h2m3s partition box-4 for=30s dice=5` is one",
            self.0
        )
    }
}

impl std::error::Error for PlanError {}

impl Entry {
    /// Its own random numbers.
    pub(crate) fn random(&self) -> Random {
        Random::stream(self.dice, self.kind.name(), self.to)
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.at, self.kind.name())?;
        match self.kind.subject() {
            Subject::Node => write!(f, " box-{}", self.to)?,
            Subject::Job => write!(f, " job-{}", self.to)?,
            Subject::All => {}
        }
        if self.kind.size() != (0, 0) {
            write!(f, " size={}", self.size)?;
        }
        if self.lasts > Duration::ZERO {
            write!(f, " for={}", self.lasts)?;
        }
        write!(f, " dice={}", self.dice)
    }
}

impl FromStr for Entry {
    type Err = PlanError;

    fn from_str(line: &str) -> Result<Self, PlanError> {
        read(line).ok_or_else(|| PlanError(line.to_owned()))
    }
}

fn read(line: &str) -> Option<Entry> {
    let mut words = line.split_whitespace();
    let mut entry = Entry {
        at: words.next()?.parse().ok()?,
        kind: Kind::named(words.next()?)?,
        to: 0,
        size: 0,
        lasts: Duration::ZERO,
        dice: 0,
    };
    for word in words {
        if let Some(number) = word.strip_prefix("box-").or_else(|| word.strip_prefix("job-")) {
            entry.to = number.parse().ok()?;
        } else {
            let (name, value) = word.split_once('=')?;
            match name {
                "size" => entry.size = value.parse().ok()?,
                "for" => entry.lasts = value.parse().ok()?,
                "dice" => entry.dice = value.parse().ok()?,
                _ => return None,
            }
        }
    }
    Some(entry)
}

/// Everything that is done in the story of `seed`, in the order of time.
pub fn plan(seed: u64, config: Config) -> Vec<Entry> {
    let mut random = Random::stream(seed, "plan", 0);
    let hours = (config.duration.as_secs() / 3600).max(1) as u64;
    let faults: Vec<Kind> = KINDS.iter().copied().filter(|kind| !kind.is_wish()).collect();
    let wishes: Vec<Kind> = KINDS.iter().copied().filter(|kind| kind.is_wish()).collect();
    let mut entries: Vec<Entry> = (0..JOBS).map(|job| first_register(&mut random, job)).collect();
    for _ in 0..hours * (3 + config.nodes as u64) {
        let kind = draw(&mut random, &faults);
        entries.push(invent(&mut random, kind, config));
    }
    for _ in 0..hours * 5 {
        let kind = draw(&mut random, &wishes);
        entries.push(invent(&mut random, kind, config));
    }
    // What changes everything that follows happens in some stories, and in a few of them more than once.
    for (kind, percent) in [
        (Kind::CoordinatorWiped, 12),
        (Kind::CoordinatorRestored, 25),
        (Kind::Clone, 25),
    ] {
        while random.chance(percent) {
            let entry = invent(&mut random, kind, config);
            entries.push(entry);
            if kind != Kind::Clone {
                let after = entry.lasts + random.millis(10_000, 7_200_000);
                let mut adopt = invent(&mut random, Kind::AdoptState, config);
                adopt.at = (entry.at + after).min(config.duration);
                entries.push(adopt);
            }
        }
    }
    entries.sort_by_key(|entry| (entry.at, entry.dice));
    entries
}

/// Without jobs nothing can go wrong, so that each is registered early.
fn first_register(random: &mut Random, job: u64) -> Entry {
    Entry {
        at: random.millis(5_000, 600_000),
        kind: Kind::Register,
        to: job as usize,
        size: random.between(Kind::Register.size()),
        lasts: Duration::ZERO,
        dice: random.below(1 << 32),
    }
}

fn draw(random: &mut Random, kinds: &[Kind]) -> Kind {
    let total = kinds.iter().map(|kind| kind.weight()).sum();
    let mut left = random.below(total);
    for kind in kinds {
        match left.checked_sub(kind.weight()) {
            Some(rest) => left = rest,
            None => return *kind,
        }
    }
    kinds[0]
}

fn invent(random: &mut Random, kind: Kind, config: Config) -> Entry {
    let to = match kind.subject() {
        Subject::Node => random.below(config.nodes as u64),
        Subject::Job => random.below(JOBS),
        Subject::All => 0,
    };
    let (from, until) = kind.lasts();
    Entry {
        at: random.millis(10_000, (config.duration.0 / 1_000_000).max(10_001) as u64),
        kind,
        to: to as usize,
        size: random.between(kind.size()),
        lasts: random.millis(from, until),
        dice: random.below(1 << 32),
    }
}
