//! Reading a driver's `config` block: a table of keys, and typed access with errors that name the key.
//!
//! Values may come from HCL, so numbers and booleans are also accepted as text, and a block may be an object or a
//! list of objects.

use holdfast_shared::words::edits;
use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::error::ConfigError;

/// Whether a key of the original drivers works here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// It does what it says.
    Full,
    /// It is accepted and has no effect; a warning says so.
    Ignored,
    /// It is known and refused.
    Missing,
}

/// One row of a driver's table of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigKey {
    /// The key in the `config` block.
    pub key: &'static str,
    /// Whether it works.
    pub support: Support,
    /// What it does; for the others why not, or what to do instead.
    pub note: &'static str,
}

impl ConfigKey {
    /// A key that works.
    pub const fn full(key: &'static str, note: &'static str) -> Self {
        Self {
            key,
            support: Support::Full,
            note,
        }
    }

    /// A key without effect.
    pub const fn ignored(key: &'static str, note: &'static str) -> Self {
        Self {
            key,
            support: Support::Ignored,
            note,
        }
    }

    /// A key that is refused.
    pub const fn missing(key: &'static str, note: &'static str) -> Self {
        Self {
            key,
            support: Support::Missing,
            note,
        }
    }
}

/// A `config` block, or a block inside it.
#[derive(Clone, Debug)]
pub(crate) struct Section<'a> {
    path: String,
    map: &'a Map<String, Value>,
}

impl<'a> Section<'a> {
    pub(crate) fn root(map: &'a Map<String, Value>) -> Self {
        Self {
            path: String::new(),
            map,
        }
    }

    /// Holds every key against the table; gives warnings for those without effect.
    pub(crate) fn check(&self, keys: &[ConfigKey]) -> Result<Vec<String>, ConfigError> {
        let mut warnings = Vec::new();
        for (key, value) in self.map {
            let Some(row) = keys.iter().find(|row| row.key == key) else {
                return Err(self.error(key, unknown(key, keys)));
            };
            match row.support {
                Support::Full => {}
                Support::Ignored if value.is_null() => {}
                Support::Ignored => {
                    warnings.push(format!("config.{} has no effect: {}", self.at(key), row.note));
                }
                Support::Missing => {
                    return Err(self.error(key, format!("is not supported yet: {}", row.note)));
                }
            }
        }
        Ok(warnings)
    }

