//! `cargo xtask bite`: proves that the simulator finds bugs. Each one-line bug of `tests/sim/bugs.toml` is planted in a
//! scratch copy of the repository, and stories are told until one breaks an invariant.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context as _, ensure};
use clap::Args;
use serde::Deserialize;

use crate::repository::{cargo, root, run, target_dir};

/// How long to look.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Stories told to each bug at most
    #[arg(long, default_value_t = 500)]
    seeds: u64,
    /// Boxes in each
    #[arg(long, default_value_t = 10)]
    nodes: u64,
    /// Simulated hours of faults in each
    #[arg(long, default_value_t = 12)]
    hours: u64,
    /// Only bugs whose name contains this
    #[arg(long, default_value = "")]
    only: String,
}

/// Bugs to plant.
#[derive(Debug, Deserialize)]
struct Bugs {
    bug: Vec<Bug>,
}

/// One bug: a text of a file, and what takes its place.
#[derive(Debug, Deserialize)]
struct Bug {
    name: String,
    file: PathBuf,
    find: String,
    replace: String,
}

impl Bug {
    /// The file with the bug in it.
    fn planted(&self, source: &str) -> anyhow::Result<String> {
        ensure!(
            source.matches(&self.find).count() == 1,
            "{}: `{}` does not stand exactly once in {}: adapt tests/sim/bugs.toml",
            self.name,
            self.find,
            self.file.display()
        );
        Ok(source.replacen(&self.find, &self.replace, 1))
    }
}

/// Runs the subcommand.
pub(crate) fn run_task(options: &Options) -> anyhow::Result<ExitCode> {
    let scratch = Scratch::create()?;
    let bugs: Vec<Bug> = bugs()?
        .into_iter()
        .filter(|bug| bug.name.contains(&options.only))
        .collect();
    ensure!(!bugs.is_empty(), "no bug is called {}", options.only);
    let known = scratch.failures(options)?;
    if !known.is_empty() {
        println!("left out, because they fail without a planted bug: {known:?}");
    }
    println!("{:<48} {:>6}  broke", "bug", "seeds");
    let mut found = 0;
    for bug in &bugs {
        let began = Instant::now();
        let result = scratch.with(bug, || {
            scratch.build()?;
            scratch.look(options, 0, &known)
        })?;
        found += usize::from(result.is_some());
        let (seeds, broke) = match result {
            Some((seed, broke)) => ((seed + 1).to_string(), broke),
            None => ("-".to_owned(), "nothing".to_owned()),
        };
        println!(
            "{:<48} {seeds:>6}  {broke} ({} s with its build)",
            bug.name,
            began.elapsed().as_secs()
        );
    }
    println!("{found} of {} found within {} seeds", bugs.len(), options.seeds);
    Ok(if found == bugs.len() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn bugs() -> anyhow::Result<Vec<Bug>> {
    let file = root().join("tests/sim/bugs.toml");
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let bugs: Bugs = toml::from_str(&text).with_context(|| format!("{} is not right", file.display()))?;
    Ok(bugs.bug)
}

/// A copy of the repository that may be broken. It stays, so that the next bug only costs what it touches.
struct Scratch {
    dir: PathBuf,
}

impl Scratch {
    /// Copies every file that git knows, as it is in the working tree.
    fn create() -> anyhow::Result<Self> {
        let dir = target_dir().join("bite");
        let listed = Command::new("git")
            .current_dir(root())
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .output()
            .context("cannot start git")?;
        ensure!(listed.status.success(), "git does not know this folder");
        for name in String::from_utf8(listed.stdout)?
            .split('\0')
            .filter(|name| !name.is_empty())
        {
            let from = root().join(name);
            if from.is_file() {
                copy_if_different(&from, &dir.join("tree").join(name))?;
            }
        }
        Ok(Self { dir })
    }

    /// Does something while `bug` is planted.
    fn with<T>(&self, bug: &Bug, look: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
        let file = self.dir.join("tree").join(&bug.file);
        let source =
            fs::read_to_string(&file).with_context(|| format!("{} is not there", bug.file.display()))?;
        fs::write(&file, bug.planted(&source)?)?;
        let result = look();
        fs::write(&file, source)?;
        result.with_context(|| format!("with the bug `{}`", bug.name))
    }

    /// Stories that fail as things are: they say nothing about a planted bug.
    fn failures(&self, options: &Options) -> anyhow::Result<Vec<u64>> {
        self.build()?;
        let mut found = Vec::new();
        while let Some((seed, _)) = self.look(options, found.last().map_or(0, |last| last + 1), &[])? {
            found.push(seed);
        }
        Ok(found)
    }

    /// Builds the stories.
    fn build(&self) -> anyhow::Result<()> {
        let mut build = cargo();
        build
            .current_dir(self.dir.join("tree"))
            .args(["build", "--quiet", "--locked", "--package", "holdfast-sim"])
            .args(["--example", "first_failure", "--target-dir"])
            .arg(self.target())
            // A planted bug may leave a name unused.
            .env("RUSTFLAGS", "--cap-lints=allow");
        run(&mut build)
    }

    /// Tells stories from `first` on, and answers the first one that fails and what it breaks.
    fn look(&self, options: &Options, first: u64, left_out: &[u64]) -> anyhow::Result<Option<(u64, String)>> {
        let numbers = [options.nodes, options.hours, first, options.seeds];
        let told = Command::new(self.target().join("debug/examples/first_failure"))
            .args(numbers.iter().chain(left_out).map(u64::to_string))
            .output()?;
        ensure!(told.status.success(), "the stories ended with {}", told.status);
        let printed = String::from_utf8(told.stdout)?;
        let Some((seed, broke)) = printed.trim().split_once(' ') else {
            return Ok(None);
        };
        Ok(Some((
            seed.parse().context("the stories print a seed")?,
            broke.to_owned(),
        )))
    }

    fn target(&self) -> PathBuf {
        self.dir.join("target")
    }
}

/// Leaves files alone that are as they should be, so that cargo builds nothing for them.
fn copy_if_different(from: &Path, to: &Path) -> anyhow::Result<()> {
    let content = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    if fs::read(to).is_ok_and(|there| there == content) {
        return Ok(());
    }
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(to, content).with_context(|| format!("cannot write {}", to.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bug_can_still_be_planted() {
        let bugs = bugs().unwrap();
        assert!(bugs.len() >= 10, "{} bugs", bugs.len());
        for bug in bugs {
            let source = fs::read_to_string(root().join(&bug.file)).unwrap();
            assert_ne!(bug.planted(&source).unwrap(), source, "{}", bug.name);
        }
    }
}
