//! `cargo xtask conformance`: runs recorded behaviour of the original against the code, and prints what passed, failed and
//! was skipped.
//!
//! One row of [`CHECKS`] per crate that covers some kind of vector file. What no row covers counts as skipped, never as
//! passed. Where we answer otherwise on purpose, `tests/vectors/differences.toml` says so.

mod differences;
mod jobspecs;
mod language;
mod refusals;
mod template;
mod tree;
mod update_kind;
mod vectors;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;

use anyhow::{anyhow, ensure};
use clap::Args;
use holdfast_coordinator_core::conformance as coordinator;

use differences::Differences;
use vectors::VectorFile;

/// What is run.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Folder with vector files
    #[arg(long, value_name = "DIR", required_unless_present = "jobspecs")]
    vectors: Option<PathBuf>,
    /// Folder with real job files and what the original makes of them
    #[arg(long, value_name = "DIR")]
    jobspecs: Option<PathBuf>,
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
type Check = fn(file: &VectorFile) -> Option<Vec<(String, Verdict)>>;

/// Who covers what: the first row that answers.
const CHECKS: &[Check] = &[
    of_the_coordinator,
    of_the_diff,
    |file| update_kind::check(&file.name, &file.content),
    |file| language::check(&file.name, &file.content),
    |file| template::check(&file.name, &file.content),
];

/// Stack for the checks; address space, not memory.
const STACK_BYTES: usize = 256 << 20;

fn of_the_coordinator(file: &VectorFile) -> Option<Vec<(String, Verdict)>> {
    let verdict = |outcome| match outcome {
        coordinator::Outcome::Passed => Verdict::Passed,
        coordinator::Outcome::Failed { why } => Verdict::Failed(why),
        coordinator::Outcome::Skipped => Verdict::Skipped,
    };
    let results = coordinator::run(&file.name, &file.text)?;
    Some(
        results
            .into_iter()
            .map(|result| (result.id, verdict(result.outcome)))
            .collect(),
    )
}

