//! The terms of a group: everything that nodes are compared by when it is placed, understood once for an evaluation.

use std::sync::Arc;

use holdfast_shared::model::{Affinity, Constraint, Job, TaskGroup, TaskResources};

use super::devices::{self, DeviceAsk};
use super::distinct;
use super::feasible::{self, Check, Requirements};
use super::fleet::{Fleet, Seat};
use super::ports::PortAsk;
use super::property::{Column, Property};
use super::rank::{self, Usage};
use super::spread::{self, Spreading};

/// What one group of one version of the job asks for.
#[derive(Debug)]
pub(super) struct Terms<'a> {
    pub(super) group: &'a TaskGroup,
    pub(super) count: usize,
    pub(super) resources: Arc<TaskResources>,
    pub(super) ask: Usage,
    pub(super) ports: PortAsk<'a>,
    pub(super) devices: Vec<DeviceAsk<'a>>,
    pub(super) apart: Apart,
    pub(super) distinct: Vec<Distinct>,
    pub(super) spreads: Vec<SpreadTerm<'a>>,
    pub(super) affinities: Affinities<'a>,
    pub(super) verdicts: Verdicts<'a>,
    /// Allocations of the group on each row.
    pub(super) crowd: Vec<u32>,
    /// Reasons why a node is filtered: the requirements, `distinct_hosts`, then each `distinct_property`, whose limit makes no
    /// sense.
    pub(super) reasons: Vec<Arc<str>>,
}

/// How far a `distinct_hosts` goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Apart {
    No,
    OfGroup,
    OfJob,
}

/// A `distinct_property`: the property's number, and how many may share a value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Distinct {
    pub(super) property: usize,
    pub(super) limit: Option<usize>,
}

/// A spread: the property's number, and what each value should get.
#[derive(Debug)]
pub(super) struct SpreadTerm<'a> {
    pub(super) spread: Spreading<'a>,
    pub(super) property: usize,
    /// How many allocations each value should get; `None` when no target names it.
    pub(super) desired: Vec<Option<f64>>,
    /// What all other values should get together.
    pub(super) remainder: Option<f64>,
}

/// A property whose values have to be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PropertyAsk<'a> {
    pub(super) attribute: &'a str,
    /// Among the allocations of this group; of the whole job when `None`.
    pub(super) scope: Option<&'a str>,
}

/// Every `distinct_property`, and the group whose allocations it is about.
fn distinct_properties<'a>(
    job: &'a Job,
    group: &'a TaskGroup,
) -> impl Iterator<Item = (&'a Constraint, Option<&'a str>)> {
    let of_job = job.constraints.iter().flatten().map(|it| (it, None));
    let of_group = group.constraints.iter().flatten();
    of_job
        .chain(of_group.map(|it| (it, Some(group.name()))))
        .filter(|(it, _)| it.operand == "distinct_property")
}

fn spreads<'a>(job: &'a Job, group: &'a TaskGroup) -> Vec<Spreading<'a>> {
    let listed = |spreads: &'a Option<Vec<_>>| spreads.as_deref().unwrap_or_default();
    spread::spreads_of(listed(&job.spreads), listed(&group.spreads))
}

/// The properties that a group's terms are about: those of `distinct_property`, then those of spreads.
pub(super) fn property_asks<'a>(job: &'a Job, group: &'a TaskGroup) -> Vec<PropertyAsk<'a>> {
    let distinct = distinct_properties(job, group).map(|(it, scope)| PropertyAsk {
        attribute: &it.left,
        scope,
    });
    let spreads = spreads(job, group).into_iter().map(|spread| PropertyAsk {
        attribute: spread.attribute,
        scope: Some(group.name()),
    });
    distinct.chain(spreads).collect()
}

