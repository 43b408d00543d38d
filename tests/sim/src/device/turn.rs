//! The loop of an agent's shell: inputs, one commit, then everything that depends on it.

use holdfast_agent_core::{Agent, Effect, Input, LocalDelta, Recovery, TaskInput};
use holdfast_shared::wire::FromAgent;

use super::Device;
use crate::podman::Order;
use crate::world::{Event, World};

impl Device {
    pub(super) fn write(&mut self, deltas: Vec<LocalDelta>) {
        if self.disk_full || !self.backlog.is_empty() {
            self.backlog.extend(deltas);
        } else {
            deltas.into_iter().for_each(|delta| self.store.apply(delta));
        }
    }
}

impl World {
    pub(crate) fn agent_input(&mut self, number: usize, input: Input, lineage: Option<usize>) {
        let device = &mut self.devices[number];
        if device.is_up() {
            device.inbox.push((input, lineage));
            self.agent_turn(number);
        }
    }

    pub(crate) fn wake_agent(&mut self, number: usize) {
        let now = self.now;
        let device = &mut self.devices[number];
        if device.wake_at.is_some_and(|at| at <= now) {
            device.wake_at = None;
            self.agent_input(number, Input::Timeout, None);
        }
    }

    /// One turn of the shell's loop: everything that is there, one commit, then the rest in order.
    fn agent_turn(&mut self, number: usize) {
        let now = self.now;
        if self.devices[number].writing.is_some() {
            return;
        }
        let mut effects = Vec::new();
        let mut found = Vec::new();
        for (input, lineage) in std::mem::take(&mut self.devices[number].inbox) {
            let device = &mut self.devices[number];
            let clock = device.now(now);
            let Some(agent) = device.agent.as_mut().filter(|_| device.podman.admits(&input)) else {
                continue;
            };
            if let Input::Task(task, TaskInput::Recovered(Recovery::Running { .. })) = &input {
                found.push(task.clone());
            }
            let before = agent.held();
            let decided = agent.handle(clock, input);
            let after = agent.held();
            self.orders_are_done_once(number, &decided);
            effects.extend(decided);
            if after != before {
                self.on_accepted(number, before, after, lineage);
            }
        }
        found.into_iter().for_each(|task| self.render(number, task));
        self.perform(number, effects);
    }

    /// Executes effects; what must be durable goes first, in one commit.
    pub(super) fn perform(&mut self, number: usize, effects: Vec<Effect>) {
        let mut deltas = Vec::new();
        let mut rest = Vec::new();
        for effect in effects {
            match effect {
                Effect::Persist(more) => deltas.extend(more),
                other => rest.push(other),
            }
        }
        self.check_agent(number, &deltas);
        if deltas.is_empty() {
            self.check_store(number);
            self.perform_rest(number, rest);
            return;
        }
        let device = &mut self.devices[number];
        let slow = device.slow_disk.as_mut();
        let takes = slow.map(|weather| weather.random.millis(1, weather.size));
        device.writing = Some((deltas, rest));
        if self.agent_ends(number) {
            return;
        }
        match takes {
            Some(takes) => {
                let process = self.devices[number].process;
                self.at(takes, Event::AgentCommitted(number, process));
            }
            None => self.agent_committed(number),
        }
    }

    /// What was being written is on the disk, or waits in memory.
    pub(crate) fn agent_committed(&mut self, number: usize) {
        if let Some((deltas, rest)) = self.devices[number].writing.take() {
            self.devices[number].write(deltas);
            self.check_store(number);
            self.perform_rest(number, rest);
        }
    }

    fn perform_rest(&mut self, number: usize, rest: Vec<Effect>) {
        for effect in rest {
            if self.agent_ends(number) {
                return;
            }
            let device = &mut self.devices[number];
            match effect {
                // An operator relies on nothing that is not stored.
                Effect::Publish(FromAgent::Answer(_)) if !device.backlog.is_empty() => {
                    device.held_back.push(effect);
                }
                effect => self.perform_effect(number, effect),
            }
        }
        self.set_alarm(number);
        if !self.devices[number].inbox.is_empty() {
            self.agent_turn(number);
        }
    }

    /// Whether the agent ends before it gets to the next thing.
    fn agent_ends(&mut self, number: usize) -> bool {
        match &mut self.devices[number].end {
            Some((0, end)) => {
                let end = *end;
                self.end_device(number, end);
                true
            }
            Some((left, _)) => {
                *left -= 1;
                false
            }
            None => false,
        }
    }

    /// The disk takes changes again.
    pub(crate) fn store_retry(&mut self, number: usize) {
        let device = &mut self.devices[number];
        if !device.disk_full {
            let backlog = std::mem::take(&mut device.backlog);
            backlog.into_iter().for_each(|delta| device.store.apply(delta));
            for effect in std::mem::take(&mut device.held_back) {
                self.perform_effect(number, effect);
            }
        }
    }

    pub(crate) fn set_alarm(&mut self, number: usize) {
        let now = self.now;
        let device = &mut self.devices[number];
        let Some(wanted) = device.agent.as_ref().and_then(Agent::poll_timeout) else {
            return;
        };
        let delay = device.clock.until(now, wanted);
        if device.wake_at.is_none_or(|old| now + delay < old) {
            device.wake_at = Some(now + delay);
            self.at(delay, Event::WakeAgent(number));
        }
    }

    fn perform_effect(&mut self, number: usize, effect: Effect) {
        match effect {
            Effect::Persist(_) | Effect::Signal { .. } | Effect::Watch(_) | Effect::Unwatch(_) => {}
            Effect::Publish(message) => self.send_up(number, message),
            Effect::Prepare(alloc) => {
                let takes = self.devices[number].random.millis(1, 100);
                self.answer(number, takes, Input::Prepared(alloc, Ok(())));
            }
            Effect::Render(task) => self.render(number, task),
            Effect::Start(task) => {
                self.check_start(number, &task);
                self.tell(number, || format!("starts {task}"));
                self.order(number, Order::Start(task));
            }
            Effect::Recover(task, _) => self.order(number, Order::Recover(task)),
            Effect::Stop { task, timeout, .. } => {
                self.tell(number, || format!("stops {task}"));
                self.check_stop(number, &task);
                self.order(number, Order::Stop(task, timeout));
            }
            Effect::Remove(task, handle) => {
                let run = handle.try_into().map_or(0, u64::from_be_bytes);
                self.order(number, Order::Remove(task, run));
            }
            Effect::Sweep(alloc) => self.order(number, Order::Destroy(alloc)),
            Effect::Destroy(alloc) => {
                self.tell(number, || format!("forgets {}", alloc.short()));
                self.order(number, Order::Destroy(alloc));
            }
        }
    }
}
