//! Dates and times, as RFC 3339 writes them.

use jiff::civil::DateTime;
use jiff::{SignedDuration, Span};

use super::{Failure, Function, Kind, fixed, text};
use crate::value::Value;

pub(super) const TABLE: &[Function] = &[
    fixed(
        "formatdate",
        &[("format", Kind::Text), ("time", Kind::Text)],
        |_, args| {
            let moment = Moment::parse(text(&args[1]))
                .map_err(|reason| Failure::Argument(1, format!("not a valid RFC3339 timestamp: {reason}")))?;
            format_date(text(&args[0]), &moment)
                .map(Value::String)
                .map_err(|reason| Failure::Argument(0, reason))
        },
    ),
    fixed(
        "timeadd",
        &[("timestamp", Kind::Text), ("duration", Kind::Text)],
        |_, args| {
            let moment = Moment::parse(text(&args[0]))
                .map_err(|reason| format!("not a valid RFC3339 timestamp: {reason}"))?;
            let duration: holdfast_shared::time::Duration = text(&args[1])
                .parse()
                .map_err(|_| format!("time: invalid duration {:?}", text(&args[1])))?;
            let span =
                Span::try_from(SignedDuration::from_nanos(duration.0)).map_err(|error| error.to_string())?;
            let clock = moment
                .clock
                .checked_add(span)
                .map_err(|error| error.to_string())?;
            Ok(Value::text(Moment { clock, ..moment }.rfc3339()))
        },
    ),
];

/// What a clock at some offset shows.
struct Moment {
    clock: DateTime,
    offset_minutes: i32,
}

impl Moment {
    fn parse(text: &str) -> Result<Self, String> {
        if !text
            .get(..4)
            .is_some_and(|year| year.bytes().all(|byte| byte.is_ascii_digit()))
        {
            return Err(format!("cannot use {text:?} as year"));
        }
        let bad = || format!("{text:?} is not of the form 2006-01-02T15:04:05Z");
        let date_end = text.find(['T', 't', ' ']).ok_or_else(bad)?;
        let zone_start = text[date_end..]
            .find(['Z', 'z', '+', '-'])
            .map(|at| date_end + at)
            .ok_or_else(bad)?;
        let clock: DateTime = text[..zone_start].parse().map_err(|_| bad())?;
        let zone = &text[zone_start..];
        let offset_minutes = match zone {
            "Z" | "z" => 0,
            _ => {
                let (hours, minutes) = zone[1..].split_once(':').ok_or_else(bad)?;
                let hours: i32 = hours.parse().map_err(|_| bad())?;
                let minutes: i32 = minutes.parse().map_err(|_| bad())?;
                (hours * 60 + minutes) * if zone.starts_with('-') { -1 } else { 1 }
            }
        };
        Ok(Self {
            clock,
            offset_minutes,
        })
    }

    /// To the second.
    fn rfc3339(&self) -> String {
        format!(
            "{}{}",
            self.clock.strftime("%Y-%m-%dT%H:%M:%S"),
            self.offset(":", "Z")
        )
    }

    /// `+01:00` with this separator, or `zero`.
    fn offset(&self, separator: &str, zero: &str) -> String {
        if self.offset_minutes == 0 {
            return zero.to_owned();
        }
        let sign = if self.offset_minutes < 0 { '-' } else { '+' };
        let minutes = self.offset_minutes.abs();
        format!("{sign}{:02}{separator}{:02}", minutes / 60, minutes % 60)
    }
}

fn format_date(format: &str, moment: &Moment) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = format;
    while let Some(first) = rest.chars().next() {
        if first == '\'' {
            let (literal, after) = quoted(&rest[1..])?;
            out.push_str(&literal);
            rest = after;
            continue;
        }
        let length = rest.find(|c: char| c != first).unwrap_or(rest.len());
        let (letters, after) = rest.split_at(length);
        rest = after;
        if !first.is_ascii_alphabetic() {
            out.push_str(letters);
            continue;
        }
        out.push_str(&part(letters, moment)?);
    }
    Ok(out)
}

/// Text up to the closing quote; two quotes are one.
fn quoted(text: &str) -> Result<(String, &str), String> {
    let mut literal = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '\'' if chars.peek().is_some_and(|(_, next)| *next == '\'') => {
                chars.next();
                literal.push('\'');
            }
            '\'' => return Ok((literal, &text[at + 1..])),
            c => literal.push(c),
        }
    }
    Err("unterminated literal '".to_owned())
}

fn part(letters: &str, moment: &Moment) -> Result<String, String> {
    let clock = moment.clock;
    let strftime = |pattern: &str| Ok(clock.strftime(pattern).to_string());
    let hour12 = match clock.hour() % 12 {
        0 => 12,
        hour => hour,
    };
    let expected = |what: &str| Err(format!("invalid date format verb {letters:?}: {what}"));
    match letters {
        "YYYY" => strftime("%Y"),
        "YY" => strftime("%y"),
        "MMMM" => strftime("%B"),
        "MMM" => strftime("%b"),
        "MM" => strftime("%m"),
        "M" => Ok(clock.month().to_string()),
        "DD" => strftime("%d"),
        "D" => Ok(clock.day().to_string()),
        "EEEE" => strftime("%A"),
        "EEE" => strftime("%a"),
        "hh" => strftime("%H"),
        "h" => Ok(clock.hour().to_string()),
        "HH" => Ok(format!("{hour12:02}")),
        "H" => Ok(hour12.to_string()),
        "AA" => Ok(if clock.hour() < 12 { "AM" } else { "PM" }.to_owned()),
        "aa" => Ok(if clock.hour() < 12 { "am" } else { "pm" }.to_owned()),
        "mm" => strftime("%M"),
        "m" => Ok(clock.minute().to_string()),
        "ss" => strftime("%S"),
        "s" => Ok(clock.second().to_string()),
        "Z" => Ok(moment.offset(":", "Z")),
        "ZZZ" => Ok(moment.offset("", "UTC")),
        "ZZZZ" => Ok(moment.offset("", "+0000")),
        "ZZZZZ" => Ok(moment.offset(":", "+00:00")),
        _ => match letters.as_bytes()[0] {
            b'Y' => expected("year must either be \"YY\" or \"YYYY\""),
            b'M' => expected("month must be \"M\", \"MM\", \"MMM\", or \"MMMM\""),
            b'D' => expected("day of month must either be \"D\" or \"DD\""),
            b'E' => expected("day of week must either be \"EEE\" or \"EEEE\""),
            b'h' | b'H' => expected("hour must have one or two letters"),
            b'm' => expected("minute must either be \"m\" or \"mm\""),
            b's' => expected("second must either be \"s\" or \"ss\""),
            b'Z' => expected("timezone must be Z, ZZZ, ZZZZ, or ZZZZZ"),
            b'A' | b'a' => expected("must be \"AA\" or \"aa\""),
            _ => Err(format!(
                "unsupported format code {letters:?}; write text as 'text'"
            )),
        },
    }
}
