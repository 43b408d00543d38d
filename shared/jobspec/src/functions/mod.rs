//! The functions of the language, in tables by noun.

mod collections;
mod dates;
mod digests;
mod encodings;
mod files;
mod format;
mod networks;
mod numbers;
mod sets;
mod text;
mod uuids;

use std::path::PathBuf;

use crate::number::Number;
use crate::source::Span;
use crate::suggest;
use crate::types::{Type, to_number};
use crate::value::Value;

/// What functions may see of the world.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment {
    /// Where relative paths start; without it the functions that read files are disabled.
    pub(crate) base: Option<PathBuf>,
}

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// An argument is unsuitable.
    Argument(usize, String),
    /// The function itself failed.
    Call(String),
    /// An argument is missing.
    TooFew,
    /// There are too many.
    TooMany,
}

impl From<String> for Failure {
    fn from(reason: String) -> Self {
        Self::Call(reason)
    }
}

impl From<&str> for Failure {
    fn from(reason: &str) -> Self {
        Self::Call(reason.to_owned())
    }
}

type Outcome = Result<Value, Failure>;

/// What a parameter takes; arguments are converted to it before the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Anything but null.
    Any,
    /// Anything.
    Nullable,
    Number,
    Text,
    /// A list of elements of one type.
    List,
    /// A list of texts.
    Texts,
}

/// One parameter: its name in messages, and what it takes.
type Parameter = (&'static str, Kind);

/// One function.
pub(crate) struct Function {
    name: &'static str,
    parameters: &'static [Parameter],
    /// What any number of further arguments must be.
    rest: Option<Parameter>,
    call: fn(&Environment, &[Value]) -> Outcome,
}

/// A function of a fixed number of arguments.
const fn fixed(
    name: &'static str,
    parameters: &'static [Parameter],
    call: fn(&Environment, &[Value]) -> Outcome,
) -> Function {
    Function {
        name,
        parameters,
        rest: None,
        call,
    }
}

/// A function that takes more.
const fn variadic(
    name: &'static str,
    parameters: &'static [Parameter],
    rest: Parameter,
    call: fn(&Environment, &[Value]) -> Outcome,
) -> Function {
    Function {
        name,
        parameters,
        rest: Some(rest),
        call,
    }
}

const TABLES: &[&[Function]] = &[
    collections::TABLE,
    dates::TABLE,
    digests::TABLE,
    encodings::TABLE,
    files::TABLE,
    format::TABLE,
    networks::TABLE,
    numbers::TABLE,
    sets::TABLE,
    text::TABLE,
    uuids::TABLE,
];

/// The function of this name; `try`, `can` and `convert` are not among them: they look at expressions.
pub(crate) fn find(name: &str) -> Option<&'static Function> {
    TABLES
        .iter()
        .copied()
        .flatten()
        .find(|function| function.name == name)
}

/// The function of nearly this name.
pub(crate) fn nearest(name: &str) -> Option<&'static str> {
    suggest::nearest(
        name,
        TABLES.iter().copied().flatten().map(|function| function.name),
    )
}

/// Where the parts of a call stand.
pub(crate) struct Places {
    pub(crate) name: Span,
    /// The closing parenthesis.
    pub(crate) close: Span,
    pub(crate) arguments: Vec<Span>,
}

impl Failure {
    /// Place, summary and detail.
    pub(crate) fn describe(&self, function: &Function, places: &Places) -> (Span, &'static str, String) {
        let name = function.name;
        let at = |index: usize| {
            places
                .arguments
                .get(index)
                .cloned()
                .unwrap_or_else(|| places.name.clone())
        };
        let count = function.parameters.len();
        match self {
            Self::Argument(index, reason) => {
                let parameter = function.parameters.get(*index).or(function.rest.as_ref());
                let parameter = parameter.map_or("argument", |(name, _)| name);
                let detail = format!("Invalid value for {parameter:?} parameter: {reason}.");
                (at(*index), "Invalid function argument", detail)
            }
            Self::Call(reason) => {
                let detail = format!("Call to function {name:?} failed: {reason}.");
                (places.name.clone(), "Error in function call", detail)
            }
            Self::TooFew => {
                let missing = function.parameters[places.arguments.len()].0;
                let qualifier = if function.rest.is_some() { " at least" } else { "" };
                let detail = format!(
                    "Function {name:?} expects{qualifier} {count} argument(s). Missing value for {missing:?}."
                );
                (places.close.clone(), "Not enough function arguments", detail)
            }
            Self::TooMany => {
                let detail = format!("Function {name:?} expects only {count} argument(s).");
                (at(count), "Too many function arguments", detail)
            }
        }
    }
}

/// Calls a function.
pub(crate) fn call(function: &Function, environment: &Environment, mut arguments: Vec<Value>) -> Outcome {
    if arguments.len() < function.parameters.len() {
        return Err(Failure::TooFew);
    }
    if arguments.len() > function.parameters.len() && function.rest.is_none() {
        return Err(Failure::TooMany);
    }
    for (index, argument) in arguments.iter_mut().enumerate() {
        let parameter = function.parameters.get(index).or(function.rest.as_ref());
        let Some((_, kind)) = parameter else { continue };
        let value = std::mem::replace(argument, Value::Null);
        *argument = kind
            .convert(value)
            .map_err(|reason| Failure::Argument(index, reason))?;
    }
    (function.call)(environment, &arguments)
}

impl Kind {
    fn convert(self, value: Value) -> Result<Value, String> {
        if value.is_null() && self != Self::Nullable {
            return Err("argument must not be null".to_owned());
        }
        match self {
            Self::Any | Self::Nullable => Ok(value),
            Self::Number => to_number(value).map(Value::Number),
            Self::Text => Type::String.convert(value),
            Self::List => Type::List(Box::new(Type::Any)).convert(value),
            Self::Texts => Type::List(Box::new(Type::String)).convert(value),
        }
    }
}

/// A text argument, already converted.
fn text(value: &Value) -> &str {
    match value {
        Value::String(text) => text,
        _ => "",
    }
}

/// A number argument, already converted.
fn number(value: &Value) -> Number {
    match value {
        Value::Number(number) => *number,
        _ => Number::Int(0),
    }
}

/// A whole number argument.
fn integer(arguments: &[Value], index: usize) -> Result<i64, Failure> {
    number(&arguments[index])
        .as_i64()
        .ok_or_else(|| Failure::Argument(index, "a whole number is required".to_owned()))
}

/// The items of a list argument.
fn items(arguments: &[Value], index: usize) -> Result<&[Value], Failure> {
    let value = &arguments[index];
    value
        .items()
        .ok_or_else(|| Failure::Argument(index, format!("list required, but have {}", value.type_name())))
}
