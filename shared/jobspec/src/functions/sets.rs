//! Sets.

use super::{Failure, Function, Kind, Outcome, items, variadic};
use crate::types::{Type, unify};
use crate::value::Value;

const SETS: (&str, Kind) = ("other_sets", Kind::Any);
const FIRST: (&str, Kind) = ("first_set", Kind::Any);

pub(super) const TABLE: &[Function] = &[
    variadic("setintersection", &[FIRST], SETS, |_, args| {
        let sets = sets(args)?;
        let common = sets[0]
            .iter()
            .filter(|item| sets[1..].iter().all(|set| set.contains(item)));
        Ok(Value::set(common.cloned()))
    }),
    variadic("setunion", &[FIRST], SETS, |_, args| {
        Ok(Value::set(sets(args)?.concat()))
    }),
    variadic("setproduct", &[], ("sets", Kind::Any), |_, args| product(args)),
];

/// The arguments as sets of one type.
fn sets(args: &[Value]) -> Result<Vec<Vec<Value>>, Failure> {
    let mut types = Vec::new();
    for index in 0..args.len() {
        types.extend(items(args, index)?.iter().map(Type::of));
    }
    let of = unify(types.into_iter()).ok_or("all sets must have the same element type")?;
    let convert = |index: usize| {
        let items = items(args, index)?.iter().map(|item| of.convert(item.clone()));
        items
            .collect::<Result<Vec<_>, _>>()
            .map_err(|reason| Failure::Argument(index, reason))
    };
    (0..args.len()).map(convert).collect()
}

fn product(args: &[Value]) -> Outcome {
    if args.len() < 2 {
        return Err("at least two arguments are required".into());
    }
    let mut rows: Vec<Vec<Value>> = vec![Vec::new()];
    for index in 0..args.len() {
        let list = items(args, index)?;
        rows = rows
            .iter()
            .flat_map(|row| {
                list.iter()
                    .map(|item| row.iter().cloned().chain([item.clone()]).collect())
            })
            .collect();
    }
    Ok(Value::List(rows.into_iter().map(Value::Tuple).collect()))
}
