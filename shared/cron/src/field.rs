//! One field of an expression: which numbers it accepts.

use std::collections::BTreeSet;

/// What a field may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    min: u16,
    max: u16,
    /// Names for the numbers from `min` on; three letters are enough.
    names: &'static [&'static str],
}

pub(crate) const SECOND: Kind = Kind::numbers(0, 59);
pub(crate) const MINUTE: Kind = Kind::numbers(0, 59);
pub(crate) const HOUR: Kind = Kind::numbers(0, 23);
pub(crate) const DAY: Kind = Kind::numbers(1, 31);
pub(crate) const YEAR: Kind = Kind::numbers(1970, 2099);
pub(crate) const MONTH: Kind = Kind {
    min: 1,
    max: 12,
    names: &[
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ],
};
/// Seven is Sunday, as zero is.
pub(crate) const WEEKDAY: Kind = Kind {
    min: 0,
    max: 7,
    names: &[
        "sunday",
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
    ],
};

impl Kind {
    const fn numbers(min: u16, max: u16) -> Self {
        Self { min, max, names: &[] }
    }

    /// The number that a text stands for.
    pub(crate) fn number(self, text: &str) -> Option<u16> {
        if let Ok(number) = text.parse::<u16>() {
            return (self.min..=self.max).contains(&number).then_some(number);
        }
        let text = text.to_ascii_lowercase();
        let same = |name: &&&str| **name == text || (text.len() == 3 && name.starts_with(&text));
        let at = self.names.iter().position(|name| same(&name))?;
        u16::try_from(at).ok().map(|at| at + self.min)
    }

    /// The numbers of one part of a list: `*`, `3`, `1-5`, each with `/step`.
    pub(crate) fn part(self, text: &str) -> Option<BTreeSet<u16>> {
        let (range, step) = match text.split_once('/') {
            Some((range, step)) => (range, Some(step.parse::<u16>().ok().filter(|step| *step > 0)?)),
            None => (text, None),
        };
        let (first, last) = match (range, range.split_once('-'), step) {
            ("*" | "?", _, _) => (self.min, self.max),
            (_, Some((first, last)), _) => (self.number(first)?, self.number(last)?),
            (one, None, None) => (self.number(one)?, self.number(one)?),
            (first, None, Some(_)) => (self.number(first)?, self.max),
        };
        let numbers = (first..=last).step_by(usize::from(step.unwrap_or(1)));
        (first <= last).then(|| numbers.collect())
    }

    /// The numbers of a whole field.
    pub(crate) fn all(self, text: &str) -> Option<BTreeSet<u16>> {
        let mut numbers = BTreeSet::new();
        for part in text.split(',') {
            numbers.extend(self.part(part)?);
        }
        Some(numbers)
    }
}

/// Whether a field accepts everything.
pub(crate) fn is_open(text: &str) -> bool {
    matches!(text, "*" | "?")
}
