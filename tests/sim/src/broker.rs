//! The broker: sessions, wills, and what waits for who is away.
//!
//! It lives in the coordinator's process, or stands alone; then it keeps the coordinator's session, with what is queued in
//! it, and the coordinator keeps what it cannot hand over. Agents ask for clean sessions, and the product retains
//! nothing, so that nothing else is kept.

use std::collections::{BTreeMap, VecDeque};

use holdfast_coordinator_core::Input;
use holdfast_shared::id::NodeId;
use holdfast_shared::time::Duration;
use holdfast_shared::wire::{FromAgent, Presence, ToAgent};

use crate::network::Weather;
use crate::sessions::short;
use crate::world::{Event, World};

/// The agents' keep-alive; the broker misses a silent client after one and a half of it.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Messages that the broker keeps for the coordinator at most.
const QUEUE_LEN_MAX: usize = 1000;

/// Messages that the coordinator had not acknowledged when it died, at most.
const UNACKNOWLEDGED: usize = 3;

/// Old letters to each box that may be delivered once more.
const LETTERS_MAX: usize = 60;

/// Something for the coordinator.
#[derive(Debug, Clone)]
pub(crate) enum Said {
    Message(NodeId, FromAgent),
    Presence(NodeId, Presence),
}

/// Something for a box, and the lineage of coordinator state that it comes from.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    pub(crate) lineage: usize,
    pub(crate) message: ToAgent,
}

/// What becomes of the wills of a box.
#[derive(Debug, Default)]
pub(crate) struct Wills {
    pub(crate) late: Option<Weather>,
    pub(crate) twice: Option<Weather>,
    pub(crate) never: bool,
}

/// The broker.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) is_external: bool,
    /// Whether an external one runs.
    pub(crate) is_up: bool,
    /// Whether an external one and the coordinator cannot reach each other.
    pub(crate) is_cut: bool,
    /// Box and number of each node's session.
    sessions: BTreeMap<NodeId, (usize, u64)>,
    pub(crate) wills: Vec<Wills>,
    /// For the coordinator, while it is away.
    queue: VecDeque<Said>,
    /// What the coordinator got last.
    recent: VecDeque<Said>,
    /// What the coordinator could not hand over.
    outbox: VecDeque<(NodeId, Letter)>,
    /// What was sent to each box: the first letters and the last ones.
    letters: Vec<VecDeque<Letter>>,
}

impl Broker {
    pub(crate) fn new(is_external: bool, boxes: usize) -> Self {
        Self {
            is_external,
            is_up: true,
            is_cut: false,
            sessions: BTreeMap::new(),
            wills: (0..boxes).map(|_| Wills::default()).collect(),
            queue: VecDeque::new(),
            recent: VecDeque::new(),
            outbox: VecDeque::new(),
            letters: vec![VecDeque::new(); boxes],
        }
    }
}

impl World {
    fn broker_is_up(&self) -> bool {
        if self.broker.is_external {
            self.broker.is_up
        } else {
            self.host.is_up()
        }
    }

    fn coordinator_is_connected(&self) -> bool {
        self.host.is_up() && (!self.broker.is_external || (self.broker.is_up && !self.broker.is_cut))
    }

    pub(crate) fn holds_session(&self, number: usize, session: u64) -> bool {
        let node = self.devices[number].id;
        self.broker_is_up() && self.broker.sessions.get(&node) == Some(&(number, session))
    }

    /// An agent tries to reach the broker, and will again while it does not succeed.
    pub(crate) fn connect(&mut self, number: usize) {
        let device = &mut self.devices[number];
        device.is_connecting = false;
        if !device.is_up() || device.link.is_some() {
            return;
        }
        if self.links[number].is_mute || !self.broker_is_up() {
            self.try_again(number);
            return;
        }
        let session = self.devices[number].sessions.next(self.now);
        let node = self.devices[number].id;
        let former = self.broker.sessions.insert(node, (number, session));
        if let Some((holder, old)) = former {
            // Whoever held the session is thrown out, and its will is published.
            self.will(node, holder, old, false);
            self.at(Duration::from_millis(20), Event::LinkLost(holder, old));
        }
        if self.links[number].is_deaf {
            // The broker has a session whose client hears of nothing and gives up.
            let patience = self.devices[number].random.millis(3_000, 10_000);
            self.at(patience, Event::GiveUp(number, session));
            self.try_again(number);
            return;
        }
        self.devices[number].link = Some(session);
        self.tell(number, || format!("connects as session {}", short(session)));
        self.send_presence(number, session, true);
        if !self.broker.is_external {
            self.at(KEEP_ALIVE, Event::Ping(number, session));
        }
        self.agent_link(number, Some(session));
    }

