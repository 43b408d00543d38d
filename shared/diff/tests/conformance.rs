//! The recorded cases and the real jobs that lie beside the repository.

use std::path::{Path, PathBuf};
use std::{fs, io};

use holdfast_diff::{DiffType, diff, render};
use holdfast_shared::model::Job;
use serde_json::Value;

#[test]
fn recorded_plans_are_answered_as_the_original_answered_them() {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/plan_diff.json");
    let Ok(json) = fs::read_to_string(&vectors) else {
        eprintln!("skipped: {} is not there", vectors.display());
        return;
    };
    let outcomes = holdfast_diff::conformance(&json);
    let failed: Vec<String> = outcomes
        .iter()
        .filter_map(|(id, it)| it.as_ref().err().map(|why| format!("{id}: {why}")))
        .collect();
    println!(
        "{} of {} cases as the original",
        outcomes.len() - failed.len(),
        outcomes.len()
    );
    assert!(
        failed.is_empty(),
        "{} of {} failed\n{}",
        failed.len(),
        outcomes.len(),
        failed.join("\n")
    );
}

fn files_below(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files_below(&path, found)?;
        } else {
            found.push(path);
        }
    }
    Ok(())
}

#[test]
fn no_real_job_differs_from_itself_and_each_is_all_new_at_first() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/jobspecs/decoded");
    let mut files = Vec::new();
    if files_below(&corpus, &mut files).is_err() {
        eprintln!("skipped: {} is not there", corpus.display());
        return;
    }
    let mut jobs = 0;
    for file in files {
        let mut decoded: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        let (short, full) = (decoded["job"].take(), decoded["canonical"].take());
        if short.is_null() || full.is_null() {
            continue;
        }
        let short: Job = serde_json::from_value(short).unwrap();
        let full: Job = serde_json::from_value(full).unwrap();
        let name = file.display();
        let same = diff(Some(&short), Some(&full), true);
        assert_eq!(same.kind, DiffType::None, "{name}: {}", render(&same, true));
        let added = diff(None, Some(&full), true);
        let groups = full.groups().iter().map(holdfast_shared::model::TaskGroup::name);
        let groups: std::collections::BTreeSet<&str> = groups.collect();
        assert_eq!(
            (added.kind, added.task_groups.len()),
            (DiffType::Added, groups.len()),
            "{name}"
        );
        let text = render(&added, true);
        assert!(
            text.lines().all(|line| !line.trim_start().starts_with("+/-")),
            "{name}: {text}"
        );
        jobs += 1;
    }
    println!("{jobs} jobs");
}
