//! One expression, and the times that it names.

use std::collections::BTreeSet;

use holdfast_shared::time::Timestamp;
use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, ToSpan as _};

use crate::CronError;
use crate::field::{DAY, HOUR, MINUTE, MONTH, SECOND, WEEKDAY, YEAR, is_open};

/// Names for whole expressions, as their seven fields.
const NAMES: [(&str, &str); 6] = [
    ("@annually", "0 0 0 1 1 * *"),
    ("@yearly", "0 0 0 1 1 * *"),
    ("@monthly", "0 0 0 1 * * *"),
    ("@weekly", "0 0 0 * * 0 *"),
    ("@daily", "0 0 0 * * * *"),
    ("@hourly", "0 0 * * * * *"),
];

/// More than a clock change ever moves a clock.
const CLOCK_CHANGE_MAX: i64 = 3;

/// A day, as an expression may name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Day {
    /// That day of the month.
    Number(i8),
    /// The last day of the month.
    Last,
    /// The last weekday of the month.
    LastWorking,
    /// The weekday closest to that day of the month.
    Working(i8),
    /// Every such day of the week, from 0 for Sunday.
    Weekly(i8),
    /// The last such day of the week of the month.
    LastWeekly(i8),
    /// The n-th such day of the week of the month.
    NthWeekly(i8, i8),
}

/// A cron expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    seconds: BTreeSet<u16>,
    minutes: BTreeSet<u16>,
    hours: BTreeSet<u16>,
    months: BTreeSet<u16>,
    years: BTreeSet<u16>,
    /// Days that will do; all of them when empty.
    days: BTreeSet<Day>,
    every_hour: bool,
}

impl Schedule {
    /// The expression in a text.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, CronError> {
        let text = text.trim();
        if text.starts_with('@') {
            let known = NAMES.iter().find(|(name, _)| *name == text);
            return Self::parse(known.ok_or(CronError::Name)?.1);
        }
        let fields: Vec<&str> = text.split_whitespace().collect();
        let (second, fields) = match fields.as_slice() {
            fields if fields.len() < 5 => return Err(CronError::Fields(fields.len())),
            [second, rest @ ..] if fields.len() >= 7 => (*second, rest),
            fields => ("0", fields),
        };
        let year = fields.get(5).copied().unwrap_or("*");
        let bad = |field: &str| CronError::Syntax(field.to_owned());
        let (minute, hour, day, month, weekday) = (fields[0], fields[1], fields[2], fields[3], fields[4]);
        let days = list(day, day_of_month).ok_or_else(|| bad(day))?;
        let weekdays = list(weekday, day_of_week).ok_or_else(|| bad(weekday))?;
        Ok(Self {
            seconds: SECOND.all(second).ok_or_else(|| bad(second))?,
            minutes: MINUTE.all(minute).ok_or_else(|| bad(minute))?,
            hours: HOUR.all(hour).ok_or_else(|| bad(hour))?,
            months: MONTH.all(month).ok_or_else(|| bad(month))?,
            years: YEAR.all(year).ok_or_else(|| bad(year))?,
            days: days.into_iter().chain(weekdays).collect(),
            every_hour: is_open(hour),
        })
    }

    /// The first time after another one, in a zone.
    pub fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let local = zone.to_datetime(instant(after)?);
        let first = self.first_after(local, after, |local| {
            match zone.to_ambiguous_timestamp(local).offset() {
                AmbiguousOffset::Gap { .. } => None,
                AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(local).ok(),
                AmbiguousOffset::Fold { before, .. } => before.to_timestamp(local).ok(),
            }
        });
        if !self.every_hour {
            return first;
        }
        let start = local.checked_sub(CLOCK_CHANGE_MAX.hours()).ok()?;
        let again = self.first_after(start, after, |local| {
            match zone.to_ambiguous_timestamp(local).offset() {
                AmbiguousOffset::Gap { .. } => None,
                AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(local).ok(),
                AmbiguousOffset::Fold { after, .. } => after.to_timestamp(local).ok(),
            }
        });
        first.into_iter().chain(again).min()
    }

    /// The first local time from `start` on that stands for a time after `after`.
    fn first_after(
        &self,
        start: DateTime,
        after: Timestamp,
        time_of: impl Fn(DateTime) -> Option<jiff::Timestamp>,
    ) -> Option<Timestamp> {
        let mut date = start.date();
        let mut from = start.time();
        while date.year() <= 2099 {
            if self.accepts(date) {
                for time in self.times_from(from) {
                    let at = time_of(date.to_datetime(time))
                        .and_then(|at| i64::try_from(at.as_nanosecond()).ok())
                        .map(Timestamp);
                    if let Some(at) = at.filter(|at| *at > after) {
                        return Some(at);
                    }
                }
            }
            from = Time::midnight();
            date = self.following(date)?;
        }
        None
    }

    /// The next day worth a look: the first of the next month, where this one is not meant.
    fn following(&self, date: Date) -> Option<Date> {
        let month = u16::try_from(date.month()).unwrap_or_default();
        if self.months.contains(&month) {
            return date.tomorrow().ok();
        }
        date.last_of_month().tomorrow().ok()
    }

    fn accepts(&self, date: Date) -> bool {
        let number = |value: i16| u16::try_from(value).unwrap_or_default();
        self.years.contains(&number(date.year()))
            && self.months.contains(&number(i16::from(date.month())))
            && (self.days.is_empty() || self.days.iter().any(|day| day.is(date)))
    }

    /// The times of a day, from `from` on.
    fn times_from(&self, from: Time) -> impl Iterator<Item = Time> {
        let hours = self.hours.iter().filter(move |hour| as_i8(**hour) >= from.hour());
        hours
            .flat_map(|hour| self.minutes.iter().map(move |minute| (*hour, *minute)))
            .filter(move |(hour, minute)| (as_i8(*hour), as_i8(*minute)) >= (from.hour(), from.minute()))
            .flat_map(|(hour, minute)| self.seconds.iter().map(move |second| (hour, minute, *second)))
            .filter_map(|(hour, minute, second)| Time::new(as_i8(hour), as_i8(minute), as_i8(second), 0).ok())
    }
}

