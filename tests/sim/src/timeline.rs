//! The readable account of a story: when, who, what.

use holdfast_shared::id::NodeId;
use holdfast_shared::time::{Duration, Timestamp};

use crate::invariants::Violation;
use crate::plan::Entry;
use crate::world::World;

impl World {
    /// Adds a line about a box.
    pub(crate) fn tell(&mut self, number: usize, text: impl FnOnce() -> String) {
        if self.tells() {
            let who = self.name_of_box(number);
            self.line("  ", &who, &text());
        }
    }

    /// Adds a line about somebody else.
    pub(crate) fn tell_of(&mut self, who: &str, text: impl FnOnce() -> String) {
        if self.tells() {
            self.line("  ", who, &text());
        }
    }

    /// Adds a line about something of the plan; faults are marked.
    pub(crate) fn tell_entry(&mut self, entry: &Entry) {
        if self.tells() {
            let text = entry.to_string();
            let words: Vec<&str> = text
                .split(' ')
                .skip(1)
                .filter(|word| !word.starts_with("dice="))
                .collect();
            let (mark, who) = if entry.kind.is_wish() {
                ("  ", "operator")
            } else {
                ("!!", "fault")
            };
            self.line(mark, who, &words.join(" "));
        }
    }

    fn line(&mut self, mark: &str, who: &str, text: &str) {
        let at = clock(self.now.since(self.began()));
        self.outcome.trace.push(format!("{at} {mark} {who:<12} {text}"));
    }

    /// Something is broken that must never be.
    pub(crate) fn violation(&mut self, name: &'static str, text: String) {
        if self.tells() {
            self.line("**", name, &text);
        }
        let at = Timestamp(self.now.since(self.began()).0);
        self.outcome.violations.push(Violation { name, at, text });
    }

    pub(crate) fn name_of(&self, node: NodeId) -> String {
        let number = self.devices.iter().position(|device| device.id == node);
        number.map_or_else(|| node.short(), |number| format!("box-{number}"))
    }

    pub(crate) fn name_of_box(&self, number: usize) -> String {
        match number.checked_sub(self.boxes) {
            Some(of) => format!("clone-{of}"),
            None => format!("box-{number}"),
        }
    }
}

/// A time of a story as people read it: ` 2h 03m 12.345s`.
pub fn clock(at: Duration) -> String {
    let millis = at.0 / 1_000_000;
    let (seconds, millis) = (millis / 1000, millis % 1000);
    format!(
        "{:>3}h {:02}m {:02}.{millis:03}s",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}
