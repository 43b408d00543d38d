//! Constraint operators on resolved texts (`scheduling-semantics.md` 2.6).
//!
//! `distinct_hosts` and `distinct_property` are no operators on texts; `super::feasible` knows them.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use holdfast_shared::model::PATTERN_BYTES_MAX;
use regex::{Regex, RegexBuilder};

use super::version::Clauses;

/// Whether `left operand right` holds; `None` is an attribute that the node lacks.
pub fn holds(operand: &str, left: Option<&str>, right: Option<&str>) -> bool {
    Matcher::new(operand, right).matches(left)
}

/// An operator with its right side, understood once for many left sides.
#[derive(Debug)]
pub(crate) struct Matcher<'a> {
    right: Option<&'a str>,
    rule: Rule<'a>,
}

#[derive(Debug)]
enum Rule<'a> {
    Equal,
    Different,
    Ordered(fn(Ordering) -> bool),
    Regexp(Option<Regex>),
    Version(Clauses),
    ContainsAll(BTreeSet<&'a str>),
    ContainsAny(BTreeSet<&'a str>),
    IsSet,
    IsNotSet,
    Never,
}

impl<'a> Matcher<'a> {
    /// The operator called `operand`; `None` is an attribute that the node lacks.
    pub(crate) fn new(operand: &str, right: Option<&'a str>) -> Self {
        let rule = match (operand, right) {
            ("is_set", _) => Rule::IsSet,
            ("is_not_set", _) => Rule::IsNotSet,
            ("!=" | "not", _) => Rule::Different,
            (_, None) => Rule::Never,
            ("" | "=" | "==" | "is", _) => Rule::Equal,
            ("<", _) => Rule::Ordered(Ordering::is_lt),
            ("<=", _) => Rule::Ordered(Ordering::is_le),
            (">", _) => Rule::Ordered(Ordering::is_gt),
            (">=", _) => Rule::Ordered(Ordering::is_ge),
            ("regexp", Some(right)) => Rule::Regexp(pattern(right)),
            ("version", Some(right)) => Rule::Version(Clauses::lenient(right)),
            ("semver", Some(right)) => Rule::Version(Clauses::strict(right)),
            ("set_contains" | "set_contains_all", Some(right)) => Rule::ContainsAll(items(right).collect()),
            ("set_contains_any", Some(right)) => Rule::ContainsAny(items(right).collect()),
            _ => Rule::Never,
        };
        Self { right, rule }
    }

    /// Whether it holds for this left side.
    pub(crate) fn matches(&self, left: Option<&str>) -> bool {
        let right = self.right.unwrap_or_default();
        match (&self.rule, left) {
            (Rule::Different, _) => left.unwrap_or_default() != right,
            (Rule::IsSet, _) => left.is_some(),
            (Rule::IsNotSet, _) => left.is_none(),
            (Rule::Never, _) | (_, None) => false,
            (Rule::Equal, Some(left)) => left == right,
            (Rule::Ordered(accept), Some(left)) => accept(compare(left, right)),
            (Rule::Regexp(pattern), Some(left)) => {
                pattern.as_ref().is_some_and(|pattern| pattern.is_match(left))
            }
            (Rule::Version(clauses), Some(left)) => clauses.accept(left),
            (Rule::ContainsAll(wanted), Some(left)) => {
                let have: BTreeSet<&str> = items(left).collect();
                wanted.is_subset(&have)
            }
            (Rule::ContainsAny(wanted), Some(left)) => items(left).any(|item| wanted.contains(item)),
        }
    }
}

/// `None` is never matched: a pattern that is none, or too large, was refused when the job was submitted.
fn pattern(text: &str) -> Option<Regex> {
    let limit = PATTERN_BYTES_MAX;
    RegexBuilder::new(text).size_limit(limit).build().ok()
}

/// The items of a list with commas, trimmed.
fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim)
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
