//! Making room: which allocations of lower priority give way (`scheduling-semantics.md` 2.5).

use std::collections::BTreeMap;

use holdfast_shared::id::{AllocId, JobKey};
use holdfast_shared::model::{Allocation, Job};

use super::fleet::{Fleet, Room};
use super::look::devices_for;
use super::ports;
use super::rank::Usage;
use super::terms::Terms;
use crate::state::State;

/// The names of groups that lost allocations in an evaluation, and how many.
pub(super) type Gone = BTreeMap<(JobKey, Box<str>), i64>;

/// Looking for nodes on which others give way.
pub(super) struct Evicting<'l> {
    /// The state with everything that this evaluation has decided.
    pub(super) now: &'l State,
    pub(super) job: &'l Job,
    pub(super) gone: &'l Gone,
    /// Who gives way on each row that was looked at.
    pub(super) victims: BTreeMap<u32, Vec<Occupant>>,
}

impl Evicting<'_> {
    /// Makes room on a node; answers what is taken of it then, with the allocation that is to be placed.
    pub(super) fn make_room(&mut self, fleet: &Fleet, row: u32, terms: &Terms<'_>) -> Option<Usage> {
        let room = fleet.room(row);
        let occupants = self.occupants(fleet, row, terms)?;
        let victims = victims(&terms.ask, room, occupants)?;
        let (mut used, mut taken) = (room.used, fleet.ports(row).clone());
        for victim in &victims {
            let alloc = self.now.allocs.get(&victim.alloc)?;
            used.subtract(&alloc.resources);
            taken.remove(fleet.node(row), &alloc.ports);
        }
        used.plus(&terms.ask);
        let fits = used.exceeds(&room.capacity).is_none()
            && ports::fit(&terms.ports, fleet.node(row), &taken).is_ok()
            // Nobody gives way for a device.
            && devices_for(fleet, row, terms).is_some();
        if !fits || victims.is_empty() {
            return None;
        }
        self.victims.insert(row, victims);
        Some(used)
    }

    /// The priorities of those who give way in a row.
    pub(super) fn priorities(&self, row: u32) -> Vec<i64> {
        let victims = self.victims.get(&row);
        victims.into_iter().flatten().map(|it| it.priority).collect()
    }

    /// Who may be pushed out of a node; `None` when somebody else has a port that is asked for.
    fn occupants(&self, fleet: &Fleet, row: u32, terms: &Terms<'_>) -> Option<Vec<Occupant>> {
        let (key, priority) = (self.job.key(), self.job.priority());
        let mut occupants = Vec::new();
        for alloc in self.now.allocs_of_node(fleet.id(row)) {
            if !fleet.counts(alloc) {
                continue;
            }
            let blocks = terms.ports.collides(fleet.node(row), &alloc.ports);
            let job = self.now.job_of(alloc);
            let theirs = job.map_or(priority, |job| job.priority());
            if alloc.job != key && may_push_out(priority, theirs) {
                occupants.push(self.occupant(alloc, job.map(|job| &**job), blocks));
            } else if blocks {
                return None;
            }
        }
        Some(occupants)
    }

    fn occupant(&self, alloc: &Allocation, job: Option<&Job>, blocks: bool) -> Occupant {
        let group = job.and_then(|job| job.group(&alloc.group));
        let migrate = group.and_then(|group| group.migrate.as_ref());
        let key = (alloc.job.clone(), alloc.group.clone());
        Occupant {
            alloc: alloc.id,
            priority: job.map_or(0, Job::priority),
            usage: Usage::of(&alloc.resources),
            parallel: migrate.and_then(|it| it.max_parallel).unwrap_or(0),
            gone: self.gone.get(&key).copied().unwrap_or(0),
            blocks,
        }
    }
}

/// How much lower a priority must be to give way.
const PRIORITY_STEP: i64 = 10;
/// The price of every eviction beyond what the group may lose at a time.
const CROWD_PENALTY: f64 = 50.0;

/// An allocation that runs on the node.
#[derive(Debug, Clone)]
pub(super) struct Occupant {
    pub(super) alloc: AllocId,
    /// The priority of its job.
    pub(super) priority: i64,
    pub(super) usage: Usage,
    /// How many of its group may be moved at a time.
    pub(super) parallel: i64,
    /// How many of its group this evaluation has pushed out already.
    pub(super) gone: i64,
    /// Whether it has a port that is asked for: without it, nothing helps.
    pub(super) blocks: bool,
}

/// Whether a job of this priority may push out one of another.
pub(super) fn may_push_out(priority: i64, other: i64) -> bool {
    priority - other >= PRIORITY_STEP
}