    fn try_again(&mut self, number: usize) {
        let device = &mut self.devices[number];
        if !std::mem::replace(&mut device.is_connecting, true) {
            let pause = device.random.millis(1_000, 10_000);
            self.at(pause, Event::Connect(number));
        }
    }

    /// An agent notices that its connection is gone, and tries again.
    pub(crate) fn link_lost(&mut self, number: usize, session: u64) {
        if self.devices[number].link != Some(session) {
            return;
        }
        self.devices[number].link = None;
        self.devices[number].sessions.ended(self.now);
        self.agent_link(number, None);
        self.hang_up(number, session);
        self.try_again(number);
    }

    /// A socket is closed at a box's end; the broker hears of it if the box is heard.
    pub(crate) fn hang_up(&mut self, number: usize, session: u64) {
        if self.holds_session(number, session) && !self.links[number].is_mute {
            self.end_session(number, session, true);
        }
    }

    /// An agent pings the broker, and one that lives in the coordinator's process tells it.
    pub(crate) fn ping(&mut self, number: usize, session: u64) {
        if !self.holds_session(number, session) || self.devices[number].link != Some(session) {
            return;
        }
        self.at(KEEP_ALIVE, Event::Ping(number, session));
        if !self.links[number].is_mute && self.devices[number].asleep.is_none() {
            self.coordinator_input(Input::Alive(self.devices[number].id));
        }
    }

    /// The broker delivers an old letter to a box once more.
    pub(crate) fn replay(&mut self, number: usize, dice: u64) {
        let letters = &self.broker.letters[number];
        if let Some(session) = self.devices[number].link
            && let Some(letter) = letters.get(dice as usize % letters.len().max(1)).cloned()
        {
            self.carry_down(number, session, &letter);
        }
    }

    /// The broker ends a session: unless the client said good-bye, its will is published.
    pub(crate) fn end_session(&mut self, number: usize, session: u64, abnormal: bool) {
        let node = self.devices[number].id;
        if self.broker.sessions.get(&node) == Some(&(number, session)) {
            self.broker.sessions.remove(&node);
            if abnormal {
                self.will(node, number, session, true);
            }
            // The closing of the socket reaches the box, if it hears anything.
            if !self.links[number].is_deaf {
                self.at(Duration::from_millis(30), Event::LinkLost(number, session));
            }
        }
    }

    fn will(&mut self, node: NodeId, number: usize, session: u64, at_once: bool) {
        let base = if at_once { 50 } else { 3_000 };
        let mut delay = self.devices[number].random.millis(1, base);
        let wills = &mut self.broker.wills[number];
        if wills.never {
            return;
        }
        if let Some(weather) = &mut wills.late {
            delay = delay + weather.random.millis(0, weather.size * 1000);
        }
        let presence = Presence {
            session,
            online: false,
        };
        if let Some(weather) = &mut wills.twice {
            let again = delay + weather.random.millis(10, weather.size * 1000);
            self.at(
                again,
                Event::ToCoordinator(Box::new(Said::Presence(node, presence))),
            );
        }
        self.at(
            delay,
            Event::ToCoordinator(Box::new(Said::Presence(node, presence))),
        );
    }

    /// Somebody may be silent from now on, for the other side to notice: the broker after one and a half keep-alives,
    /// the agent after two.
    pub(crate) fn silence_follows(&mut self, number: usize, changes: u64) {
        let (mute, deaf) = (self.links[number].is_mute, self.links[number].is_deaf);
        if mute {
            let missed = Duration(KEEP_ALIVE.0 * 3 / 2);
            self.at(missed, Event::SessionExpires(number, changes));
        }
        if deaf {
            self.at(KEEP_ALIVE.times(2), Event::AgentMissesBroker(number, changes));
        }
    }

