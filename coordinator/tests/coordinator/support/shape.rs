//! Shapes of JSON: the recorded bodies of the original, and what of them an answer lacks.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::Value;

/// The folder of recorded bodies; `None`, with a note, on a machine that does not have it.
pub(crate) fn recorded() -> Option<PathBuf> {
    let shared = std::env::var_os("HOLDFAST_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        PathBuf::from,
    );
    let folder = shared.join("recorded/api");
    if !folder.is_dir() {
        println!(
            "note: {} is absent, nothing was compared; set HOLDFAST_SHARED",
            folder.display()
        );
        return None;
    }
    Some(folder)
}

/// Notes every key of `expected` that `ours` lacks, every value of another type, and every `null` instead of a value.
///
/// The items of a list are taken together: what one of them has, the list has. Maps whose keys are data (names of
/// groups, tasks, drivers, …) count as lists of their values.
pub(crate) fn compare(place: &str, expected: &Value, ours: &Value, out: &mut String) {
    match (expected, ours) {
        (Value::Null, _) => {}
        // What a driver wants to know is its own affair.
        _ if place.ends_with(".Config") => {}
        (expected, Value::Null) => writeln!(out, "{place}: null instead of {expected}").unwrap(),
        (Value::Object(expected), Value::Object(ours)) if is_data(place) => {
            let (expected, ours) = (together(expected.values()), together(ours.values()));
            compare(&format!("{place}.*"), &expected, &ours, out);
        }
        (Value::Object(expected), Value::Object(ours)) => {
            for (key, value) in expected {
                match ours.get(key) {
                    Some(own) => compare(&format!("{place}.{key}"), value, own, out),
                    None => writeln!(out, "{place}.{key} is missing").unwrap(),
                }
            }
        }
        (Value::Array(expected), Value::Array(ours)) => {
            compare(&format!("{place}[]"), &together(expected), &together(ours), out);
        }
        (Value::Number(_), Value::Number(_))
        | (Value::Bool(_), Value::Bool(_))
        | (Value::String(_), Value::String(_)) => {}
        (expected, ours) => writeln!(out, "{place}: {ours} instead of {expected}").unwrap(),
    }
}

/// One value that has everything that any of `items` has.
fn together<'a>(items: impl IntoIterator<Item = &'a Value>) -> Value {
    items
        .into_iter()
        .fold(Value::Null, |sum, item| join(sum, item.clone()))
}

fn join(left: Value, right: Value) -> Value {
    match (left, right) {
        (Value::Object(mut left), Value::Object(right)) => {
            for (key, value) in right {
                let own = left.remove(&key).unwrap_or(Value::Null);
                left.insert(key, join(own, value));
            }
            Value::Object(left)
        }
        (Value::Array(left), Value::Array(right)) => Value::Array(left.into_iter().chain(right).collect()),
        (left, Value::Null) => left,
        (Value::Null, right) => right,
        (left, _) => left,
    }
}

/// Places whose keys are data.
fn is_data(place: &str) -> bool {
    const DATA: [&str; 23] = [
        "Attributes",
        "Meta",
        "Options",
        "Details",
        "Drivers",
        "TaskStates",
        "TaskResources",
        "Tasks",
        "TaskLifecycles",
        "Summary",
        "TaskGroups",
        "DesiredTGUpdates",
        "QueuedAllocations",
        "FailedTGAllocs",
        "NodesAvailable",
        "ClassExhausted",
        "ClassFiltered",
        "ConstraintFiltered",
        "DimensionExhausted",
        "ResourcesExhausted",
        "Env",
        "ClassEligibility",
        "Scores",
    ];
    DATA.contains(&place.rsplit('.').next().unwrap_or_default())
}
