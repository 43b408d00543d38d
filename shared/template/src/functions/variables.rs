//! Variables.

use std::sync::Arc;

use gotmpl::Value;

use super::{Row, between, exactly, map, string, text_of};
use crate::data::{Variable, Want};
use crate::render::{Answer, Run};

pub(super) const TABLE: &[Row] = &[
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