    fn at(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    pub(crate) fn error(&self, key: &str, problem: impl Into<String>) -> ConfigError {
        ConfigError::new(self.at(key), problem)
    }

    fn value(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    fn wrong(&self, key: &str, wanted: &str, value: &Value) -> ConfigError {
        self.error(key, format!("must be {wanted}, not {value}"))
    }

    pub(crate) fn string(&self, key: &str) -> Result<Option<String>, ConfigError> {
        let Some(value) = self.value(key) else {
            return Ok(None);
        };
        let text = scalar(value).ok_or_else(|| self.wrong(key, "a string", value))?;
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    pub(crate) fn required(&self, key: &str, example: &str) -> Result<String, ConfigError> {
        self.string(key)?
            .ok_or_else(|| self.error(key, format!("is required, for example {example}")))
    }

    pub(crate) fn boolean(&self, key: &str) -> Result<bool, ConfigError> {
        match self.value(key) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(Value::String(text)) if text == "true" || text == "1" => Ok(true),
            Some(Value::String(text)) if text == "false" || text == "0" || text.is_empty() => Ok(false),
            Some(value) => Err(self.wrong(key, "true or false", value)),
        }
    }

    pub(crate) fn integer(&self, key: &str) -> Result<Option<i64>, ConfigError> {
        let Some(value) = self.value(key) else {
            return Ok(None);
        };
        let number = match value {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        number
            .map(Some)
            .ok_or_else(|| self.wrong(key, "a whole number", value))
    }

    /// A list of strings; one string stands for a list of one.
    pub(crate) fn strings(&self, key: &str) -> Result<Vec<String>, ConfigError> {
        match self.value(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => items
                .iter()
                .map(|item| scalar(item).ok_or_else(|| self.wrong(key, "a list of strings", item)))
                .collect(),
            Some(value) => {
                let text = scalar(value).ok_or_else(|| self.wrong(key, "a list of strings", value))?;
                Ok(vec![text])
            }
        }
    }

    /// A map of strings: one block, several, or an attribute.
    pub(crate) fn pairs(&self, key: &str) -> Result<BTreeMap<String, String>, ConfigError> {
        let mut pairs = BTreeMap::new();
        for section in self.sections(key)? {
            for (name, value) in section.map {
                let text = scalar(value).ok_or_else(|| section.wrong(name, "a string", value))?;
                pairs.insert(name.clone(), text);
            }
        }
        Ok(pairs)
    }

    /// The blocks of the given name.
    pub(crate) fn sections(&self, key: &str) -> Result<Vec<Self>, ConfigError> {
        let wrong = |value| self.wrong(key, "a block", value);
        let section = |value: &'a Value| match value {
            Value::Object(map) => Ok(Section {
                path: self.at(key),
                map,
            }),
            other => Err(wrong(other)),
        };
        match self.value(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => items.iter().map(section).collect(),
            Some(value) => Ok(vec![section(value)?]),
        }
    }
}

/// A scalar as text, the way HCL converts one.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

fn unknown(key: &str, keys: &[ConfigKey]) -> String {
    let nearest = keys.iter().map(|row| (edits(key, row.key), row.key)).min();
    match nearest {
        Some((far, near)) if far <= near.len().div_ceil(3) => {
            format!("is unknown; did you mean {near:?}?")
        }
        _ => "is unknown; remove it".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const KEYS: &[ConfigKey] = &[
        ConfigKey::full("image", "the image"),
        ConfigKey::ignored("auth_soft_fail", "there is no helper to fail"),
        ConfigKey::missing("runtime", "the node decides"),
    ];

    fn check(config: Value) -> Result<Vec<String>, String> {
        let map = config.as_object().unwrap();
        Section::root(map).check(KEYS).map_err(|error| error.to_string())
    }

    #[test]
    fn keys_are_held_against_the_table() {
        assert_eq!(check(json!({"image": "x"})), Ok(vec![]));
        assert_eq!(
            check(json!({"auth_soft_fail": true})),
            Ok(vec![
                "config.auth_soft_fail has no effect: there is no helper to fail".into()
            ])
        );
        let refused = [
            (
                json!({"runtime": "runc"}),
                "config.runtime: is not supported yet: the node decides",
            ),
            (
                json!({"imgae": "x"}),
                "config.imgae: is unknown; did you mean \"image\"?",
            ),
            (json!({"zzzzzzzz": 1}), "config.zzzzzzzz: is unknown; remove it"),
        ];
        for (config, message) in refused {
            assert_eq!(check(config), Err(message.into()));
        }
    }

    #[test]
    fn values_are_converted_as_hcl_does_and_errors_name_the_key() {
        let map =
            json!({"n": "8080", "b": "true", "s": 5, "l": "one", "m": [{"a": 1}, {"b": "x"}], "bad": {}});
        let section = Section::root(map.as_object().unwrap());
        assert_eq!(section.integer("n"), Ok(Some(8080)));
        assert_eq!(section.boolean("b"), Ok(true));
        assert_eq!(section.string("s"), Ok(Some("5".into())));
        assert_eq!(section.strings("l"), Ok(vec!["one".into()]));
        assert_eq!(
            section.pairs("m").unwrap(),
            [("a".into(), "1".into()), ("b".into(), "x".into())].into()
        );
        let error = section.integer("bad").unwrap_err().to_string();
        assert_eq!(error, "config.bad: must be a whole number, not {}");
    }
}
