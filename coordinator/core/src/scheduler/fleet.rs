//! Nodes as the scheduler looks at them: dense columns, one row for each node, kept up with every change of state.
//!
//! Everything in here follows from [`State`]; [`Fleet::of`] makes it from nothing, and changes keep it what that would
//! make of the state after them.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use holdfast_shared::id::{AllocId, NodeId};
use holdfast_shared::model::{Allocation, Job, Node, Tally, TaskResources};

use super::class::Classes;
use super::devices::{self, TakenDevices};
use super::feasible::{self, Target};
use super::ports::TakenPorts;
use super::property::Column;
use super::rank::Usage;
use crate::common::Common;
use crate::state::State;

/// How many properties are kept as columns; more are made anew when they are needed.
const COLUMNS_MAX: usize = 64;
/// How many answers to "which nodes may a job use" are kept.
const REACHES_MAX: usize = 64;

/// The nodes, as columns.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fleet {
    rows: BTreeMap<NodeId, u32>,
    /// The node that was looked up last, with its row: who takes one asks for it again.
    last: Cell<Option<(NodeId, u32)>>,
    free: Vec<u32>,
    nodes: Vec<Option<Arc<Node>>>,
    ids: Vec<NodeId>,
    rooms: Vec<Room>,
    ports: Vec<TakenPorts>,
    /// Devices that are taken, on the few rows that have any.
    devices: BTreeMap<u32, TakenDevices>,
    classes: Classes,
    columns: BTreeMap<String, Arc<Column>>,
    reaches: BTreeMap<(String, Vec<String>), Arc<Reach>>,
    /// Allocations that are about to end, and count no more.
    released: BTreeSet<AllocId>,
    /// What allocations take: many groups ask for the same.
    pub(super) resources: Common<TaskResources>,
}

/// What a node has to give, and what is taken of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) capacity: Usage,
    pub(crate) used: Usage,
}

/// A node, and its computed class: so that looking at nodes one after the other need not jump around for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seat {
    pub(crate) row: u32,
    pub(crate) class: u32,
}

/// The nodes that jobs of some datacenters and a pool may use.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    /// Where they are, in the order of their ids.
    pub(crate) seats: Vec<Seat>,
    /// The pool.
    pub(crate) pool: Arc<str>,
    /// Ready nodes in the pool.
    pub(crate) in_pool: u64,
    /// Ready nodes in reach by datacenter.
    pub(crate) available: Arc<Tally>,
}

impl Fleet {
    /// The fleet of a state.
    pub(crate) fn of(state: &State) -> Self {
        let mut fleet = Self::default();
        for node in state.nodes.values() {
            fleet.put_node(node, state);
        }
        fleet
    }

    /// A node is there, or has changed; the state has its allocations.
    pub(crate) fn put_node(&mut self, node: &Arc<Node>, state: &State) {
        let known = self.rows.get(&node.id).copied();
        let row = known.unwrap_or_else(|| self.new_row(node.id));
        let old = self.nodes[row as usize].replace(Arc::clone(node));
        let same = old.as_ref().is_some_and(|old| old.is_like(node));
        if !same || old.is_some_and(|old| old.is_schedulable() != node.is_schedulable()) {
            self.reaches.clear();
        }
        if !same {
            self.describe(row, node);
            self.count_anew(row, node, state);
        }
    }

    fn new_row(&mut self, id: NodeId) -> u32 {
        let row = self.free.pop().unwrap_or_else(|| {
            self.nodes.push(None);
            self.ids.push(id);
            self.rooms.push(Room::default());
            self.ports.push(TakenPorts::default());
            self.nodes.len() as u32 - 1
        });
        self.ids[row as usize] = id;
        self.rows.insert(id, row);
        row
    }

    fn describe(&mut self, row: u32, node: &Node) {
        self.classes.put(row, Some(&node.fingerprint));
        let most = 2 * self.nodes.len() + 64;
        self.columns.retain(|attribute, column| {
            Arc::make_mut(column).put(row, Target::new(attribute), node);
            column.values().len() <= most
        });
    }

