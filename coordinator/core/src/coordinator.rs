//! The coordinator as a whole: takes inputs in, gives effects out.
//!
//! A turn applies one input, then settles: everything that follows from the changes (services, job statuses, woken
//! evaluations, generations of nodes) is derived from the recorded deltas themselves, so that no decision can forget
//! its consequences. What leaves a turn is one `Persist`, then replies, then messages.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use holdfast_shared::id::{DeploymentId, JobKey, NodeId};
use holdfast_shared::model::{Allocation, EvalStatus, Node};
use holdfast_shared::time::Timestamp;
use holdfast_shared::wire::{Answer, Deed, FromAgent, Presence, ToAgent};

use crate::admit;
use crate::assignments::{Occasion, Publisher};
use crate::broker::Broker;
use crate::deployment::Rollouts;
use crate::drain::Drains;
use crate::effect::Effect;
use crate::evaluate;
use crate::gap;
use crate::gc;
use crate::heartbeat::{self, Contacts};
use crate::input::{Command, Input, RequestId};
use crate::interest::Interests;
use crate::job_status;
use crate::ledger::Ledger;
use crate::options::Options;
use crate::orders::Orders;
use crate::periodic::Launches;
use crate::report;
use crate::scheduler;
use crate::services;
use crate::state::{Delta, State};

/// Evaluations that one turn takes from the queue at most.
const EVALUATIONS_PER_TURN: usize = 8;

/// Decides for one region.
#[derive(Debug)]
pub struct Coordinator {
    ledger: Ledger,
    broker: Broker,
    contacts: Contacts,
    publisher: Publisher,
    interests: Interests,
    rollouts: Rollouts,
    launches: Launches,
    drains: Drains,
    orders: Orders,
    next_gc: Timestamp,
    /// Nodes as they were when their last change was looked at.
    seen: BTreeMap<NodeId, Arc<Node>>,
}

/// What changed in a turn and has consequences that are not derived yet.
#[derive(Debug, Default)]
struct Touched {
    jobs: BTreeSet<JobKey>,
    deployments: BTreeSet<DeploymentId>,
    roomier: BTreeSet<NodeId>,
    /// Nodes that drain.
    drained: BTreeSet<NodeId>,
}

impl Coordinator {
    /// A coordinator that continues with `state`, as loaded from the store. Call [`Coordinator::start`] next.
    pub fn new(options: Options, mut state: State, seed: u128) -> Self {
        let mut contacts = Contacts::default();
        contacts.share(&mut state);
        let broker = Broker::of(&state);
        let drains = Drains::of(&state);
        let seen = state
            .nodes
            .iter()
            .map(|(id, node)| (*id, Arc::clone(node)))
            .collect();
        Self {
            ledger: Ledger::new(options, state, seed),
            broker,
            contacts,
            publisher: Publisher::default(),
            interests: Interests::default(),
            rollouts: Rollouts::default(),
            launches: Launches::default(),
            drains,
            orders: Orders::default(),
            next_gc: Timestamp::ZERO,
            seen,
        }
    }

    /// Begins: gives every node one full window to be heard before it may be declared gone.
    pub fn start(&mut self, now: Timestamp) -> Vec<Effect> {
        self.ledger.now = now;
        self.ledger.begin_epoch();
        gap::bridge(&mut self.ledger);
        self.contacts.start(&self.ledger);
        self.launches.start(&self.ledger);
        self.next_gc = now + self.ledger.options.gc_interval;
        self.rollouts.start(&mut self.ledger);
        self.advance_drains(&BTreeSet::new(), &self.drains.nodes());
        self.settle(Vec::new(), Vec::new())
    }

    /// Decides. Never blocks, never fails, never reads a clock.
    pub fn handle(&mut self, now: Timestamp, input: Input) -> Vec<Effect> {
        self.ledger.now = now;
        match input {
            Input::Command(request, command) => self.on_command(request, command),
            Input::Agent(node, message) => self.on_agent(node, message),
            Input::Alive(node) => self.on_alive(node),
            Input::Presence(node, presence) => self.on_presence(node, presence),
            Input::Hearing(can_hear) => {
                self.contacts.on_hearing(&self.ledger, can_hear);
                Vec::new()
            }
            Input::Lapse => {
                self.contacts.on_lapse(&self.ledger);
                Vec::new()
            }
            Input::Timeout => self.on_timeout(),
        }
    }

