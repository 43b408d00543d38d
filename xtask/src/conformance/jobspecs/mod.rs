//! Real job files, and what the original evaluates, decodes and formats them to.

mod decode;
mod evaluate;
mod format;
mod render;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use holdfast_jobspec::{ParseOptions, parse_job};
use serde_json::Value;

use super::Verdict;
use super::vectors::parse;

/// One step, and what became of each file in it.
pub(super) struct Step {
    pub(super) name: &'static str,
    /// Path within `files/`, verdict.
    pub(super) results: Vec<(String, Verdict)>,
}

/// How long files take from text to job.
pub(super) struct Pace {
    pub(super) files: usize,
    pub(super) total: Duration,
    pub(super) slowest: (String, Duration),
}

/// Takes every file of the corpus in `dir` through all steps.
pub(super) fn run(dir: &Path) -> anyhow::Result<(Vec<Step>, Pace)> {
    let names = names(dir)?;
    let stubs = evaluate::Stubs::new()?;
    let mut steps = ["evaluate", "decode", "format", "render"].map(|name| Step {
        name,
        results: Vec::new(),
    });
    let mut pace = Pace {
        files: names.len(),
        total: Duration::ZERO,
        slowest: (String::new(), Duration::ZERO),
    };
    for name in names {
        let file = dir.join("files").join(&name);
        let source = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        pace.note(&name, &source);
        let evaluated = recorded(&dir.join("evaluated").join(format!("{name}.json")))?;
        let decoded = recorded(&dir.join("decoded").join(format!("{name}.json")))?;
        let formatted = fs::read_to_string(dir.join("formatted").join(&name));
        // What the original cannot parse, it does not format either.
        let layout = evaluated
            .as_ref()
            .map(|_| format::run(&source, formatted.as_ref().unwrap_or(&source)));
        let render = render::run(&source, &stubs.options(&source));
        let results = [
            evaluated.map(|expected| evaluate::run(&stubs, &source, &expected)),
            decoded.map(|expected| decode::run(&source, &expected)),
            layout,
            render.map(Result::err),
        ];
        for (step, result) in steps.iter_mut().zip(results) {
            let verdict = result.map(|wrong| wrong.map_or(Verdict::Passed, Verdict::Failed));
            step.results
                .extend(verdict.map(|verdict| (name.clone(), verdict)));
        }
    }
    Ok((steps.into(), pace))
}

impl Pace {
    fn note(&mut self, name: &str, source: &str) {
        let began = Instant::now();
        // Files that are refused take their time as well.
        let _ = parse_job(source, &options());
        let took = began.elapsed();
        self.total += took;
        if took > self.slowest.1 {
            self.slowest = (name.to_owned(), took);
        }
    }
}

/// Every file of the corpus, by its path in `files/`.
fn names(dir: &Path) -> anyhow::Result<Vec<String>> {
    let file = dir.join("MANIFEST.json");
    let manifest = recorded(&file)?.with_context(|| format!("{} is not there", file.display()))?;
    let files = manifest.as_array().into_iter().flatten();
    files
        .map(|file| {
            let name = file["file"].as_str();
            name.map(str::to_owned)
                .context("the manifest has an entry without a file")
        })
        .collect()
}

fn recorded(path: &Path) -> anyhow::Result<Option<Value>> {
    let Ok(text) = fs::read_to_string(path) else {
        return Ok(None);
    };
    let content = parse(&text).with_context(|| format!("{} is not JSON", path.display()))?;
    Ok(Some(content))
}

fn options() -> ParseOptions {
    ParseOptions {
        file_name: "input.hcl".to_owned(),
        ..ParseOptions::default()
    }
}
