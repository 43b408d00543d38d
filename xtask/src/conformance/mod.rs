//! `cargo xtask conformance`: runs vector files against the code, and prints what passed, failed and was skipped.
//!
//! One row of [`CHECKS`] per crate that covers some kind of file. What no row covers counts as skipped, never as passed.

mod vectors;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;

use anyhow::{anyhow, ensure};
use clap::Args;
use holdfast_coordinator_core::conformance as coordinator;

use vectors::VectorFile;

/// What is run.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Folder with the vector files
    #[arg(long, value_name = "DIR")]
    vectors: PathBuf,
    /// Show why each failed case failed
    #[arg(long)]
    verbose: bool,
}

/// What became of one case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The code did what the vector expects.
    Passed,
    /// It did something else: what, in words.
    Failed(String),
    /// This kind of case is not covered yet.
    Skipped,
}

/// Runs the cases of a file, known by its name without extension; `None` when it covers no such file. A case that is
/// not among the answers is not covered.
type Check = fn(name: &str, text: &str) -> Option<Vec<(String, Verdict)>>;

/// Who covers what: the first row that answers.
const CHECKS: &[Check] = &[of_the_coordinator, of_the_diff];

/// Stack for the checks; address space, not memory.
const STACK_BYTES: usize = 256 << 20;

fn of_the_coordinator(name: &str, text: &str) -> Option<Vec<(String, Verdict)>> {
    let verdict = |outcome| match outcome {
        coordinator::Outcome::Passed => Verdict::Passed,
        coordinator::Outcome::Failed { why } => Verdict::Failed(why),
        coordinator::Outcome::Skipped => Verdict::Skipped,
    };
    let results = coordinator::run(name, text)?;
    Some(
        results
            .into_iter()
            .map(|result| (result.id, verdict(result.outcome)))
            .collect(),
    )
}

fn of_the_diff(name: &str, text: &str) -> Option<Vec<(String, Verdict)>> {
    let verdict = |result: Result<(), String>| result.map_or_else(Verdict::Failed, |()| Verdict::Passed);
    let results = || holdfast_diff::conformance::conformance(text).into_iter();
    (name == "plan_diff").then(|| results().map(|(id, result)| (id, verdict(result))).collect())
}

/// Runs the subcommand on a stack that deeply nested cases fit on.
pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    thread::scope(|scope| {
        let runner = thread::Builder::new()
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, || run_here(options))?;
        runner
            .join()
            .map_err(|_| anyhow!("a check panicked; its message is above"))?
    })
}

fn run_here(options: &Options) -> anyhow::Result<ExitCode> {
    let files = vectors::read(&options.vectors)?;
    ensure!(
        !files.is_empty(),
        "no vector files (*.json) in {}",
        options.vectors.display()
    );
    let mut total = Score::default();
    for file in &files {
        let score = Score::of(file, CHECKS);
        print!("{}", score.report(&file.name, options.verbose));
        total.add(score);
    }
    println!("{}", total.summary());
    Ok(if total.failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// How many cases passed and were skipped, and which failed.
#[derive(Debug, Default)]
struct Score {
    passed: usize,
    skipped: usize,
    /// Id and reason.
    failed: Vec<(String, String)>,
}

impl Score {
    fn of(file: &VectorFile, checks: &[Check]) -> Self {
        let Some(results) = checks.iter().find_map(|check| check(&file.name, &file.text)) else {
            return Self {
                skipped: file.ids.len(),
                ..Self::default()
            };
        };
        let mut verdicts: BTreeMap<String, Verdict> = results.into_iter().collect();
        let mut score = Self::default();
        for id in &file.ids {
            match verdicts.remove(id).unwrap_or(Verdict::Skipped) {
                Verdict::Passed => score.passed += 1,
                Verdict::Skipped => score.skipped += 1,
                Verdict::Failed(reason) => score.failed.push((id.clone(), reason)),
            }
        }
        // What a check answers beside the file's cases is about the file as a whole, and never praise.
        let strays = verdicts
            .into_iter()
            .map(|(id, verdict)| (id, format!("no such case, yet {verdict:?}")));
        score.failed.extend(strays);
        score
    }

    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.skipped += other.skipped;
        self.failed.extend(other.failed);
    }

    fn summary(&self) -> String {
        format!(
            "{} passed, {} failed, {} skipped",
            self.passed,
            self.failed.len(),
            self.skipped
        )
    }

    fn report(&self, name: &str, verbose: bool) -> String {
        let mut text = format!("{name}: {}", self.summary());
        if !self.failed.is_empty() {
            let ids: Vec<&str> = self.failed.iter().map(|(id, _)| id.as_str()).collect();
            text += &format!(": {}", ids.join(" "));
        }
        text.push('\n');
        if verbose {
            for (id, reason) in &self.failed {
                text += &format!("  {id}: {reason}\n");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> VectorFile {
        let ids = ["sums-1", "sums-2", "sums-3"].map(str::to_owned).to_vec();
        VectorFile {
            name: name.into(),
            text: "{}".into(),
            ids,
        }
    }

    fn check_sums(name: &str, _: &str) -> Option<Vec<(String, Verdict)>> {
        let verdicts = [
            Verdict::Passed,
            Verdict::Failed("2 is not 1".into()),
            Verdict::Skipped,
        ];
        (name == "sums").then(|| file(name).ids.into_iter().zip(verdicts).collect())
    }

    #[test]
    fn a_failure_is_reported_with_its_id_and_an_uncovered_kind_is_skipped() {
        let score = Score::of(&file("sums"), &[check_sums]);
        assert_eq!(
            score.report("sums", false),
            "sums: 1 passed, 1 failed, 1 skipped: sums-2\n"
        );
        assert!(score.report("sums", true).ends_with("  sums-2: 2 is not 1\n"));
    }

    #[test]
    fn a_file_without_a_check_is_skipped_as_a_whole() {
        assert_eq!(
            Score::of(&file("products"), &[check_sums]).summary(),
            "0 passed, 0 failed, 3 skipped"
        );
    }

    #[test]
    fn what_a_check_leaves_out_is_skipped_and_what_it_makes_up_fails() {
        let check: Check = |_, _| Some(vec![("file".to_owned(), Verdict::Passed)]);
        assert_eq!(
            Score::of(&file("sums"), &[check]).summary(),
            "0 passed, 1 failed, 3 skipped"
        );
    }
}
