//! One turn: a batch of inputs through the core, one commit, then everything that depends on it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use holdfast_coordinator_core::{Coordinator, Effect, Input, Refusal, RequestId, Response};
use holdfast_shared::id::NodeId;
use holdfast_shared::time::{Duration, Timestamp};
use holdfast_shared::wire::ToAgent;
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};

use super::journal;
use super::{CommandError, Messenger, Parts, Task};
use crate::clock::Clock;
use crate::error::chain;
use crate::memory::Ebb;
use crate::metrics::Metrics;
use crate::snapshots::Snapshots;
use crate::store::{Batch, Condition, Store, StoreError};

/// Inputs that are handled with one flush at most.
const TURN: usize = 512;

/// What is due is done with the inputs that caused it, in one flush, up to this often; then other inputs have their turn.
const TIMEOUTS: usize = 8;

/// No more is done of that once there are so many changes. All that one flush makes durable is in memory at once, twice for
/// a moment, and what is sent because of it as well.
const CHANGES: usize = 1024;

/// Pause between two attempts to store what could not be stored.
const RETRY: Duration = Duration::from_secs(1);

/// How often the loop looks up when there is nothing to do.
const LOOK: Duration = Duration::from_secs(1);

/// The loop did not look up for longer than this: the process was stopped, or the computer suspended. What agents said
/// meanwhile is lost or still on its way, so that their silence means nothing.
const LAPSE: Duration = Duration::from_secs(3);

/// Messages that wait for the disk at most; the oldest go first, as any message may get lost.
const HELD_MESSAGES: usize = 20_000;

type Reply = oneshot::Sender<Result<Response, CommandError>>;

pub(super) struct Runtime {
    core: Coordinator,
    store: Box<dyn Store>,
    messenger: Box<dyn Messenger>,
    metrics: Arc<Metrics>,
    clock: Clock,
    snapshots: Arc<Snapshots>,
    requests: u64,
    replies: BTreeMap<RequestId, Reply>,
    /// Changes that the core has made and the store has not.
    unsaved: Batch,
    /// Messages that tell of them.
    held: VecDeque<(NodeId, ToAgent)>,
    trouble: Option<Trouble>,
    failing: Arc<AtomicBool>,
}

/// The store fails.
struct Trouble {
    reason: String,
    retry_at: Timestamp,
}

impl Runtime {
    pub(super) fn new(snapshots: Arc<Snapshots>, parts: Parts, failing: Arc<AtomicBool>) -> Self {
        Self {
            core: parts.core,
            store: parts.store,
            messenger: parts.messenger,
            metrics: parts.metrics,
            clock: parts.clock,
            snapshots,
            requests: 0,
            replies: BTreeMap::new(),
            unsaved: Batch::default(),
            held: VecDeque::new(),
            trouble: None,
            failing,
        }
    }

    pub(super) async fn run(mut self, mut tasks: mpsc::Receiver<Task>, mut stopped: oneshot::Receiver<()>) {
        let effects = self.core.start(self.clock.now());
        self.execute(effects);
        let mut batch = Vec::with_capacity(TURN);
        let (mut looked, mut ebb) = (self.clock.now(), Ebb::new());
        loop {
            let look = looked + LOOK;
            let timer = self.clock.instant(self.due().map_or(look, |due| due.min(look)));
            tokio::select! {
                biased;
                _ = &mut stopped => break,
                count = tasks.recv_many(&mut batch, TURN) => if count == 0 { break },
                () = tokio::time::sleep_until(timer) => {}
            }
            let now = self.clock.now();
            let absent = now.since(looked);
            if absent > LAPSE {
                warn!(
                    seconds = absent.as_secs(),
                    "the coordinator stood still; every node gets a full window"
                );
                let effects = self.core.handle(now, Input::Lapse);
                self.execute(effects);
            }
            looked = now;
            self.turn(&mut batch);
            ebb.look();
        }
        self.retry(self.clock.now());
        if !self.unsaved.is_empty() {
            error!(
                changes = self.unsaved.len(),
                "ended with changes that could not be stored"
            );
        }
    }

    /// When there is something to do without an input.
    fn due(&self) -> Option<Timestamp> {
        let retry = self.trouble.as_ref().map(|trouble| trouble.retry_at);
        [self.core.poll_timeout(), retry].into_iter().flatten().min()
    }

