//! A story in a file: its seed, its size, and its plan, so that what failed once is told again for ever.
//!
//! ```text
//! # Why it is kept: one line.
//! seed 17
//! nodes 10
//! hours 12
//! 1h2m3s partition box-4 for=30s dice=5
//! ```

use std::fmt;
use std::str::FromStr;

use holdfast_shared::time::Duration;

use crate::plan::{Entry, PlanError};
use crate::world::{Config, Outcome, run_plan};

/// A story that can be told again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Story {
    /// Why it is kept.
    pub why: String,
    /// Its seed: where everything comes from that is not in the plan.
    pub seed: u64,
    /// Number of boxes.
    pub nodes: usize,
    /// How long faults happen.
    pub hours: i64,
    /// What is done to the world.
    pub plan: Vec<Entry>,
}

/// A text that is no story.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoryError {
    /// `seed`, `nodes` or `hours` is missing or no number.
    Head(&'static str),
    /// A line of the plan makes no sense.
    Plan(PlanError),
}

impl fmt::Display for StoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head(name) => write!(f, "the story has no line `{name} NUMBER`"),
            Self::Plan(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StoryError {}

impl Story {
    /// Tells it.
    pub fn run(&self, trace: bool) -> Outcome {
        let config = Config {
            nodes: self.nodes,
            duration: Duration::from_secs(self.hours * 3600),
            trace,
        };
        run_plan(self.seed, config, self.plan.clone())
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# {}", self.why)?;
        writeln!(
            f,
            "seed {}\nnodes {}\nhours {}",
            self.seed, self.nodes, self.hours
        )?;
        self.plan.iter().try_for_each(|entry| writeln!(f, "{entry}"))
    }
}

impl FromStr for Story {
    type Err = StoryError;

    fn from_str(text: &str) -> Result<Self, StoryError> {
        let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
        let why: Vec<&str> = lines()
            .filter_map(|line| line.strip_prefix('#'))
            .map(str::trim)
            .collect();
        let rest = || lines().filter(|line| !line.starts_with('#'));
        let head = |name: &'static str| {
            let value = rest().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            value
                .and_then(|value| value.parse::<u32>().ok())
                .ok_or(StoryError::Head(name))
        };
        let is_head = |line: &&str| {
            ["seed ", "nodes ", "hours "]
                .iter()
                .any(|name| line.starts_with(name))
        };
        Ok(Self {
            why: why.join(" "),
            seed: head("seed")?.into(),
            nodes: head("nodes")? as usize,
            hours: head("hours")?.into(),
            plan: rest()
                .filter(|line| !is_head(line))
                .map(|line| line.parse().map_err(StoryError::Plan))
                .collect::<Result<_, _>>()?,
        })
    }
}
