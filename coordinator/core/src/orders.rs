//! What operators want an agent to do once, now: given to the agent of the session that is there, answered by its word, or
//! given up when it says nothing. Nothing of it is stored: who asked is told, and asks again.

use std::collections::BTreeMap;

use holdfast_shared::id::NodeId;
use holdfast_shared::model::NodeStatus;
use holdfast_shared::time::{Duration, Timestamp};
use holdfast_shared::wire::{Answer, Deed, Order, ToAgent};

use crate::effect::{Effect, Refusal, Response};
use crate::heartbeat::Contacts;
use crate::input::RequestId;
use crate::ledger::Ledger;

/// How long an agent may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Orders that wait for their answers.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    by_number: BTreeMap<u64, Pending>,
    /// Those that are not sent yet, in the order in which they were given.
    unsent: Vec<(u64, Deed)>,
}

#[derive(Debug)]
struct Pending {
    request: RequestId,
    node: NodeId,
    until: Timestamp,
}

impl Orders {
    /// Takes down what a node is to do, which has to be in contact: an order is for now.
    pub(crate) fn give(
        &mut self,
        ledger: &mut Ledger,
        request: RequestId,
        (id, deed): (NodeId, Deed),
    ) -> Result<(), Refusal> {
        let known = ledger.state.nodes.get(&id);
        let node = known.ok_or_else(|| Refusal::NotFound("node".into()))?;
        if !matches!(node.status, NodeStatus::Ready | NodeStatus::Initializing) {
            let text = format!("{:?} is out of contact", node.name());
            return Err(Refusal::NoPath(text));
        }
        let number = ledger.ids.next_u64();
        let pending = Pending {
            request,
            node: id,
            until: ledger.now + PATIENCE,
        };
        self.by_number.insert(number, pending);
        self.unsent.push((number, deed));
        Ok(())
    }

    /// What is to be sent now: once, to the session that is there. After a start of the coordinator that is known only when
    /// the node is heard.
    pub(crate) fn publish(&mut self, ledger: &Ledger, contacts: &Contacts) -> Vec<(NodeId, ToAgent)> {
        let mut messages = Vec::new();
        for (number, deed) in std::mem::take(&mut self.unsent) {
            let Some(pending) = self.by_number.get(&number) else {
                continue;
            };
            match contacts.live_session(ledger, pending.node) {
                None => {
                    self.unsent.push((number, deed));
                }
                Some(session) => {
                    let order = Order {
                        session,
                        number,
                        deed,
                    };
                    messages.push((pending.node, ToAgent::Order(order)));
                }
            }
        }
        messages
    }

    /// An agent says what came of an order.
    pub(crate) fn on_answer(&mut self, ledger: &Ledger, node: NodeId, answer: Answer) -> Option<Effect> {
        // One that was given to another node is none of its business.
        let pending = self.by_number.get(&answer.number).filter(|it| it.node == node)?;
        let outcome = match answer.refusal {
            Some(text) => Err(Refusal::Invalid(text)),
            None => Ok(Response {
                index: ledger.state.index,
                ..Response::default()
            }),
        };
        let reply = Effect::Reply(pending.request, outcome);
        self.by_number.remove(&answer.number);
        Some(reply)
    }

    /// Gives up orders that nobody has answered in time.
    pub(crate) fn on_timeout(&mut self, now: Timestamp) -> Vec<Effect> {
        let late = self.by_number.extract_if(.., |_, pending| pending.until <= now);
        let give_up = |(_, pending): (u64, Pending)| {
            let text = format!("{} did not answer within {PATIENCE}", pending.node.short());
            Effect::Reply(pending.request, Err(Refusal::NoPath(text)))
        };
        late.map(give_up).collect()
    }

    /// When the next one is given up.
    pub(crate) fn next_at(&self) -> Option<Timestamp> {
        self.by_number.values().map(|it| it.until).min()
    }
}