    fn count_anew(&mut self, row: u32, node: &Node, state: &State) {
        self.rooms[row as usize] = Room {
            capacity: Usage::capacity(&node.fingerprint.resources),
            used: Usage::default(),
        };
        self.ports[row as usize] = TakenPorts::default();
        self.devices.remove(&row);
        for alloc in state.allocs_of_node(node.id) {
            if self.counts(alloc) {
                self.add(row, alloc);
            }
        }
    }

    /// A node is forgotten.
    pub(crate) fn remove_node(&mut self, id: NodeId) {
        let Some(row) = self.rows.remove(&id) else { return };
        self.last.set(None);
        self.nodes[row as usize] = None;
        self.rooms[row as usize] = Room::default();
        self.ports[row as usize] = TakenPorts::default();
        self.devices.remove(&row);
        self.classes.put(row, None);
        self.free.push(row);
        self.reaches.clear();
    }

    /// An allocation changes from `old` to `new`.
    pub(crate) fn replace(&mut self, old: Option<&Allocation>, new: Option<&Allocation>) {
        let counted = old.filter(|alloc| self.counts(alloc));
        let counts = new.filter(|alloc| self.counts(alloc));
        if let Some(alloc) = old.filter(|_| new.is_none_or(Allocation::is_terminal)) {
            self.released.remove(&alloc.id);
        }
        if let (Some(old), Some(new)) = (counted, counts)
            && (old.node, &old.resources, &old.ports) == (new.node, &new.resources, &new.ports)
        {
            return;
        }
        if let Some((row, alloc)) = counted.and_then(|alloc| Some((self.row(alloc.node)?, alloc))) {
            self.subtract(row, alloc);
        }
        if let Some((row, alloc)) = counts.and_then(|alloc| Some((self.row(alloc.node)?, alloc))) {
            self.add(row, alloc);
        }
    }

    /// Whether an allocation takes something of its node.
    pub(crate) fn counts(&self, alloc: &Allocation) -> bool {
        !alloc.is_terminal() && !self.released.contains(&alloc.id)
    }

    /// An allocation is about to end: what it takes is free from now on.
    pub(crate) fn release(&mut self, alloc: &Allocation) {
        if self.counts(alloc)
            && let Some(row) = self.row(alloc.node)
        {
            self.subtract(row, alloc);
            self.released.insert(alloc.id);
        }
    }

    /// An allocation does not end after all.
    pub(crate) fn withhold(&mut self, alloc: &Allocation) {
        if self.released.remove(&alloc.id)
            && self.counts(alloc)
            && let Some(row) = self.row(alloc.node)
        {
            self.add(row, alloc);
        }
    }

    fn add(&mut self, row: u32, alloc: &Allocation) {
        let row = row as usize;
        self.rooms[row].used.add(&alloc.resources);
        if let Some(node) = &self.nodes[row] {
            self.ports[row].add(node, &alloc.ports);
        }
        if !alloc.resources.devices.is_empty() {
            let taken = self.devices.entry(row as u32).or_default();
            taken.extend(devices::taken_by(alloc));
        }
    }

    fn subtract(&mut self, row: u32, alloc: &Allocation) {
        let row = row as usize;
        self.rooms[row].used.subtract(&alloc.resources);
        if let Some(node) = &self.nodes[row] {
            self.ports[row].remove(node, &alloc.ports);
        }
        if let Some(taken) = self.devices.get_mut(&(row as u32)) {
            devices::taken_by(alloc).for_each(|device| {
                taken.remove(&device);
            });
        }
    }

    /// The row of a node.
    pub(crate) fn row(&self, id: NodeId) -> Option<u32> {
        let last = self.last.get().filter(|(last, _)| *last == id);
        last.map(|(_, row)| row).or_else(|| {
            let row = self.rows.get(&id).copied()?;
            self.last.set(Some((id, row)));
            Some(row)
        })
    }

    /// Rows are below this.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// A row with its class.
    pub(crate) fn seat(&self, row: u32) -> Seat {
        Seat {
            row,
            class: self.classes.of(row),
        }
    }

    /// The id of a row's node. Whoever asks is about to speak of it.
    pub(crate) fn id(&self, row: u32) -> NodeId {
        let id = self.ids[row as usize];
        self.last.set(Some((id, row)));
        id
    }