fn of_the_diff(file: &VectorFile) -> Option<Vec<(String, Verdict)>> {
    let verdict = |result: Result<(), String>| result.map_or_else(Verdict::Failed, |()| Verdict::Passed);
    let results = || {
        let diffs = holdfast_diff::conformance::conformance(&file.text);
        diffs.into_iter().chain(refusals::check(&file.content))
    };
    (file.name == "plan_diff").then(|| results().map(|(id, result)| (id, verdict(result))).collect())
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
    let differences = Differences::read()?;
    let mut total = Score::default();
    if let Some(dir) = &options.vectors {
        let files = vectors::read(dir)?;
        ensure!(!files.is_empty(), "no vector files (*.json) in {}", dir.display());
        for file in &files {
            let score = Score::of(file, CHECKS, &differences);
            print!("{}", score.report(&file.name, options.verbose));
            total.add(score);
        }
    }
    if let Some(dir) = &options.jobspecs {
        let (steps, pace) = jobspecs::run(dir)?;
        for step in steps {
            let score = Score::judged(step.results, &differences);
            print!("{}", score.report(step.name, true));
            total.add(score);
        }
        println!(
            "{} files parsed, evaluated and decoded in {:.0?}, the slowest in {:.1?} ({})",
            pace.files, pace.total, pace.slowest.1, pace.slowest.0
        );
    }
    for (id, reason) in &total.different {
        println!("differs on purpose: {id}: {reason}");
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
    /// Those of the passed that differ on purpose: id and reason.
    different: Vec<(String, String)>,
}

impl Score {
    fn of(file: &VectorFile, checks: &[Check], differences: &Differences) -> Self {
        let Some(results) = checks.iter().find_map(|check| check(file)) else {
            return Self {
                skipped: file.ids.len(),
                ..Self::default()
            };
        };
        let mut verdicts: BTreeMap<String, Verdict> = results.into_iter().collect();
        let cases = file.ids.iter().map(|id| {
            let verdict = verdicts.remove(id).unwrap_or(Verdict::Skipped);
            (id.clone(), verdict)
        });
        let mut score = Self::judged(cases.collect(), differences);
        // What a check answers beside the file's cases is about the file as a whole, and never praise.
        let strays = verdicts
            .into_iter()
            .map(|(id, verdict)| (id, format!("no such case, yet {verdict:?}")));
        score.failed.extend(strays);
        score
    }

    /// Adds up verdicts; a failure that is meant is none, and one that is meant and does not happen is.
    fn judged(verdicts: Vec<(String, Verdict)>, differences: &Differences) -> Self {
        let mut score = Self::default();
        for (id, verdict) in verdicts {
            match (verdict, differences.reason(&id)) {
                (Verdict::Skipped, _) => score.skipped += 1,
                (Verdict::Passed, None) => score.passed += 1,
                (Verdict::Failed(why), None) => score.failed.push((id, why)),
                (Verdict::Failed(_), Some(reason)) => {
                    score.passed += 1;
                    score.different.push((id, reason.to_owned()));
                }
                (Verdict::Passed, Some(_)) => {
                    let why = "answers like the original: remove it from tests/vectors/differences.toml";
                    score.failed.push((id, why.to_owned()));
                }
            }
        }
        score
    }

    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.skipped += other.skipped;
        self.failed.extend(other.failed);
        self.different.extend(other.different);
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
    use serde_json::Value;

    use super::*;

    fn file(name: &str) -> VectorFile {
        let ids = ["sums-1", "sums-2", "sums-3"].map(str::to_owned).to_vec();
        VectorFile {
            name: name.into(),
            text: "{}".into(),
            content: Value::Null,
            ids,
        }
    }

    fn check_sums(tested: &VectorFile) -> Option<Vec<(String, Verdict)>> {
        let verdicts = [
            Verdict::Passed,
            Verdict::Failed("2 is not 1".into()),
            Verdict::Skipped,
        ];
        (tested.name == "sums").then(|| file("sums").ids.into_iter().zip(verdicts).collect())
    }

    #[test]
    fn a_failure_is_reported_with_its_id_and_an_uncovered_kind_is_skipped() {
        let score = Score::of(&file("sums"), &[check_sums], &Differences::default());
        assert_eq!(
            score.report("sums", false),
            "sums: 1 passed, 1 failed, 1 skipped: sums-2\n"
        );
        assert!(score.report("sums", true).ends_with("  sums-2: 2 is not 1\n"));
    }

    #[test]
    fn a_file_without_a_check_is_skipped_as_a_whole() {
        assert_eq!(
            Score::of(&file("products"), &[check_sums], &Differences::default()).summary(),
            "0 passed, 0 failed, 3 skipped"
        );
    }

    #[test]
    fn what_a_check_leaves_out_is_skipped_and_what_it_makes_up_fails() {
        let check: Check = |_| Some(vec![("file".to_owned(), Verdict::Passed)]);
        assert_eq!(
            Score::of(&file("sums"), &[check], &Differences::default()).summary(),
            "0 passed, 1 failed, 3 skipped"
        );
    }

    /// What lies beside the checkout, or where `HOLDFAST_SHARED` says.
    fn recorded(name: &str) -> Option<PathBuf> {
        let beside = crate::repository::root().join("../shared");
        let shared = std::env::var_os("HOLDFAST_SHARED").map_or(beside, PathBuf::from);
        Some(shared.join(name)).filter(|dir| dir.is_dir())
    }

    #[test]
    fn the_vectors_of_the_repository_pass() {
        let options = Options {
            vectors: Some(crate::repository::root().join("tests/vectors")),
            jobspecs: None,
            verbose: true,
        };
        assert_eq!(
            run(&options).unwrap(),
            ExitCode::SUCCESS,
            "the output says what failed"
        );
    }

    #[test]
    fn no_recorded_case_fails_and_every_real_job_file_passes_every_step() {
        let (Some(vectors), Some(jobspecs)) = (recorded("vectors"), recorded("jobspecs")) else {
            eprintln!("skipped: no recorded behaviour lies beside the checkout");
            return;
        };
        let options = Options {
            vectors: Some(vectors),
            jobspecs: Some(jobspecs),
            verbose: true,
        };
        assert_eq!(
            run(&options).unwrap(),
            ExitCode::SUCCESS,
            "the output says what failed"
        );
    }
}
