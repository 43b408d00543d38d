//! The recorded cases of the job language (`job_language.json`): expressions and whole files.

use holdfast_jobspec::{ParseOptions, parse_job, parse_job_tree};
use serde_json::Value;

use super::Verdict;
use super::tree::difference;

/// Checks every case; `None` when the file is about something else.
pub(super) fn check(name: &str, content: &Value) -> Option<Vec<(String, Verdict)>> {
    if name != "job_language" {
        return None;
    }
    let prelude = content["prelude"].as_str().unwrap_or_default();
    let cases = |key: &str| content[key].as_array().into_iter().flatten();
    let expressions = cases("expressions").map(|case| verdict(case, expression(prelude, case)));
    let files = cases("files").map(|case| verdict(case, file(case)));
    Some(expressions.chain(files).collect())
}

fn verdict(case: &Value, wrong: Option<String>) -> (String, Verdict) {
    let id = case["id"].as_str().unwrap_or_default().to_owned();
    (id, wrong.map_or(Verdict::Passed, Verdict::Failed))
}

/// The place an error names: `:27,18-19`.
fn place(error: &str) -> &str {
    let error = error.trim_start_matches("Failed to parse job: ");
    error.split(": ").next().unwrap_or_default()
}

fn parse(source: &str) -> Result<Value, String> {
    parse_job_tree(source, &ParseOptions::default()).map_err(|diagnostics| diagnostics.to_string())
}

fn wrong(found: Result<Value, String>, case: &Value, key: &str, at: &str) -> Option<String> {
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

/// What is wrong with the value of one expression in a task's `config`.
fn expression(prelude: &str, case: &Value) -> Option<String> {
    let expression = case["expression"].as_str().unwrap_or_default();
    let end = if expression.ends_with('\n') { "" } else { "\n" };
    let source = format!(
        "{prelude}job \"j\" {{\n  group \"g\" {{\n    task \"t\" {{\n      driver = \"x\"\n      config {{\n        \
         e = {expression}{end}      }}\n    }}\n  }}\n}}\n"
    );
    wrong(parse(&source), case, "value", "/TaskGroups/0/Tasks/0/Config/e")
}

/// What is wrong with the job of one file.
fn file(case: &Value) -> Option<String> {
    let source = case["source"].as_str().unwrap_or_default();
    wrong(parse(source), case, "job", "").or_else(|| {
        let expected = case.get("canonical")?;
        let mut job = match parse_job(source, &ParseOptions::default()) {
            Ok(job) => job,
            Err(diagnostics) => return Some(diagnostics.to_string()),
        };
        job.canonicalize();
        let found = serde_json::to_value(&job).expect("a job is JSON");
        difference("canonical", &found, expected)
    })
}
