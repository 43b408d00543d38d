//! Lengths of time as Go writes them: `1h30m`, `1.5s`, `300ms`.

use std::time::Duration;

use thiserror::Error;

/// Why a text is not a length of time.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DurationError {
    /// A number stands alone.
    #[error("{0:?} needs a unit, such as \"{0}s\" (ns, us, ms, s, m, h)")]
    MissingUnit(String),
    /// Something else is wrong with it.
    #[error("{0:?} is not a duration such as \"1h30m\", \"45s\" or \"250ms\"")]
    Malformed(String),
    /// More than 290 years.
    #[error("{0:?} is longer than 290 years")]
    TooLong(String),
}

/// Units, the longer name before its prefix, with their length in nanoseconds.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Reads a non-negative length of time; `0` needs no unit.
///
/// # Errors
/// Says what is wrong and how to write it.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let malformed = || DurationError::Malformed(text.to_owned());
    let mut rest = text;
    let mut total_ns: u128 = 0;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        if number.is_empty() || number == "." {
            return Err(malformed());
        }
        if after.is_empty() {
            return Err(DurationError::MissingUnit(text.to_owned()));
        }
        let unit = UNITS
            .iter()
            .find(|(name, _)| after.starts_with(name))
            .ok_or_else(malformed)?;
        total_ns += in_nanoseconds(number, unit.1).ok_or_else(malformed)?;
        rest = &after[unit.0.len()..];
    }
    if text.is_empty() {
        return Err(malformed());
    }
    let total_ns = i64::try_from(total_ns).map_err(|_| DurationError::TooLong(text.to_owned()))?;
    Ok(Duration::from_nanos(total_ns.unsigned_abs()))
}

/// A decimal number of a unit, exact down to the nanosecond.
fn in_nanoseconds(number: &str, unit_ns: u64) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole: u128 = if whole.is_empty() {
        0
    } else {
        whole.parse::<u64>().ok()?.into()
    };
    let mut scale = u128::from(unit_ns);
    let mut total = whole * scale;
    for digit in fraction.chars() {
        scale /= 10;
        total += u128::from(digit.to_digit(10)?) * scale;
    }
    Some(total)
}

/// Writes a length of time as Go does: `90s` is `1m30s`, zero is `0s`.
pub fn format_duration(duration: Duration) -> String {
    let ns = duration.as_nanos();
    if ns < 1_000_000_000 {
        let (unit_ns, unit) = match ns {
            0 => return "0s".to_owned(),
            1..1_000 => (1, "ns"),
            1_000..1_000_000 => (1_000, "µs"),
            _ => (1_000_000, "ms"),
        };
        return format!("{}{unit}", decimal(ns, unit_ns));
    }
    let (hours, minutes) = (ns / 3_600_000_000_000, ns / 60_000_000_000 % 60);
    let seconds = decimal(ns % 60_000_000_000, 1_000_000_000);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

fn decimal(ns: u128, unit_ns: u128) -> String {
    let width = unit_ns.ilog10() as usize;
    let fraction = format!("{:0width$}", ns % unit_ns);
    let fraction = fraction.trim_end_matches('0');
    let whole = ns / unit_ns;
    if fraction.is_empty() {
        whole.to_string()
    } else {
        format!("{whole}.{fraction}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_print_as_go_writes_them() {
        for (text, ns, printed) in [
            ("1h30m", 5_400_000_000_000, "1h30m0s"),
            ("1.5s", 1_500_000_000, "1.5s"),
            ("300ms", 300_000_000, "300ms"),
            ("0", 0, "0s"),
            (".5m", 30_000_000_000, "30s"),
            ("2us", 2_000, "2µs"),
            ("1h0.000000001s", 3_600_000_000_001, "1h0m0.000000001s"),
        ] {
            let duration = parse_duration(text).unwrap();
            assert_eq!(duration, Duration::from_nanos(ns), "{text}");
            assert_eq!(format_duration(duration), printed, "{text}");
        }
    }

    #[test]
    fn a_bad_duration_says_how_to_write_it() {
        for (text, error) in [
            ("10", "\"10\" needs a unit, such as \"10s\" (ns, us, ms, s, m, h)"),
            (
                "",
                "\"\" is not a duration such as \"1h30m\", \"45s\" or \"250ms\"",
            ),
            (
                "5 minutes",
                "\"5 minutes\" is not a duration such as \"1h30m\", \"45s\" or \"250ms\"",
            ),
            ("9999999h", "\"9999999h\" is longer than 290 years"),
        ] {
            assert_eq!(parse_duration(text).unwrap_err().to_string(), error);
        }
    }
}
