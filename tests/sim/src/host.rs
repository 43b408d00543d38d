//! The coordinator's process: its core, its durable store, and crashes between any two effects.

use holdfast_coordinator_core::{Coordinator, Delta, Effect, Input, Options, State};
use holdfast_shared::time::{Duration, Timestamp};

use crate::world::{Event, World};

/// The coordinator's process and its disk.
pub(crate) struct Host {
    core: Option<Coordinator>,
    /// What survives a crash.
    pub(crate) durable: State,
    seed: u128,
    wake_at: Option<Timestamp>,
    /// Effects after which the process dies.
    pub(crate) dies_after: Option<u64>,
    /// Whether the disk takes no writes.
    pub(crate) disk_full: bool,
    /// Deltas the disk did not take yet; nothing that depends on them has happened.
    held_back: Vec<Effect>,
}

impl Host {
    pub(crate) fn new(seed: u128) -> Self {
        Self {
            core: None,
            durable: State::default(),
            seed,
            wake_at: None,
            dies_after: None,
            disk_full: false,
            held_back: Vec::new(),
        }
    }

    pub(crate) const fn is_up(&self) -> bool {
        self.core.is_some()
    }

    /// What the running process believes, or what is durable when there is none.
    pub(crate) fn state(&self) -> &State {
        self.core.as_ref().map_or(&self.durable, Coordinator::state)
    }
}

impl World {
    pub(crate) fn start_coordinator(&mut self) {
        if self.host.is_up() {
            return;
        }
        self.host.seed = self.host.seed.wrapping_add(1);
        let options = Options {
            report_wait: Duration::from_secs(30),
            // The modelled broker keeps them to itself, as an external one does.
            hears_pings: false,
            ..Options::default()
        };
        let mut core = Coordinator::new(options, self.host.durable.clone(), self.host.seed);
        let effects = core.start(self.now);
        self.host.core = Some(core);
        self.tell(|| "coordinator starts".into());
        self.execute_host(effects);
    }

    pub(crate) fn kill_coordinator(&mut self) {
        if self.host.core.take().is_some() {
            self.host.wake_at = None;
            self.host.dies_after = None;
            self.host.held_back.clear();
            self.tell(|| "coordinator is killed".into());
            self.operator.on_crash();
            self.broker_gone();
            let pause = self.random.millis(500, 20_000);
            self.at(pause, Event::StartCoordinator);
        }
    }

    pub(crate) fn coordinator_input(&mut self, input: Input) {
        if let Some(core) = &mut self.host.core {
            let effects = core.handle(self.now, input);
            self.execute_host(effects);
        }
    }

    pub(crate) fn wake_coordinator(&mut self) {
        if self.host.wake_at.is_some_and(|at| at <= self.now) {
            self.host.wake_at = None;
            self.coordinator_input(Input::Timeout);
        }
    }

    /// The disk works again: what it did not take is written, and what depends on it happens.
    pub(crate) fn disk_works(&mut self) {
        self.host.disk_full = false;
        let effects = std::mem::take(&mut self.host.held_back);
        self.execute_host(effects);
    }

    fn execute_host(&mut self, effects: Vec<Effect>) {
        if self.host.disk_full {
            self.host.held_back.extend(effects);
        } else {
            for effect in effects {
                if let Some(left) = &mut self.host.dies_after {
                    if *left == 0 {
                        self.kill_coordinator();
                        return;
                    }
                    *left -= 1;
                }
                self.execute_host_effect(effect);
            }
        }
        let wanted = self.host.core.as_ref().and_then(Coordinator::poll_timeout);
        if let Some(at) = wanted.filter(|at| self.host.wake_at.is_none_or(|old| *at < old)) {
            // A turn takes time: the loop of a real process is no faster.
            let at = at.max(self.now + Duration::from_millis(1));
            self.host.wake_at = Some(at);
            self.at(at.since(self.now), Event::Wake(None));
        }
    }

    fn execute_host_effect(&mut self, effect: Effect) {
        match effect {
            Effect::Persist(deltas) => {
                for delta in &deltas {
                    self.tell_delta(delta);
                    self.host.durable.apply(delta);
                }
            }
            Effect::Reply(request, result) => self.operator_hears(request, result),
            Effect::Publish(node, message) => self.send_down(node, message),
        }
    }

    fn tell_delta(&mut self, delta: &Delta) {
        let durable = &self.host.durable;
        let text = match delta {
            Delta::Allocation(alloc) => {
                let old = durable.allocs.get(&alloc.id);
                if old.is_some_and(|old| (old.desired, old.client) == (alloc.desired, alloc.client)) {
                    return;
                }
                let (id, node) = (alloc.id.short(), alloc.node.short());
                let (version, why) = (alloc.job_version, &alloc.desired_description);
                format!(
                    "alloc {id} {} v{version} on {node}: {}/{} {why}",
                    alloc.name, alloc.desired, alloc.client
                )
            }
            Delta::Node(node) => {
                if durable
                    .nodes
                    .get(&node.id)
                    .is_some_and(|old| old.status == node.status)
                {
                    return;
                }
                format!("node {} is {}", node.id.short(), node.status)
            }
            _ => return,
        };
        self.tell(|| text);
    }
}