    fn turn(&mut self, batch: &mut Vec<Task>) {
        let now = self.clock.now();
        if self
            .trouble
            .as_ref()
            .is_some_and(|trouble| trouble.retry_at <= now)
        {
            self.retry(now);
        }
        self.metrics.inputs(batch.len());
        let mut effects = Vec::new();
        for task in batch.drain(..) {
            match task {
                Task::Input { input, .. } => effects.extend(self.core.handle(now, input)),
                Task::Command(command, reply) => match &self.trouble {
                    // Whoever asked may have given up: then there is nobody to answer.
                    Some(trouble) => drop(reply.send(Err(CommandError::NotTaken(trouble.reason.clone())))),
                    None => {
                        self.requests += 1;
                        let request = RequestId(self.requests);
                        self.replies.insert(request, reply);
                        effects.extend(self.core.handle(now, Input::Command(request, command)));
                    }
                },
            }
        }
        for _ in 0..TIMEOUTS {
            let changes: usize = effects.iter().map(changes_in).sum();
            if changes > CHANGES || self.core.poll_timeout().is_none_or(|at| at > now) {
                break;
            }
            effects.extend(self.core.handle(now, Input::Timeout));
        }
        self.execute(effects);
        self.metrics.turn(self.clock.now().since(now));
    }

    /// Makes all changes durable, then shows them, then does the rest in order.
    fn execute(&mut self, effects: Vec<Effect>) {
        let mut rest = Vec::with_capacity(effects.len());
        let before = self.snapshots.load();
        for effect in effects {
            match effect {
                Effect::Persist(deltas) => {
                    for delta in deltas {
                        journal::record(&delta, &before);
                        self.unsaved.push(delta);
                    }
                }
                other => rest.push(other),
            }
        }
        let saved = if self.trouble.is_some() {
            false
        } else {
            self.save()
        };
        for effect in rest {
            match effect {
                Effect::Persist(_) => unreachable!("they were taken out above"),
                Effect::Reply(request, outcome) => self.reply(request, outcome),
                Effect::Publish(node, message) if saved => self.messenger.send(node, &message),
                Effect::Publish(node, message) => {
                    if self.held.len() == HELD_MESSAGES {
                        self.held.pop_front();
                    }
                    self.held.push_back((node, message));
                }
            }
        }
    }

    fn reply(&mut self, request: RequestId, outcome: Result<Response, Refusal>) {
        let outcome = match (&self.trouble, outcome) {
            (_, Err(refusal)) => Err(CommandError::Refused(refusal)),
            (None, Ok(response)) => Ok(response),
            (Some(trouble), Ok(_)) => Err(CommandError::NotStored(trouble.reason.clone())),
        };
        if let Some(reply) = self.replies.remove(&request) {
            // Whoever asked may have given up.
            drop(reply.send(outcome));
        }
    }

    /// Commits what is unsaved, and shows it to readers. Answers whether it is durable now.
    fn save(&mut self) -> bool {
        if self.unsaved.is_empty() {
            return true;
        }
        let started = self.clock.now();
        let mut outcome = self.store.commit(&self.unsaved);
        if let Err(error) = &outcome
            && self.trouble.is_none()
        {
            // A store that was deleted or replaced is mended at once, before anybody has to be refused.
            warn!(error = chain(error), "the store failed, it is opened anew");
            outcome = self.reopen().and_then(|()| self.store.commit(&self.unsaved));
        }
        match outcome {
            Ok(()) => {
                self.metrics
                    .commit(self.unsaved.len(), self.clock.now().since(started));
                self.unsaved.clear();
                self.snapshots.publish(self.core.state());
                true
            }
            Err(error) => {
                self.fail(&error);
                false
            }
        }
    }

    /// Opens the store anew. What was stored may be gone, but it is still here, and is stored again then.
    fn reopen(&mut self) -> Result<(), StoreError> {
        if self.store.reopen()? == Condition::Replaced {
            self.unsaved = self.core.state().deltas().into_iter().collect();
        }
        Ok(())
    }

    fn fail(&mut self, error: &StoreError) {
        let reason = chain(error);
        self.metrics.commit_failed();
        if self.trouble.is_none() {
            error!(
                error = reason,
                changes = self.unsaved.len(),
                "changes cannot be stored, trying again"
            );
        }
        self.failing.store(true, Ordering::Relaxed);
        self.trouble = Some(Trouble {
            reason,
            retry_at: self.clock.now() + RETRY,
        });
    }

    /// Opens the store anew and commits what is unsaved; then sends what was held back.
    fn retry(&mut self, now: Timestamp) {
        let Some(trouble) = &mut self.trouble else { return };
        trouble.retry_at = now + RETRY;
        if let Err(error) = self.reopen() {
            return self.fail(&error);
        }
        if !self.save() {
            return;
        }
        info!("changes are stored again");
        self.trouble = None;
        self.failing.store(false, Ordering::Relaxed);
        for (node, message) in self.held.drain(..) {
            self.messenger.send(node, &message);
        }
    }
}

/// How many changes an effect is to make durable.
fn changes_in(effect: &Effect) -> usize {
    match effect {
        Effect::Persist(deltas) => deltas.len(),
        Effect::Reply(..) | Effect::Publish(..) => 0,
    }
}
