//! Conversion of attribute values into what their fields hold.

use holdfast_shared::time::Duration;
use serde_json::Value as Json;

use super::schema::Kind;
use crate::types::Type;
use crate::value::Value;

/// The value as its field holds it.
///
/// # Errors
/// The detail of the diagnostic.
pub(super) fn convert(value: &Value, kind: Kind) -> Result<Json, String> {
    let of = match kind {
        Kind::Text => Type::String,
        Kind::Flag => Type::Bool,
        Kind::Integer => return integer(value),
        Kind::Duration => return duration(value),
        Kind::Texts => Type::List(Box::new(Type::String)),
        Kind::Integers => Type::List(Box::new(Type::Number)),
        Kind::TextMap => Type::Map(Box::new(Type::String)),
        Kind::Fixed => Type::Any,
    };
    of.convert(value.clone())
        .map(|value| value.to_json())
        .map_err(|reason| format!("Unsuitable value: {reason}"))
}

fn integer(value: &Value) -> Result<Json, String> {
    match Type::Number.convert(value.clone()) {
        Ok(Value::Number(number)) => number
            .as_i64()
            .map(Json::from)
            .ok_or_else(|| "Unsuitable value: value must be a whole number".to_owned()),
        Ok(_) => Err("Unsuitable value: a number is required".to_owned()),
        Err(reason) => Err(format!("Unsuitable value: {reason}")),
    }
}

fn duration(value: &Value) -> Result<Json, String> {
    match value {
        Value::String(text) => parse_duration(text)
            .map(Json::from)
            .map_err(|reason| format!("Unsuitable duration value: {reason}")),
        Value::Number(number) => number
            .as_i64()
            .map(Json::from)
            .ok_or_else(|| "Unsuitable value: value must be a whole number of nanoseconds".to_owned()),
        other => Err(format!(
            "Unsuitable value: expected a string but found {}",
            other.type_name()
        )),
    }
}

/// A duration as Go writes it, in nanoseconds.
fn parse_duration(text: &str) -> Result<i64, String> {
    text.parse::<Duration>().map(|duration| duration.0).map_err(|_| {
        // In Go's own words.
        if text.ends_with(|c: char| c.is_ascii_digit()) && text.starts_with(|c: char| c.is_ascii_digit()) {
            return format!("time: missing unit in duration {text:?}");
        }
        let number = |c: char| c.is_ascii_digit() || c == '.';
        let unit = text.trim_start_matches(['-', '+']).trim_start_matches(number);
        let unit = unit.split(number).next().unwrap_or_default();
        if unit.is_empty() || !text.contains(|c: char| c.is_ascii_digit()) {
            return format!("time: invalid duration {text:?}");
        }
        format!("time: unknown unit {unit:?} in duration {text:?}")
    })
}
