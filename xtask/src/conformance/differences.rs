//! The one table of cases that we answer otherwise than the original, on purpose.

use std::collections::BTreeMap;
use std::fs;

use anyhow::Context as _;
use serde::Deserialize;

use crate::repository::root;

#[derive(Debug, Deserialize)]
struct Table {
    difference: Vec<Difference>,
}

#[derive(Debug, Deserialize)]
struct Difference {
    case: String,
    reason: String,
}

/// Reason by case.
#[derive(Debug, Default)]
pub(super) struct Differences(BTreeMap<String, String>);

impl Differences {
    /// Reads `tests/vectors/differences.toml`.
    pub(super) fn read() -> anyhow::Result<Self> {
        let file = root().join("tests/vectors/differences.toml");
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let table: Table =
            toml::from_str(&text).with_context(|| format!("{} is not right", file.display()))?;
        let rows = table.difference.into_iter();
        Ok(Self(rows.map(|row| (row.case, row.reason)).collect()))
    }

    /// Why this case is answered otherwise; `None` when it should not be.
    pub(super) fn reason(&self, case: &str) -> Option<&str> {
        self.0.get(case).map(String::as_str)
    }
}
