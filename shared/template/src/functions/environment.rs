//! The task's environment, files of its sandbox, the clock.

use std::path::{Component, Path};

use super::{Outcome, Row, between, exactly, string, text_of};
use crate::render::Run;
use gotmpl::Value;

pub(super) const TABLE: &[Row] = &[
    exactly("env", 1, |run, args| {
        let name = text_of(&args[0])?;
        Ok(string(run.env.get(name).map(String::as_str).unwrap_or_default()))
    }),
    exactly("envOrDefault", 2, |run, args| {
        let value = run.env.get(text_of(&args[0])?).map(String::as_str);
        Ok(match value {
            Some(value) if !value.is_empty() => string(value),
            _ => args[1].clone(),
        })
    }),
    exactly("mustEnv", 1, |run, args| {
        let name = text_of(&args[0])?;
        run.env
            .get(name)
            .map(|value| string(value.as_str()))
            .ok_or_else(|| format!("{name} is not set"))
    }),
    exactly("file", 1, file),
    between("timestamp", 0, 1, timestamp),
];

/// Reads a file of the sandbox; links may not lead out of it.
fn file(run: &Run, args: &[Value]) -> Outcome {
    let path = Path::new(text_of(&args[0])?);
    let outside = || format!("'{}' is outside of sandbox", path.display());
    let sandbox = run.sandbox.as_deref().ok_or_else(outside)?;
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(outside());
    }
    let read = |error: std::io::Error| format!("cannot read '{}': {error}", path.display());
    let sandbox = sandbox.canonicalize().map_err(read)?;
    // An absolute path must already lie inside; `join` of one replaces the sandbox.
    let target = sandbox.join(path);
    if path.is_absolute() && !target.starts_with(&sandbox) {
        return Err(outside());
    }
    let target = target.canonicalize().map_err(read)?;
    if !target.starts_with(&sandbox) {
        return Err(outside());
    }
    std::fs::read_to_string(target).map(string).map_err(read)
}

/// The time as RFC 3339, as Unix seconds with the layout "unix", or in a layout of Go's reference time.
fn timestamp(run: &Run, args: &[Value]) -> Outcome {
    let seconds = run.now_ms.div_euclid(1000);
    match args.first().map(text_of).transpose()? {
        None => Ok(string(Moment::at(seconds).format("2006-01-02T15:04:05Z07:00"))),
        Some("unix") => Ok(string(seconds.to_string())),
        Some(layout) => Ok(string(Moment::at(seconds).format(layout))),
    }
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = [
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
];

/// The parts of Go's reference time, longer ones before their prefixes.
const PARTS: [&str; 24] = [
    "2006", "January", "Monday", "Z07:00", "-07:00", "-0700", "Z0700", "MST", "Jan", "Mon", "15", "01", "02",
    "03", "04", "05", "06", "PM", "pm", "_2", "1", "2", "3", "5",
];

/// A point in time by the calendar, in UTC.
struct Moment {
    year: i64,
    month: i64,
    day: i64,
    /// Days since 1970, which started on a Thursday.
    days: i64,
    /// Seconds since midnight.
    second: i64,
}

impl Moment {
    fn at(seconds: i64) -> Self {
        let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        // Days to a date by eras of 400 years that start in March, so that the leap day is the last of its year.
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 {
            shifted_month + 3
        } else {
            shifted_month - 9
        };
        let year = era * 400 + year_of_era + i64::from(month <= 2);
        Self {
            year,
            month,
            day,
            days,
            second,
        }
    }

    fn format(&self, layout: &str) -> String {
        let mut out = String::new();
        let mut rest = layout;
        while let Some(first) = rest.chars().next() {
            match PARTS.iter().find(|part| rest.starts_with(**part)) {
                Some(part) => {
                    out.push_str(&self.part(part));
                    rest = &rest[part.len()..];
                }
                None => {
                    out.push(first);
                    rest = &rest[first.len_utf8()..];
                }
            }
        }
        out
    }

    fn part(&self, part: &str) -> String {
        let (hour, minute, second) = (self.second / 3_600, self.second / 60 % 60, self.second % 60);
        let twelve = if hour % 12 == 0 { 12 } else { hour % 12 };
        let name = |names: &[&str], index: i64| {
            let index = usize::try_from(index).unwrap_or(0);
            names[index % names.len()].to_owned()
        };
        let month = name(&MONTHS, self.month - 1);
        let weekday = name(&WEEKDAYS, self.days.rem_euclid(7));
        match part {
            "2006" => format!("{:04}", self.year),
            "06" => format!("{:02}", self.year.rem_euclid(100)),
            "January" => month,
            "Jan" => month[..3].to_owned(),
            "01" => format!("{:02}", self.month),
            "1" => self.month.to_string(),
            "Monday" => weekday,
            "Mon" => weekday[..3].to_owned(),
            "02" => format!("{:02}", self.day),
            "_2" => format!("{:2}", self.day),
            "2" => self.day.to_string(),
            "15" => format!("{hour:02}"),
            "03" => format!("{twelve:02}"),
            "3" => twelve.to_string(),
            "04" => format!("{minute:02}"),
            "05" => format!("{second:02}"),
            "5" => second.to_string(),
            "PM" => if hour < 12 { "AM" } else { "PM" }.to_owned(),
            "pm" => if hour < 12 { "am" } else { "pm" }.to_owned(),
            "MST" => "UTC".to_owned(),
            "-07:00" => "+00:00".to_owned(),
            "-0700" => "+0000".to_owned(),
            _ => "Z".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_become_dates() {
        for (seconds, date) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_783_084_799, "2026-07-03T13:19:59Z"),
            (-1, "1969-12-31T23:59:59Z"),
        ] {
            assert_eq!(Moment::at(seconds).format("2006-01-02T15:04:05Z07:00"), date);
        }
        let layout = "Mon Jan _2 03:04:05 PM MST 2006 (1/2/06)";
        assert_eq!(
            Moment::at(1_783_084_799).format(layout),
            "Fri Jul  3 01:19:59 PM UTC 2026 (7/3/26)"
        );
    }
}
