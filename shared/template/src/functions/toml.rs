//! TOML out of template values.

use std::sync::Arc;

use gotmpl::Value;

use super::map_of;

/// Prints a map as a document, without the last line break.
pub(super) fn print(value: &Value) -> Result<String, String> {
    let mut out = String::new();
    table(value, &mut Vec::new(), &mut out)?;
    Ok(out.trim_end_matches('\n').to_owned())
}

/// Values first, then the tables inside, each indented by its depth.
fn table(value: &Value, path: &mut Vec<Arc<str>>, out: &mut String) -> Result<(), String> {
    let fields = map_of(value)?;
    let pad = "  ".repeat(path.len());
    for (key, value) in fields
        .iter()
        .filter(|(_, value)| !matches!(value, Value::Map(_) | Value::Nil))
    {
        out.push_str(&format!("{pad}{} = {}\n", name(key), scalar(value)?));
    }
    for (key, value) in fields.iter().filter(|(_, value)| matches!(value, Value::Map(_))) {
        path.push(key.clone());
        if !out.is_empty() {
            out.push('\n');
        }
        let dotted: Vec<String> = path.iter().map(|part| name(part)).collect();
        out.push_str(&format!(
            "{}[{}]\n",
            "  ".repeat(path.len() - 1),
            dotted.join(".")
        ));
        table(value, path, out)?;
        path.pop();
    }
    Ok(())
}

fn name(key: &str) -> String {
    let is_bare = !key.is_empty()
        && key
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if is_bare {
        key.to_owned()
    } else {
        serde_json::Value::from(key).to_string()
    }
}

fn scalar(value: &Value) -> Result<String, String> {
    match value {
        Value::Bool(flag) => Ok(flag.to_string()),
        Value::Int(number) => Ok(number.to_string()),
        Value::Uint(number) => Ok(number.to_string()),
        Value::Float(number) => Ok(format!("{number:?}")),
        Value::String(text) => Ok(serde_json::Value::from(&**text).to_string()),
        Value::List(items) => {
            let items: Result<Vec<String>, String> = items.iter().map(scalar).collect();
            Ok(format!("[{}]", items?.join(", ")))
        }
        Value::Map(fields) => {
            let fields = fields
                .iter()
                .map(|(key, value)| Ok(format!("{} = {}", name(key), scalar(value)?)));
            Ok(format!(
                "{{{}}}",
                fields.collect::<Result<Vec<_>, String>>()?.join(", ")
            ))
        }
        other => Err(format!("{} has no TOML form", other.type_name())),
    }
}
