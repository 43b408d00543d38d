//! Real job files: what they evaluate to, decode to and are said to be wrong with.

mod common;

use std::fs;
use std::path::Path;

use common::{difference, read_json, shared};
use holdfast_jobspec::{ParseOptions, Surroundings, evaluate_file, parse_job, parse_job_tree, validate};
use serde_json::Value;

/// Every file of the corpus, by its path in it.
fn corpus(shared: &Path) -> Vec<String> {
    let manifest = read_json(&shared.join("jobspecs/MANIFEST.json")).expect("a corpus has a manifest");
    let files = manifest.as_array().expect("the manifest is a list").iter();
    files
        .map(|file| file["file"].as_str().expect("a file has a path").to_owned())
        .collect()
}

fn source(shared: &Path, file: &str) -> String {
    fs::read_to_string(shared.join("jobspecs/files").join(file)).expect("a listed file exists")
}

fn options() -> ParseOptions {
    ParseOptions {
        file_name: "input.hcl".to_owned(),
        ..ParseOptions::default()
    }
}

fn report(failures: &[String], total: usize) {
    assert!(
        failures.is_empty(),
        "{} of {total} differ:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

/// What the reference evaluation put in place of the world: variables without a value are `PH`, a file contains
/// `FILE:` and its path, and every UUID is `UUID`.
struct Stubs(tempfile::TempDir);

impl Stubs {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a private folder");
        for path in ["templates/nats-server.conf.tpl", "FILE:~/.ssh/id_rsa"] {
            let full = folder.path().join(path);
            fs::create_dir_all(full.parent().expect("inside the folder")).expect("a private folder");
            let written = if path.starts_with("templates") {
                format!("./{path}")
            } else {
                path.to_owned()
            };
            fs::write(full, format!("FILE:{written}")).expect("a private folder");
        }
        Self(folder)
    }

    /// With every variable that has no default set to a placeholder of its type.
    fn options(&self, source: &str) -> ParseOptions {
        let key = "ssh_priv_path=FILE:~/.ssh/id_rsa";
        let vars = if source.contains("\"ssh_priv_path\"") {
            vec![key.to_owned()]
        } else {
            Vec::new()
        };
        let mut options = ParseOptions {
            vars,
            base: Some(self.0.path().to_owned()),
            ..options()
        };
        let Err(diagnostics) = evaluate_file(source, &options) else {
            return options;
        };
        let unset = diagnostics
            .iter()
            .filter_map(|it| it.summary.strip_prefix("Unset variable "));
        for name in unset.map(|name| name.trim_matches('"')) {
            let block = source
                .split_once(&format!("variable \"{name}\""))
                .map_or("", |(_, after)| after);
            let block = block.split('}').next().unwrap_or_default();
            let of = |word: &str| {
                block
                    .lines()
                    .any(|line| line.contains("type") && line.contains(word))
            };
            let placeholder = if of("number") {
                "1"
            } else if of("bool") {
                "true"
            } else {
                "PH"
            };
            options.vars.push(format!("{name}={placeholder}"));
        }
        options
    }
}

/// The jobs of an evaluated file, as the reference writes them.
fn jobs(tree: &Value) -> Value {
    let blocks = tree["b"].as_array().into_iter().flatten();
    let jobs = blocks
        .filter(|block| block[0] == "job")
        .map(|block| serde_json::json!([block[1][0], block[2]]));
    hide_uuids(jobs.collect())
}

fn hide_uuids(value: Value) -> Value {
    match value {
        Value::String(text) => {
            let is_hex = |c: char| c.is_ascii_hexdigit() || c == '-';
            let uuid = text.char_indices().map(|(at, _)| at).find_map(|at| {
                let candidate = text.get(at..at + 36)?;
                (candidate.matches('-').count() == 4 && candidate.chars().all(is_hex))
                    .then(|| candidate.to_owned())
            });
            match uuid {
                Some(uuid) => hide_uuids(Value::String(text.replace(&uuid, "UUID"))),
                None => Value::String(text),
            }
        }
        Value::Array(items) => items.into_iter().map(hide_uuids).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(key, value)| (key, hide_uuids(value)))
            .collect(),
        other => other,
    }
}

#[test]
fn every_file_evaluates_to_what_the_reference_library_evaluates_it_to() {
    let Some(shared) = shared() else { return };
    let files = corpus(&shared);
    let stubs = Stubs::new();
    let mut failures = Vec::new();
    for file in &files {
        let Some(expected) = read_json(&shared.join(format!("jobspecs/evaluated/{file}.json"))) else {
            continue;
        };
        let source = source(&shared, file);
        let result = match evaluate_file(&source, &stubs.options(&source)) {
            Ok(found) => difference("", &jobs(&found), &hide_uuids(expected["jobs"].clone())),
            Err(diagnostics) => Some(diagnostics.to_string()),
        };
        failures.extend(result.map(|result| format!("{file}: {result}")));
    }
    report(&failures, files.len());
}

/// What is different about one file's job.
fn decode(shared: &Path, file: &str, expected: &Value) -> Option<String> {
    let source = source(shared, file);
    let tree = parse_job_tree(&source, &options());
    if let Some(error) = expected["error"].as_str() {
        return match tree {
            Ok(_) => Some(format!("accepted, but: {error}")),
            Err(diagnostics) => {
                let places = |text: &str| {
                    text.lines()
                        .next()
                        .unwrap_or_default()
                        .split(": ")
                        .next()
                        .map(str::to_owned)
                };
                let found = places(&diagnostics.to_string());
                let wanted = places(error.trim_start_matches("Failed to parse job: "));
                (found != wanted).then(|| format!("{diagnostics} instead of {error}"))
            }
        };
    }
    let tree = match tree {
        Ok(tree) => tree,
        Err(diagnostics) => return Some(diagnostics.to_string()),
    };
    if let Some(result) = difference("job", &tree, &expected["job"]) {
        return Some(result);
    }
    let mut job = match parse_job(&source, &options()) {
        Ok(job) => job,
        Err(diagnostics) => return Some(diagnostics.to_string()),
    };
    let round_trip = serde_json::to_value(&job).expect("a job is JSON");
    if let Some(result) = difference("model", &round_trip, &expected["job"]) {
        return Some(result);
    }
    job.canonicalize();
    let canonical = serde_json::to_value(&job).expect("a job is JSON");
    if let Some(result) = difference("canonical", &canonical, &expected["canonical"]) {
        return Some(result);
    }
    let namespaces = Some(std::collections::BTreeSet::from(["default".to_owned()]));
    let validation = validate(
        &job,
        &Surroundings {
            namespaces,
            memory_oversubscription: false,
        },
    );
    let texts = |key: &str| match &expected[key] {
        Value::Array(list) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    let errors: Vec<String> = texts("validation_errors");
    if validation.errors != errors {
        return Some(format!("errors {:?} instead of {errors:?}", validation.errors));
    }
    let warnings = expected["warnings"].as_str().unwrap_or_default();
    let found = validation.warning_text();
    (found != warnings).then(|| format!("warnings {found:?} instead of {warnings:?}"))
}

#[test]
fn every_file_decodes_to_what_the_original_decodes_it_to() {
    let Some(shared) = shared() else { return };
    let files = corpus(&shared);
    let mut failures = Vec::new();
    for file in &files {
        let Some(expected) = read_json(&shared.join(format!("jobspecs/decoded/{file}.json"))) else {
            continue;
        };
        failures.extend(decode(&shared, file, &expected).map(|result| format!("{file}: {result}")));
    }
    report(&failures, files.len());
}
