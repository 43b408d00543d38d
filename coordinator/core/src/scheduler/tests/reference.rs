//! A scheduler that is slow and obvious: every formula and order as `scheduling-semantics.md` section 2 says it, with
//! texts and lists, looked at anew for every node of every placement.

use std::collections::BTreeMap;

use holdfast_shared::id::{AllocId, NodeId};
use holdfast_shared::model::{
    Affinity, Allocation, AssignedDevice, AssignedPort, Constraint, Job, Node, Spread, TaskGroup,
};

use super::room;
use crate::scheduler::constraint;

/// A region, and what one evaluation has decided so far.
pub(super) struct Reference<'a> {
    pub(super) job: &'a Job,
    /// In the order in which they are looked at.
    pub(super) nodes: Vec<&'a Node>,
    /// Those that the job may not use, too.
    pub(super) all: Vec<&'a Node>,
    /// What was there before the evaluation.
    pub(super) stored: Vec<&'a Allocation>,
    pub(super) stopped: Vec<AllocId>,
    pub(super) placed: Vec<Allocation>,
    /// What gave way.
    pub(super) evicted: Vec<AllocId>,
    /// The jobs of others.
    pub(super) others: Vec<&'a Job>,
    /// Whether the job may push out others.
    pub(super) preempts: bool,
    /// Whether empty nodes are the best ones.
    pub(super) spreads: bool,
    pub(super) cursor: usize,
    pub(super) node_limit: usize,
    /// Groups that were placed, in order.
    pub(super) seen: Vec<&'a TaskGroup>,
    pub(super) lowest: f64,
}

/// A place that was found.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    pub(super) node: NodeId,
    /// Components in the order in which they are added up.
    pub(super) scores: Vec<(&'static str, f64)>,
    pub(super) norm: f64,
    pub(super) evicts: Vec<AllocId>,
    pub(super) ports: Vec<AssignedPort>,
    pub(super) devices: Vec<AssignedDevice>,
}

/// What became of one placement.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// The best one first, then the others, best first.
    pub(super) found: Vec<Found>,
    pub(super) evaluated: u64,
    pub(super) filtered: BTreeMap<String, u64>,
    pub(super) exhausted: BTreeMap<String, u64>,
    /// By the operators' classes of the nodes.
    pub(super) filtered_classes: BTreeMap<String, u64>,
    pub(super) exhausted_classes: BTreeMap<String, u64>,
}

enum Unfit {
    Filtered(String),
    Exhausted(String),
}

impl<'a> Reference<'a> {
    /// A place for one more of the group, on the node `only` if there is one.
    pub(super) fn place(
        &mut self,
        group: &'a TaskGroup,
        penalized: &[NodeId],
        only: Option<NodeId>,
    ) -> Outcome {
        let all = self.nodes.clone();
        let cursor = self.cursor;
        if let Some(only) = only {
            self.nodes.retain(|node| node.id == only);
            self.cursor = 0;
        }
        let mut outcome = self.find(group, penalized, false);
        if outcome.found.is_empty() && self.preempts {
            outcome = self.find(group, penalized, true);
        }
        if only.is_some() {
            (self.nodes, self.cursor) = (all, cursor);
        }
        outcome
    }

