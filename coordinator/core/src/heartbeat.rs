//! Who is in contact: the node status machine, fed by registrations, heartbeats, reports, presence and silence.
//!
//! Knows nothing of jobs but their keys: a change of status asks for an evaluation of every job that has something on
//! the node. When a node was last heard lives in memory and is written only now and then.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use holdfast_shared::id::{EvalId, JobKey, NodeId};
use holdfast_shared::model::{
    Allocation, ClientStatus, DriverState, Eligibility, EvalStatus, Evaluation, Fingerprint, JobType, Node,
    NodeStatus, Trigger,
};
use holdfast_shared::time::{Duration, Timestamp};
use holdfast_shared::wire::{KEEP_ALIVES_PER_HEARTBEAT, Presence, Register};

use crate::common::Common;
use crate::ledger::Ledger;
use crate::options::Options;
use crate::state::State;

/// What a missed heartbeat makes of a node: it is only disconnected while something wanted on it may outlive that
/// (`scheduling-semantics.md` 1.2). `outlives` says whether there is such an allocation.
pub fn after_missed_heartbeat(status: NodeStatus, outlives: bool) -> NodeStatus {
    match status {
        NodeStatus::Ready | NodeStatus::Disconnected if outlives => NodeStatus::Disconnected,
        _ => NodeStatus::Down,
    }
}

/// Whether an allocation makes its node disconnected instead of down: it is wanted, and its `lost_after` is not over.
pub fn outlives_disconnect(alloc: &Allocation, lost_after: Duration, now: Timestamp) -> bool {
    let expired = alloc.client == ClientStatus::Unknown
        && alloc
            .last_unknown()
            .is_some_and(|(since, _)| since + lost_after <= now);
    lost_after > Duration::ZERO && !alloc.is_server_terminal() && !alloc.client.is_terminal() && !expired
}

/// What a sign of life makes of a node (`scheduling-semantics.md` 1.3). `synced` says whether it has reported its
/// allocations since it was missed, or has none that count.
pub fn after_contact(status: NodeStatus, synced: bool) -> NodeStatus {
    match status {
        NodeStatus::Disconnected => NodeStatus::Initializing,
        NodeStatus::Initializing if !synced => NodeStatus::Initializing,
        NodeStatus::Initializing | NodeStatus::Down | NodeStatus::Ready => NodeStatus::Ready,
    }
}

/// What is remembered of the contact with one node; nothing of it is worth storing.
#[derive(Debug, Default, Clone, Copy)]
struct Contact {
    /// When it counts as gone.
    deadline: Option<Timestamp>,
    /// Until when its report is waited for.
    report_by: Option<Timestamp>,
    /// The newest session that is known to have ended.
    ended: Option<u64>,
    /// Not heard since nobody could be: until then it may be silent, whatever became of its session.
    excused: Timestamp,
    /// Whether it said what it is like since this coordinator began. What is stored may be of an older copy.
    introduced: bool,
}

/// The contact with every node.
#[derive(Debug, Default)]
pub(crate) struct Contacts {
    /// Sets of drivers that nodes have.
    driver_sets: Common<BTreeMap<String, DriverState>>,
    by_node: BTreeMap<NodeId, Contact>,
    deadlines: BTreeSet<(Timestamp, NodeId)>,
    /// Whether the coordinator itself is cut off, so that silence means nothing.
    deaf: bool,
}

impl Contacts {
    /// Lets the nodes of a state that was loaded share what they have in common.
    pub(crate) fn share(&mut self, state: &mut State) {
        let nodes: Vec<Arc<Node>> = state.nodes.values().cloned().collect();
        for node in nodes {
            let mut node = (*node).clone();
            let fingerprint = Arc::make_mut(&mut node.fingerprint);
            fingerprint.drivers = self.driver_sets.share(&fingerprint.drivers);
            state.nodes.insert(node.id, Arc::new(node));
        }
    }