    /// The node of a row.
    pub(crate) fn node(&self, row: u32) -> &Arc<Node> {
        self.nodes[row as usize]
            .as_ref()
            .expect("only rows of nodes are looked at")
    }

    /// What a node has to give, and what is taken of it.
    pub(crate) fn room(&self, row: u32) -> &Room {
        &self.rooms[row as usize]
    }

    /// The ports of a node that are taken.
    pub(crate) fn ports(&self, row: u32) -> &TakenPorts {
        &self.ports[row as usize]
    }

    /// The devices of a node that are taken.
    pub(crate) fn devices(&self, row: u32) -> Cow<'_, TakenDevices> {
        self.devices
            .get(&row)
            .map_or_else(|| Cow::Owned(TakenDevices::new()), Cow::Borrowed)
    }

    /// The class of each row.
    pub(crate) fn classes(&self) -> &Classes {
        &self.classes
    }

    /// A property of every node.
    pub(crate) fn column(&mut self, attribute: &str) -> Arc<Column> {
        if let Some(column) = self.columns.get(attribute) {
            return Arc::clone(column);
        }
        let (mut column, target) = (Column::default(), Target::new(attribute));
        for (row, node) in self.nodes.iter().enumerate() {
            if let Some(node) = node {
                column.put(row as u32, target, node);
            }
        }
        if self.columns.len() >= COLUMNS_MAX {
            self.columns.clear();
        }
        let column = Arc::new(column);
        self.columns.insert(attribute.to_owned(), Arc::clone(&column));
        column
    }

    /// The ready nodes that a job may use.
    pub(crate) fn reach(&mut self, job: &Job) -> Arc<Reach> {
        let datacenters = job.datacenters().iter().map(|it| (*it).to_owned()).collect();
        let key = (job.node_pool().to_owned(), datacenters);
        if let Some(reach) = self.reaches.get(&key) {
            return Arc::clone(reach);
        }
        let (mut seats, mut in_pool, mut by_datacenter) = (Vec::new(), 0, BTreeMap::new());
        // Datacenter and pool are part of a class, so that one node speaks for all of its class.
        let mut of_class: Vec<Option<(bool, bool)>> = vec![None; self.classes.len()];
        for row in self.rows.values() {
            let node = self.node(*row);
            if !node.is_schedulable() {
                continue;
            }
            let seat = self.seat(*row);
            let known = &mut of_class[seat.class as usize];
            let judge = || (feasible::is_in_pool(job, node), feasible::is_in_reach(job, node));
            let (is_in_pool, is_in_reach) = *known.get_or_insert_with(judge);
            in_pool += u64::from(is_in_pool);
            if is_in_reach {
                seats.push(seat);
                *by_datacenter
                    .entry(node.fingerprint.datacenter.as_str())
                    .or_insert(0) += 1;
            }
        }
        // A datacenter that a job names and that has no node is worth a word.
        let named = job.datacenters();
        for name in named.iter().filter(|name| !name.contains('*')) {
            by_datacenter.entry(name).or_insert(0);
        }
        let mut available = Tally::default();
        for (name, number) in by_datacenter {
            available.add(&name.into(), number);
        }
        let reach = Arc::new(Reach {
            seats,
            pool: job.node_pool().into(),
            in_pool,
            available: Arc::new(available),
        });
        if self.reaches.len() >= REACHES_MAX {
            self.reaches.clear();
        }
        self.reaches.insert(key, Arc::clone(&reach));
        reach
    }

    /// Whether it is what the state makes of it. For tests and debug builds.
    pub(crate) fn agrees_with(&self, state: &State) -> bool {
        let fresh = Self::of(state);
        let same = |id: &NodeId| {
            let (Some(mine), Some(theirs)) = (self.row(*id), fresh.row(*id)) else {
                return false;
            };
            self.room(mine) == fresh.room(theirs)
                && self.ports(mine) == fresh.ports(theirs)
                && self.devices(mine) == fresh.devices(theirs)
                && Arc::ptr_eq(self.node(mine), fresh.node(theirs))
        };
        self.rows.len() == fresh.rows.len() && fresh.rows.keys().all(same)
    }
}