impl<'a> Terms<'a> {
    /// The terms of a group. `numbers` are the numbers of what [`property_asks`] asks for among `properties`.
    pub(super) fn new(
        job: &'a Job,
        group: &'a TaskGroup,
        fleet: &mut Fleet,
        properties: &[Property<'a>],
        numbers: &[usize],
    ) -> Self {
        let requirements = Requirements::new(job, group);
        let mut reasons: Vec<Arc<str>> = (0..requirements.len())
            .map(|at| Arc::clone(requirements.text(at)))
            .collect();
        reasons.push("distinct_hosts".into());
        let mut numbers = numbers.iter().copied();
        let mut distinct = Vec::new();
        for ((it, _), property) in distinct_properties(job, group).zip(&mut numbers) {
            let limit = distinct::property_limit(&it.right);
            distinct.push(Distinct { property, limit });
            reasons.push(feasible::describe(it).into());
        }
        let count = group.count();
        let spreads = spreads(job, group)
            .into_iter()
            .zip(numbers)
            .map(|(spread, property)| {
                let values = properties[property].column.values().iter();
                SpreadTerm {
                    desired: values.map(|value| spread.desired(count, value)).collect(),
                    remainder: spread.remainder(count),
                    spread,
                    property,
                }
            });
        let spreads = spreads.collect();
        let resources = resources(group);
        Self {
            group,
            count,
            ask: Usage::of(&resources),
            resources: Arc::new(resources),
            ports: PortAsk::of(group),
            devices: devices::asks(group),
            apart: apart(job, group),
            distinct,
            spreads,
            affinities: Affinities::new(job, group),
            crowd: vec![0; fleet.len()],
            verdicts: Verdicts::new(requirements, fleet),
            reasons,
        }
    }

    /// Nothing may use more memory than it reserves.
    pub(super) fn forbid_memory_max(&mut self) {
        let resources = Arc::make_mut(&mut self.resources);
        for (_, (_, _, max)) in resources.tasks.iter_mut() {
            *max = 0;
        }
    }

    /// What an allocation takes of a row's node: shared by all, unless it gets devices of its own.
    pub(super) fn resources_on(&self, fleet: &Fleet, row: u32) -> Arc<TaskResources> {
        if self.devices.is_empty() {
            return Arc::clone(&self.resources);
        }
        let devices = devices::assign(&self.devices, fleet.node(row), &fleet.devices(row));
        Arc::new(TaskResources {
            devices: devices.unwrap_or_default().devices,
            ..(*self.resources).clone()
        })
    }

    /// Whether more nodes than usual have to be looked at.
    pub(super) fn weigh(&self) -> bool {
        !self.affinities.list.is_empty() || !self.spreads.is_empty()
    }

    /// The sum of the weights of its spreads.
    pub(super) fn spread_weights(&self) -> i64 {
        self.spreads.iter().map(|term| term.spread.weight).sum()
    }

    /// The reason that stands for `distinct_hosts`; those of `distinct_property` follow.
    pub(super) fn hosts_reason(&self) -> usize {
        self.verdicts.requirements.len()
    }
}

fn apart(job: &Job, group: &TaskGroup) -> Apart {
    let apart = |constraints: &Option<Vec<Constraint>>| {
        constraints
            .iter()
            .flatten()
            .any(|it| it.operand == "distinct_hosts" && distinct::hosts_apart(&it.right))
    };
    if apart(&job.constraints) {
        Apart::OfJob
    } else if apart(&group.constraints) {
        Apart::OfGroup
    } else {
        Apart::No
    }
}

/// What the tasks of a group take.
fn resources(group: &TaskGroup) -> TaskResources {
    let tasks = group.tasks().iter().map(|task| {
        let it = task.resources();
        (
            task.name.as_str(),
            (it.cpu_mhz(), it.memory_mb(), it.memory_max_mb()),
        )
    });
    TaskResources {
        tasks: tasks.collect(),
        disk_mb: group.disk_mb(),
        devices: Vec::new(),
    }
}

/// A property, and which of its values will do.
type ByValue = (Arc<Column>, Vec<Option<bool>>);

/// Which requirement each node fails: looked at once for a class, or once for a node when they are about unique things.
#[derive(Debug)]
pub(super) struct Verdicts<'a> {
    requirements: Requirements<'a>,
    /// For each requirement that is about one property: the property, and which of its values will do, as far as that is
    /// known. Nodes themselves are scattered in memory.
    by_value: Vec<Option<ByValue>>,
    by_row: bool,
    known: Vec<Verdict>,
}

