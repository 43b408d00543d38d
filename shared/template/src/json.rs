//! JSON in and out of template values, printed as Go prints it.

use std::sync::Arc;

use gotmpl::Value;

/// Reads JSON text; every number becomes a float, as in Go.
pub(crate) fn parse(text: &str) -> Result<Value, String> {
    serde_json::from_str(text)
        .map(from_serde)
        .map_err(|error| error.to_string())
}

fn from_serde(value: serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Nil,
        serde_json::Value::Bool(flag) => Value::Bool(flag),
        serde_json::Value::Number(number) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        serde_json::Value::String(text) => Value::String(text.into()),
        serde_json::Value::Array(items) => Value::List(items.into_iter().map(from_serde).collect()),
        serde_json::Value::Object(fields) => {
            let fields = fields
                .into_iter()
                .map(|(key, value)| (Arc::from(key), from_serde(value)));
            Value::Map(Arc::new(fields.collect()))
        }
    }
}

/// A YAML document as a template value: unlike in JSON, whole numbers stay whole.
pub(crate) fn from_yaml(value: serde_json::Value) -> Value {
    match value {
        serde_json::Value::Number(number) if number.is_i64() => {
            Value::Int(number.as_i64().unwrap_or_default())
        }
        serde_json::Value::Array(items) => Value::List(items.into_iter().map(from_yaml).collect()),
        serde_json::Value::Object(fields) => {
            let fields = fields
                .into_iter()
                .map(|(key, value)| (Arc::from(key), from_yaml(value)));
            Value::Map(Arc::new(fields.collect()))
        }
        other => from_serde(other),
    }
}

/// A template value as a YAML document.
pub(crate) fn to_yaml(value: &Value) -> Result<serde_json::Value, String> {
    let text = print(value, Style::default())?;
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

/// How to print.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Style {
    /// Blanks per level; none prints on one line.
    pub(crate) indent: usize,
    /// Whether `<`, `>` and `&` are escaped, as Go does unless told otherwise.
    pub(crate) escape_html: bool,
}

/// Prints a value as JSON.
pub(crate) fn print(value: &Value, style: Style) -> Result<String, String> {
    let mut out = String::new();
    write(value, style, 0, &mut out)?;
    Ok(out)
}

fn write(value: &Value, style: Style, level: usize, out: &mut String) -> Result<(), String> {
    match value {
        Value::Nil => out.push_str("null"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Int(number) => out.push_str(&number.to_string()),
        Value::Uint(number) => out.push_str(&number.to_string()),
        Value::Float(number) => out.push_str(&float(*number)?),
        Value::String(text) => string(text, style, out),
        Value::List(items) => {
            let write_item = |item: &Value, out: &mut String| write(item, style, level + 1, out);
            sequence(items.iter(), ['[', ']'], (style, level), out, write_item)?;
        }
        Value::Map(fields) => {
            let fields: Vec<(&str, &Value)> = ordered(fields);
            let write_field = |(key, value): (&str, &Value), out: &mut String| {
                string(key, style, out);
                out.push_str(if style.indent > 0 { ": " } else { ":" });
                write(value, style, level + 1, out)
            };
            sequence(fields.into_iter(), ['{', '}'], (style, level), out, write_field)?;
        }
        Value::Function(_) => return Err("a function has no JSON form".to_owned()),
    }
    Ok(())
}

fn sequence<T>(
    items: impl ExactSizeIterator<Item = T>,
    [open, close]: [char; 2],
    (style, level): (Style, usize),
    out: &mut String,
    mut write_item: impl FnMut(T, &mut String) -> Result<(), String>,
) -> Result<(), String> {
    let is_empty = items.len() == 0;
    let line = |level: usize, out: &mut String| {
        if style.indent > 0 && !is_empty {
            out.push('\n');
            out.push_str(&" ".repeat(style.indent * level));
        }
    };
    out.push(open);
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(',');
        }
        line(level + 1, out);
        write_item(item, out)?;
    }
    line(level, out);
    out.push(close);
    Ok(())
}

/// The fields of a registration in the order, and the choice, of the original's structure.
const REGISTRATION: [&str; 9] = [
    "ID",
    "Name",
    "Node",
    "Address",
    "Port",
    "Datacenter",
    "Tags",
    "JobID",
    "AllocID",
];

fn ordered(fields: &std::collections::BTreeMap<Arc<str>, Value>) -> Vec<(&str, &Value)> {
    if REGISTRATION.iter().all(|name| fields.contains_key(*name)) {
        return REGISTRATION.iter().map(|name| (*name, &fields[*name])).collect();
    }
    fields.iter().map(|(key, value)| (&**key, value)).collect()
}

fn string(text: &str, style: Style, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '<' | '>' | '&' if style.escape_html => out.push_str(&format!("\\u{:04x}", c as u32)),
            c if c < ' ' || matches!(c, '\u{2028}' | '\u{2029}') => {
                out.push_str(&format!("\\u{:04x}", c as u32));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

fn float(number: f64) -> Result<String, String> {
    if !number.is_finite() {
        return Err(format!("{number} has no JSON form"));
    }
    let size = number.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{number:e}");
        return Ok(if text.contains("e-") {
            text
        } else {
            text.replace('e', "e+")
        });
    }
    Ok(number.to_string())
}