    /// Gives every node that is not down one full window.
    pub(crate) fn start(&mut self, ledger: &Ledger) {
        for node in ledger
            .state
            .nodes
            .values()
            .filter(|node| node.status != NodeStatus::Down)
        {
            self.await_heartbeat(node, ledger);
            let contact = self.by_node.entry(node.id).or_default();
            contact.excused = contact.deadline.unwrap_or_default();
            if node.status == NodeStatus::Initializing {
                self.await_report(node.id, Some(ledger.now + ledger.options.report_wait));
            }
        }
    }

    /// Agents can be heard from now on, or not. While they cannot, nobody is missed.
    pub(crate) fn on_hearing(&mut self, ledger: &Ledger, can_hear: bool) {
        self.deaf = !can_hear;
        self.on_lapse(ledger);
    }

    /// Nobody could be heard until now: every node has one full window again.
    pub(crate) fn on_lapse(&mut self, ledger: &Ledger) {
        if !self.deaf {
            self.start(ledger);
        }
    }

    /// The next time at which silence means something.
    pub(crate) fn next_at(&self) -> Option<Timestamp> {
        self.deadlines.first().map(|(at, _)| *at).filter(|_| !self.deaf)
    }

    /// Whether a message of `session` counts: `None` when it is stale; otherwise whether the node is known.
    pub(crate) fn accepts(&self, ledger: &Ledger, node: NodeId, session: u64) -> Option<bool> {
        let ended = self.by_node.get(&node).and_then(|contact| contact.ended);
        let Some(known) = ledger.state.nodes.get(&node) else {
            return Some(false);
        };
        (session >= known.session && Some(session) > ended).then_some(true)
    }

    /// The session that a node has, as far as is known.
    pub(crate) fn session(&self, ledger: &Ledger, node: NodeId) -> Option<u64> {
        let session = ledger.state.nodes.get(&node)?.session;
        self.accepts(ledger, node, session).map(|_| session)
    }

    /// The session of a node that has been heard since nobody could be.
    pub(crate) fn live_session(&self, ledger: &Ledger, node: NodeId) -> Option<u64> {
        let is_heard = |contact: &Contact| !contact.excused.is_set();
        self.by_node.get(&node).filter(|contact| is_heard(contact))?;
        self.session(ledger, node)
    }

    /// Whether the node has yet to say what it is like since this coordinator began.
    pub(crate) fn is_stranger(&self, id: NodeId) -> bool {
        self.by_node.get(&id).is_none_or(|contact| !contact.introduced)
    }

    /// A session begins with what the node is like. Answers whether it counts.
    pub(crate) fn on_register(&mut self, ledger: &mut Ledger, id: NodeId, register: &Register) -> bool {
        if self.accepts(ledger, id, register.session).is_none() {
            return false;
        }
        let Ok(mut fingerprint) = serde_json::from_slice::<Fingerprint>(&register.fingerprint) else {
            return false;
        };
        fingerprint.drivers = self.driver_sets.share(&fingerprint.drivers);
        self.by_node.entry(id).or_default().introduced = true;
        let Some(old) = ledger.state.nodes.get(&id).cloned() else {
            self.on_first_register(ledger, id, register.session, fingerprint);
            return true;
        };
        let changed = *old.fingerprint != fingerprint;
        if changed || old.session != register.session {
            let mut node = (*old).clone();
            if changed {
                node.fingerprint = Arc::new(fingerprint);
            }
            node.session = register.session;
            node.last_heard = ledger.now;
            ledger.put_node(node);
        }
        self.on_heard(ledger, id, register.session);
        if changed {
            evaluate_system_jobs(ledger, id);
        }
        true
    }

