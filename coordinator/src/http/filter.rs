//! Filter expressions, as hashicorp/go-bexpr reads them: `Status == "running" and "edge" in Datacenters`.
//!
//! An expression is looked at against the JSON that would be answered. What an item lacks is unequal to everything,
//! contains nothing, and is empty.

mod parse;

use regex::Regex;
use serde_json::Value;

pub(super) use parse::FilterError;

/// A condition on a list item.
#[derive(Debug, Clone)]
pub(super) struct Filter(Condition);

#[derive(Debug, Clone)]
enum Condition {
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    Equal(Selector, String),
    Contains(Selector, String),
    Matches(Selector, Regex),
    Empty(Selector),
}

/// The way to a value: keys of objects, one inside the other.
type Selector = Vec<String>;

impl Filter {
    /// Reads an expression.
    pub(super) fn parse(text: &str) -> Result<Self, FilterError> {
        parse::parse(text).map(Self)
    }

    /// Whether `item` satisfies it.
    pub(super) fn accepts(&self, item: &Value) -> bool {
        self.0.holds(item)
    }
}

impl Condition {
    fn holds(&self, item: &Value) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(item)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(item)),
            Self::Not(part) => !part.holds(item),
            Self::Equal(selector, text) => select(item, selector).is_some_and(|value| equals(value, text)),
            Self::Contains(selector, text) => match select(item, selector) {
                Some(Value::Array(items)) => items.iter().any(|value| equals(value, text)),
                Some(Value::Object(map)) => map.contains_key(text),
                Some(Value::String(whole)) => whole.contains(text.as_str()),
                _ => false,
            },
            Self::Matches(selector, pattern) => select(item, selector)
                .and_then(Value::as_str)
                .is_some_and(|text| pattern.is_match(text)),
            Self::Empty(selector) => match select(item, selector) {
                None | Some(Value::Null) => true,
                Some(Value::Array(items)) => items.is_empty(),
                Some(Value::Object(map)) => map.is_empty(),
                Some(Value::String(text)) => text.is_empty(),
                Some(_) => false,
            },
        }
    }
}

fn select<'a>(item: &'a Value, selector: &[String]) -> Option<&'a Value> {
    // A key may itself have dots in it, as in Attributes.kernel.name: the longest one counts.
    let (first, rest) = selector.split_first()?;
    let Some(value) = item.get(first) else {
        let joined = selector.join(".");
        return item.get(joined.as_str());
    };
    if rest.is_empty() {
        return Some(value);
    }
    value.get(rest.join(".").as_str()).or_else(|| select(value, rest))
}

fn equals(value: &Value, text: &str) -> bool {
    match value {
        Value::String(own) => own == text,
        Value::Bool(own) => own.to_string() == text,
        Value::Number(own) => {
            own.to_string() == text || text.parse().is_ok_and(|text: f64| own.as_f64() == Some(text))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn expressions_choose_items() {
        let item = json!({
            "Name": "box-1", "Port": 80, "Drain": false, "Tags": ["edge", "traefik.enable=true"],
            "Meta": {"owner": "ops"}, "Attributes": {"kernel.name": "linux"}, "Status": "ready", "Note": "",
        });
        for (text, expected) in [
            (r#"Name == "box-1""#, true),
            (r#"Name != "box-1""#, false),
            ("Port == 80 and Drain == false", true),
            (r#"Tags contains "traefik.enable=true""#, true),
            (r#""edge" in Tags"#, true),
            (r#""core" not in Tags"#, true),
            (r#"Tags not contains "edge""#, false),
            (r#"Meta.owner == ops"#, true),
            (r#"Meta["owner"] == `ops`"#, true),
            (r#""/Meta/owner" == "ops""#, true),
            (r#"Attributes.kernel.name == "linux""#, true),
            (
                r#"Note is empty and Tags is not empty and Nothing is empty"#,
                true,
            ),
            (r#"Name matches "^box-[0-9]$""#, true),
            (r#"Name not matches "^rack""#, true),
            (r#"not (Name == "x" or Status == "ready")"#, false),
            (r#"Name == "x" or Status == "ready" and Port == 80"#, true),
        ] {
            assert_eq!(Filter::parse(text).unwrap().accepts(&item), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_expression_says_where() {
        for (text, expected) in [
            ("", "an expression is expected at the end"),
            ("Name", "an operator like == is expected at the end"),
            ("Name = x", "an operator like == is expected at `= x`"),
            (r#"Name == "x"#, "the quotation mark at `\"x` is not closed"),
            ("(Name == x", "a closing parenthesis is expected at the end"),
            ("Name == x y", "`and` or `or` is expected at `y`"),
            ("Name matches \"(\"", "`(` is not a regular expression"),
        ] {
            assert_eq!(Filter::parse(text).unwrap_err().to_string(), expected, "{text}");
        }
    }
}
