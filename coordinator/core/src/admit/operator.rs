//! The region's scheduler settings, and node pools.

use std::collections::BTreeSet;
use std::sync::Arc;

use holdfast_shared::model::{NodePool, SchedulerConfiguration};

use crate::effect::{Refusal, Response};
use crate::ledger::Ledger;
use crate::state::{Delta, State};

/// The longest name of a pool.
const NAME_LEN_MAX: usize = 128;

/// The longest description of a pool.
const DESCRIPTION_LEN_MAX: usize = 256;

/// Changes the region's scheduler settings, if they are as the operator believes.
pub(super) fn set_scheduler(
    ledger: &mut Ledger,
    configuration: SchedulerConfiguration,
    check_index: Option<u64>,
) -> Result<Response, Refusal> {
    let old = Arc::clone(&ledger.state.scheduling);
    if check_index.is_some_and(|wanted| wanted != old.modify_index) {
        let text = format!(
            "the scheduler configuration has modify index {}",
            old.modify_index
        );
        return Err(Refusal::Conflict(text));
    }
    let index = ledger.index();
    ledger.record(Delta::SchedulerConfiguration(Arc::new(SchedulerConfiguration {
        create_index: if old.create_index == 0 {
            index
        } else {
            old.create_index
        },
        modify_index: index,
        ..configuration
    })));
    Ok(done(ledger))
}

/// Makes a node pool, or changes it.
pub(super) fn put_pool(ledger: &mut Ledger, pool: NodePool) -> Result<Response, Refusal> {
    let name = &pool.name;
    let is_valid = !name.is_empty()
        && name.len() <= NAME_LEN_MAX
        && name
            .chars()
            .all(|it| it.is_ascii_alphanumeric() || matches!(it, '-' | '_'));
    if !is_valid {
        let text = format!("invalid name {name:?}: 1 to {NAME_LEN_MAX} letters, digits, - and _ are allowed");
        return Err(Refusal::Invalid(text));
    }
    if pool.description.chars().count() > DESCRIPTION_LEN_MAX {
        let text = format!("description longer than {DESCRIPTION_LEN_MAX} characters");
        return Err(Refusal::Invalid(text));
    }
    if NodePool::is_built_in(name) {
        return Err(Refusal::Invalid(format!(
            "modifying node pool {name:?} is not allowed"
        )));
    }
    let index = ledger.index();
    let old = ledger.state.pools.get(name).cloned();
    ledger.record(Delta::NodePool(Arc::new(NodePool {
        create_index: old.map_or(index, |old| old.create_index),
        modify_index: index,
        ..pool
    })));
    Ok(done(ledger))
}

/// Forgets a node pool that nobody is in and no job names.
pub(super) fn remove_pool(ledger: &mut Ledger, name: &str) -> Result<Response, Refusal> {
    if NodePool::is_built_in(name) {
        return Err(Refusal::Invalid(format!(
            "deleting node pool {name:?} is not allowed"
        )));
    }
    let users = users(&ledger.state, name);
    if !users.is_empty() {
        let region = &ledger.options.region;
        let text: Vec<String> = users
            .into_iter()
            .map(|users| format!("node pool {name:?} has {users} in regions: [{region}]"))
            .collect();
        return Err(Refusal::Invalid(text.join("; ")));
    }
    if !ledger.state.pools.contains_key(name) {
        return Err(Refusal::NotFound("node pool".into()));
    }
    ledger.record(Delta::RemoveNodePool(name.to_owned()));
    Ok(done(ledger))
}

/// What is in a pool.
fn users(state: &State, name: &str) -> BTreeSet<&'static str> {
    let nodes = state
        .nodes
        .values()
        .any(|node| node.fingerprint.node_pool == name);
    let jobs = state
        .jobs
        .values()
        .any(|job| job.node_pool() == name && job.status.as_deref() != Some("dead"));
    let nodes = nodes.then_some("nodes");
    nodes
        .into_iter()
        .chain(jobs.then_some("non-terminal jobs"))
        .collect()
}

fn done(ledger: &Ledger) -> Response {
    Response {
        index: ledger.state.index,
        ..Response::default()
    }
}
