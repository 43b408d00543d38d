//! One node without its connection: the agent's core, and a box on which everything that is asked for works at once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use holdfast_agent_core::{Agent, Effect, Exit, Input, LocalState, Now, Recovery, Rendered, TaskInput};
use holdfast_shared::id::{IdGenerator, NodeId};
use holdfast_shared::model::{ClientStatus, Fingerprint};
use holdfast_shared::time::{Duration, Timestamp};
use holdfast_shared::wire::FromAgent;
use tokio::time::Instant;

use super::{Counters, LoadPlan};

/// What a real agent on a small box says of it, as it was recorded; name, address and host name are each node's own.
const FINGERPRINT: &str = include_str!("fingerprint.json");

/// A node.
pub(super) struct Device {
    pub(super) node: NodeId,
    pub(super) secret: String,
    pub(super) keep_alive: std::time::Duration,
    agent: Agent,
    start: Instant,
    counters: Arc<Counters>,
    shown: Shown,
}

/// How far the node has come, as far as it was counted.
#[derive(Default)]
struct Shown {
    registered: bool,
    assigned: bool,
    running: bool,
}

impl Device {
    /// Node `index` of `plan`.
    pub(super) fn new(plan: &LoadPlan, index: usize, start: Instant, counters: Arc<Counters>) -> Self {
        let seed = u128::from(plan.seed) << 64 | index as u128;
        let mut ids = IdGenerator::from_seed(seed);
        let node = NodeId::generate(&mut ids);
        let secret = format!("{:016x}{:016x}", ids.next_u64(), ids.next_u64());
        let now = Now {
            mono: Timestamp(1),
            wall: wall(),
        };
        let (mut agent, _) = Agent::restore(seed, LocalState::default(), true, now);
        agent.handle(now, Input::Fingerprint(Box::new(fingerprint(plan, index))));
        Self {
            node,
            secret,
            keep_alive: plan.keep_alive,
            agent,
            start,
            counters,
            shown: Shown::default(),
        }
    }

    /// Hands an input in, does what comes of it, and returns what the coordinator is to be told.
    pub(super) fn handle(&mut self, input: Input) -> Vec<FromAgent> {
        let mut said = Vec::new();
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let now = Now {
                mono: self.mono(),
                wall: wall(),
            };
            for effect in self.agent.handle(now, input) {
                match effect {
                    Effect::Publish(message) => said.push(message),
                    other => inputs.extend(answer(other)),
                }
            }
        }
        self.count();
        said
    }

    /// The coordinator has made something durable that this node has said.
    pub(super) fn acknowledged(&mut self) {
        note(&mut self.shown.registered, &self.counters.registered);
    }

    /// When the core wants to be woken.
    pub(super) fn due(&self) -> Option<Instant> {
        let at = self.agent.poll_timeout()?;
        Some(Instant::now() + at.since(self.mono()).to_std())
    }

    /// A number for the next connection, greater than every one before, also of an earlier process.
    pub(super) fn next_session(&self) -> u64 {
        u64::try_from(wall().0 / 1_000_000).unwrap_or(0)
    }

    fn mono(&self) -> Timestamp {
        Timestamp(1) + Duration::from(self.start.elapsed())
    }

    fn count(&mut self) {
        let mut allocs = self.agent.allocs();
        if let Some(first) = allocs.next() {
            let running = first.client == ClientStatus::Running;
            note(&mut self.shown.assigned, &self.counters.assigned);
            if running {
                note(&mut self.shown.running, &self.counters.running);
            }
        }
    }
}

/// Counts something that a node comes to once.
fn note(shown: &mut bool, counter: &AtomicUsize) {
    if !std::mem::replace(shown, true) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// What a box on which everything works says to an order.
fn answer(effect: Effect) -> Option<Input> {
    Some(match effect {
        Effect::Prepare(alloc) => Input::Prepared(alloc, Ok(())),
        Effect::Render(task) => Input::Rendered(task, Ok(Rendered::default())),
        Effect::Start(task) => Input::Task(
            task,
            TaskInput::Started {
                handle: vec![1],
                address: String::new(),
            },
        ),
        Effect::Recover(task, _) => {
            let address = String::new();
            Input::Task(task, TaskInput::Recovered(Recovery::Running { address }))
        }
        Effect::Stop { task, .. } => Input::Task(task, TaskInput::Exited(Exit::default())),
        Effect::Watch(check) => Input::Check(check, true),
        Effect::Publish(_)
        | Effect::Persist(_)
        | Effect::Signal { .. }
        | Effect::Remove(..)
        | Effect::Sweep(_)
        | Effect::Destroy(_)
        | Effect::Unwatch(_) => return None,
    })
}

fn fingerprint(plan: &LoadPlan, index: usize) -> Fingerprint {
    let name = format!("load-{}-{index}", plan.seed);
    let address = format!("10.{}.{}.{}", plan.seed % 200, index >> 8 & 255, index & 255);
    let text = FINGERPRINT
        .replace("NODE_NAME", &name)
        .replace("NODE_ADDRESS", &address);
    let recorded: Fingerprint = serde_json::from_str(&text).expect("it was recorded from an agent");
    Fingerprint {
        keep_alive: plan.keep_alive.into(),
        ..recorded
    }
}

fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
