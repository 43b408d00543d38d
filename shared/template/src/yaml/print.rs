//! Printing.

use serde_json::Value;

use super::scalar::resolve;

/// When texts are quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quoting {
    /// Only when they would be read as something else; singly.
    Sparing,
    /// Always, keys included; doubly.
    Always,
}

/// Prints a value in block style, with a line break at the end.
pub fn print(value: &Value, quoting: Quoting) -> String {
    let mut out = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => block(value, quoting, 0, &mut out),
        Value::Array(list) if !list.is_empty() => block(value, quoting, 0, &mut out),
        scalar => {
            inline(scalar, quoting, 0, &mut out);
            out.push('\n');
        }
    }
    out
}

/// The lines of a collection that is not empty, the first without its indentation.
fn block(value: &Value, quoting: Quoting, indent: usize, out: &mut String) {
    let pad = " ".repeat(indent);
    match value {
        Value::Object(map) => {
            for (index, (key, value)) in map.iter().enumerate() {
                if index > 0 {
                    out.push_str(&pad);
                }
                text(key, quoting, out);
                out.push(':');
                match value {
                    Value::Array(list) if !list.is_empty() => {
                        // Items stand at the depth of their key.
                        out.push_str(&format!("\n{pad}"));
                        block(value, quoting, indent, out);
                    }
                    Value::Object(map) if !map.is_empty() => {
                        out.push_str(&format!("\n{pad}  "));
                        block(value, quoting, indent + 2, out);
                    }
                    scalar => {
                        out.push(' ');
                        inline(scalar, quoting, indent + 2, out);
                        out.push('\n');
                    }
                }
            }
        }
        Value::Array(list) => {
            for (index, item) in list.iter().enumerate() {
                if index > 0 {
                    out.push_str(&pad);
                }
                out.push_str("- ");
                match item {
                    Value::Array(inner) if !inner.is_empty() => block(item, quoting, indent + 2, out),
                    Value::Object(inner) if !inner.is_empty() => block(item, quoting, indent + 2, out),
                    scalar => {
                        inline(scalar, quoting, indent + 2, out);
                        out.push('\n');
                    }
                }
            }
        }
        _ => {}
    }
}

/// A scalar or an empty collection.
fn inline(value: &Value, quoting: Quoting, indent: usize, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Array(_) => out.push_str("[]"),
        Value::Object(_) => out.push_str("{}"),
        Value::String(lines)
            if lines.trim_end_matches('\n').contains('\n') || lines.len() > 1 && lines.ends_with('\n') =>
        {
            literal(lines, indent, out);
        }
        Value::String(line) => text(line, quoting, out),
        other => out.push_str(&other.to_string()),
    }
}

fn literal(lines: &str, indent: usize, out: &mut String) {
    let body = lines.trim_end_matches('\n');
    out.push_str(match lines.len() - body.len() {
        0 => "|-",
        1 => "|",
        _ => "|+",
    });
    let pad = " ".repeat(indent.max(2));
    let last = lines.strip_suffix('\n').unwrap_or(lines);
    for line in last.split('\n') {
        out.push('\n');
        if !line.is_empty() {
            out.push_str(&pad);
            out.push_str(line);
        }
    }
}

fn text(text: &str, quoting: Quoting, out: &mut String) {
    if quoting == Quoting::Always {
        out.push_str(&Value::from(text).to_string());
        return;
    }
    let is_plain = matches!(resolve(text), Value::String(read) if read == text)
        && text.trim() == text
        && !text.starts_with([
            '-', '?', ':', ',', '[', ']', '{', '}', '#', '&', '*', '!', '|', '>', '\'', '"', '%', '@', '`',
        ])
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.ends_with(':')
        && !text.contains(char::is_control);
    if is_plain {
        out.push_str(text);
    } else if text.contains(char::is_control) {
        out.push_str(&Value::from(text).to_string());
    } else if text.is_empty() || !text.contains('\'') && matches!(resolve(text), Value::String(_)) {
        out.push_str(&format!("{}{}{}", quote(text), text, quote(text)));
    } else {
        out.push_str(&Value::from(text).to_string());
    }
}

/// An empty text is quoted doubly, everything else singly.
fn quote(text: &str) -> char {
    if text.is_empty() { '"' } else { '\'' }
}
