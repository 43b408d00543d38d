//! What a file evaluates to, before anybody knows what its blocks mean.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use holdfast_jobspec::{ParseOptions, evaluate_file};
use serde_json::{Value, json};

use super::super::tree::difference;

/// What the reference evaluation put in place of the world: variables without a value are `PH`, a file contains
/// `FILE:` and its path, and every UUID is `UUID`.
pub(super) struct Stubs(tempfile::TempDir);

impl Stubs {
    pub(super) fn new() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a private folder")?;
        for path in ["templates/nats-server.conf.tpl", "FILE:~/.ssh/id_rsa"] {
            let full = folder.path().join(path);
            fs::create_dir_all(full.parent().expect("inside the folder"))?;
            let written = if path.starts_with("templates") {
                format!("./{path}")
            } else {
                path.to_owned()
            };
            fs::write(full, format!("FILE:{written}"))?;
        }
        Ok(Self(folder))
    }

    /// With every variable that has no default set to a placeholder of its type.
    pub(super) fn options(&self, source: &str) -> ParseOptions {
        let key = "ssh_priv_path=FILE:~/.ssh/id_rsa";
        let vars = if source.contains("\"ssh_priv_path\"") {
            vec![key.to_owned()]
        } else {
            Vec::new()
        };
        let mut options = ParseOptions {
            vars,
            base: Some(PathBuf::from(self.0.path())),
            ..super::options()
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

/// What is different about the values of one file.
pub(super) fn run(stubs: &Stubs, source: &str, expected: &Value) -> Option<String> {
    match evaluate_file(source, &stubs.options(source)) {
        Ok(found) => difference("", &jobs(&found), &hide_uuids(expected["jobs"].clone())),
        Err(diagnostics) => Some(diagnostics.to_string()),
    }
}

/// The jobs of an evaluated file, as the reference writes them.
fn jobs(tree: &Value) -> Value {
    let blocks = tree["b"].as_array().into_iter().flatten();
    let jobs = blocks
        .filter(|block| block[0] == "job")
        .map(|block| json!([block[1][0], block[2]]));
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
