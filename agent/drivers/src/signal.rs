//! Signals by the names and numbers that job files use.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// The signals a job may name. The numbers are those of every Linux that Holdfast runs on (x86, ARM).
const NAMES: &[(&str, i32)] = &[
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("PWR", 30),
    ("SYS", 31),
];

/// A signal that can be sent to a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal(i32);

/// A text that names no signal.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is not a signal: write a name such as SIGTERM or a number from 1 to 31")]
pub struct UnknownSignal(pub String);

impl Signal {
    /// Kills without asking.
    pub const KILL: Self = Self(9);
    /// Interrupts: how Nomad stops processes.
    pub const INT: Self = Self(2);
    /// Asks to terminate.
    pub const TERM: Self = Self(15);

    /// The kernel's number.
    pub fn number(self) -> i32 {
        self.0
    }

    /// The name with its prefix, `SIGTERM`.
    pub fn name(self) -> String {
        let name = NAMES
            .iter()
            .find(|row| row.1 == self.0)
            .expect("only table rows become signals")
            .0;
        format!("SIG{name}")
    }

    pub(crate) fn from_number(number: i32) -> Option<Self> {
        NAMES.iter().any(|row| row.1 == number).then_some(Self(number))
    }

    pub(crate) fn raw(self) -> rustix::process::Signal {
        rustix::process::Signal::from_named_raw(self.0).expect("every table row is a named Linux signal")
    }
}

impl FromStr for Signal {
    type Err = UnknownSignal;

    /// Reads `SIGTERM`, `TERM`, `term` or `15`.
    fn from_str(text: &str) -> Result<Self, UnknownSignal> {
        let unknown = || UnknownSignal(text.to_owned());
        if let Ok(number) = text.trim().parse::<i32>() {
            return Self::from_number(number).ok_or_else(unknown);
        }
        let upper = text.trim().to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        NAMES
            .iter()
            .find(|row| row.0 == name)
            .map(|row| Self(row.1))
            .ok_or_else(unknown)
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_read_by_name_and_number() {
        for (text, number) in [
            ("SIGTERM", 15),
            ("TERM", 15),
            ("sigint", 2),
            ("9", 9),
            (" USR1 ", 10),
        ] {
            assert_eq!(text.parse::<Signal>().map(Signal::number), Ok(number), "{text}");
        }
        for text in ["", "SIG", "SIGFOO", "0", "64", "-1"] {
            let error = text.parse::<Signal>().expect_err(text).to_string();
            assert!(error.contains("write a name such as SIGTERM"), "{error}");
        }
    }

    #[test]
    fn every_signal_of_the_table_is_one_the_kernel_knows() {
        for (name, number) in NAMES {
            let signal = Signal::from_number(*number).unwrap();
            assert_eq!(signal.name(), format!("SIG{name}"));
            assert_eq!(signal.raw().as_raw(), *number);
        }
    }
}