impl Day {
    fn is(self, date: Date) -> bool {
        let weekday = date.weekday().to_sunday_zero_offset();
        match self {
            Self::Number(day) => date.day() == day,
            Self::Last => date == date.last_of_month(),
            Self::LastWorking => date == working_day(date, date.last_of_month().day()),
            Self::Working(day) => day <= date.last_of_month().day() && date == working_day(date, day),
            Self::Weekly(wanted) => weekday == wanted,
            Self::LastWeekly(wanted) => weekday == wanted && date.day() + 7 > date.last_of_month().day(),
            Self::NthWeekly(wanted, nth) => weekday == wanted && (date.day() - 1) / 7 + 1 == nth,
        }
    }
}

/// The weekday closest to a day of the month of `date`, within that month.
fn working_day(date: Date, day: i8) -> Date {
    let wanted = date.with().day(day).build().unwrap_or(date);
    let last = date.last_of_month();
    let step = match wanted.weekday() {
        Weekday::Saturday if day == 1 => 2,
        Weekday::Saturday => -1,
        Weekday::Sunday if wanted == last => -2,
        Weekday::Sunday => 1,
        _ => 0,
    };
    wanted
        .checked_add(SignedDuration::from_hours(24 * step))
        .unwrap_or(wanted)
}

/// The days of a list; none for one that accepts all.
fn list(text: &str, part: impl Fn(&str) -> Option<Vec<Day>>) -> Option<Vec<Day>> {
    if is_open(text) {
        return Some(Vec::new());
    }
    let parts: Option<Vec<Vec<Day>>> = text.split(',').map(part).collect();
    parts.map(|parts| parts.into_iter().flatten().collect())
}

fn day_of_month(text: &str) -> Option<Vec<Day>> {
    match text.to_ascii_uppercase().as_str() {
        "L" => Some(vec![Day::Last]),
        "LW" | "WL" => Some(vec![Day::LastWorking]),
        upper => match upper.strip_suffix('W') {
            Some(day) => DAY.number(day).map(|day| vec![Day::Working(as_i8(day))]),
            None => {
                let days = DAY.part(text)?;
                Some(days.into_iter().map(|day| Day::Number(as_i8(day))).collect())
            }
        },
    }
}

fn day_of_week(text: &str) -> Option<Vec<Day>> {
    let number = |text: &str| WEEKDAY.number(text).map(|day| as_i8(day % 7));
    if let Some((day, nth)) = text.split_once('#') {
        let nth = nth.parse().ok().filter(|nth| (1..=5).contains(nth))?;
        return number(day).map(|day| vec![Day::NthWeekly(day, nth)]);
    }
    if let Some(day) = text.strip_suffix(['L', 'l']).filter(|day| !day.is_empty()) {
        return number(day).map(|day| vec![Day::LastWeekly(day)]);
    }
    let days = WEEKDAY.part(text)?;
    Some(days.into_iter().map(|day| Day::Weekly(as_i8(day % 7))).collect())
}

/// Numbers of fields are small.
fn as_i8(number: u16) -> i8 {
    i8::try_from(number).unwrap_or(i8::MAX)
}

