//! Vector files as they lie on disk.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize as _;
use serde_json::Value;

/// One file of cases.
#[derive(Debug)]
pub(crate) struct VectorFile {
    /// File name without extension.
    pub(crate) name: String,
    /// The whole file.
    pub(crate) text: String,
    /// The same, read.
    pub(crate) content: Value,
    /// Ids of the cases, in file order.
    pub(crate) ids: Vec<String>,
}

/// Reads every vector file of a folder, in order of their names.
pub(crate) fn read(dir: &Path) -> anyhow::Result<Vec<VectorFile>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| format!("cannot read folder {}", dir.display()))? {
        paths.push(entry?.path());
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    paths.iter().map(|path| read_file(path)).collect()
}

fn read_file(path: &Path) -> anyhow::Result<VectorFile> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let content = parse(&text).with_context(|| format!("{} is not JSON", path.display()))?;
    let name = path
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let ids = ids(&name, &content);
    Ok(VectorFile {
        name,
        text,
        content,
        ids,
    })
}

/// Some cases are nested on purpose, deeper than a careful reader of foreign files allows.
pub(super) fn parse(text: &str) -> serde_json::Result<Value> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.disable_recursion_limit();
    let content = Value::deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(content)
}

/// One id for every object in a list at the top of the file: most have one list, `cases`; some have one per kind.
fn ids(name: &str, content: &Value) -> Vec<String> {
    let lists = content
        .as_object()
        .into_iter()
        .flat_map(|object| object.values())
        .chain([content]);
    let cases = lists
        .filter_map(Value::as_array)
        .flatten()
        .filter(|case| case.is_object());
    let id = |(case, number): (&Value, u32)| {
        case["id"]
            .as_str()
            .map_or_else(|| format!("{name}-{number:03}"), str::to_owned)
    };
    cases.zip(1..).map(id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_found_in_every_list_and_get_an_id_when_they_have_none() {
        let dir = tempfile::tempdir().unwrap();
        let text = r#"{ "version": 1, "words": ["a"], "first": [{ "id": "x-7" }], "second": [{}] }"#;
        fs::write(dir.path().join("x.json"), text).unwrap();
        fs::write(dir.path().join("notes.txt"), "").unwrap();
        let files = read(dir.path()).unwrap();
        assert_eq!(files.len(), 1);
        assert_eq!(files[0].ids, ["x-7", "x-002"]);
    }

    #[test]
    fn a_damaged_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("x.json"), "{").unwrap();
        let error = format!("{:#}", read(dir.path()).unwrap_err());
        assert!(error.contains("x.json is not JSON"), "{error}");
    }
}
