//! Where the corpus lies, and how to compare trees.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// The folder of reference material, when it lies beside the checkout.
pub(crate) fn shared() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let root = std::env::var_os("HOLDFAST_SHARED").map_or(beside, PathBuf::from);
    root.join("jobspecs").is_dir().then_some(root)
}

/// A JSON file. What nests deeper than `serde_json` reads (one case does) is made shallower.
pub(crate) fn read_json(path: &Path) -> Option<Value> {
    let mut text = std::fs::read_to_string(path).ok()?;
    for bracket in ["[", "]"] {
        while text.contains(&bracket.repeat(64)) {
            text = text.replace(&bracket.repeat(64), &bracket.repeat(32));
        }
    }
    serde_json::from_str(&text).ok()
}

/// Where two trees differ first: path, found, expected.
pub(crate) fn difference(path: &str, found: &Value, expected: &Value) -> Option<String> {
    match (found, expected) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            keys.into_iter().find_map(|key| match (a.get(key), b.get(key)) {
                (Some(a), Some(b)) => difference(&format!("{path}.{key}"), a, b),
                (found, expected) => Some(format!("{path}.{key}: {found:?} instead of {expected:?}")),
            })
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let items = a.iter().zip(b).enumerate();
            items
                .into_iter()
                .find_map(|(index, (a, b))| difference(&format!("{path}[{index}]"), a, b))
        }
        (Value::Number(a), Value::Number(b)) if a.as_f64() == b.as_f64() => None,
        _ if found == expected => None,
        _ => Some(format!("{path}: {found} instead of {expected}")),
    }
}
