//! Points in time and lengths of time, in nanoseconds. Nothing here reads a clock: a [`Timestamp`] is handed in.

use std::fmt;
use std::ops::{Add, Sub};

use serde::{Deserialize, Serialize};

/// Nanoseconds since an epoch: of 1970 on the coordinator, of the node's boot inside the agent's core.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

/// A length of time in nanoseconds, as Nomad's API writes it.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Duration(pub i64);

impl Timestamp {
    /// The epoch itself; in records it stands for "never".
    pub const ZERO: Self = Self(0);

    /// A timestamp of whole seconds since the epoch.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs * 1_000_000_000)
    }

    /// Whole seconds since the epoch.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1_000_000_000)
    }

    /// The time that passed since `earlier`; zero when `earlier` lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        Duration(self.0.saturating_sub(earlier.0).max(0))
    }

    /// Whether this is not the "never" of records.
    pub const fn is_set(self) -> bool {
        self.0 != 0
    }
}

impl Duration {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// A duration of whole seconds.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs * 1_000_000_000)
    }

    /// A duration of whole milliseconds.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis * 1_000_000)
    }

    /// Whole seconds, rounded down.
    pub const fn as_secs(self) -> i64 {
        self.0 / 1_000_000_000
    }

    /// The same length for the standard library; negative lengths become zero.
    pub fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_nanos(u64::try_from(self.0).unwrap_or(0))
    }

    /// `factor` times as long, at most the longest duration there is.
    pub fn times(self, factor: i64) -> Self {
        Self(self.0.saturating_mul(factor))
    }
}

impl From<std::time::Duration> for Duration {
    fn from(it: std::time::Duration) -> Self {
        Self(i64::try_from(it.as_nanos()).unwrap_or(i64::MAX))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(rhs.0))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, rhs: Duration) -> Self {
        Self(self.0.saturating_sub(rhs.0))
    }
}

impl Add for Duration {
    type Output = Self;

    fn add(self, rhs: Self) -> Self {
        Self(self.0.saturating_add(rhs.0))
    }
}

impl fmt::Debug for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Go's notation, as job files and the CLI write it: `1h30m0s`, `250ms`, `0s`.
impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.0.unsigned_abs();
        if self.0 < 0 {
            f.write_str("-")?;
        }
        let fraction = |f: &mut fmt::Formatter<'_>, unit: u64, name: &str| {
            let digits = format!("{:0width$}", total % unit, width = unit.ilog10() as usize);
            let digits = digits.trim_end_matches('0');
            let dot = if digits.is_empty() || unit == 1 { "" } else { "." };
            write!(
                f,
                "{}{dot}{}{name}",
                total / unit,
                if unit == 1 { "" } else { digits }
            )
        };
        match total {
            0 => f.write_str("0s"),
            1..1_000 => fraction(f, 1, "ns"),
            1_000..1_000_000 => fraction(f, 1_000, "µs"),
            1_000_000..1_000_000_000 => fraction(f, 1_000_000, "ms"),
            _ => {
                let (secs, nanos) = (total / 1_000_000_000, total % 1_000_000_000);
                let (hours, minutes) = (secs / 3600, secs / 60 % 60);
                if hours > 0 {
                    write!(f, "{hours}h")?;
                }
                if hours > 0 || minutes > 0 {
                    write!(f, "{minutes}m")?;
                }
                let digits = format!("{nanos:09}");
                let digits = digits.trim_end_matches('0');
                let dot = if digits.is_empty() { "" } else { "." };
                write!(f, "{}{dot}{digits}s", secs % 60)
            }
        }
    }
}

/// Text that is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a duration: numbers with units like 30s, 5m or 1h30m are expected")]
pub struct ParseDurationError(pub String);

impl std::str::FromStr for Duration {
    type Err = ParseDurationError;

    /// Go's notation: decimal numbers, each with one of `ns us µs ms s m h`, optionally signed.
    fn from_str(text: &str) -> Result<Self, ParseDurationError> {
        parse_go_duration(text).ok_or_else(|| ParseDurationError(text.to_owned()))
    }
}

fn parse_go_duration(text: &str) -> Option<Duration> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0f64;
    let mut exact = 0i128;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let unit_len = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_len);
        let nanos: i128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        match number.parse::<i64>() {
            Ok(whole) => exact += i128::from(whole) * nanos,
            Err(_) => total += number.parse::<f64>().ok()? * nanos as f64,
        }
        rest = tail;
    }
    let nanos = i64::try_from(exact + total.round() as i128).ok()?;
    Some(Duration(if negative { -nanos } else { nanos }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_print_in_go_notation() {
        for (text, nanos, printed) in [
            ("1h30m", 5_400_000_000_000, "1h30m0s"),
            ("30s", 30_000_000_000, "30s"),
            ("1.5s", 1_500_000_000, "1.5s"),
            ("250ms", 250_000_000, "250ms"),
            ("2h45m10s", 9_910_000_000_000, "2h45m10s"),
            ("0", 0, "0s"),
            ("-5m", -300_000_000_000, "-5m0s"),
            ("7ns", 7, "7ns"),
            ("1500µs", 1_500_000, "1.5ms"),
        ] {
            let duration: Duration = text.parse().unwrap();
            assert_eq!(
                (duration.0, duration.to_string().as_str()),
                (nanos, printed),
                "{text}"
            );
        }
    }

    #[test]
    fn text_without_a_unit_is_no_duration() {
        for text in ["", "5", "abc", "1x", "s", "1h30"] {
            assert!(text.parse::<Duration>().is_err(), "{text}");
        }
    }
}
