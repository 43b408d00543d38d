//! Launching instances of parameterized and periodic jobs on demand.

use std::collections::BTreeSet;

use holdfast_shared::model::{Job, Parameterized, Trigger};

use crate::children;
use crate::effect::{Refusal, Response};
use crate::input::Dispatch;
use crate::ledger::Ledger;

/// The longest payload.
const PAYLOAD_BYTES_MAX: usize = 16 * 1024;

/// Launches an instance of a parameterized job.
pub(super) fn dispatch(ledger: &mut Ledger, job: &Job, wish: &Dispatch) -> Result<Response, Refusal> {
    let (id, key) = (job.id(), job.key());
    let block = job.parameterized_job.as_ref().filter(|_| !job.dispatched);
    let Some(block) = block else {
        return Err(Refusal::Invalid(format!(
            "Specified job {id:?} is not a parameterized job"
        )));
    };
    if job.is_stopped() {
        return Err(Refusal::Invalid(format!("Specified job {id:?} is stopped")));
    }
    accepts(block, wish).map_err(Refusal::Invalid)?;
    let token = &wish.idempotency_token;
    let same = |child: &&std::sync::Arc<Job>| child.dispatch_idempotency_token.as_ref() == Some(token);
    if !token.is_empty()
        && let Some(child) = ledger.state.children_of(&key).find(same)
    {
        // Whoever asks again, because the answer got lost, is told of the one that there is.
        return Ok(Response {
            job_modify_index: child.create_index(),
            launched: Some(child.id().to_owned()),
            index: ledger.state.index,
            ..Response::default()
        });
    }
    let chance = (ledger.ids.next_u64() >> 32) as u32;
    let prefix = if wish.id_prefix.is_empty() {
        String::new()
    } else {
        format!("{}-", wish.id_prefix)
    };
    let name = format!("{id}/dispatch-{prefix}{}-{chance:08x}", ledger.now.as_secs());
    let mut child = children::derive(job, name);
    child.dispatched = true;
    child.dispatch_idempotency_token = Some(token.clone());
    child.payload = Some(wish.payload.clone()).filter(|it| !it.is_empty());
    if !wish.meta.is_empty() {
        child.meta.get_or_insert_default().extend(wish.meta.clone());
    }
    Ok(children::launch(ledger, child, Trigger::JobRegister))
}

/// Whether a parameterized job takes what it is dispatched with; if not, why.
fn accepts(block: &Parameterized, wish: &Dispatch) -> Result<(), String> {
    // Four characters are three bytes.
    let length = wish.payload.trim_end_matches('=').len() * 3 / 4;
    match (block.payload.as_str(), length) {
        ("required", 0) => return Err("Payload is not provided but required by parameterized job".into()),
        ("forbidden", 1..) => return Err("Payload provided but forbidden by parameterized job".into()),
        (_, length) if length > PAYLOAD_BYTES_MAX => {
            return Err(format!(
                "Payload exceeds maximum size; {length} > {PAYLOAD_BYTES_MAX}"
            ));
        }
        _ => {}
    }
    if wish.id_prefix.contains([' ', '\0', '/']) {
        return Err(format!(
            "ID prefix template {:?} must not contain blanks or slashes",
            wish.id_prefix
        ));
    }
    let names = |list: &Option<Vec<String>>| list.iter().flatten().cloned().collect::<BTreeSet<String>>();
    let (required, optional) = (names(&block.meta_required), names(&block.meta_optional));
    let given: BTreeSet<String> = wish.meta.keys().cloned().collect();
    let allowed: BTreeSet<String> = required.union(&optional).cloned().collect();
    let list = |names: Vec<&String>| {
        let names: Vec<&str> = names.into_iter().map(String::as_str).collect();
        names.join(" ")
    };
    let surplus: Vec<&String> = given.difference(&allowed).collect();
    if !surplus.is_empty() {
        return Err(format!(
            "Dispatch request included unpermitted metadata keys: [{}]",
            list(surplus)
        ));
    }
    let missing: Vec<&String> = required.difference(&given).collect();
    if !missing.is_empty() {
        return Err(format!(
            "Dispatch did not provide required meta keys: [{}]",
            list(missing)
        ));
    }
    Ok(())
}

/// Launches an instance of a periodic job, whatever the clock says.
pub(super) fn launch_now(ledger: &mut Ledger, job: &Job) -> Result<Response, Refusal> {
    let refuse = |what: &str| Err(Refusal::Invalid(format!("can't force launch {what} job")));
    match &job.periodic {
        None => return refuse("non-periodic"),
        Some(_) if job.is_stopped() => return refuse("stopped"),
        Some(_) if job.parameterized_job.is_some() && !job.dispatched => return refuse("parameterized"),
        Some(periodic) if !periodic.is_enabled() => return refuse("disabled periodic"),
        Some(_) => {}
    }
    let child = children::of_launch(job, ledger.now);
    Ok(children::launch(ledger, child, Trigger::PeriodicJob))
}