    fn find(&mut self, group: &'a TaskGroup, penalized: &[NodeId], evicting: bool) -> Outcome {
        if !self.seen.iter().any(|it| it.name() == group.name()) {
            self.seen.push(group);
        }
        let weighs = self
            .seen
            .iter()
            .any(|group| !affinities(self.job, group).is_empty() || !spreads(self.job, group).is_empty());
        let nodes = self.nodes.len();
        let limit = if weighs {
            self.node_limit.max(group.count())
        } else if self.job.job_type().is_batch() {
            2
        } else {
            2.max((nodes as f64).log2().ceil() as usize)
        };
        let mut outcome = Outcome::default();
        let (mut taken, mut skipped) = (Vec::new(), Vec::new());
        for step in 0..nodes {
            if taken.len() == limit {
                break;
            }
            let node = self.nodes[(self.cursor + step) % nodes];
            outcome.evaluated += 1;
            let class = &node.fingerprint.node_class;
            match self.look(group, node, penalized, evicting) {
                Err(Unfit::Filtered(why)) => {
                    count(&mut outcome.filtered, &why);
                    count(&mut outcome.filtered_classes, class);
                }
                Err(Unfit::Exhausted(why)) => {
                    count(&mut outcome.exhausted, &why);
                    count(&mut outcome.exhausted_classes, class);
                }
                Ok(found) if found.norm <= 0.0 && skipped.len() < 3 => skipped.push(found),
                Ok(found) => taken.push(found),
            }
        }
        while taken.len() < limit
            && let Some(found) = skipped.pop()
        {
            taken.push(found);
        }
        if !taken.is_empty() {
            self.cursor = (self.cursor + outcome.evaluated as usize) % nodes;
            let best = (0..taken.len())
                .rev()
                .max_by(|a, b| taken[*a].norm.total_cmp(&taken[*b].norm))
                .unwrap();
            outcome.found.push(taken.remove(best));
            taken.sort_by(|a, b| b.norm.total_cmp(&a.norm));
            outcome.found.extend(taken);
            outcome.found.truncate(5);
        }
        outcome
    }

    /// What runs once the decisions so far are carried out.
    pub(super) fn proposed(&self) -> impl Iterator<Item = &Allocation> {
        let stays = self.stored.iter().copied();
        let goes = |id: &AllocId| self.stopped.contains(id) || self.evicted.contains(id);
        stays.filter(move |alloc| !goes(&alloc.id)).chain(&self.placed)
    }

    fn look(
        &mut self,
        group: &TaskGroup,
        node: &Node,
        penalized: &[NodeId],
        evicting: bool,
    ) -> Result<Found, Unfit> {
        self.qualifies(group, node).map_err(Unfit::Filtered)?;
        let gone = match self.lacks(group, node, &[]) {
            None => Vec::new(),
            Some(why) => {
                let gone = evicting.then(|| self.make_room(group, node)).flatten();
                gone.ok_or(Unfit::Exhausted(why))?
            }
        };
        let (devices, wishes) = room::devices(group, node, &self.taken_devices(node)).unwrap();
        let mut scores = vec![("binpack", self.packing(group, node, &gone))];
        scores.extend(wishes.map(|score| ("devices", score)));
        let same = |alloc: &&Allocation| {
            alloc.node == node.id && alloc.job == self.job.key() && *alloc.group == *group.name()
        };
        let colliding = self.proposed().filter(same).count();
        if colliding > 0 {
            scores.push((
                "job-anti-affinity",
                -(colliding as f64 + 1.0) / group.count() as f64,
            ));
        }
        if penalized.contains(&node.id) {
            scores.push(("node-reschedule-penalty", -1.0));
        }
        let affinities = affinities(self.job, group);
        if !affinities.is_empty() {
            let weight = |it: &&Affinity| it.weight.unwrap() as f64;
            let met = |it: &&Affinity| holds((&it.left, &it.operand, &it.right), node);
            let sum: f64 = affinities.iter().copied().filter(met).map(|it| weight(&it)).sum();
            let all: f64 = affinities.iter().map(|it| weight(it).abs()).sum();
            scores.push(("node-affinity", sum / all));
        }
        let spread = self.spread(group, node);
        if spread != 0.0 {
            scores.push(("allocation-spread", spread));
        }
        if !gone.is_empty() {
            scores.push(("preemption", self.preemption(&gone)));
        }
        let norm = scores.iter().map(|(_, score)| score).sum::<f64>() / scores.len() as f64;
        Ok(Found {
            node: node.id,
            scores,
            norm,
            ports: self.ports(group, node, &gone).unwrap(),
            devices,
            evicts: gone,
        })
    }

