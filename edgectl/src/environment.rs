//! The environment of one run: what the variables say, and where a file is looked for.
//!
//! Every variable of the original is read under two names: `EDGE_X` wins over `NOMAD_X`.

use std::collections::BTreeMap;

/// The prefixes of our variables, the stronger one first.
const PREFIXES: [&str; 2] = ["EDGE_", "NOMAD_"];

/// The environment variables of one run.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
}

impl Environment {
    /// The variables of this process; a value that is no text is skipped.
    pub fn of_process() -> Self {
        let text = |(key, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((key.into_string().ok()?, value.into_string().ok()?))
        };
        std::env::vars_os().filter_map(text).collect()
    }

    /// The variable `name`, exactly.
    pub fn raw(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// `EDGE_<name>`, or else `NOMAD_<name>`; an empty one counts as absent.
    pub fn setting(&self, name: &str) -> Option<&str> {
        PREFIXES
            .iter()
            .find_map(|prefix| self.raw(&format!("{prefix}{name}")))
            .filter(|value| !value.is_empty())
    }

    /// A setting that is on or off; what is neither counts as absent.
    pub fn switch(&self, name: &str) -> Option<bool> {
        match self.setting(name)? {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
            _ => None,
        }
    }

    /// All variables.
    pub fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Self {
        Self {
            variables: variables
                .into_iter()
                .map(|(key, value)| (key.into(), value.into()))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_variables_win_over_the_originals() {
        let environment: Environment = [
            ("NOMAD_ADDR", "a"),
            ("EDGE_ADDR", "b"),
            ("NOMAD_REGION", "c"),
            ("EDGE_TOKEN", ""),
        ]
        .into_iter()
        .collect();
        assert_eq!(environment.setting("ADDR"), Some("b"));
        assert_eq!(environment.setting("REGION"), Some("c"));
        assert_eq!(environment.setting("TOKEN"), None);
    }
}