    fn on_first_register(&mut self, ledger: &mut Ledger, id: NodeId, session: u64, fingerprint: Fingerprint) {
        // One that was forgotten holds what it was told then, and has to hear what became of that.
        let told = ledger.state.forgotten.get(&id).copied();
        let mut node = Node {
            id,
            fingerprint: Arc::new(fingerprint),
            status: NodeStatus::Ready,
            status_description: String::new(),
            status_since: ledger.now,
            eligibility: Eligibility::Eligible,
            drain: None,
            last_drain: None,
            last_heard: ledger.now,
            session,
            generation: told.map_or(0, |told| told + 1),
            sent_generation: told.unwrap_or(0),
            events: Vec::new(),
            create_index: 0,
            modify_index: 0,
            missed_heartbeat_index: 0,
            alloc_update_index: 0,
        };
        ledger.note(&mut node, "Cluster", "Node registered");
        self.await_heartbeat(&node, ledger);
        ledger.put_node(node);
        evaluate_system_jobs(ledger, id);
    }

    /// Any message of a session that counts. Answers whether the node was in contact anyway, so that nothing need be
    /// asked of it.
    pub(crate) fn on_heard(&mut self, ledger: &mut Ledger, id: NodeId, session: u64) -> bool {
        let Some(node) = ledger.state.nodes.get(&id).cloned() else {
            return false;
        };
        self.await_heartbeat(&node, ledger);
        self.by_node.entry(id).or_default().excused = Timestamp::ZERO;
        let status = match node.status {
            // Only a report, or the end of the wait for it, takes a node out of `initializing`.
            NodeStatus::Initializing => NodeStatus::Initializing,
            status => after_contact(status, false),
        };
        if status != node.status {
            let message = if status == NodeStatus::Ready {
                "Node reregistered by heartbeat"
            } else {
                "Node reconnected"
            };
            self.await_report(
                id,
                (status == NodeStatus::Initializing).then(|| ledger.now + ledger.options.report_wait),
            );
            change_status(ledger, &node, status, message, session);
            return false;
        }
        let stale = ledger.now.since(node.last_heard) >= ledger.options.last_heard_resolution;
        if stale || node.session != session {
            let mut node = (*node).clone();
            node.last_heard = ledger.now;
            node.session = session;
            ledger.put_node(node);
        }
        status == NodeStatus::Ready
    }

    /// The node has told everything it knows: decisions about it can be made.
    pub(crate) fn on_full_report(&mut self, ledger: &mut Ledger, id: NodeId) {
        self.await_report(id, None);
        become_ready(ledger, id, "Node reported its allocations");
    }

    /// A session began or ended, by the node's own word, its last will, or the broker's.
    pub(crate) fn on_presence(&mut self, ledger: &mut Ledger, id: NodeId, presence: Presence) {
        if self.accepts(ledger, id, presence.session) != Some(true) {
            return;
        }
        if presence.online {
            self.on_heard(ledger, id, presence.session);
        } else {
            self.by_node.entry(id).or_default().ended = Some(presence.session);
            self.on_session_end(ledger, id);
        }
    }

    /// An agent that restarts, or changes its uplink, is back within the grace and was never gone.
    fn on_session_end(&mut self, ledger: &mut Ledger, id: NodeId) {
        let contact = self.by_node.get(&id).copied().unwrap_or_default();
        let at = (ledger.now + ledger.options.session_grace).max(contact.excused);
        if at <= ledger.now {
            self.miss(ledger, id, "Node disconnected");
            return;
        }
        let deadline = contact.deadline;
        if deadline.is_some_and(|deadline| deadline > at) {
            self.set_deadline(id, Some(at));
        }
    }

    /// Time has passed: silent nodes are missed, and missing reports are no longer waited for.
    pub(crate) fn on_timeout(&mut self, ledger: &mut Ledger) {
        if self.deaf {
            return;
        }
        let now = ledger.now;
        while let Some((at, id)) = self.deadlines.first().copied().filter(|(at, _)| *at <= now) {
            self.deadlines.remove(&(at, id));
            let contact = self.by_node.entry(id).or_default();
            if contact.report_by == Some(at) {
                contact.report_by = None;
                become_ready(ledger, id, "Node did not report its allocations in time");
            }
            let contact = self.by_node.entry(id).or_default();
            if contact.deadline == Some(at) {
                contact.deadline = None;
                self.miss(ledger, id, "Node heartbeat missed");
            }
        }
    }