#[derive(Debug, Clone, Copy)]
enum Verdict {
    Unknown,
    Qualifies,
    Fails(u16),
}

impl<'a> Verdicts<'a> {
    pub(super) fn new(requirements: Requirements<'a>, fleet: &mut Fleet) -> Self {
        let by_row = requirements.are_unique();
        let len = if by_row {
            fleet.len()
        } else {
            fleet.classes().len()
        };
        let by_value = (0..requirements.len()).map(|at| {
            let column = fleet.column(requirements.property(at)?);
            let values = column.values().len();
            Some((column, vec![None; values]))
        });
        Self {
            by_value: by_value.collect(),
            requirements,
            by_row,
            known: vec![Verdict::Unknown; len],
        }
    }

    /// The first requirement that the row's node does not meet.
    pub(super) fn unmet(&mut self, fleet: &Fleet, seat: Seat) -> Option<usize> {
        let at = if self.by_row { seat.row } else { seat.class } as usize;
        match self.known[at] {
            Verdict::Qualifies => None,
            Verdict::Fails(at) => Some(usize::from(at)),
            Verdict::Unknown => {
                let unmet = (0..self.requirements.len()).find(|at| !self.is_met(*at, fleet, seat));
                let number = unmet.and_then(|at| u16::try_from(at).ok());
                self.known[at] = number.map_or(Verdict::Qualifies, Verdict::Fails);
                unmet
            }
        }
    }

    fn is_met(&mut self, at: usize, fleet: &Fleet, seat: Seat) -> bool {
        let drivers = fleet.classes().drivers(seat.class);
        if let Some(is_met) = self.requirements.is_met_by_drivers(at, drivers) {
            return is_met;
        }
        let judge = || self.requirements.is_met(at, fleet.node(seat.row));
        match &mut self.by_value[at] {
            Some((column, known)) => match column.of(seat.row) {
                Some(value) => *known[value].get_or_insert_with(judge),
                None => judge(),
            },
            None => judge(),
        }
    }
}

/// The affinities of a job, its group and its tasks, and what is known of who satisfies them.
#[derive(Debug)]
pub(super) struct Affinities<'a> {
    list: Vec<(i64, Check<'a>)>,
    by_row: bool,
    known: Vec<Option<f64>>,
}

impl<'a> Affinities<'a> {
    fn new(job: &'a Job, group: &'a TaskGroup) -> Self {
        let of_tasks = group
            .tasks()
            .iter()
            .flat_map(|task| task.affinities.iter().flatten());
        let all = job.affinities.iter().flatten();
        let all = all.chain(group.affinities.iter().flatten()).chain(of_tasks);
        let list: Vec<_> = all
            .map(|it: &Affinity| {
                let check = Check::new(&it.left, &it.operand, &it.right);
                (it.weight.unwrap_or(50), check)
            })
            .collect();
        Self {
            by_row: list.iter().any(|(_, check)| check.is_unique()),
            list,
            known: Vec::new(),
        }
    }

    /// The score of the row's node, when there are affinities.
    pub(super) fn score(&mut self, fleet: &Fleet, seat: Seat) -> Option<f64> {
        if self.list.is_empty() {
            return None;
        }
        let at = if self.by_row { seat.row } else { seat.class } as usize;
        if self.known.len() <= at {
            self.known.resize(at + 1, None);
        }
        if self.known[at].is_none() {
            let node = fleet.node(seat.row);
            let weights = self
                .list
                .iter()
                .map(|(weight, check)| (*weight, check.holds(node)));
            self.known[at] = rank::affinity(weights);
        }
        self.known[at]
    }
}
