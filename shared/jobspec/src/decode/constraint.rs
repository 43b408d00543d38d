//! Constraints and affinities, whose short forms set operand and target at once.

use serde_json::{Map, Value as Json, json};

use super::Decoder;
use super::schema::{Attribute, Schema, optional_flag, optional_integer, optional_text};
use crate::body::Body;

const CONSTRAINT: Schema = Schema::new(
    &[
        optional_text("attribute", "attribute"),
        optional_text("value", "value"),
        optional_text("operator", "operator"),
        optional_text("distinct_property", "distinct_property"),
        optional_flag("distinct_hosts", "distinct_hosts"),
        optional_text("regexp", "regexp"),
        optional_text("version", "version"),
        optional_text("semver", "semver"),
        optional_text("set_contains", "set_contains"),
        optional_text("set_contains_all", "set_contains_all"),
        optional_text("set_contains_any", "set_contains_any"),
        optional_text("is_set", "is_set"),
        optional_text("is_not_set", "is_not_set"),
    ],
    &[],
);

const AFFINITY_ATTRIBUTES: &[Attribute] = &[
    optional_text("attribute", "attribute"),
    optional_text("value", "value"),
    optional_text("operator", "operator"),
    optional_integer("weight", "weight"),
    optional_text("version", "version"),
    optional_text("semver", "semver"),
    optional_text("regexp", "regexp"),
    optional_text("set_contains", "set_contains"),
    optional_text("set_contains_all", "set_contains_all"),
    optional_text("set_contains_any", "set_contains_any"),
];
const AFFINITY: Schema = Schema::new(AFFINITY_ATTRIBUTES, &[]);

/// Short forms; a later one wins.
const CONSTRAINT_OPERANDS: [&str; 4] = ["version", "semver", "regexp", "set_contains"];
const AFFINITY_OPERANDS: [&str; 6] = [
    "version",
    "semver",
    "regexp",
    "set_contains_any",
    "set_contains_all",
    "set_contains",
];

impl Decoder<'_> {
    pub(super) fn constraint(&mut self, body: &Body) -> Json {
        let written = self.object(body, &CONSTRAINT);
        let mut constraint = operands(&written, &CONSTRAINT_OPERANDS);
        if let Some(is_distinct) = written["distinct_hosts"].as_bool() {
            constraint.insert("Operand".to_owned(), json!("distinct_hosts"));
            constraint.insert("RTarget".to_owned(), json!(is_distinct.to_string()));
        }
        if let Some(property) = filled(&written, "distinct_property") {
            constraint.insert("Operand".to_owned(), json!("distinct_property"));
            constraint.insert("LTarget".to_owned(), json!(property));
        }
        with_default_operand(constraint)
    }

    pub(super) fn affinity(&mut self, body: &Body) -> Json {
        let written = self.object(body, &AFFINITY);
        let mut affinity = operands(&written, &AFFINITY_OPERANDS);
        affinity.insert("Weight".to_owned(), written["weight"].clone());
        with_default_operand(affinity)
    }
}

fn filled<'w>(written: &'w Map<String, Json>, name: &str) -> Option<&'w str> {
    written[name].as_str().filter(|text| !text.is_empty())
}

fn operands(written: &Map<String, Json>, short: &[&str]) -> Map<String, Json> {
    let text = |name: &str| json!(written[name].as_str().unwrap_or_default());
    let mut targets = Map::from_iter([
        ("LTarget".to_owned(), text("attribute")),
        ("RTarget".to_owned(), text("value")),
        ("Operand".to_owned(), text("operator")),
    ]);
    for operand in short {
        if let Some(target) = filled(written, operand) {
            targets.insert("Operand".to_owned(), json!(operand));
            targets.insert("RTarget".to_owned(), json!(target));
        }
    }
    targets
}

fn with_default_operand(mut targets: Map<String, Json>) -> Json {
    if targets["Operand"] == json!("") {
        targets.insert("Operand".to_owned(), json!("="));
    }
    Json::Object(targets)
}
