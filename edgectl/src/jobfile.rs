//! Job files: read, with their variables, into a job.
//!
//! Owns where a file comes from and in which of its notations it is. The language is `holdfast-jobspec`'s.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use holdfast_api::JobSubmission;
use holdfast_jobspec::ParseOptions;
use holdfast_shared::model::Job;

use crate::environment::Environment;

/// Which job file, and with which variables.
#[derive(Debug, Clone, Args)]
pub struct JobFile {
    /// The job file, or - for standard input
    pub path: PathBuf,
    /// The file holds the JSON of the API instead of HCL
    #[arg(long, help_heading = "Job file")]
    pub json: bool,
    /// A variable of the job file; may be repeated, and wins over files and the environment
    #[arg(long = "var", value_name = "NAME=VALUE", help_heading = "Job file")]
    pub vars: Vec<String>,
    /// A file with variables; may be repeated
    #[arg(long = "var-file", value_name = "FILE", help_heading = "Job file")]
    pub var_files: Vec<PathBuf>,
    /// Refuse variables that the job file does not declare (always so here; taken for compatibility)
    #[arg(long, hide = true)]
    pub hcl2_strict: bool,
}

/// A job and the text that it was written as.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The job, as written: the coordinator fills in the defaults.
    pub job: Job,
    /// What is kept of the file with the job.
    pub submission: JobSubmission,
}

impl JobFile {
    /// What people call the file.
    pub fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Reads the file.
    ///
    /// # Errors
    /// When it cannot be read, or everything that is wrong with it.
    pub fn load(&self, environment: &Environment) -> Result<Loaded> {
        self.read(environment).context("Error getting job struct")
    }

    fn read(&self, environment: &Environment) -> Result<Loaded> {
        let source = self.source()?;
        if self.json {
            let job =
                from_json(&source).with_context(|| format!("Error parsing job file from {}", self.name()))?;
            return Ok(Loaded {
                job,
                submission: submission(source, "json"),
            });
        }
        let options = self.options(environment)?;
        let job = holdfast_jobspec::parse_job(&source, &options)
            .map_err(|wrong| anyhow!("Error parsing job file from {}:\n{wrong}", self.name()))?;
        let submission = JobSubmission {
            variable_flags: self
                .vars
                .iter()
                .filter_map(|var| var.split_once('='))
                .map(owned)
                .collect(),
            variables: options.var_files.iter().map(|(_, text)| text.as_str()).collect(),
            ..submission(source, "hcl2")
        };
        Ok(Loaded { job, submission })
    }

    fn source(&self) -> Result<String> {
        if self.path == Path::new("-") {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .context("Error reading the job file from standard input")?;
            return Ok(text);
        }
        let name = self.name();
        if name.contains("://") {
            bail!("Error getting jobfile from {name:?}: only files of this machine are read; fetch it first");
        }
        let missing = |error| {
            anyhow!(
                "Error getting jobfile from {name:?}: source path error: {}",
                describe(&name, &error)
            )
        };
        std::fs::read_to_string(&self.path).map_err(missing)
    }

    fn options(&self, environment: &Environment) -> Result<ParseOptions> {
        let read = |path: &PathBuf| {
            let name = path.display().to_string();
            let text = std::fs::read_to_string(path).map_err(|error| {
                anyhow!(
                    "cannot read the variables of -var-file: {}",
                    describe(&name, &error)
                )
            })?;
            Ok((name, text))
        };
        let folder = self
            .path
            .parent()
            .filter(|it| !it.as_os_str().is_empty())
            .unwrap_or_else(|| Path::new("."));
        Ok(ParseOptions {
            file_name: self.name(),
            vars: self.vars.clone(),
            var_files: self.var_files.iter().map(read).collect::<Result<_>>()?,
            env: environment.all().map(owned).collect(),
            base: Some(folder.to_owned()),
        })
    }
}

/// An error of the file system in the words that scripts know.
fn describe(name: &str, error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => format!("stat {name}: no such file or directory"),
        std::io::ErrorKind::PermissionDenied => format!("open {name}: permission denied"),
        _ => format!("read {name}: {error}"),
    }
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

fn submission(source: String, format: &str) -> JobSubmission {
    JobSubmission {
        source,
        format: format.to_owned(),
        variable_flags: BTreeMap::new(),
        variables: String::new(),
    }
}

/// A job as the API writes it: bare, or as the field `Job` of an object, as `job inspect` prints it.
fn from_json(source: &str) -> Result<Job> {
    let mut value: serde_json::Value = serde_json::from_str(source).context("the file is not JSON")?;
    if let Some(inner) = value.get_mut("Job").filter(|it| it.is_object()) {
        value = inner.take();
    }
    let job: Job = serde_json::from_value(value).context("the file is not the JSON of a job")?;
    if job.id().is_empty() {
        bail!("the job has no ID: the JSON of a job is an object with ID, Type, TaskGroups, …");
    }
    Ok(job)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_read_bare_and_as_inspect_prints_it() {
        for source in [r#"{"ID": "web"}"#, r#"{"Job": {"ID": "web"}}"#] {
            assert_eq!(from_json(source).unwrap().id(), "web");
        }
        for source in ["", "{}", r#"{"Job": 3}"#, r#"{"ID": 3}"#] {
            assert!(from_json(source).is_err(), "{source}");
        }
    }
}
