//! Variables.

use std::sync::Arc;

use gotmpl::Value;

use super::{ANY, FIELD, Outcome, Row, between, exactly, map, string, text_of};
use crate::data::{Variable, Want};
use crate::render::{Answer, Run};

pub(super) const TABLE: &[Row] = &[
    between(FIELD, 2, ANY, |run, args| {
        args[1..]
            .iter()
            .try_fold(args[0].clone(), |value, name| field(run, &value, text_of(name)?))
    }),
    exactly("nomadVar", 1, |run, args| {
        Ok(match run.ask(Want::Variable(path(&args[0])?)) {
            Answer::Value(items) => items,
            Answer::Missing | Answer::Absent => Value::Nil,
        })
    }),
    exactly("nomadVarExists", 1, |run, args| {
        Ok(Value::Bool(matches!(
            run.ask(Want::Variable(path(&args[0])?)),
            Answer::Value(_)
        )))
    }),
    between("nomadVarList", 0, 1, list),
    between("nomadVarListSafe", 0, 1, list),
];

/// A field of a value. A missing item of a variable is empty, and variables have methods.
fn field(run: &Run, value: &Value, name: &str) -> Outcome {
    let map = match value {
        Value::Map(map) => map,
        Value::Nil => return Ok(Value::Nil),
        other => {
            return Err(format!(
                "can't evaluate field {name} in type {}",
                other.type_name()
            ));
        }
    };
    if let Some(found) = map.get(name) {
        return Ok(found.clone());
    }
    let is_variable = run.is_variable(map);
    let list = |items: &mut dyn Iterator<Item = Value>| Ok(Value::List(items.collect()));
    match name {
        "Keys" if is_variable => list(&mut map.keys().map(|key| Value::String(key.clone()))),
        "Values" if is_variable => list(&mut map.values().cloned()),
        "Tuples" if is_variable => {
            let tuple = |(key, value): (&Arc<str>, &Value)| {
                super::map([("K", Value::String(key.clone())), ("V", value.clone())])
            };
            list(&mut map.iter().map(tuple))
        }
        _ if run.error_on_missing_key => Err(format!("map has no entry for key {name:?}")),
        _ if is_variable => Ok(string("")),
        _ => Ok(Value::Nil),
    }
}

fn list(run: &Run, args: &[Value]) -> Result<Value, String> {
    let prefix = args.first().map(path).transpose()?.unwrap_or_default();
    Ok(match run.ask(Want::Variables(prefix)) {
        Answer::Value(list) => list,
        Answer::Missing | Answer::Absent => Value::List(Arc::from([])),
    })
}

/// A path without namespace and region: a node only ever sees those of its allocation.
fn path(value: &Value) -> Result<String, String> {
    let text = text_of(value)?;
    Ok(text
        .split('@')
        .next()
        .unwrap_or_default()
        .trim_matches('/')
        .to_owned())
}

/// A variable's items as templates see them.
pub(crate) fn items(variable: &Variable) -> Value {
    map(variable
        .items
        .iter()
        .map(|(key, value)| (key.as_str(), string(value.as_str()))))
}

/// The list of variables as templates see it.
pub(crate) fn listing(variables: Vec<Variable>) -> Value {
    let line = |variable: Variable| {
        map([
            ("Namespace", string(variable.namespace)),
            ("Path", string(variable.path)),
            ("CreateIndex", Value::Uint(variable.create_index)),
            ("ModifyIndex", Value::Uint(variable.modify_index)),
        ])
    };
    Value::List(variables.into_iter().map(line).collect())
}
