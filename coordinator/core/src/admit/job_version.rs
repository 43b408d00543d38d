//! Versions of a job: returning to an earlier one, saying which are worth returning to, and naming them.

use holdfast_shared::model::{Job, VersionTag};

use super::job::{self, Wish};
use crate::effect::{Refusal, Response};
use crate::history;
use crate::ledger::Ledger;

fn version_of(ledger: &Ledger, job: &Job, version: u64) -> Result<Job, Refusal> {
    let key = job.key();
    let known = ledger.state.versions.get(&(key.clone(), version));
    known.map(|it| (**it).clone()).ok_or_else(|| {
        let (id, namespace) = (key.id, key.namespace);
        Refusal::NotFound(format!(
            "job {id:?} in namespace {namespace:?} at version {version}"
        ))
    })
}

/// Registers an earlier version anew, as the newest one.
pub(super) fn revert(
    ledger: &mut Ledger,
    current: &Job,
    version: u64,
    enforce_prior: Option<u64>,
) -> Result<Response, Refusal> {
    if version == current.version() {
        return Err(Refusal::Invalid("can't revert to current version".into()));
    }
    let mut target = version_of(ledger, current, version)?;
    if let Some(prior) = enforce_prior.filter(|prior| *prior != current.version()) {
        let text = format!(
            "Current job has version {}; enforcing version {prior}",
            current.version()
        );
        return Err(Refusal::Conflict(text));
    }
    target.stable = Some(false);
    let wish = Wish {
        submission: history::submission(&ledger.state, &current.key(), version),
        ..Wish::default()
    };
    job::register(ledger, target, wish)
}

/// Says whether a version is one to return to.
pub(super) fn set_stable(
    ledger: &mut Ledger,
    current: &Job,
    version: u64,
    stable: bool,
) -> Result<Response, Refusal> {
    let target = version_of(ledger, current, version)?;
    if target.stable != Some(stable) {
        ledger.put_job(Job {
            stable: Some(stable),
            ..target
        });
    }
    Ok(unchanged(ledger, current))
}

/// Gives a version a name, so that it is found by it and never forgotten.
pub(super) fn tag(
    ledger: &mut Ledger,
    current: &Job,
    version: u64,
    mut tag: VersionTag,
) -> Result<Response, Refusal> {
    if tag.name.is_empty() {
        return Err(Refusal::Invalid("tag name required".into()));
    }
    let target = version_of(ledger, current, version)?;
    if tagged(ledger, current, &tag.name).is_some_and(|other| other.version() != version) {
        let text = format!(
            "tag {:?} already exists on a different version of job {:?}",
            tag.name,
            current.id()
        );
        return Err(Refusal::Invalid(text));
    }
    tag.tagged_time = ledger.now.0;
    ledger.put_job(Job {
        version_tag: Some(tag),
        ..target
    });
    Ok(unchanged(ledger, current))
}

/// Takes a name away from the version that has it.
pub(super) fn untag(ledger: &mut Ledger, current: &Job, name: &str) -> Result<Response, Refusal> {
    let Some(target) = tagged(ledger, current, name) else {
        return Err(Refusal::NotFound(format!(
            "tag {name:?} on job {:?}",
            current.id()
        )));
    };
    ledger.put_job(Job {
        version_tag: None,
        ..target
    });
    Ok(unchanged(ledger, current))
}

/// The version of a job that has this name.
fn tagged(ledger: &Ledger, job: &Job, name: &str) -> Option<Job> {
    let key = job.key();
    let mut versions = ledger.state.versions_of_job(&key);
    let found = versions.find(|it| it.version_tag.as_ref().is_some_and(|tag| tag.name == name))?;
    Some((**found).clone())
}

/// The answer when the specification stays what it is.
fn unchanged(ledger: &Ledger, current: &Job) -> Response {
    Response {
        job_modify_index: current.job_modify_index.unwrap_or(0),
        index: ledger.state.index,
        ..Response::default()
    }
}
