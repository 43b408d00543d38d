//! The coordinator's process: its core with its shell, its store, its backups.

use std::collections::{BTreeMap, VecDeque};

use holdfast_coordinator_core::{Command, Coordinator, Delta, Effect, Input, Options, State};
use holdfast_shared::id::NodeId;
use holdfast_shared::time::{Duration, Timestamp};
use holdfast_shared::wire::ToAgent;

use crate::broker::Letter;
use crate::clock::Clock;
use crate::network::Weather;
use crate::random::Random;
use crate::world::{Event, World};

/// Pause between two attempts to store what could not be stored.
const RETRY: Duration = Duration::from_secs(1);

/// What is due is done with the inputs that caused it, in one commit, up to this often.
const TIMEOUTS: usize = 8;

/// How often a backup is made.
pub(crate) const BACKUP: Duration = Duration::from_secs(1800);

/// Where a state comes from: a copy that is restored begins a lineage of its own.
#[derive(Debug, Default, Clone)]
pub(crate) struct Lineage {
    /// The lineage that it was copied from.
    pub(crate) parent: usize,
    /// What each node had been told, as far as the copy knew.
    pub(crate) known: BTreeMap<NodeId, (u64, u64)>,
    /// Whether the operator has declared it to be the truth.
    pub(crate) is_adopted: bool,
}

/// A copy of the coordinator's state.
struct Backup {
    at: Timestamp,
    lineage: usize,
    state: State,
}

/// The coordinator's process and its disk.
pub(crate) struct Host {
    core: Option<Coordinator>,
    process: u64,
    /// What survives a crash.
    pub(crate) durable: State,
    pub(crate) lineage: usize,
    pub(crate) lineages: Vec<Lineage>,
    backups: VecDeque<Backup>,
    pub(crate) clock: Clock,
    wake_at: Option<Timestamp>,
    /// Effects after which the process dies, and how long it is gone.
    pub(crate) dies_after: Option<(u64, Duration)>,
    /// Whether the disk takes no changes.
    pub(crate) disk_full: bool,
    /// Whether it cannot even be opened.
    pub(crate) read_only: bool,
    pub(crate) slow_disk: Option<Weather>,
    inbox: Vec<Input>,
    /// What depends on the commit that is under way.
    writing: Option<Vec<Effect>>,
    /// Changes that the disk did not take yet.
    unsaved: Vec<Delta>,
    /// Messages that tell of them.
    held: Vec<(NodeId, ToAgent)>,
    in_trouble: bool,
    pub(crate) random: Random,
}

impl Host {
    pub(crate) fn new(seed: u64, now: Timestamp) -> Self {
        Self {
            core: None,
            process: 0,
            durable: State::default(),
            lineage: 0,
            lineages: vec![Lineage {
                is_adopted: true,
                ..Lineage::default()
            }],
            backups: VecDeque::new(),
            clock: Clock::new(now, now),
            wake_at: None,
            dies_after: None,
            disk_full: false,
            read_only: false,
            slow_disk: None,
            inbox: Vec::new(),
            writing: None,
            unsaved: Vec::new(),
            held: Vec::new(),
            in_trouble: false,
            random: Random::stream(seed, "coordinator", 0),
        }
    }

    pub(crate) const fn is_up(&self) -> bool {
        self.core.is_some()
    }

    /// What the running process believes, or what is durable when there is none.
    pub(crate) fn state(&self) -> &State {
        self.core.as_ref().map_or(&self.durable, Coordinator::state)
    }

    /// Begins a lineage of its own with an older copy of the state.
    fn restore(&mut self, state: State, parent: usize) {
        let known = |(id, node): (&NodeId, &std::sync::Arc<holdfast_shared::model::Node>)| {
            (*id, (state.epoch, node.sent_generation))
        };
        self.lineages.push(Lineage {
            parent,
            known: state.nodes.iter().map(known).collect(),
            is_adopted: false,
        });
        self.lineage = self.lineages.len() - 1;
        self.durable = state;
    }
}

impl World {
    pub(crate) fn start_coordinator(&mut self) {
        if self.host.is_up() {
            return;
        }
        if self.host.read_only {
            // The store cannot be opened; whoever looks after the process starts it again.
            self.at(Duration::from_secs(2), Event::StartCoordinator);
            return;
        }
        let options = Options {
            hears_pings: !self.broker.is_external,
            calendar: holdfast_cron::next_launch,
            // Every other process looks at deployments as if all jobs were large.
            look_pause: Duration::from_millis(if self.host.process.is_multiple_of(2) {
                0
            } else {
                200
            }),
            ..Options::default()
        };
        let (now, host) = (self.now, &mut self.host);
        let newest = host.durable.newest_time();
        let wall = host.clock.wall(now);
        host.clock.restart(now, newest.max(wall));
        host.process += 1;
        let mut core = Coordinator::new(options, host.durable.clone(), host.random.seed());
        let effects = core.start(host.clock.forward(now));
        host.core = Some(core);
        self.tell_of("coordinator", || "starts".into());
        self.on_coordinator_start();
        self.perform_host(effects);
        let soon = self.host.random.millis(50, 500);
        self.at(soon, Event::BrokerMeetsCoordinator);
    }