    /// The node is out of contact.
    fn miss(&mut self, ledger: &mut Ledger, id: NodeId, event: &str) {
        let Some(node) = ledger.state.nodes.get(&id).cloned() else {
            return;
        };
        let now = ledger.now;
        let outlives = ledger.state.allocs_of_node(id).any(|alloc| {
            let lost_after = lost_after(&ledger.state, alloc);
            outlives_disconnect(alloc, lost_after, now)
        });
        let status = match node.status {
            NodeStatus::Down => NodeStatus::Down,
            // An agent that vanishes while it comes back was disconnected all the time.
            NodeStatus::Initializing if outlives => NodeStatus::Disconnected,
            status => after_missed_heartbeat(status, outlives),
        };
        self.await_report(id, None);
        if status == NodeStatus::Disconnected {
            self.await_heartbeat(&node, ledger);
        } else {
            self.set_deadline(id, None);
        }
        if status != node.status {
            change_status(ledger, &node, status, event, node.session);
        }
    }

    /// A node is forgotten.
    pub(crate) fn forget(&mut self, id: NodeId) {
        self.set_deadline(id, None);
        self.await_report(id, None);
        self.by_node.remove(&id);
    }

    fn await_heartbeat(&mut self, node: &Node, ledger: &Ledger) {
        self.set_deadline(node.id, Some(ledger.now + window(node, &ledger.options)));
    }

    fn set_deadline(&mut self, id: NodeId, at: Option<Timestamp>) {
        let contact = self.by_node.entry(id).or_default();
        if let Some(old) = contact
            .deadline
            .take()
            .filter(|old| contact.report_by != Some(*old))
        {
            self.deadlines.remove(&(old, id));
        }
        contact.deadline = at;
        self.deadlines.extend(at.map(|at| (at, id)));
    }

    fn await_report(&mut self, id: NodeId, at: Option<Timestamp>) {
        let contact = self.by_node.entry(id).or_default();
        if let Some(old) = contact
            .report_by
            .take()
            .filter(|old| contact.deadline != Some(*old))
        {
            self.deadlines.remove(&(old, id));
        }
        contact.report_by = at;
        self.deadlines.extend(at.map(|at| (at, id)));
    }
}

/// What people read of an agent that was turned away.
pub(crate) const TWIN: &str = "Another agent with this node's identity was turned away, its session is older: was a data directory copied?";

/// An older session than the node's begins: two agents have one identity. The newer one is the node; the older one is
/// answered its session, and stands back. Its tasks are left alone.
pub(crate) fn on_twin(ledger: &mut Ledger, id: NodeId, session: u64) -> Option<u64> {
    let node = ledger
        .state
        .nodes
        .get(&id)
        .filter(|node| session < node.session)?;
    let newer = node.session;
    // Said once in a row: it comes again as often as the other one tries.
    if node.events.last().is_none_or(|event| event.message != TWIN) {
        let mut node = (**node).clone();
        ledger.note(&mut node, "Cluster", TWIN);
        ledger.put_node(node);
    }
    Some(newer)
}

/// How long a node may be silent: one and a half times as long as it usually is, and the grace.
pub(crate) fn window(node: &Node, options: &Options) -> Duration {
    let keep_alive = match node.fingerprint.keep_alive {
        Duration(nanos) if nanos > 0 => Duration(nanos),
        _ => options.default_keep_alive,
    };
    let silence = if options.hears_pings {
        keep_alive
    } else {
        keep_alive.times(KEEP_ALIVES_PER_HEARTBEAT)
    };
    Duration(silence.0.saturating_mul(3) / 2) + options.heartbeat_grace
}

