//! What a deployment does about nodes that are out of contact.
//!
//! The original waits for them until its deadline, and fails. Here they alone neither fail a deployment nor hold it up for
//! ever: see [`excuse`].

use std::sync::Arc;

use holdfast_shared::id::JobKey;
use holdfast_shared::model::{Allocation, ClientStatus, Deployment, Trigger};

use super::change;
use crate::ledger::Ledger;
use crate::state::State;

/// The allocations of a group that may still become healthy.
pub(super) fn undecided<'a>(
    state: &'a State,
    deployment: &'a Deployment,
    group: &'a str,
) -> impl Iterator<Item = &'a Arc<Allocation>> {
    let members = state
        .allocs_of_job(&deployment.job)
        .filter(move |it| it.deployment == Some(deployment.id) && *it.group == *group);
    members.filter(|alloc| alloc.health.is_none() && !alloc.is_terminal())
}

/// Whether nobody can say how the allocation is: its node is out of contact.
pub(super) fn is_absent(alloc: &Allocation) -> bool {
    alloc.client == ClientStatus::Unknown
}

/// Nodes out of contact neither fail a deployment nor hold it up for ever: their allocations leave it, so that they are
/// replaced as their group's `disconnect` block says, and the time of their groups begins anew.
pub(super) fn excuse(ledger: &mut Ledger, deployment: &Deployment, absent: Vec<Arc<Allocation>>) {
    if absent.is_empty() {
        return;
    }
    let now = ledger.now;
    change(ledger, deployment.id, |deployment| {
        for alloc in &absent {
            if let Some(group) = deployment.groups.find_mut(&alloc.group) {
                // Another canary is placed in its stead.
                group.excused += u64::from(!alloc.canary);
                if group.require_progress_by.is_set() {
                    group.require_progress_by = now + group.progress_deadline;
                }
            }
        }
    });
    let left: Vec<Allocation> = absent
        .into_iter()
        .map(|alloc| Allocation {
            deployment: None,
            ..(*alloc).clone()
        })
        .collect();
    replace_absent(ledger, &deployment.job, left);
    let mut eval = ledger.new_eval(&deployment.job, Trigger::DeploymentWatcher);
    eval.deployment = Some(deployment.id);
    ledger.put_eval(eval);
}

/// Allocations whose replacement had to wait for their deployment get it now.
pub(super) fn replace_absent(ledger: &mut Ledger, job: &JobKey, waiting: Vec<Allocation>) {
    if waiting.is_empty() {
        return;
    }
    let eval = ledger.evaluate(job, Trigger::AllocReschedule);
    for mut alloc in waiting {
        if alloc.next.is_none() {
            alloc.followup_eval = eval.into();
        }
        ledger.put_alloc(alloc);
    }
}
