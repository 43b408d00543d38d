//! Scores: how well a node suits a group. Formulas and when a component counts: `scheduling-semantics.md` 2.2 and 2.3.

use holdfast_shared::model::{NodeResources, TaskResources};

/// What is taken of a node, and what there is to take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Megahertz.
    pub cpu_mhz: u64,
    /// Megabytes of memory.
    pub memory_mb: u64,
    /// Megabytes of disk.
    pub disk_mb: u64,
}

impl Usage {
    /// What a node has to give to allocations.
    pub fn capacity(node: &NodeResources) -> Self {
        Self {
            cpu_mhz: node.cpu_mhz.saturating_sub(node.reserved_cpu_mhz),
            memory_mb: node.memory_mb.saturating_sub(node.reserved_memory_mb),
            disk_mb: node.disk_mb.saturating_sub(node.reserved_disk_mb),
        }
    }

    /// What an allocation takes.
    pub fn of(resources: &TaskResources) -> Self {
        Self {
            cpu_mhz: resources.cpu_mhz(),
            memory_mb: resources.memory_mb(),
            disk_mb: resources.disk_mb,
        }
    }

    /// Adds what an allocation takes.
    pub fn add(&mut self, resources: &TaskResources) {
        self.plus(&Self::of(resources));
    }

    /// Adds this much.
    pub fn plus(&mut self, other: &Self) {
        self.cpu_mhz += other.cpu_mhz;
        self.memory_mb += other.memory_mb;
        self.disk_mb += other.disk_mb;
    }

    /// Takes away what an allocation took.
    pub fn subtract(&mut self, resources: &TaskResources) {
        self.minus(&Self::of(resources));
    }

    /// Takes away this much.
    pub fn minus(&mut self, other: &Self) {
        self.cpu_mhz -= other.cpu_mhz;
        self.memory_mb -= other.memory_mb;
        self.disk_mb -= other.disk_mb;
    }

    /// The first thing there is too little of.
    pub fn exceeds(&self, capacity: &Self) -> Option<&'static str> {
        [
            (self.cpu_mhz > capacity.cpu_mhz, "cpu"),
            (self.memory_mb > capacity.memory_mb, "memory"),
            (self.disk_mb > capacity.disk_mb, "disk"),
        ]
        .into_iter()
        .find_map(|(exceeded, name)| exceeded.then_some(name))
    }
}

/// How tightly a node is packed, 0 to 18: full nodes are best.
pub fn binpack(used: &Usage, capacity: &Usage) -> f64 {
    (20.0 - powers(used, capacity)).clamp(0.0, 18.0)
}

/// How empty a node is, 0 to 18: empty nodes are best.
pub fn spread(used: &Usage, capacity: &Usage) -> f64 {
    (powers(used, capacity) - 2.0).clamp(0.0, 18.0)
}

fn powers(used: &Usage, capacity: &Usage) -> f64 {
    let free = |used: u64, capacity: u64| 1.0 - used as f64 / capacity as f64;
    10f64.powf(free(used.cpu_mhz, capacity.cpu_mhz)) + 10f64.powf(free(used.memory_mb, capacity.memory_mb))
}

/// What allocations of the same group on the node cost; nothing when there are none.
pub fn anti_affinity(colliding: usize, count: usize) -> Option<f64> {
    (colliding > 0).then(|| -((colliding + 1) as f64) / count.max(1) as f64)
}

/// The share of affinities that a node satisfies, by weight; nothing when there are none.
pub fn affinity(weights: impl IntoIterator<Item = (i64, bool)>) -> Option<f64> {
    let (mut sum, mut total, mut any) = (0, 0, false);
    for (weight, satisfied) in weights {
        any = true;
        total += weight.abs();
        sum += if satisfied { weight } else { 0 };
    }
    any.then(|| {
        if total == 0 {
            0.0
        } else {
            sum as f64 / total as f64
        }
    })
}

/// The mean of the components that count.
pub fn mean(scores: impl IntoIterator<Item = f64>) -> f64 {
    let (mut sum, mut number) = (0.0, 0u32);
    for score in scores {
        sum += score;
        number += 1;
    }
    if number == 0 { 0.0 } else { sum / f64::from(number) }
}

/// How many nodes are scored: about log2 of them, more when affinities or spreads have to be weighed.
pub fn visit_limit(nodes: usize, batch: bool, weighs: bool, count: usize, node_limit: usize) -> usize {
    if weighs {
        return node_limit.max(count);
    }
    if batch || nodes < 2 {
        return 2;
    }
    let log = usize::BITS - (nodes - 1).leading_zeros();
    2.max(log as usize)
}

/// How many poor options are passed over, at most, while more may follow.
pub const SKIPPED_MAX: usize = 3;

/// Takes `limit` options from a stream into `taken`, in order; at most `skip_max` that score no better than 0 are only
/// taken when nothing else follows, the last one first.
pub fn visit<T>(
    options: impl Iterator<Item = T>,
    (limit, skip_max): (usize, usize),
    score: impl Fn(&T) -> f64,
    taken: &mut Vec<T>,
) {
    let mut skipped = Vec::new();
    for option in options {
        if score(&option) <= 0.0 && skipped.len() < skip_max {
            skipped.push(option);
            continue;
        }
        taken.push(option);
        if taken.len() >= limit {
            return;
        }
    }
    let room = limit.saturating_sub(taken.len());
    taken.extend(skipped.into_iter().rev().take(room));
}

/// The first of the options with the greatest score.
pub fn best<T>(options: &[T], score: impl Fn(&T) -> f64) -> Option<&T> {
    let mut best: Option<&T> = None;
    for option in options {
        if best.is_none_or(|best| score(option) > score(best)) {
            best = Some(option);
        }
    }
    best
}

/// The price of pushing out allocations of these priorities: the greatest, and a share for their number.
pub fn net_priority(evicted: &[i64]) -> f64 {
    let greatest = evicted.iter().copied().max().unwrap_or(0);
    let sum: i64 = evicted.iter().sum();
    greatest as f64
        + if greatest == 0 {
            0.0
        } else {
            sum as f64 / greatest as f64
        }
}

/// How little pushing out costs: close to 1 for few allocations of low priority.
pub fn preemption(net_priority: f64) -> f64 {
    1.0 / (1.0 + (0.0048 * (net_priority - 2048.0)).exp())
}