    pub(crate) fn kill_coordinator(&mut self, pause: Duration) {
        let host = &mut self.host;
        if host.core.take().is_none() {
            return;
        }
        host.wake_at = None;
        host.dies_after = None;
        host.inbox.clear();
        // A commit that was under way is on the disk or it is not; nothing that depends on it has happened.
        let under_way = host.writing.take().is_some() && host.random.chance(50);
        let unsaved = std::mem::take(&mut host.unsaved);
        host.held.clear();
        host.in_trouble = false;
        if under_way {
            self.store(&unsaved);
        }
        self.tell_of("coordinator", || "is killed".into());
        self.operator.on_crash();
        self.coordinator_is_gone();
        self.at(pause, Event::StartCoordinator);
    }

    /// The store is lost, and the coordinator starts with an empty one.
    pub(crate) fn wipe_coordinator(&mut self, pause: Duration) {
        self.kill_coordinator(pause);
        let parent = self.host.lineage;
        self.host.restore(State::default(), parent);
        self.operator.on_restore(&self.host.durable);
        self.invariants.on_restore();
    }

    /// The store is replaced by a backup of at least that age.
    pub(crate) fn restore_coordinator(&mut self, age: Duration, pause: Duration) {
        let now = self.now;
        let found = self
            .host
            .backups
            .iter()
            .rev()
            .find(|backup| now.since(backup.at) >= age);
        let Some((state, lineage)) = found.map(|backup| (backup.state.clone(), backup.lineage)) else {
            return;
        };
        self.kill_coordinator(pause);
        self.host.restore(state, lineage);
        self.operator.on_restore(&self.host.durable);
        self.invariants.on_restore();
    }

    /// Somebody copies the state.
    pub(crate) fn back_up(&mut self) {
        let backup = Backup {
            at: self.now,
            lineage: self.host.lineage,
            state: self.host.durable.clone(),
        };
        self.host.backups.push_back(backup);
        if self.now < self.faults_end {
            self.at(BACKUP, Event::BackUp);
        }
    }

    pub(crate) fn coordinator_input(&mut self, input: Input) {
        if self.host.is_up() {
            self.host.inbox.push(input);
            self.host_turn();
        }
    }

    pub(crate) fn wake_coordinator(&mut self) {
        if self.host.wake_at.is_some_and(|at| at <= self.now) {
            self.host.wake_at = None;
            self.host_turn();
        }
    }

    /// One turn of the shell's loop: all inputs that are there, one commit, then everything that depends on it.
    fn host_turn(&mut self) {
        if self.host.writing.is_some() {
            return;
        }
        let now = self.host.clock.forward(self.now);
        let mut effects = Vec::new();
        for input in std::mem::take(&mut self.host.inbox) {
            if let Input::Command(request, _) = &input
                && self.host.in_trouble
            {
                self.operator_hears(*request, None);
                continue;
            }
            if let Input::Command(_, Command::AdoptState) = &input {
                let parent = self.host.lineage;
                self.host.lineages.push(Lineage {
                    parent,
                    is_adopted: true,
                    ..Lineage::default()
                });
                self.host.lineage = self.host.lineages.len() - 1;
            }
            self.on_heard(now, &input);
            self.decide(now, input, &mut effects);
        }
        // What is due comes behind the inputs that may have made it pointless, and not without end.
        for _ in 0..TIMEOUTS {
            let due = self.host.core.as_ref().and_then(Coordinator::poll_timeout);
            if due.is_none_or(|at| at > now) {
                break;
            }
            self.decide(now, Input::Timeout, &mut effects);
        }
        self.perform_host(effects);
    }

    fn decide(&mut self, now: Timestamp, input: Input, effects: &mut Vec<Effect>) {
        if let Some(core) = &mut self.host.core {
            let decided = core.handle(now, input);
            self.check_decision(&decided);
            effects.extend(decided);
        }
    }

    /// Makes all changes durable, then does the rest in order.
    fn perform_host(&mut self, effects: Vec<Effect>) {
        let mut rest = Vec::new();
        for effect in effects {
            match effect {
                Effect::Persist(deltas) => self.host.unsaved.extend(deltas),
                other => rest.push(other),
            }
        }
        if self.host.unsaved.is_empty() {
            self.perform_host_rest(rest);
        } else if self.host.in_trouble {
            self.hold_back(rest);
        } else if !self.host_dies() {
            let slow = self.host.slow_disk.as_mut();
            let takes = slow.map(|weather| weather.random.millis(1, weather.size));
            self.host.writing = Some(rest);
            match takes {
                Some(takes) => {
                    let process = self.host.process;
                    self.at(takes, Event::CoordinatorCommitted(process));
                }
                None => self.coordinator_committed(self.host.process),
            }
        }
    }

