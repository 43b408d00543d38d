//! Comparing what is with what is expected, in words.

use serde_json::Value;

/// Collects what is wrong.
#[derive(Debug, Default)]
pub(super) struct Check {
    wrong: Vec<String>,
}

impl Check {
    /// Compares one value with the key of `expect`; a missing key expects nothing.
    pub(super) fn value(&mut self, expect: &Value, key: &str, actual: &Value) {
        if let Some(expected) = expect.get(key)
            && expected != actual
        {
            self.wrong
                .push(format!("{key}: expected {expected}, got {actual}"));
        }
    }

    /// Compares two lists whose order does not matter.
    pub(super) fn set(&mut self, expect: &Value, key: &str, actual: Vec<Value>) {
        let Some(expected) = expect.get(key).and_then(Value::as_array) else {
            return;
        };
        let sorted = |list: &[Value]| {
            let mut texts: Vec<String> = list.iter().map(Value::to_string).collect();
            texts.sort();
            texts
        };
        let (expected, actual) = (sorted(expected), sorted(&actual));
        if expected != actual {
            self.wrong
                .push(format!("{key}: expected {expected:?}, got {actual:?}"));
        }
    }

    /// Compares two numbers, with room for rounding.
    pub(super) fn number(&mut self, expect: &Value, key: &str, actual: Option<f64>) {
        let Some(expected) = expect.get(key) else { return };
        let same = match (expected.as_f64(), actual) {
            (Some(expected), Some(actual)) => (expected - actual).abs() <= 1e-6,
            (None, None) => true,
            _ => false,
        };
        if !same {
            self.wrong
                .push(format!("{key}: expected {expected}, got {actual:?}"));
        }
    }

    /// Something else is wrong.
    pub(super) fn fail(&mut self, why: impl Into<String>) {
        self.wrong.push(why.into());
    }

    /// The verdict.
    pub(super) fn verdict(self) -> Result<(), String> {
        if self.wrong.is_empty() {
            Ok(())
        } else {
            Err(self.wrong.join("; "))
        }
    }
}
