//! `Key = Value` lines whose signs line up.

use std::fmt;

use super::NONE;

/// A list of labelled values, in the order in which they were added.
#[derive(Debug, Clone, Default)]
pub struct Labels {
    rows: Vec<(String, String)>,
}

impl Labels {
    /// No labels yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a value; an empty one shows as `<none>`.
    pub fn with(mut self, key: impl Into<String>, value: impl ToString) -> Self {
        self.push(key, value);
        self
    }

    /// Adds a value when there is one.
    pub fn with_some(self, key: &str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// Adds a value; an empty one shows as `<none>`.
    pub fn push(&mut self, key: impl Into<String>, value: impl ToString) {
        self.rows.push((key.into(), value.to_string()));
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self
            .rows
            .iter()
            .map(|(key, _)| key.chars().count())
            .max()
            .unwrap_or(0);
        for (index, (key, value)) in self.rows.iter().enumerate() {
            let value = if value.trim().is_empty() { NONE } else { value };
            let line_break = if index > 0 { "\n" } else { "" };
            write!(f, "{line_break}{key:width$} = {value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signs_line_up_and_an_empty_value_shows_as_none() {
        let labels = Labels::new()
            .with("ID", "web")
            .with("Node Pool", "")
            .with_some("Gone", None::<&str>);
        assert_eq!(labels.to_string(), "ID        = web\nNode Pool = <none>");
    }
}
