//! Which copy lives on when an original is back: newer job version, then the group's strategy, then the original.
//!
//! `scheduling-semantics.md` 1.6, with our rules 2, 3 and 4 of 1.10: nothing is decided on an unconfirmed original, what
//! does not run never displaces what does, and the whole chain of replacements takes part.

use std::cmp::Ordering;

use holdfast_shared::model::{Allocation, ClientStatus, ReconcileStrategy};
use holdfast_shared::time::Timestamp;

/// Which of two copies lives on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// The one that was there first.
    Original,
    /// The one that took its place.
    Replacement,
}

/// Which of two copies the strategy prefers, whatever they do at the moment. `leader` is the group's leader task.
pub fn pick(
    strategy: ReconcileStrategy,
    original: &Allocation,
    replacement: &Allocation,
    leader: Option<&str>,
) -> Keep {
    let age = |alloc: &Allocation| (alloc.job_create_index, alloc.job_version);
    let newer = replacement.job_version > original.job_version
        || replacement.job_create_index > original.job_create_index;
    if newer {
        return Keep::Replacement;
    }
    debug_assert!(
        age(replacement) <= age(original),
        "not newer in one and newer in the other"
    );
    match strategy {
        ReconcileStrategy::KeepOriginal => Keep::Original,
        ReconcileStrategy::KeepReplacement => Keep::Replacement,
        ReconcileStrategy::BestScore => best_score(original, replacement),
        ReconcileStrategy::LongestRunning => match (
            running_since(original, leader),
            running_since(replacement, leader),
        ) {
            (None, None) => best_score(original, replacement),
            (Some(_), None) => Keep::Original,
            (None, Some(_)) => Keep::Replacement,
            (Some(mine), Some(other)) if mine < other => Keep::Original,
            (Some(_), Some(_)) => Keep::Replacement,
        },
    }
}

fn best_score(original: &Allocation, replacement: &Allocation) -> Keep {
    let runs = |alloc: &Allocation| alloc.client == ClientStatus::Running;
    let better = compare_rank(replacement, original).is_gt();
    if better && (runs(replacement) || !runs(original)) {
        Keep::Replacement
    } else {
        Keep::Original
    }
}

/// Compares the ranks of the nodes of two allocations; none is less than any.
fn compare_rank(a: &Allocation, b: &Allocation) -> Ordering {
    match (a.node_rank(), b.node_rank()) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Less,
        (Some(_), None) => Ordering::Greater,
        (Some(a), Some(b)) => a.total_cmp(&b),
    }
}

/// Since when the current run lasts: of the leader task if there is one, else of the task that started first.
fn running_since(alloc: &Allocation, leader: Option<&str>) -> Option<Timestamp> {
    let leader = leader.filter(|name| alloc.task_states.contains_key(name));
    let starts = alloc
        .task_states
        .iter()
        .filter(|(name, _)| leader.is_none_or(|leader| leader == *name))
        .map(|(_, task)| {
            if task.restarts > 0 && task.last_restart.is_set() {
                task.last_restart
            } else {
                task.started_at
            }
        })
        .filter(|at| at.is_set());
    starts.min()
}

/// Who of a slot ends.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Verdict<'a> {
    /// Those that end because another one is better.
    pub(super) not_needed: Vec<&'a Allocation>,
    /// Those that end because their original is back.
    pub(super) displaced: Vec<&'a Allocation>,
}

/// Compares the first of a chain with all who follow it, and answers who ends. `chain` is in order of replacement; the
/// first one is in contact.
pub(super) fn settle<'a>(
    chain: &[&'a Allocation],
    strategy: ReconcileStrategy,
    leader: Option<&str>,
) -> Verdict<'a> {
    let mut verdict = Verdict::default();
    let Some((original, followers)) = chain.split_first() else {
        return verdict;
    };
    let runs = |alloc: &Allocation| alloc.client == ClientStatus::Running;
    let mut winners: Vec<&Allocation> = Vec::new();
    for follower in followers {
        let newer = (follower.job_create_index, follower.job_version)
            > (original.job_create_index, original.job_version);
        let picked = pick(strategy, original, follower, leader);
        match picked {
            // Back, but it does not run: that is no reason to end what does.
            Keep::Original if runs(follower) && !runs(original) => winners.push(follower),
            Keep::Original => verdict.displaced.push(follower),
            // It would win, but nobody knows what it does: both stay until it is back.
            Keep::Replacement if follower.client == ClientStatus::Unknown => {}
            Keep::Replacement if newer || runs(follower) || !runs(original) => winners.push(follower),
            Keep::Replacement => verdict.displaced.push(follower),
        }
    }
    if winners.is_empty() {
        return verdict;
    }
    verdict.not_needed.push(original);
    let age = |alloc: &Allocation| (alloc.job_create_index, alloc.job_version);
    let mut best = winners[0];
    for winner in &winners[1..] {
        if age(winner)
            .cmp(&age(best))
            .then_with(|| compare_rank(winner, best))
            .is_gt()
        {
            best = winner;
        }
    }
    verdict
        .not_needed
        .extend(winners.into_iter().filter(|winner| winner.id != best.id));
    verdict
}
