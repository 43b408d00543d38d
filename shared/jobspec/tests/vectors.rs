//! The recorded cases of the job language, when they lie beside the checkout.

mod common;

use common::{difference, read_json, shared};
use holdfast_jobspec::{ParseOptions, parse_job, parse_job_tree};
use serde_json::Value;

/// Cases that are answered differently on purpose, with the reason.
const DIFFERENT: &[(&str, &str)] = &[(
    "file-54",
    "the parser limits nesting, so that no file can overflow the stack",
)];

/// The place an error names: `:27,18-19`.
fn place(error: &str) -> &str {
    let error = error.trim_start_matches("Failed to parse job: ");
    error.split(": ").next().unwrap_or_default()
}

fn parse(source: &str) -> Result<Value, String> {
    parse_job_tree(source, &ParseOptions::default()).map_err(|diagnostics| diagnostics.to_string())
}

fn check(found: Result<Value, String>, case: &Value, key: &str, at: &str) -> Option<String> {
    match (found, case["error"].as_str()) {
        (Err(found), Some(expected)) if expected.contains(':') => {
            (place(&found) != place(expected)).then(|| format!("{found} instead of {expected}"))
        }
        (Err(_), Some(_)) => None,
        (Err(found), None) => Some(format!("{found} instead of {}", case[key])),
        (Ok(tree), Some(expected)) => Some(format!(
            "{} instead of {expected}",
            tree.pointer(at).unwrap_or(&Value::Null)
        )),
        (Ok(tree), None) => difference("", tree.pointer(at).unwrap_or(&Value::Null), &case[key]),
    }
}

fn report(failures: &[String]) {
    assert!(
        failures.is_empty(),
        "{} differ:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

fn is_different(id: &str) -> bool {
    DIFFERENT.iter().any(|(different, _)| *different == id)
}

#[test]
fn every_recorded_expression_has_its_recorded_value_or_error() {
    let Some(shared) = shared() else { return };
    let vectors = read_json(&shared.join("vectors/job_language.json")).unwrap();
    let prelude = vectors["prelude"].as_str().unwrap();
    let mut failures = Vec::new();
    for case in vectors["expressions"].as_array().unwrap() {
        let id = case["id"].as_str().unwrap();
        let expression = case["expression"].as_str().unwrap();
        let end = if expression.ends_with('\n') { "" } else { "\n" };
        let source = format!(
            "{prelude}job \"j\" {{\n  group \"g\" {{\n    task \"t\" {{\n      driver = \"x\"\n      config {{\n        \
             e = {expression}{end}      }}\n    }}\n  }}\n}}\n"
        );
        let result = check(parse(&source), case, "value", "/TaskGroups/0/Tasks/0/Config/e");
        failures.extend(
            result
                .filter(|_| !is_different(id))
                .map(|result| format!("{id} {expression:?}: {result}")),
        );
    }
    report(&failures);
}

#[test]
fn every_recorded_file_has_its_recorded_job_or_error() {
    let Some(shared) = shared() else { return };
    let vectors = read_json(&shared.join("vectors/job_language.json")).unwrap();
    let mut failures = Vec::new();
    for case in vectors["files"].as_array().unwrap() {
        let id = case["id"].as_str().unwrap();
        let source = case["source"].as_str().unwrap();
        let mut result = check(parse(source), case, "job", "");
        if result.is_none() && case.get("canonical").is_some() {
            let mut job = parse_job(source, &ParseOptions::default()).unwrap();
            job.canonicalize();
            result = difference(
                "canonical",
                &serde_json::to_value(&job).unwrap(),
                &case["canonical"],
            );
        }
        failures.extend(
            result
                .filter(|_| !is_different(id))
                .map(|result| format!("{id} {}: {result}", case["name"])),
        );
    }
    report(&failures);
}
