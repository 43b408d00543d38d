//! Which of seven buckets an allocation is in, by its own state and its node's (`scheduling-semantics.md` 1.4).

use holdfast_shared::model::{Allocation, ClientStatus, DisconnectPolicy, NodeStatus};
use holdfast_shared::time::Timestamp;

use super::NodeView;

/// What is to be done about an allocation, as far as its node is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bucket {
    /// It counts, and is looked at further.
    Untainted,
    /// It has to leave its node.
    Migrate,
    /// Its node is gone with it.
    Lost,
    /// Its node went out of contact.
    Disconnecting,
    /// Its node is back in contact.
    Reconnecting,
    /// There is nothing to do about it.
    Ignore,
    /// It was out of contact for too long.
    Expiring,
}

impl Bucket {
    /// The word in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Untainted => "untainted",
            Self::Migrate => "migrate",
            Self::Lost => "lost",
            Self::Disconnecting => "disconnecting",
            Self::Reconnecting => "reconnecting",
            Self::Ignore => "ignore",
            Self::Expiring => "expiring",
        }
    }
}

/// The bucket of an allocation; the first rule that matches decides. `node` is `None` when the node is gone.
pub fn classify(
    alloc: &Allocation,
    node: Option<&NodeView>,
    policy: &DisconnectPolicy,
    now: Timestamp,
) -> Bucket {
    let reconnects = wants_to_reconnect(alloc);
    let failed = alloc.client == ClientStatus::Failed;
    if reconnects && failed && !alloc.is_server_terminal() {
        return Bucket::Reconnecting;
    }
    if !reconnects && alloc.is_terminal() {
        return match (alloc.is_server_terminal(), alloc.transition) {
            (true, transition) if transition.migrate_without_placement => Bucket::Untainted,
            (true, _) => Bucket::Ignore,
            (false, transition) if alloc.canary && transition.migrate => Bucket::Migrate,
            (false, _) => Bucket::Untainted,
        };
    }
    if is_expired(alloc, policy, now) {
        return Bucket::Expiring;
    }
    if reconnects && failed {
        return Bucket::Ignore;
    }
    on_node(alloc, node, policy, reconnects)
}

/// The rules that depend on the node.
fn on_node(
    alloc: &Allocation,
    node: Option<&NodeView>,
    policy: &DisconnectPolicy,
    reconnects: bool,
) -> Bucket {
    let status = node.map(|node| node.status);
    if status == Some(NodeStatus::Disconnected) {
        return match alloc.client {
            ClientStatus::Unknown => Bucket::Untainted,
            ClientStatus::Pending => Bucket::Lost,
            _ if policy.lost_after.0 <= 0 => Bucket::Lost,
            _ => Bucket::Disconnecting,
        };
    }
    if alloc.transition.migrate {
        return Bucket::Migrate;
    }
    match status {
        Some(NodeStatus::Ready | NodeStatus::Initializing) if reconnects => Bucket::Reconnecting,
        Some(NodeStatus::Ready | NodeStatus::Initializing) => Bucket::Untainted,
        None => Bucket::Lost,
        Some(_) if policy.replace => Bucket::Lost,
        Some(_) => match alloc.client {
            ClientStatus::Unknown => Bucket::Untainted,
            ClientStatus::Running => Bucket::Disconnecting,
            _ => Bucket::Lost,
        },
    }
}

/// Whether it was out of contact and nothing was decided about it since.
pub fn wants_to_reconnect(alloc: &Allocation) -> bool {
    matches!(
        alloc.client,
        ClientStatus::Unknown | ClientStatus::Running | ClientStatus::Failed
    ) && alloc.last_unknown().is_some_and(|(_, newest)| newest)
}

fn is_expired(alloc: &Allocation, policy: &DisconnectPolicy, now: Timestamp) -> bool {
    alloc.client == ClientStatus::Unknown
        && alloc
            .last_unknown()
            .is_some_and(|(since, _)| since + policy.lost_after <= now)
}