    fn qualifies(&self, group: &TaskGroup, node: &Node) -> Result<(), String> {
        let plain = |it: &&Constraint| !it.operand.starts_with("distinct_");
        let check = |it: &Constraint| {
            let held = holds((&it.left, &it.operand, &it.right), node);
            held.then_some(()).ok_or_else(|| text(it))
        };
        self.job
            .constraints
            .iter()
            .flatten()
            .filter(plain)
            .try_for_each(check)?;
        let healthy = |name: &String| node.fingerprint.drivers.get(name).is_some_and(|it| it.healthy);
        if !group.tasks().iter().all(|task| healthy(&task.driver)) {
            return Err("missing drivers".into());
        }
        group
            .constraints
            .iter()
            .flatten()
            .filter(plain)
            .try_for_each(check)?;
        let of_tasks = group
            .tasks()
            .iter()
            .flat_map(|task| task.constraints.iter().flatten());
        of_tasks.filter(plain).try_for_each(check)?;
        room::devices(group, node, &[]).ok_or("missing devices")?;
        room::networks(group, node)?;
        room::volumes(group, node)?;
        let of_job = self.job.constraints.iter().flatten().map(|it| (it, None));
        let of_group = group
            .constraints
            .iter()
            .flatten()
            .map(|it| (it, Some(group.name())));
        let distinct: Vec<(&Constraint, Option<&str>)> = of_job.chain(of_group).collect();
        for (it, scope) in distinct.iter().filter(|(it, _)| it.operand == "distinct_hosts") {
            let mut others = self
                .proposed()
                .filter(|alloc| alloc.node == node.id && self.is_in(alloc, *scope));
            if it.right != "false" && others.next().is_some() {
                return Err("distinct_hosts".into());
            }
        }
        for (it, scope) in distinct
            .iter()
            .filter(|(it, _)| it.operand == "distinct_property")
        {
            let limit = if it.right.is_empty() {
                1
            } else {
                it.right.parse().unwrap()
            };
            let Some(value) = property(&it.left, node) else {
                return Err(format!("missing property {:?}", it.left));
            };
            let uses = self.distinct(&it.left, &value, *scope);
            if uses >= limit {
                let name = &it.left;
                return Err(format!("distinct_property: {name}={value} used by {uses} allocs"));
            }
        }
        Ok(())
    }

    fn is_in(&self, alloc: &Allocation, scope: Option<&str>) -> bool {
        alloc.job == self.job.key() && scope.is_none_or(|group| *alloc.group == *group)
    }

    fn value_of(&self, alloc: &Allocation, attribute: &str) -> Option<String> {
        let node = self.all.iter().find(|node| node.id == alloc.node)?;
        property(attribute, node)
    }

    /// Uses of a value as `distinct_property` counts them: of two stops, one is used up by the placements.
    fn distinct(&self, attribute: &str, value: &str, scope: Option<&str>) -> usize {
        let uses = |alloc: &&Allocation| {
            self.is_in(alloc, scope) && self.value_of(alloc, attribute).as_deref() == Some(value)
        };
        let stored = self.stored.iter().copied().filter(uses).count();
        let stopped = self.stored.iter().copied().filter(uses);
        let stopped = stopped.filter(|alloc| self.stopped.contains(&alloc.id)).count();
        let placed = self.placed.iter().filter(uses).count();
        let freed = if placed > 0 {
            stopped.saturating_sub(1)
        } else {
            stopped
        };
        stored + placed - freed
    }

    fn packing(&self, group: &TaskGroup, node: &Node, gone: &[AllocId]) -> f64 {
        let has = &node.fingerprint.resources;
        let (cpu, memory, _) = self.used(group, node, gone);
        let free_cpu = 1.0 - cpu as f64 / (has.cpu_mhz - has.reserved_cpu_mhz) as f64;
        let free_memory = 1.0 - memory as f64 / (has.memory_mb - has.reserved_memory_mb) as f64;
        let powers = 10f64.powf(free_cpu) + 10f64.powf(free_memory);
        let score = if self.spreads { powers - 2.0 } else { 20.0 - powers };
        score.clamp(0.0, 18.0) / 18.0
    }

    /// How many of the group's allocations use each value.
    fn uses(&self, attribute: &str, group: &TaskGroup) -> BTreeMap<String, usize> {
        let mut uses = BTreeMap::new();
        for alloc in self
            .proposed()
            .filter(|alloc| self.is_in(alloc, Some(group.name())))
        {
            if let Some(value) = self.value_of(alloc, attribute) {
                *uses.entry(value).or_default() += 1;
            }
        }
        uses
    }

