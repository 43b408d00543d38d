//! The functions that templates call, in tables by noun.

use std::sync::Arc;

use gotmpl::{FuncMap, TemplateError, Value};

use crate::render::Run;

mod collections;
mod encodings;
mod environment;
mod numbers;
mod refused;
mod scratch;
pub(crate) mod services;
mod sprig;
mod text;
mod toml;
pub(crate) mod variables;

/// What a function answers; an error is one sentence without the function's name.
type Outcome = Result<Value, String>;

/// One function: its name, how many arguments it takes, and itself.
struct Row {
    name: &'static str,
    min: usize,
    max: usize,
    call: fn(&Run, &[Value]) -> Outcome,
}

const ANY: usize = usize::MAX;

/// A row of exactly `count` arguments.
const fn exactly(name: &'static str, count: usize, call: fn(&Run, &[Value]) -> Outcome) -> Row {
    Row {
        name,
        min: count,
        max: count,
        call,
    }
}

/// A row of `min` to `max` arguments.
const fn between(name: &'static str, min: usize, max: usize, call: fn(&Run, &[Value]) -> Outcome) -> Row {
    Row { name, min, max, call }
}

/// Every table, in no particular order.
const TABLES: &[&[Row]] = &[
    collections::TABLE,
    encodings::TABLE,
    environment::TABLE,
    numbers::TABLE,
    scratch::TABLE,
    services::TABLE,
    sprig::TABLE,
    text::TABLE,
    variables::TABLE,
];

/// Follows fields from a value; every field access is rewritten to it. No template can call it by this name.
pub(crate) const FIELD: &str = "\0field";

/// All functions, bound to one execution.
pub(crate) fn library(run: &Arc<Run>) -> FuncMap {
    let mut library = FuncMap::new();
    for row in TABLES.iter().copied().flatten() {
        let run = Arc::clone(run);
        library.insert(
            row.name.to_owned(),
            Arc::new(move |arguments: &[Value]| call(row, &run, arguments)),
        );
    }
    for (name, reason) in refused::all() {
        let message = format!("{name}: {reason}");
        library.insert(
            name.to_owned(),
            Arc::new(move |_: &[Value]| Err(TemplateError::Exec(message.clone()))),
        );
    }
    library
}

fn call(row: &Row, run: &Run, arguments: &[Value]) -> Result<Value, TemplateError> {
    let count = arguments.len();
    if count < row.min || count > row.max {
        let want = match (row.min, row.max) {
            (min, max) if min == max => min.to_string(),
            (min, ANY) => format!("at least {min}"),
            (min, max) => format!("{min} to {max}"),
        };
        return Err(TemplateError::Exec(format!(
            "{}: wrong number of arguments: want {want}, got {count}",
            row.name
        )));
    }
    (row.call)(run, arguments).map_err(|reason| TemplateError::Exec(format!("{}: {reason}", row.name)))
}

/// A text argument.
fn text_of(value: &Value) -> Result<&str, String> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(format!("expected text, got {} ({})", other, other.type_name())),
    }
}

/// A whole-number argument.
fn integer_of(value: &Value) -> Result<i64, String> {
    match value {
        Value::Int(number) => Ok(*number),
        Value::Uint(number) => i64::try_from(*number).map_err(|_| format!("{number} is too large")),
        other => Err(format!(
            "expected a whole number, got {} ({})",
            other,
            other.type_name()
        )),
    }
}

/// A list argument; nothing is an empty list.
fn list_of(value: &Value) -> Result<&[Value], String> {
    match value {
        Value::List(items) => Ok(items),
        Value::Nil => Ok(&[]),
        other => Err(format!("expected a list, got {} ({})", other, other.type_name())),
    }
}

/// A map argument.
fn map_of(value: &Value) -> Result<&std::collections::BTreeMap<Arc<str>, Value>, String> {
    match value {
        Value::Map(fields) => Ok(fields),
        other => Err(format!("expected a map, got {} ({})", other, other.type_name())),
    }
}

fn string(text: impl Into<Arc<str>>) -> Value {
    Value::String(text.into())
}

fn map<K: Into<Arc<str>>>(fields: impl IntoIterator<Item = (K, Value)>) -> Value {
    Value::Map(Arc::new(
        fields
            .into_iter()
            .map(|(key, value)| (key.into(), value))
            .collect(),
    ))
}
