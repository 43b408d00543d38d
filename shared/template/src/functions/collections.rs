//! Lists, maps and the scratch pad.

use std::collections::BTreeMap;

use gotmpl::Value;

use super::{Outcome, Row, exactly, list_of, map, map_of, text_of};

pub(super) const TABLE: &[Row] = &[
    exactly("in", 2, |_, args| Ok(Value::Bool(holds(&args[0], &args[1])?))),
    // `contains` has its arguments the other way round, for pipes.
    exactly("contains", 2, |_, args| {
        Ok(Value::Bool(holds(&args[1], &args[0])?))
    }),
    exactly("containsAll", 2, |_, args| {
        every(&args[0], |wanted| holds(&args[1], wanted))
    }),
    exactly("containsAny", 2, |_, args| {
        every(&args[0], |wanted| holds(&args[1], wanted).map(|found| !found)).map(negate)
    }),
    exactly("containsNone", 2, |_, args| {
        every(&args[0], |wanted| holds(&args[1], wanted).map(|found| !found))
    }),
    exactly("containsNotAll", 2, |_, args| {
        every(&args[0], |wanted| holds(&args[1], wanted)).map(negate)
    }),
    exactly("explodeMap", 1, |_, args| {
        let mut tree = Tree::default();
        for (key, value) in map_of(&args[0])? {
            tree.insert(key, value);
        }
        Ok(tree.into_value())
    }),
    exactly("mergeMap", 2, |_, args| merge(&args[1], &args[0])),
    exactly("mergeMapWithOverride", 2, |_, args| merge(&args[0], &args[1])),
];

fn negate(value: Value) -> Value {
    Value::Bool(!value.is_truthy())
}

fn every(list: &Value, check: impl Fn(&Value) -> Result<bool, String>) -> Outcome {
    for item in list_of(list)? {
        if !check(item)? {
            return Ok(Value::Bool(false));
        }
    }
    Ok(Value::Bool(true))
}

/// Whether a text has a part, or a list an item.
fn holds(whole: &Value, part: &Value) -> Result<bool, String> {
    match whole {
        Value::String(text) => Ok(text.contains(text_of(part)?)),
        other => Ok(list_of(other)?.iter().any(|item| item == part)),
    }
}

/// Both maps; the stronger one wins.
fn merge(weaker: &Value, stronger: &Value) -> Outcome {
    let both = map_of(weaker)?.iter().chain(map_of(stronger)?);
    Ok(map(both.map(|(key, value)| (key.clone(), value.clone()))))
}

/// Maps inside maps, by paths.
#[derive(Default)]
struct Tree {
    leaf: Option<Value>,
    branches: BTreeMap<String, Self>,
}

impl Tree {
    fn insert(&mut self, path: &str, value: &Value) {
        let node = path.split('/').fold(self, |node, part| {
            node.branches.entry(part.to_owned()).or_default()
        });
        node.leaf = Some(value.clone());
    }

    fn into_value(self) -> Value {
        match self.leaf {
            Some(value) if self.branches.is_empty() => value,
            _ => map(self
                .branches
                .into_iter()
                .map(|(part, tree)| (part, tree.into_value()))),
        }
    }
}