    fn spread(&mut self, group: &TaskGroup, node: &Node) -> f64 {
        let all: i64 = self
            .seen
            .iter()
            .flat_map(|group| spreads(self.job, group))
            .map(|(spread, _)| spread.weight.unwrap())
            .sum();
        let count = group.count() as f64;
        let mut total = 0.0;
        for (spread, decisive) in spreads(self.job, group) {
            let uses = self.uses(&spread.attribute, group);
            let value = property(&spread.attribute, node);
            let targets = decisive.targets.as_deref().unwrap_or_default();
            let Some(value) = value else {
                total -= 1.0;
                continue;
            };
            let here = uses.get(&value).copied().unwrap_or(0);
            if targets.is_empty() {
                total += even(here, &uses);
                continue;
            }
            let named = |value: &String| targets.iter().find(|target| target.value == *value);
            let sum: f64 = targets.iter().map(|it| it.percent as f64 * count / 100.0).sum();
            let (desired, used) = match named(&value) {
                Some(target) => (target.percent as f64 * count / 100.0, here),
                None if sum > 0.0 && sum < count => {
                    let others = uses.iter().filter(|(value, _)| named(value).is_none());
                    (count - sum, others.map(|(_, number)| number).sum())
                }
                None => {
                    total -= 1.0;
                    continue;
                }
            };
            if desired == 0.0 {
                total += self.lowest;
                continue;
            }
            let weight = spread.weight.unwrap() as f64 / all as f64;
            let contribution = (desired - (used as f64 + 1.0)) / desired * weight;
            self.lowest = self.lowest.min(contribution);
            total += contribution;
        }
        total
    }
}

fn count(counts: &mut BTreeMap<String, u64>, name: &str) {
    if !name.is_empty() {
        *counts.entry(name.to_owned()).or_default() += 1;
    }
}

fn even(here: usize, uses: &BTreeMap<String, usize>) -> f64 {
    let (Some(least), Some(most)) = (uses.values().min(), uses.values().max()) else {
        return 0.0;
    };
    let (here, least, most) = (here as f64, *least as f64, *most as f64);
    if here != least {
        (least - here) / least
    } else if least == most {
        -1.0
    } else {
        (most - least) / least
    }
}

fn affinities<'a>(job: &'a Job, group: &'a TaskGroup) -> Vec<&'a Affinity> {
    let of_tasks = group
        .tasks()
        .iter()
        .flat_map(|task| task.affinities.iter().flatten());
    let of_group = group.affinities.iter().flatten();
    job.affinities
        .iter()
        .flatten()
        .chain(of_group)
        .chain(of_tasks)
        .collect()
}

/// The group's own spreads, then the job's; each with the one whose targets count.
fn spreads<'a>(job: &'a Job, group: &'a TaskGroup) -> Vec<(&'a Spread, &'a Spread)> {
    let of_job = || job.spreads.iter().flatten();
    let all = group.spreads.iter().flatten().chain(of_job());
    all.map(|it| {
        (
            it,
            of_job()
                .find(|other| other.attribute == it.attribute)
                .unwrap_or(it),
        )
    })
    .collect()
}

fn text(it: &Constraint) -> String {
    format!("{} {} {}", it.left, it.operand, it.right)
        .trim()
        .to_owned()
}

fn holds((left, operand, right): (&str, &str, &str), node: &Node) -> bool {
    constraint::holds(
        operand,
        property(left, node).as_deref(),
        property(right, node).as_deref(),
    )
}

/// A target on the node, as far as the fleets of these tests go.
fn property(target: &str, node: &Node) -> Option<String> {
    let Some(name) = target.strip_prefix("${").and_then(|it| it.strip_suffix('}')) else {
        return Some(target.to_owned());
    };
    let print = &node.fingerprint;
    match name {
        "node.unique.id" => Some(node.id.to_string()),
        "node.datacenter" => Some(print.datacenter.clone()),
        "node.class" => Some(print.node_class.clone()),
        _ => match name.split_once('.').unwrap() {
            ("meta", key) => print.meta.get(key).cloned(),
            (_, key) => print.attributes.get(key).cloned(),
        },
    }
}
