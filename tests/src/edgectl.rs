//! `edgectl` as an operator runs it, and its tables as a test reads them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Output;

use anyhow::{Context as _, ensure};

use crate::machine::Machine;
use crate::process::binary;

/// `edgectl` on one machine.
#[derive(Debug)]
pub struct Edgectl<'a> {
    machine: &'a Machine,
    program: PathBuf,
    address: String,
}

/// What one run of `edgectl` printed, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Printed {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// Exit code; none when a signal ended it.
    pub code: Option<i32>,
}

/// One row of a table, by column heading.
pub type Row = BTreeMap<String, String>;

impl<'a> Edgectl<'a> {
    /// `edgectl` on `machine`, which asks the HTTP API at `address`.
    ///
    /// # Errors
    /// When it has not been built.
    pub(crate) fn new(machine: &'a Machine, address: &str) -> anyhow::Result<Self> {
        Ok(Self {
            machine,
            program: binary("edgectl")?,
            address: address.to_owned(),
        })
    }

    /// Runs `edgectl` with `args`, however it ends.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn try_run(&self, args: &[&str]) -> anyhow::Result<Printed> {
        let mut command = self.machine.limited_command(&self.program);
        command.env("NOMAD_ADDR", &self.address).args(args);
        let output = command
            .output()
            .with_context(|| format!("cannot start edgectl {}", args.join(" ")))?;
        Ok(Printed::from(output))
    }

    /// Runs `edgectl` with `args`, which has to succeed; returns what it printed.
    ///
    /// # Errors
    /// With everything it printed, when its exit code is not 0.
    pub fn run(&self, args: &[&str]) -> anyhow::Result<String> {
        let printed = self.try_run(args)?;
        ensure!(
            printed.code == Some(0),
            "edgectl {} ended with {:?}\n{}{}",
            args.join(" "),
            printed.code,
            printed.stdout,
            printed.stderr
        );
        Ok(printed.stdout)
    }
}

impl From<Output> for Printed {
    fn from(output: Output) -> Self {
        Self {
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            code: output.status.code(),
        }
    }
}

/// The table whose heading starts with `first_column`, in a text that may hold several.
///
/// Columns are told apart by two spaces or more, as everywhere in the output; a cell may be empty.
///
/// # Errors
/// When there is no such table.
pub fn table(text: &str, first_column: &str) -> anyhow::Result<Vec<Row>> {
    let is_heading = |line: &&str| line.starts_with(&format!("{first_column}  ")) && !line.contains(" = ");
    let mut lines = text.lines().skip_while(|line| !is_heading(line));
    let heading = lines
        .next()
        .with_context(|| format!("no table with column {first_column:?} in:\n{text}"))?;
    let columns = columns(heading);
    Ok(lines
        .take_while(|line| !line.trim().is_empty())
        .map(|line| row(line, &columns))
        .collect())
}

/// The value of `key` in a block of `Key = value` lines.
///
/// # Errors
/// When there is no such line.
pub fn field<'t>(text: &'t str, key: &str) -> anyhow::Result<&'t str> {
    text.lines()
        .filter_map(|line| line.split_once('='))
        .find(|(name, _)| name.trim() == key)
        .map(|(_, value)| value.trim())
        .with_context(|| format!("no line {key:?} in:\n{text}"))
}

/// Where each column of a heading starts, and its name.
fn columns(heading: &str) -> Vec<(usize, String)> {
    let mut columns: Vec<(usize, String)> = Vec::new();
    let mut gap = 2;
    for (position, letter) in heading.chars().enumerate() {
        if letter == ' ' {
            gap += 1;
            continue;
        }
        match columns.last_mut() {
            Some((_, name)) if gap < 2 => name.extend(std::iter::repeat_n(' ', gap).chain([letter])),
            _ => columns.push((position, letter.to_string())),
        }
        gap = 0;
    }
    columns
}

fn row(line: &str, columns: &[(usize, String)]) -> Row {
    let letters: Vec<char> = line.chars().collect();
    let ends = columns
        .iter()
        .skip(1)
        .map(|(start, _)| *start)
        .chain([letters.len()]);
    let cell = |start: usize, end: usize| letters.iter().take(end).skip(start).collect::<String>();
    columns
        .iter()
        .zip(ends)
        .map(|((start, name), end)| (name.clone(), cell(*start, end).trim().to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "\
ID            = edge
Status        = running

Allocations
ID        Node ID   Task Group  Version  Desired  Status    Created    Modified
3efff223  b3c31143  app         0        stop     complete  23s ago    3s ago
8bf3cb0b  ee3181d3  app         0        run      running   1m26s ago  3s ago

";

    #[test]
    fn tables_and_fields_are_read_from_the_recorded_output() {
        let rows = table(STATUS, "ID").unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!(
            (rows[0]["Node ID"].as_str(), rows[0]["Status"].as_str()),
            ("b3c31143", "complete")
        );
        assert_eq!(rows[1]["Created"], "1m26s ago");
        assert_eq!(field(STATUS, "Status").unwrap(), "running");
    }

    #[test]
    fn an_empty_cell_stays_empty() {
        let rows = table("Job ID  Tags  Alloc ID\nedge          8bf3cb0b", "Job ID").unwrap();
        assert_eq!(
            (rows[0]["Tags"].as_str(), rows[0]["Alloc ID"].as_str()),
            ("", "8bf3cb0b")
        );
    }

    #[test]
    fn a_missing_table_is_named_with_the_whole_text() {
        let error = table(STATUS, "Service Name").unwrap_err().to_string();
        assert!(
            error.contains("Service Name") && error.contains("3efff223"),
            "{error}"
        );
    }
}
