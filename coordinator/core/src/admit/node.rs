//! Nodes: credentials, drains, eligibility, forgetting.

use std::collections::BTreeMap;
use std::sync::Arc;

use holdfast_shared::id::{EvalId, NodeId};
use holdfast_shared::model::{DrainStatus, Eligibility, Node};

use crate::drain;
use crate::effect::{Refusal, Response};
use crate::heartbeat;
use crate::input::{DrainSpec, NodeAction};
use crate::ledger::Ledger;
use crate::state::Delta;

/// Accepts a node's credential. The first one stays: whoever has another one is somebody else.
pub(super) fn enroll(ledger: &mut Ledger, node: NodeId, secret_hash: [u8; 32]) -> Result<Response, Refusal> {
    match ledger.state.credentials.get(&node) {
        Some(known) if *known != secret_hash => return Err(Refusal::WrongSecret(node)),
        Some(_) => {}
        None => ledger.record(Delta::Credential(node, secret_hash)),
    }
    Ok(Response {
        index: ledger.state.index,
        ..Response::default()
    })
}

/// Acts on a node.
pub(super) fn act(ledger: &mut Ledger, id: NodeId, action: NodeAction) -> Result<Response, Refusal> {
    let known = ledger.state.nodes.get(&id).cloned();
    let node = known.ok_or_else(|| Refusal::NotFound("node".into()))?;
    let evals = match action {
        NodeAction::Drain {
            spec,
            mark_eligible,
            meta,
        } => set_drain(ledger, &node, spec, mark_eligible, meta),
        NodeAction::SetEligibility(eligibility) => set_eligibility(ledger, &node, eligibility)?,
        NodeAction::Evaluate => heartbeat::evaluate_node(ledger, id),
        NodeAction::Purge => {
            forget(ledger, &node);
            heartbeat::evaluate_node(ledger, id)
        }
    };
    let index = ledger.state.index;
    Ok(Response {
        eval_create_index: if evals.is_empty() { 0 } else { index },
        evals,
        index,
        ..Response::default()
    })
}

/// Begins, changes or ends the drain of a node. One that was complete stays so when it is left off once more.
fn set_drain(
    ledger: &mut Ledger,
    old: &Arc<Node>,
    spec: Option<DrainSpec>,
    mark_eligible: bool,
    meta: BTreeMap<String, String>,
) -> Vec<EvalId> {
    let now = ledger.now;
    let mut node = (**old).clone();
    let event = match (old.drain.is_some(), spec.is_some()) {
        (false, true) => Some("Node drain strategy set"),
        (true, true) => Some("Node drain strategy updated"),
        (true, false) => Some("Node drain disabled"),
        (false, false) => None,
    };
    node.drain = spec.map(|spec| Box::new(drain::strategy(spec, old.drain.as_deref(), now)));
    if node.drain.is_some() {
        node.eligibility = Eligibility::Ineligible;
    } else if mark_eligible {
        node.eligibility = Eligibility::Eligible;
    }
    match (old.drain.is_some(), node.drain.is_some()) {
        (false, true) => {
            node.last_drain = None;
            drain::record(&mut node, DrainStatus::Draining, now);
        }
        (true, true) => drain::record(&mut node, DrainStatus::Draining, now),
        (true, false) => drain::record(&mut node, DrainStatus::Canceled, now),
        (false, false) => {}
    }
    if let Some(last) = node.last_drain.as_mut().filter(|_| !meta.is_empty()) {
        last.meta = meta;
    }
    if let Some(event) = event {
        ledger.note(&mut node, "Drain", event);
    }
    put(ledger, old, node)
}

fn set_eligibility(
    ledger: &mut Ledger,
    old: &Arc<Node>,
    eligibility: Eligibility,
) -> Result<Vec<EvalId>, Refusal> {
    if old.drain.is_some() && eligibility == Eligibility::Eligible {
        let text = "can not set node's scheduling eligibility to eligible while it is draining";
        return Err(Refusal::Invalid(text.into()));
    }
    if old.eligibility == eligibility {
        return Ok(Vec::new());
    }
    let mut node = (**old).clone();
    node.eligibility = eligibility;
    let event = match eligibility {
        Eligibility::Eligible => "Node marked as eligible for scheduling",
        Eligibility::Ineligible => "Node marked as ineligible for scheduling",
    };
    ledger.note(&mut node, "Cluster", event);
    Ok(put(ledger, old, node))
}

/// Records a node; one that takes allocations again gets those of the jobs that run everywhere.
fn put(ledger: &mut Ledger, old: &Node, node: Node) -> Vec<EvalId> {
    let returns = old.eligibility == Eligibility::Ineligible && node.eligibility == Eligibility::Eligible;
    let id = node.id;
    ledger.put_node(node);
    if returns {
        heartbeat::evaluate_node(ledger, id)
    } else {
        Vec::new()
    }
}

/// Forgets a node. Should it come back, it is known up to which generation it was told what to run: it need not fear
/// that this state is older than what it holds.
pub(crate) fn forget(ledger: &mut Ledger, node: &Node) {
    ledger.record(Delta::ForgottenNode(node.id, node.sent_generation));
    ledger.record(Delta::RemoveNode(node.id));
}
