//! Versions of a job: returning to an earlier one, and saying which are worth returning to.

use holdfast_shared::model::Job;

use super::job::{self, Wish};
use crate::effect::{Refusal, Response};
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
    target.version_tag = None;
    let submission = ledger.state.submissions.get(&(current.key(), version));
    let wish = Wish {
        submission: submission.map(|it| Box::new((**it).clone())),
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
    Ok(Response {
        job_modify_index: current.job_modify_index.unwrap_or(0),
        index: ledger.state.index,
        ..Response::default()
    })
}
