//! The scratch pad: values that a template keeps for itself while it runs.

use std::sync::Arc;

use gotmpl::Value;

use super::{Row, exactly, map, map_of, string, text_of};
use crate::render::Run;

pub(super) const TABLE: &[Row] = &[
    exactly("scratch.Key", 1, |run, args| {
        let key = text_of(&args[0])?;
        Ok(Value::Bool(run.with_scratch(|pad| pad.contains_key(key))))
    }),
    exactly("scratch.Get", 1, |run, args| {
        let key = text_of(&args[0])?;
        Ok(run
            .with_scratch(|pad| pad.get(key).cloned())
            .unwrap_or(Value::Nil))
    }),
    exactly("scratch.Set", 2, |run, args| set(run, &args[0], &args[1], true)),
    exactly("scratch.SetX", 2, |run, args| set(run, &args[0], &args[1], false)),
    exactly("scratch.MapSet", 3, |run, args| map_set(run, args, true)),
    exactly("scratch.MapSetX", 3, |run, args| map_set(run, args, false)),
    exactly("scratch.MapValues", 1, |run, args| {
        let key = text_of(&args[0])?;
        let found = run
            .with_scratch(|pad| pad.get(key).cloned())
            .unwrap_or(Value::Nil);
        Ok(Value::List(map_of(&found)?.values().cloned().collect()))
    }),
];

/// Every method that sets answers nothing.
fn set(run: &Run, key: &Value, value: &Value, replaces: bool) -> Result<Value, String> {
    let key = text_of(key)?.to_owned();
    run.with_scratch(|pad| {
        if replaces || !pad.contains_key(&key) {
            pad.insert(key, value.clone());
        }
    });
    Ok(string(""))
}

fn map_set(run: &Run, args: &[Value], replaces: bool) -> Result<Value, String> {
    let (key, field) = (text_of(&args[0])?, text_of(&args[1])?);
    run.with_scratch(|pad| {
        let entry = pad.entry(key.to_owned()).or_insert_with(|| map::<&str>([]));
        let Value::Map(fields) = entry else {
            return Err(format!("{key:?} is not a map"));
        };
        let fields = Arc::make_mut(fields);
        if replaces || !fields.contains_key(field) {
            fields.insert(Arc::from(field), args[2].clone());
        }
        Ok(string(""))
    })
}
