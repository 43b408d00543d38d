//! Constraint operators on resolved texts (`scheduling-semantics.md` 2.6).
//!
//! `distinct_hosts` and `distinct_property` are no operators on texts; `super::feasible` knows them.

use std::cmp::Ordering;

use super::version;

/// Whether `left operand right` holds; `None` is an attribute that the node lacks.
pub fn holds(operand: &str, left: Option<&str>, right: Option<&str>) -> bool {
    let both = left.zip(right);
    let ordered =
        |accept: fn(Ordering) -> bool| both.is_some_and(|(left, right)| accept(compare(left, right)));
    match operand {
        "" | "=" | "==" | "is" => both.is_some_and(|(left, right)| left == right),
        "!=" | "not" => left.unwrap_or_default() != right.unwrap_or_default(),
        "<" => ordered(Ordering::is_lt),
        "<=" => ordered(Ordering::is_le),
        ">" => ordered(Ordering::is_gt),
        ">=" => ordered(Ordering::is_ge),
        "regexp" => both.is_some_and(|(left, right)| {
            regex::Regex::new(right).is_ok_and(|pattern| pattern.is_match(left))
        }),
        "version" => both.is_some_and(|(left, right)| version::satisfies(left, right)),
        "semver" => both.is_some_and(|(left, right)| version::satisfies_semver(left, right)),
        "set_contains" | "set_contains_all" => both.is_some_and(|(left, right)| {
            let have = items(left);
            items(right).iter().all(|item| have.contains(item))
        }),
        "set_contains_any" => both.is_some_and(|(left, right)| {
            let have = items(left);
            items(right).iter().any(|item| have.contains(item))
        }),
        "is_set" => left.is_some(),
        "is_not_set" => left.is_none(),
        _ => false,
    }
}

/// The items of a list with commas, trimmed.
fn items(text: &str) -> Vec<&str> {
    text.split(',').map(str::trim).collect()
}

/// Order of two texts: as whole numbers if both are, else as decimal numbers if both are, else by bytes.
fn compare(left: &str, right: &str) -> Ordering {
    if let (Ok(left), Ok(right)) = (left.parse::<i64>(), right.parse::<i64>()) {
        return left.cmp(&right);
    }
    if let (Ok(left), Ok(right)) = (left.parse::<f64>(), right.parse::<f64>()) {
        return left.partial_cmp(&right).unwrap_or(Ordering::Equal);
    }
    left.cmp(right)
}
