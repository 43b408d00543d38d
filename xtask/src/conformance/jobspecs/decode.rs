//! What a file decodes to, its canonical form, and what validation says of it.

use std::collections::BTreeSet;

use holdfast_jobspec::{Diagnostics, Surroundings, parse_job, parse_job_tree, validate};
use holdfast_shared::model::Job;
use serde_json::Value;

use super::super::tree::difference;
use super::options;

/// What is different about one file's job.
pub(super) fn run(source: &str, expected: &Value) -> Option<String> {
    let tree = parse_job_tree(source, &options());
    if let Some(error) = expected["error"].as_str() {
        return refused(tree, error);
    }
    let tree = match tree {
        Ok(tree) => tree,
        Err(diagnostics) => return Some(diagnostics.to_string()),
    };
    let mut job = match parse_job(source, &options()) {
        Ok(job) => job,
        Err(diagnostics) => return Some(diagnostics.to_string()),
    };
    let as_json = |job: &Job| serde_json::to_value(job).expect("a job is JSON");
    difference("job", &tree, &expected["job"])
        .or_else(|| difference("model", &as_json(&job), &expected["job"]))
        .or_else(|| {
            job.canonicalize();
            difference("canonical", &as_json(&job), &expected["canonical"])
        })
        .or_else(|| said_otherwise(&job, expected))
}

/// The original refuses the file: so must we, at the same place.
fn refused(tree: Result<Value, Diagnostics>, error: &str) -> Option<String> {
    let place = |text: &str| {
        let line = text.lines().next().unwrap_or_default();
        line.split(": ").next().unwrap_or_default().to_owned()
    };
    match tree {
        Ok(_) => Some(format!("accepted, but: {error}")),
        Err(diagnostics) => {
            let wanted = error.trim_start_matches("Failed to parse job: ");
            (place(&diagnostics.to_string()) != place(wanted))
                .then(|| format!("{diagnostics} instead of {error}"))
        }
    }
}

/// Errors and warnings of validation that are not the original's.
fn said_otherwise(job: &Job, expected: &Value) -> Option<String> {
    let surroundings = Surroundings {
        namespaces: Some(BTreeSet::from(["default".to_owned()])),
        memory_oversubscription: false,
        ..Surroundings::default()
    };
    let validation = validate(job, &surroundings);
    let errors: Vec<&str> = expected["validation_errors"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if validation.errors != errors {
        return Some(format!("errors {:?} instead of {errors:?}", validation.errors));
    }
    let warnings = expected["warnings"].as_str().unwrap_or_default();
    let found = validation.warning_text();
    (found != warnings).then(|| format!("warnings {found:?} instead of {warnings:?}"))
}
