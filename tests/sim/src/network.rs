//! Links between boxes and the broker: what arrives, when, and how often.

use holdfast_shared::time::{Duration, Timestamp};
use holdfast_shared::wire::{FromAgent, Presence};

use crate::broker::{Letter, Said};
use crate::random::Random;
use crate::world::{Event, World};

/// A topic of one box; the order within each is kept, unless a message is delivered again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    Assignments,
    Report,
    Presence,
}

/// Messages that suffer something, by chance.
#[derive(Debug)]
pub(crate) struct Weather {
    pub(crate) size: u64,
    pub(crate) random: Random,
}

/// The link of one box.
#[derive(Debug)]
pub(crate) struct Link {
    /// Nothing of the box reaches the broker.
    pub(crate) is_mute: bool,
    /// Nothing of the broker reaches the box.
    pub(crate) is_deaf: bool,
    /// Counts changes of those two: what somebody was about to notice may not be so any more.
    pub(crate) changes: u64,
    pub(crate) loss: Option<Weather>,
    pub(crate) duplication: Option<Weather>,
    pub(crate) delay: Option<Weather>,
    /// What waits for the link to come back, with its session: TCP sends it again.
    stalled_up: Vec<(u64, Said)>,
    stalled_down: Vec<(u64, Letter)>,
    /// When the last message of each lane arrives.
    last: [Timestamp; 3],
    random: Random,
}

impl Link {
    pub(crate) fn new(seed: u64, number: usize) -> Self {
        Self {
            is_mute: false,
            is_deaf: false,
            changes: 0,
            loss: None,
            duplication: None,
            delay: None,
            stalled_up: Vec::new(),
            stalled_down: Vec::new(),
            last: [Timestamp::ZERO; 3],
            random: Random::stream(seed, "link", number),
        }
    }

    /// How long a message takes: one lane keeps its order.
    fn transit(&mut self, now: Timestamp, lane: Lane) -> Duration {
        let delay = match &mut self.delay {
            Some(weather) => weather.random.millis(1, weather.size),
            None => self.random.millis(1, 60),
        };
        let last = &mut self.last[lane as usize];
        *last = (now + delay).max(*last);
        last.since(now)
    }

    /// When copies of a message arrive: none, one or two.
    fn arrivals(&mut self, now: Timestamp, lane: Lane) -> [Option<Duration>; 2] {
        let lost = |weather: &mut Weather| weather.random.chance(weather.size);
        if self.loss.as_mut().is_some_and(lost) {
            return [None; 2];
        }
        let first = self.transit(now, lane);
        let again = self.duplication.as_mut().and_then(|weather| {
            let twice = weather.random.chance(weather.size);
            twice.then(|| weather.random.millis(1, 90_000))
        });
        [Some(first), again.map(|later| first + later)]
    }
}

impl World {
    /// A box publishes something in its session.
    pub(crate) fn send_up(&mut self, number: usize, message: FromAgent) {
        let Some(session) = self.devices[number].link else {
            return;
        };
        self.messages.up += 1;
        let said = Said::Message(self.devices[number].id, message);
        self.carry_up(number, session, said, Lane::Report);
    }

    /// A box says that its session begins or ends.
    pub(crate) fn send_presence(&mut self, number: usize, session: u64, online: bool) {
        let said = Said::Presence(self.devices[number].id, Presence { session, online });
        self.carry_up(number, session, said, Lane::Presence);
    }

    fn carry_up(&mut self, number: usize, session: u64, said: Said, lane: Lane) {
        let now = self.now;
        for delay in self.links[number].arrivals(now, lane).into_iter().flatten() {
            self.at(delay, Event::Up(number, session, Box::new(said.clone())));
        }
    }

    /// The broker has something for the box that holds this session.
    pub(crate) fn carry_down(&mut self, number: usize, session: u64, letter: &Letter) {
        self.messages.down += 1;
        let now = self.now;
        let arrivals = self.links[number].arrivals(now, Lane::Assignments);
        for delay in arrivals.into_iter().flatten() {
            self.at(delay, Event::Down(number, session, Box::new(letter.clone())));
        }
    }

    /// A message reaches the broker, if its session is still there.
    pub(crate) fn arrive_up(&mut self, number: usize, session: u64, said: Said) {
        if !self.holds_session(number, session) {
            return;
        }
        if self.links[number].is_mute {
            self.links[number].stalled_up.push((session, said));
        } else {
            self.reach_coordinator(said);
        }
    }

    /// A message reaches a box, if its session is still there.
    pub(crate) fn arrive_down(&mut self, number: usize, session: u64, letter: Letter) {
        if self.devices[number].link != Some(session) {
            return;
        }
        if self.links[number].is_deaf {
            self.links[number].stalled_down.push((session, letter));
        } else {
            self.on_letter(number, letter);
        }
    }

    /// The link of a box changes: `mute` and `deaf` say what it is from now on.
    pub(crate) fn set_link(&mut self, number: usize, mute: bool, deaf: bool) {
        let link = &mut self.links[number];
        link.changes += 1;
        (link.is_mute, link.is_deaf) = (mute, deaf);
        let changes = link.changes;
        let up = if mute {
            Vec::new()
        } else {
            std::mem::take(&mut link.stalled_up)
        };
        let down = if deaf {
            Vec::new()
        } else {
            std::mem::take(&mut link.stalled_down)
        };
        for (session, said) in up {
            self.at(
                Duration::from_millis(20),
                Event::Up(number, session, Box::new(said)),
            );
        }
        for (session, letter) in down {
            self.at(
                Duration::from_millis(20),
                Event::Down(number, session, Box::new(letter)),
            );
        }
        self.silence_follows(number, changes);
        if !mute {
            self.packets_are_answered(number);
        }
    }

    /// A box that thinks it has a session sends something: where the broker knows nothing of it, the answer says so.
    fn packets_are_answered(&mut self, number: usize) {
        if let Some(session) = self.devices[number].link
            && !self.holds_session(number, session)
        {
            let soon = self.devices[number].random.millis(100, 10_000);
            self.at(soon, Event::LinkLost(number, session));
        }
    }
}