/// The occupants that give way so that `ask` fits beside what stays; `None` when all of them together are not enough.
pub(super) fn victims(ask: &Usage, room: &Room, occupants: Vec<Occupant>) -> Option<Vec<Occupant>> {
    let (blocking, mut others): (Vec<_>, Vec<_>) = occupants.into_iter().partition(|it| it.blocks);
    let mut used = room.used;
    used.plus(ask);
    blocking.iter().for_each(|it| used.minus(&it.usage));
    let start = used;
    others.sort_by_key(|it| it.priority);
    let mut chosen: Vec<Occupant> = Vec::new();
    let mut missing = Missing::of(ask);
    while used.exceeds(&room.capacity).is_some() {
        let lowest = others.first()?.priority;
        let level = others.iter().take_while(|it| it.priority == lowest);
        let nearest = level
            .enumerate()
            .map(|(at, it)| (at, missing.distance(&it.usage) + penalty(it)))
            .min_by(|a, b| a.1.total_cmp(&b.1))?;
        let victim = others.remove(nearest.0);
        used.minus(&victim.usage);
        missing.subtract(&victim.usage);
        chosen.push(victim);
    }
    // Whoever was chosen before it was known who else goes may not be needed: the least fitting prove themselves first.
    let whole = Missing::of(ask);
    chosen.sort_by(|a, b| whole.distance(&b.usage).total_cmp(&whole.distance(&a.usage)));
    let mut used = start;
    let mut needed = blocking;
    for victim in chosen {
        if used.exceeds(&room.capacity).is_none() {
            break;
        }
        used.minus(&victim.usage);
        needed.push(victim);
    }
    Some(needed)
}

fn penalty(it: &Occupant) -> f64 {
    if it.parallel > 0 && it.gone >= it.parallel {
        (it.gone + 1 - it.parallel) as f64 * CROWD_PENALTY
    } else {
        0.0
    }
}

/// What is still missing; may be less than nothing.
#[derive(Debug, Clone, Copy)]
struct Missing([i64; 3]);

impl Missing {
    fn of(usage: &Usage) -> Self {
        Self(numbers(usage))
    }

    fn subtract(&mut self, usage: &Usage) {
        for (left, taken) in self.0.iter_mut().zip(numbers(usage)) {
            *left -= taken;
        }
    }

    /// How far what an allocation takes is from what is missing.
    fn distance(&self, usage: &Usage) -> f64 {
        let parts = self.0.iter().zip(numbers(usage));
        let relative = parts.filter(|(missing, _)| **missing > 0);
        relative
            .map(|(missing, taken)| ((missing - taken) as f64 / *missing as f64).powi(2))
            .sum::<f64>()
            .sqrt()
    }
}

fn numbers(usage: &Usage) -> [i64; 3] {
    [usage.memory_mb, usage.cpu_mhz, usage.disk_mb].map(|it| i64::try_from(it).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(cpu_mhz: u64, memory_mb: u64) -> Usage {
        Usage {
            cpu_mhz,
            memory_mb,
            disk_mb: 0,
        }
    }

    fn occupant(id: u128, priority: i64, usage: Usage) -> Occupant {
        Occupant {
            alloc: AllocId(id),
            priority,
            usage,
            parallel: 1,
            gone: 0,
            blocks: false,
        }
    }

    /// Who gives way on a node where so much is free beside the occupants.
    fn ids(ask: Usage, free: Usage, occupants: Vec<Occupant>) -> Option<Vec<u128>> {
        let mut used = Usage::default();
        occupants.iter().for_each(|it| used.plus(&it.usage));
        let mut capacity = used;
        capacity.plus(&free);
        let victims = victims(&ask, &Room { capacity, used }, occupants)?;
        Some(victims.iter().map(|it| it.alloc.0).collect())
    }

    #[test]
    fn the_lowest_priority_gives_way_first_and_the_nearest_of_them() {
        let occupants = vec![
            occupant(1, 30, usage(500, 500)),
            occupant(2, 20, usage(2000, 2000)),
            occupant(3, 20, usage(600, 600)),
        ];
        assert_eq!(ids(usage(600, 600), usage(0, 0), occupants), Some(vec![3]));
    }

    #[test]
    fn who_is_not_needed_stays() {
        let occupants = vec![
            occupant(1, 20, usage(100, 100)),
            occupant(2, 40, usage(5000, 5000)),
        ];
        assert_eq!(ids(usage(1000, 1000), usage(0, 0), occupants), Some(vec![2]));
    }

    #[test]
    fn too_little_from_all_of_them_is_none() {
        let occupants = vec![occupant(1, 20, usage(100, 100))];
        assert_eq!(ids(usage(1000, 1000), usage(0, 0), occupants), None);
    }

    #[test]
    fn on_a_node_that_gave_out_more_than_it_has_enough_of_them_give_way() {
        let room = Room {
            capacity: usage(1000, 1000),
            used: usage(1600, 1600),
        };
        let occupants = (1..=2).map(|id| occupant(id, 20, usage(800, 800))).collect();
        let victims = victims(&usage(500, 500), &room, occupants).unwrap();
        assert_eq!(victims.len(), 2);
    }

    #[test]
    fn a_group_that_has_lost_its_share_is_spared() {
        let mut tired = occupant(1, 20, usage(600, 600));
        tired.gone = 1;
        let occupants = vec![tired, occupant(2, 20, usage(900, 900))];
        assert_eq!(ids(usage(600, 600), usage(0, 0), occupants), Some(vec![2]));
    }

    #[test]
    fn who_has_the_port_goes_in_any_case() {
        let mut holder = occupant(1, 20, usage(100, 100));
        holder.blocks = true;
        let occupants = vec![holder, occupant(2, 20, usage(900, 900))];
        assert_eq!(ids(usage(50, 50), usage(500, 500), occupants), Some(vec![1]));
    }
}