    /// When [`Input::Timeout`] is due, if nothing happens before.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let gc = Some(self.next_gc).filter(|at| at.is_set());
        [
            self.broker.next_at(self.ledger.now).filter(|_| !self.is_paused()),
            self.contacts.next_at(),
            self.launches.next_at(),
            self.rollouts.next_at(),
            self.drains.next_at(),
            self.orders.next_at(),
            gc,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Everything that is so. A clone is a snapshot and costs next to nothing.
    pub fn state(&self) -> &State {
        &self.ledger.state
    }

    fn on_command(&mut self, request: RequestId, command: Command) -> Vec<Effect> {
        let outcome = match command {
            Command::Order { node, deed } => return self.on_order(request, node, deed),
            Command::CollectGarbage => {
                gc::collect_all(&mut self.ledger);
                Ok(crate::Response {
                    index: self.ledger.state.index,
                    ..Default::default()
                })
            }
            Command::AdoptState => {
                let heard = self.publisher.on_adoption();
                self.ledger.adopt_state(heard);
                Ok(crate::Response {
                    index: self.ledger.state.index,
                    ..Default::default()
                })
            }
            command => admit::admit(&mut self.ledger, &self.broker, command),
        };
        self.settle(vec![Effect::Reply(request, outcome)], Vec::new())
    }

    fn on_order(&mut self, request: RequestId, node: NodeId, deed: Deed) -> Vec<Effect> {
        let given = self.orders.give(&mut self.ledger, request, (node, deed));
        let refusal = given.err().map(|refusal| Effect::Reply(request, Err(refusal)));
        self.settle(refusal.into_iter().collect(), Vec::new())
    }

    fn on_agent(&mut self, node: NodeId, message: FromAgent) -> Vec<Effect> {
        let mut messages = Vec::new();
        match message {
            FromAgent::Register(register) => {
                if self.contacts.on_register(&mut self.ledger, node, &register) {
                    self.publisher
                        .on_held(&mut self.ledger, node, register.held, Occasion::Registration);
                } else if let Some(session) = heartbeat::on_twin(&mut self.ledger, node, register.session) {
                    // No report has this number: it only tells of the newer session.
                    messages.push((node, ToAgent::Ack { session, seq: 0 }));
                }
            }
            FromAgent::Heartbeat { session, held } => {
                match self.contacts.accepts(&self.ledger, node, session) {
                    Some(known) => {
                        // A node registers when it is asked to report.
                        let settled = known && self.contacts.on_heard(&mut self.ledger, node, session);
                        if !settled || self.contacts.is_stranger(node) {
                            messages.push((node, ToAgent::ReportAll));
                        }
                        self.publisher
                            .on_held(&mut self.ledger, node, held, Occasion::Heartbeat);
                    }
                    None => return Vec::new(),
                }
            }
            FromAgent::Report(report) => {
                if self
                    .contacts
                    .accepts(&self.ledger, node, report.session)
                    .is_none()
                {
                    return Vec::new();
                }
                self.contacts.on_heard(&mut self.ledger, node, report.session);
                let strays = report::apply(&mut self.ledger, node, &report);
                if report.full {
                    self.contacts.on_full_report(&mut self.ledger, node);
                }
                self.publisher
                    .on_held(&mut self.ledger, node, report.held, Occasion::Report);
                self.publisher.on_strays(&self.ledger, node, strays, report.full);
                messages.push((
                    node,
                    ToAgent::Ack {
                        session: report.session,
                        seq: report.seq,
                    },
                ));
            }
            FromAgent::Interest(interest) => {
                // Like everything that a node says, it is a sign of life.
                if self
                    .contacts
                    .accepts(&self.ledger, node, interest.session)
                    .is_some()
                {
                    self.contacts.on_heard(&mut self.ledger, node, interest.session);
                    messages.extend(self.interests.on_interest(&self.ledger.state, node, interest));
                }
            }
            FromAgent::Answer(answer) => return self.on_answer(node, answer),
        }
        self.settle(Vec::new(), messages)
    }

    fn on_answer(&mut self, node: NodeId, answer: Answer) -> Vec<Effect> {
        if self
            .contacts
            .accepts(&self.ledger, node, answer.session)
            .is_none()
        {
            return Vec::new();
        }
        self.contacts.on_heard(&mut self.ledger, node, answer.session);
        let reply = self.orders.on_answer(&self.ledger, node, answer);
        self.settle(reply.into_iter().collect(), Vec::new())
    }

    fn on_alive(&mut self, node: NodeId) -> Vec<Effect> {
        let mut messages = Vec::new();
        if let Some(session) = self.contacts.session(&self.ledger, node)
            && !self.contacts.on_heard(&mut self.ledger, node, session)
        {
            messages.push((node, ToAgent::ReportAll));
        }
        self.settle(Vec::new(), messages)
    }

    fn on_presence(&mut self, node: NodeId, presence: Presence) -> Vec<Effect> {
        self.contacts.on_presence(&mut self.ledger, node, presence);
        self.settle(Vec::new(), Vec::new())
    }

    fn on_timeout(&mut self) -> Vec<Effect> {
        let now = self.ledger.now;
        self.contacts.on_timeout(&mut self.ledger);
        self.rollouts.on_timeout(&mut self.ledger);
        self.launches.on_timeout(&mut self.ledger);
        let given_up = self.orders.on_timeout(now);
        self.advance_drains(&BTreeSet::new(), &self.drains.due(now));
        if self.next_gc <= now {
            self.next_gc = now + self.ledger.options.gc_interval;
            gc::collect(&mut self.ledger);
        }
        // What fell due comes first, so that evaluations already see it.
        let mut cursor = self.derive(0);
        for _ in 0..EVALUATIONS_PER_TURN {
            let Some(id) = self.broker.next(now).filter(|_| !self.is_paused()) else {
                break;
            };
            evaluate::evaluate(&mut self.ledger, &self.broker, id);
            cursor = self.derive(cursor);
        }
        self.finish(cursor, given_up, Vec::new())
    }

    /// Whether an operator lets evaluations wait.
    fn is_paused(&self) -> bool {
        self.ledger.state.scheduling.pause_eval_broker
    }

    fn advance_drains(&mut self, jobs: &BTreeSet<JobKey>, nodes: &BTreeSet<NodeId>) {
        self.drains.advance(&mut self.ledger, jobs, nodes);
    }

    fn settle(&mut self, replies: Vec<Effect>, messages: Vec<(NodeId, ToAgent)>) -> Vec<Effect> {
        self.finish(0, replies, messages)
    }

    /// Ends the turn.
    fn finish(
        &mut self,
        cursor: usize,
        replies: Vec<Effect>,
        mut messages: Vec<(NodeId, ToAgent)>,
    ) -> Vec<Effect> {
        let cursor = self.derive(cursor);
        self.publisher.bump_generations(&mut self.ledger);
        messages.extend(self.publisher.publish(&mut self.ledger));
        self.derive(cursor);
        let services = self.ledger.take_touched_services();
        messages.extend(self.interests.publish(&self.ledger.state, &services));
        messages.extend(self.orders.publish(&self.ledger, &self.contacts));
        let deltas = self.ledger.close();
        let mut effects = Vec::with_capacity(1 + replies.len() + messages.len());
        if !deltas.is_empty() {
            effects.push(Effect::Persist(deltas));
        }
        effects.extend(replies);
        effects.extend(
            messages
                .into_iter()
                .map(|(node, message)| Effect::Publish(node, message)),
        );
        effects
    }

    /// Draws the consequences of every change from `cursor` on, and of those consequences, until nothing follows any
    /// more. Answers the new cursor.
    fn derive(&mut self, mut cursor: usize) -> usize {
        loop {
            let mut touched = Touched::default();
            while let Some(delta) = self.ledger.open().get(cursor).cloned() {
                cursor += 1;
                self.observe(&delta, &mut touched);
            }
            for id in touched.deployments {
                self.rollouts.on_change(&mut self.ledger, id);
            }
            for key in &touched.jobs {
                job_status::update(&mut self.ledger, key);
            }
            self.advance_drains(&touched.jobs, &touched.drained);
            self.wake_blocked(&touched.roomier);
            if cursor == self.ledger.open().len() {
                return cursor;
            }
        }
    }

    fn observe(&mut self, delta: &Delta, touched: &mut Touched) {
        match delta {
            Delta::Evaluation(eval) => {
                self.broker.observe(eval);
                touched.jobs.insert(eval.job.clone());
            }
            Delta::RemoveEvaluation(id) => self.broker.forget(*id),
            Delta::Allocation(alloc) => self.observe_alloc(alloc, touched),
            Delta::RemoveAllocation(id) => services::withdraw(&mut self.ledger, *id),
            Delta::Deployment(deployment) => {
                touched.jobs.insert(deployment.job.clone());
                touched.deployments.insert(deployment.id);
            }
            Delta::Job(job) => {
                self.launches.observe(&self.ledger, job);
                touched.jobs.insert(job.key());
            }
            Delta::RemoveJob(key) => self.launches.forget(key),
            Delta::Node(node) => self.observe_node(node, touched),
            Delta::RemoveNode(id) => {
                self.seen.remove(id);
                self.drains.forget(*id);
                self.publisher.forget(*id);
                self.interests.forget(*id);
                self.contacts.forget(*id);
            }
            _ => {}
        }
    }

    fn observe_node(&mut self, node: &Arc<Node>, touched: &mut Touched) {
        self.drains.observe(node);
        if node.drain.is_some() {
            touched.drained.insert(node.id);
        }
        let old = self.seen.insert(node.id, Arc::clone(node));
        let changed = old.as_ref().is_none_or(|old| !old.is_like(node));
        if node.is_schedulable() && (changed || old.is_some_and(|old| !old.is_schedulable())) {
            touched.roomier.insert(node.id);
        }
        if changed {
            let allocs: Vec<Arc<Allocation>> = self.ledger.state.allocs_of_node(node.id).cloned().collect();
            for alloc in allocs {
                services::derive(&mut self.ledger, &alloc);
            }
        }
    }

    fn observe_alloc(&mut self, alloc: &Arc<Allocation>, touched: &mut Touched) {
        services::derive(&mut self.ledger, alloc);
        if alloc.alloc_modify_index == self.ledger.index() {
            self.publisher.touch(alloc.node, alloc.id);
        }
        if alloc.is_terminal() {
            touched.roomier.insert(alloc.node);
        }
        if self.drains.contains(alloc.node) {
            touched.drained.insert(alloc.node);
        }
        touched.deployments.extend(alloc.deployment);
        touched.jobs.insert(alloc.job.clone());
    }

    /// Evaluations that wait for capacity are tried again when one of these nodes could take what they miss.
    fn wake_blocked(&mut self, nodes: &BTreeSet<NodeId>) {
        if nodes.is_empty() {
            return;
        }
        for id in self.broker.blocked() {
            let state = &self.ledger.state;
            let Some(eval) = state.evals.get(&id) else {
                continue;
            };
            let Some(job) = state.jobs.get(&eval.job) else {
                continue;
            };
            let fits = eval.failed_placements.keys().any(|group| {
                let group = job.group(group);
                group
                    .is_some_and(|group| scheduler::some_qualify(&mut self.ledger.fleet, (job, group), nodes))
            });
            if fits {
                let mut eval = (**eval).clone();
                eval.status = EvalStatus::Pending;
                eval.status_description = String::new();
                self.ledger.put_eval(eval);
            }
        }
    }
}
