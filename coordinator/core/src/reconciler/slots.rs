//! Slots: an allocation together with its replacements, in order of replacement.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_shared::id::AllocId;
use holdfast_shared::model::Allocation;

/// One place of a group's count, and every allocation that held it, first to last. Members that were stopped long ago
/// are among them: the chain runs through them.
#[derive(Debug, Clone, Default)]
pub(super) struct Slot<'a> {
    pub(super) members: Vec<&'a Allocation>,
}

impl Slot<'_> {
    /// The index in the name of its newest member.
    pub(super) fn index(&self) -> usize {
        self.members
            .iter()
            .rev()
            .find_map(|alloc| alloc.index())
            .unwrap_or(0)
    }
}

/// Sorts allocations of one group into slots.
pub(super) fn slots<'a>(allocs: &[&'a Allocation]) -> Vec<Slot<'a>> {
    let by_id: BTreeMap<AllocId, &Allocation> = allocs.iter().map(|alloc| (alloc.id, *alloc)).collect();
    let mut followers: BTreeMap<AllocId, BTreeSet<AllocId>> = BTreeMap::new();
    let mut has_origin: BTreeSet<AllocId> = BTreeSet::new();
    let links = allocs.iter().flat_map(|alloc| {
        let back = alloc.previous.get().map(|previous| (previous, alloc.id));
        let forth = alloc.next.get().map(|next| (alloc.id, next));
        back.into_iter().chain(forth)
    });
    for (from, to) in
        links.filter(|(from, to)| from != to && by_id.contains_key(from) && by_id.contains_key(to))
    {
        followers.entry(from).or_default().insert(to);
        has_origin.insert(to);
    }
    let mut placed: BTreeSet<AllocId> = BTreeSet::new();
    let origins = allocs.iter().filter(|alloc| !has_origin.contains(&alloc.id));
    // Links that run in a circle have no origin; they come last, so that nobody is left out.
    let circular = allocs.iter().filter(|alloc| has_origin.contains(&alloc.id));
    let mut slots = Vec::new();
    for origin in origins.chain(circular) {
        let mut slot = Slot::default();
        let mut level = vec![origin.id];
        while !level.is_empty() {
            level.retain(|id| placed.insert(*id));
            slot.members.extend(level.iter().filter_map(|id| by_id.get(id)));
            level = level
                .iter()
                .filter_map(|id| followers.get(id))
                .flatten()
                .copied()
                .collect();
        }
        if !slot.members.is_empty() {
            slots.push(slot);
        }
    }
    slots
}
