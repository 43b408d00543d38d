//! Every MQTT topic there is. No other module writes a topic; permissions, subscriptions and flags come from here.
//!
//! The internal tree, in postcard, for machines:
//!
//! | topic | who writes | payload | flags |
//! |---|---|---|---|
//! | `edge/v1/node/<id>/assignments` | coordinator | [`ToAgent`](crate::wire::ToAgent) | QoS 1 |
//! | `edge/v1/node/<id>/report` | the node | [`FromAgent`](crate::wire::FromAgent) | QoS 1 |
//! | `edge/v1/node/<id>/presence` | the node, or its last will | [`Presence`](crate::wire::Presence) | QoS 1 |

use std::fmt;

use crate::id::NodeId;

/// Root of the internal tree; the version is the wire format's.
const ROOT: &str = "edge/v1/node/";

/// A topic of the internal tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// What the coordinator tells a node.
    Assignments(NodeId),
    /// What a node tells the coordinator.
    Report(NodeId),
    /// That a node is there, or, as its last will, that it is gone.
    Presence(NodeId),
}

/// Text that is no topic of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a topic of the internal tree")]
pub struct TopicError(pub String);

/// Who a client of the broker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The coordinator itself, through an external broker.
    Coordinator,
    /// The agent of a node.
    Node(NodeId),
}

impl Topic {
    /// The topic that is written as `text`.
    ///
    /// ```
    /// use holdfast_shared::topics::Topic;
    /// let text = "edge/v1/node/6a5ac2ba-8ebb-68e1-2cd5-9b9e3c01721c/report";
    /// assert_eq!(Topic::parse(text).unwrap().to_string(), text);
    /// assert!(Topic::parse("edge/v1/node/x/report").is_err());
    /// ```
    ///
    /// # Errors
    /// When `text` is no topic of the internal tree.
    pub fn parse(text: &str) -> Result<Self, TopicError> {
        let error = || TopicError(text.to_owned());
        let (id, leaf) = text
            .strip_prefix(ROOT)
            .and_then(|rest| rest.split_once('/'))
            .ok_or_else(error)?;
        let node = id.parse().map_err(|_| error())?;
        match leaf {
            "assignments" => Ok(Self::Assignments(node)),
            "report" => Ok(Self::Report(node)),
            "presence" => Ok(Self::Presence(node)),
            _ => Err(error()),
        }
    }

    /// The node that the topic is about.
    pub const fn node(self) -> NodeId {
        match self {
            Self::Assignments(node) | Self::Report(node) | Self::Presence(node) => node,
        }
    }

    /// Whether `role` may publish here.
    pub fn may_publish(self, role: Role) -> bool {
        match (self, role) {
            (Self::Assignments(_), Role::Coordinator) => true,
            (Self::Report(of) | Self::Presence(of), Role::Node(node)) => of == node,
            _ => false,
        }
    }

    /// Whether messages here are for the coordinator.
    pub const fn is_for_coordinator(self) -> bool {
        matches!(self, Self::Report(_) | Self::Presence(_))
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let leaf = match self {
            Self::Assignments(_) => "assignments",
            Self::Report(_) => "report",
            Self::Presence(_) => "presence",
        };
        write!(f, "{ROOT}{}/{leaf}", self.node())
    }
}

/// What `role` subscribes to.
pub fn subscriptions(role: Role) -> Vec<String> {
    match role {
        Role::Coordinator => vec![format!("{ROOT}+/report"), format!("{ROOT}+/presence")],
        Role::Node(node) => vec![Topic::Assignments(node).to_string()],
    }
}

/// Whether `role` may subscribe to `filter`: to what it needs, and to nothing else.
pub fn may_subscribe(role: Role, filter: &str) -> bool {
    subscriptions(role).iter().any(|allowed| allowed == filter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::IdGenerator;

    #[test]
    fn every_topic_is_read_as_it_is_written() {
        let node = NodeId::generate(&mut IdGenerator::from_seed(1));
        for topic in [
            Topic::Assignments(node),
            Topic::Report(node),
            Topic::Presence(node),
        ] {
            assert_eq!(Topic::parse(&topic.to_string()), Ok(topic));
        }
    }

    #[test]
    fn a_node_writes_and_reads_its_own_topics_only() {
        let mut ids = IdGenerator::from_seed(2);
        let (mine, other) = (NodeId::generate(&mut ids), NodeId::generate(&mut ids));
        let role = Role::Node(mine);
        assert!(Topic::Report(mine).may_publish(role) && Topic::Presence(mine).may_publish(role));
        assert!(!Topic::Report(other).may_publish(role) && !Topic::Assignments(mine).may_publish(role));
        assert!(may_subscribe(role, &Topic::Assignments(mine).to_string()));
        assert!(!may_subscribe(role, &Topic::Assignments(other).to_string()));
        for filter in ["#", "edge/#", "edge/v1/node/+/report", "$SYS/#"] {
            assert!(!may_subscribe(role, filter), "{filter}");
        }
    }
}
