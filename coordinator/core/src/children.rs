//! Jobs that are launched from others: copies of a periodic or parameterized job that really run.

use holdfast_shared::model::{Job, Trigger};
use holdfast_shared::time::Timestamp;

use crate::admit::register_version;
use crate::effect::Response;
use crate::ledger::Ledger;

/// A copy of `parent` under an id of its own.
pub(crate) fn derive(parent: &Job, id: String) -> Job {
    Job {
        parent_id: Some(parent.id().to_owned()),
        name: Some(id.clone()),
        id: Some(id),
        status: None,
        status_description: None,
        stable: Some(false),
        ..parent.clone()
    }
}

/// What a periodic job launches at `time`.
pub(crate) fn of_launch(parent: &Job, time: Timestamp) -> Job {
    let id = format!("{}/periodic-{}", parent.id(), time.as_secs());
    Job {
        periodic: None,
        ..derive(parent, id)
    }
}

/// Registers a derived job, and asks for its evaluation unless it waits for the clock itself. One that is there already
/// is evaluated again.
pub(crate) fn launch(ledger: &mut Ledger, mut child: Job, trigger: Trigger) -> Response {
    let (key, is_template) = (child.key(), child.is_template());
    child.submit_time = Some(ledger.now.0);
    if !ledger.state.jobs.contains_key(&key) {
        register_version(ledger, child);
    }
    let eval = (!is_template).then(|| ledger.evaluate(&key, trigger));
    let job = ledger.state.jobs.get(&key);
    Response {
        eval,
        eval_create_index: eval.map_or(0, |_| ledger.index()),
        job_modify_index: job.map_or(0, |job| job.create_index()),
        launched: Some(key.id.to_string()),
        index: ledger.state.index,
        ..Response::default()
    }
}
