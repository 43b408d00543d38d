//! base64, JSON, CSV, YAML and URLs.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use holdfast_template::yaml::{self, Quoting};

use super::{Failure, Function, Kind, Outcome, fixed, text};
use crate::value::Value;

const STR: (&str, Kind) = ("str", Kind::Text);

pub(super) const TABLE: &[Function] = &[
    fixed("base64encode", &[STR], |_, args| {
        Ok(Value::text(STANDARD.encode(text(&args[0]))))
    }),
    fixed("base64decode", &[STR], |_, args| {
        let encoded = text(&args[0]);
        let bytes = STANDARD
            .decode(encoded)
            .map_err(|_| format!("failed to decode base64 data '{encoded}'"))?;
        let decoded = String::from_utf8(bytes);
        decoded
            .map(Value::String)
            .map_err(|_| "the result of decoding the provided string is not valid UTF-8".into())
    }),
    fixed("jsonencode", &[("val", Kind::Nullable)], |_, args| {
        Ok(Value::text(json(&args[0])))
    }),
    fixed("jsondecode", &[STR], |_, args| {
        serde_json::from_str(text(&args[0]))
            .map(Value::from_json)
            .map_err(|error| error.to_string().into())
    }),
    fixed("csvdecode", &[STR], |_, args| csv(text(&args[0]))),
    fixed("yamldecode", &[("src", Kind::Text)], |_, args| {
        yaml::parse(text(&args[0]))
            .map(Value::from_json)
            .map_err(|error| error.to_string().into())
    }),
    fixed("yamlencode", &[("value", Kind::Nullable)], |_, args| {
        Ok(Value::text(yaml::print(&args[0].to_json(), Quoting::Always)))
    }),
    fixed("urlencode", &[STR], |_, args| {
        Ok(Value::text(url_encode(text(&args[0]))))
    }),
];

/// Escapes what a browser could take for markup, as the original does.
fn json(value: &Value) -> String {
    let plain = value.to_json().to_string();
    plain
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
}

fn url_encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            byte if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) => out.push(byte.into()),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// A table with a header line, as a list of objects.
fn csv(text: &str) -> Outcome {
    let mut rows = rows(text)?.into_iter();
    let header = rows.next().ok_or("missing header line")?;
    let mut list = Vec::new();
    for (index, row) in rows.enumerate() {
        if row.len() != header.len() {
            return Err(format!("record on line {}: wrong number of fields", index + 2).into());
        }
        let fields = header.iter().cloned().zip(row.into_iter().map(Value::String));
        list.push(Value::Object(fields.collect::<BTreeMap<_, _>>()));
    }
    Ok(Value::List(list))
}

fn rows(text: &str) -> Result<Vec<Vec<String>>, Failure> {
    let mut rows = Vec::new();
    let (mut row, mut field) = (Vec::new(), String::new());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if field.is_empty() => loop {
                match chars.next() {
                    Some('"') if chars.peek() == Some(&'"') => {
                        chars.next();
                        field.push('"');
                    }
                    Some('"') => break,
                    Some(c) => field.push(c),
                    None => return Err("extraneous or missing \" in quoted-field".into()),
                }
            },
            ',' => row.push(std::mem::take(&mut field)),
            '\r' if chars.peek() == Some(&'\n') => {}
            '\n' => {
                if !(row.is_empty() && field.is_empty()) {
                    row.push(std::mem::take(&mut field));
                    rows.push(std::mem::take(&mut row));
                }
            }
            c => field.push(c),
        }
    }
    if !(row.is_empty() && field.is_empty()) {
        row.push(field);
        rows.push(row);
    }
    Ok(rows)
}