    /// The commit that was under way has come to its end, good or bad.
    pub(crate) fn coordinator_committed(&mut self, process: u64) {
        if self.host.process != process {
            return;
        }
        let Some(rest) = self.host.writing.take() else {
            return;
        };
        if self.host.disk_full {
            self.host.in_trouble = true;
            self.at(RETRY, Event::CoordinatorRetries(process));
            self.hold_back(rest);
            return;
        }
        let unsaved = std::mem::take(&mut self.host.unsaved);
        self.store(&unsaved);
        if !self.host_dies() {
            // A process that stood still has heard nobody meanwhile.
            if self.host.slow_disk.is_some() {
                self.host.inbox.insert(0, Input::Lapse);
            }
            self.perform_host_rest(rest);
        }
    }

    /// What depends on a change that is not durable does not happen: nothing is promised, and messages wait.
    fn hold_back(&mut self, rest: Vec<Effect>) {
        for effect in rest {
            match effect {
                Effect::Reply(request, Err(refusal)) => self.operator_hears(request, Some(Err(refusal))),
                Effect::Reply(request, Ok(_)) => self.operator_hears(request, None),
                Effect::Publish(node, message) => self.host.held.push((node, message)),
                Effect::Persist(_) => {}
            }
        }
        self.set_host_alarm();
    }

    /// The disk is tried again: what it did not take is written, and what depends on it happens.
    pub(crate) fn coordinator_retries(&mut self, process: u64) {
        if self.host.process != process || !self.host.in_trouble || !self.host.is_up() {
            return;
        }
        if self.host.disk_full {
            self.at(RETRY, Event::CoordinatorRetries(process));
            return;
        }
        self.host.in_trouble = false;
        let unsaved = std::mem::take(&mut self.host.unsaved);
        self.store(&unsaved);
        for (node, message) in std::mem::take(&mut self.host.held) {
            self.publish(node, message);
        }
    }

    fn perform_host_rest(&mut self, rest: Vec<Effect>) {
        for effect in rest {
            if self.host_dies() {
                return;
            }
            match effect {
                Effect::Persist(_) => {}
                Effect::Reply(request, result) => self.operator_hears(request, Some(result)),
                Effect::Publish(node, message) => self.publish(node, message),
            }
        }
        self.set_host_alarm();
        if !self.host.inbox.is_empty() {
            self.host_turn();
        }
    }

    fn publish(&mut self, node: NodeId, message: ToAgent) {
        self.check_message(node, &message);
        let lineage = self.host.lineage;
        self.send_down(node, Letter { lineage, message });
    }

    /// Whether the process dies before it gets to the next thing.
    fn host_dies(&mut self) -> bool {
        match &mut self.host.dies_after {
            Some((0, pause)) => {
                let pause = *pause;
                self.kill_coordinator(pause);
                true
            }
            Some((left, _)) => {
                *left -= 1;
                false
            }
            None => false,
        }
    }

    pub(crate) fn set_host_alarm(&mut self) {
        let (now, host) = (self.now, &mut self.host);
        let Some(wanted) = host.core.as_ref().and_then(Coordinator::poll_timeout) else {
            return;
        };
        let delay = host.clock.until(now, wanted);
        if host.wake_at.is_none_or(|old| now + delay < old) {
            host.wake_at = Some(now + delay);
            self.at(delay, Event::WakeCoordinator);
        }
    }

    /// Writes changes to the disk.
    fn store(&mut self, deltas: &[Delta]) {
        for delta in deltas {
            self.check_delta(delta);
            self.tell_delta(delta);
            self.host.durable.apply(delta);
        }
        self.check_commit();
    }

    fn tell_delta(&mut self, delta: &Delta) {
        if !self.tells() {
            return;
        }
        let durable = &self.host.durable;
        let text = match delta {
            Delta::Allocation(alloc) => {
                let old = durable.allocs.get(&alloc.id);
                if old.is_some_and(|old| (old.desired, old.client) == (alloc.desired, alloc.client)) {
                    return;
                }
                let (id, version) = (alloc.id.short(), alloc.job_version);
                let (on, why) = (self.name_of(alloc.node), &alloc.desired_description);
                let (name, desired, client) = (&alloc.name, alloc.desired, alloc.client);
                format!("{name} {id} v{version} on {on} is {desired}/{client} {why}")
            }
            Delta::Node(node) => {
                let old = durable.nodes.get(&node.id);
                if old.is_some_and(|old| old.status == node.status) {
                    return;
                }
                format!("{} is {}", self.name_of(node.id), node.status)
            }
            Delta::Deployment(it) => {
                let old = durable.deployments.get(&it.id);
                if old.is_some_and(|old| old.status == it.status) {
                    return;
                }
                format!(
                    "deployment of {} v{} {}: {}",
                    it.job.id,
                    it.job_version,
                    it.status.as_str(),
                    it.status_description
                )
            }
            Delta::Job(job) => {
                let old = durable.jobs.get(&job.key());
                if old.is_some_and(|old| old.version() == job.version()) {
                    return;
                }
                format!(
                    "{} is at version {}{}",
                    job.id(),
                    job.version(),
                    if job.is_stopped() { ", stopped" } else { "" }
                )
            }
            _ => return,
        };
        self.tell_of("coordinator", || text.trim_end().to_owned());
    }
}
