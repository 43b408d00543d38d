//! The cases of `plan_diff.json` that the original refuses: a changed job, and what is wrong with it, word by word.

use std::collections::BTreeSet;

use holdfast_jobspec::Surroundings;
use holdfast_shared::model::Job;
use serde_json::Value;

/// What became of every case that is refused.
pub(super) fn check(file: &Value) -> Vec<(String, Result<(), String>)> {
    let cases = file["cases"].as_array().into_iter().flatten();
    let refused = cases.filter(|case| !holdfast_diff::conformance::is_covered(case));
    refused
        .map(|case| {
            let id = case["id"].as_str().unwrap_or("?").to_owned();
            (id, run(&file["base"], case))
        })
        .collect()
}

fn run(base: &Value, case: &Value) -> Result<(), String> {
    let changed = holdfast_diff::conformance::changed(base, case)?;
    let expected = case["error"].as_str().unwrap_or_default();
    let mut job: Job = match serde_json::from_value(changed) {
        Ok(job) => job,
        Err(error) => return Err(format!("the job is none: {error}")),
    };
    job.canonicalize();
    let pools = ["all", "default"].map(str::to_owned);
    let surroundings = Surroundings {
        node_pools: Some(BTreeSet::from(pools)),
        ..Surroundings::default()
    };
    let found = holdfast_jobspec::validate(&job, &surroundings).error_text();
    if found == expected {
        return Ok(());
    }
    Err(format!("{found:?} instead of {expected:?}"))
}