/// How long an allocation may be out of contact before it is lost.
fn lost_after(state: &State, alloc: &Allocation) -> Duration {
    let job = state.job_of(alloc).or_else(|| state.jobs.get(&alloc.job));
    job.and_then(|job| job.group(&alloc.group))
        .map_or(Duration::ZERO, |group| group.disconnect_policy().lost_after)
}

fn become_ready(ledger: &mut Ledger, id: NodeId, event: &str) {
    if let Some(node) = ledger.state.nodes.get(&id).cloned()
        && node.status == NodeStatus::Initializing
    {
        change_status(ledger, &node, NodeStatus::Ready, event, node.session);
    }
}

fn change_status(ledger: &mut Ledger, old: &Node, status: NodeStatus, event: &str, session: u64) {
    let mut node = old.clone();
    let allowed = match status {
        NodeStatus::Initializing => node.status.on_return(),
        NodeStatus::Ready => node.status.on_ready(),
        NodeStatus::Disconnected => node.status.on_disconnect(),
        NodeStatus::Down => node.status.on_down(),
    };
    if !allowed {
        return;
    }
    node.status_since = ledger.now;
    node.session = session;
    if matches!(status, NodeStatus::Disconnected | NodeStatus::Down) {
        node.missed_heartbeat_index = ledger.index();
    } else {
        node.last_heard = ledger.now;
    }
    ledger.note(&mut node, "Cluster", event);
    let id = node.id;
    ledger.put_node(node);
    evaluate_jobs_of(ledger, id);
    if status == NodeStatus::Ready {
        evaluate_system_jobs(ledger, id);
    }
}

/// Asks for an evaluation of every job that has something on the node or may get something there by itself.
pub(crate) fn evaluate_node(ledger: &mut Ledger, id: NodeId) -> Vec<EvalId> {
    let mut evals = evaluate_jobs_of(ledger, id);
    evals.extend(evaluate_system_jobs(ledger, id));
    evals
}

/// Asks for an evaluation of every job that has something on the node that is not over.
fn evaluate_jobs_of(ledger: &mut Ledger, id: NodeId) -> Vec<EvalId> {
    let state = &ledger.state;
    let jobs: BTreeSet<JobKey> = state
        .allocs_of_node(id)
        .filter(
            |alloc| match state.jobs.get(&alloc.job).map(|job| job.job_type()) {
                Some(JobType::Sysbatch) => false,
                Some(JobType::Batch) => !alloc.client.is_terminal(),
                _ => !(alloc.is_server_terminal() && alloc.client.is_terminal()),
            },
        )
        .map(|alloc| alloc.job.clone())
        .collect();
    jobs.iter()
        .map(|job| evaluate_for_node(ledger, job, id))
        .collect()
}

/// Asks for an evaluation of every job that runs on every node that fits.
fn evaluate_system_jobs(ledger: &mut Ledger, id: NodeId) -> Vec<EvalId> {
    let jobs: Vec<JobKey> = ledger
        .state
        .jobs
        .iter()
        .filter(|(_, job)| job.job_type().is_system() && !job.is_stopped() && !job.is_template())
        .map(|(key, _)| key.clone())
        .collect();
    let mut evals = Vec::new();
    for job in jobs {
        // One that waits for its turn will see this node as well: ten thousand nodes that come at once are not as many
        // evaluations of the whole fleet.
        let waits = |eval: &Arc<Evaluation>| eval.status == EvalStatus::Pending && !eval.wait_until.is_set();
        if !ledger.state.evals_of_job(&job).any(waits) {
            evals.push(evaluate_for_node(ledger, &job, id));
        }
    }
    evals
}

fn evaluate_for_node(ledger: &mut Ledger, job: &JobKey, node: NodeId) -> EvalId {
    let mut eval = ledger.new_eval(job, Trigger::NodeUpdate);
    eval.node = Some(node);
    let id = eval.id;
    ledger.put_eval(eval);
    id
}