    /// One and a half keep-alives have passed since a box fell silent.
    pub(crate) fn session_expires(&mut self, number: usize, changes: u64) {
        let node = self.devices[number].id;
        if self.links[number].changes == changes
            && let Some((holder, session)) = self.broker.sessions.get(&node).copied()
            && holder == number
        {
            self.end_session(number, session, true);
        }
    }

    /// A box lost power one and a half keep-alives ago, without closing its socket.
    pub(crate) fn session_missed(&mut self, number: usize, session: u64) {
        if self.devices[number].link != Some(session) {
            self.end_session(number, session, true);
        }
    }

    /// A box has heard nothing for too long.
    pub(crate) fn agent_misses_broker(&mut self, number: usize, changes: u64) {
        if self.links[number].changes == changes
            && let Some(session) = self.devices[number].link
        {
            self.link_lost(number, session);
        }
    }

    /// Every session ends, without wills: the broker is gone, or all its sockets are.
    pub(crate) fn drop_sessions(&mut self) {
        for (_, (number, session)) in std::mem::take(&mut self.broker.sessions) {
            let noticed = self.devices[number].random.millis(10, 2_000);
            if !self.links[number].is_deaf {
                self.at(noticed, Event::LinkLost(number, session));
            }
        }
    }

    /// Every connection breaks at once; the broker notices and publishes all wills.
    pub(crate) fn storm(&mut self) {
        for (_, (number, session)) in self.broker.sessions.clone() {
            self.end_session(number, session, true);
        }
    }

    /// An external broker is stopped; with `forgetful`, what it kept for the coordinator is lost.
    pub(crate) fn stop_broker(&mut self, forgetful: bool) {
        if self.broker.is_external {
            self.coordinator_input(Input::Hearing(false));
            self.broker.is_up = false;
            if forgetful {
                self.broker.queue.clear();
                self.broker.recent.clear();
            }
            self.drop_sessions();
        } else {
            self.storm();
        }
    }

    /// An external broker and the coordinator cannot reach each other any more.
    pub(crate) fn cut_coordinator_off(&mut self) {
        if self.broker.is_external {
            self.broker.is_cut = true;
            self.coordinator_input(Input::Hearing(false));
        }
    }

    /// Something for the coordinator reaches the broker.
    pub(crate) fn reach_coordinator(&mut self, said: Said) {
        if self.coordinator_is_connected() {
            if self.broker.is_external {
                self.broker.recent.push_back(said.clone());
                if self.broker.recent.len() > UNACKNOWLEDGED {
                    self.broker.recent.pop_front();
                }
            }
            self.coordinator_input(match said {
                Said::Message(node, message) => Input::Agent(node, message),
                Said::Presence(node, presence) => Input::Presence(node, presence),
            });
        } else if self.broker.is_external && self.broker.is_up && self.broker.queue.len() < QUEUE_LEN_MAX {
            self.broker.queue.push_back(said);
        }
    }

    /// The coordinator and the broker have found each other: what waited on both sides is handed over.
    pub(crate) fn broker_meets_coordinator(&mut self) {
        if !self.broker.is_external || !self.coordinator_is_connected() {
            return;
        }
        self.coordinator_input(Input::Hearing(true));
        let again = std::mem::take(&mut self.broker.recent);
        let waiting = std::mem::take(&mut self.broker.queue);
        for said in again.into_iter().chain(waiting) {
            self.reach_coordinator(said);
        }
        for (node, letter) in std::mem::take(&mut self.broker.outbox) {
            self.send_down(node, letter);
        }
    }

    /// The coordinator publishes.
    pub(crate) fn send_down(&mut self, node: NodeId, letter: Letter) {
        if !self.coordinator_is_connected() {
            self.broker.outbox.push_back((node, letter));
        } else if let Some((number, session)) = self.broker.sessions.get(&node).copied() {
            self.carry_down(number, session, &letter);
            let letters = &mut self.broker.letters[number];
            if letters.len() == LETTERS_MAX {
                letters.remove(LETTERS_MAX / 3);
            }
            letters.push_back(letter);
        }
    }

    /// The coordinator's process has died; a broker that lives in it as well.
    pub(crate) fn coordinator_is_gone(&mut self) {
        self.broker.outbox.clear();
        if !self.broker.is_external {
            self.drop_sessions();
        }
    }
}