fn instant(at: Timestamp) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_nanosecond(i128::from(at.0)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The next `count` launches after a time, as local times of that zone.
    fn launches(text: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        let zone = TimeZone::get(zone).unwrap();
        let after: jiff::Timestamp = after.parse().unwrap();
        let mut at = Timestamp(i64::try_from(after.as_nanosecond()).unwrap());
        let schedule = Schedule::parse(text).unwrap();
        (0..count)
            .map_while(|_| {
                at = schedule.next(at, &zone)?;
                let zoned = instant(at).unwrap().to_zoned(zone.clone());
                Some(zoned.strftime("%F %T %z").to_string())
            })
            .collect()
    }

    fn in_utc(text: &str, after: &str, count: usize) -> Vec<String> {
        let found = launches(text, "UTC", after, count);
        found
            .iter()
            .map(|it| it.trim_end_matches(" +0000").to_owned())
            .collect()
    }

    #[test]
    fn five_six_and_seven_fields_mean_minutes_years_and_seconds() {
        let after = "2026-11-21T07:56:43Z";
        assert_eq!(in_utc("0 3 * * *", after, 1), ["2026-11-22 03:00:00"]);
        assert_eq!(
            in_utc("*/15 * * * * *", after, 2),
            ["2026-11-21 08:00:00", "2026-11-21 08:15:00"]
        );
        assert_eq!(in_utc("0 0 1 1 * 2028", after, 2), ["2028-01-01 00:00:00"]);
        assert_eq!(
            in_utc("*/20 * * * * * *", after, 2),
            ["2026-11-21 07:57:00", "2026-11-21 07:57:20"]
        );
        assert_eq!(in_utc("@weekly", after, 1), ["2026-11-22 00:00:00"]);
        assert_eq!(in_utc("5/20 9-11/2 * * *", after, 3)[2], "2026-11-21 09:45:00");
    }

    #[test]
    fn days_are_named_in_many_ways_and_either_kind_will_do() {
        let after = "2026-11-21T07:56:43Z";
        for (text, expected) in [
            ("0 0 L * *", "2026-11-30 00:00:00"),
            ("0 0 15W 8 *", "2027-08-16 00:00:00"),
            ("0 0 LW 2 *", "2027-02-26 00:00:00"),
            ("0 0 1W 5 *", "2027-05-03 00:00:00"),
            ("0 0 * * mon-Wednesday", "2026-11-23 00:00:00"),
            ("0 0 * * 5L", "2026-11-27 00:00:00"),
            ("0 0 * * 5#1", "2026-12-04 00:00:00"),
            ("0 0 * * 7", "2026-11-22 00:00:00"),
            ("0 0 24 * 3", "2026-11-24 00:00:00"),
            ("0 0 29 feb *", "2028-02-29 00:00:00"),
            ("0 0 ? * ?", "2026-11-22 00:00:00"),
        ] {
            assert_eq!(in_utc(text, after, 1), [expected], "{text}");
        }
        assert!(in_utc("0 0 31 2 *", after, 1).is_empty());
    }

    #[test]
    fn a_zone_moves_the_launch_and_a_skipped_hour_skips_it() {
        let zone = "Europe/Berlin";
        assert_eq!(
            launches("30 2 * * *", zone, "2027-03-27T02:00:00Z", 1),
            ["2027-03-29 02:30:00 +0200"]
        );
        // The hour from two to three comes twice.
        assert_eq!(
            launches("30 2 * * *", zone, "2026-10-24T20:00:00Z", 2),
            ["2026-10-25 02:30:00 +0200", "2026-10-26 02:30:00 +0100"]
        );
        assert_eq!(
            launches("30 * * * *", zone, "2026-10-25T00:00:00Z", 3),
            [
                "2026-10-25 02:30:00 +0200",
                "2026-10-25 02:30:00 +0100",
                "2026-10-25 03:30:00 +0100"
            ]
        );
    }

    #[test]
    fn what_is_no_expression_says_why() {
        for (text, why) in [
            ("@every 5m", "unknown name"),
            ("* * *", "missing field(s): it has 3, and needs at least 5"),
            ("61 * * * *", "syntax error in field \"61\""),
            ("* * 0 * *", "syntax error in field \"0\""),
            ("5-1 * * * *", "syntax error in field \"5-1\""),
            ("*/0 * * * *", "syntax error in field \"*/0\""),
            ("* * * * fun", "syntax error in field \"fun\""),
        ] {
            assert_eq!(Schedule::parse(text).unwrap_err().to_string(), why, "{text}");
        }
    }
}
