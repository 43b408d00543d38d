//! The recorded cases that lie beside the repository.

use std::fs;
use std::path::Path;

#[test]
fn recorded_plans_are_answered_as_the_original_answered_them() {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/plan_diff.json");
    let Ok(json) = fs::read_to_string(&vectors) else {
        eprintln!("skipped: {} is not there", vectors.display());
        return;
    };
    let outcomes = holdfast_diff::conformance(&json).unwrap();
    let failed: Vec<String> =
        outcomes.iter().filter_map(|(id, it)| it.as_ref().err().map(|why| format!("{id}: {why}"))).collect();
    println!("{} of {} cases as the original", outcomes.len() - failed.len(), outcomes.len());
    assert!(failed.is_empty(), "{} of {} failed\n{}", failed.len(), outcomes.len(), failed.join("\n"));
}
