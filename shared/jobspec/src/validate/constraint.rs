//! Constraints, affinities and spreads.

use std::collections::BTreeSet;

use holdfast_shared::model::{Affinity, Constraint, JobType, PATTERN_BYTES_MAX, Spread};
use regex::RegexBuilder;

use super::errors::Errors;

pub(super) fn constraints(constraints: Option<&[Constraint]>, errors: &mut Errors) {
    for (index, constraint) in constraints.unwrap_or_default().iter().enumerate() {
        errors.nest(format_args!("Constraint {}", index + 1), one(constraint));
    }
}

pub(super) fn affinities(affinities: Option<&[Affinity]>, kind: JobType, errors: &mut Errors) {
    let Some(affinities) = affinities else { return };
    if kind.is_system() {
        return errors.push("System jobs may not have an affinity block");
    }
    for (index, affinity) in affinities.iter().enumerate() {
        errors.nest(format_args!("Affinity {}", index + 1), affinity_errors(affinity));
    }
}

pub(super) fn spreads(spreads: Option<&[Spread]>, kind: JobType, errors: &mut Errors) {
    let Some(spreads) = spreads else { return };
    if kind.is_system() {
        return errors.push("System jobs may not have a spread block");
    }
    for (index, spread) in spreads.iter().enumerate() {
        errors.nest(format_args!("Spread {}", index + 1), spread_errors(spread));
    }
}

fn one(constraint: &Constraint) -> Errors {
    let mut errors = Errors::default();
    let operand = if constraint.operand.is_empty() {
        "="
    } else {
        &constraint.operand
    };
    let target = constraint.right.as_str();
    let left = constraint.left.as_str();
    errors.push_if(
        left.starts_with("${") && !left.ends_with('}'),
        format!("attribute {left:?} is missing a closing brace"),
    );
    let mut needs_left = true;
    match operand {
        "distinct_hosts" => needs_left = false,
        "distinct_property" => match target.parse::<u64>() {
            _ if target.is_empty() => {}
            Ok(0) => errors.push("Distinct Property must have an allowed count of 1 or greater: 0 < 1"),
            Ok(_) => {}
            Err(error) => errors.push(format!("Failed to convert RTarget {target:?} to uint64: {error}")),
        },
        "is_set" | "is_not_set" => {
            errors.push_if(
                !target.is_empty(),
                format_args!("Operator {operand:?} does not support an RTarget"),
            );
        }
        _ => comparison(operand, target, "constraint", &mut errors),
    }
    errors.push_if(
        needs_left && constraint.left.is_empty(),
        "No LTarget provided but is required by constraint",
    );
    errors
}

fn affinity_errors(affinity: &Affinity) -> Errors {
    let mut errors = Errors::default();
    comparison(
        if affinity.operand.is_empty() {
            "="
        } else {
            &affinity.operand
        },
        &affinity.right,
        "affinity",
        &mut errors,
    );
    errors.push_if(affinity.left.is_empty(), "No LTarget provided but is required");
    let weight = affinity.weight.unwrap_or(50);
    errors.push_if(weight == 0, "Affinity weight cannot be zero");
    errors.push_if(
        !(-100..=100).contains(&weight),
        "Affinity weight must be within the range [-100,100]",
    );
    errors
}

/// The operators that constraints and affinities share.
fn comparison(operand: &str, target: &str, what: &str, errors: &mut Errors) {
    match operand {
        "set_contains" | "set_contains_all" | "set_contains_any" => {
            errors.push_if(target.is_empty(), "Set contains operators require an RTarget");
        }
        "regexp" => {
            if let Err(error) = RegexBuilder::new(target).size_limit(PATTERN_BYTES_MAX).build() {
                errors.push(format!("Regular expression failed to compile: {error}"));
            }
        }
        "version" | "semver" => {
            if let Some(part) = bad_version(target) {
                let name = if operand == "version" { "Version" } else { "Semver" };
                errors.push(format!("{name} {what} is invalid: Malformed constraint: {part}"));
            }
        }
        "=" | "==" | "is" | "!=" | "not" | "<" | "<=" | ">" | ">=" => {
            errors.push_if(
                target.is_empty(),
                format_args!("Operator {operand:?} requires an RTarget"),
            );
        }
        other if what == "constraint" => errors.push(format!("Unknown constraint type {other:?}")),
        other => errors.push(format!("Unknown affinity operator {other:?}")),
    }
}

/// The first part of a version condition that is none: `>= 1.2, < 2` is a list of operator and version.
fn bad_version(target: &str) -> Option<&str> {
    target.split(',').find(|part| {
        let version = part.trim().trim_start_matches(['=', '!', '<', '>', '~']).trim();
        let version = version.strip_prefix('v').unwrap_or(version);
        let numbers = version.split(['-', '+']).next().unwrap_or_default();
        numbers.is_empty() || !numbers.split('.').all(|number| number.parse::<u64>().is_ok())
    })
}

fn spread_errors(spread: &Spread) -> Errors {
    let mut errors = Errors::default();
    errors.push_if(spread.attribute.is_empty(), "Missing spread attribute");
    let weight = spread.weight.unwrap_or(50);
    errors.push_if(
        !(1..=100).contains(&weight),
        "Spread block must have a positive weight from 0 to 100",
    );
    let mut seen = BTreeSet::new();
    let mut sum = 0;
    for target in spread.targets.iter().flatten() {
        let (value, percent) = (&target.value, target.percent);
        errors.push_if(
            !seen.insert(value),
            format_args!("Spread target value {value:?} already defined"),
        );
        errors.push_if(
            !(0..=100).contains(&percent),
            format_args!("Spread target percentage for value {value:?} must be between 0 and 100"),
        );
        sum += percent;
    }
    errors.push_if(
        sum > 100,
        format_args!("Sum of spread target percentages must not be greater than 100%; got {sum}%"),
    );
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_that_takes_much_memory_is_refused() {
        for (pattern, is_taken) in [
            ("^linux$", true),
            ("[a-z]{1,100}", true),
            (r"(\w{100}){100}", false),
        ] {
            let mut errors = Errors::default();
            comparison("regexp", pattern, "constraint", &mut errors);
            assert_eq!(
                errors.text().contains("exceeds size limit"),
                !is_taken,
                "{pattern}"
            );
        }
    }
}
