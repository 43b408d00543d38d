//! The files that the rules are about.

use std::fs;
use std::path::{Path, PathBuf};

/// Root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// A source file of ours.
pub(crate) struct Source {
    /// Path below the root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    /// Whether the whole file is test code.
    pub(crate) fn is_test(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        self.path.starts_with("tests/") || self.path.contains("/tests/") || name == "tests.rs"
    }

    /// Lines with their numbers, each with whether it is test code (a test module ends its file).
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, bool, &str)> {
        let mut testing = self.is_test();
        self.text.lines().enumerate().map(move |(index, line)| {
            testing |= line.trim_start().starts_with("#[cfg(test)]");
            (index + 1, testing, line)
        })
    }
}

/// Every Rust file of ours.
pub(crate) fn rust() -> Vec<Source> {
    let mut sources = Vec::new();
    collect(root(), &mut sources);
    assert!(
        sources.len() > 20,
        "the search found only {} files",
        sources.len()
    );
    sources
}

fn collect(dir: &Path, sources: &mut Vec<Source>) {
    let mut paths: Vec<PathBuf> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    for path in paths {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                collect(&path, sources);
            }
        } else if name.ends_with(".rs") {
            let below = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
            sources.push(Source {
                path: below,
                text: fs::read_to_string(&path).unwrap(),
            });
        }
    }
}

/// Fails with one line per violation, under the rule they break.
pub(crate) fn assert_none(rule: &str, violations: Vec<String>) {
    assert!(violations.is_empty(), "{rule}:\n  {}", violations.join("\n  "));
}
