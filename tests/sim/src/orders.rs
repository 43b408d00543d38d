//! Orders: what the operator wants an agent to do once, and what is known of it.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_coordinator_core::{Command, Refusal, RequestId, Response};
use holdfast_shared::id::{AllocId, NodeId};
use holdfast_shared::model::Allocation;
use holdfast_shared::wire::{Deed, RestartTasks};

use crate::jobs;
use crate::plan::Entry;
use crate::world::World;

/// The key of the meta that the operator changes.
pub(crate) const KEY: &str = "color";

/// A value of it; `None` is that there is none.
pub(crate) type Color = Option<String>;

/// What the operator knows of orders.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    /// Those that agents have carried out.
    pub(crate) done: BTreeSet<u64>,
    pub(crate) meta: BTreeMap<NodeId, Meta>,
}

/// What the operator knows of a node's meta.
#[derive(Debug)]
pub(crate) struct Meta {
    /// What was acknowledged last; `None` when nobody can know.
    is: Option<Color>,
    /// What was asked for since, and may or may not be so.
    open: BTreeMap<RequestId, Color>,
}

impl Default for Meta {
    fn default() -> Self {
        let (is, open) = (Some(None), BTreeMap::new());
        Self { is, open }
    }
}

impl Meta {
    /// Whether this may be so.
    pub(crate) fn allows(&self, color: &Color) -> bool {
        self.is.as_ref().is_none_or(|it| it == color) || self.open.values().any(|it| it == color)
    }
}

impl Orders {
    /// The operator asks for something.
    pub(crate) fn on_asked(&mut self, request: RequestId, command: &Command) {
        if let Command::Order {
            node,
            deed: Deed::ApplyMeta(changes),
        } = command
        {
            let color = changes[0].1.clone();
            self.meta.entry(*node).or_default().open.insert(request, color);
        }
    }

    /// What came of it; `None` when nobody can say.
    pub(crate) fn on_answer(&mut self, request: RequestId, result: Option<&Result<Response, Refusal>>) {
        let Some(meta) = self.meta.values_mut().find(|it| it.open.contains_key(&request)) else {
            return;
        };
        match result {
            Some(Ok(_)) => {
                meta.is = meta.open.remove(&request);
                // An agent does one thing after the other: what was asked before was done before, or never is.
                meta.open.retain(|other, _| *other > request);
            }
            Some(Err(Refusal::Invalid(_))) => {
                meta.open.remove(&request);
            }
            _ => {}
        }
    }

    /// A node has lost its store.
    pub(crate) fn on_store_gone(&mut self, node: NodeId) {
        self.meta.entry(node).or_default().is = Some(None);
    }

    /// Two boxes are one node, or no longer: nobody knows which of them was told what.
    pub(crate) fn on_clone(&mut self, node: NodeId) {
        self.meta.entry(node).or_default().is = None;
    }
}

impl World {
    /// Tasks of some allocation on a box are restarted.
    pub(crate) fn restart_tasks(&mut self, entry: &Entry) {
        let node = self.devices[entry.to].id;
        let Some(alloc) = self.pick(entry, |it| it.node == node) else {
            return;
        };
        let tasks = match entry.size {
            0 => RestartTasks::Running,
            1 => RestartTasks::All,
            _ => RestartTasks::One(jobs::TASK.into()),
        };
        let deed = Deed::Restart { alloc, tasks };
        self.command(Command::Order { node, deed });
    }

    /// Some allocation of a job is ended.
    pub(crate) fn stop_allocation(&mut self, entry: &Entry) {
        let key = jobs::key(entry.to);
        let no_shutdown_delay = entry.size == 1;
        if let Some(id) = self.pick(entry, |it| it.job == key) {
            self.command(Command::StopAllocation {
                id,
                no_shutdown_delay,
            });
        }
    }

    /// The meta of a box is changed.
    pub(crate) fn apply_meta(&mut self, entry: &Entry) {
        let color = (entry.size > 0).then(|| entry.size.to_string());
        let node = self.devices[entry.to].id;
        let deed = Deed::ApplyMeta(vec![(KEY.to_owned(), color)]);
        self.command(Command::Order { node, deed });
    }

    fn pick(&self, entry: &Entry, fits: impl Fn(&Allocation) -> bool) -> Option<AllocId> {
        let allocs = self.host.state().allocs.values();
        let found: Vec<AllocId> = allocs
            .filter(|it| !it.is_terminal() && fits(it))
            .map(|it| it.id)
            .collect();
        let at = entry.random().below(found.len().max(1) as u64);
        found.get(at as usize).copied()
    }
}
