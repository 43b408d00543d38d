//! Comparing trees of JSON.

use std::collections::BTreeSet;

use serde_json::Value;

/// Where two trees differ first: path, found, expected. Numbers are compared by value, not by how they are written.
pub(super) fn difference(path: &str, found: &Value, expected: &Value) -> Option<String> {
    match (found, expected) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            keys.into_iter().find_map(|key| match (a.get(key), b.get(key)) {
                (Some(a), Some(b)) => difference(&format!("{path}.{key}"), a, b),
                (found, expected) => Some(format!("{path}.{key}: {found:?} instead of {expected:?}")),
            })
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let mut items = a.iter().zip(b).enumerate();
            items.find_map(|(index, (a, b))| difference(&format!("{path}[{index}]"), a, b))
        }
        (Value::Number(a), Value::Number(b)) if a.as_f64() == b.as_f64() => None,
        _ if found == expected => None,
        _ => Some(format!("{path}: {found} instead of {expected}")),
    }
}
