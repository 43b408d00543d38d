//! What a job means: errors that keep it from being registered, warnings, and notes on what is different here.
//!
//! Deliberately not checked here: the configuration of drivers (that is the drivers'), and whether any node could
//! run the job (that is the scheduler's).

mod constraint;
mod errors;
mod group;
mod notes;
mod policy;
mod region;
mod service;
mod task;
mod warnings;

use std::collections::{BTreeMap, BTreeSet};

use holdfast_shared::model::{Job, JobType};

use errors::Errors;

/// What is wrong with a job, and what is doubtful.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Validation {
    /// Each keeps the job from being registered.
    pub errors: Vec<String>,
    /// Each is worth a look; the original says the same.
    pub warnings: Vec<String>,
    /// What Holdfast does differently with this job than Nomad does.
    pub notes: Vec<String>,
}

/// What validity depends on beside the job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The namespaces there are; `None` when that is checked elsewhere.
    pub namespaces: Option<BTreeSet<String>>,
    /// The node pools there are; `None` when that is checked elsewhere.
    pub node_pools: Option<BTreeSet<String>>,
    /// Whether tasks may use more memory than they reserve.
    pub memory_oversubscription: bool,
    /// The region that is asked, which knows no other; `None` when no region is.
    pub region: Option<String>,
}

/// Looks at a canonicalised job.
pub fn validate(job: &Job, surroundings: &Surroundings) -> Validation {
    let exposed = job.groups().iter().filter_map(service::exposed_checks);
    let mut errors: Vec<String> = exposed.chain(errors_of(job).into_vec()).collect();
    let uses_vault = job
        .groups()
        .iter()
        .flat_map(|group| group.tasks())
        .any(|task| task.vault.is_some());
    if uses_vault {
        errors.push("Vault \"default\" not enabled but used in the job".to_owned());
    }
    if let Some(namespaces) = &surroundings.namespaces
        && !namespaces.contains(job.namespace())
    {
        errors.push(format!(
            "job {:?} is in nonexistent namespace {:?}",
            job.id(),
            job.namespace()
        ));
    }
    if let Some(pools) = &surroundings.node_pools
        && !pools.contains(job.node_pool())
    {
        errors.push(format!(
            "job {:?} is in nonexistent node pool {:?}",
            job.id(),
            job.node_pool()
        ));
    }
    let mut notes = notes::of(job);
    if let Some(region) = &surroundings.region {
        match region::of(job, region) {
            Ok(note) => notes.extend(note),
            Err(error) => errors.push(error),
        }
    }
    Validation {
        errors,
        warnings: warnings::of(job, surroundings),
        notes,
    }
}

impl Validation {
    /// The errors as the API and the command line show them; empty when there are none.
    pub fn error_text(&self) -> String {
        if self.errors.is_empty() {
            String::new()
        } else {
            errors::list(&self.errors)
        }
    }

    /// The warnings as the API and the command line show them; empty when there are none.
    pub fn warning_text(&self) -> String {
        warning_list(&self.warnings)
    }

    /// Warnings and notes together.
    pub fn advice_text(&self) -> String {
        let all: Vec<String> = self.warnings.iter().chain(&self.notes).cloned().collect();
        warning_list(&all)
    }
}

fn warning_list(warnings: &[String]) -> String {
    let count = warnings.len();
    if count == 0 {
        return String::new();
    }
    let noun = if count == 1 { "warning" } else { "warnings" };
    let lines: Vec<String> = warnings.iter().map(|warning| format!("* {warning}")).collect();
    format!("{count} {noun}:\n\n{}", lines.join("\n"))
}

fn errors_of(job: &Job) -> Errors {
    let mut errors = Errors::default();
    errors.push_if(job.region().is_empty(), "Missing job region");
    match job.id() {
        "" => errors.push("Missing job ID"),
        id if id.contains(' ') => errors.push("Job ID contains a space"),
        id if id.contains('\0') => errors.push("Job ID contains a null character"),
        _ => {}
    }
    errors.push_if(job.name().is_empty(), "Missing job name");
    errors.push_if(job.name().contains('\0'), "Job Name contains a null character");
    let kind = job.kind.as_deref().unwrap_or("service");
    errors.push_if(
        JobType::parse(kind).is_none(),
        format_args!("Invalid job type: {kind:?}"),
    );
    errors.push_if(
        !(1..=100).contains(&job.priority()),
        "Job priority must be between [1, 100]",
    );
    errors.push_if(
        job.datacenters().contains(&""),
        "Job datacenter must be non-empty string",
    );
    errors.push_if(job.groups().is_empty(), "Missing job task groups");
    let kind = job.job_type();
    constraint::constraints(job.constraints.as_deref(), &mut errors);
    constraint::affinities(job.affinities.as_deref(), kind, &mut errors);
    constraint::spreads(job.spreads.as_deref(), kind, &mut errors);
    group_names(job, &mut errors);
    for group in job.groups() {
        errors.nest(
            format_args!("Task group {}", group.name()),
            group::errors(job, group),
        );
    }
    periodic(job, &mut errors);
    if let Some(parameterized) = &job.parameterized_job {
        if !kind.is_batch() {
            errors.push("Parameterized job can only be used with \"batch\" or \"sysbatch\" scheduler.");
        }
        errors.inline(policy::parameterized(parameterized));
    }
    errors
}

fn group_names(job: &Job, errors: &mut Errors) {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, group) in job.groups().iter().enumerate() {
        let number = index + 1;
        match (group.name(), seen.get(group.name())) {
            ("", _) => errors.push(format!("Job task group {number} missing name")),
            (name, Some(first)) => {
                errors.push(format!(
                    "Job task group {number} redefines '{name}' from group {first}"
                ));
            }
            (name, None) => {
                seen.insert(name, number);
            }
        }
        if job.job_type() == JobType::System && group.count.unwrap_or(1) > 1 {
            let count = group.count.unwrap_or(1);
            errors.push(format!(
                "Job task group {} has count {count}. Count cannot exceed 1 with system scheduler",
                group.name()
            ));
        }
    }
}

fn periodic(job: &Job, errors: &mut Errors) {
    let Some(periodic) = job.periodic.as_ref().filter(|periodic| periodic.is_enabled()) else {
        return;
    };
    if !job.job_type().is_batch() {
        errors.push("Periodic can only be used with \"batch\" or \"sysbatch\" scheduler");
    }
    errors.inline(policy::periodic(periodic));
}
