//! What agents report of their allocations becomes state here.
//!
//! A status only moves along the table of [`ClientStatus`]; whatever does not fit is an old report and changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use holdfast_shared::id::{AllocId, JobKey, NodeId};
use holdfast_shared::model::{AllocHealth, Allocation, ClientStatus, TaskRunState, TaskState, Trigger};
use holdfast_shared::time::{Duration, Timestamp};
use holdfast_shared::wire::{AllocReport, Report, TaskReport};

use crate::ledger::Ledger;

/// Start times by a node's clock that are off by no more than this are taken as they are.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(2);

/// Applies a report. Answers the allocations in it that have to end by name: the coordinator does not know them on this
/// node, or knows that they are over.
pub(crate) fn apply(ledger: &mut Ledger, node: NodeId, report: &Report) -> BTreeSet<AllocId> {
    let mut strays = BTreeSet::new();
    let mut wanted: BTreeMap<JobKey, Trigger> = BTreeMap::new();
    let mut changed = false;
    for entry in &report.allocs {
        let Some(old) = ledger
            .state
            .allocs
            .get(&entry.id)
            .filter(|alloc| alloc.node == node)
            .cloned()
        else {
            strays.insert(entry.id);
            continue;
        };
        let has_ended = matches!(old.client, ClientStatus::Complete | ClientStatus::Failed);
        if report.full && old.is_server_terminal() && has_ended && !entry.client.is_terminal() {
            // Its store has gone back to a time before its end (a full disk, a copy): it is told by name, like a stray.
            strays.insert(entry.id);
            continue;
        }
        let mut alloc = (*old).clone();
        merge(&mut alloc, entry, ledger.now, ledger.index());
        if alloc == *old {
            continue;
        }
        changed = true;
        if let Some(trigger) = trigger(&old, &alloc) {
            let slot = wanted.entry(alloc.job.clone()).or_insert(trigger);
            if trigger == Trigger::Reconnect {
                *slot = trigger;
            }
        }
        ledger.put_alloc(alloc);
    }
    if changed && let Some(old) = ledger.state.nodes.get(&node).cloned() {
        let mut old = (*old).clone();
        old.alloc_update_index = ledger.index();
        ledger.put_node(old);
    }
    for (job, trigger) in wanted {
        ledger.evaluate(&job, trigger);
    }
    strays
}

/// Why a changed allocation asks for an evaluation (`scheduling-semantics.md` 6.1).
fn trigger(old: &Allocation, new: &Allocation) -> Option<Trigger> {
    if old.client == new.client {
        return None;
    }
    if old.client == ClientStatus::Unknown {
        return Some(Trigger::Reconnect);
    }
    let over = matches!(new.client, ClientStatus::Failed | ClientStatus::Complete);
    (over && !new.is_server_terminal() && new.followup_eval.is_none()).then_some(Trigger::AllocFailure)
}

/// Lays what the agent says over what is known.
fn merge(alloc: &mut Allocation, entry: &AllocReport, now: Timestamp, index: u64) {
    let before = alloc.client;
    let expected = match entry.client {
        ClientStatus::Running => alloc.client.on_running(),
        ClientStatus::Complete => alloc.client.on_complete(),
        ClientStatus::Failed => alloc.client.on_failed(),
        ClientStatus::Pending => before == ClientStatus::Pending,
        ClientStatus::Lost | ClientStatus::Unknown => false,
    };
    if !expected {
        return;
    }
    alloc.client_description = entry.description.as_str().into();
    let away = alloc.last_unknown().is_some_and(|(_, newest)| newest);
    if alloc.client == ClientStatus::Failed && before != ClientStatus::Failed && !away {
        alloc.client_history.push((ClientStatus::Failed, now));
    }
    for task in &entry.tasks {
        let state = task_state(task, alloc.task_states.get(&task.name), now);
        // All allocations of a group have these names in common.
        let known = alloc.resources.tasks.name_of(&task.name);
        let name = known.map_or_else(|| task.name.as_str().into(), Arc::clone);
        alloc.task_states.insert(name, state);
    }
    if !entry.address.is_empty() {
        let network = alloc.network.get_or_insert_default();
        entry.address.clone_into(&mut network.address);
    }
    // Who failed is not well, whether or not anybody watched.
    let gave_up = (alloc.client == ClientStatus::Failed && alloc.deployment.is_some()).then_some(false);
    if let Some(healthy) = entry.healthy.or(gave_up)
        && alloc.health.is_none()
    {
        alloc.health = Some(AllocHealth {
            healthy,
            time: now,
            modify_index: index,
        });
    }
}

/// The state of a task, with the start of its current run by the coordinator's own clock: nodes may boot in 1970.
fn task_state(report: &TaskReport, known: Option<&TaskState>, now: Timestamp) -> TaskState {
    let mut state: TaskState = report.clone().into();
    if state.state == TaskRunState::Running {
        let began = now - report.running_for;
        let restarted = state.restarts > 0 && state.last_restart.is_set();
        let known = known.map(|it| if restarted { it.last_restart } else { it.started_at });
        let claimed = if restarted {
            &mut state.last_restart
        } else {
            &mut state.started_at
        };
        let near = |at: Timestamp| at.since(began).max(began.since(at)) <= CLOCK_TOLERANCE;
        *claimed = match known.filter(|at| near(*at)) {
            Some(known) => known,
            None if near(*claimed) => *claimed,
            None => began,
        };
    }
    state
}
