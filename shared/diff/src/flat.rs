//! A block's fields as text, by name.

use std::collections::BTreeMap;

use holdfast_shared::time::Duration;
use serde_json::{Number, Value};

use crate::shape::{Kind, Shape};

/// Texts by field name.
pub(crate) type Flat = BTreeMap<String, String>;

/// The fields of a block of this shape. `is_edited` says that the other version has the block, too.
pub(crate) fn flat(shape: &Shape, block: Option<&Value>, is_edited: bool) -> Flat {
    let mut flat = Flat::new();
    let Some(block) = block else { return flat };
    for (name, kind) in shape.fields {
        let value = block.get(name).filter(|it| !it.is_null());
        let text = value.map(text);
        let found = match kind {
            Kind::Text => Some(text.unwrap_or_default()),
            Kind::Number => Some(text.unwrap_or_else(|| "0".into())),
            Kind::Flag => Some(text.unwrap_or_else(|| "false".into())),
            Kind::Nullable => Some(text.unwrap_or_else(|| "nil".into())),
            Kind::Optional => text,
            Kind::WhenEdited => is_edited.then(|| text.unwrap_or_default()),
            Kind::ElapsedWhenEdited => is_edited.then(|| value.map(elapsed).unwrap_or_default()),
            Kind::Joined => value.map(joined),
            Kind::Map => {
                flatten_into(&mut flat, name, value.unwrap_or(&Value::Null), false);
                None
            }
            Kind::Entries => {
                flatten_into(&mut flat, "", value.unwrap_or(&Value::Null), false);
                None
            }
        };
        flat.extend(found.map(|text| ((*name).to_owned(), text)));
    }
    flat.extend(unlisted(shape, block));
    flat
}

/// What is set and no table names, so that nobody has to remember to: a field that the original does not have.
fn unlisted(shape: &Shape, block: &Value) -> Flat {
    let listed = |name: &String| shape.fields.iter().any(|(field, _)| field == name);
    let hidden = |name: &String| shape.hidden.iter().any(|field| field == name);
    let plain = |value: &Value| !value.is_null() && !value.is_object() && !value.is_array();
    let fields = block.as_object().into_iter().flatten();
    fields
        .filter(|(name, value)| plain(value) && !listed(name) && !hidden(name))
        .map(|(name, value)| (name.clone(), text(value)))
        .collect()
}

/// Settings whose names the job chooses, at any depth: `args[0]`, `labels[0][key]`.
pub(crate) fn settings(value: Option<&Value>) -> Flat {
    let mut flat = Flat::new();
    if let Some(value) = value {
        flatten_into(&mut flat, "", value, true);
    }
    flat
}

fn flatten_into(flat: &mut Flat, prefix: &str, value: &Value, shows_null: bool) {
    let below = |key: &str| {
        if prefix.is_empty() {
            key.to_owned()
        } else {
            format!("{prefix}[{key}]")
        }
    };
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                flatten_into(flat, &below(key), value, true);
            }
        }
        Value::Array(list) => {
            for (at, value) in list.iter().enumerate() {
                flatten_into(flat, &below(&at.to_string()), value, true);
            }
        }
        Value::Null if !shows_null => {}
        _ => drop(flat.insert(prefix.to_owned(), settings_text(value))),
    }
}

/// A value of the model as text.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A value of free-form settings as text. The original reads their numbers as floating point, and so prints them.
fn settings_text(value: &Value) -> String {
    match value {
        Value::Null => "nil".into(),
        Value::Number(number) => float_text(number),
        other => text(other),
    }
}

fn elapsed(value: &Value) -> String {
    Duration(value.as_i64().unwrap_or_default()).to_string()
}

fn joined(value: &Value) -> String {
    let words: Vec<&str> = value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    words.join(",")
}

/// A number as Go prints a float: the shortest digits, with an exponent from a million on and below a ten-thousandth.
fn float_text(number: &Number) -> String {
    let Some(float) = number.as_f64() else {
        return number.to_string();
    };
    let scientific = format!("{float:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    match exponent.parse::<i32>() {
        Ok(-4..6) | Err(_) => format!("{float}"),
        Ok(exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
        }
    }
}
