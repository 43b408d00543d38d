//! Lists and maps.

use std::collections::BTreeMap;

use super::{Failure, Function, Kind, Outcome, fixed, integer, items, number, text, variadic};
use crate::eval::equal;
use crate::number::Number;
use crate::types::{Type, unify};
use crate::value::Value;

const LIST: (&str, Kind) = ("list", Kind::Any);
/// Elements of one type, as `list(any)` makes them.
const TYPED: (&str, Kind) = ("list", Kind::List);

pub(super) const TABLE: &[Function] = &[
    fixed("chunklist", &[TYPED, ("size", Kind::Number)], |_, args| {
        let size = usize::try_from(integer(args, 1)?)
            .map_err(|_| Failure::Argument(1, "the size argument must be positive".to_owned()))?;
        let list = items(args, 0)?;
        // Zero is one chunk of everything.
        let size = if size == 0 { list.len().max(1) } else { size };
        Ok(Value::List(
            list.chunks(size)
                .map(|chunk| Value::List(chunk.to_vec()))
                .collect(),
        ))
    }),
    variadic("coalesce", &[], ("vals", Kind::Nullable), |_, args| {
        let of = unify(args.iter().map(Type::of)).ok_or("all arguments must have the same type")?;
        let first = args.iter().find(|value| !value.is_null());
        let first = first.ok_or_else(|| Failure::from("no non-null arguments"))?;
        of.convert(first.clone()).map_err(Failure::Call)
    }),
    variadic("coalescelist", &[], ("vals", Kind::Any), |_, args| {
        for (index, value) in args.iter().enumerate() {
            if !items(args, index)?.is_empty() {
                return Ok(value.clone());
            }
        }
        Err("no non-null arguments".into())
    }),
    fixed("compact", &[("list", Kind::Texts)], |_, args| {
        let kept = items(args, 0)?.iter().filter(|item| !text(item).is_empty());
        Ok(Value::List(kept.cloned().collect()))
    }),
    variadic("concat", &[], ("seqs", Kind::Any), |_, args| {
        if args.is_empty() {
            return Err("at least one argument is required".into());
        }
        let mut all = Vec::new();
        for index in 0..args.len() {
            all.extend_from_slice(items(args, index)?);
        }
        let is_list = args.iter().all(|value| matches!(value, Value::List(_)));
        Ok(if is_list {
            Value::List(all)
        } else {
            Value::Tuple(all)
        })
    }),
    fixed("contains", &[LIST, ("value", Kind::Any)], |_, args| {
        Ok(Value::Bool(
            items(args, 0)?.iter().any(|item| equal(item, &args[1])),
        ))
    }),
    fixed("distinct", &[TYPED], |_, args| {
        let mut kept: Vec<Value> = Vec::new();
        for item in items(args, 0)? {
            if !kept.iter().any(|seen| equal(seen, item)) {
                kept.push(item.clone());
            }
        }
        Ok(Value::List(kept))
    }),
    fixed("element", &[LIST, ("index", Kind::Number)], |_, args| {
        let list = items(args, 0)?;
        if list.is_empty() {
            return Err("cannot use element function with an empty list".into());
        }
        let length = i64::try_from(list.len()).unwrap_or(i64::MAX);
        let position = usize::try_from(integer(args, 1)?.rem_euclid(length)).unwrap_or(0);
        Ok(list[position].clone())
    }),
    fixed("flatten", &[LIST], |_, args| {
        let mut flat = Vec::new();
        flatten(items(args, 0)?, &mut flat);
        Ok(Value::Tuple(flat))
    }),
    fixed(
        "index",
        &[("collection", Kind::Any), ("key", Kind::Any)],
        |_, args| index(&args[0], &args[1]),
    ),
    fixed("keys", &[("inputMap", Kind::Any)], |_, args| {
        let keys = entries(args, 0)?.keys().map(|key| Value::text(key.as_str()));
        Ok(Value::List(keys.collect()))
    }),
    fixed("length", &[("collection", Kind::Any)], |_, args| {
        let count = match &args[0] {
            Value::Map(entries) => entries.len(),
            other => match other.items() {
                Some(items) => items.len(),
                None => return Err("collection must be a list, a map or a tuple".into()),
            },
        };
        Ok(Value::Number(Number::Int(count as i128)))
    }),
    fixed(
        "lookup",
        &[
            ("inputMap", Kind::Any),
            ("key", Kind::Text),
            ("default", Kind::Any),
        ],
        |_, args| {
            let found = entries(args, 0)?.get(text(&args[1]));
            Ok(found.unwrap_or(&args[2]).clone())
        },
    ),
    variadic("merge", &[], ("maps", Kind::Nullable), |_, args| {
        let mut merged = BTreeMap::new();
        for (index, value) in args.iter().enumerate() {
            if !value.is_null() {
                merged.extend(entries(args, index)?.clone());
            }
        }
        Ok(Value::Object(merged))
    }),
    fixed(
        "slice",
        &[LIST, ("start_index", Kind::Number), ("end_index", Kind::Number)],
        |_, args| {
            let list = items(args, 0)?;
            let bound = |index: usize| {
                usize::try_from(integer(args, index)?)
                    .map_err(|_| Failure::Argument(index, "must not be less than zero".to_owned()))
            };
            let (start, end) = (bound(1)?, bound(2)?);
            if end > list.len() {
                return Err(Failure::Argument(
                    2,
                    format!(
                        "end index must not be greater than the length of the list ({})",
                        list.len()
                    ),
                ));
            }
            if start > end {
                return Err(Failure::Argument(
                    1,
                    "start index must not be greater than end index".to_owned(),
                ));
            }
            Ok(Value::Tuple(list[start..end].to_vec()))
        },
    ),
    fixed("sort", &[("list", Kind::Texts)], |_, args| {
        let mut sorted = items(args, 0)?.to_vec();
        sorted.sort_by(|a, b| text(a).cmp(text(b)));
        Ok(Value::List(sorted))
    }),
    fixed("values", &[("values", Kind::Any)], |_, args| {
        Ok(Value::Tuple(entries(args, 0)?.values().cloned().collect()))
    }),
    fixed(
        "zipmap",
        &[("keys", Kind::Texts), ("values", Kind::Any)],
        |_, args| {
            let (keys, values) = (items(args, 0)?, items(args, 1)?);
            if keys.len() != values.len() {
                return Err(format!(
                    "number of keys ({}) does not match number of values ({})",
                    keys.len(),
                    values.len()
                )
                .into());
            }
            let pairs = keys
                .iter()
                .zip(values)
                .map(|(key, value)| (text(key).to_owned(), value.clone()));
            Ok(Value::Object(pairs.collect()))
        },
    ),
];

fn entries(args: &[Value], index: usize) -> Result<&BTreeMap<String, Value>, Failure> {
    args[index].entries().ok_or_else(|| {
        Failure::Argument(
            index,
            format!("a map is required, but have {}", args[index].type_name()),
        )
    })
}

fn flatten(list: &[Value], flat: &mut Vec<Value>) {
    for item in list {
        match item.items() {
            Some(inner) => flatten(inner, flat),
            None => flat.push(item.clone()),
        }
    }
}

fn index(collection: &Value, key: &Value) -> Outcome {
    let found = match (collection, key) {
        (Value::Tuple(list) | Value::List(list), Value::Number(_)) => {
            number(key).as_usize().and_then(|position| list.get(position))
        }
        (Value::Tuple(_), _) => return Err("key for tuple must be number".into()),
        (Value::List(_), _) => return Err("key for list must be number".into()),
        (Value::Object(entries) | Value::Map(entries), Value::String(key)) => entries.get(key),
        (Value::Object(_) | Value::Map(_), _) => return Err("key for map must be string".into()),
        _ => return Err("not a list, map or tuple".into()),
    };
    found.cloned().ok_or_else(|| "invalid index".into())
}
