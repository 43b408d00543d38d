//! Links between boxes and the broker, and the broker's wills.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_agent_core::{Input, Link};
use holdfast_shared::id::NodeId;
use holdfast_shared::time::{Duration, Timestamp};
use holdfast_shared::wire::{FromAgent, Presence, ToAgent};

use crate::world::{Event, World};

/// The agents' keep-alive; the broker misses a silent client after one and a half of it.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Links and sessions.
#[derive(Debug, Default)]
pub(crate) struct Network {
    /// The session of each box that the broker holds for connected.
    sessions: BTreeMap<NodeId, u64>,
    /// Boxes that are cut off: nothing passes, and nobody is told.
    cut: BTreeSet<NodeId>,
    /// Boxes whose messages arrive and that hear nothing.
    deaf: BTreeSet<NodeId>,
    /// The time of the last message of each direction: the order within a topic is kept.
    last: BTreeMap<(NodeId, bool), Timestamp>,
}

impl Network {
    /// Whether a message of this session still arrives.
    pub(crate) fn delivers(&self, node: NodeId, session: u64) -> bool {
        self.sessions.get(&node) == Some(&session) && !self.cut.contains(&node)
    }

    pub(crate) fn cut(&mut self, node: NodeId, deaf: bool) {
        if deaf {
            self.deaf.insert(node)
        } else {
            self.cut.insert(node)
        };
    }

    pub(crate) fn heal(&mut self, node: NodeId) {
        self.cut.remove(&node);
        self.deaf.remove(&node);
    }

    pub(crate) fn is_cut(&self, node: NodeId) -> bool {
        self.cut.contains(&node) || self.deaf.contains(&node)
    }

    pub(crate) fn session(&self, node: NodeId) -> Option<u64> {
        self.sessions.get(&node).copied()
    }
}

impl World {
    /// An agent tries to reach the broker, and will again while it does not succeed.
    pub(crate) fn connect(&mut self, node: NodeId) {
        if !self.devices[&node].is_up() || self.devices[&node].link.is_some() {
            return;
        }
        if self.network.is_cut(node) || !self.host.is_up() {
            let pause = self.random.millis(1_000, 5_000);
            self.at(pause, Event::Connect(node));
            return;
        }
        let Some(device) = self.devices.get_mut(&node) else {
            return;
        };
        device.sessions += 1;
        let session = device.sessions;
        device.link = Some(session);
        // A half-open predecessor is taken over: its will is published late, after the new session began.
        if let Some(old) = self.network.sessions.insert(node, session) {
            let late = self.random.millis(0, 3_000);
            self.at(
                late,
                Event::Presence(
                    node,
                    Presence {
                        session: old,
                        online: false,
                    },
                ),
            );
        }
        self.tell(|| format!("{} connects as session {session}", node.short()));
        self.agent_input(node, Input::Link(Link::Up { session }));
    }

    /// An agent notices that its connection is gone, and tries again.
    pub(crate) fn link_lost(&mut self, node: NodeId, session: u64) {
        let Some(device) = self
            .devices
            .get_mut(&node)
            .filter(|device| device.link == Some(session))
        else {
            return;
        };
        device.link = None;
        self.agent_input(node, Input::Link(Link::Down));
        let pause = self.random.millis(100, 2_000);
        self.at(pause, Event::Connect(node));
    }

    /// The broker notices that a session is gone: it publishes the will, late or twice if the story wants so.
    pub(crate) fn session_ends(&mut self, node: NodeId, at_once: bool) {
        let Some(session) = self.network.session(node) else {
            return;
        };
        let will = Presence {
            session,
            online: false,
        };
        let missed = Duration(KEEP_ALIVE.0 * 3 / 2);
        let mut delay = if at_once {
            self.random.millis(1, 50)
        } else {
            missed
        };
        if self.mishap(10) {
            delay = delay + self.random.millis(1_000, 60_000);
        }
        if !self.mishap(3) {
            self.at(delay, Event::Presence(node, will));
        }
        if self.mishap(5) {
            let twice = delay + self.random.millis(10, 90_000);
            self.at(twice, Event::Presence(node, will));
        }
        self.at(missed, Event::LinkLost(node, session));
    }

    /// Every session ends: the broker, which lives in the coordinator's process, is gone.
    pub(crate) fn broker_gone(&mut self) {
        let sessions = std::mem::take(&mut self.network.sessions);
        for (node, session) in sessions {
            let noticed = self.random.millis(10, 2_000);
            self.at(noticed, Event::LinkLost(node, session));
        }
    }

    /// An agent publishes.
    pub(crate) fn send_up(&mut self, node: NodeId, message: FromAgent) {
        let Some(session) = self.devices[&node].link else {
            return;
        };
        let delay = self.transit(node, true);
        if self.mishap(2) {
            let again = delay + self.random.millis(1, 2_000);
            self.at(again, Event::ToCoordinator(node, session, message.clone()));
        }
        if !self.mishap(1) {
            self.at(delay, Event::ToCoordinator(node, session, message));
        }
    }

    /// The coordinator publishes.
    pub(crate) fn send_down(&mut self, node: NodeId, message: ToAgent) {
        let Some(session) = self.network.session(node) else {
            return;
        };
        let delay = self.transit(node, false);
        if self.network.deaf.contains(&node) || self.mishap(1) {
            return;
        }
        if self.mishap(2) {
            let again = delay + self.random.millis(1, 2_000);
            self.at(again, Event::ToAgent(node, session, message.clone()));
        }
        self.at(delay, Event::ToAgent(node, session, message));
    }

    /// How long a message takes; one topic keeps its order.
    fn transit(&mut self, node: NodeId, up: bool) -> Duration {
        let slow = self.mishap(5);
        let delay = if slow {
            self.random.millis(200, 3_000)
        } else {
            self.random.millis(1, 60)
        };
        let last = self.network.last.entry((node, up)).or_default();
        let arrival = (self.now + delay).max(*last);
        *last = arrival;
        arrival.since(self.now)
    }
}
